//! A tree in the middle of its run, to which something may happen.

use super::{Flag, Hook, Job, Node, SOON, Stamp, Story, Tally, Tree};
use crate::harness::seconds;

/// Its `db` is healthy, the hook of that runs until the flag is up, and `web` is behind both.
pub(crate) struct Midway {
    pub(crate) tree: Tree,
    pub(crate) db: String,
    pub(crate) web: String,
    pub(crate) setup: String,
    pub(crate) flag: Flag,
    pub(crate) tally: Tally,
    /// The one job of the hook.
    pub(crate) hooks: Vec<String>,
    /// What Nomad has recorded of `db` until now.
    pub(crate) before: Stamp,
}

/// What stands inside of the groups, and so where they run.
#[derive(Debug, Default, Clone)]
pub(crate) struct Places {
    pub(crate) tree: String,
    pub(crate) services: String,
    pub(crate) hook: String,
    /// Whether Nomad places the tree again.
    pub(crate) again: bool,
}

impl Midway {
    /// Until the hook runs.
    pub(crate) fn begin(story: &Story, places: &Places) -> Self {
        let tally = story.tally("tally");
        let (db, web, setup, flag) =
            (story.id("db"), story.id("web"), story.id("setup"), story.flag("setup"));
        let wait = format!("until [ -e {} ]; do sleep 0.05; done", flag.0.display());
        let hook = Job::batch(&setup).script(&tally.script("setup", &wait)).group(&places.hook);
        let service = |id: &str| Node::of(&Job::service(id).group(&places.services));
        let tree = Tree::new(&story.id("tree"))
            .group(&places.tree)
            .node(service(&db).post(Hook::of(&hook)))
            .node(service(&web).after(&[&db]));
        let tree = if places.again { tree.placed_again() } else { tree };
        story.run_tree(&tree);
        let hooks = story.hook_job_ids(&tree.id, &setup, 1);
        story.main(&hooks[0]).runs(SOON);
        // That it was launched is written down a moment later.
        story.records(SOON, &tree.id, |record| record.word(&setup) == "running");
        let before = story.stamp(&db);
        Self { tree, db, web, setup, flag, tally, hooks, before }
    }

    /// It goes on to its end, and has done nothing twice.
    pub(crate) fn ends_well(&self, story: &Story) {
        story.were_never_registered(&[&self.web]);
        self.flag.raise();
        self.ends_well_after_its_flag(story);
    }

    /// The same when the flag is up.
    pub(crate) fn ends_well_after_its_flag(&self, story: &Story) {
        let Self { tree, db, web, setup, tally, hooks, before, .. } = self;
        story.tree(&tree.id).succeeds(seconds(120));
        story.main(web).runs(SOON);
        assert_eq!(story.stamp(db), *before);
        assert_eq!(story.hook_job_ids(&tree.id, setup, 1), *hooks);
        assert_eq!(tally.lines(), ["setup"]);
    }
}

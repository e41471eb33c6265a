//! The trees of a story, and what they have submitted.

use std::sync::PoisonError;

use serde_json::Value;

use super::{SOON, Story, Task, Tree, text};

impl Story {
    /// Registers a tree, and waits until Nomad has placed this version of it.
    pub(crate) fn run_tree(&self, tree: &Tree) {
        let parsed =
            self.cluster.parse(&tree.hcl(), "").unwrap_or_else(|why| panic!("{why} in\n{}", tree.hcl()));
        self.knows(tree.jobs());
        self.register_tree(&parsed);
    }

    /// The same for one that is parsed already.
    pub(crate) fn register_tree(&self, parsed: &Value) {
        let id = text(&parsed["ID"]);
        let namespace = parsed["Namespace"].as_str().unwrap_or("default").to_owned();
        self.trees.lock().unwrap_or_else(PoisonError::into_inner).insert((id.clone(), namespace));
        self.register(parsed);
        self.within(SOON, &format!("{id} to be placed"), || {
            let version = self.job(&id)?["Version"].clone();
            let newest = self.allocations(&id)?.into_iter().next().ok_or("there is no allocation")?;
            let of = &newest["JobVersion"];
            if *of == version { Ok(()) } else { Err(format!("the newest is of version {of}, not {version}")) }
        });
    }

    /// From now on this tree of namespace `default` is the story's own, although it was registered in another way.
    pub(crate) fn knows_tree(&self, id: &str) {
        let tree = (id.to_owned(), "default".to_owned());
        self.trees.lock().unwrap_or_else(PoisonError::into_inner).insert(tree.clone());
        self.knows([tree]);
    }

    /// From now on these jobs are the story's own, although something else registers them.
    pub(crate) fn knows(&self, jobs: impl IntoIterator<Item = (String, String)>) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).extend(jobs);
    }

    /// The task of a tree.
    pub(crate) fn tree(&self, id: &str) -> Task<'_> {
        self.task(id, "tree")
    }

    /// All that Nomad lists as submitted by the tree: jobs and hooks that were not purged.
    pub(crate) fn marked_by(&self, tree: &str) -> Vec<Value> {
        let name = format!("{}/{tree}", self.namespace(tree));
        let all = self.get("/v1/jobs?meta=true&namespace=*");
        let all = all.as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|job| job["Meta"]["dtree_tree"] == *name).collect()
    }

    /// Those among them that are of the node or hook with this label; from now on they are the story's own.
    pub(crate) fn hook_jobs(&self, tree: &str, label: &str) -> Vec<Value> {
        let mut found = self.marked_by(tree);
        found.retain(|job| job["Meta"]["dtree_node"] == *label);
        self.knows(found.iter().map(|job| (text(&job["ID"]), text(&job["Namespace"]))));
        found
    }

    /// Waits until so many jobs of a hook are there; gives their IDs.
    #[track_caller]
    pub(crate) fn hook_job_ids(&self, tree: &str, label: &str, n: usize) -> Vec<String> {
        self.within(SOON, &format!("{n} jobs of hook {label}"), || {
            let found: Vec<String> = self.hook_jobs(tree, label).iter().map(|job| text(&job["ID"])).collect();
            if found.len() == n { Ok(found) } else { Err(format!("{found:?}")) }
        })
    }

    /// All that the story's trees have submitted, as far as Nomad can be asked.
    pub(super) fn of_trees(&self) -> Vec<(String, String)> {
        let trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if trees.is_empty() {
            return Vec::new();
        }
        let names: Vec<String> = trees.iter().map(|(id, namespace)| format!("{namespace}/{id}")).collect();
        let all = self.cluster.api().get("/v1/jobs?meta=true&namespace=*").unwrap_or_default();
        let all = all.as_array().cloned().unwrap_or_default();
        let ours = all.iter().filter(|job| names.contains(&text(&job["Meta"]["dtree_tree"])));
        ours.map(|job| (text(&job["ID"]), text(&job["Namespace"]))).collect()
    }
}

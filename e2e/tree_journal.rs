//! Where Variables are refused the record of a tree is a journal on a disk, and a disk may be full.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::{Options, seconds};
use crate::story::{Job, Node, SOON, Story, Tree};
use crate::tree_access::{allow, policy_without_variables};

/// A small file system, and full, over the directory with the journal of a tree, until it is dropped.
struct FullDisk(PathBuf);

impl FullDisk {
    /// The journal itself is there as it was. Whoever has it open has to open it again to see that.
    fn over(story: &Story, tree: &str) -> Self {
        let allocation = story.tree(tree).allocation();
        let dir = story.cluster().dir().join(format!("a/data/alloc/{allocation}/tree/dtree"));
        let files: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(&dir)
            .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
            .flatten()
            .map(|entry| (entry.path(), fs::read(entry.path()).expect("it is a file")))
            .collect();
        assert!(!files.is_empty(), "there is no journal in {}", dir.display());
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs"])
            .arg(&dir)
            .output()
            .expect("every Linux can mount");
        assert!(mounted.status.success(), "{mounted:?}");
        let disk = Self(dir);
        for (path, bytes) in files {
            fs::write(&path, bytes).expect("there is room for the journal");
            fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("it is ours");
        }
        let mut filler = File::create(disk.filler()).expect("there is room for a file");
        while filler.write_all(&[0; 4096]).is_ok() {}
        disk
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).expect("the filler is there");
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        // Lazily: the plugin has the journal open. The warden would do it, too.
        let _seen_by_the_warden = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn with_a_full_disk_under_its_journal_a_tree_begins_nothing_and_says_so() {
    let story = Story::alone(Options { restartable: true, acl: true, ..Options::default() });
    let (db, flag) = (story.id("db"), story.flag("db"));
    // Enough of them to fill what is left of the journal's last page.
    let many: Vec<String> = (0..40).map(|n| story.id(&format!("a-job-with-a-long-name-{n}"))).collect();
    let mut tree = Tree::new(&story.id("tree")).node(Node::of(&Job::service(&db).held_back_by(&flag)));
    for id in &many {
        tree = tree.node(Node::of(&Job::batch(id)).after(&[&db]));
    }
    allow(&story, &tree.id, &policy_without_variables());
    story.run_tree(&tree);
    story.task(&db, "slow").runs(SOON);
    let disk = FullDisk::over(&story, &tree.id);
    story.kill_plugin();
    flag.of(0).raise();
    story.is_healthy(&db);
    story.tree(&tree.id).says(SOON, "the run's record cannot be written");
    story.tree(&tree.id).still_waits();
    let begun = many.iter().filter(|id| !story.versions(id).is_empty()).count();
    assert!(begun < many.len(), "all were begun");

    disk.make_room();
    story.tree(&tree.id).succeeds(seconds(240));
    assert!(many.iter().all(|id| story.versions(id).len() == 1));
}

//! Where in Nomad's Variables a tree keeps what it has to know.

use crate::cluster::{JobKey, TreeName, VARIABLES, fitting, path_of};

/// The path of what `tree` knows of the job `key`: `dtree/<tree>/<namespace>/<job>`.
pub fn of_job(tree: &TreeName, key: &JobKey) -> String {
    fitting(format!(
        "{VARIABLES}/{}/{}/{}",
        path_of(tree.as_str()),
        path_of(key.namespace.as_str()),
        path_of(key.job.as_str())
    ))
}

/// Where `tree` has the lock of its leader. No name of the user's making begins with a tilde.
pub(super) fn lock(tree: &TreeName) -> String {
    of_tree(tree, "~lock")
}

/// Where `tree` has the head of its record.
pub(super) fn header(tree: &TreeName) -> String {
    of_tree(tree, "~run")
}

/// Where `tree` has a chunk of its record.
pub(super) fn chunk(tree: &TreeName, n: usize) -> String {
    of_tree(tree, &format!("~run/{}", n + 1))
}

/// Where it stands how the last runs of `tree` have ended.
pub(super) fn history(tree: &TreeName) -> String {
    of_tree(tree, "~history")
}

/// Where a process at a command line asks for approvals of `tree`.
pub(super) fn approvals(tree: &TreeName) -> String {
    of_tree(tree, "~approvals")
}

fn of_tree(tree: &TreeName, what: &str) -> String {
    fitting(format!("{VARIABLES}/{}/{what}", path_of(tree.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_only_letters_that_nomad_takes_and_no_two_jobs_share_one() {
        let tree = TreeName::from("default/shop");
        let of = |job: &str| of_job(&tree, &JobKey::new("default", job));
        assert_eq!(of("postgres"), "dtree/default/shop/default/postgres");
        assert_eq!(of("api.v1 ü"), "dtree/default/shop/default/api~2Ev1~20~C3~BC");
        assert_ne!(of("a~2E"), of("a."));
        let long = "x".repeat(200);
        assert_eq!(of(&long).len(), 44);
        assert!(of(&long).starts_with("dtree/~long/"));
        assert_ne!(of(&long), of(&format!("{long}x")));
        assert_eq!(chunk(&tree, 0), "dtree/default/shop/~run/1");
        // Whatever a job is called, it has another path.
        assert_eq!(of_job(&tree, &JobKey::new("~run", "1")), "dtree/default/shop/~7Erun/1");
    }
}

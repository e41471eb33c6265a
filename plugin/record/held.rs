//! Where it is written down that a tree waits for a job: with the job, so that who stops it finds all who do.

use crate::cluster::{JobKey, LONGEST_PATH, TreeName, VARIABLES, segment_of, short_of};

/// Room for the name of a tree, shortened if need be.
const SHORT: usize = 32;

/// The beginning of the paths of all who wait for `job`: `dtree/~held/<namespace>/<job>/`. No other job has it.
pub fn all_of(job: &JobKey) -> String {
    let prefix =
        format!("{VARIABLES}/~held/{}/{}/", segment_of(job.namespace.as_str()), segment_of(job.job.as_str()));
    if prefix.len() + SHORT <= LONGEST_PATH {
        prefix
    } else {
        format!("{VARIABLES}/~held/~long/{}/", short_of(&prefix))
    }
}

/// The path at which it is written down that `tree` waits for `job`.
pub fn by(tree: &TreeName, job: &JobKey) -> String {
    let (prefix, name) = (all_of(job), segment_of(tree.as_str()));
    if prefix.len() + name.len() <= LONGEST_PATH {
        prefix + &name
    } else {
        format!("{prefix}{}", short_of(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_has_a_path_of_its_own_beneath_its_job() {
        let by = |tree: &str, job: &str| by(&TreeName::from(tree), &JobKey::new("data", job));
        assert_eq!(by("default/b", "pg.v1"), "dtree/~held/data/pg~2Ev1/default~2Fb");
        assert_eq!(all_of(&JobKey::new("data", "a/b")), "dtree/~held/data/a~2Fb/", "not beneath job a");
        let long = "x".repeat(200);
        let paths = [
            by("default/b", &long),
            by("default/c", &long),
            by("default/b", &format!("{long}x")),
            by(&long, "pg"),
            by(&format!("{long}x"), "pg"),
        ];
        for (n, path) in paths.iter().enumerate() {
            assert!(path.len() <= LONGEST_PATH, "{path}");
            assert!(!paths[..n].contains(path), "{path}");
        }
        assert!(paths[0].starts_with(&all_of(&JobKey::new("data", long.as_str()))));
    }
}

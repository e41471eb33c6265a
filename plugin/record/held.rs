//! Where it is written down that a tree waits for a job: with the job, so that who stops it finds all who do.

use super::path::{LONGEST, ROOT, plain};
use crate::cluster::{JobKey, TreeName, digest};

/// How long a name made from another is.
const SHORT: usize = 32;

/// The beginning of the paths of all who wait for `job`: `dtree/~held/<namespace>/<job>/`. No other job has it.
pub fn all_of(job: &JobKey) -> String {
    let prefix = format!("{ROOT}/~held/{}/{}/", segment(job.namespace.as_str()), segment(job.job.as_str()));
    if prefix.len() + SHORT <= LONGEST { prefix } else { format!("{ROOT}/~held/~long/{}/", short(&prefix)) }
}

/// The path at which it is written down that `tree` waits for `job`.
pub fn by(tree: &TreeName, job: &JobKey) -> String {
    let (prefix, name) = (all_of(job), segment(tree.as_str()));
    if prefix.len() + name.len() <= LONGEST { prefix + &name } else { format!("{prefix}{}", short(&name)) }
}

/// `name` without a slash.
fn segment(name: &str) -> String {
    plain(name).replace('/', "~2F")
}

fn short(text: &str) -> String {
    let mut short = digest([text]);
    short.truncate(SHORT);
    short
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
            assert!(path.len() <= LONGEST, "{path}");
            assert!(!paths[..n].contains(path), "{path}");
        }
        assert!(paths[0].starts_with(&all_of(&JobKey::new("data", long.as_str()))));
    }
}

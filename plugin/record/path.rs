//! Where in Nomad's Variables a tree keeps what it has to know.

use std::fmt::Write as _;

use crate::cluster::{JobKey, TreeName, digest};

/// Everything is kept beneath this: what a policy has to name.
pub(super) const ROOT: &str = "dtree";
/// The longest path that Nomad takes.
pub(super) const LONGEST: usize = 128;

/// The path of what `tree` knows of the job `key`: `dtree/<tree>/<namespace>/<job>`.
pub fn of_job(tree: &TreeName, key: &JobKey) -> String {
    let path = format!(
        "{ROOT}/{}/{}/{}",
        plain(tree.as_str()),
        plain(key.namespace.as_str()),
        plain(key.job.as_str())
    );
    if path.len() <= LONGEST {
        return path;
    }
    let mut short = digest([path.as_str()]);
    short.truncate(32);
    format!("{ROOT}/long/{short}")
}

/// `name` in the letters that a path may have; others as `~` and their code. A slash stays.
pub(super) fn plain(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'/' => plain.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => _ = write!(plain, "~{byte:02X}"),
        }
    }
    plain
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
        assert_eq!(of(&long).len(), 43);
        assert_ne!(of(&long), of(&format!("{long}x")));
    }
}

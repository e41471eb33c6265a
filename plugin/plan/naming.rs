//! Names of hook jobs, which follow from what they are for: who comes back after a crash finds the same name.

use crate::cluster::{
    JobId, JobKey, JobVersion, Marks, Namespace, RaftIndex, RunId, SpecHash, TreeName, VARIABLES, digest,
    fitting, segment_of,
};

/// One bringing into service of one version of a job, or the end of its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollout<'a> {
    /// It is to be submitted, over what was registered at this position; zero for nothing.
    Over(RaftIndex, &'a SpecHash),
    /// It was submitted as this version of the job that was created then.
    Version(RaftIndex, JobVersion),
    /// This version of the job that was created then is to be stopped.
    BeforeStop(RaftIndex, JobVersion),
    /// It was stopped.
    AfterStop(RaftIndex, JobVersion),
}

/// A short name for one rollout of `job` as hook `hook` sees it: the same for the same rollout and the same hook, and
/// for no others.
pub fn rollout(tree: &TreeName, hook: &Marks, job: &JobKey, rollout: Rollout<'_>) -> String {
    let (what, first, second) = match rollout {
        Rollout::Over(before, spec) => ("over", before.to_string(), spec.to_string()),
        Rollout::Version(created, version) => ("version", created.to_string(), version.to_string()),
        Rollout::BeforeStop(created, version) => ("before stop", created.to_string(), version.to_string()),
        Rollout::AfterStop(created, version) => ("after stop", created.to_string(), version.to_string()),
    };
    short([tree.as_str(), &hook.node, hook.spec.as_str(), &job.to_string(), what, &first, &second])
}

/// A short name for what hook `hook`, which belongs to no job, is in one run.
pub fn run_of_hook(tree: &TreeName, hook: &Marks, run: &RunId) -> String {
    short([tree.as_str(), &hook.node, "run", run.as_str()])
}

/// A short name for what runs once for `key` as hook `hook` of any task in `namespace`, whoever launches it.
pub fn run_of_once(namespace: &Namespace, hook: &str, key: &str) -> String {
    let mut name = digest(["once", namespace.as_str(), hook, key]);
    name.truncate(16);
    name
}

/// The ID under which a hook runs that runs once: `<hook>-once-<run>-<attempt>`.
pub fn once_job(hook: &str, run: &str, attempt: u32) -> JobId {
    format!("{hook}-once-{run}-{attempt}").into()
}

/// The path of the Nomad variable in which it stands what became of hook `hook` for `key`.
pub fn once_path(hook: &str, key: &str) -> String {
    fitting(format!("{VARIABLES}/~once/{}/{}", segment_of(hook), segment_of(key)))
}

fn short<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut name = digest(parts);
    name.truncate(8);
    name
}

/// The ID under which a hook runs: `<hook>-<tree>-<rollout>-<attempt>`.
pub fn hook_job(hook: &str, tree: &TreeName, rollout: &str, attempt: u32) -> JobId {
    let tree = tree.as_str().rsplit('/').next().unwrap_or_default();
    format!("{hook}-{tree}-{rollout}-{attempt}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(spec: &str) -> Marks {
        Marks { tree: "default/shop".into(), node: "setup".to_owned(), spec: spec.into() }
    }

    #[test]
    fn the_name_follows_from_what_the_hook_is_for() {
        let tree = TreeName::from("default/shop");
        let job = JobKey::new("default", "postgres");
        let spec = SpecHash::from("aa");
        let of = |spec: &str, at: Rollout<'_>| rollout(&tree, &hook(spec), &job, at);
        let name = of("11", Rollout::Over(RaftIndex(7), &spec));
        assert_eq!(name, of("11", Rollout::Over(RaftIndex(7), &spec)));
        let others = [
            of("12", Rollout::Over(RaftIndex(7), &spec)),
            of("11", Rollout::Over(RaftIndex(8), &spec)),
            of("11", Rollout::Over(RaftIndex(7), &SpecHash::from("ab"))),
            of("11", Rollout::Version(RaftIndex(7), JobVersion(0))),
            of("11", Rollout::Version(RaftIndex(7), JobVersion(1))),
            of("11", Rollout::BeforeStop(RaftIndex(7), JobVersion(0))),
            of("11", Rollout::AfterStop(RaftIndex(7), JobVersion(0))),
        ];
        assert!(others.iter().all(|other| *other != name), "{name}, {others:?}");
        assert_eq!(hook_job("setup", &tree, "0badcafe", 2).as_str(), "setup-shop-0badcafe-2");
    }

    #[test]
    fn what_runs_once_has_a_path_and_a_name_that_no_other_key_has() {
        assert_eq!(once_path("migrate", "v7"), "dtree/~once/migrate/v7");
        assert_eq!(once_path("a/b", "v7 ü"), "dtree/~once/a~2Fb/v7~20~C3~BC");
        assert_ne!(once_path("a/b", "c"), once_path("a", "b/c"));
        assert_ne!(once_path("a", "~2E"), once_path("a", "."));
        let long = "x".repeat(1024);
        assert_eq!(once_path("a", &long).len(), "dtree/~long/".len() + 32);
        assert_ne!(once_path("a", &long), once_path("b", &long));
        let run = |namespace: &str, hook, key| run_of_once(&namespace.into(), hook, key);
        let names = [
            run("default", "a", "b"),
            run("other", "a", "b"),
            run("default", "ab", ""),
            run("default", "a", "c"),
        ];
        assert_eq!(std::collections::BTreeSet::from(names).len(), 4);
        assert_eq!(once_job("migrate", "0badcafe0badcafe", 2).as_str(), "migrate-once-0badcafe0badcafe-2");
    }
}

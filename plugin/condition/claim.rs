//! Whose a job is, and what has to be done about it before a tree can call it its own.
//!
//! # Invariants
//!
//! * A job that no tree has marked, or that another tree has marked, is never touched, but for one without marks whose
//!   author said `adopt = true`.
//! * A job is *unchanged* by its marks alone: what a scheduler, an autoscaler or an operator did to its counts is no
//!   change.

use crate::cluster::{Job, Marks, RaftIndex, SpecHash, TreeName};

/// What a tree has to do about one of its jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// There is no such job.
    Create,
    /// It is registered as the tree wants it.
    Unchanged,
    /// It has to be registered anew: why.
    Update(Change),
    /// It is not the tree's: why, and what helps.
    Foreign(String),
}

/// Why a job has to be registered anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its jobspec has changed.
    Changed,
    /// It was stopped.
    Stopped,
    /// It was nobody's.
    Adopted,
}

/// Compares the job that is registered, if there is one, with what the tree wants.
pub fn claim(job: Option<&Job>, wanted: &Marks, may_adopt: bool) -> Claim {
    let Some(job) = job else { return Claim::Create };
    let id = &job.key.job;
    match job.marks.as_deref() {
        None if may_adopt => Claim::Update(Change::Adopted),
        None => Claim::Foreign(format!(
            "job {id} is registered already, and not by a tree; it is left alone; adopt = true takes it over"
        )),
        Some(marks) if marks.tree != wanted.tree => Claim::Foreign(format!(
            "job {id} belongs to tree {}; it is left alone; a `wait` block can wait for it",
            marks.tree
        )),
        Some(_) if job.is_stopped => Claim::Update(Change::Stopped),
        Some(marks) if marks.spec != wanted.spec => Claim::Update(Change::Changed),
        Some(_) => Claim::Unchanged,
    }
}

/// Whose a registered job is, if it is not `tree`'s.
pub fn foreign(job: &Job, tree: &TreeName) -> Option<String> {
    let id = &job.key.job;
    match job.marks.as_deref() {
        None => Some(format!("job {id} was not submitted by a tree")),
        Some(marks) if marks.tree != *tree => Some(format!("job {id} belongs to tree {}", marks.tree)),
        Some(_) => None,
    }
}

/// Whether `tree` may stop, or purge, a job that it saw as created then and made from that spec. Another count is no
/// change.
///
/// # Errors
///
/// What has happened to it since.
pub fn may_stop(job: &Job, tree: &TreeName, created: RaftIndex, spec: &SpecHash) -> Result<(), String> {
    let id = &job.key.job;
    if let Some(whose) = foreign(job, tree) {
        return Err(format!("{whose} by now, and is left alone"));
    }
    let is_same = job.marks.as_deref().is_some_and(|marks| marks.spec == *spec);
    if job.create_index == created && is_same {
        Ok(())
    } else {
        Err(format!("job {id} was registered anew by someone else while the tree was stopped; stop it again"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::sample;

    fn marks(tree: &str, spec: &str) -> Marks {
        Marks { tree: tree.into(), node: "api".to_owned(), spec: spec.into() }
    }

    fn job(marks: Option<Marks>, is_stopped: bool) -> Job {
        let mut job = sample::service(1).job;
        job.marks = marks.map(Box::new);
        job.is_stopped = is_stopped;
        job
    }

    #[test]
    fn a_job_is_touched_only_by_its_own_tree() {
        let mine = marks("default/shop", "aa");
        let table = [
            (None, false, Claim::Create),
            (Some(job(Some(mine.clone()), false)), false, Claim::Unchanged),
            (Some(job(Some(marks("default/shop", "ab")), false)), false, Claim::Update(Change::Changed)),
            (Some(job(Some(mine.clone()), true)), false, Claim::Update(Change::Stopped)),
            (Some(job(None, false)), true, Claim::Update(Change::Adopted)),
        ];
        for (job, may_adopt, expected) in table {
            assert_eq!(claim(job.as_ref(), &mine, may_adopt), expected, "{job:?}");
        }
        let others = [
            claim(Some(&job(None, false)), &mine, false),
            claim(Some(&job(None, true)), &mine, false),
            claim(Some(&job(Some(marks("default/bar", "aa")), false)), &mine, true),
        ];
        let words: Vec<String> = others.iter().map(|claim| format!("{claim:?}")).collect();
        insta::assert_snapshot!(words.join("\n"), @r#"
        Foreign("job postgres is registered already, and not by a tree; it is left alone; adopt = true takes it over")
        Foreign("job postgres is registered already, and not by a tree; it is left alone; adopt = true takes it over")
        Foreign("job postgres belongs to tree default/bar; it is left alone; a `wait` block can wait for it")
        "#);
    }

    #[test]
    fn only_what_was_seen_of_the_own_tree_is_stopped() {
        let mine = marks("default/shop", "aa");
        let tree = TreeName::from("default/shop");
        let seen = job(Some(mine.clone()), false);
        let may = |job: &Job| may_stop(job, &tree, seen.create_index, &mine.spec);
        let mut scaled = seen.clone();
        scaled.version = crate::cluster::JobVersion(9);
        let mut anew = seen.clone();
        anew.create_index = RaftIndex(seen.create_index.0 + 1);
        assert_eq!([&seen, &scaled, &job(Some(mine.clone()), true)].map(may), [Ok(()), Ok(()), Ok(())]);
        let others = [
            anew,
            job(Some(marks("default/shop", "ab")), false),
            job(Some(marks("default/bar", "aa")), false),
            job(None, false),
        ];
        let words: Vec<String> = others.iter().map(|job| may(job).unwrap_err()).collect();
        insta::assert_snapshot!(words.join("\n"), @"
        job postgres was registered anew by someone else while the tree was stopped; stop it again
        job postgres was registered anew by someone else while the tree was stopped; stop it again
        job postgres belongs to tree default/bar by now, and is left alone
        job postgres was not submitted by a tree by now, and is left alone
        ");
    }

    #[test]
    fn another_count_is_no_change() {
        let mine = marks("default/shop", "aa");
        let mut scaled = job(Some(mine.clone()), false);
        for group in scaled.groups.values_mut() {
            group.count += 4;
        }
        assert_eq!(claim(Some(&scaled), &mine, false), Claim::Unchanged);
    }
}

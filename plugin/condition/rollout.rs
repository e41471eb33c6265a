//! Which rollout the registered version of a job belongs to, and whether it is done.
//!
//! One submission may have several versions: scaling a job makes a new one, and a stop does. A rollout is the newest
//! unbroken row of versions made from the same spec; a stopped version breaks it, because the job begins anew after it.

use serde::{Deserialize, Serialize};

use crate::cluster::{JobVersion, Marks, RaftIndex, SpecHash, VersionRecord};

/// Versions of a job that were all made from one submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// When the job was first registered since it was last purged.
    pub create_index: RaftIndex,
    /// The first of the versions.
    pub version: JobVersion,
    /// Whether it was attested that its post hooks have run.
    pub is_done: bool,
}

/// What a tree writes down when a job and its post hooks are done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attested {
    /// When the job was first registered since it was last purged.
    pub create_index: RaftIndex,
    /// The first version of the rollout.
    pub version: JobVersion,
    /// What it was made from.
    pub spec: SpecHash,
}

/// The rollout of what is registered now, by its versions, newest first. `None` when the newest version does not have
/// these marks.
pub fn rollout(versions: &[VersionRecord], done: Option<&Attested>, marks: &Marks) -> Option<Rollout> {
    let newest = versions.first()?;
    let row = versions.iter().take_while(|version| {
        version.create_index == newest.create_index
            && !version.is_stopped
            && version.marks.as_ref().is_some_and(|(tree, spec)| *tree == marks.tree && *spec == marks.spec)
    });
    let oldest = row.clone().last()?;
    // Nomad forgets old versions of a job that is scaled often; what it has forgotten cannot break the row.
    let is_whole = row.count() == versions.len();
    let is_done = done.is_some_and(|done| {
        done.create_index == newest.create_index
            && done.spec == marks.spec
            && done.version <= newest.version
            && (done.version >= oldest.version || is_whole)
    });
    Some(Rollout { create_index: oldest.create_index, version: oldest.version, is_done })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u64, spec: &str, is_stopped: bool) -> VersionRecord {
        VersionRecord {
            version: JobVersion(number),
            create_index: RaftIndex(7),
            is_stopped,
            marks: Some(("default/shop".into(), spec.into())),
        }
    }

    fn done(create_index: u64, version: u64, spec: &str) -> Attested {
        Attested { create_index: RaftIndex(create_index), version: JobVersion(version), spec: spec.into() }
    }

    #[expect(clippy::needless_pass_by_value, reason = "so that the tables below stay short")]
    fn of(versions: &[VersionRecord], done: Option<Attested>) -> Option<(u64, bool)> {
        let marks = Marks { tree: "default/shop".into(), node: "api".to_owned(), spec: "aa".into() };
        rollout(versions, done.as_ref(), &marks).map(|rollout| (rollout.version.0, rollout.is_done))
    }

    #[test]
    fn scaling_is_the_same_rollout_and_a_stop_ends_it() {
        let v = version;
        assert_eq!(of(&[v(0, "aa", false)], None), Some((0, false)));
        assert_eq!(of(&[v(3, "aa", false), v(2, "aa", false), v(1, "ab", false)], None), Some((2, false)));
        assert_eq!(of(&[v(3, "aa", false), v(2, "aa", true), v(1, "aa", false)], None), Some((3, false)));
        assert_eq!(of(&[v(3, "ab", false), v(2, "aa", false)], None), None);
        assert_eq!(of(&[v(3, "aa", true)], None), None);
        assert_eq!(of(&[], None), None);
        let mut others = v(0, "aa", false);
        others.marks = Some(("default/bar".into(), "aa".into()));
        assert_eq!(of(&[v(1, "aa", false), others], None), Some((1, false)));
    }

    #[test]
    fn a_rollout_is_done_when_that_was_attested_of_it() {
        let v = version;
        let row = [v(3, "aa", false), v(2, "aa", false), v(1, "ab", false)];
        assert_eq!(of(&row, Some(done(7, 2, "aa"))), Some((2, true)));
        assert_eq!(of(&row, Some(done(7, 0, "aa"))), Some((2, false)), "an earlier rollout of the same spec");
        assert_eq!(of(&row, Some(done(7, 1, "ab"))), Some((2, false)), "of another spec");
        assert_eq!(of(&row, Some(done(6, 2, "aa"))), Some((2, false)), "of a job that was purged");
        assert_eq!(of(&row, Some(done(7, 4, "aa"))), Some((2, false)), "of the future");
        let stopped = [v(3, "aa", false), v(2, "aa", true), v(1, "aa", false)];
        assert_eq!(of(&stopped, Some(done(7, 1, "aa"))), Some((3, false)), "stopped since");
        let scaled = [v(9, "aa", false), v(8, "aa", false)];
        assert_eq!(of(&scaled, Some(done(7, 2, "aa"))), Some((8, true)), "Nomad has forgotten version 2");
    }
}

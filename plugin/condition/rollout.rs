//! Which rollout the registered version of a job belongs to.
//!
//! One submission may have several versions: scaling a job makes a new one, and a stop does. A rollout is the newest
//! unbroken row of versions made from the same spec; a stopped version breaks it, because the job begins anew after it.

use serde::{Deserialize, Serialize};

use crate::cluster::{JobVersion, Marks, RaftIndex, VersionRecord};

/// The name of the version tag that says: brought into service, post hooks included.
pub const DONE_TAG: &str = "dtree";

/// Versions of a job that were all made from one submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// When the job was first registered since it was last purged.
    pub create_index: RaftIndex,
    /// The first of the versions.
    pub version: JobVersion,
    /// Whether one of them is tagged as brought into service.
    pub is_done: bool,
}

/// The rollout of what is registered now. `None` when the newest version does not have these marks.
pub fn rollout(versions: &[VersionRecord], marks: &Marks) -> Option<Rollout> {
    let newest = versions.first()?;
    let row = versions.iter().take_while(|version| {
        version.create_index == newest.create_index
            && !version.is_stopped
            && version.marks.as_ref().is_some_and(|(tree, spec)| *tree == marks.tree && *spec == marks.spec)
    });
    row.fold(None, |rollout, version| {
        Some(Rollout {
            create_index: version.create_index,
            version: version.version,
            is_done: rollout.is_some_and(|rollout| rollout.is_done)
                || version.tag.as_deref() == Some(DONE_TAG),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u64, spec: &str, is_stopped: bool, tag: Option<&str>) -> VersionRecord {
        VersionRecord {
            version: JobVersion(number),
            create_index: RaftIndex(7),
            is_stopped,
            marks: Some(("default/shop".into(), spec.into())),
            tag: tag.map(str::to_owned),
        }
    }

    fn of(versions: &[VersionRecord]) -> Option<(u64, bool)> {
        let marks = Marks { tree: "default/shop".into(), node: "api".to_owned(), spec: "aa".into() };
        rollout(versions, &marks).map(|rollout| (rollout.version.0, rollout.is_done))
    }

    #[test]
    fn scaling_is_the_same_rollout_and_a_stop_ends_it() {
        let v = version;
        assert_eq!(of(&[v(0, "aa", false, None)]), Some((0, false)));
        assert_eq!(of(&[v(3, "aa", false, None), v(2, "aa", false, Some("dtree")), v(1, "ab", false, None)]), Some((2, true)));
        assert_eq!(of(&[v(3, "aa", false, None), v(2, "aa", false, Some("v7")), v(1, "aa", true, Some("dtree"))]), Some((2, false)));
        assert_eq!(of(&[v(3, "ab", false, None), v(2, "aa", false, Some("dtree"))]), None);
        assert_eq!(of(&[v(3, "aa", true, None)]), None);
        assert_eq!(of(&[]), None);
        let mut purged = v(0, "aa", false, Some("dtree"));
        purged.create_index = RaftIndex(6);
        assert_eq!(of(&[v(1, "aa", false, None), purged]), Some((1, false)));
        let mut others = v(0, "aa", false, Some("dtree"));
        others.marks = Some(("default/bar".into(), "aa".into()));
        assert_eq!(of(&[v(1, "aa", false, None), others]), Some((1, false)));
    }
}

//! A version of a job that Nomad still keeps.

use super::{JobVersion, RaftIndex, SpecHash, TreeName};

/// One registration of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRecord {
    /// Its number.
    pub version: JobVersion,
    /// When the job was first registered since it was last purged.
    pub create_index: RaftIndex,
    /// Whether this version is that of a stopped job.
    pub is_stopped: bool,
    /// The tree that submitted it and what it was made from; `None` without marks.
    pub marks: Option<(TreeName, SpecHash)>,
}

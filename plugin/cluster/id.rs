//! Nomad's names and numbers, each a type of its own so that none is taken for another.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// As Nomad spells it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

pub(super) use text_id;

text_id!(
    /// A job's ID, unique in its namespace.
    JobId
);
text_id!(
    /// A namespace's name.
    Namespace
);
text_id!(
    /// An allocation's ID: a UUID.
    AllocId
);
text_id!(
    /// A deployment's ID: a UUID.
    DeploymentId
);
text_id!(
    /// An evaluation's ID: a UUID.
    EvalId
);
text_id!(
    /// The ID of a client: the machine that Nomad's API calls "node".
    ClientId
);

text_id!(
    /// The ID of a lock on one of Nomad's Variables: a UUID that its holder chooses.
    LockId
);
text_id!(
    /// The ID of a tree's run: eight hexadecimal digits. A run that is continued elsewhere keeps it.
    RunId
);

impl LockId {
    /// The lock that follows from `parts`: the same parts make the same lock.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let hex = super::digest(parts);
        let part = |range| hex.get(range).unwrap_or_default();
        Self([part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-"))
    }
}

impl RunId {
    /// The run that `tree` begins in `alloc` at `at`, in milliseconds: another instant is another run.
    pub fn of(tree: &super::TreeName, alloc: &AllocId, at: u64) -> Self {
        let mut hex = super::digest([tree.as_str(), alloc.as_str(), &at.to_string()]);
        hex.truncate(8);
        Self(hex)
    }
}

/// The first eight characters of a UUID, which Nomad's own commands print and accept.
fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

impl AllocId {
    /// The first eight characters, as Nomad's commands print and accept it.
    pub fn short(&self) -> &str {
        short(&self.0)
    }
}

impl DeploymentId {
    /// The first eight characters, as Nomad's commands print and accept it.
    pub fn short(&self) -> &str {
        short(&self.0)
    }
}

impl EvalId {
    /// The first eight characters, as Nomad's commands print and accept it.
    pub fn short(&self) -> &str {
        short(&self.0)
    }
}

/// A job's version: 0 when it is first registered, one more with each change of its specification.
///
/// It begins at 0 again after a purge, so it only means something together with the job's create index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobVersion(pub u64);

impl fmt::Display for JobVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A position in Nomad's Raft log: every write has one, and a later write has a greater one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RaftIndex(pub u64);

impl fmt::Display for RaftIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A job's place in a region: its namespace and its ID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobKey {
    /// Where it is registered.
    pub namespace: Namespace,
    /// Its ID there.
    pub job: JobId,
}

impl JobKey {
    /// The job `job` in `namespace`.
    pub fn new(namespace: impl Into<Namespace>, job: impl Into<JobId>) -> Self {
        Self { namespace: namespace.into(), job: job.into() }
    }
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.job)
    }
}

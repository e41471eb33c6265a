//! What a wait asks of things that are no jobs, and what is answered.
//!
//! A question holds all that decides its answer, so that those who ask the same share one answer. Where an answer may
//! hold a secret, the question says what is compared with it, and the answer says only how that came out.

use super::{AllocId, Check, Namespace, Unseen};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Which instances a service has in Nomad, and whether their checks pass: [`Answer::Instances`].
    Service {
        /// The namespace of the jobs that register it.
        namespace: Namespace,
        /// Its name.
        name: String,
    },
    /// Which instances a service has in Consul, and whether all their checks pass: [`Answer::Instances`].
    ConsulService {
        /// Its name.
        name: String,
    },
    /// Whether a variable of Nomad is there: [`Answer::Value`].
    Variable {
        /// Its namespace.
        namespace: Namespace,
        /// Its path.
        path: String,
        /// One of its items; without, the variable as a whole.
        key: Option<String>,
        /// What that item is compared with.
        equals: Option<String>,
    },
    /// Whether a key of Consul's store is there: [`Answer::Value`].
    ConsulKey {
        /// The key.
        key: String,
        /// What its value is compared with.
        equals: Option<String>,
    },
    /// Whether something accepts connections: [`Answer::Accepts`].
    Tcp {
        /// `host:port`.
        address: String,
        /// How often to ask, in milliseconds.
        every: u64,
    },
    /// What is answered to a GET: [`Answer::Http`].
    Http {
        /// Where: `http://host[:port]/path`, or `https://…`.
        url: String,
        /// What is looked for in the answer's body.
        contains: Option<String>,
        /// How often to ask, in milliseconds.
        every: u64,
    },
    /// What a name resolves to: [`Answer::Addresses`].
    Dns {
        /// The name.
        name: String,
        /// How often to ask, in milliseconds.
        every: u64,
    },
    /// The checks of the task's own allocation: [`Answer::Checks`].
    OwnChecks {
        /// The allocation.
        alloc: AllocId,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These are there.
    Instances(Vec<Instance>),
    /// It is so with the value.
    Value(Value),
    /// Something accepts connections, or why not.
    Accepts(Result<(), String>),
    /// A status and whether the text was found, or why there is no answer.
    Http(Result<HttpAnswer, String>),
    /// These addresses, or why there are none.
    Addresses(Result<Vec<String>, String>),
    /// These are the results now.
    Checks(Vec<Check>),
}

/// One instance of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// What registered it, short enough to be read: an allocation, or Consul's ID.
    pub id: String,
    /// `address:port`.
    pub address: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whether all its checks pass.
    pub health: Result<(), Unwell>,
}

/// Why an instance is not said to pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unwell {
    /// It does not: which check, or what of what runs behind it, and what that says.
    Failing(String),
    /// Nobody can say: why.
    Unknown(String),
}

impl Unwell {
    /// Why, for people.
    pub fn why(&self) -> &str {
        match self {
            Self::Failing(why) | Self::Unknown(why) => why,
        }
    }
}

/// How it is with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// There is no such variable, or no such key.
    Absent,
    /// The variable is there, and has no such item.
    NoItem,
    /// It is there, and is not what it was compared with.
    Differs,
    /// It is there, and is what it was compared with, if it was.
    Holds,
}

/// An answer to a GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Its status.
    pub status: u16,
    /// Whether its body holds what was looked for.
    pub is_found: bool,
}

/// The answer as of now, or why nothing can be said at the moment.
pub type Told = Result<Answer, Unseen>;

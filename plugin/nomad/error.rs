//! What can go wrong between dtree and Nomad, said so that the reader can act on it.
//!
//! Each message says what dtree wanted and where; the source says why it did not work; [`Error::hint`] says what to
//! do. No message repeats its source: whoever prints the error prints the chain, for which there is [`Error::chain`].

use std::{error::Error as _, fmt::Write as _, io, path::PathBuf, time::Duration};

use serde::de::Error as _;

use super::{Asker, rights::Capability};
use crate::{
    cluster::{JobKey, Namespace, RaftIndex},
    http::{SPEAKS_TLS, TlsFault},
};

/// A request to Nomad's HTTP API that gave no usable answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be used.
    #[error("`{address}` is no address of Nomad's API: {why}")]
    BadAddress {
        /// As the user gave it.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// The file with the token cannot be read.
    #[error("cannot read the token in `{}`", path.display())]
    TokenFile {
        /// Its path on the client.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// No answer: name resolution, TCP, the socket file, or a connection that broke.
    #[error("cannot reach Nomad at {address}")]
    Unreachable {
        /// As the user gave it.
        address: String,
        /// The transport's own words.
        #[source]
        source: io::Error,
    },
    /// No answer in time.
    #[error("Nomad at {address} did not answer within {} s when asked to {wanted}", after.as_secs())]
    TimedOut {
        /// A verb phrase: "read job `api`".
        wanted: String,
        /// As the user gave it.
        address: String,
        /// The time limit.
        after: Duration,
    },
    /// The event stream ended, or fell silent, where it should not.
    #[error("the event stream from {address} {how}")]
    StreamLost {
        /// As the user gave it.
        address: String,
        /// A verb phrase: "ended", "was silent for 45 s".
        how: String,
    },
    /// The token is good but lacks a right.
    #[error("Nomad does not allow {} to {wanted} in namespace `{namespace}`", whom(asker.as_deref()))]
    Denied {
        /// A verb phrase: "read job `api`".
        wanted: String,
        /// Where.
        namespace: Namespace,
        /// The right that is missing.
        capability: Capability,
        /// Who asked; `None` for the plugin itself.
        asker: Option<Box<Asker>>,
    },
    /// There is no token, or one that Nomad does not take.
    #[error("Nomad does not know {} may not {wanted}: {said}", unknown(asker.as_ref()))]
    Unidentified {
        /// A verb phrase: "read job `api`".
        wanted: String,
        /// Who asked; `None` for the plugin itself.
        asker: Option<Asker>,
        /// Whether there was a token at all.
        has_token: bool,
        /// Nomad's reason, first line only.
        said: String,
    },
    /// Nomad answered, but neither with what was asked for nor with a denial.
    #[error("Nomad answered {status} when asked to {wanted}: {said}")]
    Refused {
        /// A verb phrase.
        wanted: String,
        /// The HTTP status.
        status: u16,
        /// Nomad's reason in one line.
        said: String,
    },
    /// A variable is not what the writer thought it was, or is locked.
    #[error("Nomad did not {wanted}: {said}")]
    Conflict {
        /// A verb phrase: "write the variable `dtree/…`".
        wanted: String,
        /// What is there instead, where Nomad shows it.
        found: Option<RaftIndex>,
        /// In one line.
        said: String,
    },
    /// The answer is not what Nomad's API promises.
    #[error("cannot understand Nomad's answer when asked to {wanted}")]
    Garbled {
        /// A verb phrase.
        wanted: String,
        /// Where the answer goes wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The answer was cut off before it could fill the memory.
    #[error("Nomad's answer when asked to {wanted} is longer than {limit} bytes")]
    TooLong {
        /// A verb phrase.
        wanted: String,
        /// The limit in bytes.
        limit: usize,
    },
}

/// What TLS has to do with it.
fn fault(source: &io::Error) -> Option<&TlsFault> {
    source.get_ref()?.downcast_ref()
}

/// What precedes the words of a server that an agent has passed a request on to, once for each passing on.
const PASSED_ON: &str = "rpc error: ";
/// What Nomad says when a job is not as the writer thought it was.
const CONFLICT: &str = "Enforcing job modify index";
/// What Nomad says of a variable that is too large.
const TOO_LARGE: &str = "limited to 64KiB";
/// What agents and servers say, with status 500, when a request got lost between them or had no leader to go to.
const LOST_BETWEEN_SERVERS: [&str; 22] = [
    "No cluster leader",
    "No path to region",
    "No known servers",
    "no servers",
    "connection refused",
    "connection reset",
    "broken pipe",
    "use of closed network connection",
    "no route to host",
    "failed to get conn",
    "lead thread didn't get connection",
    "i/o timeout",
    "context deadline exceeded",
    "session shutdown",
    "stream closed",
    "keepalive timeout",
    "leadership lost",
    "leadership transfer in progress",
    "node is not the leader",
    "Not ready to serve consistent reads",
    "timed out enqueuing operation",
    "raft is already shutdown",
];

/// Whether `said` is about the way to the leader and not about what was asked for.
fn is_lost_between_servers(said: &str) -> bool {
    said.ends_with("EOF") || LOST_BETWEEN_SERVERS.iter().any(|words| said.contains(words))
}

/// Who asked, in a sentence.
fn whom(asker: Option<&Asker>) -> String {
    match asker {
        None => "the dtree plugin".to_owned(),
        Some(Asker::Task { job, task }) => format!("task `{task}` of job `{}`", job.job),
        Some(Asker::User) => "your token".to_owned(),
    }
}

/// Who is not known, and therefore.
fn unknown(asker: Option<&Asker>) -> String {
    match asker {
        Some(Asker::User) => "you by your token, so you".to_owned(),
        Some(Asker::Task { .. }) | None => format!("{} by its token, so it", whom(asker)),
    }
}

impl Error {
    /// Whether the same request may succeed later without anyone's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::StreamLost { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 429,
            Self::BadAddress { .. }
            | Self::TokenFile { .. }
            | Self::Denied { .. }
            | Self::Unidentified { .. }
            | Self::Conflict { .. }
            | Self::Garbled { .. }
            | Self::TooLong { .. } => false,
        }
    }

    /// Whether a write that came to this may have been carried out nevertheless, or may be when it is tried again:
    /// whoever wrote reads back before he decides. Otherwise Nomad has refused it, and will again.
    ///
    /// Nomad answers nearly every refusal with 500, so its words are what tells one from a lost leader. A conflict
    /// counts as well: the write before, thought lost, may be what is in the way.
    pub fn is_unsettled(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::StreamLost { .. }
            | Self::Conflict { .. }
            // It was done; only what Nomad said of it is lost.
            | Self::Garbled { .. }
            | Self::TooLong { .. }
            | Self::Refused { status: 429 | 502..=504, .. } => true,
            Self::Refused { status: 500, said, .. } => self.is_conflict() || is_lost_between_servers(said),
            Self::Refused { .. }
            | Self::BadAddress { .. }
            | Self::TokenFile { .. }
            | Self::Denied { .. }
            | Self::Unidentified { .. } => false,
        }
    }

    /// Whether a job or a variable was not written because it is not what the writer thought it was: somebody, perhaps
    /// the writer himself, has changed it, made it, locked it or taken it away in the meantime.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. }) || self.refusal().is_some_and(|said| said.starts_with(CONFLICT))
    }

    /// Whether a variable was not written because Nomad does not take as much.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::Refused { said, .. } if said.contains(TOO_LARGE))
    }

    /// What a server has said to refuse, without what the agents between have put before it.
    pub(super) fn refusal(&self) -> Option<&str> {
        match self {
            Self::Refused { said, .. } => Some(said.trim_start_matches(PASSED_ON)),
            _ => None,
        }
    }

    /// Whether Nomad was reached and does not let this token see what was asked for.
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Denied { .. } | Self::Unidentified { .. } => true,
            Self::BadAddress { .. }
            | Self::TokenFile { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::StreamLost { .. }
            | Self::Refused { .. }
            | Self::Conflict { .. }
            | Self::Garbled { .. }
            | Self::TooLong { .. } => false,
        }
    }

    /// The same, without the words that an answer is not understood by: they may repeat a secret.
    pub(super) fn without_content(self) -> Self {
        match self {
            Self::Garbled { wanted, source } => {
                let at = format!("it goes wrong at line {} column {}", source.line(), source.column());
                Self::Garbled { wanted, source: serde_json::Error::custom(at) }
            }
            other => other,
        }
    }

    /// The same denial, had it been `asker` who asked; `None` where it is none.
    pub fn denial_of(&self, asker: &Asker) -> Option<Self> {
        let asker = asker.clone();
        match self {
            Self::Denied { wanted, namespace, capability, .. } => Some(Self::Denied {
                wanted: wanted.clone(),
                namespace: namespace.clone(),
                capability: capability.clone(),
                asker: Some(Box::new(asker)),
            }),
            Self::Unidentified { wanted, has_token, said, .. } => Some(Self::Unidentified {
                wanted: wanted.clone(),
                asker: Some(asker),
                has_token: *has_token,
                said: said.clone(),
            }),
            _ => None,
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Denied { namespace, capability, asker: Some(asker), .. }
                if let Asker::Task { job: JobKey { namespace: own, job }, .. } = &**asker =>
            {
                Some(format!(
                    "write a policy file with the line\n  {}\n\
                     and attach it to the job; it takes effect at once:\n  \
                     nomad acl policy apply -namespace {own} -job {job} {} FILE",
                    capability.rule(namespace),
                    capability.policy()
                ))
            }
            Self::Denied { namespace, capability, asker, .. } => {
                let whose = if asker.is_some() { "your" } else { "the plugin's" };
                Some(format!("give {whose} token a policy with the line\n  {}", capability.rule(namespace)))
            }
            Self::Unidentified { asker: Some(Asker::Task { job, task }), has_token: false, .. } => Some(
                format!("add to task `{task}` of job `{}`:\n  identity {{\n    file = true\n  }}", job.job),
            ),
            Self::Unidentified { asker: Some(Asker::Task { job, task }), has_token: true, .. } => {
                Some(format!(
                    "use the default identity, which does not expire, in task `{task}` of job `{}`:\n  \
                 identity {{\n    file = true\n  }}",
                    job.job
                ))
            }
            Self::Unidentified { asker: Some(Asker::User), has_token: false, .. } => {
                Some("set NOMAD_TOKEN, or give `--token`".to_owned())
            }
            Self::Unidentified { asker: Some(Asker::User), has_token: true, .. } => {
                Some("check NOMAD_TOKEN: it is wrong or expired; `nomad acl token self` tells".to_owned())
            }
            Self::Unidentified { asker: None, .. } => Some(
                "check the token that the plugin's configuration names: it is missing, wrong or expired"
                    .to_owned(),
            ),
            Self::Unreachable { source, .. } if fault(source).is_some() => {
                fault(source).map(|fault| fault.hint().to_owned()).filter(|hint| !hint.is_empty())
            }
            Self::Refused { said, .. } if said.contains(SPEAKS_TLS) => {
                Some("it speaks TLS: write `https://` in the address".to_owned())
            }
            Self::Unreachable { .. } | Self::TimedOut { .. } => {
                Some("check that the agent and its servers are up: `nomad server members`".to_owned())
            }
            Self::TokenFile { .. } => Some(
                "the file must be a regular file with a single name, neither empty nor longer than 64 KiB"
                    .to_owned(),
            ),
            Self::BadAddress { .. }
            | Self::StreamLost { .. }
            | Self::Refused { .. }
            | Self::Conflict { .. }
            | Self::Garbled { .. }
            | Self::TooLong { .. } => None,
        }
    }

    /// The message and those of its sources, in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            // Writing to a string cannot fail.
            let _written = write!(text, ": {error}");
            source = error.source();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(error: &Error) -> String {
        format!("error: {}\n\nhint: {}", error.chain(), error.hint().unwrap_or_default())
    }

    fn asker() -> Asker {
        Asker::Task { job: JobKey::new("shop", "api"), task: "after-postgres".to_owned() }
    }

    #[test]
    fn a_missing_right_is_named_with_the_policy_that_grants_it() {
        let error = Error::Denied {
            wanted: "read job `postgres`".to_owned(),
            namespace: "data".into(),
            capability: Capability::Read,
            asker: Some(Box::new(asker())),
        };
        insta::assert_snapshot!(shown(&error), @r#"
        error: Nomad does not allow task `after-postgres` of job `api` to read job `postgres` in namespace `data`

        hint: write a policy file with the line
          namespace "data" { capabilities = ["list-jobs", "read-job"] }
        and attach it to the job; it takes effect at once:
          nomad acl policy apply -namespace shop -job api gate-read FILE
        "#);
    }

    #[test]
    fn a_missing_identity_is_answered_with_the_lines_to_add() {
        let error = Error::Unidentified {
            wanted: "read job `postgres`".to_owned(),
            asker: Some(asker()),
            has_token: false,
            said: "Unauthorized".to_owned(),
        };
        insta::assert_snapshot!(shown(&error), @"
        error: Nomad does not know task `after-postgres` of job `api` by its token, so it may not read job `postgres`: Unauthorized

        hint: add to task `after-postgres` of job `api`:
          identity {
            file = true
          }
        ");
    }

    #[test]
    fn a_user_is_told_of_the_own_token() {
        let error = Error::Denied {
            wanted: "register job `postgres`".to_owned(),
            namespace: "data".into(),
            capability: Capability::SubmitJob,
            asker: Some(Box::new(Asker::User)),
        };
        insta::assert_snapshot!(shown(&error), @r#"
        error: Nomad does not allow your token to register job `postgres` in namespace `data`

        hint: give your token a policy with the line
          namespace "data" { capabilities = ["list-jobs", "read-job", "submit-job"] }
        "#);
        let error = Error::Unidentified {
            wanted: "read job `postgres`".to_owned(),
            asker: Some(Asker::User),
            has_token: false,
            said: "Permission denied".to_owned(),
        };
        insta::assert_snapshot!(shown(&error), @"
        error: Nomad does not know you by your token, so you may not read job `postgres`: Permission denied

        hint: set NOMAD_TOKEN, or give `--token`
        ");
    }

    #[test]
    fn the_transports_own_words_are_kept() {
        let error = Error::Unreachable {
            address: "unix:///a/api.sock".to_owned(),
            source: io::Error::from(io::ErrorKind::ConnectionRefused),
        };
        insta::assert_snapshot!(shown(&error), @"
        error: cannot reach Nomad at unix:///a/api.sock: connection refused

        hint: check that the agent and its servers are up: `nomad server members`
        ");
        assert!(error.is_transient() && !error.is_denied());
    }

    #[test]
    fn a_refusal_is_told_from_a_lost_leader_by_its_words() {
        let refused = |status, said: &str| Error::Refused {
            wanted: "register job `db`".to_owned(),
            status,
            said: said.to_owned(),
        };
        // What agents were seen to say, alone and after having passed the request on.
        for lost in [
            "EOF",
            "rpc error: EOF",
            "rpc error: failed to get conn: dial tcp 127.0.0.1:24647: connect: connection refused",
            "rpc error: failed to get conn: rpc error: lead thread didn't get connection",
            "No cluster leader",
            "rpc error: rpc error: No cluster leader",
            "No path to region",
        ] {
            assert!(refused(500, lost).is_unsettled(), "{lost}");
            assert!(!refused(400, lost).is_unsettled(), "{lost}");
        }
        for settled in [
            "rpc error: parameterized job not found",
            "Dispatch request included unpermitted metadata keys: [zz]",
            "rpc error: job \"db\" version 9 not found",
            "Missing job task groups",
            "",
        ] {
            assert!(!refused(500, settled).is_unsettled(), "{settled}");
        }
        for status in [429, 502, 503, 504] {
            assert!(refused(status, "").is_unsettled(), "{status}");
        }
        for conflict in [
            "Enforcing job modify index 0: job already exists",
            "rpc error: Enforcing job modify index 3: job exists with conflicting job modify index: 89",
            "rpc error: rpc error: Enforcing job modify index 3: job does not exist",
        ] {
            assert!(refused(500, conflict).is_conflict() && refused(500, conflict).is_unsettled());
        }
        assert!(!refused(500, "not Enforcing job modify index").is_conflict());
        let lost = Error::StreamLost { address: String::new(), how: String::new() };
        assert!(lost.is_unsettled() && !lost.is_conflict());
    }
}

//! Nomad's Variables: small texts with an index that writes can depend on, and with locks.
//!
//! # Invariants
//!
//! * A write with [`Cas::Absent`] or [`Cas::At`] lands only on what the writer has seen: Nomad's servers check it in the
//!   same transaction.
//! * A lock fences nothing but the variable that holds it. Acquiring it writes that variable over, whatever stood
//!   there, so a lock is a variable of its own beside what it guards.
//! * Whoever acquires a lock chooses its ID: to acquire it again with the same ID is no conflict, so a lost answer is
//!   settled by asking once more.

use std::{collections::BTreeMap, time::Duration};

use hyper::{Method, StatusCode};

use super::{
    Capability, Client, Error,
    client::{Read, decode, index, said},
    query::{encode, within},
    transport::Answer,
    wire,
};
use crate::cluster::{AllocId, Allocation, JobId, LockId, Namespace, RaftIndex};

/// What Nomad says of a lock that is someone else's, is not held any more, or whose variable is gone. Its status
/// differs with the way that the request took.
const NOT_HELD: [&str; 3] =
    ["attempting to modify locked variable", "variable doesn't hold a lock", "variable doesn't exist"];

/// A variable as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// What it says.
    pub items: BTreeMap<String, String>,
    /// The last write to it.
    pub index: RaftIndex,
    /// Who holds it, if it is locked.
    pub lock: Option<LockId>,
}

/// A variable as it stands in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableStub {
    /// Where it is.
    pub path: String,
    /// The last write to it.
    pub index: RaftIndex,
    /// Whether it is locked.
    pub is_locked: bool,
}

/// What a write to a variable expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cas {
    /// No such variable.
    Absent,
    /// What was written there.
    At(RaftIndex),
    /// Whatever it is.
    Any,
}

impl Cas {
    fn query(self) -> String {
        match self {
            Self::Absent => "&cas=0".to_owned(),
            Self::At(index) => format!("&cas={index}"),
            Self::Any => String::new(),
        }
    }
}

/// A lock. One that is not renewed is free after twice its time to live and the delay (Nomad 1.11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Its ID, a UUID that the holder has chosen.
    pub id: LockId,
    /// How long it is held after the last renewal: ten seconds at least.
    pub ttl: Duration,
    /// How long nobody may have it after that.
    pub delay: Duration,
}

impl Lock {
    fn wire(&self) -> wire::Lock {
        let seconds = |duration: Duration| Some(format!("{}s", duration.as_secs()));
        wire::Lock { id: self.id.to_string(), ttl: seconds(self.ttl), delay: seconds(self.delay) }
    }
}

/// Where a variable is. Its path is made of segments, which stay.
fn target(namespace: &Namespace, path: &str) -> String {
    let segments: Vec<String> = path.split('/').map(encode).collect();
    within(&format!("/v1/var/{}", segments.join("/")), namespace)
}

impl Client {
    /// The variable at `path`, or `None` when there is none.
    pub async fn variable(&self, namespace: &Namespace, path: &str) -> Result<Option<Variable>, Error> {
        let wanted = format!("read the variable `{path}`");
        let answer = self.ask(&target(namespace, path), &wanted).await?;
        if answer.head.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let answer = self.allowed(answer, &wanted, namespace, Capability::Variables)?;
        let variable: Read<wire::Variable> = decode(answer, &wanted)?;
        Ok(Some(variable.value.into()))
    }

    /// The variable at `path`, or `None` when there is none, once anything has changed after `after`, or a while later.
    /// Whoever asks needs no more than to read this one.
    pub async fn variable_after(
        &self,
        namespace: &Namespace,
        path: &str,
        after: Option<RaftIndex>,
    ) -> Result<Read<Option<Variable>>, Error> {
        let wanted = format!("read the variable `{path}`");
        let answer = self.ask_after(target(namespace, path), after, &wanted).await?;
        if answer.head.status() == StatusCode::NOT_FOUND {
            return Ok(Read { value: None, index: index(answer.head.headers()) });
        }
        let capability = Capability::ReadVariable(path.to_owned());
        let answer = self.allowed(answer, &wanted, namespace, capability)?;
        let read: Read<wire::Variable> = decode(answer, &wanted).map_err(Error::without_content)?;
        Ok(Read { value: Some(read.value.into()), index: read.index })
    }

    /// The variables whose paths begin with `prefix`, in short.
    pub async fn list_variables(
        &self,
        namespace: &Namespace,
        prefix: &str,
    ) -> Result<Vec<VariableStub>, Error> {
        let wanted = format!("list the variables beneath `{prefix}`");
        let target = format!("{}&prefix={}", within("/v1/vars", namespace), encode(prefix));
        let answer = self.ask(&target, &wanted).await?;
        let answer = self.allowed(answer, &wanted, namespace, Capability::Variables)?;
        let stubs: Read<Option<Vec<wire::VariableStub>>> = decode(answer, &wanted)?;
        Ok(stubs.value.unwrap_or_default().into_iter().map(Into::into).collect())
    }

    /// Writes the variable at `path` over what is expected to be there, and returns the index of the write.
    ///
    /// # Errors
    ///
    /// [`Error::is_conflict`] tells that something else is there, or that it is locked; [`Error::is_too_large`] that
    /// Nomad does not take as much.
    pub async fn put_variable(
        &self,
        namespace: &Namespace,
        path: &str,
        items: &BTreeMap<String, String>,
        expected: Cas,
    ) -> Result<RaftIndex, Error> {
        let wanted = format!("write the variable `{path}`");
        let body = wire::PutVariable { items: Some(items), lock: None };
        let target = target(namespace, path) + &expected.query();
        let answer = self.send(Method::PUT, &target, Some(&body), &wanted).await?;
        let answer = self.unless_conflict(answer, &wanted, namespace)?;
        let written: Read<wire::VariableStub> = decode(answer, &wanted)?;
        Ok(RaftIndex(written.value.modify_index))
    }

    /// Deletes the variable at `path` if it is what is expected. Where there is none, nothing is done.
    ///
    /// # Errors
    ///
    /// [`Error::is_conflict`] tells that something else is there, or that it is locked.
    pub async fn delete_variable(
        &self,
        namespace: &Namespace,
        path: &str,
        expected: Cas,
    ) -> Result<(), Error> {
        let wanted = format!("delete the variable `{path}`");
        let target = target(namespace, path) + &expected.query();
        let answer = self.send::<()>(Method::DELETE, &target, None, &wanted).await?;
        self.unless_conflict(answer, &wanted, namespace)?;
        Ok(())
    }

    /// Acquires `lock` on the variable at `path` and writes `items` there, over what there was. Whoever has this lock
    /// already has it still, and with its whole time.
    ///
    /// # Errors
    ///
    /// [`Error::is_conflict`] tells that someone else has it, or that it is not free yet.
    pub async fn acquire_lock(
        &self,
        namespace: &Namespace,
        path: &str,
        items: &BTreeMap<String, String>,
        lock: &Lock,
    ) -> Result<RaftIndex, Error> {
        let wanted = format!("lock the variable `{path}`");
        let body = wire::PutVariable { items: Some(items), lock: Some(lock.wire()) };
        let answer = self.lock_operation(namespace, path, "lock-acquire", &body, &wanted).await?;
        let written: Read<wire::VariableStub> = decode(answer, &wanted)?;
        Ok(RaftIndex(written.value.modify_index))
    }

    /// Begins the time to live of a lock anew.
    ///
    /// # Errors
    ///
    /// [`Error::is_conflict`] tells that it is not held any more.
    pub async fn renew_lock(&self, namespace: &Namespace, path: &str, lock: &LockId) -> Result<(), Error> {
        let wanted = format!("renew the lock of the variable `{path}`");
        let body = wire::PutVariable { items: None, lock: Some(wire::Lock::only(lock)) };
        self.lock_operation(namespace, path, "lock-renew", &body, &wanted).await?;
        Ok(())
    }

    /// Lets a lock go, so that others can have it at once. One that is not held any more is let go already.
    pub async fn release_lock(&self, namespace: &Namespace, path: &str, lock: &LockId) -> Result<(), Error> {
        let wanted = format!("release the lock of the variable `{path}`");
        let body = wire::PutVariable { items: None, lock: Some(wire::Lock::only(lock)) };
        match self.lock_operation(namespace, path, "lock-release", &body, &wanted).await {
            Err(error) if !error.is_conflict() => Err(error),
            _ => Ok(()),
        }
    }

    /// An allocation and the job it is of, or `None` when Nomad knows of none.
    pub async fn allocation(
        &self,
        alloc: &AllocId,
        namespace: &Namespace,
    ) -> Result<Option<(JobId, Allocation)>, Error> {
        let wanted = format!("read allocation {}", alloc.short());
        let target = within(&format!("/v1/allocation/{}", encode(alloc.as_str())), namespace);
        let answer = self.ask(&target, &wanted).await?;
        let text = said(&answer.body).to_lowercase();
        if text.contains("alloc not found") || text.contains("unknown allocation") {
            return Ok(None);
        }
        let answer = self.allowed(answer, &wanted, namespace, Capability::Read)?;
        let found: Read<wire::Allocation> = decode(answer, &wanted)?;
        Ok(Some((found.value.job_id.clone().into(), found.value.into())))
    }

    async fn lock_operation(
        &self,
        namespace: &Namespace,
        path: &str,
        operation: &str,
        body: &wire::PutVariable<'_>,
        wanted: &str,
    ) -> Result<Answer, Error> {
        let target = format!("{}&{operation}", target(namespace, path));
        let answer = self.send(Method::PUT, &target, Some(body), wanted).await?;
        let text = said(&answer.body);
        if !answer.head.status().is_success() && NOT_HELD.iter().any(|words| text.contains(words)) {
            return Err(Error::Conflict { wanted: wanted.to_owned(), found: None, said: text });
        }
        self.unless_conflict(answer, wanted, namespace)
    }

    /// The answer, unless the variable is not what the writer thought it was.
    fn unless_conflict(&self, answer: Answer, wanted: &str, namespace: &Namespace) -> Result<Answer, Error> {
        if answer.head.status() != StatusCode::CONFLICT {
            return self.allowed(answer, wanted, namespace, Capability::Variables);
        }
        // Nomad shows what is there instead; of a locked variable nothing, and where there is none, nothing either.
        let found: Option<wire::VariableStub> = answer.body.json().ok();
        let found = found.map(|found| RaftIndex(found.modify_index)).filter(|index| index.0 > 0);
        let said = match found {
            Some(index) => format!("it was last written at {index}"),
            None => "it is locked, or is not there".to_owned(),
        };
        Err(Error::Conflict { wanted: wanted.to_owned(), found, said })
    }
}

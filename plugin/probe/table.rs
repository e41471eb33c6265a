//! Who asks what, and what was answered last.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Inner, mailbox::Mailbox, peers::Turns};
use crate::{
    cluster::{Answer, Blindness, Namespace, Question, Told, Unseen},
    consul,
    http::Tls,
    nomad,
    nomad::Client,
    watch::Viewer,
};

/// How many askers' sockets are tried one after the other before an attempt has failed.
const CANDIDATES: usize = 5;

/// One asker among all of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MemberId(u64);

impl MemberId {
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Who asks.
#[derive(Debug)]
pub(super) struct Member {
    /// His way to Nomad.
    pub(super) viewer: Viewer,
    /// Where he is told.
    pub(super) mailbox: Mailbox,
}

/// With whose eyes an answer is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Eyes {
    /// The plugin's own.
    Plugin,
    /// Anyone's: without a token.
    Anyone,
    /// A task's own.
    Own(MemberId),
}

/// Which source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) eyes: Eyes,
    pub(super) question: Question,
}

/// What came of asking.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// An answer, the same for all.
    Told(Arc<Told>),
    /// Nomad's refusal, told to each in his own name.
    Refused(Arc<nomad::Error>),
}

impl Outcome {
    pub(super) fn is_denied(&self) -> bool {
        match self {
            Self::Told(told) => {
                told.as_ref().as_ref().is_err_and(|unseen| unseen.because == Blindness::Denied)
            }
            Self::Refused(_) => true,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Told(one), Self::Told(other)) => one == other,
            (Self::Refused(one), Self::Refused(other)) => one.chain() == other.chain(),
            _ => false,
        }
    }

    fn told_to(&self, viewer: &Viewer) -> Arc<Told> {
        match self {
            Self::Told(told) => Arc::clone(told),
            Self::Refused(error) => {
                let own = error.denial_of(&viewer.asker());
                Arc::new(Err(unseen(own.as_ref().unwrap_or(error))))
            }
        }
    }
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        Self::Told(Arc::new(Ok(answer)))
    }
}

impl From<Unseen> for Outcome {
    fn from(unseen: Unseen) -> Self {
        Self::Told(Arc::new(Err(unseen)))
    }
}

impl From<nomad::Error> for Outcome {
    fn from(error: nomad::Error) -> Self {
        if error.is_denied() { Self::Refused(Arc::new(error)) } else { unseen(&error).into() }
    }
}

impl From<consul::Error> for Outcome {
    fn from(error: consul::Error) -> Self {
        let because = if error.is_denied() { Blindness::Denied } else { Blindness::Unreachable };
        Unseen { because, why: error.to_string(), hint: error.hint() }.into()
    }
}

fn unseen(error: &nomad::Error) -> Unseen {
    let because = if error.is_denied() { Blindness::Denied } else { Blindness::Unreachable };
    Unseen { because, why: error.chain(), hint: error.hint() }
}

/// All sources of this process.
#[derive(Debug, Default)]
pub(super) struct Table {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sources: BTreeMap<Key, Source>,
    last_number: u64,
}

#[derive(Debug)]
struct Source {
    /// Tells it from one before it that has not ended yet.
    number: u64,
    members: BTreeMap<MemberId, Arc<Member>>,
    last: Option<Outcome>,
    stop: CancellationToken,
    again: Arc<Notify>,
}

impl Table {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change leaves the table whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an asker. Where nobody asked before: the number of the source that must be begun, and what calls it to ask
    /// again.
    pub(super) fn join(
        &self,
        key: &Key,
        id: MemberId,
        member: &Arc<Member>,
        stop: &CancellationToken,
    ) -> Option<(u64, Arc<Notify>)> {
        let mut state = self.state();
        if let Some(source) = state.sources.get_mut(key) {
            source.members.insert(id, Arc::clone(member));
            if let Some(last) = &source.last {
                member.mailbox.put(key.question.clone(), last.told_to(&member.viewer));
            }
            return None;
        }
        state.last_number += 1;
        let (number, again) = (state.last_number, Arc::new(Notify::new()));
        let members = [(id, Arc::clone(member))].into();
        let source = Source { number, members, last: None, stop: stop.clone(), again: Arc::clone(&again) };
        state.sources.insert(key.clone(), source);
        Some((number, again))
    }

    /// Removes an asker; the source ends with the last of them.
    pub(super) fn leave(&self, key: &Key, id: MemberId) {
        let mut state = self.state();
        let Some(source) = state.sources.get_mut(key) else { return };
        source.members.remove(&id);
        if source.members.is_empty() {
            source.stop.cancel();
            state.sources.remove(key);
        }
    }

    /// Has a source ask anew.
    pub(super) fn look_again(&self, key: &Key) {
        if let Some(source) = self.state().sources.get(key) {
            source.again.notify_one();
        }
    }

    #[cfg(test)]
    pub(super) fn n_sources(&self) -> usize {
        self.state().sources.len()
    }
}

/// A source's end: whom it tells, and through whom it asks.
#[derive(Clone, Debug)]
pub(super) struct Line {
    probe: Arc<Inner>,
    key: Arc<Key>,
    number: u64,
}

impl Line {
    pub(super) fn new(probe: Arc<Inner>, key: Key, number: u64) -> Self {
        Self { probe, key: Arc::new(key), number }
    }

    pub(super) fn question(&self) -> &Question {
        &self.key.question
    }

    /// The turns that all who look at the network share.
    pub(super) fn turns(&self) -> &Turns {
        &self.probe.turns
    }

    /// How a peer proves who it is.
    pub(super) fn trust(&self) -> &Tls {
        &self.probe.trust
    }

    /// Tells everybody who asks, if it is anything new; whether it was.
    pub(super) fn tell(&self, outcome: impl Into<Outcome>) -> bool {
        let outcome = outcome.into();
        let mut state = self.probe.table.state();
        let Some(source) = state.sources.get_mut(&*self.key).filter(|source| source.number == self.number)
        else {
            return false;
        };
        if source.last.as_ref().is_some_and(|last| last.is_same(&outcome)) {
            return false;
        }
        for member in source.members.values() {
            member.mailbox.put(self.key.question.clone(), outcome.told_to(&member.viewer));
        }
        source.last = Some(outcome);
        true
    }

    fn members(&self) -> Vec<Arc<Member>> {
        let state = self.probe.table.state();
        let source = state.sources.get(&*self.key).filter(|source| source.number == self.number);
        source.into_iter().flat_map(|source| source.members.values()).take(CANDIDATES).cloned().collect()
    }

    /// The namespace of those who ask.
    pub(super) fn namespace(&self) -> Namespace {
        let member = self.members().into_iter().next();
        member.map_or_else(|| "default".into(), |member| member.viewer.job.namespace.clone())
    }

    /// Asks Nomad by the socket of one who asks. Where several do, an ended task's is in nobody's way.
    pub(super) async fn nomad<T, F>(&self, ask: impl Fn(Client) -> F) -> Result<T, nomad::Error>
    where
        F: Future<Output = Result<T, nomad::Error>>,
    {
        let mut failure = nomad::Error::StreamLost {
            address: "the Task API".to_owned(),
            how: "has no living task to read it".to_owned(),
        };
        for member in self.members() {
            let client = match self.key.eyes {
                Eyes::Own(_) | Eyes::Plugin => member.viewer.client()?,
                Eyes::Anyone => member.viewer.anonymous_client(),
            };
            match ask(client).await {
                Err(error @ nomad::Error::Unreachable { .. }) => failure = error,
                answer => return answer,
            }
        }
        Err(failure)
    }
}

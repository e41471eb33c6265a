//! What a subscriber has not taken yet: at most one sight for each of his jobs.
//!
//! # Invariants
//!
//! * A newer sight of a job replaces an older one, so that a subscriber who sleeps costs nothing.
//! * Only who holds the current pass of a namespace may put sights of it in. A view whose pass was withdrawn can
//!   show nothing any more, whatever it has under way.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::cluster::{Blindness, JobKey, Namespace, Sight, Unseen};

/// A right to put sights of one namespace into one mailbox.
pub(super) type Pass = u64;

/// The news for one subscriber.
#[derive(Debug)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug)]
struct State {
    news: BTreeMap<JobKey, Arc<Sight>>,
    /// The job whose news were taken last: the next in turn comes after it, so that a busy job hides no other.
    last: Option<JobKey>,
    passes: BTreeMap<Namespace, Pass>,
    is_closed: bool,
}

/// The sight of a job that was not looked at yet.
pub(super) fn looking() -> Arc<Sight> {
    let why = "the first look is still under way".to_owned();
    Arc::new(Sight::Unseen(Unseen { because: Blindness::Looking, why, hint: None }))
}

impl Mailbox {
    /// A mailbox in which `subjects` have not been looked at yet.
    pub(super) fn new(subjects: &BTreeSet<JobKey>) -> Self {
        let looking = looking();
        let news = subjects.iter().map(|key| (key.clone(), Arc::clone(&looking))).collect();
        let state = State { news, last: None, passes: BTreeMap::new(), is_closed: false };
        Self { state: Mutex::new(state), arrived: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is a single insertion or removal: a panic cannot have left one half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in a sight, if `pass` is still the one for its namespace.
    pub(super) fn put(&self, pass: Pass, key: JobKey, sight: Arc<Sight>) {
        let mut state = self.state();
        if state.passes.get(&key.namespace) == Some(&pass) {
            state.news.insert(key, sight);
            drop(state);
            self.arrived.notify_one();
        }
    }

    /// Puts in `subjects` as jobs that have not been looked at yet.
    pub(super) fn announce(&self, subjects: impl Iterator<Item = JobKey>) {
        let looking = looking();
        self.state().news.extend(subjects.map(|key| (key, Arc::clone(&looking))));
        self.arrived.notify_one();
    }

    /// From now on only who has `pass` may put in sights of `namespace`.
    pub(super) fn admit(&self, namespace: Namespace, pass: Pass) {
        self.state().passes.insert(namespace, pass);
    }

    /// From now on nobody may put in sights of `subjects`' namespaces; instead of what was there, `sight` is shown.
    pub(super) fn withdraw<'a>(&self, subjects: impl Iterator<Item = &'a JobKey>, sight: &Arc<Sight>) {
        let mut state = self.state();
        for key in subjects {
            state.passes.remove(&key.namespace);
            state.news.insert(key.clone(), Arc::clone(sight));
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// There will be no more news.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.arrived.notify_one();
    }

    /// The next news; `None` when there will be none. For one taker only.
    pub(super) async fn take(&self) -> Option<(JobKey, Arc<Sight>)> {
        loop {
            {
                let mut state = self.state();
                if state.is_closed {
                    return None;
                }
                if let Some(next) = state.pop() {
                    return Some(next);
                }
            }
            self.arrived.notified().await;
        }
    }
}

impl State {
    /// The next news, if there are any.
    fn pop(&mut self) -> Option<(JobKey, Arc<Sight>)> {
        let after = self.last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.news.range((after, Bound::Unbounded)).next().or_else(|| self.news.first_key_value());
        let key = next?.0.clone();
        let news = self.news.remove_entry(&key);
        self.last = Some(key);
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn absent() -> Arc<Sight> {
        Arc::new(Sight::Absent { similar: None })
    }

    fn mailbox(ids: [&str; 2]) -> (Mailbox, [JobKey; 2]) {
        let keys = ids.map(|id| JobKey::new("shop", id));
        (Mailbox::new(&BTreeSet::from(keys.clone())), keys)
    }

    #[tokio::test]
    async fn only_the_newest_sight_is_kept_and_each_job_has_its_turn() {
        let (mailbox, [a, b]) = mailbox(["a", "b"]);
        mailbox.admit("shop".into(), 1);
        mailbox.put(1, a.clone(), absent());
        assert_eq!(mailbox.take().await, Some((a.clone(), absent())));
        mailbox.put(1, a.clone(), absent());
        assert_eq!(mailbox.take().await, Some((b, looking())), "not `a` again");
        assert_eq!(mailbox.take().await, Some((a, absent())));
    }

    #[tokio::test]
    async fn who_has_lost_his_pass_shows_nothing() {
        let (mailbox, [a, b]) = mailbox(["a", "b"]);
        mailbox.admit("shop".into(), 1);
        mailbox.withdraw([&a, &b].into_iter(), &looking());
        mailbox.put(1, a.clone(), absent());
        assert_eq!(mailbox.take().await, Some((a.clone(), looking())));
        mailbox.admit("shop".into(), 2);
        mailbox.put(1, a.clone(), absent());
        assert_eq!(mailbox.take().await, Some((b, looking())));
        mailbox.put(2, a.clone(), absent());
        assert_eq!(mailbox.take().await, Some((a, absent())));
        mailbox.close();
        assert_eq!(mailbox.take().await, None);
    }
}

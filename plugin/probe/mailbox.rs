//! The answers that an asker has not taken yet: at most one for each of his questions.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::cluster::{Question, Told};

/// The news for one asker. A newer answer replaces an older one, so that an asker who sleeps costs nothing.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    news: BTreeMap<Question, Arc<Told>>,
    /// The question whose answer was taken last: the next in turn comes after it, so that a busy one hides no other.
    last: Option<Question>,
}

impl Mailbox {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is a single insertion or removal: a panic cannot have left one half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in an answer.
    pub(super) fn put(&self, question: Question, told: Arc<Told>) {
        self.state().news.insert(question, told);
        self.arrived.notify_one();
    }

    /// The next news. For one taker only; nothing is lost when the returned future is dropped.
    pub(super) async fn take(&self) -> (Question, Arc<Told>) {
        loop {
            if let Some(next) = self.state().pop() {
                return next;
            }
            self.arrived.notified().await;
        }
    }
}

impl State {
    fn pop(&mut self) -> Option<(Question, Arc<Told>)> {
        let after = self.last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.news.range((after, Bound::Unbounded)).next().or_else(|| self.news.first_key_value());
        let question = next?.0.clone();
        let news = self.news.remove_entry(&question);
        self.last = Some(question);
        news
    }
}

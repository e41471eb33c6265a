//! An asker's end: what he asks, what he is told, and his going.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    Inner,
    mailbox::Mailbox,
    source,
    table::{Eyes, Key, Line, Member, MemberId},
};
use crate::{
    cluster::{Question, Told},
    http::Tls,
    watch::Viewer,
};

/// The answers to some questions, as they change. Dropping it ends it.
#[derive(Debug)]
pub struct Asking {
    probe: Arc<Inner>,
    id: MemberId,
    member: Arc<Member>,
    keys: Mutex<BTreeSet<Key>>,
}

impl Asking {
    pub(super) fn new(probe: Arc<Inner>, viewer: Viewer) -> Self {
        let member = Arc::new(Member { viewer, mailbox: Mailbox::default() });
        Self { probe, id: MemberId::next(), member, keys: Mutex::default() }
    }

    /// Asks these too, and goes on asking. What others ask already is answered at once, as they were told last.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn ask(&self, questions: BTreeSet<Question>) {
        for question in questions {
            let key = Key { eyes: self.eyes(&question), question };
            if !self.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone()) {
                continue;
            }
            let stop = self.probe.stop.child_token();
            if let Some((number, again)) = self.probe.table.join(&key, self.id, &self.member, &stop) {
                let line = Line::new(Arc::clone(&self.probe), key, number);
                let run = source::run(line, self.probe.consul.clone(), again);
                self.probe.tracker.spawn(async move { stop.run_until_cancelled_owned(run).await });
            }
        }
    }

    /// A question and what is answered to it now; first of each when it is answered first, then whenever that changes.
    /// What changed several times since it was taken last is given once, as it is now. `None` when everything ends.
    ///
    /// Nothing is lost when the returned future is dropped.
    pub async fn next(&mut self) -> Option<(Question, Arc<Told>)> {
        self.probe.stop.run_until_cancelled(self.member.mailbox.take()).await
    }

    /// How those who are spoken to over https prove who they are.
    pub fn trust(&self) -> &Tls {
        &self.probe.trust
    }

    /// Has everything asked anew now.
    pub fn look_again(&self) {
        for key in self.keys.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            self.probe.table.look_again(key);
        }
    }

    /// The end of a source for `question` that nothing runs behind.
    #[cfg(test)]
    pub(super) fn line(&self, question: Question) -> (Line, Arc<tokio::sync::Notify>) {
        let key = Key { eyes: Eyes::Plugin, question };
        let (number, again) =
            self.probe.table.join(&key, self.id, &self.member, &self.probe.stop).expect("nobody asks it");
        (Line::new(Arc::clone(&self.probe), key, number), again)
    }

    /// Who answers it: only those who would be told the same share an answer.
    fn eyes(&self, question: &Question) -> Eyes {
        match question {
            Question::Tcp { .. }
            | Question::Http { .. }
            | Question::Dns { .. }
            | Question::ConsulService { .. }
            | Question::ConsulKey { .. } => Eyes::Plugin,
            Question::Service { .. } | Question::Variable { .. } | Question::OwnChecks { .. } => {
                match self.member.viewer.client() {
                    Ok(client) if !client.has_token() => Eyes::Anyone,
                    _ => Eyes::Own(self.id),
                }
            }
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        for key in self.keys.get_mut().unwrap_or_else(PoisonError::into_inner).iter() {
            self.probe.table.leave(key, self.id);
        }
    }
}

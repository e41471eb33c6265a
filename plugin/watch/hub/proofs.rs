//! How the hub finds out whether there are ACLs, and who may see.
//!
//! # Invariants
//!
//! * A proof is a request with the task's own token over the task's own socket.
//! * Without a credential the question about ACLs is asked with nobody's token.

use std::{
    future::{Future, pending},
    pin::Pin,
    sync::Arc,
};

use tokio::time::Instant;
use tracing::{debug, info};

use super::{Acls, Hub, Notice, Seat, Turn, ViewKey};
use crate::{
    cluster::JobKey,
    nomad::{Client, Error},
    watch::{
        Credential, mailbox::looking, pace::jittered, subscription::MemberId, view::unseen,
        viewer::read_operators_token,
    },
};

/// The question whether there are ACLs, while it is open.
pub(super) type Check = Pin<Box<dyn Future<Output = Result<bool, Error>> + Send>>;

impl Hub {
    /// A view was denied.
    pub(super) fn denied(&mut self, now: Instant, Notice { view, via }: Notice) {
        match self.acls {
            Acls::On if self.credential.is_some() => {
                // The rights in this namespace have changed: perhaps also those of its members.
                let of = |(member, seat): (&MemberId, &Seat)| {
                    let proven = seat.places.get(view.namespace())?.proven;
                    proven.map(|_| (*member, view.namespace().clone()))
                };
                let turns: Vec<Turn> = self.seats.iter().filter_map(of).collect();
                for turn in turns {
                    self.again(now, turn);
                }
            }
            Acls::On => {}
            Acls::Off | Acls::Unknown => {
                self.check_via = via;
                if self.check.is_none() {
                    self.check_at = Some(now);
                }
            }
        }
    }

    pub(super) fn start_check(&mut self) {
        self.check_at = None;
        let client = if let Some(Credential { endpoint, token_file }) = &self.credential {
            token_file
                .as_deref()
                .map(read_operators_token)
                .transpose()
                .map(|token| Client::new(endpoint.clone(), token))
        } else {
            // With nobody's token: if there are ACLs after all, no task's token is shown to another's socket.
            let via = self.check_via.and_then(|via| self.seats.get(&via));
            let Some(seat) = via.or_else(|| self.seats.values().next()) else { return };
            Ok(seat.viewer.anonymous_client())
        };
        self.check = Some(Box::pin(async move { client?.acls_enabled().await }));
    }

    pub(super) fn checked(&mut self, now: Instant, result: Result<bool, Error>) {
        let before = self.acls;
        match result {
            Ok(true) => self.acls = Acls::On,
            Ok(false) => self.acls = Acls::Off,
            Err(error) => {
                debug!(error = error.chain(), "cannot find out whether Nomad has ACLs");
                let sight = unseen(&error);
                if before == Acls::Unknown {
                    for turn in self.all() {
                        self.eject(&turn, &sight);
                    }
                }
                // The next one's socket, in case this one's task has ended.
                let tried = self.check_via.or_else(|| self.seats.keys().next().copied());
                self.check_via = self.seats.keys().copied().find(|id| tried.is_none_or(|tried| *id > tried));
                self.check_at = Some(now + jittered(self.pace.grace));
                return;
            }
        }
        if self.acls != before {
            info!(has_acls = (self.acls == Acls::On), "found out whether Nomad has ACLs");
            for turn in self.all() {
                if before != Acls::Unknown {
                    self.eject(&turn, &looking());
                }
                self.seat(now, turn);
            }
        }
    }

    pub(super) fn start_proof(&mut self, turn: Turn) {
        let Some(seat) = self.seats.get(&turn.0) else { return };
        let Some(job) = seat.places.get(&turn.1).and_then(|place| place.jobs.first()) else { return };
        let key = JobKey { namespace: turn.1.clone(), job: job.clone() };
        let viewer = Arc::clone(&seat.viewer);
        let id = self.proofs.spawn(async move { viewer.client()?.prove(&key).await }).id();
        self.proof_ids.insert(id, turn);
    }

    pub(super) fn proven(&mut self, now: Instant, turn: Turn, result: Result<(), Error>) {
        if !self.needs_proof() {
            return;
        }
        let Some(place) = self.seats.get_mut(&turn.0).and_then(|seat| seat.places.get_mut(&turn.1)) else {
            return;
        };
        match result {
            Ok(()) => {
                place.proven = Some(now);
                self.enter(&turn, ViewKey::Shared(turn.1.clone()));
                self.again(now + jittered(self.pace.proof), turn);
            }
            Err(error) => {
                let is_fresh = place.proven.is_some_and(|at| now < at + self.pace.proof_limit);
                let keeps = is_fresh && error.is_transient();
                debug!(namespace = %turn.1, error = error.chain(), "a task could not prove its rights");
                if !keeps {
                    self.eject(&turn, &unseen(&error));
                }
                let wait = if error.is_transient() { self.pace.grace } else { self.pace.denied };
                self.again(now + jittered(wait), turn);
            }
        }
    }
}

pub(super) async fn checked(check: &mut Option<Check>) -> Result<bool, Error> {
    match check {
        Some(check) => check.await,
        None => pending().await,
    }
}

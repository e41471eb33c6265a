//! Who sees through whose eyes.
//!
//! | ACLs | the plugin's credential | a task sees |
//! |---|---|---|
//! | off | any | through the view that all share |
//! | on | present | through the view that all share, once its own token has proven its rights |
//! | on | none | through a view of its own, on its own token |
//!
//! Whether there are ACLs is asked once, and once more when a view that counted on there being none is denied.
//! Until it is known nobody is shown anything.
//!
//! # Invariants
//!
//! * A mailbox is open for a view only between [`Hub::enter`] and [`Hub::eject`].
//! * ACLs that were seen once are never forgotten: with them every task is judged by its own token, which is right
//!   also where they have been switched off.

mod proofs;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use tokio::{
    sync::mpsc,
    task::{Id, JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::error;

use self::proofs::{Check, checked};
use super::{
    Credential, Viewer,
    mailbox::{Mailbox, Pass},
    pace::{Pace, Throttle},
    subscription::MemberId,
    view::{Source, View, ViewOrder, at},
};
use crate::{
    cluster::{Blindness, JobId, JobKey, Namespace, Sight, Unseen},
    nomad::Error,
};

/// What subscribers tell the hub.
#[derive(Debug)]
pub(super) enum Order {
    /// Someone wants to see.
    Join {
        /// Who.
        member: MemberId,
        /// His way to Nomad.
        viewer: Viewer,
        /// What he wants to see.
        subjects: BTreeSet<JobKey>,
        /// Those of them whose checks he wants to be asked.
        asked: BTreeSet<JobKey>,
        /// Where he wants to see it.
        mailbox: Arc<Mailbox>,
    },
    /// He wants to see these too, and the latter's checks to be asked.
    Also(MemberId, BTreeSet<JobKey>, BTreeSet<JobKey>),
    /// He has gone.
    Leave(MemberId),
    /// Everything he sees is to be read again now.
    LookAgain(MemberId),
}

/// A view was denied what it asked for.
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) view: ViewKey,
    /// The member through whose socket it asked.
    pub(super) via: Option<MemberId>,
}

/// Which view.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ViewKey {
    /// The one that all share.
    Shared(Namespace),
    /// A task's own.
    Own(MemberId, Namespace),
}

impl ViewKey {
    pub(super) fn namespace(&self) -> &Namespace {
        match self {
            Self::Shared(namespace) | Self::Own(_, namespace) => namespace,
        }
    }
}

impl fmt::Display for ViewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared(namespace) => write!(f, "{namespace}"),
            Self::Own(member, namespace) => write!(f, "{namespace} for {member:?}"),
        }
    }
}

#[derive(Debug)]
struct Seat {
    viewer: Arc<Viewer>,
    mailbox: Arc<Mailbox>,
    /// Boxed, because a map makes room for eleven at once and most tasks look into one namespace.
    places: BTreeMap<Namespace, Box<Place>>,
}

/// A member's part in one namespace.
#[derive(Debug)]
struct Place {
    jobs: BTreeSet<JobId>,
    /// Those of them whose checks are asked.
    asked: BTreeSet<JobId>,
    view: Option<ViewKey>,
    /// When his token last proved that it may read there.
    proven: Option<Instant>,
}

#[derive(Debug)]
struct ViewHandle {
    orders: mpsc::UnboundedSender<ViewOrder>,
    n_members: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Acls {
    Unknown,
    Off,
    On,
}

type Turn = (MemberId, Namespace);

enum Event {
    Stopped,
    Order(Order),
    Notice(Notice),
    Checked(Result<bool, Error>),
    Proven(Result<(Id, Result<(), Error>), JoinError>),
    ViewEnded(Result<(Id, ()), JoinError>),
    Time,
}

/// The actor behind a watch.
pub(super) struct Hub {
    credential: Option<Credential>,
    pace: Arc<Pace>,
    stop: CancellationToken,
    orders: mpsc::UnboundedReceiver<Order>,
    notices: (mpsc::UnboundedSender<Notice>, mpsc::UnboundedReceiver<Notice>),
    seats: BTreeMap<MemberId, Seat>,
    views: BTreeMap<ViewKey, ViewHandle>,
    running: JoinSet<()>,
    running_ids: BTreeMap<Id, ViewKey>,
    acls: Acls,
    check: Option<Check>,
    check_at: Option<Instant>,
    /// Whose socket is asked next about ACLs.
    check_via: Option<MemberId>,
    proofs: JoinSet<Result<(), Error>>,
    proof_ids: BTreeMap<Id, Turn>,
    /// Whose turn it is to be proven, or to be given a place again, and when.
    turns: BTreeSet<(Instant, Turn)>,
    last_pass: Pass,
    /// What all views together may ask of checks.
    throttle: Arc<Throttle>,
}

impl Hub {
    pub(super) fn new(
        credential: Option<Credential>,
        pace: Arc<Pace>,
        stop: CancellationToken,
        orders: mpsc::UnboundedReceiver<Order>,
    ) -> Self {
        Self {
            credential,
            pace,
            stop,
            orders,
            notices: mpsc::unbounded_channel(),
            seats: BTreeMap::new(),
            views: BTreeMap::new(),
            running: JoinSet::new(),
            running_ids: BTreeMap::new(),
            acls: Acls::Unknown,
            check: None,
            check_at: None,
            check_via: None,
            proofs: JoinSet::new(),
            proof_ids: BTreeMap::new(),
            turns: BTreeSet::new(),
            last_pass: 0,
            throttle: Arc::default(),
        }
    }

    /// Runs until everything stops.
    pub(super) async fn run(mut self) {
        loop {
            let due = self.due();
            let event = {
                let Self { stop, orders, notices, check, proofs, running, .. } = &mut self;
                tokio::select! {
                    biased;
                    () = stop.cancelled() => Event::Stopped,
                    // The watch keeps the other end for as long as anyone has a handle to it.
                    order = orders.recv() => order.map_or(Event::Stopped, Event::Order),
                    Some(notice) = notices.1.recv() => Event::Notice(notice),
                    result = checked(check) => Event::Checked(result),
                    Some(result) = proofs.join_next_with_id() => Event::Proven(result),
                    Some(result) = running.join_next_with_id() => Event::ViewEnded(result),
                    () = at(due) => Event::Time,
                }
            };
            let now = Instant::now();
            match event {
                Event::Stopped => break,
                Event::Order(Order::Join { member, viewer, subjects, asked, mailbox }) => {
                    let seat = Seat { viewer: Arc::new(viewer), mailbox, places: BTreeMap::new() };
                    self.seats.insert(member, seat);
                    self.also(now, member, subjects, &asked);
                }
                Event::Order(Order::Also(member, subjects, asked)) => {
                    self.also(now, member, subjects, &asked);
                }
                Event::Order(Order::Leave(member)) => self.leave(member),
                Event::Order(Order::LookAgain(member)) => self.look_again(now, member),
                Event::Notice(notice) => self.denied(now, notice),
                Event::Checked(result) => {
                    self.check = None;
                    self.checked(now, result);
                }
                Event::Proven(Ok((id, result))) => {
                    if let Some(turn) = self.proof_ids.remove(&id) {
                        self.proven(now, turn, result);
                    }
                }
                Event::Proven(Err(failure)) => {
                    error!(error = %failure, "a proof ended abnormally");
                    if let Some(turn) = self.proof_ids.remove(&failure.id()) {
                        self.eject(&turn, &broken());
                        self.turns.insert((now + self.pace.denied, turn));
                    }
                }
                Event::ViewEnded(Ok((id, ()))) => drop(self.running_ids.remove(&id)),
                Event::ViewEnded(Err(failure)) => {
                    error!(error = %failure, "a view ended abnormally");
                    if let Some(view) = self.running_ids.remove(&failure.id()) {
                        self.abandon(now, &view);
                    }
                }
                Event::Time => self.tick(now),
            }
        }
        // What comes too late is told so.
        self.orders.close();
        while let Ok(order) = self.orders.try_recv() {
            if let Order::Join { mailbox, .. } = order {
                mailbox.close();
            }
        }
        for seat in self.seats.values() {
            seat.mailbox.close();
        }
        self.views.clear();
        self.proofs.shutdown().await;
        while self.running.join_next().await.is_some() {}
    }

    /// Adds to what a member sees.
    fn also(&mut self, now: Instant, member: MemberId, subjects: BTreeSet<JobKey>, asked: &BTreeSet<JobKey>) {
        let Some(seat) = self.seats.get_mut(&member) else { return };
        let mut sorted: BTreeMap<Namespace, (BTreeSet<JobId>, BTreeSet<JobId>)> = BTreeMap::new();
        for key in subjects {
            let is_asked = asked.contains(&key);
            let JobKey { namespace, job } = key;
            let (jobs, asked) = sorted.entry(namespace).or_default();
            if is_asked {
                asked.insert(job.clone());
            }
            jobs.insert(job);
        }
        let mut turns: Vec<Turn> = Vec::new();
        for (namespace, (mut jobs, mut asked)) in sorted {
            let Some(place) = seat.places.get_mut(&namespace) else {
                seat.mailbox.announce(keys(&namespace, &jobs));
                turns.push((member, namespace.clone()));
                seat.places.insert(namespace, Box::new(Place { jobs, asked, view: None, proven: None }));
                continue;
            };
            jobs.retain(|job| place.jobs.insert(job.clone()));
            asked.retain(|job| place.asked.insert(job.clone()));
            if jobs.is_empty() && asked.is_empty() {
                continue;
            }
            seat.mailbox.announce(keys(&namespace, &jobs));
            // Without a view there are others under way to give him one, with all his jobs.
            if let Some(view) = place.view.as_ref().and_then(|view| self.views.get(view)) {
                // A view that has ended abnormally is replaced when its end is noticed.
                drop(view.orders.send(ViewOrder::Also { member, jobs, asked }));
            }
        }
        for turn in turns {
            self.seat(now, turn);
        }
    }

    fn leave(&mut self, member: MemberId) {
        let Some(seat) = self.seats.remove(&member) else { return };
        for (namespace, place) in seat.places {
            if let Some(view) = place.view {
                self.let_go(member, &view);
            }
            self.turns.retain(|(_, turn)| turn != &(member, namespace.clone()));
        }
    }

    fn look_again(&mut self, now: Instant, member: MemberId) {
        let Some(seat) = self.seats.get(&member) else { return };
        for (namespace, place) in &seat.places {
            match place.view.as_ref().and_then(|view| self.views.get(view)) {
                // A view that has ended abnormally is replaced by others than this.
                Some(view) => drop(view.orders.send(ViewOrder::LookAgain)),
                None if self.needs_proof() => drop(self.turns.insert((now, (member, namespace.clone())))),
                None => {}
            }
        }
        if self.check_at.is_some() {
            self.check_at = Some(now);
        }
    }

    fn needs_proof(&self) -> bool {
        self.acls == Acls::On && self.credential.is_some()
    }

    /// Gives a member a place, or what it takes to get one.
    fn seat(&mut self, now: Instant, turn: Turn) {
        match (self.acls, &self.credential) {
            (Acls::Unknown, _) => {
                if self.check.is_none() && self.check_at.is_none() {
                    self.check_at = Some(now);
                }
            }
            (Acls::Off, _) => self.enter(&turn, ViewKey::Shared(turn.1.clone())),
            (Acls::On, Some(_)) => drop(self.turns.insert((now, turn))),
            (Acls::On, None) => self.enter(&turn, ViewKey::Own(turn.0, turn.1.clone())),
        }
    }

    /// Lets a member see through a view.
    fn enter(&mut self, (member, namespace): &Turn, key: ViewKey) {
        let Some(seat) = self.seats.get_mut(member) else { return };
        let Some(place) = seat.places.get_mut(namespace) else { return };
        if place.view.is_some() {
            return;
        }
        self.last_pass += 1;
        seat.mailbox.admit(namespace.clone(), self.last_pass);
        let join = ViewOrder::Join {
            member: *member,
            viewer: Arc::clone(&seat.viewer),
            mailbox: Arc::clone(&seat.mailbox),
            pass: self.last_pass,
            jobs: place.jobs.clone(),
            asked: place.asked.clone(),
        };
        place.view = Some(key.clone());
        let view = self.views.entry(key.clone()).or_insert_with(|| {
            let source = match (&key, &self.credential) {
                (ViewKey::Own(..), _) => Source::Own,
                (ViewKey::Shared(_), Some(credential)) => Source::Plugin(credential.clone()),
                (ViewKey::Shared(_), None) => Source::Anyone,
            };
            let (orders, receiver) = mpsc::unbounded_channel();
            let view = View::new(
                key.clone(),
                source,
                Arc::clone(&self.pace),
                Arc::clone(&self.throttle),
                self.stop.clone(),
                receiver,
                self.notices.0.clone(),
            );
            let id = self.running.spawn(view.run()).id();
            self.running_ids.insert(id, key);
            ViewHandle { orders, n_members: 0 }
        });
        view.n_members += 1;
        // A view that has ended abnormally is replaced when its end is noticed.
        drop(view.orders.send(join));
    }

    /// Blinds a member at once; `sight` says why.
    fn eject(&mut self, (member, namespace): &Turn, sight: &Arc<Sight>) {
        let Some(seat) = self.seats.get_mut(member) else { return };
        let Some(place) = seat.places.get_mut(namespace) else { return };
        place.proven = None;
        let view = place.view.take();
        let keys: Vec<JobKey> = keys(namespace, &place.jobs).collect();
        seat.mailbox.withdraw(keys.iter(), sight);
        if let Some(view) = view {
            self.let_go(*member, &view);
        }
    }

    /// Takes a member out of a view, and ends the view when it was the last.
    fn let_go(&mut self, member: MemberId, key: &ViewKey) {
        let Some(view) = self.views.get_mut(key) else { return };
        drop(view.orders.send(ViewOrder::Leave(member)));
        view.n_members = view.n_members.saturating_sub(1);
        if view.n_members == 0 {
            self.views.remove(key);
        }
    }

    /// A view is gone without having been told to go: its members are blinded, and seated again later.
    fn abandon(&mut self, now: Instant, key: &ViewKey) {
        let of = |(member, seat): (&MemberId, &Seat)| {
            let place = seat.places.get(key.namespace())?;
            (place.view.as_ref() == Some(key)).then(|| (*member, key.namespace().clone()))
        };
        let turns: Vec<Turn> = self.seats.iter().filter_map(of).collect();
        for turn in turns {
            self.eject(&turn, &broken());
            self.turns.insert((now + self.pace.denied, turn));
        }
    }

    /// Gives a member its turn at `when`, and no other.
    fn again(&mut self, when: Instant, turn: Turn) {
        self.turns.retain(|(_, other)| *other != turn);
        self.turns.insert((when, turn));
    }

    fn due(&self) -> Option<Instant> {
        let check_at = self.check_at.filter(|_| self.check.is_none() && !self.seats.is_empty());
        let turn_at = self.turns.first().map(|(at, _)| *at).filter(|_| self.proofs.len() < self.pace.proofs);
        check_at.into_iter().chain(turn_at).min()
    }

    fn tick(&mut self, now: Instant) {
        if self.check.is_none() && self.check_at.is_some_and(|at| at <= now) {
            self.start_check();
        }
        while self.proofs.len() < self.pace.proofs
            && let Some((at, _)) = self.turns.first()
            && *at <= now
            && let Some((_, turn)) = self.turns.pop_first()
        {
            if !self.needs_proof() {
                self.seat(now, turn);
            } else if !self.proof_ids.values().any(|other| *other == turn) {
                self.start_proof(turn);
            }
        }
    }

    fn all(&self) -> Vec<Turn> {
        let places = |(member, seat): (&MemberId, &Seat)| {
            seat.places.keys().map(|namespace| (*member, namespace.clone())).collect::<Vec<_>>()
        };
        self.seats.iter().flat_map(places).collect()
    }
}

/// The keys of `jobs` of a namespace.
fn keys(namespace: &Namespace, jobs: &BTreeSet<JobId>) -> impl Iterator<Item = JobKey> {
    jobs.iter().map(|job| JobKey { namespace: namespace.clone(), job: job.clone() })
}

/// The sight of those whose view ended in a way it should not.
fn broken() -> Arc<Sight> {
    let why = "dtree's view of the cluster broke and is being set up again".to_owned();
    Arc::new(Sight::Unseen(Unseen { because: Blindness::Unreachable, why, hint: None }))
}

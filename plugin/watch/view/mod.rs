//! One view: one stream and few requests for everybody who may see through it.
//!
//! ```text
//!            ┌──────────── after anything that may have cost an event ────────────┐
//!            ▼                                                                    │
//!   connect: stream, first line, snapshot ──▶ apply lines; read again each minute ┘
//!            ▲                                   │
//!            └── newly wanted jobs: a second ◀───┘
//!                stream replaces the first
//! ```
//!
//! # Invariants
//!
//! * All that one write changed is applied before anyone is told of any of it.
//! * At most one connection attempt or one reading is under way; lines are applied meanwhile.
//! * A job that nobody waits for is not kept.
//! * Nobody is shown, when he joins, what was not known to be true [`Pace::fresh`] before: he waits for a reading.
//!   Only what the stream tells of itself, or a reading of that very job, counts; a reading counts from its begin.

mod ask;
mod look;
mod order;
mod phase;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    mem,
    sync::Arc,
    time::Duration,
};

use backon::ExponentialBackoff;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

pub(in crate::watch) use self::order::ViewOrder;
use self::{
    ask::{Answer, Asked},
    look::{Done, Failure, Kind, Work, worked},
};
use super::{
    Credential, Viewer,
    hub::{Notice, ViewKey},
    mailbox::{Mailbox, Pass, looking},
    pace::{Pace, Throttle, jittered},
    picture::{Known, shown},
    subscription::MemberId,
};
use crate::{
    cluster::{Blindness, JobId, JobKey, Sight, Unseen},
    nomad::{Beat, Error, EventStream, Topics, Transaction, Update},
    timer::sleep_until,
};

/// How many lines about unread jobs are kept until the jobs are read; beyond that everything is read again.
const MAX_EARLY: usize = 256;

/// Whose way to Nomad a view goes.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The plugin's own.
    Plugin(Credential),
    /// Any living member's socket, with nobody's token: there are no ACLs.
    Anyone,
    /// Its only member's socket and token.
    Own,
}

#[derive(Debug)]
struct Member {
    viewer: Arc<Viewer>,
    mailbox: Arc<Mailbox>,
    pass: Pass,
}

/// A job that someone waits for.
#[derive(Debug)]
struct Watched {
    known: Known,
    shown: Arc<Sight>,
    watchers: BTreeSet<MemberId>,
    /// Those of them for whom its checks are asked.
    askers: BTreeSet<MemberId>,
    /// When the last reading of it began.
    read_at: Option<Instant>,
    /// The watchers who wait for a reading, and since when: what is known was too old when they came.
    newcomers: BTreeMap<MemberId, Instant>,
}

impl Watched {
    fn new(shown: Arc<Sight>) -> Self {
        Self {
            known: Known::default(),
            shown,
            watchers: BTreeSet::new(),
            askers: BTreeSet::new(),
            read_at: None,
            newcomers: BTreeMap::new(),
        }
    }

    /// Whether someone waits for it to be read again, and not only for the first time.
    fn wants_reread(&self) -> bool {
        !self.newcomers.is_empty() && self.known.sight().is_some()
    }
}

/// An open stream.
#[derive(Debug)]
struct Up {
    stream: EventStream,
    topics: Topics,
    since: Instant,
    heard: Instant,
    via: Option<MemberId>,
    /// Whether it goes on where the last reading or the stream before ended: it proves nothing of what lies between.
    is_seamless: bool,
}

enum Event {
    Stopped,
    Order(ViewOrder),
    Worked(Kind, Result<Box<Done>, Failure>),
    Heard(Result<Option<Beat>, Error>),
    Answered(Answer),
    Time,
}

/// The actor.
pub(super) struct View {
    key: ViewKey,
    source: Source,
    pace: Arc<Pace>,
    stop: CancellationToken,
    orders: mpsc::UnboundedReceiver<ViewOrder>,
    notices: mpsc::UnboundedSender<Notice>,
    members: BTreeMap<MemberId, Member>,
    jobs: BTreeMap<JobId, Watched>,
    up: Option<Up>,
    work: Option<Work>,
    /// Until when everything is known to have been told, by the stream or by a reading of everything.
    told_until: Option<Instant>,
    /// The allocations whose checks are asked.
    asked: Asked,
    /// Lines that came while a job was being read for the first time.
    early: Vec<Transaction>,
    attempts: ExponentialBackoff,
    /// Why something is not seen, if something is not.
    trouble: Option<Arc<Sight>>,
    /// Whether the trouble is shown for every job, and not only for those never read.
    is_blind: bool,
    was_denied: bool,
    lost_at: Option<Instant>,
    connect_at: Option<Instant>,
    extend_at: Option<Instant>,
    extended_at: Option<Instant>,
    gather: Duration,
    reread_at: Instant,
    /// When everything is read for newcomers.
    refresh_at: Option<Instant>,
    versions_at: Option<Instant>,
    versioned_at: Option<Instant>,
    versions_pause: Duration,
    /// The member whose socket was tried last.
    via: Option<MemberId>,
}

/// How an error is shown.
pub(super) fn unseen(error: &Error) -> Arc<Sight> {
    let because = if error.is_denied() { Blindness::Denied } else { Blindness::Unreachable };
    Arc::new(Sight::Unseen(Unseen { because, why: error.chain(), hint: error.hint() }))
}

fn is_unseen(sight: &Sight) -> bool {
    matches!(sight, Sight::Unseen(_))
}

fn earliest(a: Option<Instant>, b: Instant) -> Instant {
    a.map_or(b, |a| a.min(b))
}

impl View {
    pub(super) fn new(
        key: ViewKey,
        source: Source,
        pace: Arc<Pace>,
        throttle: Arc<Throttle>,
        stop: CancellationToken,
        orders: mpsc::UnboundedReceiver<ViewOrder>,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Self {
        let now = Instant::now();
        Self {
            key,
            source,
            attempts: pace.attempts(),
            // Who comes at the same time is to be in the first look.
            connect_at: Some(now + pace.gather.0),
            gather: pace.gather.0,
            reread_at: now + jittered(pace.reread),
            versions_pause: pace.versions_pause.0,
            pace,
            stop,
            orders,
            notices,
            members: BTreeMap::new(),
            jobs: BTreeMap::new(),
            up: None,
            work: None,
            told_until: None,
            asked: Asked::new(throttle),
            early: Vec::new(),
            trouble: None,
            is_blind: false,
            was_denied: false,
            lost_at: None,
            extend_at: None,
            extended_at: None,
            refresh_at: None,
            versions_at: None,
            versioned_at: None,
            via: None,
        }
    }

    /// Runs until the hub lets go of it, or everything stops.
    pub(super) async fn run(mut self) {
        loop {
            let due = self.due();
            let event = {
                let Self { stop, orders, work, up, jobs, asked, .. } = &mut self;
                let wanted = |job: &JobId| jobs.contains_key(job);
                tokio::select! {
                    biased;
                    () = stop.cancelled() => Event::Stopped,
                    order = orders.recv() => order.map_or(Event::Stopped, Event::Order),
                    (kind, done) = worked(work) => Event::Worked(kind, done),
                    beat = heard(up, &wanted) => Event::Heard(beat),
                    Some(answer) = asked.answer() => Event::Answered(answer),
                    () = at(due) => Event::Time,
                }
            };
            let now = Instant::now();
            match event {
                Event::Stopped => return,
                Event::Order(ViewOrder::Join { member, viewer, mailbox, pass, jobs, asked }) => {
                    self.members.insert(member, Member { viewer, mailbox, pass });
                    self.add(now, member, jobs);
                    self.ask_for(now, member, &asked);
                }
                Event::Order(ViewOrder::Also { member, jobs, asked }) => {
                    self.add(now, member, jobs);
                    self.ask_for(now, member, &asked);
                }
                Event::Order(ViewOrder::Leave(member)) => self.leave(now, member),
                Event::Order(ViewOrder::LookAgain) => self.look_again(now),
                Event::Worked(kind, Ok(done)) => {
                    self.work = None;
                    self.worked(now, kind, *done);
                }
                Event::Worked(kind, Err(Failure { error, via })) => {
                    self.work = None;
                    self.via = via.or(self.via);
                    self.failed(now, kind, &error);
                }
                Event::Heard(Ok(Some(beat))) => self.heard(now, beat),
                Event::Heard(Ok(None)) => self.lose(now, &self.stream_lost("ended".to_owned())),
                Event::Heard(Err(error)) => self.lose(now, &error),
                Event::Answered(answer) => self.answered(now, answer),
                Event::Time => self.tick(now),
            }
        }
    }

    /// Shows `jobs` to a member, too. Those that nobody has waited for are read; the others are not disturbed.
    fn add(&mut self, now: Instant, id: MemberId, jobs: BTreeSet<JobId>) {
        let Some(Member { mailbox, pass, .. }) = self.members.get(&id) else { return };
        let (mailbox, pass) = (Arc::clone(mailbox), *pass);
        for job in jobs {
            if !self.jobs.contains_key(&job) {
                self.jobs.insert(job.clone(), Watched::new(self.sight(&Known::default())));
                if self.up.is_some() {
                    self.extend_at = Some(earliest(self.extend_at, now + self.gather));
                }
            }
            if let Some(watched) = self.jobs.get_mut(&job) {
                watched.watchers.insert(id);
                let true_at = watched.read_at.max(self.told_until.filter(|_| watched.read_at.is_some()));
                if !self.pace.is_fresh(true_at, now) {
                    watched.newcomers.insert(id, now);
                    if watched.wants_reread() {
                        self.refresh_at = Some(earliest(self.refresh_at, now + self.pace.gather.0));
                    }
                }
                let sight = if watched.newcomers.contains_key(&id) && !is_unseen(&watched.shown) {
                    looking()
                } else {
                    Arc::clone(&watched.shown)
                };
                let key = JobKey { namespace: self.key.namespace().clone(), job };
                mailbox.put(pass, key, sight);
            }
        }
    }

    fn leave(&mut self, now: Instant, id: MemberId) {
        self.members.remove(&id);
        let mut unasked = BTreeSet::new();
        self.jobs.retain(|job, watched| {
            watched.watchers.remove(&id);
            watched.newcomers.remove(&id);
            if watched.askers.remove(&id) && watched.askers.is_empty() {
                unasked.insert(job.clone());
            }
            !watched.watchers.is_empty()
        });
        self.show(now, &unasked);
    }

    fn look_again(&mut self, now: Instant) {
        self.reread_at = now;
        if self.up.is_none() {
            self.connect_at = Some(now);
        }
    }

    /// When something is to be done without anything having happened.
    fn due(&self) -> Option<Instant> {
        let mut due = self.asked.due(&self.pace);
        if let Some(lost_at) = self.lost_at
            && !self.is_blind
        {
            due = Some(earliest(due, lost_at + self.pace.grace));
        }
        if let Some(up) = &self.up {
            due = Some(earliest(due, up.heard + self.pace.silence));
        }
        if self.work.is_none() && !self.jobs.is_empty() {
            let reread_at = self.up.is_some().then(|| earliest(self.refresh_at, self.reread_at));
            for instant in
                [self.connect_at, self.extend_at, reread_at, self.versions_at].into_iter().flatten()
            {
                due = Some(earliest(due, instant));
            }
        }
        due
    }

    fn tick(&mut self, now: Instant) {
        if let Some(up) = &self.up
            && up.heard + self.pace.silence <= now
        {
            let how = format!("was silent for {} s", self.pace.silence.as_secs());
            return self.lose(now, &self.stream_lost(how));
        }
        if let Some(lost_at) = self.lost_at
            && !self.is_blind
            && lost_at + self.pace.grace <= now
        {
            self.is_blind = true;
            self.show_all(now);
        }
        self.ask(now);
        if self.work.is_none() {
            self.start(now);
        }
    }

    fn heard(&mut self, now: Instant, beat: Beat) {
        if let Some(up) = &mut self.up {
            up.heard = now;
            if up.is_seamless {
                self.told_until = Some(now);
            }
        }
        let Beat::Transaction(transaction) = beat else { return };
        let is_unread = |update: &Update| {
            self.jobs.get(update.job()).is_some_and(|watched| watched.known.sight().is_none())
        };
        if transaction.updates.iter().any(is_unread) && self.work.is_some() {
            // What is being read may be older than this line: it is applied once more afterwards.
            if self.early.len() < MAX_EARLY {
                self.early.push(transaction.clone());
            } else {
                self.reread_at = now;
            }
        }
        let mut changed = BTreeSet::new();
        self.apply(transaction, &mut changed);
        self.show(now, &changed);
        self.want_versions(now, &changed);
    }

    /// Applies a transaction as a whole, and notes whom it has changed.
    fn apply(&mut self, transaction: Transaction, changed: &mut BTreeSet<JobId>) {
        // The order within a transaction means nothing; what belongs to a new job or to a new deployment must find it.
        let mut updates = transaction.updates;
        updates.sort_by_key(|update| match update {
            Update::Job(_) | Update::JobGone(_) => 0,
            Update::Deployment(..) => 1,
            Update::Allocation(..) | Update::Evaluation(..) => 2,
        });
        for update in updates {
            let job = update.job().clone();
            if let Some(watched) = self.jobs.get_mut(&job)
                && watched.known.apply(transaction.index, update)
            {
                changed.insert(job);
            }
        }
    }

    /// Has the versions of allocations of `jobs` found out that are not known.
    fn want_versions<'a>(&mut self, now: Instant, jobs: impl IntoIterator<Item = &'a JobId>) {
        let lacks = |job| self.jobs.get(job).is_some_and(|watched| watched.known.lacks_versions());
        if self.versions_at.is_none() && jobs.into_iter().any(lacks) {
            let earliest = self.versioned_at.map_or(now, |at| at + self.versions_pause);
            self.versions_at = Some(earliest.max(now + self.pace.versions));
        }
    }

    /// How a job is to be shown at this moment.
    fn sight(&self, known: &Known) -> Arc<Sight> {
        match &self.trouble {
            Some(trouble) if self.is_blind || known.sight().is_none() => Arc::clone(trouble),
            _ => shown(known),
        }
    }

    /// Shows `jobs` to the newcomers for whom a reading that began at `began` is recent enough.
    fn admit(&mut self, now: Instant, began: Instant, jobs: &BTreeSet<JobId>) {
        for job in jobs {
            let Some(watched) = self.jobs.get_mut(job) else { continue };
            watched.read_at = Some(began);
            let is_answered = |joined: &Instant| self.pace.is_fresh(Some(began), *joined);
            let (answered, waiting) =
                mem::take(&mut watched.newcomers).into_iter().partition(|(_, joined)| is_answered(joined));
            watched.newcomers = waiting;
            let answered: BTreeMap<MemberId, Instant> = answered;
            let key = JobKey { namespace: self.key.namespace().clone(), job: job.clone() };
            for member in answered.keys().filter_map(|id| self.members.get(id)) {
                member.mailbox.put(member.pass, key.clone(), Arc::clone(&watched.shown));
            }
        }
        if self.jobs.values().any(Watched::wants_reread) {
            self.refresh_at = Some(earliest(self.refresh_at, now + self.pace.gather.0));
        }
    }

    fn show_all(&mut self, now: Instant) {
        self.show(now, &self.jobs.keys().cloned().collect());
    }

    /// Tells everyone who waits for one of `jobs`, if it is to be shown otherwise than before.
    fn show(&mut self, now: Instant, jobs: &BTreeSet<JobId>) {
        for job in jobs {
            self.follow(now, job);
            let Some(watched) = self.jobs.get(job) else { continue };
            let sight = self.sight(&watched.known);
            if Arc::ptr_eq(&sight, &watched.shown) || *sight == *watched.shown {
                continue;
            }
            let key = JobKey { namespace: self.key.namespace().clone(), job: job.clone() };
            let may_see = |id: &&MemberId| is_unseen(&sight) || !watched.newcomers.contains_key(id);
            for member in watched.watchers.iter().filter(may_see).filter_map(|id| self.members.get(id)) {
                member.mailbox.put(member.pass, key.clone(), Arc::clone(&sight));
            }
            if let Some(watched) = self.jobs.get_mut(job) {
                watched.shown = sight;
            }
        }
    }
}

async fn heard(
    up: &mut Option<Up>,
    wanted: &(dyn Fn(&JobId) -> bool + Send + Sync),
) -> Result<Option<Beat>, Error> {
    match up {
        Some(up) => up.stream.next(wanted).await,
        None => pending().await,
    }
}

/// At `instant`, if there is one.
pub(super) async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

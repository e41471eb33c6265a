//! The loop of a run: events in, actions performed. It decides nothing.
//!
//! ```text
//!   watch ── sights ──┐                        ┌─▶ task events, log
//!   driver ─ commands ┼─▶ Engine::step(now) ───┼─▶ journal, then acts, whose reports come back
//!   clock ── timeouts ┘                        └─▶ the ending, once
//! ```
//!
//! # Invariants
//!
//! * One run is one tokio task and nothing else; a tree has one more for each act that is under way.
//! * What a tree must remember is on the disk before anything that follows it is done.
//! * A panic in a run ends that run as [`Ending::Panicked`], and no other.
//! * When the whole process stops, a run stops looking and has no ending: the next process goes on with it.

mod acts;
mod approvals;
mod clock;
mod commands;
mod document;
mod errand;
mod fill;
mod journal;
mod keep;
mod lease;
mod memory;
mod outlook;
mod past;
mod patrol;
mod running;
mod stops;
mod tail;
mod webhook;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, info, info_span, warn};

pub use self::{
    approvals::Approvals,
    clock::{spelled, wall_clock},
    document::{Times, heard, step, steps},
    errand::Errand,
    journal::Error as MemoryError,
    outlook::{Outlook, Seen, Senses, asks},
    past::Past,
    patrol::Patrol,
    running::{Ending, Running},
};
use self::{
    clock::Clock,
    commands::{Command, Commands},
    running::locked,
};
use crate::{
    cluster::{AllocId, Namespace, Place},
    engine::{Act, Action, Engine, Event, Line, Outcome, Report, Time},
    plan::Plan,
    watch::Viewer,
};

/// How long reading the last words of what failed may take. The run does not wait for longer.
const READ_LIMIT: Duration = Duration::from_secs(5);

/// What a run needs to begin, or to go on.
#[derive(Debug)]
pub struct Order {
    /// What to carry out.
    pub plan: Plan,
    /// Where the task stands.
    pub place: Place,
    /// The instant at which each step's time is over: [`crate::engine::deadlines`], made when the task first started.
    pub deadlines: BTreeMap<String, Time>,
    /// What it takes to run a tree or a guard; `None` for a gate.
    pub equipment: Option<Equipment>,
    /// A gate's way to Nomad: for the last words of what failed.
    pub viewer: Option<Box<Viewer>>,
    /// What was approved, for a gate that waits for approvals.
    pub approvals: Option<Box<Approvals>>,
}

/// What a run needs beyond looking and telling.
#[derive(Debug)]
pub enum Equipment {
    /// That of a tree.
    Errand(Box<Errand>),
    /// That of a guard.
    Patrol(Box<Patrol>),
}

/// Where a run tells its user what goes on.
pub trait Notices: Send + Sync + 'static {
    /// A task event. There will be few.
    fn event(&self, message: &str);
    /// A line of the task's log.
    fn log(&self, line: &Line);
}

/// Begins `order`, or goes on with it, on one of `tasks`; `stop` is the whole process's.
pub fn start(
    order: Order,
    outlook: impl Outlook,
    notices: Arc<dyn Notices>,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> Running {
    let clock = Clock::start();
    let Order { plan, place, deadlines, mut equipment, viewer, mut approvals } = order;
    let span = info_span!("task", alloc_id = %place.alloc, task = %place.task);
    let engine = match &mut equipment {
        None => {
            let approved = approvals.as_mut().map_or_else(|| Ok(BTreeMap::new()), |it| it.past());
            let approved = approved.unwrap_or_else(|why| {
                warn!(why, "approvals of a former process are not known");
                notices.log(&why.into());
                BTreeMap::new()
            });
            Engine::gate(plan, place, &deadlines, clock.now()).with_approvals(approved)
        }
        Some(Equipment::Errand(errand)) => Engine::tree(plan, place, errand.tree().clone(), clock.now()),
        Some(Equipment::Patrol(patrol)) => Engine::guard(plan, place, patrol.past(), clock.now()),
    };
    let engine = Arc::new(Mutex::new(engine));
    let commands = Arc::new(Commands::default());
    let (running, ended) = Running::new(Arc::clone(&engine), Arc::clone(&commands), clock);
    let run = Run {
        engine,
        outlook,
        notices,
        commands,
        equipment,
        viewer,
        approvals,
        done: None,
        clock,
        tasks: tasks.clone(),
        stop,
    };
    tasks.spawn(async move { ended.by(run.until_it_ends().await) }.instrument(span));
    running
}

struct Run<O> {
    /// Shared with those who ask how the run stands, so that it need not tell after each step.
    engine: Arc<Mutex<Engine>>,
    outlook: O,
    notices: Arc<dyn Notices>,
    commands: Arc<Commands>,
    equipment: Option<Equipment>,
    viewer: Option<Box<Viewer>>,
    approvals: Option<Box<Approvals>>,
    /// What a gate has asked for, once.
    done: Option<oneshot::Receiver<Event>>,
    clock: Clock,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl<O: Outlook> Run<O> {
    /// Until it ends, or the process stops: then `None`.
    async fn until_it_ends(mut self) -> Option<Ending> {
        let mut event = Some(Event::Started);
        let mut approved: Option<oneshot::Sender<()>> = None;
        loop {
            let now = self.clock.now();
            let (actions, timeout) = {
                let mut engine = locked(&self.engine);
                let actions = event.map(|event| engine.step(now, event)).unwrap_or_default();
                (actions, engine.next_timeout())
            };
            let ending = self.tell(actions);
            if self.approvals.as_ref().is_some_and(|approvals| approvals.is_due()) {
                Box::pin(self.write_down()).await;
            }
            if let Some(heard) = approved.take() {
                // Whoever approved it may have stopped listening.
                heard.send(()).ok();
            }
            if let Some(ending) = ending {
                // In boxes of their own, here and below: a gate has none of this, and its run is to stay small.
                if self.equipment.is_some() {
                    Box::pin(self.wind_up(&ending)).await;
                }
                return Some(ending);
            }
            self.carry_out();

            let timeout = timeout.map(|at| self.clock.instant(at));
            let retry_at = match &self.equipment {
                Some(Equipment::Errand(errand)) => errand.retry_at(),
                Some(Equipment::Patrol(_)) | None => None,
            };
            event = tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                command = self.commands.next() => match command {
                    Command::Stop => Some(Event::Stopped),
                    Command::Drain => Some(Event::Drained),
                    Command::Leave => Some(Event::Left),
                    Command::Open(reason) => {
                        warn!(reason, "gate opened by hand");
                        Some(Event::Opened { reason })
                    }
                    Command::Approve { name, by, heard } => {
                        warn!(wait = name, by, "approved by hand");
                        approved = Some(heard);
                        Some(Event::Approved { name, by })
                    }
                    Command::LookAgain => {
                        self.notices.log(&"looks at the cluster anew".to_owned().into());
                        self.outlook.look_again();
                        Some(Event::Tick)
                    }
                },
                Some(seen) = self.outlook.next() => Some(match seen {
                    Seen::Job(job, sight) => Event::Seen(job, sight),
                    Seen::Told(question, told) => Event::Told(question, told),
                }),
                Some(event) = asked_for(&mut self.done) => Some(event),
                event = next_done(&mut self.equipment, &self.stop) => event,
                () = sleep_until(retry_at.unwrap_or_else(|| self.clock.instant(now))), if retry_at.is_some() => None,
                () = sleep_until(timeout.unwrap_or_else(|| self.clock.instant(now))), if timeout.is_some() => Some(Event::Tick),
                else => return None,
            };
        }
    }

    /// Tells what is to be told, in order, the end last; the rest waits for [`Run::carry_out`].
    fn tell(&mut self, actions: Vec<Action>) -> Option<Ending> {
        let mut ending = None;
        for action in actions {
            match action {
                Action::Ask(questions) => self.outlook.ask(questions),
                Action::Announce(message) => self.notices.event(&message),
                Action::Log(line) => self.notices.log(&line),
                Action::Finish(outcome) => {
                    let outcome = match outcome {
                        Outcome::Done => Ending::Done,
                        Outcome::Failed(message) => Ending::Failed { message },
                        Outcome::Stopped => Ending::Stopped,
                    };
                    info!(ending = ?outcome, "run ended");
                    ending = Some(outcome);
                }
                // Nothing that a gate or a guard looks at waits for anything to be remembered.
                Action::Watch(jobs) if !matches!(self.equipment, Some(Equipment::Errand(_))) => {
                    self.outlook.also(jobs);
                }
                Action::Act(name, Act::Tail { key, alloc, task, has_failed }) if self.equipment.is_none() => {
                    self.read_last_words(name, key.namespace, alloc, task, has_failed);
                }
                Action::KeepApprovals(approved) => {
                    if let Some(approvals) = &mut self.approvals {
                        approvals.add(approved);
                    }
                }
                Action::Lead
                | Action::Remember(_)
                | Action::Prepare
                | Action::Watch(_)
                | Action::Keep(_)
                | Action::Do(..)
                | Action::Act(..)
                | Action::Notify(_) => match &mut self.equipment {
                    Some(Equipment::Errand(errand)) => errand.add(action),
                    Some(Equipment::Patrol(patrol)) => patrol.add(action),
                    None => {}
                },
            }
        }
        ending
    }

    /// Writes down what was approved, before whoever approved it is told that it was, and before the gate opens by it.
    async fn write_down(&mut self) {
        let Some(approvals) = &mut self.approvals else { return };
        if let Err(why) = approvals.flush().await {
            warn!(why, "an approval is not written down");
            self.notices.log(&why.into());
        }
    }

    /// Reads, with the task's own rights, what the task of another job wrote last. Whoever asked does not wait for long.
    fn read_last_words(
        &mut self,
        name: String,
        namespace: Namespace,
        alloc: AllocId,
        task: String,
        has_failed: bool,
    ) {
        let Some(viewer) = self.viewer.take() else { return };
        let (tell, told) = oneshot::channel();
        self.done = Some(told);
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let read = async {
                let client = viewer.client().map_err(|error| acts::read_trouble(&error))?;
                let output =
                    tail::Output { client: &client, namespace: &namespace, alloc: &alloc, task: &task };
                output.end(has_failed, None).await.map(Report::Tail)
            };
            if let Some(Ok(read)) = stop.run_until_cancelled(timeout(READ_LIMIT, read)).await {
                // The run may have ended meanwhile.
                drop(tell.send(Event::Acted(name, read)));
            }
        });
    }

    /// Does what is to be done, once what must be remembered is written down.
    fn carry_out(&mut self) {
        let errand = match &mut self.equipment {
            Some(Equipment::Errand(errand)) => errand,
            Some(Equipment::Patrol(patrol)) => return patrol.flush(),
            None => return,
        };
        for action in errand.flush() {
            match action {
                Action::Lead => errand.lead(),
                Action::Prepare => errand.prepare(),
                Action::Watch(jobs) => self.outlook.also(jobs),
                Action::Act(name, act) => errand.act(name, act),
                Action::Remember(_)
                | Action::Keep(_)
                | Action::KeepApprovals(_)
                | Action::Do(..)
                | Action::Ask(_)
                | Action::Announce(_)
                | Action::Log(_)
                | Action::Notify(_)
                | Action::Finish(_) => {}
            }
        }
    }

    /// Writes down how it ended, and has those told who want to know.
    async fn wind_up(&mut self, ending: &Ending) {
        let Some(Equipment::Errand(errand)) = &mut self.equipment else { return };
        for action in errand.close(ending).await {
            let Action::Notify(notice) = action else { continue };
            let body = webhook::body(&notice);
            for (name, webhook) in errand.webhooks().filter(|(_, webhook)| webhook.wants(notice.is_good)) {
                let (name, webhook, body) = (name.clone(), webhook.clone(), body.clone());
                let (notices, stop) = (Arc::clone(&self.notices), self.stop.clone());
                let trust = self.outlook.trust();
                self.tasks.spawn(async move {
                    let told = webhook::send(&name, &webhook, &trust, &body);
                    let told = stop.run_until_cancelled_owned(told).await;
                    let cut = || format!("webhook {name}: dtree stopped before it was told");
                    notices.log(&told.unwrap_or_else(cut).into());
                });
            }
        }
    }
}

/// What a gate has asked for; `None` when nothing comes of it.
async fn asked_for(done: &mut Option<oneshot::Receiver<Event>>) -> Option<Event> {
    match done {
        Some(told) => {
            let event = told.await.ok();
            *done = None;
            event
        }
        None => std::future::pending().await,
    }
}

async fn next_done(equipment: &mut Option<Equipment>, stop: &CancellationToken) -> Option<Event> {
    match equipment {
        Some(Equipment::Patrol(patrol)) => Box::pin(patrol.next()).await,
        Some(Equipment::Errand(errand)) => Box::pin(errand.next(stop)).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;

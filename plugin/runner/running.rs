//! A run as others have it: what is asked of it and told it while it is under way, and how its ending is told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};

use super::{
    clock::Clock,
    commands::{Command, Commands},
};
use crate::engine::{Engine, Status, Time};

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The gate is open, the tree is up.
    Done,
    /// The run failed: what was wanted, what stood in the way, what to do.
    Failed {
        /// The same words as in the task event.
        message: String,
    },
    /// Nomad stopped the task.
    Stopped,
    /// There is a mistake in dtree.
    Panicked,
}

/// A run under way, or ended.
#[derive(Clone, Debug)]
pub struct Running {
    commands: Arc<Commands>,
    engine: Arc<Mutex<Engine>>,
    ending: watch::Receiver<Option<(Ending, Time)>>,
    clock: Clock,
}

impl Running {
    /// A run that is about to begin, and who tells its ending.
    pub(super) fn new(engine: Arc<Mutex<Engine>>, commands: Arc<Commands>, clock: Clock) -> (Self, Ended) {
        let (tell, ending) = watch::channel(None);
        (Self { commands, engine, ending, clock }, Ended { tell: Some(tell), clock })
    }

    /// Looks at the cluster anew.
    pub fn look_again(&self) {
        self.commands.send(Command::LookAgain);
    }

    /// Opens the gate by hand. What `reason` says is recorded.
    pub fn open(&self, reason: String) {
        self.commands.send(Command::Open(reason));
    }

    /// Approves the wait `name` for the rest of the run; `by` says who, if anybody does. Returns when the run knows it.
    ///
    /// # Errors
    ///
    /// The waits that can be approved now, if it is none of them.
    pub async fn approve(&self, name: &str, by: Option<String>) -> Result<(), Vec<String>> {
        let open = self.approvals();
        if !open.iter().any(|open| open == name) {
            return Err(open);
        }
        let (heard, is_heard) = oneshot::channel();
        self.commands.send(Command::Approve { name: name.to_owned(), by, heard });
        is_heard.await.map_err(|_| Vec::new())
    }

    /// The waits that can be approved now.
    pub fn approvals(&self) -> Vec<String> {
        locked(&self.engine).approvals()
    }

    /// Ends the run. Nothing in the cluster is changed by it.
    pub fn stop(&self) {
        self.commands.send(Command::Stop);
    }

    /// Begins nothing new; the run of a tree ends when what is under way has.
    pub fn drain(&self) {
        self.commands.send(Command::Drain);
    }

    /// Ends the run of a tree at once, and leaves all in the cluster as it is, for whoever goes on with it.
    pub fn leave(&self) {
        self.commands.send(Command::Leave);
    }

    /// Whether it is a gate, which can be opened by hand.
    pub fn is_gate(&self) -> bool {
        locked(&self.engine).is_gate()
    }

    /// Whether the first look at anything that a gate waits for is still under way.
    pub fn is_looking(&self) -> bool {
        locked(&self.engine).is_looking()
    }

    /// What the run said at its end, if it is over.
    pub fn said_at_end(&self) -> Option<String> {
        locked(&self.engine).said_at_end().map(str::to_owned)
    }

    /// How the run stands now. It takes a look at each node: not for something that happens often.
    pub fn status(&self) -> Status {
        locked(&self.engine).status(self.clock.now())
    }

    /// How the run ended, if it has.
    pub fn ending(&self) -> Option<Ending> {
        self.ending.borrow().as_ref().map(|(ending, _)| ending.clone())
    }

    /// When the run ended, if it has.
    pub fn ended_at(&self) -> Option<Time> {
        self.ending.borrow().as_ref().map(|(_, at)| *at)
    }

    /// Waits for the end. Never returns if the process stops before the run ends.
    pub async fn ended(&self) -> Ending {
        let mut ending = self.ending.clone();
        loop {
            if let Some((ending, _)) = &*ending.borrow_and_update() {
                return ending.clone();
            }
            if ending.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

/// Tells the ending. Dropped without one, it tells of a panic: that is the only way to get there.
pub(super) struct Ended {
    tell: Option<watch::Sender<Option<(Ending, Time)>>>,
    clock: Clock,
}

impl Ended {
    pub(super) fn by(mut self, ending: Option<Ending>) {
        if let Some(tell) = self.tell.take()
            && let Some(ending) = ending
        {
            // Nobody may be asking any more.
            tell.send_replace(Some((ending, self.clock.now())));
        }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(tell) = self.tell.take()
            && std::thread::panicking()
        {
            tell.send_replace(Some((Ending::Panicked, self.clock.now())));
        }
    }
}

/// The engine, also after a panic in it: then it tells how things stood.
pub(super) fn locked(engine: &Mutex<Engine>) -> MutexGuard<'_, Engine> {
    engine.lock().unwrap_or_else(PoisonError::into_inner)
}

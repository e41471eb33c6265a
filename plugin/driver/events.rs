//! Task events: what users see under "Recent Events", in one stream for all tasks.
//!
//! ```text
//!   task ── tell ──▶ held, while nobody waits for the task
//!                      │ a WaitTask call comes in
//!                      ▼
//!                    stream ──▶ Nomad
//! ```
//!
//! # Invariants
//!
//! * An event goes out only while Nomad waits for its task. Before that, a client that has just started or come back has
//!   no handler for the task yet and throws the event away.
//! * What is held is bounded: Nomad keeps ten events of a task, so the latest ten are held.
//! * Telling never blocks and never fails. A client that reads too slowly loses the oldest events.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio_stream::{Stream, StreamExt, wrappers::BroadcastStream};

use super::{
    pb::drivers::DriverTaskEvent,
    wire::{self, TaskId},
};
use crate::cluster::Place;

/// How many events Nomad keeps of a task.
const HELD: usize = 10;

/// How many events may be under way: two of every one of the 500 tasks that a large client may start at once.
const UNDER_WAY: usize = 1024;

/// The events of all tasks.
#[derive(Debug)]
pub(super) struct Events {
    stream: broadcast::Sender<DriverTaskEvent>,
    tasks: Mutex<BTreeMap<TaskId, Held>>,
}

/// The events of one task that nobody could be told yet.
#[derive(Debug, Default)]
struct Held {
    /// How many calls wait for the task.
    waiting: usize,
    events: VecDeque<DriverTaskEvent>,
}

impl Events {
    pub(super) fn new() -> Self {
        Self { stream: broadcast::Sender::new(UNDER_WAY), tasks: Mutex::default() }
    }

    /// Begins to hold events of the task `id`. It is no error to add a task twice.
    pub(super) fn add(&self, id: &TaskId) {
        self.tasks().entry(id.clone()).or_default();
    }

    /// Tells users of the task `id`, which stands at `place`, that `message`.
    pub(super) fn tell(&self, id: &TaskId, place: &Place, message: &str) {
        let event = DriverTaskEvent {
            task_id: id.to_string(),
            alloc_id: place.alloc.to_string(),
            task_name: place.task.clone(),
            timestamp: Some(wire::timestamp(Timestamp::now())),
            message: message.to_owned(),
            annotations: BTreeMap::new(),
        };
        let mut tasks = self.tasks();
        let Some(held) = tasks.get_mut(id) else { return };
        if held.events.len() == HELD {
            held.events.pop_front();
        }
        held.events.push_back(event);
        self.send(held);
    }

    /// Notes that Nomad waits for the task, until the answer is dropped. What is held goes out now.
    pub(super) fn wait(self: &Arc<Self>, id: &TaskId) -> Waiting {
        if let Some(held) = self.tasks().get_mut(id) {
            held.waiting += 1;
            self.send(held);
        }
        Waiting { events: Arc::clone(self), id: id.clone() }
    }

    /// Forgets a task that is gone.
    pub(super) fn forget(&self, id: &TaskId) {
        self.tasks().remove(id);
    }

    /// The events from now on.
    pub(super) fn stream(&self) -> impl Stream<Item = DriverTaskEvent> + Send + 'static + use<> {
        // What a slow client missed is lost: it keeps no more than ten of a task anyway.
        BroadcastStream::new(self.stream.subscribe()).filter_map(Result::ok)
    }

    fn send(&self, held: &mut Held) {
        if held.waiting > 0 && self.stream.receiver_count() > 0 {
            for event in mem::take(&mut held.events) {
                // Fails only when the last receiver left in this moment.
                self.stream.send(event).ok();
            }
        }
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeMap<TaskId, Held>> {
        // Nothing that is done under the lock can panic half-way.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call that waits for a task.
#[derive(Debug)]
pub(super) struct Waiting {
    events: Arc<Events>,
    id: TaskId,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(held) = self.events.tasks().get_mut(&self.id) {
            held.waiting = held.waiting.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::JobKey;

    fn place() -> Place {
        Place {
            job: JobKey::new("default", "shop"),
            group: "web".to_owned(),
            alloc: "61d0c2aa-0000-0000-0000-000000000000".into(),
            task: "gate".to_owned(),
        }
    }

    /// What has arrived so far.
    fn arrived(events: &mut broadcast::Receiver<DriverTaskEvent>) -> Vec<String> {
        std::iter::from_fn(|| events.try_recv().ok()).map(|event| event.message).collect()
    }

    #[test]
    fn events_wait_until_nomad_waits_for_their_task() {
        let events = Arc::new(Events::new());
        let mut stream = events.stream.subscribe();
        let id = TaskId::from("a/gate/1");
        events.add(&id);
        events.tell(&id, &place(), "first");
        assert!(arrived(&mut stream).is_empty());

        let other = events.wait(&TaskId::from("a/other/2"));
        assert!(arrived(&mut stream).is_empty());

        let waiting = events.wait(&id);
        events.tell(&id, &place(), "second");
        assert_eq!(arrived(&mut stream), ["first", "second"]);

        // The agent is gone: its calls end. The next one hears what happened meanwhile.
        drop((waiting, other));
        events.tell(&id, &place(), "third");
        assert!(arrived(&mut stream).is_empty());
        let _again = events.wait(&id);
        assert_eq!(arrived(&mut stream), ["third"]);
    }

    #[test]
    fn without_a_stream_events_are_kept_though_someone_waits() {
        let events = Arc::new(Events::new());
        let id = TaskId::from("a/gate/1");
        events.add(&id);
        let _waiting = events.wait(&id);
        events.tell(&id, &place(), "early");
        let mut stream = events.stream.subscribe();
        events.tell(&id, &place(), "late");
        assert_eq!(arrived(&mut stream), ["early", "late"]);
    }

    #[test]
    fn only_the_latest_are_held_and_none_of_a_task_that_is_gone() {
        let events = Arc::new(Events::new());
        let mut stream = events.stream.subscribe();
        let id = TaskId::from("a/gate/1");
        events.add(&id);
        for n in 0..25 {
            events.tell(&id, &place(), &n.to_string());
        }
        let waiting = events.wait(&id);
        assert_eq!(arrived(&mut stream), (15..25).map(|n| n.to_string()).collect::<Vec<_>>());

        drop(waiting);
        events.tell(&id, &place(), "held");
        events.forget(&id);
        let _waiting = events.wait(&id);
        events.tell(&id, &place(), "told by a task that is gone");
        assert!(arrived(&mut stream).is_empty());
    }
}

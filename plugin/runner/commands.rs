//! Commands on their way to a run.
//!
//! A channel would do, if it did not make room for thirty-two at once: of a waiting gate that is a twentieth.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use tokio::sync::{Notify, oneshot};

/// What a run can be told.
#[derive(Debug)]
pub(super) enum Command {
    LookAgain,
    Open(String),
    /// Approves a wait; `heard` is told, or dropped, when that was taken in.
    Approve {
        name: String,
        by: Option<String>,
        heard: oneshot::Sender<()>,
    },
    Stop,
    Drain,
    Leave,
}

/// Commands in order. There is one reader, and few are ever under way.
#[derive(Debug, Default)]
pub(super) struct Commands {
    waiting: Mutex<VecDeque<Command>>,
    arrived: Notify,
}

impl Commands {
    pub(super) fn send(&self, command: Command) {
        // Nothing under the lock can panic half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(command);
        self.arrived.notify_one();
    }

    /// The next command. Nothing is lost when the returned future is dropped.
    pub(super) async fn next(&self) -> Command {
        loop {
            let command = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            match command {
                Some(command) => return command,
                None => self.arrived.notified().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future as _, pin::pin, task::Poll};

    use super::*;

    #[tokio::test]
    async fn commands_come_in_order_and_none_is_lost_with_a_dropped_reader() {
        let commands = Commands::default();
        {
            let mut reader = pin!(commands.next());
            let polled = std::future::poll_fn(|context| Poll::Ready(reader.as_mut().poll(context))).await;
            assert!(polled.is_pending());
            commands.send(Command::LookAgain);
            // Dropped after it was woken, before it looked.
        }
        commands.send(Command::Open("INC-7".to_owned()));
        commands.send(Command::Stop);
        let told = [commands.next().await, commands.next().await, commands.next().await];
        assert_eq!(format!("{told:?}"), r#"[LookAgain, Open("INC-7"), Stop]"#);
    }
}

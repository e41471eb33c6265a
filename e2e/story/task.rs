//! A task of a story: waiting for what it comes to, and what a user does to it.

use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};

use super::{SOON, Story};

/// Nomad notes a task's start down a little after the driver has started it; on a busy machine later.
const CLOCKS: Duration = Duration::from_millis(1500);

/// A task of the newest allocation of a job.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    pub(super) story: &'a Story,
    pub(super) job: String,
    pub(super) name: &'a str,
}

impl Task<'_> {
    /// The ID of the allocation.
    pub(crate) fn allocation(&self) -> String {
        self.story.within(SOON, &format!("an allocation of {}", self.job), || {
            let newest = self.story.allocations(&self.job)?.into_iter().next().ok_or("there is none")?;
            newest["ID"].as_str().map(str::to_owned).ok_or_else(|| "it has no ID".to_owned())
        })
    }

    /// What Nomad says about it at this moment.
    pub(crate) fn state(&self) -> Result<Value, String> {
        let newest = self.story.allocations(&self.job)?.into_iter().next().ok_or("no allocation")?;
        match &newest["TaskStates"][self.name] {
            Value::Null => Err(format!("no such task yet; the allocation: {}", newest["ClientStatus"])),
            state => Ok(state.clone()),
        }
    }

    /// Waits until a word about its state is true.
    #[track_caller]
    fn becomes(&self, limit: Duration, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let what = format!("{} of {} to be {what}", self.name, self.job);
        self.story.within(limit, &what, || {
            let state = self.state()?;
            if is_so(&state) {
                Ok(state)
            } else {
                Err(format!("{} failed={}", state["State"], state["Failed"]))
            }
        })
    }

    /// Waits until it runs.
    #[track_caller]
    pub(crate) fn runs(&self, limit: Duration) {
        self.becomes(limit, "running", |state| state["State"] == "running");
    }

    /// Waits until it has ended, well.
    #[track_caller]
    pub(crate) fn succeeds(&self, limit: Duration) {
        self.becomes(limit, "dead, not failed", |state| state["State"] == "dead" && state["Failed"] == false);
    }

    /// Waits until it has ended, badly and for good.
    #[track_caller]
    pub(crate) fn fails(&self, limit: Duration) {
        self.becomes(limit, "dead, failed", |state| state["State"] == "dead" && state["Failed"] == true);
    }

    /// Waits for a task event with these words; gives the whole message.
    #[track_caller]
    pub(crate) fn says(&self, limit: Duration, words: &str) -> String {
        let what = format!("{} of {} to say {words:?}", self.name, self.job);
        self.story.within(limit, &what, || {
            let events = self.events()?;
            let said = events.iter().find(|(_, message)| message.contains(words));
            said.map(|(_, message)| message.clone()).ok_or_else(|| format!("{events:?}"))
        })
    }

    /// Waits for these words in the log of a task that ends well; gives the whole line. Not for the task event with them: that
    /// travels beside the answer that ends the task, and when it comes too late Nomad drops it.
    #[track_caller]
    pub(crate) fn logs_at_its_end(&self, words: &str) -> String {
        let what = format!("the log of {} of {} to say {words:?}", self.name, self.job);
        self.story.within(SOON, &what, || {
            let log = self.logs();
            log.lines().find(|line| line.contains(words)).map(str::to_owned).ok_or(log)
        })
    }

    /// Types and messages of its task events, oldest first.
    pub(crate) fn events(&self) -> Result<Vec<(String, String)>, String> {
        let state = self.state()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let events = state["Events"].as_array().into_iter().flatten();
        Ok(events.map(|event| (text(&event["Type"]), text(&event["DisplayMessage"]))).collect())
    }

    /// Whether it waits: it runs, and has neither ended nor been started again. Whether it has begun, is waited for.
    #[track_caller]
    pub(crate) fn still_waits(&self) {
        let state = self.becomes(SOON, "begun", |state| !state["StartedAt"].is_null());
        assert_eq!(state["State"], "running", "{} of {}\n{}", self.name, self.job, self.story.report());
    }

    /// That it has not run up to now.
    #[track_caller]
    pub(crate) fn has_never_started(&self) {
        // Not even placed is never started, too.
        let state = self.state().unwrap_or_default();
        assert!(state["StartedAt"].is_null(), "{} of {}\n{}", self.name, self.job, self.story.report());
    }

    /// That it has run for so long, but not for so much longer that it cannot have been for that.
    #[track_caller]
    pub(crate) fn has_lasted(&self, at_least: Duration) {
        let lasted = self.lasted();
        let range = at_least..at_least + SOON;
        assert!(range.contains(&(lasted + CLOCKS)), "it ran for {lasted:?}\n{}", self.story.report());
    }

    /// How long it has run, once it has ended.
    pub(crate) fn lasted(&self) -> Duration {
        let state = self.state().expect("it has ended");
        let time = |key: &str| -> jiff::Timestamp {
            state[key]
                .as_str()
                .and_then(|time| time.parse().ok())
                .unwrap_or_else(|| panic!("{key} in {state}"))
        };
        time("FinishedAt").duration_since(time("StartedAt")).try_into().expect("it started before it ended")
    }

    /// When it has started last.
    pub(crate) fn started(&self) -> jiff::Timestamp {
        self.moment("StartedAt")
    }

    /// When it has ended.
    pub(crate) fn ended(&self) -> jiff::Timestamp {
        self.moment("FinishedAt")
    }

    fn moment(&self, key: &str) -> jiff::Timestamp {
        let state = self.state().expect("Nomad knows it");
        let time = state[key].as_str().and_then(|time| time.parse().ok());
        time.unwrap_or_else(|| panic!("{key} of {} of {} in {state}", self.name, self.job))
    }

    /// Since when it runs.
    pub(crate) fn age(&self) -> Duration {
        let state = self.state().expect("it has started");
        let started: jiff::Timestamp =
            state["StartedAt"].as_str().and_then(|time| time.parse().ok()).expect("it has started");
        jiff::Timestamp::now().duration_since(started).try_into().unwrap_or_default()
    }

    /// `nomad alloc exec`: the exit code, and what was printed.
    pub(crate) fn exec(&self, command: &[&str]) -> (i32, String) {
        let allocation = self.allocation();
        let mut args = vec!["alloc", "exec", "-task", self.name, &allocation];
        args.extend(command);
        outcome(&self.story.cli(&args))
    }

    /// `nomad alloc logs`.
    pub(crate) fn logs(&self) -> String {
        let (namespace, allocation) = (self.story.namespace(&self.job), self.allocation());
        let args = ["alloc", "logs", "-namespace", &namespace, "-task", self.name, &allocation];
        outcome(&self.story.cli(&args)).1
    }

    /// `nomad alloc signal`.
    pub(crate) fn signal(&self, signal: &str) -> (i32, String) {
        outcome(&self.story.cli(&["alloc", "signal", "-s", signal, "-task", self.name, &self.allocation()]))
    }

    /// `nomad alloc restart -all-tasks`.
    pub(crate) fn restart_all_tasks(&self) {
        let path = format!("/v1/client/allocation/{}/restart", self.allocation());
        self.story.post(&path, &json!({ "AllTasks": true }));
    }
}

fn outcome(output: &Output) -> (i32, String) {
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned())
}

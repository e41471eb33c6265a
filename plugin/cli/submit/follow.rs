//! A tree that was handed over is followed: how its job stands, and what its task writes into its log.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use tokio::time::{self, Instant, MissedTickBehavior};

use super::super::{
    FAILED, Failure, INTERRUPTED,
    connect::Interrupts,
    events::{Events, Known},
    screen,
};
use crate::{
    cluster::{AllocId, Blindness, JobKey, JobSight, Sight, Unseen},
    condition::{self, Verdict},
    engine::{Line, NodeState},
    jobspec::SUBMITTED,
    manifest::{Subject, Until, Wait},
    nomad::{Client, LogStream},
    plan::Plan,
    runner,
    watch::Subscription,
};

/// How often what the tree says is asked for.
const READ: Duration = Duration::from_millis(500);
/// For how long what it said last may still come: Nomad's log process writes that down after the task has ended.
const LATE: Duration = Duration::from_secs(2);
/// Between two readings of that: more than passes between two writings of Nomad's log process.
const PAUSE: Duration = Duration::from_millis(150);
/// How long a failure must have stood: Nomad shows a job as failed for the blink of an eye between two evaluations.
const STANDS: Duration = Duration::from_millis(500);

/// The names of all steps that a tree may have, each after all that it depends on.
fn steps(plan: &Plan) -> Vec<String> {
    let mut names = plan.order().to_vec();
    let hooks = plan.manifest().tree.iter().flat_map(|tree| tree.hooks.keys());
    let around: Vec<String> = hooks.filter(|hook| !names.contains(hook)).cloned().collect();
    names.extend(around);
    names
}

/// Follows a tree that was handed over.
pub(super) struct Follower {
    client: Client,
    own: JobKey,
    /// The names of its steps.
    steps: Vec<String>,
    events: Events,
    /// What tells this hand-over from others.
    submitted: String,
    /// How many bytes of the task's log were told.
    said: u64,
    /// What was read of a line that has no end yet.
    rest: Vec<u8>,
    alloc: Option<AllocId>,
    heard: Heard,
    /// What was told to be in the way.
    obstacle: String,
    /// Whether the log may not be read.
    is_mute: bool,
}

impl Follower {
    /// Of a hand-over that is known by `submitted`: nothing was read yet.
    pub(super) fn new(client: Client, own: JobKey, plan: &Plan, events: Events, submitted: String) -> Self {
        Self {
            client,
            own,
            steps: steps(plan),
            events,
            submitted,
            said: 0,
            rest: Vec::new(),
            alloc: None,
            heard: Heard::default(),
            obstacle: String::new(),
            is_mute: false,
        }
    }

    /// What it has told of itself.
    pub(super) fn known(&self, plan: &Plan) -> Known {
        Known { steps: self.heard.steps(plan), ..Known::default() }
    }

    /// Its last words, once it has done its work.
    pub(super) async fn follow(&mut self, mut shown: Subscription) -> Result<String, Failure> {
        let mut interrupts = Interrupts::catch()?;
        let mut read = time::interval(READ);
        read.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failure: Option<(String, Instant)> = None;
        loop {
            let stands = failure.as_ref().map(|(_, since)| *since + STANDS);
            tokio::select! {
                biased;
                () = interrupts.next() => return Err(self.left()),
                Some((_, sight)) = shown.next() => match self.judge(&sight) {
                    Some(Verdict::Met(_)) => {
                        self.read_all().await;
                        return Ok(format!("==> Tree {}: {}\n", self.own, self.last_words("done")));
                    }
                    Some(Verdict::Never(why)) => failure = failure.or_else(|| Some((why, Instant::now()))),
                    Some(Verdict::NotYet(obstacle)) => {
                        failure = None;
                        if obstacle.is_blocked {
                            self.tell_once(format!("not placed yet: {}", obstacle.text));
                        }
                    }
                    None => {}
                },
                () = time::sleep_until(stands.unwrap_or_else(Instant::now)), if stands.is_some() => {
                    self.read_all().await;
                    let why = failure.map(|(why, _)| why).unwrap_or_default();
                    return Err(Failure {
                        why: format!(
                            "==> Tree {}: {}\n\nhint: `dtree submit` goes on where it ended\n",
                            self.own, self.last_words(&why)
                        ),
                        code: FAILED,
                    });
                }
                _ = read.tick() => self.read().await,
            }
        }
    }

    /// How it stands; `None` before this hand-over is seen.
    fn judge(&mut self, sight: &Sight) -> Option<Verdict> {
        let job = match sight {
            Sight::Present(sight) if sight.job.meta.get(SUBMITTED) == Some(&self.submitted) => sight,
            Sight::Present(sight) if sight.job.is_stopped => {
                return Some(Verdict::Never("its job was stopped".to_owned()));
            }
            Sight::Unseen(Unseen { because: Blindness::Unreachable, why, .. }) => {
                self.tell_once(format!("{why}; follows it when that is back"));
                return None;
            }
            Sight::Absent { .. } | Sight::Present(_) | Sight::Unseen(_) => return None,
        };
        if job.job.is_stopped {
            return Some(Verdict::Never("its job was stopped".to_owned()));
        }
        self.alloc = newest(job).or_else(|| self.alloc.clone());
        let subject = Subject::of_job(&self.own, None);
        let wait = Wait { until: Some(Until::Complete), ..Wait::new(subject) };
        Some(condition::judge(&wait, sight, true))
    }

    /// The same once it is over, until its last words are there.
    async fn read_all(&mut self) {
        let ended = Instant::now();
        loop {
            self.read().await;
            if self.heard.is_end || self.alloc.is_none() || self.is_mute || ended.elapsed() > LATE {
                return;
            }
            // Nothing tells when the log was written: it is looked at again, and not for longer than LATE.
            time::sleep(PAUSE).await;
        }
    }

    /// Tells what the task has written since.
    async fn read(&mut self) {
        let Some(alloc) = self.alloc.clone().filter(|_| !self.is_mute) else { return };
        let task = self.own.job.as_str();
        let read =
            self.client.log_after(&alloc, &self.own.namespace, task, LogStream::Stdout, self.said).await;
        match read {
            Ok(written) => {
                self.said += written.len() as u64;
                self.rest.extend(written);
                while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = self.rest.drain(..=end).collect();
                    let line = String::from_utf8_lossy(&line);
                    screen::write(&format!("    {line}"));
                    if let Some((at, line)) = self.heard.hear(&line, &self.steps) {
                        self.events.line_at(at, &line);
                    }
                }
            }
            Err(error) if error.is_denied() => {
                self.is_mute = true;
                self.tell("what it says is not to be read: this takes `read-logs` in its namespace");
            }
            // It is asked again.
            Err(_) => {}
        }
    }

    /// Tells what is in the way, unless that was told last.
    fn tell_once(&mut self, obstacle: String) {
        if obstacle != self.obstacle {
            self.tell(&obstacle);
            self.obstacle = obstacle;
        }
    }

    fn tell(&self, text: &str) {
        screen::write(&format!("    {text}\n"));
        self.events.line(&text.to_owned().into());
    }

    /// The last that was told of it, or else `why`.
    fn last_words(&self, why: &str) -> String {
        if self.heard.last.is_empty() { why.to_owned() } else { self.heard.last.clone() }
    }

    /// The user does not want to follow it any more.
    fn left(&self) -> Failure {
        let JobKey { namespace, job } = &self.own;
        Failure {
            why: format!(
                "==> Left. Tree {} goes on in the cluster\n\nhint: `dtree status {job}` shows how it stands, `nomad job stop -namespace {namespace} {job}` ends it\n",
                self.own
            ),
            code: INTERRUPTED,
        }
    }
}

/// What the task's log has told.
#[derive(Default)]
struct Heard {
    /// The last of each step, and since when it is in that state.
    steps: BTreeMap<String, Told>,
    /// The last whole line.
    last: String,
    /// Whether that is about no step, as the last words of a run are.
    is_end: bool,
}

/// What was told of a step.
struct Told {
    state: &'static str,
    detail: String,
    since: String,
}

impl Heard {
    /// Takes in a line: when that was said, and what it is about one of the `steps`, where both are known.
    fn hear<'a>(&mut self, line: &'a str, steps: &[String]) -> Option<(&'a str, Line)> {
        // When it was said stands before it.
        let (at, said) = line.split_once(' ').filter(|(at, _)| at.parse::<jiff::Timestamp>().is_ok()).unzip();
        let said = said.unwrap_or(line).trim();
        said.clone_into(&mut self.last);
        let line = understood(said, steps);
        self.is_end = matches!(line, Line::Said(_));
        let at = at?;
        if let Line::Step { name, state, detail } = &line {
            let before = self.steps.remove(name).filter(|before| before.state == *state);
            let since = before.map_or_else(|| at.to_owned(), |before| before.since);
            self.steps.insert(name.clone(), Told { state, detail: detail.clone(), since });
        }
        Some((at, line))
    }

    /// The steps that it has told of, for programs.
    fn steps(&self, plan: &Plan) -> Vec<Value> {
        let told = |name: &String| {
            let Told { state, detail, since } = self.steps.get(name)?;
            Some(runner::heard(name, state, detail, since, &plan.needs_of(name)))
        };
        steps(plan).iter().filter_map(told).collect()
    }
}

/// A line of the task's log: how one of the `steps` stands, or something else.
fn understood(said: &str, steps: &[String]) -> Line {
    let of_step = |name: &String| {
        let (word, detail) = said.strip_prefix(name.as_str())?.strip_prefix(": ")?.split_once(": ")?;
        let state = NodeState::WORDS.into_iter().find(|state| *state == word)?;
        Some(Line::Step { name: name.clone(), state, detail: detail.to_owned() })
    };
    steps.iter().find_map(of_step).unwrap_or_else(|| said.to_owned().into())
}

/// The newest allocation of the job's current version.
fn newest(sight: &JobSight) -> Option<AllocId> {
    let current = sight.allocations.values().filter(|it| it.job_version == Some(sight.job.version));
    current.max_by_key(|allocation| allocation.create_index).map(|allocation| allocation.id.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::{Problems, text};

    #[test]
    fn a_line_of_the_log_is_understood_as_the_step_that_it_is_about() {
        let steps = ["db", "db: x", "api"].map(str::to_owned);
        let say = |said| format!("{:?}", understood(said, &steps));
        insta::assert_snapshot!(say("db: gated: 0 of 1: none yet"), @r#"Step { name: "db", state: "gated", detail: "0 of 1: none yet" }"#);
        insta::assert_snapshot!(say("db: x: satisfied: is up"), @r#"Step { name: "db: x", state: "satisfied", detail: "is up" }"#);
        insta::assert_snapshot!(say("api: | gated: no route"), @r#"Said("api: | gated: no route")"#);
        insta::assert_snapshot!(say("web: gated: is nobody's"), @r#"Said("web: gated: is nobody's")"#);
    }

    /// `web` after `db`, and a hook that is told of a success.
    fn plan() -> Plan {
        let (manifest, problems) = text::of_config(&json!({
            "job": {
                "db": { "jobspec": "local/db.hcl" },
                "web": { "jobspec": "local/web.hcl", "depends_on": ["db"] },
            },
            "after_success": { "tell": { "jobspec": "local/tell.hcl" } },
        }));
        assert!(problems.is_empty(), "{problems}");
        Plan::compile(manifest, Problems::default()).unwrap()
    }

    #[test]
    fn the_end_has_each_step_as_it_was_told_last_and_since_when() {
        let plan = plan();
        let steps = steps(&plan);
        assert_eq!(steps, ["db", "web", "tell"]);
        let mut heard = Heard::default();
        let mut after = |second: &str, said: &str| {
            heard.hear(&format!("2026-01-02T03:04:{second}Z {said}\n"), &steps);
            let shown = heard.steps(&plan).into_iter().map(|step| {
                format!("{} {} {}: {}", step["name"], step["state"], step["since"], step["detail"])
            });
            shown.collect::<Vec<_>>().join("\n")
        };
        after("05", "web: blocked: waits for db");
        after("06", "db: gated: 0 of 1 healthy");
        insta::assert_snapshot!(after("07", "db: gated: 1 of 2 healthy"), @r#"
        "db" "gated" "2026-01-02T03:04:06Z": "1 of 2 healthy"
        "web" "blocked" "2026-01-02T03:04:05Z": "waits for db"
        "#);
        // The last words are about no step, and of what nothing was told nothing is known.
        after("08", "db: satisfied: is up");
        after("09", "web: satisfied: is up");
        insta::assert_snapshot!(after("10", "done after 5s: created db, web"), @r#"
        "db" "satisfied" "2026-01-02T03:04:08Z": "is up"
        "web" "satisfied" "2026-01-02T03:04:09Z": "is up"
        "#);
        assert!(heard.is_end);
        assert_eq!(heard.last, "done after 5s: created db, web");
        insta::assert_snapshot!(format!("{:#}", heard.steps(&plan)[1]), @r#"
        {
          "awaited": null,
          "detail": "is up",
          "help": null,
          "name": "web",
          "needs": [
            "db"
          ],
          "seen": [],
          "since": "2026-01-02T03:04:09Z",
          "state": "satisfied",
          "then": null,
          "until": null
        }
        "#);
        heard.hear("2026-01-02T03:04:11Z tell: gated: job tell runs\n", &steps);
        assert!(!heard.is_end);
        assert_eq!(heard.steps(&plan)[2]["name"], "tell");
        // What is no line of dtree's has no time, and may be all that there is.
        assert_eq!(heard.hear("killed\n", &steps).map(|(at, _)| at), None);
        assert_eq!(heard.last, "killed");
    }
}

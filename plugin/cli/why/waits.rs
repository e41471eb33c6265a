//! What a gate or a guard waits for, as it can be seen from here, and as the task itself tells of it in each allocation.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    super::{
        Failure,
        connect::Connection,
        look::{is_visible, look},
    },
    told,
};
use crate::{
    cluster::{AllocId, Namespace},
    engine::{NodeStatus, Spoken, Status, Time},
    manifest::{Manifest, Subject, Wait},
    nomad::{Client, Placed},
    runner::{self, Times, wall_clock},
};

/// How many allocations of a job are asked for themselves; the others are named only.
const ASKED: usize = 16;
/// How many at once.
const AT_A_TIME: usize = 8;
/// How long a task may take to answer.
const ANSWERS: Duration = Duration::from_secs(10);

/// What a gate or a guard waits for.
pub(super) struct Waits {
    /// As it is now; `None` where nothing of it can be seen from here.
    seen: Option<Status>,
    /// The names of those that only the task itself can tell of, with what they are.
    hidden: Vec<(String, String)>,
    /// The same as the task itself has it in each allocation where it runs; `None` where that does not answer.
    pub(super) own: Vec<(AllocId, Option<Own>)>,
}

impl Waits {
    pub(super) async fn of(
        manifest: &Manifest,
        home: &Namespace,
        connection: &Connection,
    ) -> Result<Self, Failure> {
        let (seen, hidden): (Vec<_>, Vec<_>) = manifest.waits.iter().partition(|(_, wait)| is_visible(wait));
        let waits: Vec<_> = seen.into_iter().map(|(name, wait)| (name.clone(), (**wait).clone())).collect();
        let seen =
            if waits.is_empty() { None } else { Some(look(waits, home.clone(), connection, None).await?) };
        let what = |wait: &Wait| match &wait.subject {
            Subject::Task { task } => format!("task {task} of its own allocation"),
            Subject::Approval { what } => format!("a user's word: {what}"),
            Subject::When(_) => "an expression over the others".to_owned(),
            _ => "what is on its own client".to_owned(),
        };
        let hidden = hidden.into_iter().map(|(name, wait)| (name.clone(), what(wait))).collect();
        Ok(Self { seen, hidden, own: Vec::new() })
    }

    /// Asks the task in each of these allocations where it runs.
    pub(super) async fn ask(&mut self, client: &Client, task: &str, placed: Vec<&Placed>) {
        let running: Vec<&Placed> = placed.into_iter().filter(|placed| placed.runs(task)).collect();
        let asked = running.iter().take(ASKED).map(|placed| Own::of(client, placed, task));
        let asked: Vec<_> = asked.collect();
        let answers: Vec<Option<Own>> = stream::iter(asked).buffered(AT_A_TIME).collect().await;
        let ids = running.iter().map(|placed| placed.alloc.clone());
        self.own = ids.zip(answers.into_iter().chain(std::iter::repeat_with(|| None))).collect();
    }

    pub(super) fn text(&self) -> String {
        let mut text = self.seen.as_ref().map(told).unwrap_or_default();
        for (name, what) in &self.hidden {
            // Writing into a string cannot fail.
            let _ = writeln!(
                text,
                "{name}: {what}: only the task itself can tell (`nomad alloc exec -task TASK ALLOC why`)"
            );
        }
        text.push_str(&self.times(wall_clock()));
        text
    }

    /// Since when and until when it waits, by its own word in each allocation: whose time is over first comes first.
    pub(super) fn times(&self, now: Time) -> String {
        let answered = self.own.iter().filter_map(|(alloc, own)| Some((alloc.short(), own.as_ref()?)));
        let mut lines: Vec<_> = answered
            .flat_map(|(alloc, own)| {
                own.open(now).map(move |(until, said)| (until.is_none(), until, alloc, said))
            })
            .collect();
        lines.sort();
        let mut text = String::new();
        for (_, _, alloc, said) in lines {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "    says      allocation {alloc}: {said}");
        }
        let n_unasked = self.own.len().saturating_sub(ASKED);
        let n_silent = self.own.iter().take(ASKED).filter(|(_, own)| own.is_none()).count();
        if n_silent > 0 {
            let n_asked = self.own.len() - n_unasked;
            let _ = writeln!(
                text,
                "    says      nothing in {n_silent} of {n_asked} allocations: asking a task takes `alloc-exec`, and a dtree there that is not older"
            );
        }
        if n_unasked > 0 {
            let _ =
                writeln!(text, "    says      {n_unasked} more are not asked: `dtree why ALLOC` asks one");
        }
        text
    }

    /// What the only task says of a step; null where several run, or where it says nothing.
    fn tells(&self, step: &str, key: &str) -> Value {
        match self.own.as_slice() {
            [(_, Some(own))] => own.tells(step, key),
            _ => Value::Null,
        }
    }

    /// What each says for itself, for programs.
    pub(super) fn allocations(&self) -> Vec<Value> {
        let document = |(alloc, own): &(AllocId, Option<Own>)| json!({ "id": alloc.as_str(), "waits": own.as_ref().map(Own::documents) });
        self.own.iter().map(document).collect()
    }

    pub(super) fn documents(&self) -> Vec<Value> {
        let nodes = self.seen.iter().flat_map(|status| &status.nodes);
        let document = |node: &NodeStatus| {
            let tells = |key| self.tells(&node.name, key);
            // What the task holds it for may be older than this look.
            let is_same = tells("state") == node.state;
            let since = if is_same { tells("since") } else { Value::Null };
            runner::step(node, Times { since, until: tells("until"), then: tells("then") })
        };
        nodes.map(document).collect()
    }

    pub(super) fn hidden(&self) -> Vec<Value> {
        let document = |(name, what): &(String, String)| {
            let tells = |key| self.tells(name, key);
            json!({
                "name": name, "what": what, "state": tells("state"),
                "since": tells("since"), "until": tells("until"), "then": tells("then"),
            })
        };
        self.hidden.iter().map(document).collect()
    }
}

/// What a task says of its steps by itself, by their names.
pub(super) struct Own(BTreeMap<String, Value>);

impl Own {
    /// Asks a task that runs; `None` where a right is missing, where it has just ended, is of an older dtree, or is out of reach.
    async fn of(client: &Client, placed: &Placed, task: &str) -> Option<Self> {
        let answer = client.exec(&placed.alloc, &placed.key.namespace, task, &["why", "--json"]);
        Self::read(&timeout(ANSWERS, answer).await.ok()?.ok()?.stdout)
    }

    pub(super) fn read(answer: &str) -> Option<Self> {
        let document: Value = serde_json::from_str(answer).ok()?;
        let steps = document.get("steps")?.as_array()?.iter();
        let named = |step: &Value| Some((step.get("name")?.as_str()?.to_owned(), step.clone()));
        Some(Self(steps.filter_map(named).collect()))
    }

    /// What is not satisfied, and when its time is over.
    fn open(&self, now: Time) -> impl Iterator<Item = (Option<Time>, String)> {
        let open = self.0.keys().map(|name| (name, self.tells(name, "state")));
        open.filter(|(_, state)| state != "satisfied").map(move |(name, state)| {
            let at = |key| instant(&self.tells(name, key));
            let mut said = format!("{name}: {}", state.as_str().unwrap_or_default());
            if let Some(since) = at("since") {
                // Writing into a string cannot fail.
                let _ = write!(said, " for {}", Spoken(now.since(since)));
            }
            let until = at("until");
            if let Some(until) = until {
                let then = self.tells(name, "then");
                let left = Spoken(until.since(now));
                let _ = write!(said, ", until {left} from now, then {}", then.as_str().unwrap_or_default());
            }
            (until, said)
        })
    }

    /// All of it, for programs.
    fn documents(&self) -> Vec<Value> {
        let document = |name: &String| {
            let tells = |key| self.tells(name, key);
            json!({
                "name": name, "state": tells("state"),
                "since": tells("since"), "until": tells("until"), "then": tells("then"),
            })
        };
        self.0.keys().map(document).collect()
    }

    /// What it says of a step; null where it says nothing.
    fn tells(&self, step: &str, key: &str) -> Value {
        self.0.get(step).and_then(|step| step.get(key)).cloned().unwrap_or_default()
    }
}

/// What was spelled by a task.
pub(super) fn instant(spelled: &Value) -> Option<Time> {
    let millis = spelled.as_str()?.parse::<jiff::Timestamp>().ok()?.as_millisecond();
    Some(Time::from_unix_millis(u64::try_from(millis).ok()?))
}

//! `dtree why`: what holds a task, a tree or a job up, by what Nomad shows now.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    Failure, Outcome,
    connect::{Connection, block_on, refused},
    look::{is_visible, look},
    print,
    sight::{Row, Sight, manifest},
    subject::{allocations, is_too_short},
};
use crate::{
    cluster::{AllocId, JobKey, Namespace},
    engine::{NodeStatus, Spoken, Status, Time},
    manifest::{Manifest, Subject, Wait},
    nomad::{Client, Declaration, Placed},
    runner::{self, Times, wall_clock},
    show,
};

/// How many of a task's last events are told.
const EVENTS: usize = 3;
/// How many allocations of a job are asked for themselves; the others are named only.
const ASKED: usize = 16;
/// How many at once.
const AT_A_TIME: usize = 8;
/// How long a task may take to answer.
const ANSWERS: Duration = Duration::from_secs(10);

/// What is asked about.
#[derive(clap::Args)]
pub(super) struct Options {
    /// A tree, a job, or an allocation (at least the first eight letters of its ID)
    subject: String,
    /// One JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Tells why it is not as it should be.
pub(super) fn run(options: &Options) -> Outcome {
    let Options { subject, json, connection } = options;
    let namespace = connection.namespace()?.unwrap_or_else(|| "default".into());
    block_on(async {
        let client = connection.client().await?;
        let key = JobKey { namespace, job: subject.as_str().into() };
        let mut found = Found::of(&client, &key, connection).await?;
        found.ask(&client).await?;
        // A Nomad that has gone away meanwhile has let nobody answer.
        connection.client().await?;
        print(&if *json { format!("{:#}\n", found.document()) } else { found.text() })
    })
}

/// All that has the name: a tree or a job, and allocations whose IDs begin like this.
struct Found {
    tree: Option<OfTree>,
    job: Option<OfJob>,
    allocations: Vec<OfAllocation>,
}

impl Found {
    async fn of(client: &Client, key: &JobKey, connection: &Connection) -> Result<Self, Failure> {
        let placed = allocations(client, key.job.as_str()).await?;
        let tree = match Sight::of(client, &key.namespace, key.job.as_str()).await {
            Ok(Some(sight)) => Some(OfTree::of(sight, connection).await?),
            // Whoever asks about an allocation need not see the trees of this namespace, or its jobs.
            Ok(None) => None,
            Err(_) if !placed.is_empty() => None,
            Err(failure) => return Err(failure),
        };
        let job = match tree {
            Some(_) => None,
            None => match client.declarations(key).await {
                Ok(None) | Err(_) if !placed.is_empty() => None,
                Ok(gates) => Some(OfJob::of(key, gates, connection).await?),
                Err(error) => return Err(refused(&error)),
            },
        };
        let mut found = Self { tree, job, allocations: Vec::new() };
        for placed in placed {
            found.allocations.push(OfAllocation::of(client, placed, connection).await?);
        }
        Ok(found)
    }

    /// Asks the tasks themselves for what nobody else knows: since when they wait, and until when.
    async fn ask(&mut self, client: &Client) -> Result<(), Failure> {
        if let Some(job) = &mut self.job {
            job.ask(client).await?;
        }
        for OfAllocation { placed, tasks } in &mut self.allocations {
            for (task, told) in tasks {
                if let Told::Waits(waits) = told {
                    waits.ask(client, task, [&*placed].into()).await;
                }
            }
        }
        Ok(())
    }

    fn text(&self) -> String {
        let named = self.tree.iter().map(OfTree::text).chain(self.job.iter().map(OfJob::text));
        let texts: Vec<String> = named.chain(self.allocations.iter().map(OfAllocation::text)).collect();
        texts.join("\n")
    }

    fn document(&self) -> Value {
        json!({
            "tree": self.tree.as_ref().map(|tree| tree.sight.document(&tree.rows)),
            "job": self.job.as_ref().map(OfJob::document),
            "allocations": self.allocations.iter().map(OfAllocation::document).collect::<Vec<_>>(),
        })
    }
}

/// What stands in the way of a tree.
struct OfTree {
    sight: Sight,
    rows: Vec<Row>,
}

impl OfTree {
    async fn of(sight: Sight, connection: &Connection) -> Result<Self, Failure> {
        let rows = sight.rows(connection).await?;
        Ok(Self { sight, rows })
    }

    fn text(&self) -> String {
        let mut text = format!("Tree {}: run {}\n", self.sight.tree, self.sight.run());
        let open: Vec<_> = self.rows.iter().filter(|row| row.state != "satisfied").collect();
        if open.is_empty() {
            text.push_str("Nothing stands in its way.\n");
        }
        for row in open {
            let job = row.job.as_ref().map(|job| format!(" (job {job})")).unwrap_or_default();
            // Writing into a string cannot fail.
            let _ = writeln!(text, "{}{job}: {}: {}", row.name, row.state, row.detail);
            for seen in &row.seen {
                let _ = writeln!(text, "              {seen}");
            }
            if let Some(help) = &row.help {
                let _ = writeln!(text, "    help      {help}");
            }
        }
        text
    }
}

/// Why a job is not ready.
struct OfJob {
    key: JobKey,
    status: Status,
    /// Whether nothing has this name, which an allocation's ID may begin with.
    is_cut: bool,
    /// Its tasks that wait for others: group, task, and what for.
    gates: Vec<(String, String, Waits)>,
}

impl OfJob {
    async fn of(
        key: &JobKey,
        tasks: Option<Vec<Declaration>>,
        connection: &Connection,
    ) -> Result<Self, Failure> {
        let wait = Wait::new(Subject::of_job(key, None));
        let name = key.job.to_string();
        let is_cut = tasks.is_none() && is_too_short(&name);
        let status = look(vec![(name, wait)], key.namespace.clone(), connection, None).await?;
        let mut gates = Vec::new();
        for Declaration { group, task, config, .. } in tasks.into_iter().flatten() {
            if let Some(manifest) = manifest(&config).filter(|manifest| manifest.tree.is_none()) {
                gates.push((group, task, Waits::of(&manifest, &key.namespace, connection).await?));
            }
        }
        Ok(Self { key: key.clone(), status, is_cut, gates })
    }

    /// Asks its gates, in each allocation where they run.
    async fn ask(&mut self, client: &Client) -> Result<(), Failure> {
        if self.gates.is_empty() {
            return Ok(());
        }
        let placed = client.placed_of(&self.key).await.map_err(|error| refused(&error))?;
        for (group, task, waits) in &mut self.gates {
            waits.ask(client, task, placed.iter().filter(|placed| placed.group == *group).collect()).await;
        }
        Ok(())
    }

    fn text(&self) -> String {
        let mut text = told(&self.status);
        if self.is_cut {
            text.push_str(
                "    help      an allocation is named by at least the first eight letters of its ID\n",
            );
        }
        for (group, task, waits) in &self.gates {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "\n==> its task {task} of group {group} waits for others:");
            text.push_str(&waits.text());
        }
        text
    }

    fn document(&self) -> Value {
        let gates = self.gates.iter().map(|(group, task, waits)| {
            json!({
                "group": group, "task": task, "waits": waits.documents(), "hidden": waits.hidden(),
                "allocations": waits.allocations(),
            })
        });
        json!({
            "namespace": self.key.namespace, "job": self.key.job,
            "ready": self.status.nodes.first().map(|node| runner::step(node, Times::default())),
            "gates": gates.collect::<Vec<_>>(),
        })
    }
}

/// What each task of dtree in an allocation waits for.
struct OfAllocation {
    placed: Placed,
    tasks: Vec<(String, Told)>,
}

/// What a task is for, as far as it can be told from here.
enum Told {
    /// Its config has what only the client fills in.
    Unreadable,
    /// A tree; `None` before anything is known of it.
    Tree(Option<Box<OfTree>>),
    /// A gate or a guard.
    Waits(Waits),
}

impl OfAllocation {
    async fn of(client: &Client, placed: Placed, connection: &Connection) -> Result<Self, Failure> {
        let found = client.declarations(&placed.key).await.map_err(|error| refused(&error))?;
        let ours = found.unwrap_or_default().into_iter().filter(|declared| declared.group == placed.group);
        let mut tasks = Vec::new();
        for declared in ours {
            let home = &placed.key.namespace;
            let told = match manifest(&declared.config) {
                None => Told::Unreadable,
                Some(manifest) if manifest.tree.is_some() => {
                    Told::Tree(match Sight::of(client, home, placed.key.job.as_str()).await? {
                        Some(sight) => Some(Box::new(OfTree::of(sight, connection).await?)),
                        None => None,
                    })
                }
                Some(manifest) => Told::Waits(Waits::of(&manifest, home, connection).await?),
            };
            tasks.push((declared.task, told));
        }
        Ok(Self { placed, tasks })
    }

    /// How a task stands for Nomad, and its last events.
    fn standing(&self, task: &str) -> (&str, &[String]) {
        match self.placed.tasks.get(task) {
            Some((state, events)) if !state.is_empty() => {
                (state.as_str(), events.get(events.len().saturating_sub(EVENTS)..).unwrap_or_default())
            }
            _ => ("not begun", &[]),
        }
    }

    fn text(&self) -> String {
        let Placed { alloc, key, group, .. } = &self.placed;
        let mut text = format!("Allocation {} of job {key}, group {group}\n", alloc.short());
        for (task, told) in &self.tasks {
            let (state, events) = self.standing(task);
            // Writing into a string cannot fail.
            let _ = writeln!(text, "\n==> task {task}: {state}");
            for event in events {
                let _ = writeln!(text, "    said      {}", event.trim());
            }
            match told {
                Told::Unreadable => text.push_str(
                    "    its config cannot be read from here: it has what only the client fills in\n",
                ),
                Told::Tree(tree) => text.extend(tree.iter().map(|tree| tree.text())),
                Told::Waits(waits) => text.push_str(&waits.text()),
            }
        }
        if self.tasks.is_empty() {
            let _ = writeln!(
                text,
                "It has no task of dtree. What it is for may be told by `dtree why {}`.",
                key.job
            );
        }
        text
    }

    fn document(&self) -> Value {
        let tasks = self.tasks.iter().map(|(task, told)| {
            let (state, events) = self.standing(task);
            let (tree, waits) = match told {
                Told::Unreadable => (None, None),
                Told::Tree(tree) => (tree.as_ref().map(|tree| tree.sight.document(&tree.rows)), None),
                Told::Waits(waits) => (None, Some(waits)),
            };
            json!({
                "task": task, "state": state, "events": events,
                "is_readable": !matches!(told, Told::Unreadable),
                "tree": tree,
                "waits": waits.map(Waits::documents), "hidden": waits.map(Waits::hidden),
            })
        });
        let Placed { alloc, key, group, .. } = &self.placed;
        json!({
            "id": alloc.as_str(), "namespace": key.namespace, "job": key.job, "group": group,
            "tasks": tasks.collect::<Vec<_>>(),
        })
    }
}

/// What a gate or a guard waits for.
struct Waits {
    /// As it is now; `None` where nothing of it can be seen from here.
    seen: Option<Status>,
    /// The names of those that only the task itself can tell of, with what they are.
    hidden: Vec<(String, String)>,
    /// The same as the task itself has it in each allocation where it runs; `None` where that does not answer.
    own: Vec<(AllocId, Option<Own>)>,
}

impl Waits {
    async fn of(manifest: &Manifest, home: &Namespace, connection: &Connection) -> Result<Self, Failure> {
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
    async fn ask(&mut self, client: &Client, task: &str, placed: Vec<&Placed>) {
        let running: Vec<&Placed> = placed.into_iter().filter(|placed| placed.runs(task)).collect();
        let asked = running.iter().take(ASKED).map(|placed| Own::of(client, placed, task));
        let asked: Vec<_> = asked.collect();
        let answers: Vec<Option<Own>> = stream::iter(asked).buffered(AT_A_TIME).collect().await;
        let ids = running.iter().map(|placed| placed.alloc.clone());
        self.own = ids.zip(answers.into_iter().chain(std::iter::repeat_with(|| None))).collect();
    }

    fn text(&self) -> String {
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
    fn times(&self, now: Time) -> String {
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
    fn allocations(&self) -> Vec<Value> {
        let document = |(alloc, own): &(AllocId, Option<Own>)| json!({ "id": alloc.as_str(), "waits": own.as_ref().map(Own::documents) });
        self.own.iter().map(document).collect()
    }

    fn documents(&self) -> Vec<Value> {
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

    fn hidden(&self) -> Vec<Value> {
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
struct Own(BTreeMap<String, Value>);

impl Own {
    /// Asks a task that runs; `None` where a right is missing, where it has just ended, is of an older dtree, or is out of reach.
    async fn of(client: &Client, placed: &Placed, task: &str) -> Option<Self> {
        let answer = client.exec(&placed.alloc, &placed.key.namespace, task, &["why", "--json"]);
        Self::read(&timeout(ANSWERS, answer).await.ok()?.ok()?.stdout)
    }

    fn read(answer: &str) -> Option<Self> {
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
fn instant(spelled: &Value) -> Option<Time> {
    let millis = spelled.as_str()?.parse::<jiff::Timestamp>().ok()?.as_millisecond();
    Some(Time::from_unix_millis(u64::try_from(millis).ok()?))
}

/// What is seen of each, whether it is as it should be or not.
fn told(status: &Status) -> String {
    let mut text = String::new();
    for node in status.nodes.iter().filter(|node| node.state == "satisfied") {
        let _ = writeln!(text, "{}: satisfied: {}", node.name, node.detail);
    }
    if status.nodes.iter().any(|node| node.state != "satisfied") {
        // How the look ended says nothing of what was looked at, and its time limit is none of the task's.
        let mut open = status.clone();
        open.ending = None;
        for node in &mut open.nodes {
            node.gives_up = None;
        }
        // Since when is not known from here: the look has only just begun.
        let told = show::why(&open);
        let lines = told.split_inclusive('\n').filter(|line| !line.starts_with("    since "));
        text.extend(lines);
    }
    text
}

#[cfg(test)]
mod tests;

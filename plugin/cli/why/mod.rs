//! `dtree why`: what holds a task, a tree or a job up, by what Nomad shows now.

mod waits;

use std::fmt::Write as _;

use serde_json::{Value, json};

use self::waits::Waits;
use super::{
    Failure, Outcome,
    connect::{Connection, block_on, refused},
    look::look,
    print,
    sight::{Row, Sight, manifest},
    subject::{allocations, is_too_short},
};
use crate::{
    cluster::JobKey,
    engine::Status,
    manifest::{Subject, Wait},
    nomad::{Client, Declaration, Placed},
    runner::{self, Times},
    show,
};

/// How many of a task's last events are told.
const EVENTS: usize = 3;

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

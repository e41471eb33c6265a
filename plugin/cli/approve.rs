//! `dtree approve`: gives an approval that a gate or a tree waits for.
//!
//! A task is told as `nomad alloc exec … approve` tells it, in the same words. A tree that is carried out from a shell has no
//! allocation; it asks beside its record (`record/approvals.rs`).

use std::{collections::BTreeSet, time::Duration};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    FAILED, Failure, Outcome,
    connect::{Connection, block_on, refused},
    events::parts,
    print,
    sight::manifest,
    subject::allocations,
};
use crate::{
    cluster::{JobKey, Namespace, TreeName},
    manifest::Subject,
    nomad::{Client, Error, Executed, Placed},
    record,
};

/// How many tasks are asked at a time.
const AT_A_TIME: usize = 8;
/// How long a process may take to hear of its approval: it looks every second.
const HEAR: Duration = Duration::from_secs(20);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(250);
/// What is said where nothing is to be approved.
const NOTHING: &str = "dtree: nothing waits for an approval now\n";

/// What is approved.
#[derive(clap::Args)]
pub(super) struct Options {
    /// A job with gates, a tree, or an allocation (at least the first eight letters of its ID)
    subject: String,
    /// The wait that is approved; may be left out where only one waits for it
    name: Option<String>,
    /// Who approves it, for the record
    #[arg(long, value_name = "TEXT")]
    by: Option<String>,
    /// Approve it in each allocation that waits for it
    #[arg(long)]
    all: bool,
    /// One JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Gives it.
pub(super) fn run(options: &Options) -> Outcome {
    let by = options.by.as_deref().filter(|by| !by.trim().is_empty());
    let namespace = options.connection.namespace()?.unwrap_or_else(|| "default".into());
    let key = JobKey { namespace, job: options.subject.as_str().into() };
    block_on(async {
        let client = options.connection.client().await?;
        let waiting = Waiting::of(&client, &key).await?;
        let mut given = Vec::new();
        let outcome = async {
            for open in waiting.meant(options)? {
                let said = open.give(&client, by).await?;
                if !options.json {
                    print(&said)?;
                }
                given.push(open);
            }
            Ok(())
        };
        let outcome: Outcome = outcome.await;
        if options.json {
            let (message, help) = outcome.as_ref().err().map(|failure| parts(&failure.why)).unzip();
            let document = json!({
                "approved": given.iter().map(|open| open.document()).collect::<Vec<_>>(),
                "open": waiting.open.iter().map(Open::document).collect::<Vec<_>>(),
                "message": message, "help": help.flatten(),
            });
            print(&format!("{document:#}\n"))?;
        }
        outcome
    })
}

/// All that waits for an approval.
struct Waiting {
    open: Vec<Open>,
    /// Whether anything runs that may wait for one.
    runs: bool,
}

impl Waiting {
    /// What the tasks of the job `key` wait for, and the process that carries out the tree of that name; where there is
    /// neither, the tasks of the allocations whose IDs begin like this.
    async fn of(client: &Client, key: &JobKey) -> Result<Self, Failure> {
        let begun = allocations(client, key.job.as_str()).await?;
        let is_begun = !begun.is_empty();
        let placed = match client.placed_of(key).await {
            Ok(placed) => placed,
            // Whoever approves what an allocation waits for need not see the jobs of this namespace.
            Err(_) if is_begun => Vec::new(),
            Err(error) => return Err(refused(&error)),
        };
        let process = of_process(client, key).await;
        let is_named = !placed.is_empty() || matches!(process, Ok(Some(_)));
        let tasks = tasks(client, if is_named { &placed } else { &begun }).await?;
        let mut runs = !tasks.is_empty();
        let (mut open, mut failure) = of_tasks(client, tasks).await;
        match process {
            Ok(asked) => {
                runs |= asked.is_some();
                open.extend(asked.into_iter().flatten());
            }
            // Whoever approves tasks need not read variables.
            Err(error) if error.is_denied() => {
                failure = failure.or_else(|| (!runs && !is_begun).then(|| refused(&error)));
            }
            Err(error) => return Err(refused(&error)),
        }
        match failure {
            // One that could not be asked matters where nothing else was found.
            Some(failure) if open.is_empty() => Err(failure),
            _ => Ok(Self { open, runs }),
        }
    }

    /// Those that are meant.
    fn meant(&self, options: &Options) -> Result<Vec<&Open>, Failure> {
        let Options { subject, name, all, .. } = options;
        let failed = |why: String| Err(Failure { why, code: FAILED });
        let names: BTreeSet<&str> = self.open.iter().map(|open| open.name.as_str()).collect();
        let list = names.iter().copied().collect::<Vec<_>>().join(", ");
        match (name, names.first()) {
            (_, None) if self.runs => failed(NOTHING.to_owned()),
            (_, None) => failed(format!(
                "dtree: nothing waits for an approval now: {subject} has no task of dtree that runs and may wait for one\n\n\
                 hint: `dtree why {subject}` tells what it is about; a job or tree elsewhere takes `--namespace`\n"
            )),
            (Some(name), _) if !names.contains(name.as_str()) => {
                failed(format!("dtree: {name:?} does not wait for an approval now; these do: {list}\n"))
            }
            (None, Some(first)) if names.len() > 1 => Err(Failure::cannot(format!(
                "dtree: several approvals are waited for: {list}\n\nhint: name one: `dtree approve {subject} {first}`\n"
            ))),
            _ => {
                let is_meant = |open: &&Open| name.as_ref().is_none_or(|name| open.name == *name);
                let meant: Vec<&Open> = self.open.iter().filter(is_meant).collect();
                if meant.len() == 1 || *all {
                    return Ok(meant);
                }
                let who: Vec<String> = meant.iter().map(|open| open.who()).collect();
                Err(Failure::cannot(format!(
                    "dtree: {} tasks wait for this approval:\n    {}\n\nhint: name the allocation in place of the job, or give `--all`\n",
                    meant.len(),
                    who.join("\n    ")
                )))
            }
        }
    }
}

/// Who waits for an approval.
enum Waiter {
    /// A task.
    Task(Box<Placed>, String),
    /// A tree that a process carries out: its namespace, its name, its run.
    Process(Namespace, TreeName, String),
}

/// An approval that is waited for.
struct Open {
    waiter: Waiter,
    name: String,
}

impl Open {
    fn who(&self) -> String {
        match &self.waiter {
            Waiter::Task(placed, task) => {
                format!("allocation {} of job {}, task {task}", placed.alloc.short(), placed.key)
            }
            Waiter::Process(_, tree, _) => format!("tree {tree}, carried out from a shell"),
        }
    }

    fn document(&self) -> Value {
        match &self.waiter {
            Waiter::Task(placed, task) => json!({
                "name": self.name, "tree": null, "allocation": placed.alloc.as_str(),
                "namespace": placed.key.namespace, "job": placed.key.job, "group": placed.group, "task": task,
            }),
            Waiter::Process(namespace, tree, _) => json!({
                "name": self.name, "tree": tree, "allocation": null,
                "namespace": namespace, "job": null, "group": null, "task": null,
            }),
        }
    }

    /// Gives it, and waits until it is heard. What is said then.
    async fn give(&self, client: &Client, by: Option<&str>) -> Result<String, Failure> {
        match &self.waiter {
            Waiter::Task(placed, task) => {
                let mut words = vec!["approve", &self.name];
                words.extend(by.into_iter().flat_map(|by| ["--by", by]));
                let answer = client.exec(&placed.alloc, &placed.key.namespace, task, &words).await;
                let Executed { stdout, stderr, exit_code } = answer.map_err(|error| refused(&error))?;
                match u8::try_from(exit_code).unwrap_or(FAILED) {
                    0 => Ok(stdout),
                    code => Err(Failure { why: stderr, code }),
                }
            }
            Waiter::Process(namespace, tree, run) => {
                tell(client, namespace, tree, run, &self.name, by).await?;
                Ok(format!("{} is approved\n", self.name))
            }
        }
    }
}

/// The tasks of dtree among `placed` that run, and may wait for an approval.
async fn tasks(client: &Client, placed: &[Placed]) -> Result<Vec<(Placed, String)>, Failure> {
    let runs = |placed: &&Placed| placed.tasks.keys().any(|task| placed.runs(task));
    let declared = placed.iter().filter(runs).map(|placed| async move {
        let declared = client.declarations_in(placed).await.map_err(|error| refused(&error))?;
        let tasks = declared.into_iter().filter(|declared| {
            // What cannot be read from here may have one.
            let may_wait = manifest(&declared.config).is_none_or(|manifest| {
                manifest.waits.values().any(|wait| matches!(wait.subject, Subject::Approval { .. }))
            });
            placed.runs(&declared.task) && may_wait
        });
        Ok(tasks.map(|declared| (placed.clone(), declared.task)).collect::<Vec<_>>())
    });
    let declared: Vec<_> = declared.collect();
    let declared: Vec<Result<Vec<_>, Failure>> = stream::iter(declared).buffered(AT_A_TIME).collect().await;
    let declared: Vec<Vec<_>> = declared.into_iter().collect::<Result<_, _>>()?;
    Ok(declared.into_iter().flatten().collect())
}

/// What the tasks wait for, and why the first that could not be asked could not.
async fn of_tasks(client: &Client, tasks: Vec<(Placed, String)>) -> (Vec<Open>, Option<Failure>) {
    let asked = tasks.into_iter().map(|(placed, task)| async move {
        let answer = client.exec(&placed.alloc, &placed.key.namespace, &task, &["approvals"]).await;
        (placed, task, answer)
    });
    let mut asked = stream::iter(asked.collect::<Vec<_>>()).buffered(AT_A_TIME);
    let (mut open, mut failure) = (Vec::new(), None);
    while let Some((placed, task, answer)) = asked.next().await {
        match answer {
            Ok(answer) => open.extend(answer.stdout.lines().map(|name| Open {
                waiter: Waiter::Task(Box::new(placed.clone()), task.clone()),
                name: name.to_owned(),
            })),
            Err(error) => failure = failure.or_else(|| Some(refused(&error))),
        }
    }
    (open, failure)
}

/// What the process that carries out the tree asks for; `None` where none does.
async fn of_process(client: &Client, key: &JobKey) -> Result<Option<Vec<Open>>, Error> {
    let (namespace, tree) = (&key.namespace, TreeName::from(key.to_string()));
    let Some(asked) = record::asked(client, namespace, &tree).await? else { return Ok(None) };
    let waiter = || Waiter::Process(namespace.clone(), tree.clone(), asked.run.clone());
    Ok(Some(asked.open.iter().map(|name| Open { waiter: waiter(), name: name.clone() }).collect()))
}

/// Writes it down for the process that carries the tree out, and waits until that has heard of it.
async fn tell(
    client: &Client,
    namespace: &Namespace,
    tree: &TreeName,
    run: &str,
    name: &str,
    by: Option<&str>,
) -> Outcome {
    let over = || Failure { why: NOTHING.to_owned(), code: FAILED };
    loop {
        match record::give(client, namespace, tree, run, name, by.map(str::to_owned)).await {
            Ok(true) => break,
            Ok(false) => return Err(over()),
            // It is written by the other side at this moment.
            Err(error) if error.is_conflict() => sleep(LOOK).await,
            Err(error) => return Err(refused(&error)),
        }
    }
    let deadline = Instant::now() + HEAR;
    while Instant::now() < deadline {
        let asked = record::asked(client, namespace, tree).await.map_err(|error| refused(&error))?;
        let asked = asked.filter(|asked| asked.run == run).ok_or_else(over)?;
        if asked.taken.iter().any(|taken| taken == name) {
            return Ok(());
        }
        if !asked.given.contains_key(name) {
            return Err(over());
        }
        sleep(LOOK).await;
    }
    Err(Failure {
        why: format!(
            "dtree: {name} is approved, and the process that carries out tree {tree} has not heard of it within {} s\n\n\
             hint: `dtree status` shows whether it is still there\n",
            HEAR.as_secs()
        ),
        code: FAILED,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Words {
        #[command(flatten)]
        options: Options,
    }

    /// Two allocations of `web` wait for `release`, and a tree from a shell for `word`.
    fn waiting() -> Waiting {
        let task = |alloc: &str| {
            let placed = Placed {
                alloc: alloc.into(),
                key: JobKey::new("default", "web"),
                group: "g".to_owned(),
                tasks: std::collections::BTreeMap::new(),
            };
            Open { waiter: Waiter::Task(Box::new(placed), "gate".to_owned()), name: "release".to_owned() }
        };
        let process = Waiter::Process("default".into(), "default/web".to_owned().into(), "5c1d".to_owned());
        let word = Open { waiter: process, name: "word".to_owned() };
        Waiting { open: vec![task("3f2a9c41-0d1e"), task("70b1aa02-9c3d"), word], runs: true }
    }

    fn meant(waiting: &Waiting, words: &[&str]) -> String {
        let options = Words::parse_from([&["approve"], words].concat()).options;
        match waiting.meant(&options) {
            Ok(meant) => {
                let meant = meant.iter().map(|open| format!("{} of {}", open.name, open.who()));
                meant.collect::<Vec<_>>().join("\n")
            }
            Err(Failure { why, code }) => format!("{code}: {why}"),
        }
    }

    #[test]
    fn only_what_is_meant_without_a_doubt_is_given() {
        let all = waiting();
        insta::assert_snapshot!(meant(&all, &["web"]), @"
        2: dtree: several approvals are waited for: release, word

        hint: name one: `dtree approve web release`
        ");
        insta::assert_snapshot!(meant(&all, &["web", "releas"]), @r#"1: dtree: "releas" does not wait for an approval now; these do: release, word"#);
        insta::assert_snapshot!(meant(&all, &["web", "release"]), @"
        2: dtree: 2 tasks wait for this approval:
            allocation 3f2a9c41 of job default/web, task gate
            allocation 70b1aa02 of job default/web, task gate

        hint: name the allocation in place of the job, or give `--all`
        ");
        insta::assert_snapshot!(meant(&all, &["web", "release", "--all"]), @"
        release of allocation 3f2a9c41 of job default/web, task gate
        release of allocation 70b1aa02 of job default/web, task gate
        ");
        insta::assert_snapshot!(meant(&all, &["web", "word"]), @"word of tree default/web, carried out from a shell");
        insta::assert_snapshot!(meant(&Waiting { open: Vec::new(), runs: true }, &["web"]), @"1: dtree: nothing waits for an approval now");
        insta::assert_snapshot!(meant(&Waiting { open: Vec::new(), runs: false }, &["web", "word"]), @"
        1: dtree: nothing waits for an approval now: web has no task of dtree that runs and may wait for one

        hint: `dtree why web` tells what it is about; a job or tree elsewhere takes `--namespace`
        ");
    }

    #[test]
    fn what_waits_is_told_to_programs_with_who_waits() {
        let documents: Vec<String> = waiting().open.iter().map(|open| open.document().to_string()).collect();
        insta::assert_snapshot!(documents[1..].join("\n"), @r#"
        {"allocation":"70b1aa02-9c3d","group":"g","job":"web","name":"release","namespace":"default","task":"gate","tree":null}
        {"allocation":null,"group":null,"job":null,"name":"word","namespace":"default","task":null,"tree":"default/web"}
        "#);
    }
}

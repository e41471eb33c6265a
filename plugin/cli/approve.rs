//! `dtree approve`: gives an approval that a gate or a tree waits for.
//!
//! A task is told as `nomad alloc exec … approve` tells it, in the same words. A tree that is carried out from a shell has no
//! allocation; it asks beside its record (`record/approvals.rs`).

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, sleep};

use super::{
    FAILED, Failure, Outcome,
    connect::{Connection, block_on, refused},
    print,
    sight::manifest,
    why::allocations,
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

/// What is approved.
#[derive(clap::Args)]
pub(super) struct Options {
    /// An allocation (the first letters of its ID), a tree, or a job with gates
    subject: String,
    /// The wait that is approved; may be left out where only one waits for it
    name: Option<String>,
    /// Who approves it, for the record
    #[arg(long, value_name = "TEXT")]
    by: Option<String>,
    /// Approve it in each allocation that waits for it
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Who waits for an approval.
enum Waiter {
    /// A task.
    Task(Box<Placed>, String),
    /// A tree that a process carries out.
    Process(TreeName, String),
}

/// An approval that is waited for.
struct Open {
    waiter: Waiter,
    name: String,
}

/// Gives it.
pub(super) fn run(options: &Options) -> Outcome {
    let Options { subject, by, connection, .. } = options;
    let by = by.clone().filter(|by| !by.trim().is_empty());
    let namespace = connection.namespace()?.unwrap_or_else(|| "default".into());
    block_on(async {
        let client = connection.client().await?;
        let placed = allocations(&client, subject).await?;
        let key = JobKey { namespace: namespace.clone(), job: subject.as_str().into() };
        let (placed, tree) = match placed.as_slice() {
            [one] => (vec![one.clone()], None),
            [] => (of_job(&client, &key).await?, Some(TreeName::from(format!("{namespace}/{subject}")))),
            several => {
                let ids: Vec<String> = several.iter().map(|placed| placed.alloc.to_string()).collect();
                return Err(Failure::cannot(format!(
                    "dtree: the IDs of several allocations begin with {subject}: {}\n",
                    ids.join(", ")
                )));
            }
        };
        let tasks = tasks(&client, &placed).await?;
        let n_tasks = tasks.len();
        let asked = tasks.into_iter().map(|(placed, task)| {
            let client = &client;
            async move {
                let answer = client.exec(&placed.alloc, &placed.key.namespace, &task, &["approvals"]).await;
                (placed, task, answer)
            }
        });
        let asked: Vec<_> = stream::iter(asked).buffered(AT_A_TIME).collect().await;
        let mut open = Vec::new();
        let mut failures = Vec::new();
        for (placed, task, answer) in asked {
            match answer {
                Ok(answer) => open.extend(answer.stdout.lines().map(|name| Open {
                    waiter: Waiter::Task(Box::new(placed.clone()), task.clone()),
                    name: name.to_owned(),
                })),
                Err(error) => failures.push(refused(&error)),
            }
        }
        let mut is_led = false;
        if let Some(tree) = tree {
            match of_process(&client, &namespace, &tree).await {
                Ok(asked) => {
                    is_led = asked.is_some();
                    open.extend(asked.into_iter().flatten());
                }
                // Whoever approves tasks need not read variables.
                Err(error) if error.is_denied() => {
                    failures.extend((n_tasks == 0).then(|| refused(&error)));
                }
                Err(error) => return Err(refused(&error)),
            }
        }
        // One that could not be asked matters where nothing else was found.
        if let Some(failure) = failures.into_iter().next()
            && open.is_empty()
        {
            return Err(failure);
        }
        let chosen = choose(options, open, n_tasks > 0 || is_led)?;
        for open in &chosen {
            give(&client, &namespace, open, by.as_deref()).await?;
        }
        Ok(())
    })
}

/// The allocations of a job that are not over, and none where there is no such job.
async fn of_job(client: &Client, key: &JobKey) -> Result<Vec<Placed>, Failure> {
    client.placed_of(key).await.map_err(|error| refused(&error))
}

/// The tasks of dtree among them that run, and may wait for an approval.
async fn tasks(client: &Client, placed: &[Placed]) -> Result<Vec<(Placed, String)>, Failure> {
    let runs = |placed: &&Placed| placed.tasks.values().any(|(state, _)| state == "running");
    let declared = placed.iter().filter(runs).map(|placed| async move {
        let declared = client.declarations_in(placed).await.map_err(|error| refused(&error))?;
        let tasks = declared.into_iter().filter(|declared| {
            let is_running = placed.tasks.get(&declared.task).is_some_and(|(state, _)| state == "running");
            // What cannot be read from here may have one.
            let may_wait = manifest(&declared.config).is_none_or(|manifest| {
                manifest.waits.values().any(|wait| matches!(wait.subject, Subject::Approval { .. }))
            });
            is_running && may_wait
        });
        Ok(tasks.map(|declared| (placed.clone(), declared.task)).collect::<Vec<_>>())
    });
    let declared: Vec<_> = declared.collect();
    let declared: Vec<Result<Vec<_>, Failure>> = stream::iter(declared).buffered(AT_A_TIME).collect().await;
    let declared: Vec<Vec<_>> = declared.into_iter().collect::<Result<_, _>>()?;
    Ok(declared.into_iter().flatten().collect())
}

/// What the process that carries out the tree asks for; `None` where none does.
async fn of_process(
    client: &Client,
    namespace: &Namespace,
    tree: &TreeName,
) -> Result<Option<Vec<Open>>, Error> {
    let Some(asked) = record::asked(client, namespace, tree).await? else { return Ok(None) };
    let open = asked
        .open
        .into_iter()
        .map(|name| Open { waiter: Waiter::Process(tree.clone(), asked.run.clone()), name });
    Ok(Some(open.collect()))
}

/// Those that are meant. `runs` says whether anything that may wait for an approval runs at all.
fn choose(options: &Options, open: Vec<Open>, runs: bool) -> Result<Vec<Open>, Failure> {
    let Options { subject, name, all, .. } = options;
    let failed = |why: String| Err(Failure { why, code: FAILED });
    if open.is_empty() {
        return failed(if runs {
            "dtree: nothing waits for an approval now\n".to_owned()
        } else {
            format!(
                "dtree: nothing waits for an approval now: {subject} has no task of dtree that runs and may wait for one\n\n\
                 hint: `dtree why {subject}` tells what it is about; a job or tree elsewhere takes `--namespace`\n"
            )
        });
    }
    let names: BTreeSet<&str> = open.iter().map(|open| open.name.as_str()).collect();
    let list: Vec<&str> = names.iter().copied().collect();
    if let Some(name) = name
        && !names.contains(name.as_str())
    {
        return failed(format!(
            "dtree: {name:?} does not wait for an approval now; these do: {}\n",
            list.join(", ")
        ));
    }
    if name.is_none() && names.len() > 1 {
        return Err(Failure::cannot(format!(
            "dtree: several approvals are waited for: {}\n\nhint: name one: `dtree approve {subject} {}`\n",
            list.join(", "),
            list.first().copied().unwrap_or_default()
        )));
    }
    let meant: Vec<Open> =
        open.into_iter().filter(|open| name.as_ref().is_none_or(|name| open.name == *name)).collect();
    if meant.len() > 1 && !all {
        let mut why = format!("dtree: {} tasks wait for this approval:\n", meant.len());
        for open in &meant {
            // Writing into a string cannot fail.
            let _ = match &open.waiter {
                Waiter::Task(placed, task) => {
                    writeln!(
                        why,
                        "    allocation {} of job {}, task {task}",
                        placed.alloc.short(),
                        placed.key
                    )
                }
                Waiter::Process(tree, _) => writeln!(why, "    tree {tree}, carried out from a shell"),
            };
        }
        why.push_str("\nhint: name the allocation in place of the job, or give `--all`\n");
        return Err(Failure::cannot(why));
    }
    Ok(meant)
}

/// Gives it, and waits until it is heard.
async fn give(client: &Client, namespace: &Namespace, open: &Open, by: Option<&str>) -> Outcome {
    match &open.waiter {
        Waiter::Task(placed, task) => {
            let mut words = vec!["approve", &open.name];
            words.extend(by.into_iter().flat_map(|by| ["--by", by]));
            let answer = client.exec(&placed.alloc, &placed.key.namespace, task, &words).await;
            let Executed { stdout, stderr, exit_code } = answer.map_err(|error| refused(&error))?;
            print(&stdout)?;
            match u8::try_from(exit_code).unwrap_or(FAILED) {
                0 => Ok(()),
                code => Err(Failure { why: stderr, code }),
            }
        }
        Waiter::Process(tree, run) => tell(client, namespace, tree, run, &open.name, by).await,
    }
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
    let over = || Failure { why: "dtree: nothing waits for an approval now\n".to_owned(), code: FAILED };
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
            return print(&format!("{name} is approved\n"));
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

//! `dtree status`: how a tree stands; `dtree history`: how its last runs ended.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _},
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    FAILED, Failure, INTERRUPTED, Outcome,
    connect::{Connection, Interrupts, block_on, refused},
    print, screen,
    sight::{Row, Sight, verb},
    table::Table,
    told,
};
use crate::{
    cluster::{Namespace, TreeName, VARIABLES},
    engine::Spoken,
    nomad::Client,
    record,
    runner::wall_clock,
};

/// How often `--watch` looks.
const EVERY: Duration = Duration::from_secs(2);
/// Goes to the upper left corner of a terminal, and clears it.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Which tree, and how it is shown.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Its name: that of its job, or of the tree in its file; without, all trees are listed
    tree: Option<String>,
    /// Look again every two seconds, until Ctrl-C
    #[arg(long, requires = "tree")]
    watch: bool,
    /// Print JSON; with `--watch` an object a line, whenever something has changed
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Which tree's history.
#[derive(clap::Args)]
pub(super) struct Past {
    /// Its name: that of its job, or of the tree in its file
    tree: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Shows a tree, or lists all.
pub(super) fn run(options: &Options) -> Outcome {
    let connection = &options.connection;
    let namespace = connection.namespace()?.unwrap_or_else(|| "default".into());
    block_on(async {
        let mut interrupts = Interrupts::catch()?;
        let client = connection.client().await?;
        let Some(name) = &options.tree else {
            return list(&client, &namespace, options.json).await;
        };
        let interrupted = || Failure { why: String::new(), code: INTERRUPTED };
        // The last that was told, and the last trouble.
        let (mut last, mut trouble) = (String::new(), String::new());
        loop {
            let shown = tokio::select! {
                biased;
                () = interrupts.next() => return Err(interrupted()),
                shown = show(&client, &namespace, name, options) => shown,
            };
            match shown {
                Ok((text, is_up)) if !options.watch => {
                    print(&text)?;
                    return if is_up { Ok(()) } else { Err(Failure { why: String::new(), code: FAILED }) };
                }
                Ok((text, _)) => {
                    let is_terminal = io::stdout().is_terminal() && !options.json;
                    let is_heard = if is_terminal {
                        told(&format!("{CLEAR}{text}"))?
                    } else if text != last {
                        told(&if options.json { text.clone() } else { format!("{text}\n") })?
                    } else {
                        true
                    };
                    if !is_heard {
                        return Ok(());
                    }
                    (last, trouble) = (text, String::new());
                }
                // Whoever watches waits for Nomad to come back; a first look that fails ends it.
                Err(failure) if options.watch && !last.is_empty() => {
                    if failure.why != trouble {
                        screen::write(&failure.why);
                        trouble = failure.why;
                    }
                }
                Err(failure) => return Err(failure),
            }
            tokio::select! {
                biased;
                () = interrupts.next() => return Err(interrupted()),
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    })
}

async fn show(
    client: &Client,
    namespace: &Namespace,
    name: &str,
    options: &Options,
) -> Result<(String, bool), Failure> {
    let Some(sight) = Sight::of(client, namespace, name).await? else {
        return Err(unknown(namespace, name));
    };
    let rows = sight.rows(&options.connection).await?;
    let is_up = sight.is_up(&rows);
    let text = match (options.json, options.watch) {
        (true, true) => format!("{}\n", sight.document(&rows)),
        (true, false) => format!("{:#}\n", sight.document(&rows)),
        (false, _) => text(&sight, &rows, is_up),
    };
    Ok((text, is_up))
}

/// That there is no such tree.
pub(super) fn unknown(namespace: &Namespace, name: &str) -> Failure {
    Failure::cannot(format!(
        "dtree: nothing is known of a tree {name} in namespace {namespace}\n\nhint: `dtree status` lists all that have a record; one that has never run has none\n"
    ))
}

/// A tree, for people.
fn text(sight: &Sight, rows: &[Row], is_up: bool) -> String {
    let mut text = format!("Tree          = {}\n", sight.tree);
    // Writing into a string cannot fail.
    let _ = writeln!(text, "Up            = {is_up}");
    if let Some(plan) = &sight.plan {
        let _ = writeln!(text, "Verb          = {}", verb(plan));
    }
    let _ = writeln!(text, "Run           = {}\n", sight.run());
    let now = wall_clock();
    let mut table = Table::new(["Step", "Kind", "State", "Since", "Job", "Detail"]);
    for row in rows {
        table.add([
            row.name.clone(),
            row.kind.to_owned(),
            row.state.to_owned(),
            row.since.map_or_else(|| "-".to_owned(), |since| Spoken(now.since(since)).to_string()),
            row.job.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            row.detail.clone(),
        ]);
    }
    text.push_str(&table.text());
    for row in rows {
        if let Some(help) = &row.help {
            let _ = writeln!(text, "\nhint: {}: {help}", row.name);
        }
    }
    text
}

/// All trees that have a record in a namespace.
async fn list(client: &Client, namespace: &Namespace, is_json: bool) -> Outcome {
    let prefix = format!("{VARIABLES}/");
    let found = client.list_variables(namespace, &prefix).await.map_err(|error| refused(&error))?;
    let names = found.iter().filter_map(|stub| {
        let name = stub.path.strip_prefix(&prefix)?.strip_suffix("/~run")?;
        (!name.starts_with('~')).then(|| name.to_owned())
    });
    let mut table = Table::new(["Tree", "Last run", "Result", "Ended", "Message"]);
    let mut trees = Vec::new();
    for name in names {
        let runs = record::past_runs(client, namespace, &TreeName::from(name.clone())).await;
        let runs = runs.map_err(|error| refused(&error))?;
        let last = runs.last().cloned().unwrap_or_default();
        table.add([
            name.clone(),
            word(&last, "run"),
            result(&last),
            word(&last, "ended"),
            word(&last, "message"),
        ]);
        trees.push(json!({ "tree": name, "last_run": last }));
    }
    match (is_json, trees.is_empty()) {
        (true, _) => print(&format!("{:#}\n", Value::from(trees))),
        (false, true) => print(&format!("No tree has a record in namespace {namespace}.\n")),
        (false, false) => print(&table.text()),
    }
}

/// Shows how the last runs ended.
pub(super) fn history(options: &Past) -> Outcome {
    let namespace = options.connection.namespace()?.unwrap_or_else(|| "default".into());
    let tree = TreeName::from(format!("{namespace}/{}", options.tree));
    block_on(async {
        let client = options.connection.client().await?;
        let runs = record::past_runs(&client, &namespace, &tree).await.map_err(|error| refused(&error))?;
        if options.json {
            return print(&format!("{:#}\n", Value::from(runs)));
        }
        if runs.is_empty() {
            return Err(unknown(&namespace, &options.tree));
        }
        let mut table = Table::new(["Run", "Began", "Ended", "Result", "Message"]);
        for run in &runs {
            table.add([
                word(run, "run"),
                word(run, "began"),
                word(run, "ended"),
                result(run),
                word(run, "message"),
            ]);
        }
        print(&table.text())
    })
}

fn word(run: &Value, key: &str) -> String {
    run.get(key).and_then(Value::as_str).unwrap_or("-").to_owned()
}

fn result(run: &Value) -> String {
    match run.get("good").and_then(Value::as_bool) {
        Some(true) => "succeeded",
        Some(false) => "failed",
        None => "-",
    }
    .to_owned()
}

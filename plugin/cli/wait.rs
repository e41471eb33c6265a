//! `dtree wait`: a gate for scripts.

use std::{
    fmt::Write as _,
    io::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Map, Value, json};

use super::{
    FAILED, Failure, INTERRUPTED, Outcome,
    connect::{Connection, Interrupts, block_on},
    consul::{ConsulOptions, is_of_consul},
    look::Gate,
    print,
};
use crate::{
    engine::{Line, Status},
    manifest::{Manifest, Problem, Subject, text},
    plan::Plan,
    runner::{Ending, Notices},
};

/// How conditions are written, for messages.
const FORMS: &str = "write job/ID, job/ID=UNTIL, service/NAME, service/consul:NAME, tcp/HOST:PORT, http/URL, dns/NAME, \
                     variable/PATH, variable/PATH#KEY=VALUE, consul/KEY or consul/KEY=VALUE";

/// What a condition says in the first moments, which is no news.
const LOOKING: [&str; 4] =
    ["looking at Nomad", "not looked at yet", "the first look is still under way", "no answer yet"];

/// What is waited for, and how.
#[derive(clap::Args)]
pub(super) struct Options {
    /// job/ID, job/ID=UNTIL, service/NAME, service/consul:NAME, tcp/HOST:PORT, http/URL, dns/NAME, variable/PATH#KEY=VALUE,
    /// consul/KEY=VALUE; UNTIL is running, healthy, complete, failed, finished, stopped or absent
    #[arg(required = true, value_name = "CONDITION")]
    conditions: Vec<String>,
    /// How long to wait: `90s`, `5m`, `1h30m`
    #[arg(long, default_value = "5m", value_name = "TIME")]
    timeout: String,
    /// How long all must be so: `10s`
    #[arg(long, value_name = "TIME")]
    stable_for: Option<String>,
    /// Print how it ended as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    consul: ConsulOptions,
}

/// Lines for people, on stderr, none twice in a row.
#[derive(Default)]
struct Talk(Mutex<String>);

impl Notices for Talk {
    // The log says the same, and says it at once.
    fn event(&self, _: &str) {}

    fn log(&self, line: &Line) {
        let line = line.to_string();
        if LOOKING.iter().any(|words| line.ends_with(words)) {
            return;
        }
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != line {
            // Nobody may be listening any more.
            writeln!(std::io::stderr(), "==> {line}").ok();
            *last = line;
        }
    }
}

/// Waits.
pub(super) fn run(options: &Options) -> Outcome {
    let plan = plan(&options.conditions, &options.timeout, options.stable_for.as_deref())?;
    let manifest = plan.manifest();
    let consul = options.consul.way_for(manifest)?;
    let asks_nomad = manifest.waits.values().any(|wait| is_of_nomad(&wait.subject));
    let namespace = options.connection.namespace()?.unwrap_or_else(|| "default".into());
    block_on(async {
        let mut interrupts = Interrupts::catch()?;
        if asks_nomad {
            options.connection.client().await?;
        }
        let gate = Gate::begin(plan, namespace, &options.connection, consul, Arc::<Talk>::default())?;
        let ending = tokio::select! {
            biased;
            () = interrupts.next() => None,
            ending = gate.running.ended() => Some(ending),
        };
        if ending.is_none() {
            gate.running.stop();
            // It says what was still awaited.
            tokio::time::timeout(Duration::from_secs(1), gate.running.ended()).await.ok();
        }
        let status = gate.running.status();
        gate.close().await;
        if options.json {
            print(&format!("{:#}\n", document(&status, ending.as_ref())))?;
        }
        match ending {
            Some(Ending::Done) => Ok(()),
            Some(Ending::Failed { .. }) => Err(Failure { why: String::new(), code: FAILED }),
            None => Err(Failure { why: left(&status), code: INTERRUPTED }),
            Some(Ending::Stopped | Ending::Panicked) => {
                Err(Failure::cannot("dtree: the wait ended by a mistake in dtree\n"))
            }
        }
    })
}

/// The gate of all conditions.
fn plan(conditions: &[String], timeout: &str, stable_for: Option<&str>) -> Result<Plan, Failure> {
    let mut waits = Map::new();
    let mut wrong = String::new();
    for condition in conditions {
        match read(condition) {
            Ok(mut wait) => {
                wait.insert("timeout".to_owned(), timeout.into());
                if let Some(stable_for) = stable_for {
                    wait.insert("stable_for".to_owned(), stable_for.into());
                }
                waits.insert(condition.clone(), wait.into());
            }
            Err(why) => {
                // Writing into a string cannot fail.
                let _ = writeln!(wrong, "dtree: `{condition}` {why}; {FORMS}");
            }
        }
    }
    if !wrong.is_empty() {
        return Err(Failure::cannot(wrong));
    }
    let (manifest, problems): (Manifest, _) = text::of_config(&json!({ "wait": waits }));
    Plan::compile(manifest, problems).map_err(|problems| {
        let say = |problem: &Problem| {
            let place = problem.place().trim_start_matches("wait ");
            let help = problem.help().map(|help| format!(" ({help})")).unwrap_or_default();
            format!("dtree: {place}: {}{help}\n", problem.text())
        };
        // The same time limit is in all of them.
        let mut said: Vec<String> = Vec::new();
        for problem in problems.iter() {
            let is_known = |other: &String| other.contains(problem.text());
            if !said.iter().any(is_known) {
                said.push(say(problem));
            }
        }
        Failure::cannot(said.concat())
    })
}

/// A condition as the `wait` block that it is.
fn read(condition: &str) -> Result<Map<String, Value>, &'static str> {
    let (kind, rest) = condition.split_once('/').ok_or("is no condition")?;
    if rest.is_empty() {
        return Err("does not say what of it");
    }
    let mut wait = Map::new();
    let mut put = |name: &str, value: &str| {
        wait.insert(name.to_owned(), value.into());
    };
    let (name, value) = match rest.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (rest, None),
    };
    match kind {
        "job" => {
            put("job", name);
            if let Some(until) = value {
                put("until", until);
            }
        }
        "service" => match rest.split_once(':') {
            Some(("consul", name)) => {
                put("service", name);
                put("provider", "consul");
            }
            _ => put("service", rest),
        },
        "tcp" => put("tcp", rest),
        "http" | "https" => {
            // `http/http://…` says it twice, and `http://…` is what people write.
            let url = rest.trim_start_matches('/');
            if url.contains("://") {
                put("http", url);
            } else {
                put("http", &format!("{kind}://{url}"));
            }
        }
        "http:" | "https:" => put("http", condition),
        "dns" => put("dns", rest),
        "variable" => {
            let (path, key) = match name.split_once('#') {
                Some((path, key)) => (path, Some(key)),
                None => (name, None),
            };
            put("variable", path);
            if let Some(key) = key {
                put("key", key);
            }
            if let Some(value) = value {
                put("equals", value);
            }
        }
        "consul" => {
            put("consul_key", name);
            if let Some(value) = value {
                put("equals", value);
            }
        }
        _ => return Err("is of no kind that is known"),
    }
    Ok(wait)
}

fn is_of_nomad(subject: &Subject) -> bool {
    !is_of_consul(subject) && !matches!(subject, Subject::Probe(_))
}

/// What was still awaited when the user wanted an end.
fn left(status: &Status) -> String {
    let mut said = "==> Interrupted: not all that was waited for is so\n".to_owned();
    for node in status.nodes.iter().filter(|node| node.state != "satisfied") {
        // Writing into a string cannot fail.
        let _ = writeln!(said, "    still awaited: {}: {}", node.name, node.detail);
    }
    said
}

/// How it ended, for programs.
fn document(status: &Status, ending: Option<&Ending>) -> Value {
    let conditions: Vec<Value> = status
        .nodes
        .iter()
        .map(|node| json!({ "condition": node.name, "state": node.state, "detail": node.detail }))
        .collect();
    json!({
        "met": ending == Some(&Ending::Done),
        "interrupted": ending.is_none(),
        "message": status.ending,
        "conditions": conditions,
    })
}

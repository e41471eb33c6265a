//! The oracle: reads Nomad's own records, and says which gates opened early.
//!
//! ```text
//! jobs, their versions ──▶ what a gate had to wait for ┐
//!                                                      ├──▶ findings
//! allocations ──▶ when what was so, when who started ──┘
//! ```
//!
//! It knows nothing of the plugin: no code, no log, no word that the plugin has said. A gate opened at the time at
//! which Nomad saw its task end well; what it waited for was so at the times that the Nomad client has noted down.
//! Where it cannot tell, it says so, as a finding.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::harness::Api;

mod expression;
pub(crate) mod trees;

/// The attributes of a wait for something that Nomad has no record of.
const OUTSIDE: [&str; 6] = ["service", "tcp", "http", "dns", "variable", "consul_key"];
/// Nomad notes a task's start down a little after the driver has started it.
const CLOCKS: Duration = Duration::from_millis(500);

/// How much later than an allocation's own checks Nomad's client finds it healthy, at the most: it looks twice a second.
const TRACKER: Nanos = 5_000_000_000;
/// `min_healthy_time` of a group that says none.
const MIN_HEALTHY: Nanos = 10_000_000_000;

/// Nanoseconds since 1970.
pub(crate) type Nanos = i128;

/// What Nomad has recorded about one job.
#[derive(Debug, Default, Clone)]
pub(crate) struct JobRecord {
    /// Every version that is kept, as submitted.
    pub(crate) versions: Vec<Value>,
    /// Every allocation that is kept.
    pub(crate) allocations: Vec<Value>,
}

impl JobRecord {
    fn version(&self, version: &Value) -> Option<&Value> {
        self.versions.iter().find(|job| job["Version"] == *version)
    }

    /// The version that was current at a time.
    fn current(&self, at: Nanos) -> Option<&Value> {
        let before = self.versions.iter().filter(|job| number(&job["SubmitTime"]) <= at);
        before.max_by_key(|job| (number(&job["SubmitTime"]), number(&job["Version"])))
    }
}

/// What Nomad has recorded about some jobs and all that their gates wait for, by namespace and ID.
#[derive(Debug, Default, Clone)]
pub(crate) struct Record {
    /// A job that a gate waits for, and that is not there, is there without versions.
    pub(crate) jobs: BTreeMap<(String, String), JobRecord>,
    /// Since when what is no job may be so, by the ID of the job that waits and the wait's label. Nomad has no record of
    /// it; the story has noted it down just before it made it so.
    pub(crate) outside: BTreeMap<(String, String), Nanos>,
}

impl Record {
    /// Asks Nomad. `jobs` are IDs with their namespaces.
    pub(crate) fn read(api: &Api, jobs: &[(String, String)]) -> Result<Self, String> {
        let mut record = Self::default();
        let mut wanted: Vec<(String, String)> =
            jobs.iter().map(|(id, namespace)| (namespace.clone(), id.clone())).collect();
        while let Some((namespace, id)) = wanted.pop() {
            let list = |what: &str| -> Result<Value, String> {
                let path = format!("/v1/job/{id}/{what}?namespace={namespace}&all=true");
                match api.get(&path) {
                    Ok(found) => Ok(found),
                    Err(error) if error.is_not_found() => Ok(Value::Null),
                    Err(error) => Err(error.to_string()),
                }
            };
            let versions = array(&list("versions")?["Versions"]);
            let allocations = array(&list("allocations")?);
            for needs in versions.iter().flat_map(needs_of) {
                let jobs = needs.waits.iter().flat_map(Need::all).filter_map(Need::job);
                wanted.extend(jobs.filter(|job| !record.jobs.contains_key(job)));
            }
            record.jobs.insert((namespace, id), JobRecord { versions, allocations });
        }
        Ok(record)
    }
}

/// One `wait` block.
#[derive(Debug, Clone)]
struct Need {
    /// The job that waits.
    of: String,
    namespace: String,
    label: String,
    block: Value,
    /// The waits that its `when` names.
    parts: Vec<Self>,
}

impl Need {
    fn text(&self, attribute: &str) -> Option<&str> {
        self.block[attribute].as_str()
    }

    fn job(&self) -> Option<(String, String)> {
        let others = OUTSIDE.into_iter().chain(["approval", "task", "when"]);
        if others.into_iter().any(|subject| self.text(subject).is_some()) {
            return None;
        }
        let namespace = self.text("namespace").unwrap_or(&self.namespace);
        Some((namespace.to_owned(), self.text("job").unwrap_or(&self.label).to_owned()))
    }

    /// Whether it is about something that Nomad has no record of.
    fn is_outside(&self) -> bool {
        OUTSIDE.iter().any(|subject| self.text(subject).is_some())
    }

    /// It, and what its `when` names.
    fn all(&self) -> Vec<&Self> {
        std::iter::once(self).chain(self.parts.iter().flat_map(Self::all)).collect()
    }

    fn is_optional(&self) -> bool {
        self.block["optional"] == true
    }

    /// When waiting was over without success, for a gate that goes on then.
    fn gives_up_after(&self) -> Option<Duration> {
        let timeout = humantime::parse_duration(self.text("timeout").unwrap_or("5m")).ok();
        let usual = if self.is_optional() { "continue" } else { "fail" };
        timeout.filter(|_| self.text("on_timeout").unwrap_or(usual) == "continue")
    }
}

/// What a group has to wait for.
#[derive(Debug, Clone)]
pub(crate) struct Needs {
    group: String,
    gate: String,
    waits: Vec<Need>,
}

/// The gates in a job, with what they wait for.
pub(crate) fn needs_of(job: &Value) -> Vec<Needs> {
    let namespace = job["Namespace"].as_str().unwrap_or("default");
    let mut all = Vec::new();
    for group in array(&job["TaskGroups"]) {
        for task in array(&group["Tasks"]) {
            let is_gate = task["Driver"] == "dtree"
                && task["Lifecycle"]["Hook"] == "prestart"
                && task["Lifecycle"]["Sidecar"] != true;
            if is_gate {
                // Nomad keeps labelled blocks as lists of maps with one key.
                let blocks = match &task["Config"]["wait"] {
                    // As one map where that was given as a value.
                    map @ Value::Object(_) => vec![map.clone()],
                    list => array(list),
                };
                let labelled = blocks.iter().filter_map(Value::as_object).flatten();
                let waits: Vec<Need> = labelled
                    .map(|(label, block)| Need {
                        of: text(&job["ID"]),
                        namespace: namespace.to_owned(),
                        label: label.clone(),
                        block: block.get(0).unwrap_or(block).clone(),
                        parts: Vec::new(),
                    })
                    .collect();
                let named: Vec<String> = waits
                    .iter()
                    .flat_map(|need| expression::names(need.text("when").unwrap_or_default()))
                    .collect();
                let mut waits = expression::joined(&waits);
                waits.retain(|need| !named.contains(&need.label));
                all.push(Needs { group: text(&group["Name"]), gate: text(&task["Name"]), waits });
            }
        }
    }
    all
}

/// What is wrong with a record: nothing, if every gate held.
pub(crate) fn judge(record: &Record) -> Vec<String> {
    let mut findings = Vec::new();
    for ((_, id), job) in &record.jobs {
        for allocation in &job.allocations {
            let Some(version) = job.version(&allocation["JobVersion"]) else { continue };
            for needs in needs_of(version) {
                judge_allocation(record, id, allocation, version, &needs, &mut findings);
            }
        }
    }
    findings
}

/// The same for allocations of jobs that should have had these gates.
pub(crate) fn judge_as_if(record: &Record, gated: &[Value]) -> Vec<String> {
    let mut findings = Vec::new();
    for spec in gated {
        let key = (spec["Namespace"].as_str().unwrap_or("default").to_owned(), text(&spec["ID"]));
        let Some(job) = record.jobs.get(&key) else { continue };
        for (allocation, needs) in
            job.allocations.iter().flat_map(|a| needs_of(spec).into_iter().map(move |n| (a, n)))
        {
            judge_allocation(record, &key.1, allocation, spec, &needs, &mut findings);
        }
    }
    findings
}

fn judge_allocation(
    record: &Record,
    id: &str,
    allocation: &Value,
    job: &Value,
    needs: &Needs,
    findings: &mut Vec<String>,
) {
    if allocation["TaskGroup"] != *needs.group {
        return;
    }
    let group = array(&job["TaskGroups"]).into_iter().find(|group| group["Name"] == *needs.group);
    let mains = array(&group.unwrap_or_default()["Tasks"]);
    let gate = &allocation["TaskStates"][&needs.gate];
    for main in mains.iter().filter(|task| task["Lifecycle"].is_null()) {
        let Some(started) = time(&allocation["TaskStates"][text(&main["Name"])]["StartedAt"]) else {
            continue;
        };
        let mut finding =
            |what: &str| findings.push(format!("{id}, allocation {}: {what}", allocation["ID"]));
        if gate.is_null() {
            for need in &needs.waits {
                if let Err(why) = was_so(record, need, allocation, started, None) {
                    finding(&format!("its main task started early: {}: {why}", need.label));
                }
            }
            continue;
        }
        let began = time(&gate["StartedAt"]);
        if began.is_some_and(|began| began > started) {
            // The gate runs again, after a restart of the whole allocation; this start belongs to the time before.
            continue;
        }
        match time(&gate["FinishedAt"]) {
            Some(opened) if opened <= started && gate["Failed"] == false => {
                for need in &needs.waits {
                    if let Err(why) = was_so(record, need, allocation, opened, began) {
                        finding(&format!("its gate opened early: {}: {why}", need.label));
                    }
                }
            }
            ended => finding(&format!(
                "its main task started at {started}, but its gate: {} failed={} at {ended:?}",
                gate["State"], gate["Failed"]
            )),
        }
    }
}

/// Whether what a gate waits for was so at a time; the error says what was not.
fn was_so(record: &Record, need: &Need, own: &Value, at: Nanos, began: Option<Nanos>) -> Result<(), String> {
    let stable_for = need.text("stable_for").and_then(|text| humantime::parse_duration(text).ok());
    let before = stable_for.map(|stable_for| {
        let stable_for = stable_for.saturating_sub(CLOCKS).as_nanos();
        at - Nanos::try_from(stable_for).unwrap_or(Nanos::MAX)
    });
    let by_itself = is_met(record, need, own, at)
        .and_then(|()| before.map_or(Ok(()), |before| is_met(record, need, own, before)));
    let gave_up = need.gives_up_after().zip(began).is_some_and(|(timeout, began)| {
        let least = timeout.saturating_sub(CLOCKS).as_nanos();
        at - began >= Nanos::try_from(least).unwrap_or(Nanos::MAX)
    });
    if gave_up { Ok(()) } else { by_itself }
}

fn is_met(record: &Record, need: &Need, own: &Value, at: Nanos) -> Result<(), String> {
    if need.is_outside() {
        return match record.outside.get(&(need.of.clone(), need.label.clone())) {
            Some(since) if *since <= at => Ok(()),
            Some(since) => Err(format!("it was made so only at {since}, after {at}")),
            None => Err("the story has never made it so".to_owned()),
        };
    }
    if need.text("approval").is_some() {
        return match record.outside.get(&(need.of.clone(), need.label.clone())) {
            Some(since) if *since > at => Err(format!("it was approved only at {since}, after {at}")),
            // Most stories do not say when.
            Some(_) | None => Ok(()),
        };
    }
    if let Some(when) = need.text("when") {
        let part = |name: &str| need.parts.iter().find(|part| part.label == name);
        let is_so = |name: &str| part(name).is_some_and(|part| is_met(record, part, own, at).is_ok());
        return if expression::holds(when, &is_so) { Ok(()) } else { Err(format!("{when} did not hold")) };
    }
    let Some(key) = need.job() else {
        let task = need.text("task").unwrap_or_default();
        let moment = if need.text("until") == Some("complete") { "FinishedAt" } else { "StartedAt" };
        let so = time(&own["TaskStates"][task][moment]).is_some_and(|time| time <= at);
        return if so {
            Ok(())
        } else {
            Err(format!("the allocation's own task {task} had no {moment} yet"))
        };
    };
    let found = record.jobs.get(&key);
    let current = found.and_then(|job| job.current(at));
    let until = need.text("until");
    let (Some(found), Some(current)) = (found, current) else {
        let may_be = until == Some("absent") || need.is_optional();
        return if may_be { Ok(()) } else { Err("there was no such job".to_owned()) };
    };
    for (key, value) in
        need.block["meta"].get(0).unwrap_or_else(|| &need.block["meta"]).as_object().into_iter().flatten()
    {
        if current["Meta"][key] != *value {
            return Err(format!("its meta {key} was {}, and not {value}", current["Meta"][key]));
        }
    }
    if need.is_optional() && found.allocations.iter().any(|allocation| allocation["ClientStatus"] == "failed")
    {
        return Ok(());
    }
    let kind = current["Type"].as_str().unwrap_or_default();
    if until.is_none() && !(current["Periodic"].is_null() && current["ParameterizedJob"].is_null()) {
        // Only its children run.
        return Ok(());
    }
    let until = until.unwrap_or(if matches!(kind, "batch" | "sysbatch") { "complete" } else { "healthy" });
    match until {
        "absent" => return Err("the job was there".to_owned()),
        "stopped" if current["Stop"] == true => return Ok(()),
        "stopped" => return Err("the job was not stopped".to_owned()),
        _ => {}
    }
    for group in array(&current["TaskGroups"]) {
        if need.text("group").is_some_and(|wanted| group["Name"] != *wanted) {
            continue;
        }
        let counts = |allocation: &&Value| {
            allocation["TaskGroup"] == group["Name"]
                && (need.block["any_version"] == true || allocation["JobVersion"] == current["Version"])
                && (need.text("scope") != Some("client") || allocation["NodeID"] == own["NodeID"])
                && number(&allocation["CreateTime"]) <= at
        };
        let allocations: Vec<&Value> = found.allocations.iter().filter(counts).collect();
        let is_live = need.text("source") != Some("nomad");
        let is_good = |allocation: &&&Value| {
            is_good(allocation, &group, until, at)
                || until == "healthy" && is_live && is_good_by_checks(allocation, &group, at)
        };
        let n_good = allocations.iter().filter(is_good).count();
        let n_wanted = wanted(need, kind, &group, &allocations, until);
        if n_good < n_wanted {
            return Err(format!("{n_good} of {n_wanted} in group {} were {until} at {at}", group["Name"]));
        }
    }
    Ok(())
}

/// How many allocations of a group it takes.
fn wanted(need: &Need, kind: &str, group: &Value, allocations: &[&Value], until: &str) -> usize {
    let everywhere = matches!(kind, "system" | "sysbatch");
    let all = if everywhere {
        allocations.len().max(1)
    } else {
        usize::try_from(number(&group["Count"])).unwrap_or(1)
    };
    match need
        .text("at_least")
        .map(|text| text.strip_suffix('%').map_or((text, false), |share| (share, true)))
    {
        Some((n, false)) => n.parse().unwrap_or(all),
        Some((share, true)) => (all * share.parse().unwrap_or(100)).div_ceil(100),
        None if until == "failed" => 1,
        None => all,
    }
}

fn is_good(allocation: &Value, group: &Value, until: &str, at: Nanos) -> bool {
    let tasks = array(&group["Tasks"]);
    let states: Vec<&Value> = tasks
        .iter()
        .filter(|task| task["Lifecycle"].is_null())
        .map(|task| &allocation["TaskStates"][text(&task["Name"])])
        .collect();
    let all = |moment: &str| states.iter().all(|state| time(&state[moment]).is_some_and(|time| time <= at));
    let health = &allocation["DeploymentStatus"];
    match until {
        "healthy" => health["Healthy"] == true && time(&health["Timestamp"]).is_some_and(|time| time <= at),
        "running" => all("StartedAt"),
        "complete" => allocation["ClientStatus"] == "complete" && all("FinishedAt"),
        "failed" => allocation["ClientStatus"] == "failed" && all("FinishedAt"),
        "finished" => all("FinishedAt"),
        _ => false,
    }
}

/// Whether an allocation with checks of Nomad's own may have been healthy by them: its tasks had run for long enough, and
/// Nomad's client, which looks more seldom, found it healthy as well, soon after.
fn is_good_by_checks(allocation: &Value, group: &Value, at: Nanos) -> bool {
    let services = array(&group["Services"]).into_iter();
    let services =
        services.chain(array(&group["Tasks"]).into_iter().flat_map(|task| array(&task["Services"])));
    let has_checks = services
        .filter(|service| service["Provider"] == "nomad")
        .any(|service| !array(&service["Checks"]).is_empty());
    let update = &group["Update"];
    let needed = update["MinHealthyTime"].as_i64().map_or(MIN_HEALTHY, Nanos::from);
    has_checks
        && update["HealthCheck"] == "checks"
        && is_good(allocation, group, "running", at - needed)
        && is_good(allocation, group, "healthy", at + TRACKER)
}

fn array(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> Nanos {
    value.as_i64().unwrap_or_default().into()
}

/// `None` for what has not happened, which Nomad writes as null or as the year 1.
fn time(value: &Value) -> Option<Nanos> {
    let time = value.as_str()?.parse::<jiff::Timestamp>().ok()?.as_nanosecond();
    (time > 0).then_some(time)
}

#[cfg(test)]
mod tests;

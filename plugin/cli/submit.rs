//! `dtree submit`: a tree and its jobspecs are handed to the cluster as a job with a task of dtree, which is followed.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use serde_json::{Value, json};
use tokio::time::{self, Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{
    FAILED, Failure, INTERRUPTED, Outcome,
    chosen::{Aim, TreeArgs},
    connect::{Connection, Interrupts, block_on, refused},
    events::{End, Events, Known},
    screen,
};
use crate::{
    cluster::{AllocId, Blindness, Job, JobKey, JobSight, RaftIndex, Sight, Unseen},
    condition::{self, Verdict},
    engine::{Line, NodeState},
    jobspec::{self, Files, SUBMITTED},
    manifest::{AtLeast, Manifest, Subject, Tree, Until, Wait, text},
    nomad::{Client, Error, LogStream},
    plan::Plan,
    runner,
    watch::{Asks, Subscription, Watch},
};

/// How often what the tree says is asked for.
const READ: Duration = Duration::from_millis(500);
/// For how long what it said last may still come: Nomad's log process writes that down after the task has ended.
const LATE: Duration = Duration::from_secs(2);
/// Between two readings of that: more than passes between two writings of Nomad's log process.
const PAUSE: Duration = Duration::from_millis(150);
/// How long a failure must have stood: Nomad shows a job as failed for the blink of an eye between two evaluations.
const STANDS: Duration = Duration::from_millis(500);

/// Hands over what the file says, and follows it unless it is to be `detached`.
pub(super) fn run(args: &TreeArgs, connection: &Connection, detached: bool, events: Events) -> Outcome {
    events.end(hand_over(args, connection, detached, events))
}

fn hand_over(
    args: &TreeArgs,
    connection: &Connection,
    detached: bool,
    events: Events,
) -> Result<End, Failure> {
    let (source, good) = args.declared()?;
    if good.declared.owner.task.is_some() {
        return Err(Failure::cannot(format!(
            "dtree: {} is a jobspec of Nomad's already\n\nhint: `nomad job run` hands it to the cluster; submit is for a tree in a file of its own\n",
            source.name()
        )));
    }
    let own = TreeArgs::own(&good, connection)?;
    let (config, plan) = if args.is_selection() {
        let plan = args.choose_of(&good, connection, Aim::Run)?.plan;
        (narrowed(&good.declared.config, plan.manifest(), args.may_leave())?, plan)
    } else {
        (good.declared.config.clone(), good.plan.clone())
    };
    let end = |known, outcome| End { tree: own.to_string(), known, outcome };
    let Some(tree) = plan.manifest().tree.as_deref() else {
        return Ok(end(Known::default(), Ok(String::new())));
    };
    block_on(async {
        let client = connection.client().await?;
        let files = Files::Disk(args.files()).read_all(tree);
        let texts = checked(&client, &files, &own, tree).await?;
        let submitted = runner::wall_clock().unix_millis().to_string();
        let job = jobspec::carrier(&own, &config, &texts, &submitted)
            .map_err(|why| Failure::cannot(format!("dtree: {why}\n")))?;
        let found = client.job(&own).await.map_err(|error| refused(&error))?;
        let over = may_replace(&client, &own, found.as_ref()).await?;
        client.register(&own, &job, over).await.map_err(|error| unregistered(&own, &error))?;
        let said = format!("Tree {own} is handed over: job {}, task {}", own.job, own.job);
        screen::write(&format!("==> {said}\n"));
        events.line(&said.into());
        if detached {
            return Ok(end(Known::default(), Ok(String::new())));
        }
        let stop = CancellationToken::new();
        let _end = stop.clone().drop_guard();
        let watch = Watch::new(None, stop);
        let viewer = connection.viewer(own.clone())?;
        let shown = watch.subscribe(viewer, [own.clone()].into(), Asks::default());
        let mut follower = Follower {
            client,
            own: own.clone(),
            steps: steps(&plan),
            events,
            submitted,
            said: 0,
            rest: Vec::new(),
            alloc: None,
            heard: Heard::default(),
            obstacle: String::new(),
            is_mute: false,
        };
        let outcome = follower.follow(shown).await;
        let known = Known { steps: follower.heard.steps(&plan), ..Known::default() };
        Ok(end(known, outcome))
    })
}

/// What of `config` was chosen: the blocks that `manifest` has, and a wait for each job that is only awaited.
///
/// # Errors
///
/// When what comes out would not be read as `manifest`: nothing else is handed over than what was chosen.
fn narrowed(config: &Value, manifest: &Manifest, may_leave: bool) -> Result<Value, Failure> {
    let cannot = |why: &str| {
        Failure::cannot(format!(
            "dtree: this part of the tree cannot be handed over alone: {why}\n\nhint: `dtree run` carries it out from here\n"
        ))
    };
    let mut config = config.clone();
    let Some(blocks) = config.as_object_mut() else { return Err(cannot("it is no object")) };
    // A part is brought up, whatever the whole is for.
    blocks.remove("verb");
    let mut keep = |kind: &str, is_kept: &dyn Fn(&str) -> bool| {
        if let Some(labelled) = blocks.get_mut(kind).and_then(Value::as_object_mut) {
            labelled.retain(|label, _| is_kept(label));
        }
    };
    let tree = manifest.tree.as_deref();
    keep("job", &|label| tree.is_some_and(|tree| tree.jobs.contains_key(label)));
    keep("hook", &|label| tree.is_some_and(|tree| tree.hooks.contains_key(label)));
    keep("wait", &|label| manifest.waits.contains_key(label));
    let waits = blocks.entry("wait").or_insert_with(|| json!({}));
    let Some(waits) = waits.as_object_mut() else { return Err(cannot("its waits are no object")) };
    for (label, wait) in &manifest.waits {
        if waits.contains_key(label) {
            continue;
        }
        let Subject::Job { job, namespace, group, .. } = &wait.subject else { continue };
        let at_least = wait.at_least.map(|at_least| match at_least {
            AtLeast::Count(count) => count.to_string(),
            AtLeast::Percent(percent) => format!("{percent}%"),
        });
        let mut block = json!({
            "job": job, "namespace": namespace, "group": group,
            "until": wait.until.map(Until::word), "at_least": at_least,
        });
        if let Some(block) = block.as_object_mut() {
            block.retain(|_, value| !value.is_null());
        }
        waits.insert(label.clone(), block);
    }
    if waits.is_empty() {
        blocks.remove("wait");
    }
    let (read, mut problems) = text::of_config(&config);
    problems.retain(|problem| !(may_leave && problem.leads_out()));
    if !problems.is_empty() {
        return Err(cannot(&problems.to_string()));
    }
    if read != *manifest {
        return Err(cannot("it says something else by itself"));
    }
    Ok(config)
}

/// The texts of all jobspecs by their paths, once Nomad has nothing against any of them.
async fn checked<'a>(
    client: &Client,
    files: &Files,
    own: &JobKey,
    tree: &'a Tree,
) -> Result<BTreeMap<&'a str, String>, Failure> {
    match jobspec::prepare(client, files, own, tree).await {
        Ok(_) => {}
        Err(jobspec::Error::Problems(problems)) => {
            return Err(Failure::cannot(format!("{problems}\n\nnothing was handed over\n")));
        }
        Err(jobspec::Error::Nomad(error)) => return Err(refused(&error)),
    }
    let mut texts = BTreeMap::new();
    for path in jobspec::paths(tree) {
        let text = files.read(path).map_err(|why| {
            Failure::cannot(format!("dtree: jobspec = {path:?} {why}\n\nnothing was handed over\n"))
        })?;
        texts.insert(path, text);
    }
    Ok(texts)
}

/// Over which write of the tree's job the new one may go; zero where there is none.
async fn may_replace(client: &Client, own: &JobKey, found: Option<&Job>) -> Result<RaftIndex, Failure> {
    let Some(job) = found else { return Ok(RaftIndex(0)) };
    if !job.meta.contains_key(SUBMITTED) {
        return Err(Failure::cannot(format!(
            "dtree: there is a job {own} already, which `dtree submit` has not made: nothing was handed over\n\n\
             hint: call the tree otherwise, or stop and purge that job: `nomad job stop -purge -namespace {} {}`\n",
            own.namespace, own.job
        )));
    }
    let allocations = client.allocations(&own.namespace, std::iter::once(&own.job)).await;
    let allocations = allocations.map_err(|error| refused(&error))?.value;
    let runs =
        allocations.iter().find(|(job, allocation)| *job == own.job && !allocation.status.is_terminal());
    if let Some((_, allocation)) = runs {
        return Err(Failure::cannot(format!(
            "dtree: tree {own} is being carried out already, by allocation {}: nothing was handed over\n\n\
             hint: wait for it with `dtree wait job/{}=finished`, or end it with `nomad job stop -namespace {} {}`\n",
            allocation.id.short(),
            own.job,
            own.namespace,
            own.job
        )));
    }
    Ok(job.job_modify_index)
}

/// That the tree's job was not registered, or that this is not known.
fn unregistered(own: &JobKey, error: &Error) -> Failure {
    let mut failure = refused(error);
    if error.is_unsettled() {
        let JobKey { namespace, job } = own;
        // Writing into a string cannot fail.
        let _ = writeln!(
            failure.why,
            "hint: it may have been handed over all the same: `nomad job status -namespace {namespace} {job}` tells"
        );
    }
    failure
}

/// The names of all steps that a tree may have, each after all that it depends on.
fn steps(plan: &Plan) -> Vec<String> {
    let mut names = plan.order().to_vec();
    let hooks = plan.manifest().tree.iter().flat_map(|tree| tree.hooks.keys());
    let around: Vec<String> = hooks.filter(|hook| !names.contains(hook)).cloned().collect();
    names.extend(around);
    names
}

/// Follows a tree that was handed over.
struct Follower {
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
    /// Its last words, once it has done its work.
    async fn follow(&mut self, mut shown: Subscription) -> Result<String, Failure> {
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
    use super::*;
    use crate::manifest::Problems;

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

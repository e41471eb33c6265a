//! `dtree plan`: what a run would do, in its order. Writes nothing.

use std::{collections::BTreeMap, fmt::Write as _};

use futures_util::{StreamExt as _, stream};
use serde_json::{Map, Value, json};

use super::{
    Failure, Outcome,
    chosen::{Aim, Chosen, TreeArgs},
    connect::{Connection, block_on, refused},
    print,
};
use crate::{
    cluster::{JobKey, Marks, Namespace},
    condition::{Change, Claim, claim, rollout},
    jobspec::{self, Prepared, with_counts_of},
    manifest::{Hook, Moment},
    nomad::{Client, Forecast},
    record,
    runner::Past,
};

/// How many jobs are looked at at a time.
const AT_A_TIME: usize = 8;

/// What would come of a job.
struct Fate {
    key: JobKey,
    /// `create`, `update`, `unchanged` or `refused`.
    action: &'static str,
    why: Option<String>,
    forecast: Forecast,
    /// The other trees that wait for it; the error says why that is not known.
    held_by: Result<Vec<String>, String>,
    /// Of a job that does not change: whether its post hooks have run for it as it is; the error says why that is not known.
    post: Option<Result<bool, String>>,
}

impl Fate {
    fn is_change(&self) -> bool {
        is_change(self.action)
    }
}

/// Whether a job of which this comes is registered anew.
fn is_change(action: &str) -> bool {
    ["create", "update"].contains(&action)
}

/// A job that an earlier run of the tree has submitted, and that the tree does not declare any more.
struct Left {
    key: JobKey,
    node: String,
}

impl Left {
    /// What stops it.
    fn remedy(&self) -> String {
        format!("nomad job stop -namespace {} {}", self.key.namespace, self.key.job)
    }
}

/// Prints the plan, as text or as JSON.
pub(super) fn run(args: &TreeArgs, connection: &Connection, is_json: bool, is_offline: bool) -> Outcome {
    let chosen = args.choose(connection, Aim::Run)?;
    let (fates, left) =
        if is_offline { (BTreeMap::new(), Vec::new()) } else { block_on(ask(&chosen, connection))? };
    let steps = steps(&chosen, &fates, is_offline);
    if is_json {
        let counts: Map<String, Value> =
            counts(&fates).into_iter().map(|(action, n)| (action.to_owned(), n.into())).collect();
        let document = json!({
            "tree": chosen.name,
            "file": args.file,
            "offline": is_offline,
            "counts": counts,
            "steps": steps.iter().map(Step::json).collect::<Vec<_>>(),
            "left_over": left
                .iter()
                .map(|left| json!({ "name": left.node, "job": left.key.to_string(), "remedy": left.remedy() }))
                .collect::<Vec<_>>(),
        });
        let text = serde_json::to_string_pretty(&document)
            .map_err(|error| Failure::cannot(format!("dtree: cannot write the plan: {error}\n")))?;
        return print(&format!("{text}\n"));
    }
    print(&text(&chosen, &fates, &left, &steps, is_offline))
}

/// Asks Nomad what would come of each job, and which are left over.
async fn ask(
    chosen: &Chosen,
    connection: &Connection,
) -> Result<(BTreeMap<String, Fate>, Vec<Left>), Failure> {
    let client = connection.client().await?;
    let Some(tree) = &chosen.plan.manifest().tree else { return Ok((BTreeMap::new(), Vec::new())) };
    let prepared = jobspec::prepare(&client, &chosen.files, &chosen.place.job, tree).await;
    let prepared = prepared.map_err(|error| match error {
        jobspec::Error::Problems(problems) => {
            let list: String = problems.iter().fold(String::new(), |mut list, problem| {
                // Writing into a string cannot fail.
                let _ = writeln!(list, "    {problem}");
                list
            });
            Failure::cannot(format!("dtree: tree {} cannot be carried out:\n{list}", chosen.name))
        }
        jobspec::Error::Nomad(error) => refused(&error),
    })?;
    let (client, prepared) = (&client, &prepared);
    let fates = tree.jobs.iter().map(|(name, job)| async move {
        Ok((name.clone(), fate(chosen, client, prepared, name, job.adopt).await?))
    });
    let fates: Vec<_> = fates.collect();
    let fates: Vec<Result<_, Failure>> = stream::iter(fates).buffered(AT_A_TIME).collect().await;
    let fates = fates.into_iter().collect::<Result<_, _>>()?;
    let left = left_over(chosen, client, prepared).await?;
    Ok((fates, left))
}

/// What carries the tree's mark, runs, and is nothing that the tree declares: neither by its label nor by its job.
async fn left_over(chosen: &Chosen, client: &Client, prepared: &Prepared) -> Result<Vec<Left>, Failure> {
    let all = client.owned_jobs(&Namespace::from("*")).await.map_err(|error| refused(&error))?;
    let declares = |key: &JobKey| {
        let labels = chosen.declared.iter();
        labels.filter_map(|label| prepared.get(label)).any(|spec| spec.blueprint.key == *key)
    };
    let left = all.into_iter().filter(|owned| !owned.is_stopped && !declares(&owned.key));
    let left = left.filter_map(|owned| {
        let (tree, node) = owned.mark?;
        let is_left = tree == chosen.name.as_str() && !chosen.declared.contains(&node);
        is_left.then_some(Left { key: owned.key, node })
    });
    Ok(left.collect())
}

async fn fate(
    chosen: &Chosen,
    client: &Client,
    prepared: &Prepared,
    name: &str,
    may_adopt: bool,
) -> Result<Fate, Failure> {
    let Some(spec) = prepared.get(name) else {
        return Err(Failure::cannot(format!("dtree: {name} was not prepared; this is a mistake in dtree\n")));
    };
    let key = spec.blueprint.key.clone();
    let marks = Marks { tree: chosen.name.clone(), node: name.to_owned(), spec: spec.blueprint.spec.clone() };
    let found = client.job(&key).await.map_err(|error| refused(&error))?;
    let refers = !chosen.plan.references(name).is_empty();
    let mut why = None;
    let action = match claim(found.as_ref(), &marks, may_adopt) {
        Claim::Create => "create",
        // Its hash is made when the values are there.
        Claim::Unchanged | Claim::Update(Change::Changed) if refers => {
            why = Some(
                "takes values from other blocks, so whether it changes is known when these are".to_owned(),
            );
            "update"
        }
        Claim::Unchanged => "unchanged",
        Claim::Update(change) => {
            why = Some(
                match change {
                    Change::Changed => "its jobspec has changed",
                    Change::Stopped => "it was stopped",
                    Change::Adopted => "it was nobody's, and is taken over",
                }
                .to_owned(),
            );
            "update"
        }
        Claim::Foreign(whose) => {
            why = Some(whose);
            "refused"
        }
    };
    let forecast = match spec.marked(&marks).filter(|_| is_change(action) && !refers) {
        Some(job) => {
            let job = found.as_ref().map_or_else(|| job.clone(), |found| with_counts_of(job.clone(), found));
            client.forecast(&key, &job).await.map_err(|error| refused(&error))?
        }
        None => Forecast::default(),
    };
    let held_by = held_by(chosen, client, &key).await;
    let has_post = |hook: &Hook| hook.moment == Moment::Post && hook.of.as_deref() == Some(name);
    let tree = chosen.plan.manifest().tree.as_deref();
    let is_asked = action == "unchanged" && tree.is_some_and(|tree| tree.hooks.values().any(has_post));
    let post = if is_asked { Some(have_run(chosen, client, &key, &marks).await) } else { None };
    Ok(Fate { key, action, why, forecast, held_by, post })
}

/// Whether the post hooks of a job have run for it as it is.
async fn have_run(chosen: &Chosen, client: &Client, key: &JobKey, marks: &Marks) -> Result<bool, String> {
    let namespace = &chosen.place.job.namespace;
    let past = Past::of(client, namespace, &chosen.name, key).await.map_err(|error| error.chain())?;
    if let Some(denied) = past.denied {
        return Err(denied.chain());
    }
    let rollout = rollout(&past.versions, past.done.as_ref(), marks);
    rollout.map(|rollout| rollout.is_done).ok_or_else(|| "the job has changed meanwhile".to_owned())
}

/// The other trees that wait for the job.
async fn held_by(chosen: &Chosen, client: &Client, key: &JobKey) -> Result<Vec<String>, String> {
    let unknown = |error: crate::nomad::Error| error.chain();
    let stubs = client.list_variables(&key.namespace, &record::held_all_of(key)).await.map_err(unknown)?;
    let mut trees = Vec::new();
    for stub in stubs {
        let found = client.variable(&key.namespace, &stub.path).await.map_err(unknown)?;
        let tree = found.and_then(|found| found.items.get("tree").cloned());
        trees.extend(tree.filter(|tree| tree != chosen.name.as_str()));
    }
    Ok(trees)
}

/// A step of the plan.
struct Step<'a> {
    name: &'a str,
    kind: &'static str,
    level: usize,
    needs: &'a [String],
    action: &'static str,
    why: Option<String>,
    fate: Option<&'a Fate>,
}

/// The steps in their order, with what would come of each.
fn steps<'a>(chosen: &'a Chosen, fates: &'a BTreeMap<String, Fate>, is_offline: bool) -> Vec<Step<'a>> {
    let plan = &chosen.plan;
    let tree = plan.manifest().tree.as_deref();
    let mut levels: BTreeMap<&str, usize> = BTreeMap::new();
    let mut steps = Vec::new();
    let last = tree.into_iter().flat_map(|tree| &tree.hooks);
    let last = last.filter(|(_, hook)| matches!(hook.moment, Moment::AfterSuccess | Moment::AfterFailure));
    let last: Vec<&String> = last.map(|(name, _)| name).collect();
    let n_levels = |levels: &BTreeMap<&str, usize>| levels.values().copied().max().unwrap_or_default();
    for name in plan.order() {
        let below = plan.needs(name).iter().filter_map(|needed| levels.get(needed.as_str())).max();
        let level = below.map_or(1, |below| below + 1);
        levels.insert(name, level);
        let needs = plan.needs(name);
        let (kind, action, why) = if plan.manifest().waits.contains_key(name) {
            ("wait", "await", None)
        } else if let Some(hook) = tree.and_then(|tree| tree.hooks.get(name)) {
            let fate = hook.of.as_ref().and_then(|job| fates.get(job));
            let (action, why) = hook_action(hook, fate, is_offline);
            ("hook", action, why)
        } else {
            let fate = fates.get(name);
            ("job", fate.map_or("unknown", |fate| fate.action), fate.and_then(|fate| fate.why.clone()))
        };
        steps.push(Step { name, kind, level, needs, action, why, fate: fates.get(name) });
    }
    let level = n_levels(&levels) + 1;
    let anything = fates.values().any(Fate::is_change);
    for name in last {
        let hook = tree.and_then(|tree| tree.hooks.get(name));
        let is_success = hook.is_some_and(|hook| hook.moment == Moment::AfterSuccess);
        let (action, why) = match (is_success, is_offline) {
            (false, _) => ("depends", "only if something fails"),
            (true, true) => ("unknown", "if anything is changed"),
            (true, false) if anything => ("run", "when all is up"),
            (true, false) => ("depends", "only if a hook runs: no job changes"),
        };
        steps.push(Step {
            name,
            kind: "hook",
            level,
            needs: &[],
            action,
            why: Some(why.to_owned()),
            fate: None,
        });
    }
    steps
}

/// What comes of a hook, by what comes of its job.
fn hook_action(hook: &Hook, fate: Option<&Fate>, is_offline: bool) -> (&'static str, Option<String>) {
    let said = format!("{} of {}", hook.moment.word(), hook.of.as_deref().unwrap_or_default());
    let changes = fate.is_some_and(Fate::is_change);
    match (hook.moment, fate.and_then(|fate| fate.post.as_ref())) {
        (Moment::Alone, _) => match &hook.once {
            Some(key) => ("depends", Some(format!("once for the key {key:?}"))),
            None => ("run", None),
        },
        _ if is_offline => ("unknown", Some(said)),
        _ if changes => ("run", Some(said)),
        (Moment::Post, Some(Ok(true))) => ("skip", Some(format!("{said}, for which it has run"))),
        (Moment::Post, Some(Ok(false))) => ("run", Some(format!("{said}, for which it has not run yet"))),
        (Moment::Post, Some(Err(why))) => {
            ("depends", Some(format!("{said}: whether it has run for it is not known: {why}")))
        }
        _ => ("skip", Some(format!("{said}, which does not change"))),
    }
}

impl Step<'_> {
    fn json(&self) -> Value {
        let mut step = json!({
            "name": self.name,
            "kind": self.kind,
            "level": self.level,
            "needs": self.needs,
            "action": self.action,
            "why": self.why,
        });
        let (Some(step_object), Some(fate)) = (step.as_object_mut(), self.fate) else { return step };
        let changes = fate.forecast.changes.iter();
        let changes: Vec<Value> =
            changes.map(|it| json!({"depth": it.depth, "sign": it.sign, "text": it.text})).collect();
        step_object.insert("job".to_owned(), fate.key.to_string().into());
        step_object.insert("changes".to_owned(), changes.into());
        step_object.insert("warnings".to_owned(), fate.forecast.warnings.clone().into());
        step_object.insert("no_room_for".to_owned(), fate.forecast.no_room.clone().into());
        step_object.insert("held_by".to_owned(), json!(fate.held_by.as_ref().ok()));
        step
    }

    /// Its lines.
    fn text(&self, text: &mut String, width: usize) {
        let sign = match self.action {
            "create" | "run" => "+",
            "update" => "+/-",
            "refused" => "!",
            _ => "",
        };
        let key = self.fate.map(|fate| fate.key.to_string()).into_iter();
        let what: Vec<String> = key.chain(self.why.clone()).collect();
        let what = what.join(": ");
        let line =
            format!("    {sign:<3} {:<4} {:<width$}  {:<9}  {what}", self.kind, self.name, self.action);
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
        let Some(fate) = self.fate else { return };
        let inner = "            ";
        if self.action == "update" {
            for change in &fate.forecast.changes {
                let depth = "  ".repeat(change.depth);
                let _ = writeln!(text, "{inner}{depth}{} {}", change.sign, change.text);
            }
        }
        for group in &fate.forecast.no_room {
            let _ = writeln!(text, "{inner}Nomad finds no room for group {group:?} now");
        }
        for warning in &fate.forecast.warnings {
            let _ = writeln!(text, "{inner}Nomad warns: {warning}");
        }
        match &fate.held_by {
            Ok(trees) if trees.is_empty() => {}
            Ok(trees) => {
                let _ = writeln!(text, "{inner}waited for by {}", trees.join(", "));
            }
            Err(why) => {
                let _ = writeln!(text, "{inner}who else waits for it is not known: {why}");
            }
        }
    }
}

/// How many jobs come to what.
fn counts(fates: &BTreeMap<String, Fate>) -> Vec<(&'static str, usize)> {
    let actions = ["create", "update", "unchanged", "refused"];
    actions.map(|action| (action, fates.values().filter(|fate| fate.action == action).count())).into()
}

fn text(
    chosen: &Chosen,
    fates: &BTreeMap<String, Fate>,
    left: &[Left],
    steps: &[Step<'_>],
    is_offline: bool,
) -> String {
    let mut text = format!("==> Tree {}", chosen.name);
    if is_offline {
        text.push_str(": its order; what would change is not known without Nomad\n");
    } else {
        let counts = counts(fates).into_iter().filter(|(_, n)| *n > 0);
        let counts: Vec<String> = counts
            .map(|(action, n)| match action {
                "create" | "update" => format!("{n} to {action}"),
                action => format!("{n} {action}"),
            })
            .collect();
        // Writing into a string cannot fail.
        let _ =
            writeln!(text, ": {}", if counts.is_empty() { "no job".to_owned() } else { counts.join(", ") });
    }
    let width = steps.iter().map(|step| step.name.chars().count()).max().unwrap_or_default();
    let mut ordered: Vec<&Step<'_>> = steps.iter().collect();
    ordered.sort_by_key(|step| step.level);
    let mut level = 0;
    for step in ordered {
        if step.level != level {
            level = step.level;
            let _ = writeln!(text, "\nLevel {level}");
        }
        step.text(&mut text, width);
    }
    if !left.is_empty() {
        text.push_str("\nLeft over: the tree has these no more, and a run leaves them as they are\n");
        for left in left {
            let _ = writeln!(text, "        job  {}: {}: `{}` stops it", left.node, left.key, left.remedy());
        }
    }
    let gone = fates.values().filter(|fate| fate.action == "refused").count();
    if gone > 0 {
        text.push_str("\nA run would fail: it touches nothing that is not the tree's own.\n");
    }
    text
}

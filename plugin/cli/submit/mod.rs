//! `dtree submit`: a tree and its jobspecs are handed to the cluster as a job with a task of dtree, which is followed.

mod follow;

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::follow::Follower;
use super::{
    Failure, Outcome,
    chosen::{Aim, TreeArgs},
    connect::{Connection, block_on, refused},
    events::{End, Events, Known},
    screen,
};
use crate::{
    cluster::{Job, JobKey, RaftIndex},
    jobspec::{self, Files, SUBMITTED},
    manifest::{AtLeast, Manifest, Subject, Tree, Until, text},
    nomad::{Client, Error},
    runner,
    watch::{Asks, Watch},
};

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
        let mut follower = Follower::new(client, own.clone(), &plan, events, submitted);
        let outcome = follower.follow(shown).await;
        Ok(end(follower.known(&plan), outcome))
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

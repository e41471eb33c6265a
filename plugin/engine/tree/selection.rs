//! Which jobs a stop stops, which it leaves, and what it refuses: chosen once, when all jobs were looked at.
//!
//! # Invariants
//!
//! * Nothing is stopped that something needs which stays: that is refused, or it stays too.
//! * A refusal ends the run before anything is written, with all refusals at once.
//! * What is out of sight counts as running.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Tree,
    ending::Halt,
    step::{Step, Work},
    stop::StopStep,
};
use crate::{
    cluster::{Job, JobKey, Sight, TreeName},
    condition,
    engine::{Holder, NodeState, scene, scene::Scene},
    manifest,
    plan::Plan,
};

/// What a stop does with a job or a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// It is stopped, or let go.
    Stop,
    /// It is left as it is: why.
    Spare(String),
    /// It cannot be stopped: why.
    Refuse(String),
}

/// How a job stands that may be stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing is known of it: why.
    Unseen(String),
    /// No job has its ID.
    Missing,
    /// It is not the tree's: whose.
    Foreign(String),
    Stopped,
    Live,
}

/// How a job stands at this moment.
pub(super) fn standing(step: &StopStep, scene: &Scene) -> Standing {
    match scene.sight_of(&step.blueprint.key).as_ref() {
        Sight::Unseen(unseen) => Standing::Unseen(unseen.why.clone()),
        Sight::Absent { .. } => Standing::Missing,
        Sight::Present(sight) => match foreign(&sight.job, &step.tree) {
            Some(why) => Standing::Foreign(why),
            None if sight.job.is_stopped => Standing::Stopped,
            None => Standing::Live,
        },
    }
}

fn foreign(job: &Job, tree: &TreeName) -> Option<String> {
    condition::foreign(job, tree).map(|whose| format!("{whose}, and is left alone"))
}

impl Tree {
    /// Chooses, now that all jobs were looked at.
    pub(super) fn select(&mut self) {
        let Some(tree) = self.plan.manifest().tree.as_deref().filter(|_| self.plan.is_stop()) else { return };
        let selection = choices(&self.plan, tree, &self.steps, &self.scene);
        if selection.values().any(|choice| matches!(choice, Choice::Refuse(_))) {
            let why = "the stop was refused".to_owned();
            self.halt = Some(Halt { why, is_cancel: true, is_interruption: false });
        }
        self.selection = selection;
    }

    /// Whether whoever needs a step need not wait for it any more.
    pub(super) fn is_out_of_the_way(&self, step: &Step) -> bool {
        step.state.is_satisfied() || self.is_spared(step)
    }

    /// Whether a step is left as it is, which is no failure.
    pub(super) fn is_spared(&self, step: &Step) -> bool {
        matches!(step.state, NodeState::Skipped { root: None, .. })
            && matches!(self.selection.get(&step.name), Some(Choice::Spare(_)))
    }
}

fn choices(
    plan: &Plan,
    tree: &manifest::Tree,
    steps: &BTreeMap<String, Step>,
    scene: &Scene,
) -> BTreeMap<String, Choice> {
    let jobs: BTreeMap<&str, (&StopStep, Standing)> = steps
        .iter()
        .filter_map(|(name, step)| match &step.work {
            Work::Stop(stop) => Some((name.as_str(), (&**stop, standing(stop, scene)))),
            Work::Unprepared | Work::Wait(_) | Work::Job(_) | Work::Hook(_) | Work::Release(_) => None,
        })
        .collect();
    let runs = |name: &str| matches!(jobs.get(name), Some((step, Standing::Live | Standing::Unseen(_))) if step.is_undecided());
    let mut choices: BTreeMap<String, Choice> = BTreeMap::new();
    let mut needed_by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, (_, standing)) in &jobs {
        let is_in_the_way =
            || plan.foundations([*name]).iter().any(|needed| runs(needed) && plan.is_selected(needed));
        let choice = match (standing, plan.is_selected(name)) {
            (Standing::Foreign(why), _) => Choice::Spare(why.clone()),
            (_, true) | (Standing::Missing, false) => Choice::Stop,
            // It was stopped by others, and may not be gone yet.
            (Standing::Stopped, false) if is_in_the_way() => Choice::Stop,
            (_, false) => Choice::Spare(match &tree.stop.target {
                Some(target) => format!("only {target} is stopped"),
                None => "excluded".to_owned(),
            }),
        };
        if runs(name) && matches!(choice, Choice::Spare(_)) {
            let needs = plan.foundations([*name]);
            for needed in needs.into_iter().filter(|needed| runs(needed) && plan.is_selected(needed)) {
                needed_by.entry(needed).or_default().push(name);
            }
        }
        choices.insert((*name).to_owned(), choice);
    }
    for (name, others) in needed_by {
        let others = others.join(", ");
        let choice = match &tree.stop.target {
            Some(target) if target != name => Choice::Spare(format!("{others} still runs, and needs it")),
            Some(_) => Choice::Refuse(format!(
                "{others} still runs, and depends on {name}; stop that first, or all of the tree"
            )),
            None => Choice::Refuse(format!(
                "{others} is excluded, still runs, and depends on {name}; exclude {name} too, or stop {others} as well"
            )),
        };
        choices.insert(name.to_owned(), choice);
    }
    let held = jobs.iter().filter(|(name, _)| runs(name) && choices.get(**name) == Some(&Choice::Stop));
    let held: Vec<(&str, String)> = held
        .filter_map(|(name, (step, _))| {
            let holders = step.holders.as_deref().filter(|holders| !holders.is_empty())?;
            Some((*name, held_by(&step.blueprint.key, holders)))
        })
        .collect();
    for (name, why) in &held {
        choices.insert((*name).to_owned(), Choice::Spare(why.clone()));
    }
    for (name, _) in &held {
        for needed in plan.foundations([*name]).into_iter().filter(|needed| runs(needed)) {
            if choices.get(needed) == Some(&Choice::Stop) {
                let why = format!("{name} stays, and needs it");
                choices.insert(needed.to_owned(), Choice::Spare(why));
            }
        }
    }
    let stays: Vec<&str> =
        jobs.keys().copied().filter(|name| runs(name) && choices.get(*name) != Some(&Choice::Stop)).collect();
    let names: Vec<&str> = jobs.keys().copied().collect();
    choices.extend(waits(plan, scene, &stays, &names));
    choices
}

/// Which waits are let go: those that nothing needs which stays, nor another wait for the same job.
fn waits(plan: &Plan, scene: &Scene, stays: &[&str], jobs: &[&str]) -> BTreeMap<String, Choice> {
    let all = &plan.manifest().waits;
    let needed = plan.foundations(jobs.iter().copied());
    let needed_by: Vec<(&str, BTreeSet<&str>)> =
        stays.iter().map(|job| (*job, plan.foundations([*job]))).collect();
    let mut kept: BTreeMap<&str, &str> = BTreeMap::new();
    let mut subjects: BTreeMap<JobKey, &str> = BTreeMap::new();
    for (name, wait) in all {
        let is_for_all = !needed.contains(name.as_str());
        let by = needed_by.iter().find(|(_, needs)| is_for_all || needs.contains(name.as_str()));
        if let Some((by, _)) = by {
            kept.insert(name, by);
            subjects.extend(wait.subject.job(&scene.place).map(|key| (key, *by)));
        }
    }
    let choices = all.iter().map(|(name, wait)| {
        let same = || subjects.get(&wait.subject.job(&scene.place)?);
        let by = kept.get(name.as_str()).or_else(same);
        let choice = by.map_or(Choice::Stop, |by| Choice::Spare(format!("{by} stays, and needs it")));
        (name.clone(), choice)
    });
    choices.collect()
}

/// Who waits for a job, and what helps.
fn held_by(key: &JobKey, holders: &[Holder]) -> String {
    let trees: BTreeSet<&str> = holders.iter().map(|holder| holder.tree.as_str()).collect();
    let trees: Vec<&str> = trees.into_iter().collect();
    let records: Vec<&str> = holders.iter().map(|holder| holder.path.as_str()).collect();
    let (what, waits) = if trees.len() == 1 { ("tree", "waits") } else { ("trees", "wait") };
    format!(
        "{what} {} {waits} for it; stop that first with verb = \"stop\", or forget that it waits: \
         nomad var purge {}{}",
        trees.join(", "),
        scene::in_namespace(key),
        records.join(" ")
    )
}

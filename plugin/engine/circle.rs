//! A gate's look at those that it waits for: do they wait for it?
//!
//! The jobs that are awaited say in their own specs whom their gates await. Those are looked at, too, as far as the
//! task may, and what is found is told once, when it has stood for a while.

use std::{collections::BTreeSet, time::Duration};

use super::{Action, Time, scene::Scene};
use crate::{
    cluster::{JobKey, JobSight, Place, Sight},
    condition::{Member, Shown, circle, concerned},
};

/// How long a circle must stand: several jobs are not seen at one instant.
const STANDS: Duration = Duration::from_secs(3);
/// How many jobs are looked at for this.
const MOST: usize = 50;

/// What was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Circles {
    /// The jobs that were asked for, beyond those that are awaited.
    shown: BTreeSet<JobKey>,
    /// The circle that is there, and since when.
    now: Option<(Time, Vec<Member>)>,
    told: Vec<Vec<Member>>,
}

impl Circles {
    /// Looks again. `subjects` are shown anyway.
    pub(super) fn look(&mut self, now: Time, scene: &Scene, subjects: &BTreeSet<JobKey>) -> Vec<Action> {
        let mut actions = Vec::new();
        let wanted = concerned(&scene.place, scene);
        let more = wanted.into_iter().filter(|job| !subjects.contains(job) && !self.shown.contains(job));
        let more: BTreeSet<JobKey> = more.take(MOST.saturating_sub(self.shown.len())).collect();
        if !more.is_empty() {
            self.shown.extend(more.iter().cloned());
            actions.push(Action::Watch(more));
        }
        let found = circle(&scene.place, scene);
        match (&self.now, found) {
            (Some((_, known)), Some(found)) if *known == found => {}
            (_, found) => self.now = found.map(|found| (now, found)),
        }
        if let Some(message) =
            self.standing(now).filter(|_| self.due().is_some()).map(|found| text(found, scene))
        {
            self.told.extend(self.now.iter().map(|(_, circle)| circle.clone()));
            actions.extend([Action::Log(message.clone().into()), Action::Announce(message)]);
        }
        actions
    }

    /// When what is there will have stood for long enough to be told.
    pub(super) fn due(&self) -> Option<Time> {
        let (since, circle) = self.now.as_ref()?;
        (!self.told.contains(circle)).then_some(*since + STANDS)
    }

    /// What is there and was told, in words.
    pub(super) fn note(&self, scene: &Scene) -> Option<String> {
        let (_, circle) = self.now.as_ref()?;
        self.told.contains(circle).then(|| text(circle, scene))
    }

    fn standing(&self, now: Time) -> Option<&[Member]> {
        let (since, circle) = self.now.as_ref()?;
        (*since + STANDS <= now).then_some(circle)
    }
}

impl Shown for Scene {
    fn job(&self, job: &JobKey) -> Option<&JobSight> {
        match self.sights().get(job)?.as_ref() {
            Sight::Present(sight) => Some(sight),
            Sight::Absent { .. } | Sight::Unseen(_) => None,
        }
    }
}

/// The whole circle, and what to do.
fn text(circle: &[Member], scene: &Scene) -> String {
    let Place { job: own, alloc, task, .. } = &scene.place;
    let named = |member: &Member| {
        if member.job.namespace == own.namespace {
            member.job.job.to_string()
        } else {
            member.job.to_string()
        }
    };
    let first: Vec<String> = circle.iter().take(1).map(named).collect();
    let ring: Vec<String> = circle.iter().map(named).chain(first).collect();
    format!(
        "deadlock: {}: each of these jobs waits in its gate for the next, so none will open by itself; take one of \
         these waits away, or open one gate by hand: `nomad alloc exec -task {task} {} open --reason TEXT`",
        ring.join(" → "),
        alloc.short(),
    )
}

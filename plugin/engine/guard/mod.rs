//! One run of a guard: what its waits ask for must stay so.
//!
//! # Invariants
//!
//! * Nothing is lost that did not hold before: the group's gate holds the start.
//! * Nothing is done because something cannot be seen, nor before a loss was seen for its grace without a break.
//! * One act for each loss, one at a time, and never more than `max_actions` in `period`, also across restarts: an act
//!   is remembered before it is begun, and what cannot be remembered is not begun.
//! * It runs until it is stopped.

mod deed;
mod memory;
mod teller;
mod ward;
mod words;

use std::{collections::BTreeMap, time::Duration};

pub use self::{
    deed::Deed,
    memory::{Keepsake, Mark},
};
use self::{
    teller::Teller,
    ward::{Look, Turn, Ward, terms},
    words::{clamp, promise, spoken, times},
};
use super::{
    Action, Event, Line, NodeStatus, Outcome, Report, Status, Time, Trouble, node::waits_for, scene::Scene,
    time::Spoken,
};
use crate::{
    cluster::{Place, Sight},
    condition::{self, Obstacle, Standing, Truth, Verdict},
    manifest::{Guard as Terms, OnLoss, Wait},
    plan::Plan,
};

/// How long the first words wait for the first look at Nomad.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// How long until it is asked again whether the guard may act, or an act is tried again.
const AGAIN: Duration = Duration::from_mins(1);
/// Under which name it is asked whether the guard may act. No wait has it: no label begins with a NUL.
const RIGHT: &str = "\0right to act";

/// Whether the guard may act.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Right {
    /// Nothing is known against it.
    Unrefuted,
    /// It cannot: why.
    Barred(String),
}

/// One run of a guard.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    plan: Plan,
    scene: Scene,
    began: Time,
    wards: BTreeMap<String, Ward>,
    keepsake: Keepsake,
    /// Why it must not act at all: what it did before is not known.
    amnesia: Option<String>,
    right: Right,
    prove_at: Option<Time>,
    /// The wait for which something is being done.
    acting: Option<String>,
    standing: Standing,
    teller: Teller,
    is_introduced: bool,
    now: Time,
    ending: Option<String>,
}

impl Guard {
    /// A run that begins, or goes on, at `now` with what it remembers; the error says why that cannot be had.
    pub(super) fn new(plan: Plan, place: Place, memory: Result<Keepsake, String>, now: Time) -> Self {
        let wards: BTreeMap<_, _> = plan.order().iter().map(|name| (name.clone(), Ward::new(now))).collect();
        let (mut keepsake, amnesia) = match memory {
            Ok(keepsake) => (keepsake, None),
            Err(why) => (Keepsake::default(), Some(why)),
        };
        keepsake.waits.retain(|name, _| wards.contains_key(name));
        for name in wards.keys() {
            keepsake.waits.entry(name.clone()).or_default();
        }
        Self {
            plan,
            scene: Scene::new(place),
            began: now,
            wards,
            keepsake,
            amnesia,
            right: Right::Unrefuted,
            prove_at: None,
            acting: None,
            standing: Standing::Looking,
            teller: Teller::default(),
            is_introduced: false,
            now,
            ending: None,
        }
    }

    /// Takes an event in, at `now`, and says what is to be done about it.
    pub(super) fn step(&mut self, now: Time, event: Event) -> Vec<Action> {
        if self.ending.is_some() {
            return Vec::new();
        }
        self.now = now;
        let mut actions = Vec::new();
        match event {
            Event::Started => {
                let questions = self.scene.questions(self.steps().map(|(_, wait, _)| wait));
                actions.extend((!questions.is_empty()).then_some(Action::Ask(questions)));
                actions.extend(self.prove());
            }
            Event::Stopped | Event::Drained | Event::Left => {
                let held = self.wards.values().filter(|ward| matches!(ward.look, Look::Holds(_))).count();
                let message = format!("stopped; {held} of {} held", self.wards.len());
                self.close(message.clone());
                return vec![Action::Log(message.into()), Action::Finish(Outcome::Stopped)];
            }
            Event::Seen(job, sight) => self.scene.see(job, sight),
            Event::Told(question, told) => self.scene.hear(question, told),
            Event::Acted(name, result) if name == RIGHT => actions.extend(self.proven(result)),
            Event::Acted(name, result) => actions.extend(self.acted(&name, result)),
            // It leads nothing, and cannot be opened: it holds nothing back.
            Event::Tick
            | Event::Approved { .. }
            | Event::Opened { .. }
            | Event::Led(_)
            | Event::Lost(_)
            | Event::Prepared { .. }
            | Event::Unprepared(_)
            | Event::Hindered(_) => {}
        }
        if self.prove_at.is_some_and(|at| at <= now) {
            actions.extend(self.prove());
        }

        self.standing =
            condition::guard_standing(&self.scene.place, &self.scene.own_sight(), self.named_tasks());
        if let Standing::Misplaced(why) = &self.standing {
            let why = format!("this guard cannot keep watch: {why}");
            self.close(why.clone());
            let outcome = Outcome::Failed(why.clone());
            actions.extend([Action::Log(why.clone().into()), Action::Announce(why), Action::Finish(outcome)]);
            return actions;
        }
        let before = self.keepsake.waits.clone();
        for name in self.plan.order().to_vec() {
            actions.extend(self.look(&name));
        }
        if before != self.keepsake.waits {
            actions.push(Action::Keep(self.keepsake.clone()));
        }
        actions.extend(self.introduce());
        for name in self.plan.order().to_vec() {
            actions.extend(self.answer(&name));
        }
        actions
    }

    /// When [`Event::Tick`] is due if nothing else happens before.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        if self.ending.is_some() {
            return None;
        }
        let losses = self.steps().filter_map(|(name, wait, ward)| {
            let terms = terms(wait)?;
            let due = ward.due(terms, self.mark(name))?;
            // What is due already waits for something else.
            if due > self.now {
                return Some(due);
            }
            let until = self.keepsake.damped(self.now, terms.max_actions, terms.period);
            until.filter(|until| *until > self.now)
        });
        let introduction = (!self.is_introduced).then_some(self.began + FIRST_LOOK);
        let steady = self.steps().filter_map(|(_, wait, ward)| ward.steady_at(wait.stable_for));
        losses.chain(steady).chain(self.prove_at).chain(introduction).min()
    }

    pub(super) fn said_at_end(&self) -> Option<&str> {
        self.ending.as_deref()
    }

    /// How the run stands at `now`.
    pub(super) fn status(&self, now: Time) -> Status {
        let nodes = self.steps().filter_map(|(name, wait, ward)| {
            let terms = terms(wait)?;
            let mark = self.mark(name);
            Some(NodeStatus {
                name: name.to_owned(),
                wanted: format!("{}, else {}", self.scene.wanted(wait), promise(terms)),
                state: ward.word(mark),
                detail: ward.detail().to_owned(),
                seen: if matches!(ward.look, Look::Holds(_)) {
                    Vec::new()
                } else {
                    self.scene.observed(wait)
                },
                since: ward.since,
                gives_up: ward.due(terms, mark).filter(|at| *at > now),
                on_timeout: terms.on_loss.word(),
                depends_on: wait.depends_on.clone(),
                hint: self.scene.hint(wait).filter(|_| !matches!(ward.look, Look::Holds(_))),
            })
        });
        Status {
            now,
            began: self.began,
            run: None,
            task: super::spoken_task(&self.scene.place),
            alloc: self.scene.place.alloc.short().to_owned(),
            nodes: nodes.collect(),
            notes: self.notes(now),
            ending: self.ending.clone(),
        }
    }

    /// Brings one wait up to date; what is to be said of it.
    fn look(&mut self, name: &str) -> Vec<Action> {
        let Some(wait) = self.plan.manifest().waits.get(name) else { return Vec::new() };
        let Some(ward) = self.wards.get(name) else { return Vec::new() };
        let missing: Vec<String> = wait
            .depends_on
            .iter()
            .filter(|needed| !self.wards.get(*needed).is_some_and(|ward| matches!(ward.look, Look::Holds(_))))
            .cloned()
            .collect();
        let part = |name: &str| self.wards.get(name).map_or(Truth::Unknown, Ward::truth);
        let seen = self.scene.look(name, wait, ward.was_seen, part);
        let now = self.now;
        let mark = self.keepsake.waits.entry(name.to_owned()).or_default();
        let Some(ward) = self.wards.get_mut(name) else { return Vec::new() };
        ward.was_seen |= seen.is_present;
        if !matches!(seen.verdict, Verdict::Met(_)) || !missing.is_empty() {
            ward.interrupt();
        }
        let look = match seen.verdict {
            _ if !missing.is_empty() => Look::Unseen(waits_for(&missing)),
            Verdict::Met(how) => ward.steady(now, wait.stable_for, *mark, how),
            Verdict::NotYet(Obstacle { text, .. }) | Verdict::Never(text) if seen.is_known => {
                Look::Lacks(text)
            }
            Verdict::NotYet(Obstacle { text, .. }) | Verdict::Never(text) => Look::Unseen(text),
        };
        let Some(turn) = ward.see(now, look, mark) else { return Vec::new() };
        let (state, detail) = (ward.word(*mark), ward.detail());
        match turn {
            Turn::Regained(since) => {
                let lost = match now.since(since) {
                    Duration::ZERO => String::new(),
                    lost => format!(", after {}", Spoken(lost)),
                };
                let message = format!("{name}: holds again{lost}: {detail}");
                self.teller.tell(now, message)
            }
            Turn::Holds | Turn::Lacks | Turn::Unseen => {
                vec![Action::Log(Line::Step { name: name.to_owned(), state, detail: detail.to_owned() })]
            }
        }
    }

    /// Does what is to be done about a loss that has lasted for its grace.
    fn answer(&mut self, name: &str) -> Vec<Action> {
        let Some(wait) = self.plan.manifest().waits.get(name) else { return Vec::new() };
        let Some(terms) = terms(wait).cloned() else { return Vec::new() };
        let (now, mark) = (self.now, self.mark(name));
        let Some(ward) = self.wards.get(name) else { return Vec::new() };
        let Some(since) = ward.lost_since.filter(|_| ward.due(&terms, mark).is_some_and(|due| due <= now))
        else {
            return Vec::new();
        };
        let lost = format!("{name}: lost for {}: {}", Spoken(now.since(since)), ward.detail());
        let deed = match self.deed_for(&terms) {
            Ok(deed) => deed,
            Err(why) => return self.report_once(name, &format!("{lost}; only reported: {why}")),
        };
        let Some(deed) = deed else {
            self.set_mark(name, Mark::Answered);
            let told = self.report_once(name, &lost);
            return [vec![Action::Keep(self.keepsake.clone())], told].concat();
        };
        if let Some(until) = self.keepsake.damped(now, terms.max_actions, terms.period) {
            let left = Spoken(until.since(now));
            let message = format!(
                "{lost}; only reported, because it acted {} in {} already (max_actions): it acts again in {left} if this is still lost then",
                times(terms.max_actions),
                Spoken(terms.period),
            );
            return self.report_once(name, &message);
        }
        if self.acting.is_some() {
            return Vec::new();
        }
        self.set_mark(name, Mark::Answered);
        let longest = self.plan.manifest().waits.values().filter_map(|wait| self::terms(wait));
        let longest = longest.map(|terms| terms.period).max().unwrap_or(terms.period);
        self.keepsake.act(now, longest);
        self.acting = Some(name.to_owned());
        if let Some(ward) = self.wards.get_mut(name) {
            ward.told = Some(since);
        }
        // Told first: a guard that restarts itself says nothing more.
        let mut actions = Teller::insist(format!("{lost}; {}", spoken(&terms)));
        actions.push(Action::Keep(self.keepsake.clone()));
        actions.push(Action::Do(name.to_owned(), deed));
        actions
    }

    /// What is to be done; `None` for a report. The error says why it cannot be done now.
    fn deed_for(&self, terms: &Terms) -> Result<Option<Deed>, String> {
        let deed = match terms.on_loss {
            OnLoss::Report => return Ok(None),
            OnLoss::Restart => Deed::Restart { all: false },
            OnLoss::Hold => Deed::Restart { all: true },
            OnLoss::Signal => {
                let tasks = if terms.tasks.is_empty() { self.main_tasks() } else { terms.tasks.clone() };
                if tasks.is_empty() {
                    return Err("its main tasks cannot be seen; name them: `tasks = [\"…\"]`".to_owned());
                }
                let signal = terms.signal.clone().unwrap_or_else(|| Terms::DEFAULT_SIGNAL.to_owned());
                Deed::Signal { tasks, signal }
            }
        };
        if let Some(why) = &self.amnesia {
            return Err(why.clone());
        }
        match &self.right {
            Right::Unrefuted => Ok(Some(deed)),
            Right::Barred(why) => Err(why.clone()),
        }
    }

    /// Reports a loss, unless it was.
    fn report_once(&mut self, name: &str, message: &str) -> Vec<Action> {
        let now = self.now;
        let Some(ward) = self.wards.get_mut(name) else { return Vec::new() };
        if ward.told.is_some() {
            return Vec::new();
        }
        ward.told = ward.lost_since;
        self.teller.tell(now, message.to_owned())
    }

    /// Asks whether it may act, where it is to.
    fn prove(&mut self) -> Option<Action> {
        self.prove_at = None;
        let acts = self.plan.manifest().waits.values().filter_map(|wait| terms(wait));
        let is_needed =
            acts.into_iter().any(|terms| terms.on_loss != OnLoss::Report) && self.amnesia.is_none();
        is_needed.then(|| Action::Do(RIGHT.to_owned(), Deed::Prove))
    }

    /// Takes in whether it may act.
    fn proven(&mut self, result: Result<Report, Trouble>) -> Vec<Action> {
        let now = self.now;
        match result {
            Ok(_) => match std::mem::replace(&mut self.right, Right::Unrefuted) {
                Right::Unrefuted => Vec::new(),
                Right::Barred(_) => vec![Action::Log("it may act now".to_owned().into())],
            },
            // Nothing is known against it; whether Nomad can be asked shows again when it must be.
            Err(trouble) if trouble.is_transient => {
                self.prove_at = Some(now + AGAIN);
                vec![Action::Log(format!("whether it may act is not known yet: {}", trouble.why).into())]
            }
            Err(trouble) => self.bar(&trouble.why),
        }
    }

    /// Takes in what came of an act.
    fn acted(&mut self, name: &str, result: Result<Report, Trouble>) -> Vec<Action> {
        let now = self.now;
        self.acting = None;
        let Some(terms) = self.plan.manifest().waits.get(name).and_then(|wait| terms(wait)) else {
            return Vec::new();
        };
        let on_loss = terms.on_loss;
        match result {
            Ok(_) => vec![Action::Log(format!("{name}: {on_loss}: done").into())],
            // The signal may have been sent, and is not sent twice.
            Err(trouble) if trouble.is_transient && on_loss == OnLoss::Signal => self
                .teller
                .tell(now, format!("{name}: whether the signal was sent is not known: {}", trouble.why)),
            // Nothing was done, or the restart that was not answered will end this task: both may be tried again.
            Err(trouble) => {
                if self.mark(name) == Mark::Answered {
                    self.set_mark(name, Mark::Held);
                }
                let mut actions = vec![Action::Keep(self.keepsake.clone())];
                actions.extend(self.bar(&trouble.why));
                actions
            }
        }
    }

    /// From now on it only reports, until it is proven again that it may act.
    fn bar(&mut self, why: &str) -> Vec<Action> {
        self.prove_at = Some(self.now + AGAIN);
        let right = Right::Barred(format!("it cannot act: {why}"));
        if self.right == right {
            return Vec::new();
        }
        self.right = right;
        self.teller.tell(self.now, format!("only reports, because it cannot act: {why}"))
    }

    /// The first words: what is guarded.
    fn introduce(&mut self) -> Vec<Action> {
        let is_looking = self.wards.values().any(|ward| matches!(ward.look, Look::Unseen(_)));
        if self.is_introduced || is_looking && self.now < self.began + FIRST_LOOK {
            return Vec::new();
        }
        self.is_introduced = true;
        let parts: Vec<String> = self
            .steps()
            .filter_map(|(name, wait, ward)| {
                let (promise, word) = (promise(terms(wait)?), ward.word(self.mark(name)));
                Some(format!("{name}, else {promise}: {word}: {}", ward.detail()))
            })
            .collect();
        let notes = self.notes(self.now).into_iter().map(|note| format!(" · {note}"));
        let notes: String = notes.collect();
        self.teller.tell(self.now, format!("guards {}{notes}", parts.join(" · ")))
    }

    fn notes(&self, now: Time) -> Vec<String> {
        let amnesia = self.amnesia.iter().map(|why| format!("only reports: {why}"));
        let barred = match &self.right {
            Right::Barred(why) => Some(format!("only reports: {why}")),
            Right::Unrefuted => None,
        };
        let unknown = matches!(self.standing, Standing::Unknown(_)).then(|| {
            "its own job cannot be read, so it cannot tell whether it stands where Nomad keeps it running"
                .to_owned()
        });
        let acts = self.keepsake.acts.last().map(|at| {
            format!("acted {}, last {} ago", times(clamp(self.keepsake.acts.len())), Spoken(now.since(*at)))
        });
        amnesia.chain(barred).chain(unknown).chain(acts).collect()
    }

    fn close(&mut self, ending: String) {
        self.ending = Some(ending);
        self.scene.close();
    }

    fn mark(&self, name: &str) -> Mark {
        self.keepsake.waits.get(name).copied().unwrap_or_default()
    }

    fn set_mark(&mut self, name: &str, mark: Mark) {
        self.keepsake.waits.insert(name.to_owned(), mark);
    }

    /// The tasks that the user names anywhere.
    fn named_tasks(&self) -> impl Iterator<Item = &str> {
        let all = self.plan.manifest().waits.values().filter_map(|wait| terms(wait));
        all.flat_map(|terms| &terms.tasks).map(String::as_str)
    }

    /// The main tasks of the own group, as far as they can be seen.
    fn main_tasks(&self) -> Vec<String> {
        let sight = self.scene.own_sight();
        let Sight::Present(sight) = sight.as_ref() else { return Vec::new() };
        let tasks = sight.job.groups.get(&self.scene.place.group).map(|group| &group.tasks);
        let mains = tasks.into_iter().flatten().filter(|(_, task)| task.is_main());
        mains.map(|(name, _)| name.clone()).collect()
    }

    /// The waits in the order of the plan, with what the user wrote.
    fn steps(&self) -> impl Iterator<Item = (&str, &Wait, &Ward)> {
        self.plan.order().iter().filter_map(|name| {
            let wait: &Wait = self.plan.manifest().waits.get(name)?;
            Some((name.as_str(), wait, self.wards.get(name)?))
        })
    }
}

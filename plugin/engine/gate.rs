//! One run of a gate: all waits must hold at the same instant.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Act, Action, Approved, Event, Line, NodeState, NodeStatus, Outcome, Report, Status, Time, Trouble,
    announce::Announcer,
    circle::Circles,
    node::{Evidence, Node},
    scene::Scene,
    time::Spoken,
};
use crate::{
    cluster::Place,
    condition::{self, Standing, Truth},
    manifest::{OnTimeout, Subject, Wait},
    plan::Plan,
};

/// One run of a gate.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    plan: Plan,
    scene: Scene,
    began: Time,
    last_deadline: Time,
    /// Boxed, because a map makes room for eleven at once and most gates have one.
    nodes: BTreeMap<String, Box<Node>>,
    standing: Standing,
    announcer: Announcer,
    circles: Circles,
    /// It has failed, and waits a moment for the last words of what failed. Boxed: most gates never do.
    failing: Option<Box<Failing>>,
    ending: Option<String>,
}

/// A failure that is to be told.
#[derive(Clone, Debug)]
struct Failing {
    message: String,
    /// When it is told without more.
    until: Time,
}

/// How long the last words of what failed are waited for.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How many lines of them are told.
const TOLD_LINES: usize = 3;

impl Gate {
    /// A run that begins, or goes on, at `now`. Steps that `deadlines` does not name are over at once.
    pub(super) fn new(plan: Plan, place: Place, deadlines: &BTreeMap<String, Time>, now: Time) -> Self {
        let nodes: BTreeMap<String, Box<Node>> = plan
            .order()
            .iter()
            .map(|name| {
                let deadline = deadlines.get(name).copied().unwrap_or(now);
                let node = if plan.is_part(name) { Node::part(now) } else { Node::new(now, deadline) };
                (name.clone(), Box::new(node))
            })
            .collect();
        Self {
            last_deadline: nodes
                .values()
                .filter(|node| !node.is_part())
                .map(|node| node.deadline)
                .max()
                .unwrap_or(now),
            plan,
            scene: Scene::new(place),
            began: now,
            nodes,
            standing: Standing::Looking,
            announcer: Announcer::new(now),
            circles: Circles::default(),
            failing: None,
            ending: None,
        }
    }

    /// Users have approved this before, for the same run.
    pub(super) fn recall(&mut self, approved: BTreeMap<String, Approved>) {
        for (name, Approved { by }) in approved {
            self.scene.approve(name, by);
        }
    }

    /// Takes an event in, at `now`, and says what is to be done about it.
    pub(super) fn step(&mut self, now: Time, event: Event) -> Vec<Action> {
        if self.ending.is_some() {
            return Vec::new();
        }
        if let Some(failing) = &self.failing {
            return match event {
                Event::Opened { .. } | Event::Stopped | Event::Drained | Event::Left => {
                    self.act_on(now, event)
                }
                Event::Acted(_, result) => {
                    let message = with_last_words(&failing.message, result);
                    self.finish(Outcome::Failed(message.clone()), message)
                }
                _ if failing.until <= now => {
                    let message = failing.message.clone();
                    self.finish(Outcome::Failed(message.clone()), message)
                }
                _ => Vec::new(),
            };
        }
        self.act_on(now, event)
    }

    fn act_on(&mut self, now: Time, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Opened { reason } => {
                return self.finish(Outcome::Done, format!("opened by hand: {reason}"));
            }
            Event::Stopped | Event::Drained | Event::Left => {
                return self.finish(Outcome::Stopped, format!("stopped; {}", self.summary(now)));
            }
            Event::Seen(job, sight) => self.scene.see(job, sight),
            Event::Told(question, told) => self.scene.hear(question, told),
            Event::Approved { name, by } if self.is_approval(&name) => {
                self.scene.approve(name, by);
                actions.push(Action::KeepApprovals(self.scene.approved()));
            }
            Event::Started => actions.extend(self.ask()),
            // A gate does nothing, and so nothing comes of it.
            Event::Approved { .. }
            | Event::Tick
            | Event::Led(_)
            | Event::Lost(_)
            | Event::Prepared { .. }
            | Event::Unprepared(_)
            | Event::Acted(..)
            | Event::Hindered(_) => {}
        }

        let was = self.standing.clone();
        self.standing = condition::standing(&self.scene.place, &self.scene.own_sight(), self.longest());
        if let Standing::Misplaced(why) = &self.standing {
            let why = format!("this gate would hold nothing back: {why}");
            return self.finish(Outcome::Failed(why.clone()), why);
        }
        if was != self.standing {
            actions.extend(self.notes().into_iter().map(|note| Action::Log(note.into())));
        }
        for name in self.plan.order().to_vec() {
            if let Some(line) = self.judge(now, &name) {
                actions.push(Action::Log(line));
            }
        }

        let failed = self.nodes.iter().find_map(|(name, node)| match &node.state {
            NodeState::Failed { why } => Some((name.clone(), why.clone())),
            NodeState::Blocked { .. }
            | NodeState::Working { .. }
            | NodeState::Gated { .. }
            | NodeState::Satisfied { .. }
            | NodeState::Skipped { .. } => None,
        });
        if let Some((name, why)) = failed {
            let message = self.failure(&name, &why);
            match self.last_words(now, &name) {
                Some((until, act)) => {
                    self.failing = Some(Box::new(Failing { message, until }));
                    actions.push(Action::Act(name, act));
                }
                None => actions.extend(self.finish(Outcome::Failed(message.clone()), message)),
            }
        } else if self.is_open(now) {
            let waited = Spoken(now.since(self.began));
            let how = self.describe(now, |_| true);
            actions.extend(self.finish(Outcome::Done, format!("open after {waited}: {how}")));
        } else if self.last_deadline <= now {
            let message = "wanted to know where it stands before it opens, but its own job could not be seen in time; \
                           check that the Nomad agent is up: `nomad server members`";
            actions.extend(self.finish(Outcome::Failed(message.to_owned()), message.to_owned()));
        } else {
            let subjects = self.plan.subjects(&self.scene.place);
            actions.extend(self.circles.look(now, &self.scene, &subjects));
            actions.extend(self.announce(now));
        }
        actions
    }

    /// Whose last words tell why a step failed, and until when they are waited for. Not where its time was over: nobody
    /// says that it had failed.
    fn last_words(&self, now: Time, name: &str) -> Option<(Time, Act)> {
        let key = self.plan.manifest().waits.get(name)?.subject.job(&self.scene.place)?;
        self.nodes.get(name).filter(|node| node.truth() == Truth::Lost)?;
        let (alloc, task) = condition::culprit(&self.scene.sight_of(&key))?;
        let until = (now + LAST_WORDS).min(self.last_deadline);
        (now < until).then_some((until, Act::Tail { key, alloc, task, has_failed: true }))
    }

    /// When [`Event::Tick`] is due if nothing else happens before.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        if self.ending.is_some() {
            return None;
        }
        if let Some(failing) = &self.failing {
            return Some(failing.until);
        }
        let waiting = self.steps().filter(|(_, _, node)| !node.state.is_satisfied());
        waiting
            .flat_map(|(_, wait, node)| {
                [self.gives_up(node), node.believed_at(), node.stable_at(wait.stable_for)]
            })
            .flatten()
            .chain(self.standing.is_undecided().then_some(self.last_deadline))
            .chain(self.circles.due())
            .chain(self.announcer.due(&self.topic(), self.is_looking()))
            .min()
    }

    pub(super) fn said_at_end(&self) -> Option<&str> {
        self.ending.as_deref()
    }

    /// The waits that a user can approve now.
    pub(super) fn approvals(&self) -> Vec<String> {
        let open = self.steps().filter(|(name, wait, node)| {
            matches!(wait.subject, Subject::Approval { .. })
                && self.scene.approval(name).is_none()
                && !matches!(node.state, NodeState::Blocked { .. })
        });
        open.map(|(name, ..)| name.to_owned()).filter(|_| self.ending.is_none()).collect()
    }

    fn is_approval(&self, name: &str) -> bool {
        self.approvals().iter().any(|open| open == name)
    }

    /// Asks all that its waits ask.
    fn ask(&self) -> Option<Action> {
        let questions = self.scene.questions(self.steps().map(|(_, wait, _)| wait));
        (!questions.is_empty()).then_some(Action::Ask(questions))
    }

    /// When the time of a step is over, if it has a limit.
    fn gives_up(&self, node: &Node) -> Option<Time> {
        (!node.is_part()).then(|| node.effective_deadline(self.last_deadline))
    }

    /// How the run stands at `now`.
    pub(super) fn status(&self, now: Time) -> Status {
        let nodes = self.steps().map(|(name, wait, node)| NodeStatus {
            name: name.to_owned(),
            wanted: self.scene.wanted(wait),
            state: node.state.word(),
            detail: node.state.detail(),
            seen: if node.state.is_satisfied() { Vec::new() } else { self.scene.observed(wait) },
            since: node.since,
            gives_up: self.gives_up(node).filter(|_| !node.state.is_satisfied()),
            on_timeout: wait.on_timeout.word(),
            depends_on: [
                wait.depends_on.as_slice(),
                &wait.subject.parts().map(str::to_owned).collect::<Vec<_>>(),
            ]
            .concat(),
            hint: self.scene.hint(wait),
        });
        Status {
            now,
            began: self.began,
            run: None,
            task: super::spoken_task(&self.scene.place),
            alloc: self.scene.place.alloc.short().to_owned(),
            nodes: nodes.collect(),
            notes: self.notes(),
            ending: self.ending.clone(),
        }
    }

    /// Brings one step up to date; a line for the log if that changed anything.
    fn judge(&mut self, now: Time, name: &str) -> Option<Line> {
        let wait = self.plan.manifest().waits.get(name)?;
        let node = self.nodes.get(name)?;
        let part = |name: &str| self.nodes.get(name).map_or(Truth::Unknown, |node| node.truth());
        let look = self.scene.look(name, wait, node.was_seen, part);
        let is_missing =
            |needed: &&String| self.nodes.get(*needed).is_none_or(|needed| !needed.state.is_satisfied());
        let missing: Vec<String> = wait.depends_on.iter().filter(is_missing).cloned().collect();
        let node = self.nodes.get_mut(name)?;
        let verdict = if missing.is_empty() {
            node.stable(now, wait.stable_for, look.verdict)
        } else {
            node.interrupt();
            look.verdict
        };
        let has_changed = node.judge(
            now,
            Evidence {
                wait,
                missing,
                verdict,
                is_seen: look.is_seen,
                is_known: look.is_known,
                last_deadline: self.last_deadline,
            },
        );
        node.was_seen |= look.is_present;
        has_changed.then(|| Line::Step {
            name: name.to_owned(),
            state: node.state.word(),
            detail: node.state.detail(),
        })
    }

    /// Whether everything holds at this instant.
    ///
    /// Where the task stands must be known too, unless the time is over and every wait says to go on then.
    fn is_open(&self, now: Time) -> bool {
        let goes_on = self.last_deadline <= now
            && self.whole().all(|(_, wait, _)| wait.on_timeout == OnTimeout::Continue);
        (goes_on || !self.standing.is_undecided())
            && self.whole().all(|(_, _, node)| node.state.is_satisfied())
    }

    fn finish(&mut self, outcome: Outcome, message: String) -> Vec<Action> {
        self.ending = Some(message.clone());
        // Nobody looks any more; others may share these.
        self.scene.close();
        vec![Action::Log(message.clone().into()), Action::Announce(message), Action::Finish(outcome)]
    }

    fn announce(&mut self, now: Time) -> Option<Action> {
        let topic = self.topic();
        let due = self.announcer.due(&topic, self.is_looking())?;
        if now < due {
            return None;
        }
        let is_first = self.announcer.is_first();
        self.announcer.tell(now, topic);
        let mut message = self.describe(now, |node| !node.state.is_satisfied());
        if is_first {
            for note in self.notes() {
                message = format!("{message} · {note}");
            }
        }
        Some(Action::Announce(message))
    }

    /// What an event would be about, without anything that changes by the clock alone.
    fn topic(&self) -> String {
        let parts: Vec<String> =
            self.nodes.iter().map(|(name, node)| format!("{name}: {}", node.state.detail())).collect();
        parts.join("\n")
    }

    /// The chosen steps in one line: `postgres: deployment 7c41f0ab, 1 of 2 healthy; gives up in 4m 10s | …`.
    fn describe(&self, now: Time, which: impl Fn(&Node) -> bool) -> String {
        let parts: Vec<String> = self
            .steps()
            .filter(|(_, _, node)| which(node))
            .map(|(name, wait, node)| {
                let end = match wait.on_timeout {
                    OnTimeout::Fail => "gives up",
                    OnTimeout::Continue => "goes on without it",
                };
                let detail = node.state.detail();
                match self.gives_up(node).filter(|_| !node.state.is_satisfied()) {
                    Some(at) => format!("{name}: {detail}; {end} in {}", Spoken(at.since(now))),
                    None => format!("{name}: {detail}"),
                }
            })
            .collect();
        parts.join(" · ")
    }

    /// What was wanted, what stands in the way, what to do.
    fn failure(&self, name: &str, why: &str) -> String {
        let Some(wait) = self.plan.manifest().waits.get(name) else { return why.to_owned() };
        let hint = self.scene.hint(wait).map_or_else(String::new, |hint| format!("; {hint}"));
        format!("{name}: wanted {}, but {why}{hint}", self.scene.wanted(wait))
    }

    fn summary(&self, now: Time) -> String {
        let open = self.whole().filter(|(_, _, node)| !node.state.is_satisfied()).count();
        let after = Spoken(now.since(self.began));
        format!("{open} of {} still awaited after {after}", self.whole().count())
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = match &self.standing {
            Standing::Unknown(_) => vec![
                "its own job cannot be read, so it cannot tell whether it stands where Nomad waits for it"
                    .to_owned(),
            ],
            Standing::Good(Some(note)) => vec![note.clone()],
            Standing::Good(None) | Standing::Looking | Standing::Misplaced(_) => Vec::new(),
        };
        notes.extend(self.circles.note(&self.scene));
        notes
    }

    /// The steps in the order of the plan, with what the user wrote.
    fn steps(&self) -> impl Iterator<Item = (&str, &Wait, &Node)> {
        self.plan.order().iter().filter_map(|name| {
            let wait: &Wait = self.plan.manifest().waits.get(name)?;
            let node: &Node = self.nodes.get(name)?;
            Some((name.as_str(), wait, node))
        })
    }

    /// The steps that count by themselves, and not only through the `when` of another.
    fn whole(&self) -> impl Iterator<Item = (&str, &Wait, &Node)> {
        self.steps().filter(|(_, _, node)| !node.is_part())
    }

    /// Whether some first look is still under way.
    pub(super) fn is_looking(&self) -> bool {
        let is_asking = |wait: &Wait| {
            let job = wait.subject.job(&self.scene.place);
            job.is_some_and(|job| condition::is_asking(wait, &self.scene.sight_of(&job)))
        };
        (!self.scene.place.is_outside() && self.scene.is_looking_at(&self.scene.place.job))
            || self.steps().any(|(_, wait, _)| self.scene.is_looking_for(wait) || is_asking(wait))
    }

    fn longest(&self) -> Duration {
        self.whole().map(|(_, wait, _)| wait.timeout).max().unwrap_or_default()
    }
}

/// A failure's message with the last words of what failed, or why they are not to be had.
fn with_last_words(message: &str, result: Result<Report, Trouble>) -> String {
    match result {
        Ok(Report::Tail(text)) => {
            let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            let told = lines.get(lines.len().saturating_sub(TOLD_LINES)..).unwrap_or_default();
            if told.is_empty() {
                return message.to_owned();
            }
            format!("{message}; its last words: {}", told.join(" / "))
        }
        Ok(_) => message.to_owned(),
        Err(trouble) => format!("{message}; its output cannot be read: {}", trouble.why),
    }
}

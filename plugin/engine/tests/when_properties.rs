//! Whatever is seen of the parts of an expression, a gate does not open on what does not hold.

use proptest::prelude::*;

use super::*;
use crate::cluster::{
    AllocStatus, Blindness, LiveChecks,
    sample::{batch, failed_task, service, unseen},
};

const PARTS: [&str; 4] = ["a", "b", "c", "d"];

/// An expression, as a tree of its own: it is written down for the gate, and evaluated here.
#[derive(Clone, Debug)]
enum Wanted {
    Part(usize),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

impl Wanted {
    fn text(&self) -> String {
        match self {
            Self::Part(n) => PARTS[*n].to_owned(),
            Self::Not(it) => format!("!({})", it.text()),
            Self::And(one, other) => format!("({} && {})", one.text(), other.text()),
            Self::Or(one, other) => format!("({} || {})", one.text(), other.text()),
        }
    }

    fn holds(&self, parts: [bool; 4]) -> bool {
        match self {
            Self::Part(n) => parts[*n],
            Self::Not(it) => !it.holds(parts),
            Self::And(one, other) => one.holds(parts) && other.holds(parts),
            Self::Or(one, other) => one.holds(parts) || other.holds(parts),
        }
    }

    /// Whether it holds whatever the parts turn out to be that cannot be seen.
    fn holds_surely(&self, parts: [Option<bool>; 4]) -> bool {
        every(parts).all(|parts| self.holds(parts))
    }

    /// Whether it may hold one day when the lost parts stay lost.
    fn may_hold(&self, lost: [bool; 4]) -> bool {
        every(lost.map(|is_lost| is_lost.then_some(false))).any(|parts| self.holds(parts))
    }
}

/// Each way in which what is open can turn out.
fn every(parts: [Option<bool>; 4]) -> impl Iterator<Item = [bool; 4]> {
    (0..16_u32).map(move |bits| std::array::from_fn(|n| parts[n].unwrap_or(bits >> n & 1 == 1)))
}

fn any_wanted() -> impl Strategy<Value = Wanted> {
    let leaf = (0..4_usize).prop_map(Wanted::Part);
    leaf.prop_recursive(4, 12, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|it| Wanted::Not(Box::new(it))),
            (inner.clone(), inner.clone())
                .prop_map(|(one, other)| Wanted::And(Box::new(one), Box::new(other))),
            (inner.clone(), inner).prop_map(|(one, other)| Wanted::Or(Box::new(one), Box::new(other))),
        ]
    })
}

/// A sight, whether a bare `wait` holds by it (`None`: nobody can say), and whether it looks lost.
fn any_sight() -> impl Strategy<Value = (Sight, Option<bool>, bool)> {
    let failed = || {
        batch(1).with("a", |a| {
            a.status = AllocStatus::Failed;
            a.tasks.insert("main".to_owned(), failed_task(1));
        })
    };
    let checked = |by_nomad: Option<bool>| service(1).checked().with("a", |a| a.is_healthy = by_nomad);
    let unasked = || LiveChecks::Unknown("No path to node".to_owned());
    let failing = || LiveChecks::Failing { check: "http".to_owned(), output: "HTTP 500".to_owned() };
    let passing = |seconds| LiveChecks::Passing { lasted: Duration::from_secs(seconds) };
    prop_oneof![
        Just((Sight::Absent { similar: None }, Some(false), false)),
        Just((unseen(Blindness::Looking, "looking"), None, false)),
        Just((unseen(Blindness::Denied, "denied"), None, false)),
        Just((service(1).with("a", |_| ()).seen(), Some(true), false)),
        Just((service(1).with("a", |a| a.is_healthy = None).seen(), Some(false), false)),
        Just((service(1).with("a", |a| a.job_version = None).seen(), None, false)),
        Just((failed().seen(), Some(false), true)),
        Just((checked(Some(true)).seen(), None, false)),
        Just((checked(None).saying("a", unasked()).seen(), None, false)),
        Just((checked(Some(true)).saying("a", LiveChecks::Pending).seen(), None, false)),
        Just((checked(Some(true)).saying("a", unasked()).seen(), Some(true), false)),
        Just((checked(Some(true)).saying("a", failing()).seen(), Some(false), false)),
        Just((checked(None).saying("a", passing(1)).seen(), Some(false), false)),
        Just((checked(None).saying("a", passing(10)).seen(), Some(true), false)),
        Just((service(1).with("a", |a| a.status = AllocStatus::Unknown).seen(), None, false)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    #[test]
    fn a_gate_opens_only_while_its_expression_surely_holds(
        wanted in any_wanted(),
        (needs, stable) in (proptest::option::of(0..4_usize), proptest::option::of(0..4_usize)),
        news in proptest::collection::vec((0..40_u64, 0..4_usize, any_sight()), 0..40),
    ) {
        let text = wanted.text();
        let mut waits = json!({"it": {"when": text, "timeout": "20m"}});
        let named: Vec<usize> = (0..4).filter(|n| text.contains(PARTS[*n])).collect();
        for n in &named {
            waits[PARTS[*n]] = json!({});
        }
        // One of the parts may be looked at only after another, and one must hold for a while.
        let needs = needs.filter(|n| named.contains(n) && named[0] != *n);
        if let Some(n) = needs {
            waits[PARTS[n]]["depends_on"] = json!([PARTS[named[0]]]);
        }
        let stable = stable.filter(|n| named.contains(n));
        if let Some(n) = stable {
            waits[PARTS[n]]["stable_for"] = json!("30s");
        }
        let config = json!({ "wait": waits });
        let (manifest, problems) = Manifest::from_msgpack(&rmp_serde::to_vec(&config).unwrap());
        let can_be_either = wanted.may_hold([false; 4]) && every([None; 4]).any(|parts| !wanted.holds(parts));
        prop_assert_eq!(problems.is_empty(), can_be_either, "{}: {}", text, problems);
        prop_assume!(can_be_either);
        let plan = Plan::compile(manifest, problems).unwrap();
        let began = Time::from_unix_millis(1_000_000);
        let mut engine = Engine::gate(plan.clone(), place(), &deadlines(&plan, began), began);
        engine.step(began, Event::Started);
        engine.step(began, Event::Seen(place().job, Arc::new(own_job().seen())));

        let mut seen: [Option<bool>; 4] = [None; 4];
        let mut since = [began; 4];
        let mut was_lost = [false; 4];
        let mut now = began;
        let value = |seen: [Option<bool>; 4], since: [Time; 4], now: Time| {
            let mut parts = seen;
            if let Some(n) = stable {
                let is_short = now.since(since[n]) < Duration::from_secs(30);
                parts[n] = parts[n].filter(|it| !(*it && is_short));
            }
            if let Some(n) = needs {
                let first = parts[named[0]];
                parts[n] = parts[n].filter(|_| first == Some(true));
            }
            parts
        };
        for (seconds, n, (sight, holds, is_lost)) in news {
            let until = now + Duration::from_secs(seconds);
            while let Some(at) = engine.next_timeout().filter(|at| *at <= until) {
                prop_assert!(at >= now, "{at:?} is over");
                now = at;
                for action in engine.step(now, Event::Tick) {
                    let parts = value(seen, since, now);
                    match action {
                        Action::Finish(Outcome::Done) => {
                            prop_assert!(wanted.holds_surely(parts), "{text} opened on {parts:?}");
                        }
                        Action::Finish(_) => prop_assert!(
                            !wanted.may_hold(was_lost) || now >= began + Duration::from_mins(20),
                            "{text} gave up, lost: {was_lost:?}"
                        ),
                        _ => {}
                    }
                }
            }
            now = until;
            if seen[n] != holds {
                since[n] = now;
            }
            (seen[n], was_lost[n]) = (holds, is_lost);
            let event = Event::Seen(JobKey::new("default", PARTS[n]), Arc::new(sight));
            for action in engine.step(now, event) {
                let parts = value(seen, since, now);
                if action == Action::Finish(Outcome::Done) {
                    prop_assert!(wanted.holds_surely(parts), "{text} opened on {parts:?}");
                }
            }
        }
    }
}

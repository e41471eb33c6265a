//! Whatever Nomad says, in whatever order.

use proptest::prelude::*;

use super::*;
use crate::cluster::{
    AllocStatus, Blindness, DeploymentStatus, EvaluationStatus, JobVersion,
    sample::{batch, failed_task, service, unseen},
};

/// A sight, and whether a job seen like this satisfies a bare `wait`: stated here, not asked of the condition.
fn any_sight() -> impl Strategy<Value = (Sight, bool)> {
    prop_oneof![
        Just((Sight::Absent { similar: None }, false)),
        Just((unseen(Blindness::Looking, "looking"), false)),
        Just((unseen(Blindness::Denied, "denied"), false)),
        Just((unseen(Blindness::Unreachable, "away"), false)),
        Just((service(1).with("a", |_| ()).seen(), true)),
        Just((service(1).with("a", |a| a.is_healthy = None).seen(), false)),
        Just((service(1).with("a", |a| a.is_healthy = Some(false)).seen(), false)),
        Just((service(1).with("a", |a| a.job_version = Some(JobVersion(2))).seen(), false)),
        Just((service(1).but(|job| job.is_stopped = true).with("a", |_| ()).seen(), false)),
        Just((service(1).deployed(DeploymentStatus::Failed, |_| ()).with("a", |_| ()).seen(), false)),
        Just((service(1).evaluated(EvaluationStatus::Blocked, &[]).seen(), false)),
        Just((service(2).with("a", |_| ()).seen(), false)),
        Just((service(0).seen(), true)),
        Just((batch(1).with("a", |_| ()).seen(), true)),
        Just((batch(1).with("a", |a| a.status = AllocStatus::Running).seen(), false)),
        Just((
            batch(1)
                .with("a", |a| {
                    a.status = AllocStatus::Failed;
                    a.tasks.insert("main".to_owned(), failed_task(1));
                })
                .seen(),
            false
        )),
    ]
}

#[derive(Clone, Debug)]
enum News {
    Of(usize, Box<(Sight, bool)>),
    Own(bool),
    Tick,
}

fn any_news() -> impl Strategy<Value = News> {
    prop_oneof![
        8 => (0..3_usize, any_sight()).prop_map(|(job, sight)| News::Of(job, Box::new(sight))),
        1 => any::<bool>().prop_map(News::Own),
        2 => Just(News::Tick),
    ]
}

const JOBS: [&str; 3] = ["a", "b", "c"];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    /// Nothing opens before all its conditions hold at this very moment; the run ends at most once, never after its
    /// last deadline, and is silent afterwards.
    #[test]
    fn a_gate_opens_only_on_what_is_so_now(news in proptest::collection::vec((0..40_u64, any_news()), 0..60)) {
        let began = Time::from_unix_millis(1_000_000);
        let plan = plan(&json!({"a": {}, "b": {"depends_on": ["a"]}, "c": {"timeout": "10m"}}));
        let deadlines = deadlines(&plan, began);
        let mut engine = Engine::gate(plan, place(), &deadlines, began);
        let mut holds = [false; 3];
        let mut stands_well = false;
        let mut now = began;
        let mut ends = 0;
        let mut events = 0;
        prop_assert!(engine.step(now, Event::Started).iter().all(|action| !matches!(action, Action::Finish(_))));

        for (seconds, news) in news {
            let until = now + Duration::from_secs(seconds);
            // The runner's part: a tick whenever the engine asks for one.
            let mut steps = Vec::new();
            while let Some(at) = engine.next_timeout().filter(|at| *at <= until) {
                prop_assert!(at >= now);
                now = at;
                steps.push(engine.step(now, Event::Tick));
                prop_assert!(steps.len() < 50, "the engine never rests");
            }
            now = until;
            let was_over = engine.has_ended();
            let event = match news {
                News::Of(job, sight) => {
                    holds[job] = sight.1;
                    Event::Seen(JobKey::new("default", JOBS[job]), Arc::new(sight.0))
                }
                News::Own(well) => {
                    stands_well = well;
                    let sight = if well { own_job().seen() } else { unseen(Blindness::Unreachable, "away") };
                    Event::Seen(place().job, Arc::new(sight))
                }
                News::Tick => Event::Tick,
            };
            let last = engine.step(now, event);
            if was_over {
                prop_assert!(last.is_empty(), "actions after the end: {last:?}");
            }
            for action in &last {
                if let Action::Finish(Outcome::Done) = action {
                    prop_assert!(holds.iter().all(|holds| *holds) && stands_well, "opened early: {holds:?}");
                }
            }
            for actions in &steps {
                let opened = actions.iter().any(|action| matches!(action, Action::Finish(Outcome::Done)));
                prop_assert!(!opened, "opened by the clock alone");
            }
            let all = steps.iter().flatten().chain(&last);
            for action in all {
                match action {
                    Action::Finish(_) => ends += 1,
                    Action::Announce(_) => events += 1,
                    Action::Log(_) | Action::Ask(_) | Action::Act(_, Act::Tail { .. }) => {}
                    Action::Lead
                    | Action::Remember(_)
                    | Action::Prepare
                    | Action::Watch(_)
                    | Action::Act(..)
                    | Action::Keep(_)
                    | Action::KeepApprovals(_)
                    | Action::Do(..)
                    | Action::Notify(_) => {
                        prop_assert!(false, "a gate does nothing: {:?}", action);
                    }
                }
            }
            prop_assert!(ends <= 1);
            prop_assert!(events <= 6, "{events} task events");
            prop_assert!(engine.has_ended() || now < began + Duration::from_mins(10), "outlived its last deadline");
            prop_assert_eq!(engine.has_ended(), ends == 1);
            prop_assert_eq!(engine.next_timeout().is_none(), ends == 1);
        }
    }

    /// News that repeat themselves change nothing.
    #[test]
    fn news_told_twice_are_news_told_once(news in proptest::collection::vec((0..40_u64, any_news()), 0..30)) {
        let began = Time::from_unix_millis(1_000_000);
        let plan = plan(&json!({"a": {}, "b": {"timeout": "1m", "on_timeout": "continue"}, "c": {"timeout": "10m"}}));
        let deadlines = deadlines(&plan, began);
        let mut once = Engine::gate(plan, place(), &deadlines, began);
        let mut twice = once.clone();
        let mut now = began;
        for (seconds, news) in news {
            now = now + Duration::from_secs(seconds);
            let event = match news {
                News::Of(job, sight) => Event::Seen(JobKey::new("default", JOBS[job]), Arc::new(sight.0)),
                News::Own(_) => Event::Seen(place().job, Arc::new(own_job().seen())),
                News::Tick => Event::Tick,
            };
            let first = once.step(now, event.clone());
            prop_assert_eq!(&twice.step(now, event.clone()), &first);
            prop_assert_eq!(twice.step(now, event), Vec::new());
            prop_assert_eq!(once.status(now), twice.status(now));
        }
    }
}

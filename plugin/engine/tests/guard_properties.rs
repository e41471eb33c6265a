//! Whatever Nomad says, in whatever order, and however often the guard is started anew.

use proptest::prelude::*;

use super::*;
use crate::{
    cluster::{
        Blindness,
        sample::{service, unseen},
    },
    engine::Deed,
};

/// What befalls a guard.
#[derive(Clone, Debug)]
enum News {
    /// A job is seen to hold, or not, or is not seen.
    Of(usize, Option<bool>),
    /// Its own job can be seen, or not.
    Own(bool),
    /// What is under way is done, or fails.
    Acted(Result<(), bool>),
    /// The plugin is another process.
    Recovered,
    /// The task is started anew.
    Started,
    Tick,
}

fn any_news() -> impl Strategy<Value = News> {
    prop_oneof![
        10 => (0..2_usize, prop_oneof![3 => Just(Some(true)), 5 => Just(Some(false)), 1 => Just(None)])
            .prop_map(|(job, sight)| News::Of(job, sight)),
        1 => any::<bool>().prop_map(News::Own),
        4 => prop_oneof![3 => Just(Ok(())), 1 => any::<bool>().prop_map(Err)].prop_map(News::Acted),
        1 => Just(News::Recovered),
        1 => Just(News::Started),
        2 => Just(News::Tick),
    ]
}

const JOBS: [&str; 2] = ["a", "b"];
const GRACE: [u64; 2] = [5, 12];
const MOST: usize = 2;
const PERIOD: Duration = Duration::from_secs(100);

fn waits() -> Value {
    json!({
        "a": {"on_loss": "hold", "grace": "5s", "max_actions": 2, "period": "100s"},
        "b": {"on_loss": "signal", "grace": "12s", "max_actions": 2, "period": "100s"},
    })
}

/// What an observer knows: stated here, not asked of the guard.
#[derive(Default)]
struct Observer {
    /// Since when each is seen to be lost, by the process that is there.
    lost_since: [Option<Time>; 2],
    /// Whether each was seen to hold since it was last acted upon, or since the task was started.
    held: [bool; 2],
    acts: Vec<Time>,
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    /// No act without a loss that was seen all through its grace, of something that held before; none more often than
    /// allowed in any period; none before it is remembered.
    #[test]
    fn a_guard_acts_only_upon_what_it_has_seen_and_not_too_often(
        news in proptest::collection::vec((0..20_u64, any_news()), 0..80)
    ) {
        let mut now = Time::from_unix_millis(1_000_000);
        let mut kept = Keepsake::default();
        let mut engine = Engine::guard(plan(&waits()), place(), Ok(kept.clone()), now);
        let mut seen = Observer::default();
        let mut under_way: Option<String> = None;
        let mut queue = vec![Event::Started, Event::Seen(place().job, Arc::new(guards::well_placed()))];
        for (seconds, news) in news {
            let until = now + Duration::from_secs(seconds);
            let mut steps = Vec::new();
            while let Some(event) = (!queue.is_empty()).then(|| queue.remove(0)) {
                steps.push((now, engine.step(now, event)));
            }
            while let Some(at) = engine.next_timeout().filter(|at| *at <= until) {
                prop_assert!(at >= now, "a timeout in the past");
                now = at;
                steps.push((now, engine.step(now, Event::Tick)));
                prop_assert!(steps.len() < 50, "the engine never rests");
            }
            now = until;
            for (at, actions) in steps {
                let mut is_kept = false;
                for action in actions {
                    match action {
                        Action::Keep(keepsake) => {
                            kept = keepsake;
                            is_kept = true;
                        }
                        Action::Do(_, Deed::Prove) | Action::Announce(_) | Action::Log(_) => {}
                        Action::Do(name, _) => {
                            let job = JOBS.iter().position(|job| *job == name).unwrap();
                            prop_assert!(under_way.is_none(), "two at once");
                            prop_assert!(is_kept, "not remembered before");
                            let since = seen.lost_since[job];
                            let grace = Duration::from_secs(GRACE[job]);
                            prop_assert!(since.is_some_and(|since| since + grace <= at), "{name}: not lost for {grace:?}");
                            prop_assert!(seen.held[job], "{name} never held, or was acted upon");
                            seen.acts.push(at);
                            let recent = seen.acts.iter().filter(|act| at.since(**act) < PERIOD).count();
                            prop_assert!(recent <= MOST, "{recent} acts in {PERIOD:?}");
                            seen.held[job] = false;
                            under_way = Some(name);
                        }
                        other => prop_assert!(false, "no guard does this: {:?}", other),
                    }
                }
            }
            match news {
                News::Of(job, look) => {
                    let sight = match look {
                        Some(true) => {
                            seen.held[job] = true;
                            seen.lost_since[job] = None;
                            service(1).with("a", |_| ()).seen()
                        }
                        Some(false) => {
                            seen.lost_since[job].get_or_insert(now);
                            service(1).seen()
                        }
                        None => {
                            seen.lost_since[job] = None;
                            unseen(Blindness::Unreachable, "away")
                        }
                    };
                    queue.push(Event::Seen(JobKey::new("default", JOBS[job]), Arc::new(sight)));
                }
                News::Own(well) => {
                    let sight = if well { guards::well_placed() } else { unseen(Blindness::Unreachable, "away") };
                    queue.push(Event::Seen(place().job, Arc::new(sight)));
                }
                News::Acted(result) => {
                    let Some(name) = under_way.take() else { continue };
                    // What was not done may be done again, after a while.
                    let job = JOBS.iter().position(|job| *job == name).unwrap();
                    seen.held[job] |= result.is_err();
                    let trouble = |is_transient| Trouble { why: "no".to_owned(), is_transient };
                    let result = result.map(|()| Report::Done).map_err(trouble);
                    queue.push(Event::Acted(name, result));
                }
                News::Recovered | News::Started => {
                    under_way = None;
                    seen.lost_since = [None; 2];
                    if matches!(news, News::Started) {
                        seen.held = [false; 2];
                        kept = kept.started_anew();
                    }
                    engine = Engine::guard(plan(&waits()), place(), Ok(kept.clone()), now);
                    queue.push(Event::Started);
                    queue.push(Event::Seen(place().job, Arc::new(guards::well_placed())));
                }
                News::Tick => queue.push(Event::Tick),
            }
        }
        prop_assert!(!engine.has_ended(), "a guard ends only when it is stopped");
    }
}

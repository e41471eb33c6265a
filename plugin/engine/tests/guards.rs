//! Runs of guards: what is lost, what is done about it, and what is not.

use super::*;
use crate::cluster::{
    AllocStatus, Blindness, JobType, JobVersion, Lifecycle, LifecycleHook, LiveChecks, sample::service,
    sample::unseen,
};

/// The guard's own job: the guard is called `gate` here, too, and is a sidecar.
fn own(lifecycle: Option<Lifecycle>) -> Sight {
    own_job().but_group(|group| group.tasks.get_mut("gate").unwrap().lifecycle = lifecycle).seen()
}

fn sidecar(hook: LifecycleHook) -> Lifecycle {
    Lifecycle { hook, is_sidecar: true }
}

pub(super) fn well_placed() -> Sight {
    own(Some(sidecar(LifecycleHook::Poststart)))
}

fn up() -> Sight {
    service(1).with("a", |_| ()).seen()
}

fn down() -> Sight {
    service(1).but(|job| job.is_stopped = true).seen()
}

fn away() -> Sight {
    unseen(Blindness::Unreachable, "cannot reach Nomad")
}

impl Simulation {
    /// A guard that has just begun.
    fn guard(waits: &Value) -> Self {
        Self::guard_that_sees(waits, well_placed())
    }

    fn guard_that_sees(waits: &Value, own: Sight) -> Self {
        let now = Time::from_unix_millis(1_000_000);
        let engine = Engine::guard(plan(waits), place(), Ok(Keepsake::default()), now);
        let (lines, kept) = (Vec::new(), Keepsake::default());
        let mut run = Self { engine, began: now, now, lines, kept };
        run.happens("the run begins", Event::Started);
        run.sees("shop", own);
        run
    }

    /// The plugin is another process now; or, with `anew`, the task was started again.
    fn begins_again(&mut self, waits: &Value, anew: bool) -> &mut Self {
        if anew {
            self.kept = self.kept.clone().started_anew();
        }
        self.engine = Engine::guard(plan(waits), place(), Ok(self.kept.clone()), self.now);
        self.happens(
            if anew { "the task is started anew" } else { "the plugin is started anew" },
            Event::Started,
        );
        self.sees("shop", well_placed())
    }

    fn done(&mut self, name: &str) -> &mut Self {
        self.happens("it is done", Event::Acted(name.to_owned(), Ok(Report::Done)))
    }

    fn fails(&mut self, name: &str, why: &str, is_transient: bool) -> &mut Self {
        let trouble = Trouble { why: why.to_owned(), is_transient };
        self.happens("it is not done", Event::Acted(name.to_owned(), Err(trouble)))
    }
}

fn hold() -> Value {
    json!({"db": {"on_loss": "hold"}})
}

#[test]
fn a_loss_is_answered_once_when_its_grace_is_over() {
    let mut run = Simulation::guard(&hold());
    run.sees("db", down()).wait(60);
    run.sees("db", up()).wait(60);
    run.sees("db", down()).wait(9).wait(51);
    run.done("db").sees("db", up()).wait(60);
    insta::assert_snapshot!(run.transcript(), @r#"
    0s: the run begins
        do      right to act: Prove
        log     db: unseen: looking at Nomad
    0s: shop is seen
    0s: db is seen
        log     db: awaited: is stopped; start it with `nomad job start postgres`
        log     guards db, else hold after 10s: awaited: is stopped; start it with `nomad job start postgres`
        event   guards db, else hold after 10s: awaited: is stopped; start it with `nomad job start postgres`
    1m: db is seen
        log     db: held: 1 of 1 healthy
        keep    {"waits":{"db":"held"},"acts":[]}
    2m: db is seen
        log     db: lost: is stopped; start it with `nomad job start postgres`
    2m 10s: time passes
        log     db: lost for 10s: is stopped; start it with `nomad job start postgres`; restarts the allocation with all its tasks, so that its gate holds it
        event   db: lost for 10s: is stopped; start it with `nomad job start postgres`; restarts the allocation with all its tasks, so that its gate holds it
        keep    {"waits":{"db":"answered"},"acts":[1130000]}
        do      db: Restart { all: true }
    3m: it is done
        log     db: hold: done
    3m: db is seen
        log     db: holds again, after 1m: 1 of 1 healthy
        event   db: holds again, after 1m: 1 of 1 healthy
        keep    {"waits":{"db":"held"},"acts":[1130000]}
    "#);
}

#[test]
fn a_loss_that_is_over_before_its_grace_is_none() {
    let mut run = Simulation::guard(&hold());
    run.sees("db", up());
    for _ in 0..10 {
        run.sees("db", down()).wait(9).sees("db", up()).wait(1);
    }
    assert!(!run.transcript().contains("Restart"), "{}", run.transcript());
}

#[test]
fn what_cannot_be_seen_is_not_lost_and_the_grace_begins_anew() {
    let mut run = Simulation::guard(&hold());
    run.sees("db", up()).sees("db", away()).wait(3600);
    run.sees("db", down()).wait(8).sees("db", away()).wait(1).sees("db", down()).wait(9);
    assert!(!run.transcript().contains("Restart"), "{}", run.transcript());
    run.wait(1);
    assert!(run.transcript().contains("Restart { all: true }"), "{}", run.transcript());
}

#[test]
fn checks_that_are_being_asked_or_cannot_be_and_a_client_out_of_reach_are_no_loss() {
    let waits = json!({"db": {"on_loss": "hold", "grace": "1s"}});
    let checked = || service(1).checked().with("a", |a| a.is_healthy = None);
    let passing = || checked().saying("a", LiveChecks::Passing { lasted: Duration::from_mins(1) }).seen();
    let mut run = Simulation::guard(&waits);
    run.sees("db", passing());
    run.begins_again(&waits, false).sees("db", checked().seen()).wait(2).sees("db", passing()).wait(60);
    run.sees("db", checked().saying("a", LiveChecks::Unknown("No path to node".to_owned())).seen())
        .wait(3600);
    run.sees("db", checked().with("a", |a| a.status = AllocStatus::Unknown).seen()).wait(3600);
    assert!(!run.transcript().contains("Restart"), "{}", run.transcript());
    let failing = LiveChecks::Failing { check: "http".to_owned(), output: String::new() };
    run.sees("db", checked().saying("a", failing).seen()).wait(1);
    assert!(run.transcript().contains("Restart { all: true }"), "{}", run.transcript());
}

#[test]
fn what_is_being_updated_is_not_lost_while_enough_of_it_is_up() {
    let mut run = Simulation::guard(&hold());
    let updating =
        service(1).but(|job| job.version = JobVersion(4)).with("a", |a| a.job_version = Some(JobVersion(3)));
    run.sees("db", up()).sees("db", updating.seen()).wait(600);
    assert!(!run.transcript().contains("lost"), "{}", run.transcript());
}

#[test]
fn each_action_is_what_was_asked_for() {
    let told = |wait: Value| {
        let mut run = Simulation::guard(&json!({ "db": wait }));
        run.sees("db", up()).sees("db", down()).wait(10);
        let lines = run.lines.iter().skip_while(|line| !line.starts_with("10s")).cloned();
        lines.collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(told(json!({"on_loss": "report"})), @r#"
    10s: time passes
        keep    {"waits":{"db":"answered"},"acts":[]}
        log     db: lost for 10s: is stopped; start it with `nomad job start postgres`
        event   db: lost for 10s: is stopped; start it with `nomad job start postgres`
    "#);
    insta::assert_snapshot!(told(json!({"on_loss": "signal"})), @r#"
    10s: time passes
        log     db: lost for 10s: is stopped; start it with `nomad job start postgres`; sends SIGHUP to the main tasks
        event   db: lost for 10s: is stopped; start it with `nomad job start postgres`; sends SIGHUP to the main tasks
        keep    {"waits":{"db":"answered"},"acts":[1010000]}
        do      db: Signal { tasks: ["main"], signal: "SIGHUP" }
    "#);
    insta::assert_snapshot!(told(json!({"on_loss": "signal", "signal": "SIGUSR1", "tasks": ["main"]})), @r#"
    10s: time passes
        log     db: lost for 10s: is stopped; start it with `nomad job start postgres`; sends SIGUSR1 to main
        event   db: lost for 10s: is stopped; start it with `nomad job start postgres`; sends SIGUSR1 to main
        keep    {"waits":{"db":"answered"},"acts":[1010000]}
        do      db: Signal { tasks: ["main"], signal: "SIGUSR1" }
    "#);
    insta::assert_snapshot!(told(json!({"on_loss": "restart"})), @r#"
    10s: time passes
        log     db: lost for 10s: is stopped; start it with `nomad job start postgres`; restarts the allocation's running tasks
        event   db: lost for 10s: is stopped; start it with `nomad job start postgres`; restarts the allocation's running tasks
        keep    {"waits":{"db":"answered"},"acts":[1010000]}
        do      db: Restart { all: false }
    "#);
}

#[test]
fn who_acts_too_often_only_reports_for_a_while() {
    let waits = json!({
        "db": {"on_loss": "restart", "grace": "1s", "max_actions": 2, "period": "5m"},
        "cache": {"on_loss": "restart", "grace": "1s", "max_actions": 2, "period": "5m"},
    });
    let mut run = Simulation::guard(&waits);
    run.sees("db", up()).sees("cache", up());
    for job in ["db", "cache", "db"] {
        run.sees(job, down()).wait(20).done(job).sees(job, up()).wait(40);
    }
    let before = run.lines.len();
    run.sees("cache", down()).wait(600);
    run.done("cache");
    insta::assert_snapshot!(run.lines[before..].join("\n"), @r#"
    3m: cache is seen
        log     cache: lost: is stopped; start it with `nomad job start postgres`
    3m 1s: time passes
        log     cache: lost for 1s: is stopped; start it with `nomad job start postgres`; only reported, because it acted 2 times in 5m already (max_actions): it acts again in 2m if this is still lost then
    5m 1s: time passes
        log     cache: lost for 2m 1s: is stopped; start it with `nomad job start postgres`; restarts the allocation's running tasks
        event   cache: lost for 2m 1s: is stopped; start it with `nomad job start postgres`; restarts the allocation's running tasks
        keep    {"waits":{"cache":"answered","db":"held"},"acts":[1061000,1301000]}
        do      cache: Restart { all: false }
    13m: it is done
        log     cache: restart: done
    "#);
    assert_eq!(run.transcript().matches("Restart {").count(), 3);
}

#[test]
fn two_losses_at_once_are_one_act() {
    let waits = json!({"db": {"on_loss": "hold"}, "cache": {"on_loss": "hold"}});
    let mut run = Simulation::guard(&waits);
    run.sees("db", up()).sees("cache", up()).sees("db", down()).sees("cache", down()).wait(60);
    assert_eq!(run.transcript().matches("Restart {").count(), 1, "{}", run.transcript());
    // Its own act has started it anew.
    run.begins_again(&waits, true).sees("db", down()).sees("cache", down()).wait(600);
    assert_eq!(run.transcript().matches("Restart {").count(), 1, "{}", run.transcript());
}

#[test]
fn a_plugin_that_is_started_in_the_middle_of_a_grace_gives_it_anew_and_forgets_nothing() {
    let mut run = Simulation::guard(&hold());
    run.sees("db", up()).sees("db", down()).wait(8);
    run.begins_again(&hold(), false).wait(5).sees("db", down()).wait(9);
    assert!(!run.transcript().contains("Restart"), "{}", run.transcript());
    run.wait(1);
    assert_eq!(run.transcript().matches("Restart {").count(), 1, "{}", run.transcript());
    run.begins_again(&hold(), false).sees("db", down()).wait(600);
    assert_eq!(run.transcript().matches("Restart {").count(), 1, "{}", run.transcript());
    run.sees("db", up()).sees("db", down()).wait(10);
    assert_eq!(run.transcript().matches("Restart {").count(), 2, "{}", run.transcript());
}

#[test]
fn a_guard_that_restarts_itself_counts_on() {
    let waits = json!({"db": {"on_loss": "hold", "max_actions": 2}});
    let mut run = Simulation::guard(&waits);
    for _ in 0..4 {
        run.sees("db", up()).sees("db", down()).wait(10).begins_again(&waits, true);
    }
    assert_eq!(run.transcript().matches("Restart {").count(), 2, "{}", run.transcript());
    assert!(run.transcript().contains("holds again"), "{}", run.transcript());
}

#[test]
fn who_may_not_act_says_so_and_reports_until_he_may() {
    let mut run = Simulation::guard(&hold());
    run.fails("\0right to act", "Nomad does not allow it; the policy", false);
    run.sees("db", up()).sees("db", down()).wait(20).fails(
        "\0right to act",
        "Nomad does not allow it; the policy",
        false,
    );
    run.wait(60);
    run.happens("it is proven", Event::Acted("\0right to act".to_owned(), Ok(Report::Done)));
    insta::assert_snapshot!(run.transcript(), @r#"
    0s: the run begins
        do      right to act: Prove
        log     db: unseen: looking at Nomad
    0s: shop is seen
    0s: it is not done
        log     only reports, because it cannot act: Nomad does not allow it; the policy
        event   only reports, because it cannot act: Nomad does not allow it; the policy
    0s: db is seen
        log     db: held: 1 of 1 healthy
        keep    {"waits":{"db":"held"},"acts":[]}
        log     guards db, else hold after 10s: held: 1 of 1 healthy · only reports: it cannot act: Nomad does not allow it; the policy
        event   guards db, else hold after 10s: held: 1 of 1 healthy · only reports: it cannot act: Nomad does not allow it; the policy
    0s: db is seen
        log     db: lost: is stopped; start it with `nomad job start postgres`
    10s: time passes
        log     db: lost for 10s: is stopped; start it with `nomad job start postgres`; only reported: it cannot act: Nomad does not allow it; the policy
        event   db: lost for 10s: is stopped; start it with `nomad job start postgres`; only reported: it cannot act: Nomad does not allow it; the policy
    20s: it is not done
    1m 20s: time passes
        do      right to act: Prove
    1m 20s: it is proven
        log     it may act now
        log     db: lost for 1m 20s: is stopped; start it with `nomad job start postgres`; restarts the allocation with all its tasks, so that its gate holds it
        event   db: lost for 1m 20s: is stopped; start it with `nomad job start postgres`; restarts the allocation with all its tasks, so that its gate holds it
        keep    {"waits":{"db":"answered"},"acts":[1080000]}
        do      db: Restart { all: true }
    "#);
}

#[test]
fn what_was_not_done_is_tried_again_but_no_signal_is_sent_twice() {
    let mut run = Simulation::guard(&hold());
    run.sees("db", up()).sees("db", down()).wait(10).fails("db", "no answer", true).wait(60);
    run.happens("it is proven", Event::Acted("\0right to act".to_owned(), Ok(Report::Done)));
    assert_eq!(run.transcript().matches("Restart {").count(), 2, "{}", run.transcript());

    let mut run = Simulation::guard(&json!({"db": {"on_loss": "signal"}}));
    run.sees("db", up()).sees("db", down()).wait(10).fails("db", "no answer", true).wait(600);
    assert_eq!(run.transcript().matches("Signal {").count(), 1, "{}", run.transcript());
    assert!(run.transcript().contains("whether the signal was sent is not known"), "{}", run.transcript());
}

#[test]
fn a_guard_without_its_memory_only_reports() {
    let now = Time::from_unix_millis(1_000_000);
    let memory = Err("what it did before cannot be read: it is damaged".to_owned());
    let engine = Engine::guard(plan(&hold()), place(), memory, now);
    let mut run = Simulation { engine, began: now, now, lines: Vec::new(), kept: Keepsake::default() };
    run.happens("the run begins", Event::Started).sees("shop", well_placed());
    run.sees("db", up()).sees("db", down()).wait(600);
    assert!(!run.transcript().contains("do  "), "{}", run.transcript());
    assert!(
        run.transcript().contains("only reported: what it did before cannot be read"),
        "{}",
        run.transcript()
    );
}

#[test]
fn what_depends_on_something_lost_is_not_looked_at() {
    let waits = json!({"db": {"on_loss": "report"}, "api": {"on_loss": "restart", "depends_on": ["db"]}});
    let mut run = Simulation::guard(&waits);
    run.sees("db", up()).sees("api", up()).sees("db", down()).sees("api", down()).wait(600);
    assert!(!run.transcript().contains("Restart"), "{}", run.transcript());
}

#[test]
fn a_guard_that_stands_where_it_cannot_watch_says_what_to_write() {
    let said = |lifecycle| {
        let run = Simulation::guard_that_sees(&hold(), own(lifecycle));
        assert!(run.engine.has_ended());
        run.lines.last().unwrap().clone() + "\n" + &run.lines[run.lines.len() - 2]
    };
    let no_sidecar = |hook| Some(Lifecycle { hook, is_sidecar: false });
    insta::assert_snapshot!(said(None), @r#"
    finish  failed
    event   this guard cannot keep watch: task `gate` is a main task, and its group could never end; write `lifecycle { hook = "poststart" sidecar = true }` into it, each attribute on a line of its own
    "#);
    insta::assert_snapshot!(said(no_sidecar(LifecycleHook::Prestart)), @r#"
    finish  failed
    event   this guard cannot keep watch: task `gate` is a prestart task that Nomad waits for, and its group would never start; write `lifecycle { hook = "poststart" sidecar = true }` into it, each attribute on a line of its own
    "#);
    for hook in [LifecycleHook::Poststart, LifecycleHook::Poststop] {
        assert!(said(no_sidecar(hook)).contains("sidecar = true"));
    }
    for hook in [LifecycleHook::Prestart, LifecycleHook::Poststart] {
        assert!(!Simulation::guard_that_sees(&hold(), own(Some(sidecar(hook)))).engine.has_ended());
    }
    let unknown = json!({"db": {"on_loss": "signal", "tasks": ["main", "mian"]}});
    let run = Simulation::guard(&unknown);
    insta::assert_snapshot!(run.lines.last().unwrap().clone() + "\n" + &run.lines[run.lines.len() - 2], @"
    finish  failed
    event   this guard cannot keep watch: its `tasks` name mian, and group web has gate, main
    ");
}

#[test]
fn a_gate_that_is_a_sidecar_is_told_of_guards() {
    let run = Simulation::gate_that_sees(&json!({"db": {}}), own(Some(sidecar(LifecycleHook::Prestart))));
    assert!(run.transcript().contains("give its waits an `on_loss`"), "{}", run.transcript());
}

#[test]
fn a_guard_is_stopped_and_says_no_more() {
    let mut run = Simulation::guard(&hold());
    run.sees("db", up()).happens("stop", Event::Stopped);
    run.sees("db", down()).wait(600);
    assert!(run.engine.has_ended() && run.engine.next_timeout().is_none());
    insta::assert_snapshot!(run.transcript(), @r#"
    0s: the run begins
        do      right to act: Prove
        log     db: unseen: looking at Nomad
    0s: shop is seen
    0s: db is seen
        log     db: held: 1 of 1 healthy
        keep    {"waits":{"db":"held"},"acts":[]}
        log     guards db, else hold after 10s: held: 1 of 1 healthy
        event   guards db, else hold after 10s: held: 1 of 1 healthy
    0s: stop
        log     stopped; 1 of 1 held
        finish  stopped
    0s: db is seen
    "#);
}

#[test]
fn what_comes_and_goes_is_told_in_a_few_events() {
    let mut run = Simulation::guard(&json!({"db": {"on_loss": "report", "grace": "1s"}}));
    for _ in 0..30 {
        run.sees("db", up()).wait(2).sees("db", down()).wait(2);
    }
    assert_eq!(run.transcript().matches("    event").count(), 5, "{}", run.transcript());
    assert!(run.transcript().contains("only the task's log tells"), "{}", run.transcript());
}

#[test]
fn it_says_what_it_guards() {
    let waits =
        json!({"db": {"on_loss": "hold"}, "cache": {"on_loss": "report"}, "mail": {"on_loss": "signal"}});
    let mut run = Simulation::guard(&waits);
    run.sees("db", up()).sees("cache", up()).sees("mail", nobody()).wait(30).sees("db", down()).wait(4);
    let status = run.engine.status(run.now);
    let told =
        [crate::show::why(&status), crate::show::tree(&status), crate::show::status(&status)].join("\n");
    insta::assert_snapshot!(told, @"
    cache: held
        awaited   job cache healthy, else report after 10s
        seen      1 of 1 healthy
        since     34s ago
    db: lost
        awaited   job db healthy, else hold after 10s
        seen      is stopped; start it with `nomad job start postgres`
                  version 3, stopped
        since     4s ago
        until     6s from now, then hold
        help      look with `nomad job status db`
    mail: awaited
        awaited   job mail ready, else signal after 10s
        seen      no job has this ID yet
        since     34s ago
        help      register it with `nomad job run FILE`

    shop/web/gate
        cache: held for 34s: 1 of 1 healthy
        db: lost for 4s: is stopped; start it with `nomad job start postgres`; hold in 6s
        mail: awaited for 34s: no job has this ID yet

    Task          = shop/web/gate
    Allocation    = own-0000
    Elapsed       = 34s

    Step   State    Since  Detail
    cache  held     34s    1 of 1 healthy
    db     lost     4s     is stopped; start it with `nomad job start postgres`; until 6s from now
    mail   awaited  34s    no job has this ID yet
    ");
    let kind = crate::condition::default_until(JobType::Service);
    assert!(told.contains(&format!("job db {kind}")), "{told}");
}

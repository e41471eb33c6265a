//! Whole trees over a fake Nomad: watch, runner, acts and journal. The fake schedules nothing; a test does.

use std::path::Path;

use serde_json::Value;

use super::*;
use crate::{
    nomad::fake::{self, Answer, FakeNomad},
    watch::{Viewer, Watch},
};

/// Asks nobody: no step of these waits for a task of its own allocation.
struct NoChecks;

impl Checker for NoChecks {
    async fn checks(&self) -> Result<Vec<Check>, nomad::Error> {
        Ok(Vec::new())
    }
}

/// Everything that a run tells its user.
#[derive(Default)]
struct Diary(Mutex<Vec<String>>);

impl Notices for Diary {
    fn event(&self, message: &str) {
        self.0.lock().unwrap().push(format!("event {message}"));
    }

    fn log(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

impl Diary {
    fn text(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }
}

struct Stage {
    fake: FakeNomad,
    alloc_dir: tempfile::TempDir,
    config: Value,
}

/// A run, and the process that it lives in.
struct Process {
    running: Running,
    diary: Arc<Diary>,
    tasks: TaskTracker,
    stop: CancellationToken,
    _watch: Watch,
}

impl Process {
    /// The process ends, and its run is not over.
    async fn crash(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        assert_eq!(self.running.ending(), None, "{}", self.diary.text());
    }

    async fn fails(&self) -> String {
        match self.running.ended().await {
            Ending::Failed { message } => message,
            ending => panic!("{ending:?}: {}", self.diary.text()),
        }
    }

    async fn is_done(&self) {
        assert_eq!(self.running.ended().await, Ending::Done, "{}", self.diary.text());
    }
}

fn shop() -> Value {
    json!({"job": {
        "postgres": {"jobspec": "local/postgres", "post": {"setup": {"jobspec": "local/setup"}}},
        "api": {"jobspec": "local/api", "depends_on": ["postgres"]},
    }})
}

impl Stage {
    fn of(config: &Value) -> Self {
        let fake = FakeNomad::start();
        fake.transact(|write| write.register(fake::job("default", "shop")));
        let alloc_dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(alloc_dir.path().join("gate/local")).unwrap();
        let stage = Self { fake, alloc_dir, config: config.clone() };
        for name in ["postgres", "api"] {
            stage.file(name, &fake::job("default", name));
        }
        stage.file("setup", &batch("setup"));
        stage
    }

    /// A jobspec, which is JSON for the fake.
    fn file(&self, name: &str, job: &Value) {
        std::fs::write(self.task_dir().join("local").join(name), job.to_string()).unwrap();
    }

    fn task_dir(&self) -> std::path::PathBuf {
        self.alloc_dir.path().join("gate")
    }

    /// A process that begins the tree, or goes on with it.
    fn process(&self, is_recovery: bool) -> Process {
        let config = rmp_serde::to_vec(&self.config).unwrap();
        let (manifest, problems) = Manifest::from_msgpack(&config);
        let plan = Plan::compile(manifest, problems).unwrap();
        let place = Place { group: "g".to_owned(), alloc: "own".into(), ..place() };
        let viewer = Viewer {
            socket: self.fake.socket("api"),
            token_file: self.fake.socket("api").with_file_name("nomad_token"),
            env_token: None,
            job: place.job.clone(),
            task: place.task.clone(),
        };
        let watch = Watch::new(None, CancellationToken::new());
        let outlook = watch.subscribe(viewer.clone(), plan.subjects(&place));
        let (tree, dir): (_, &Path) = ("default/shop".into(), self.alloc_dir.path());
        let errand = Errand::open(tree, viewer, dir, plan.manifest(), is_recovery).unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let diary = Arc::new(Diary::default());
        let order = Order { plan, place, deadlines: BTreeMap::new(), errand: Some(Box::new(errand)) };
        let notices = Arc::clone(&diary) as Arc<dyn Notices>;
        let running = start(order, outlook, NoChecks, notices, &tasks, stop.clone());
        Process { running, diary, tasks, stop, _watch: watch }
    }

    /// The job whose ID begins so, once it is registered and not stopped.
    async fn appears(&self, beginning: &str) -> String {
        for _ in 0..600 {
            let ids = self.fake.job_ids("default");
            let runs = |id: &&String| {
                id.starts_with(beginning) && self.fake.job("default", id).unwrap()["Stop"] == false
            };
            if let Some(id) = ids.iter().find(runs) {
                return id.clone();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no job {beginning}: {:?}", self.fake.job_ids("default"));
    }

    /// A job that was submitted becomes healthy.
    async fn healthy(&self, id: &str) {
        self.appears(id).await;
        let version = self.fake.job("default", id).unwrap()["Version"].as_u64().unwrap();
        let alloc = format!("{id}-{version}");
        self.fake.transact(|write| {
            write.allocation(fake::allocation("default", id, &alloc, version, "running"));
        });
        self.fake.transact(|write| {
            write.client_update(&alloc, |allocation| {
                allocation["DeploymentStatus"] = json!({"Healthy": true, "Canary": false});
            });
        });
    }

    /// A hook runs to its end; what it ran as.
    async fn ends(&self, hook: &str, exit_code: i32) -> String {
        let id = self.appears(hook).await;
        let status = if exit_code == 0 { "complete" } else { "failed" };
        let mut allocation = fake::allocation("default", &id, &format!("alloc-{id}"), 0, status);
        allocation["TaskStates"]["t"] = json!({
            "State": "dead", "Failed": exit_code != 0, "Restarts": 0,
            "Events": [{"Type": "Terminated", "ExitCode": exit_code, "DisplayMessage": ""}],
        });
        self.fake.log(&format!("alloc-{id}"), "t", "stderr", "connecting\npsql: no route to host\n");
        self.fake.transact(|write| write.allocation(allocation));
        id
    }

    /// What was written, each write in a line.
    fn writes(&self) -> String {
        let writes = self.fake.take_writes();
        let lines: Vec<String> = writes
            .iter()
            // How a run asks whether it may submit: nothing has this name.
            .filter(|write| !write.path.contains("dtree-may-i-submit"))
            .map(|write| {
                let id = write.body["Job"]["ID"].as_str().unwrap_or_default();
                let path = write.path.trim_start_matches("/v1/");
                format!("{} {path} {id} {}", write.method, write.status)
            })
            .collect();
        lines.join("\n")
    }
}

fn batch(id: &str) -> Value {
    let mut job = fake::job("default", id);
    job["Type"] = "batch".into();
    job["TaskGroups"][0]["Update"] = Value::Null;
    job
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_shop_comes_up_in_order_and_a_second_run_writes_nothing() {
    let stage = Stage::of(&shop());
    let run = stage.process(false);
    stage.healthy("postgres").await;
    stage.ends("setup-", 0).await;
    stage.healthy("api").await;
    run.is_done().await;
    insta::assert_snapshot!(stage.writes(), @"
    POST jobs postgres 200
    POST jobs setup-shop-cca8ebdd-1 200
    PUT var/dtree/default/shop/default/postgres  200
    POST jobs api 200
    DELETE job/setup-shop-cca8ebdd-1  200
    ");
    let again = stage.process(false);
    again.is_done().await;
    assert_eq!(stage.writes(), "");
    assert!(again.diary.text().contains("done after 0s: 2 unchanged"), "{}", again.diary.text());
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_is_an_error_has_no_second_effect() {
    let stage = Stage::of(&shop());
    // Applied, and answered with what a lost leader says; then a connection that breaks.
    let lost = Answer::AppliedThen(500, "No cluster leader".to_owned());
    stage.fake.answer_next_write("/v1/jobs", lost.clone());
    let run = stage.process(false);
    stage.healthy("postgres").await;
    stage.fake.answer_next_write("/v1/jobs", Answer::AppliedThenGone);
    let hook = stage.ends("setup-", 0).await;
    stage.fake.answer_next_write(&format!("/v1/job/{hook}"), lost.clone());
    stage.fake.answer_next_write("/v1/jobs", Answer::Gone);
    stage.healthy("api").await;
    run.is_done().await;
    insta::assert_snapshot!(stage.writes(), @"
    POST jobs postgres 200
    POST jobs setup-shop-cca8ebdd-1 200
    PUT var/dtree/default/shop/default/postgres  200
    DELETE job/setup-shop-cca8ebdd-1  200
    DELETE job/setup-shop-cca8ebdd-1  200
    POST jobs api 200
    ");
}

#[tokio::test(start_paused = true)]
async fn a_dispatch_whose_answer_was_lost_runs_once() {
    let config = json!({"job": {"postgres": {"jobspec": "local/postgres", "post": {
        "setup": {"dispatch": "migrate", "meta": {"to": "7"}, "payload": "all"},
    }}}});
    let stage = Stage::of(&config);
    let mut parent = batch("migrate");
    parent["ParameterizedJob"] = json!({"Payload": "optional", "MetaRequired": ["to"], "MetaOptional": []});
    stage.fake.transact(|write| write.register(parent));
    stage.fake.answer_next_write("/v1/job/migrate/dispatch", Answer::AppliedThenGone);
    let run = stage.process(false);
    stage.healthy("postgres").await;
    stage.ends("migrate/dispatch-", 0).await;
    run.is_done().await;
    let writes = stage.writes();
    let children = stage.fake.job_ids("default").into_iter().filter(|id| id.starts_with("migrate/")).count();
    assert!(children <= 1, "{writes}");
    insta::assert_snapshot!(writes, @"
    POST jobs postgres 200
    POST job/migrate/dispatch  200
    POST job/migrate/dispatch  200
    PUT var/dtree/default/shop/default/postgres  200
    DELETE job/migrate%2Fdispatch-16-fa4e  200
    ");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_someone_else_registers_first_is_left_alone() {
    let stage = Stage::of(&shop());
    // It is there between the look and the write.
    stage.fake.answer_next_write("/v1/jobs", Answer::Late(Duration::from_secs(1)));
    let run = stage.process(false);
    tokio::time::sleep(Duration::from_millis(500)).await;
    stage.fake.transact(|write| write.register(fake::job("default", "postgres")));
    let message = run.fails().await;
    insta::assert_snapshot!(message, @"failed after 1s: postgres: wanted job postgres healthy, but job postgres is registered already, and not by a tree; it is left alone; adopt = true takes it over; look with `nomad job status postgres` · skipped because postgres failed: setup, api");
    insta::assert_snapshot!(stage.writes(), @"POST jobs postgres 500");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_purged_in_the_middle_fails_the_run_with_a_word() {
    let stage = Stage::of(&shop());
    let run = stage.process(false);
    stage.healthy("postgres").await;
    stage.appears("setup-").await;
    stage.fake.transact(|write| write.purge("default", "postgres"));
    seconds(1).await;
    stage.ends("setup-", 0).await;
    insta::assert_snapshot!(run.fails().await, @"failed after 1s: postgres: wanted job postgres ready, but it was purged by someone else; start the tree's task again, and it is submitted anew · skipped because postgres failed: api");
    insta::assert_snapshot!(stage.writes(), @"
    POST jobs postgres 200
    POST jobs setup-shop-cca8ebdd-1 200
    ");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_before_the_journal_can_be_written() {
    let stage = Stage::of(&shop());
    // Something of this name is in the way of a new journal, and cannot be removed as a file.
    let run = stage.process(false);
    let obstacle = stage.task_dir().join("dtree/journal.new");
    std::fs::create_dir(&obstacle).unwrap();
    seconds(20).await;
    assert_eq!(stage.writes(), "");
    let notes = run.running.status().notes.join("\n");
    assert!(notes.contains("nothing is begun before the journal can be written"), "{notes}");
    std::fs::remove_dir(&obstacle).unwrap();
    stage.healthy("postgres").await;
    stage.ends("setup-", 0).await;
    stage.healthy("api").await;
    run.is_done().await;
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_is_full_stops_what_would_have_to_be_remembered() {
    let stage = Stage::of(&shop());
    let run = stage.process(false);
    stage.appears("postgres").await;
    seconds(1).await;
    run.crash().await;
    let path = stage.task_dir().join("dtree/journal");
    let mut journal = std::fs::read_to_string(&path).unwrap();
    let last = journal.lines().last().unwrap().to_owned() + "\n";
    while journal.len() + last.len() <= 1 << 20 {
        journal.push_str(&last);
    }
    std::fs::write(&path, journal).unwrap();
    stage.writes();
    let run = stage.process(true);
    stage.healthy("postgres").await;
    seconds(60).await;
    assert_eq!(run.running.ending(), None);
    assert_eq!(stage.writes(), "", "a hook was launched without being remembered");
    let told = run.diary.text();
    assert!(
        told.contains("event") && told.contains("the journal cannot be written, and nothing is begun"),
        "{told}"
    );
    run.running.stop();
    assert_eq!(run.running.ended().await, Ending::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_recovered_run_goes_on_and_keeps_its_time_limits() {
    let stage = Stage::of(&shop());
    let run = stage.process(false);
    stage.healthy("postgres").await;
    let hook = stage.appears("setup-").await;
    seconds(5).await;
    let gives_up = |run: &Process| {
        let status = run.running.status();
        status.nodes.iter().find(|node| node.name == "setup").and_then(|node| node.gives_up)
    };
    let deadline = gives_up(&run);
    assert!(deadline.is_some(), "{}", run.diary.text());
    run.crash().await;
    stage.writes();
    let run = stage.process(true);
    seconds(2).await;
    assert_eq!(gives_up(&run), deadline);
    assert_eq!(stage.ends("setup-", 0).await, hook);
    stage.healthy("api").await;
    run.is_done().await;
    insta::assert_snapshot!(stage.writes(), @"
    PUT var/dtree/default/shop/default/postgres  200
    POST jobs api 200
    DELETE job/setup-shop-cca8ebdd-1  200
    ");
    // Nomad did not hear of it: the next process says the same, and does nothing.
    let run = stage.process(true);
    run.is_done().await;
    assert_eq!(stage.writes(), "");
}

#[tokio::test(start_paused = true)]
async fn a_restarted_run_with_other_jobspecs_begins_anew() {
    let stage = Stage::of(&shop());
    let run = stage.process(false);
    stage.healthy("postgres").await;
    stage.ends("setup-", 0).await;
    stage.appears("api").await;
    seconds(1).await;
    run.crash().await;
    stage.writes();
    let mut api = fake::job("default", "api");
    api["TaskGroups"][0]["Tasks"][0]["Driver"] = "exec".into();
    stage.file("api", &api);
    let run = stage.process(false);
    seconds(2).await;
    stage.healthy("api").await;
    run.is_done().await;
    insta::assert_snapshot!(stage.writes(), @"POST jobs api 200");
}

#[tokio::test(start_paused = true)]
async fn a_failed_hook_is_told_with_its_last_words() {
    let stage = Stage::of(&shop());
    let run = stage.process(false);
    stage.healthy("postgres").await;
    stage.ends("setup-", 3).await;
    insta::assert_snapshot!(run.fails().await, @"failed after 0s: setup: wanted hook local/setup complete, but setup-shop-cca8ebdd-1: it failed: allocation alloc-se: task t exited with 3; its last words: connecting / psql: no route to host · skipped because setup failed: api · ready: postgres");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_may_not_be_read_fails_with_what_is_missing() {
    let stage = Stage::of(&shop());
    stage.fake.answer("/v1/var/", Answer::Text(403, "Permission denied".to_owned()));
    let run = stage.process(false);
    stage.healthy("postgres").await;
    insta::assert_snapshot!(run.fails().await, @"failed after 0s: postgres: wanted job postgres healthy, but Nomad does not know task `gate` of job `shop` by its token, so it may not read the variable `dtree/default/shop/default/postgres`: Permission denied; add to task `gate` of job `shop`: identity { file = true }; look with `nomad job status postgres` · skipped because postgres failed: setup, api");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_may_not_be_written_is_told_and_the_hook_is_found_by_its_job() {
    let stage = Stage::of(&shop());
    let run = stage.process(false);
    stage.healthy("postgres").await;
    let record = "/v1/var/dtree/default/shop/default/postgres";
    stage.fake.answer_next_write(record, Answer::Text(403, "Permission denied".to_owned()));
    stage.ends("setup-", 0).await;
    stage.healthy("api").await;
    run.is_done().await;
    let told = run.diary.text();
    assert!(told.contains("so the next run looks for their jobs"), "{told}");
    insta::assert_snapshot!(stage.writes(), @"
    POST jobs postgres 200
    POST jobs setup-shop-cca8ebdd-1 200
    POST jobs api 200
    ");
    // The next run launches nothing; it writes down what this one could not, and clears up.
    let again = stage.process(false);
    again.is_done().await;
    insta::assert_snapshot!(stage.writes(), @"
    PUT var/dtree/default/shop/default/postgres  200
    DELETE job/setup-shop-cca8ebdd-1  200
    ");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_lost_its_memory_finds_in_the_cluster_what_it_did() {
    let stage = Stage::of(&shop());
    let run = stage.process(false);
    stage.healthy("postgres").await;
    let hook = stage.appears("setup-").await;
    seconds(1).await;
    run.crash().await;
    stage.writes();
    // As after a drain: another client, another directory.
    std::fs::remove_dir_all(stage.task_dir().join("dtree")).unwrap();
    let run = stage.process(false);
    seconds(5).await;
    assert_eq!(stage.writes(), "");
    assert_eq!(stage.ends("setup-", 0).await, hook);
    stage.healthy("api").await;
    run.is_done().await;
    insta::assert_snapshot!(stage.writes(), @"
    PUT var/dtree/default/shop/default/postgres  200
    POST jobs api 200
    DELETE job/setup-shop-cca8ebdd-1  200
    ");
}

#[tokio::test(start_paused = true)]
async fn a_nomad_that_answers_errors_for_nine_minutes_is_waited_for_and_nothing_is_done_twice() {
    let stage = Stage::of(&shop());
    let run = stage.process(false);
    stage.healthy("postgres").await;
    stage.appears("setup-").await;
    seconds(1).await;
    stage.fake.answer("/v1/", Answer::Text(500, "No cluster leader".to_owned()));
    stage.fake.end_streams();
    seconds(540).await;
    assert_eq!(run.running.ending(), None, "{}", run.diary.text());
    stage.fake.answer_truly();
    stage.ends("setup-", 0).await;
    stage.healthy("api").await;
    run.is_done().await;
    insta::assert_snapshot!(stage.writes(), @"
    POST jobs postgres 200
    POST jobs setup-shop-cca8ebdd-1 200
    PUT var/dtree/default/shop/default/postgres  200
    POST jobs api 200
    DELETE job/setup-shop-cca8ebdd-1  200
    ");
}

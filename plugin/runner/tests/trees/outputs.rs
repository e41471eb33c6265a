//! What one job puts out and another takes.

use super::*;
use crate::nomad::Cas;

const SECRET: &str = "hunter2-marker";

/// `api` takes everything that there is to take.
fn config() -> Value {
    json!({
        "context": {"zone": "eu-1"},
        "job": {
            "postgres": {
                "jobspec": "local/postgres",
                "outputs": {
                    "address": "service:pg:address", "port": "service:pg:port", "pass": "variable:pg/secret#pass", "release": "meta:release",
                },
                "post": {"setup": {"jobspec": "local/setup", "meta": {"at": "$(postgres.port)"}}},
            },
            "api": {"jobspec": "local/api", "vars": {
                "url": "pg://u:$(postgres.pass)@$(postgres.address):$(postgres.port)/$(postgres.id)",
                "told": "$(setup.exit_code) $(postgres.release) $(context.zone) $(postgres.namespace)",
            }},
        },
    })
}

impl Stage {
    /// With a `postgres` that registers a service, and an `api` with variables.
    async fn with_outputs(config: &Value) -> Self {
        let stage = Self::of(config);
        let mut postgres = fake::job("default", "postgres");
        postgres["Meta"] = json!({"release": "7"});
        postgres["TaskGroups"][0]["Services"] = json!([{"Name": "pg", "Provider": "nomad"}]);
        stage.file("postgres", &postgres);
        let mut api = fake::job("default", "api");
        api["TaskGroups"][0]["Tasks"][0]["Env"] = json!({"URL": "${var.url}", "TOLD": "${var.told}"});
        std::fs::write(stage.task_dir().join("local/api"), format!("variables\n{api}")).unwrap();
        stage.keeps("pg/secret", SECRET).await;
        stage
    }

    async fn keeps(&self, path: &str, pass: &str) {
        let client = viewer(&self.fake, &placed()).client().unwrap();
        let items = [("pass".to_owned(), pass.to_owned())].into();
        client.put_variable(&"default".into(), path, &items, Cas::Any).await.unwrap();
        self.fake.take_writes();
    }

    fn env(&self) -> String {
        self.fake.job("default", "api").unwrap()["TaskGroups"][0]["Tasks"][0]["Env"].to_string()
    }

    /// Everything that a run leaves behind but the jobs: its words, its journal, its records.
    fn traces(&self, run: &Process) -> String {
        traces(&self.fake.take_writes(), run, self)
    }
}

fn traces(writes: &[fake::Written], run: &Process, stage: &Stage) -> String {
    let journal = std::fs::read_to_string(stage.task_dir().join("dtree/journal")).unwrap();
    let records: Vec<String> = writes
        .iter()
        .filter(|write| write.path.contains("/var/dtree"))
        .map(|write| write.body.to_string())
        .collect();
    assert!(records.concat().contains("submitted"), "{records:?}");
    format!("{}\n{journal}\n{records:?}\n{:?}", run.diary.text(), run.running.status())
}

#[tokio::test(start_paused = true)]
async fn what_a_job_puts_out_is_filled_in_and_told_to_nobody() {
    let stage = Stage::with_outputs(&config()).await;
    // Others have a service of this name, too.
    stage.fake.services("pg", &[("other", "x", "10.9.9.9", 1), ("postgres", "gone", "10.8.8.8", 2)]);
    let run = stage.process(false);
    stage.healthy("postgres").await;
    seconds(20).await;
    assert!(
        run.diary.text().contains("$(postgres.port): service pg of job postgres has no running instance"),
        "{}",
        run.diary.text()
    );
    stage.fake.services(
        "pg",
        &[
            ("other", "x", "10.9.9.9", 1),
            ("postgres", "gone", "10.8.8.8", 2),
            ("postgres", "postgres-0", "10.0.0.1", 20001),
        ],
    );
    stage.goes_on(&run).await;
    insta::assert_snapshot!(stage.env(), @r#"{"TOLD":"0 7 eu-1 default","URL":"pg://u:hunter2-marker@10.0.0.1:20001/postgres"}"#);
    let setup = stage.fake.job_ids("default").into_iter().find(|id| id.starts_with("setup-"));
    assert_eq!(setup, None, "it is purged");
    let traces = stage.traces(&run);
    assert!(traces.contains("reads $(postgres.address), $(postgres.id)"), "{traces}");
    assert!(!traces.contains(SECRET), "{traces}");
    drop(run);

    // Again, and nothing has changed: the hook does not run, and what it came to is known.
    let again = stage.process(false);
    again.is_done().await;
    assert_eq!(stage.writes(), "");
    drop(again);

    // Postgres has moved.
    stage.fake.transact(|write| {
        write.client_update("postgres-0", |allocation| allocation["ClientStatus"] = "complete".into());
    });
    becomes_healthy(&stage.fake, "postgres", "moved", 0);
    stage.fake.services(
        "pg",
        &[("postgres", "postgres-0", "10.0.0.1", 20001), ("postgres", "moved", "10.0.0.2", 20002)],
    );
    let moved = stage.process(false);
    seconds(5).await;
    stage.healthy("api").await;
    moved.is_done().await;
    insta::assert_snapshot!(stage.env(), @r#"{"TOLD":"0 7 eu-1 default","URL":"pg://u:hunter2-marker@10.0.0.2:20002/postgres"}"#);
    insta::assert_snapshot!(stage.writes(), @"POST jobs api 200");
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_reading_and_submitting_repeats_nothing() {
    let stage = Stage::with_outputs(&config()).await;
    stage.fake.services("pg", &[("postgres", "postgres-0", "10.0.0.1", 20001)]);
    let run = stage.process(false);
    stage.healthy("postgres").await;
    stage.ends("setup-", 0).await;
    stage.fake.answer("/v1/jobs", Answer::Late(Duration::from_secs(9)));
    seconds(3).await;
    run.crash().await;
    stage.fake.answer_truly();
    let next = stage.process(true);
    stage.healthy("api").await;
    next.is_done().await;
    // The request that was under way when the process died was not carried out.
    let writes = stage.fake.take_writes();
    let registered = writes.iter().filter(|write| write.body["Job"]["ID"] == "api").count();
    assert_eq!(registered, 1);
    assert!(!traces(&writes, &next, &stage).contains(SECRET));
}

#[tokio::test(start_paused = true)]
async fn what_nomad_says_of_a_secret_is_not_repeated() {
    let stage = Stage::with_outputs(&config()).await;
    stage.fake.services("pg", &[("postgres", "postgres-0", "10.0.0.1", 20001)]);
    let run = stage.process(false);
    stage.appears("postgres").await;
    let said = format!("Failed to parse job: input.hcl:1,1-2: Odd; The value {SECRET} is odd.");
    stage.fake.answer_next_write("/v1/jobs/parse", Answer::Text(400, said));
    stage.healthy("postgres").await;
    stage.ends("setup-", 0).await;
    insta::assert_snapshot!(run.fails().await, @"failed after 0s: api: wanted job api ready, but Nomad refuses it with all references filled in; what it says is not repeated, because it may hold the items of variables: look whether they fit what their variables take; start the tree's task again, and it is submitted anew · ready: postgres");
    assert!(!stage.traces(&run).contains(SECRET));

    // Nor when it is registered.
    let stage = Stage::with_outputs(&config()).await;
    stage.fake.services("pg", &[("postgres", "postgres-0", "10.0.0.1", 20001)]);
    let run = stage.process(false);
    stage.appears("postgres").await;
    stage.healthy("postgres").await;
    stage.appears("setup-").await;
    stage.fake.answer_next_write("/v1/jobs", Answer::Text(400, format!("env {SECRET} is odd")));
    stage.ends("setup-", 0).await;
    insta::assert_snapshot!(run.fails().await, @"failed after 0s: api: wanted job api ready, but Nomad answered 400 when asked to register job `api`; what it says is not repeated, because it may hold the items of variables; start the tree's task again, and it is submitted anew · ready: postgres");
    assert!(!stage.traces(&run).contains(SECRET));
}

#[tokio::test(start_paused = true)]
async fn a_variable_that_may_not_be_read_is_told_before_anything_is_written() {
    let stage = Stage::with_outputs(&config()).await;
    stage.fake.state().acls = true;
    stage.fake.state().allowed.insert(("t".to_owned(), "default".to_owned()));
    std::fs::write(stage.fake.socket("api").with_file_name("nomad_token"), "t").unwrap();
    stage.fake.answer("/v1/var/pg", Answer::Text(403, "Permission denied".to_owned()));
    let run = stage.process(false);
    insta::assert_snapshot!(run.fails().await, @r#"nothing was begun: Nomad does not allow task `gate` of job `shop` to read the variable `pg/secret` in namespace `default`; its policy needs `namespace "default" { variables { path "pg/secret" { capabilities = ["read"] } } }`"#);
    assert_eq!(stage.writes(), "");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_yet_is_waited_for() {
    let mut config = config();
    config["job"]["postgres"]["outputs"]["pass"] = "variable:later#pass".into();
    let stage = Stage::with_outputs(&config).await;
    stage.fake.services("pg", &[("postgres", "postgres-0", "10.0.0.1", 20001)]);
    let run = stage.process(false);
    stage.healthy("postgres").await;
    stage.ends("setup-", 0).await;
    seconds(10).await;
    let told = run.diary.text();
    assert!(
        told.contains("tries again: $(postgres.pass): namespace \"default\" has no variable \"later\""),
        "{told}"
    );
    stage.keeps("later", "now").await;
    stage.healthy("api").await;
    run.is_done().await;
    assert!(stage.env().contains("u:now@"), "{}", stage.env());
}

//! A tree is stopped in a Nomad that answers, or does not.

use super::*;

fn stopped(stop: &Value) -> Value {
    let mut config = shop();
    config["verb"] = json!("stop");
    config["stop"] = stop.clone();
    config
}

/// A stage on which the shop is up; its jobs are stopped next.
async fn shop_is_up(stop: &Value) -> Stage {
    let mut stage = Stage::of(&shop());
    let run = stage.process(false);
    stage.healthy("postgres").await;
    stage.goes_on(&run).await;
    stage.writes();
    stage.config = stopped(stop);
    stage
}

impl Stage {
    /// What runs of a job ends, once it is stopped.
    async fn is_gone(&self, id: &str) {
        for _ in 0..600 {
            if self.fake.job("default", id).is_some_and(|job| job["Stop"] == true) {
                let allocation = fake::allocation("default", id, &format!("{id}-0"), 0, "complete");
                self.fake.transact(|write| write.allocation(allocation));
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{id} was not stopped: {}", self.writes());
    }

    /// From now on it is about this tree, in that directory; gives the one before.
    fn is_about(
        &mut self,
        tree: &'static str,
        config: Value,
        alloc_dir: tempfile::TempDir,
    ) -> tempfile::TempDir {
        (self.tree, self.config) = (tree, config);
        std::mem::replace(&mut self.alloc_dir, alloc_dir)
    }

    fn variables(&self) -> Vec<String> {
        self.fake.state().variables("default").into_iter().map(|(path, _)| path).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_shop_is_stopped_backwards_and_purged_with_its_record() {
    let stage = shop_is_up(&json!({"purge": true})).await;
    let run = stage.process(false);
    stage.is_gone("api").await;
    stage.is_gone("postgres").await;
    run.is_done().await;
    insta::assert_snapshot!(stage.writes(), @"
    DELETE job/api  200
    DELETE job/api  200
    DELETE job/postgres  200
    DELETE var/dtree/default/shop/default/api  200
    DELETE job/postgres  200
    DELETE var/dtree/default/shop/default/postgres  200
    ");
    assert!(
        stage.fake.job_ids("default").iter().all(|id| id == "shop"),
        "{:?}",
        stage.fake.job_ids("default")
    );
    assert!(
        !stage.variables().iter().any(|path| path.ends_with("/default/postgres")),
        "{:?}",
        stage.variables()
    );
    let again = stage.process(false);
    again.is_done().await;
    assert!(again.diary.text().contains("2 were not there"), "{}", again.diary.text());
    assert_eq!(stage.writes(), "");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_does_not_stop_a_job_twice() {
    for answer in [Answer::AppliedThenGone, Answer::AppliedThen(500, "rpc error: EOF".to_owned())] {
        let stage = shop_is_up(&Value::Null).await;
        stage.fake.answer_next_write("/v1/job/api", answer);
        let run = stage.process(false);
        stage.is_gone("api").await;
        stage.is_gone("postgres").await;
        run.is_done().await;
        insta::allow_duplicates! {
            insta::assert_snapshot!(stage.writes(), @"
            DELETE job/api  200
            DELETE job/postgres  200
            ");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_written_down_once_with_its_job_and_holds_it_until_it_is_taken_back() {
    let mut stage = shop_is_up(&Value::Null).await;
    let waits = json!({"wait": {"db": {"job": "postgres"}}, "job": {"mail": {"jobspec": "local/mail"}}});
    let stop = stage.config.clone();
    let alloc_dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(alloc_dir.path().join("gate/local")).unwrap();
    let alloc_dir = stage.is_about("default/other", waits.clone(), alloc_dir);
    stage.file("mail", &fake::job("default", "mail"));
    let run = stage.process(false);
    stage.healthy("mail").await;
    run.is_done().await;
    stage.process(false).is_done().await;
    let held = "dtree/~held/default/postgres/default~2Fother".to_owned();
    assert_eq!(stage.variables().iter().filter(|path| **path == held).count(), 1, "{:?}", stage.variables());
    let writes = stage.writes();
    assert_eq!(writes.matches("~held").count(), 1, "{writes}");

    let alloc_dir = stage.is_about("default/shop", stop, alloc_dir);
    let run = stage.process(false);
    stage.is_gone("api").await;
    run.is_done().await;
    let said = run.diary.text();
    assert!(said.contains("kept postgres: tree default/other waits for it"), "{said}");
    assert!(said.contains(&format!("nomad var purge {held}")), "{said}");
    assert_eq!(stage.writes(), "DELETE job/api  200");

    stage.is_about("default/other", waits, alloc_dir);
    stage.config["verb"] = json!("stop");
    let run = stage.process(false);
    stage.is_gone("mail").await;
    run.is_done().await;
    assert!(!stage.variables().contains(&held), "{:?}", stage.variables());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_stopped_by_who_may_not_read_who_waits() {
    let stage = shop_is_up(&Value::Null).await;
    stage.fake.answer("/v1/var/dtree/~held", Answer::Text(403, "Permission denied".to_owned()));
    let run = stage.process(false);
    let message = run.fails().await;
    for job in ["api", "postgres"] {
        let said = format!("whether another tree waits for job {job} cannot be read");
        assert!(message.contains(&said) && message.contains("Permission denied"), "{message}");
    }
    assert_eq!(stage.writes(), "");
}

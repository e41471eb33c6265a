//! Runs to their end, good or bad, in a Nomad that answers.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_shop_comes_up_in_order_and_a_second_run_writes_nothing() {
    let stage = Stage::of(&shop());
    let run = stage.process(false);
    stage.healthy("postgres").await;
    stage.goes_on(&run).await;
    insta::assert_snapshot!(stage.writes(), @"
    POST jobs postgres 200
    POST jobs setup-shop-9f05bf4f-1 200
    POST jobs api 200
    PUT var/dtree/default/shop/default/postgres  200
    DELETE job/setup-shop-9f05bf4f-1  200
    ");
    let again = stage.process(false);
    again.is_done().await;
    assert_eq!(stage.writes(), "");
    assert!(again.diary.text().contains("done after 0s: 2 unchanged"), "{}", again.diary.text());
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
    POST jobs setup-shop-9f05bf4f-1 200
    ");
}

#[tokio::test(start_paused = true)]
async fn a_failed_hook_is_told_with_its_last_words() {
    let stage = Stage::of(&shop());
    let run = stage.process(false);
    stage.healthy("postgres").await;
    stage.ends("setup-", 3).await;
    insta::assert_snapshot!(run.fails().await, @"failed after 0s: setup: wanted hook local/setup complete, but setup-shop-9f05bf4f-1: it failed: allocation alloc-se: task t exited with 3; its last words: connecting / psql: no route to host · skipped because setup failed: api · ready: postgres");
}

//! Who is shown what, where Nomad has ACLs and where it has none.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use super::{all_within, blind, is_unseen, present, sees, stage, stage_with_acls, with_status};
use crate::{
    cluster::{AllocStatus, Blindness},
    nomad::fake,
};

#[tokio::test(start_paused = true)]
async fn a_denied_stream_is_explained_and_works_as_soon_as_it_is_allowed() {
    let stage = stage_with_acls(&[]);
    let asked = Instant::now();
    let mut subscription = stage.subscribe("gate", Some("alice"), &["db"]);
    let unseen = sees(&mut subscription, blind(Blindness::Denied)).await;
    assert_eq!(
        unseen.why,
        "Nomad does not allow task `gate` of job `api` to read job `db` in namespace `shop`"
    );
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    let hint = unseen.hint.unwrap();
    assert!(hint.contains(r#"namespace "shop" { capabilities = ["list-jobs", "read-job"] }"#), "{hint}");
    assert!(hint.contains("nomad acl policy apply -namespace shop -job api gate-read FILE"), "{hint}");
    let began = Instant::now();
    stage.allow("alice");
    sees(&mut subscription, present).await;
    assert!(began.elapsed() <= Duration::from_secs(11));
    // And the other way: Nomad ends a stream whose token has lost its right.
    stage.forbid("alice");
    stage.fake.end_streams();
    sees(&mut subscription, blind(Blindness::Denied)).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_without_an_identity_is_told_the_lines_to_add() {
    let stage = stage_with_acls(&[]);
    let mut subscription = stage.subscribe("gate", None, &["db"]);
    let unseen = sees(&mut subscription, blind(Blindness::Denied)).await;
    assert_eq!(unseen.hint.unwrap(), "add to task `gate` of job `api`:\n  identity {\n    file = true\n  }");
}

#[tokio::test(start_paused = true)]
async fn without_acls_no_task_s_token_is_shown_for_the_view_that_all_share() {
    let stage = stage();
    let mut subscription = stage.subscribe("gate", Some("alice"), &["db"]);
    sees(&mut subscription, present).await;
    assert!(stage.fake.take_requests().iter().all(|seen| seen.token != "alice"));
}

#[tokio::test(start_paused = true)]
async fn when_acls_appear_each_task_sees_with_its_own_token_only() {
    let stage = stage();
    let mut alice = stage.subscribe("alice", Some("alice"), &["db"]);
    let mut bob = stage.subscribe("bob", Some("bob"), &["db"]);
    sees(&mut alice, present).await;
    sees(&mut bob, present).await;
    stage.fake.state().acls = true;
    stage.fake.state().allowed.insert(("bob".to_owned(), "elsewhere".to_owned()));
    stage.allow("alice");
    stage.fake.end_streams();
    sees(&mut bob, blind(Blindness::Denied)).await;
    stage.fake.take_requests();
    sees(&mut alice, present).await;
    assert!(all_within(&mut bob, 300).await.iter().all(is_unseen));
}

#[tokio::test(start_paused = true)]
async fn with_acls_each_task_sees_through_its_own_token_and_socket() {
    let stage = stage_with_acls(&["alice"]);
    let mut alice = stage.subscribe("one", Some("alice"), &["db"]);
    let mut bob = stage.subscribe("two", Some("bob"), &["db"]);
    sees(&mut alice, present).await;
    sees(&mut bob, blind(Blindness::Denied)).await;
    stage.set_status("failed");
    assert!(all_within(&mut bob, 120).await.iter().all(is_unseen), "bob sees with alice's eyes");
    stage.allow("bob");
    sees(&mut bob, with_status(AllocStatus::Failed)).await;
    let streams: BTreeSet<(PathBuf, String)> = stage.fake.streams().into_iter().collect();
    let own = |task: &str, token: &str| (stage.fake.socket(task), token.to_owned());
    assert_eq!(streams, BTreeSet::from([own("one", "alice"), own("two", "bob")]));
    let strangers = |seen: &fake::Seen| {
        (seen.token == "alice") != (seen.socket == stage.fake.socket("one")) && seen.token != "none"
    };
    assert!(!stage.fake.take_requests().iter().any(strangers));
}

#[tokio::test(start_paused = true)]
async fn a_renewed_token_is_used_at_the_next_connection() {
    let stage = stage_with_acls(&["alice", "bob"]);
    let mut subscription = stage.subscribe("gate", Some("alice"), &["db"]);
    sees(&mut subscription, present).await;
    stage.viewer("gate", Some("bob"));
    stage.forbid("alice");
    stage.fake.end_streams();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(stage.fake.streams(), [(stage.fake.socket("gate"), "bob".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn with_a_credential_a_task_sees_only_what_its_own_token_has_proven() {
    let stage = stage_with_acls(&["plugin", "alice"]).with_credential();
    let mut alice = stage.subscribe("one", Some("alice"), &["db"]);
    let mut bob = stage.subscribe("two", Some("bob"), &["db"]);
    sees(&mut alice, present).await;
    let unseen = sees(&mut bob, blind(Blindness::Denied)).await;
    assert!(unseen.hint.unwrap().contains("gate-read"));
    stage.set_status("failed");
    sees(&mut alice, with_status(AllocStatus::Failed)).await;
    assert!(all_within(&mut bob, 60).await.iter().all(is_unseen), "bob has proven nothing");
    assert_eq!(stage.fake.streams(), [(stage.fake.socket("api"), "plugin".to_owned())]);
    stage.allow("bob");
    sees(&mut bob, with_status(AllocStatus::Failed)).await;
    assert_eq!(stage.fake.n_streams(), 1);
    let proof = |seen: &fake::Seen| seen.token == "bob";
    let proofs: Vec<_> = stage.fake.take_requests().into_iter().filter(proof).collect();
    assert!(proofs.iter().all(|seen| seen.socket == stage.fake.socket("two")), "{proofs:?}");
}

#[tokio::test(start_paused = true)]
async fn a_proof_that_is_withdrawn_blinds() {
    let stage = stage_with_acls(&["plugin", "alice"]).with_credential();
    let mut alice = stage.subscribe("one", Some("alice"), &["db"]);
    sees(&mut alice, present).await;
    stage.forbid("alice");
    let began = Instant::now();
    sees(&mut alice, blind(Blindness::Denied)).await;
    assert!(began.elapsed() <= Duration::from_secs(331), "{:?}", began.elapsed());
    stage.set_status("failed");
    assert!(all_within(&mut alice, 60).await.iter().all(is_unseen));
    stage.allow("alice");
    sees(&mut alice, with_status(AllocStatus::Failed)).await;
}

#[tokio::test(start_paused = true)]
async fn when_the_credential_is_denied_the_proofs_are_repeated_at_once() {
    let stage = stage_with_acls(&["plugin", "alice"]).with_credential();
    let mut alice = stage.subscribe("one", Some("alice"), &["db"]);
    sees(&mut alice, present).await;
    stage.forbid("alice");
    stage.forbid("plugin");
    stage.fake.end_streams();
    sleep(Duration::from_secs(1)).await;
    stage.allow("plugin");
    let seen = all_within(&mut alice, 60).await;
    assert!(!seen.is_empty() && seen.iter().all(is_unseen), "{seen:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_proof_that_cannot_be_repeated_lasts_but_not_for_ever() {
    let stage = stage_with_acls(&["plugin", "alice"]).with_credential();
    let mut alice = stage.subscribe("one", Some("alice"), &["db"]);
    sees(&mut alice, present).await;
    stage.fake.close_socket(&stage.fake.socket("one"));
    let began = Instant::now();
    timeout(Duration::from_mins(15), async { while !is_unseen(&alice.next().await.unwrap().1) {} })
        .await
        .unwrap();
    let seconds = began.elapsed().as_secs();
    assert!((590..=640).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn with_a_credential_but_without_acls_nothing_is_to_be_proven() {
    let stage = stage().with_credential();
    let mut subscription = stage.subscribe("gate", None, &["db"]);
    stage.fake.close_socket(&stage.fake.socket("gate"));
    sees(&mut subscription, present).await;
}

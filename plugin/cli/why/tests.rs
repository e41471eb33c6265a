//! What is told of a job, of an allocation, and of both at once, over a fake Nomad.

use clap::Parser as _;
use serde_json::json;

use super::*;
use crate::nomad::{
    Asker,
    fake::{self, FakeNomad},
};

/// An allocation of `web`; a job has its beginning as a name.
const ALLOC: &str = "3f2a9c41-0d1e-4b7c-9a55-1b2c3d4e5f60";

#[derive(clap::Parser)]
struct Words {
    #[command(flatten)]
    connection: Connection,
}

/// `db` is not healthy yet; the gate of `web` waits for that, and for a user.
fn cluster() -> FakeNomad {
    let nomad = FakeNomad::start();
    let mut web = fake::job("default", "web");
    web["TaskGroups"][0]["Tasks"][0] = json!({
        "Name": "gate", "Driver": "dtree", "Config": { "wait": [
            { "db": [{}] }, { "word": [{ "approval": "it is announced" }] },
        ] },
    });
    let mut waits = fake::allocation("default", "web", ALLOC, 0, "pending");
    let events = ["Task received", "waits for db", "db: 0 of 1 healthy", "approve word"];
    let events = events.map(|said| json!({ "Type": "Driver", "DisplayMessage": said }));
    waits["TaskStates"] = json!({ "gate": { "State": "running", "Failed": false, "Events": events } });
    nomad.transact(|write| {
        write.register(fake::job("default", "db"));
        write.register(web);
    });
    let id = "0b1c2d3e-1111-2222-3333-444455556666";
    nomad.transact(|write| {
        write.allocation(fake::allocation("default", "db", id, 0, "pending"));
        write.allocation(waits);
    });
    nomad
}

async fn found(nomad: &FakeNomad, word: &str) -> Found {
    let address = format!("unix://{}", nomad.socket("api").display());
    let words = ["dtree", "--address", &address, "--token", "anybody", "--namespace", "default"];
    let connection = Words::parse_from(words).connection;
    let client = connection.way().unwrap().client(Asker::User).unwrap();
    Found::of(&client, &JobKey::new("default", word), &connection).await.unwrap()
}

#[tokio::test]
async fn what_an_allocation_waits_for_is_told_to_people_and_programs() {
    let nomad = cluster();
    let found = found(&nomad, "3f2a9c41-0").await;
    insta::assert_snapshot!(found.text(), @"
    Allocation 3f2a9c41 of job default/web, group g

    ==> task gate: running
        said      waits for db
        said      db: 0 of 1 healthy
        said      approve word
    db: gated
        awaited   job db healthy
        seen      0 of 1 healthy, no checks, so running for min_healthy_time counts
                  version 0
                  allocation 0b1c2d3e, db.g[0]: pending; task t: running
        help      look with `nomad job status db`
    word: a user's word: it is announced: only the task itself can tell (`nomad alloc exec -task TASK ALLOC why`)
    ");
    insta::assert_snapshot!(format!("{:#}", found.document()), @r#"
    {
      "allocations": [
        {
          "group": "g",
          "id": "3f2a9c41-0d1e-4b7c-9a55-1b2c3d4e5f60",
          "job": "web",
          "namespace": "default",
          "tasks": [
            {
              "events": [
                "waits for db",
                "db: 0 of 1 healthy",
                "approve word"
              ],
              "hidden": [
                {
                  "name": "word",
                  "since": null,
                  "state": null,
                  "then": null,
                  "until": null,
                  "what": "a user's word: it is announced"
                }
              ],
              "is_readable": true,
              "state": "running",
              "task": "gate",
              "tree": null,
              "waits": [
                {
                  "awaited": "job db healthy",
                  "detail": "0 of 1 healthy, no checks, so running for min_healthy_time counts",
                  "help": "look with `nomad job status db`",
                  "name": "db",
                  "needs": [],
                  "seen": [
                    "version 0",
                    "allocation 0b1c2d3e, db.g[0]: pending; task t: running"
                  ],
                  "since": null,
                  "state": "gated",
                  "then": null,
                  "until": null
                }
              ]
            }
          ]
        }
      ],
      "job": null,
      "tree": null
    }
    "#);
}

#[tokio::test]
async fn what_keeps_a_job_from_being_ready_is_told_with_what_its_gates_wait_for() {
    let nomad = cluster();
    let found = found(&nomad, "web").await;
    insta::assert_snapshot!(found.text(), @"
    web: gated
        awaited   job web healthy
        seen      0 of 1 healthy, no checks, so running for min_healthy_time counts
                  version 0
                  allocation 3f2a9c41, web.g[0]: pending; task gate: running
        help      look with `nomad job status web`

    ==> its task gate of group g waits for others:
    db: gated
        awaited   job db healthy
        seen      0 of 1 healthy, no checks, so running for min_healthy_time counts
                  version 0
                  allocation 0b1c2d3e, db.g[0]: pending; task t: running
        help      look with `nomad job status db`
    word: a user's word: it is announced: only the task itself can tell (`nomad alloc exec -task TASK ALLOC why`)
    ");
    insta::assert_snapshot!(format!("{:#}", found.document()["job"]), @r#"
    {
      "gates": [
        {
          "group": "g",
          "hidden": [
            {
              "name": "word",
              "since": null,
              "state": null,
              "then": null,
              "until": null,
              "what": "a user's word: it is announced"
            }
          ],
          "task": "gate",
          "waits": [
            {
              "awaited": "job db healthy",
              "detail": "0 of 1 healthy, no checks, so running for min_healthy_time counts",
              "help": "look with `nomad job status db`",
              "name": "db",
              "needs": [],
              "seen": [
                "version 0",
                "allocation 0b1c2d3e, db.g[0]: pending; task t: running"
              ],
              "since": null,
              "state": "gated",
              "then": null,
              "until": null
            }
          ]
        }
      ],
      "job": "web",
      "namespace": "default",
      "ready": {
        "awaited": "job web healthy",
        "detail": "0 of 1 healthy, no checks, so running for min_healthy_time counts",
        "help": "look with `nomad job status web`",
        "name": "web",
        "needs": [],
        "seen": [
          "version 0",
          "allocation 3f2a9c41, web.g[0]: pending; task gate: running"
        ],
        "since": null,
        "state": "gated",
        "then": null,
        "until": null
      }
    }
    "#);
}

#[tokio::test]
async fn since_when_and_until_when_is_what_the_task_says_and_nothing_where_it_says_something_else() {
    let nomad = cluster();
    let mut found = found(&nomad, "3f2a9c41-0").await;
    let Some((_, Told::Waits(waits))) = found.allocations[0].tasks.first_mut() else {
        panic!("it has a gate")
    };
    let mut times = |state: &str, until: Value| {
        let step = |name: &str| {
            let then = if until.is_null() { Value::Null } else { "fail".into() };
            json!({ "name": name, "state": state, "since": "2026-01-02T03:04:05Z", "until": until, "then": then })
        };
        waits.own = Own::read(&json!({ "steps": [step("db"), step("word")] }).to_string());
        let (seen, hidden) = (waits.documents().remove(0), waits.hidden().remove(0));
        [seen, hidden]
            .map(|wait| ["state", "since", "until", "then"].map(|key| wait[key].to_string()).join(" "))
    };
    insta::assert_snapshot!(times("gated", "2026-01-02T03:14:05Z".into()).join("\n"), @r#"
    "gated" "2026-01-02T03:04:05Z" "2026-01-02T03:14:05Z" "fail"
    "gated" "2026-01-02T03:04:05Z" "2026-01-02T03:14:05Z" "fail"
    "#);
    // It has seen what this look has not: since when it is as this look has it nobody knows.
    insta::assert_snapshot!(times("satisfied", Value::Null).join("\n"), @r#"
    "gated" null null null
    "satisfied" "2026-01-02T03:04:05Z" null null
    "#);
    // One of an older dtree says how it is used.
    for answer in ["", "dtree: why takes nothing else", "[]", "{}"] {
        assert!(Own::read(answer).0.is_empty(), "{answer}");
    }
}

#[tokio::test]
async fn a_name_goes_before_the_beginning_of_an_id_and_both_are_told() {
    let nomad = cluster();
    let short = ALLOC.get(..8).unwrap();
    assert!(found(&nomad, short).await.job.is_none());
    nomad.transact(|write| write.register(fake::job("default", short)));
    let both = found(&nomad, short).await;
    assert_eq!(both.job.as_ref().map(|job| job.key.job.as_str()), Some(short));
    assert_eq!(both.allocations.len(), 1);
    assert!(both.text().starts_with(&format!("{short}: gated\n")), "{}", both.text());
    assert!(both.text().contains("\nAllocation 3f2a9c41 of job default/web, group g\n"), "{}", both.text());
    // Two words that look like the beginning of an ID, and are a name.
    assert!(found(&nomad, "3f2a").await.text().contains("at least the first eight letters"));
    assert!(!found(&nomad, "db").await.text().contains("at least the first eight letters"));
}

//! What is told of a job, of an allocation, and of both at once, over a fake Nomad.

use clap::Parser as _;
use serde_json::json;

use super::{
    waits::{Own, instant},
    *,
};
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
          "allocations": [],
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
        let own = Own::read(&json!({ "steps": [step("db"), step("word")] }).to_string());
        waits.own = vec![(ALLOC.into(), own)];
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
        assert!(Own::read(answer).is_none(), "{answer}");
    }
}

#[tokio::test]
async fn of_several_allocations_each_says_for_itself_since_when_and_until_when_it_waits() {
    let nomad = cluster();
    let mut found = found(&nomad, "web").await;
    let (_, _, waits) = found.job.as_mut().unwrap().gates.first_mut().unwrap();
    let step = |name: &str, state: &str, since: &str, until: Value| {
        let then = if until.is_null() { Value::Null } else { "fail".into() };
        json!({ "name": name, "state": state, "since": since, "until": until, "then": then })
    };
    let says = |steps: Vec<Value>| Own::read(&json!({ "steps": steps }).to_string());
    let (early, late) = ("2026-01-02T03:04:05Z", "2026-01-02T03:09:00Z");
    waits.own = vec![
        (ALLOC.into(), says(vec![step("db", "gated", late, "2026-01-02T04:09:00Z".into())])),
        ("4c5d6e7f-0000".into(), None),
        (
            "5d6e7f80-0000".into(),
            says(vec![
                step("db", "gated", early, "2026-01-02T03:14:05Z".into()),
                step("word", "satisfied", late, Value::Null),
            ]),
        ),
    ];
    waits.own.extend((3..20).map(|n| (format!("6e7f809{n}-0000").into(), None)));
    let now = instant(&"2026-01-02T03:10:05Z".into()).unwrap();
    insta::assert_snapshot!(waits.times(now), @"
        says      allocation 5d6e7f80: db: gated for 6m, until 4m from now, then fail
        says      allocation 3f2a9c41: db: gated for 1m 5s, until 58m 55s from now, then fail
        says      nothing in 14 of 16 allocations: asking a task takes `alloc-exec`, and a dtree there that is not older
        says      4 more are not asked: `dtree why ALLOC` asks one
    ");
    let document = found.document();
    let gate = &document["job"]["gates"][0];
    // None of them speaks for the others.
    assert_eq!(
        (&gate["waits"][0]["since"], &gate["hidden"][0]["state"]),
        (&Value::Null, &Value::Null),
        "{gate}"
    );
    assert_eq!(gate["allocations"].as_array().map(Vec::len), Some(20), "{gate}");
    let shown = ["/allocations/0", "/allocations/1", "/allocations/2/waits/1"]
        .map(|place| gate.pointer(place).unwrap_or_else(|| panic!("no {place}: {gate}")).to_string());
    insta::assert_snapshot!(shown.join("\n"), @r#"
    {"id":"3f2a9c41-0d1e-4b7c-9a55-1b2c3d4e5f60","waits":[{"name":"db","since":"2026-01-02T03:09:00Z","state":"gated","then":"fail","until":"2026-01-02T04:09:00Z"}]}
    {"id":"4c5d6e7f-0000","waits":null}
    {"name":"word","since":"2026-01-02T03:09:00Z","state":"satisfied","then":null,"until":null}
    "#);
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

//! The older tool's dependency file, imported.

use insta::assert_snapshot;

use super::{dtree, wrong};

#[test]
fn the_files_of_an_older_tool_are_imported_and_what_comes_out_is_good() {
    let hook_in_the_middle = r#"{"dependencies":{"worker":{"wait_cond":4,"pre":{"job":"broker"}},
 "broker":{"wait_cond":2,"pre":{"job":"cache"},"post":{"job":"broker_init","wait_cond":1}},
 "cache":{}}}"#;
    let manifest = dtree(&[], &["import", "-", "--name", "jobs"], hook_in_the_middle);
    assert_snapshot!(manifest, @r#"
    # What nomad-dtree's dependency.json says, as a tree.
    tree "jobs" {
      job "broker" {
        # wait_cond = 2: waited for until it is healthy instead
        jobspec = "local/broker.nomad"
        depends_on = ["cache"]
        post "broker_init" {
          # wait_cond = 1: waited for until it has completed instead
          jobspec = "local/broker_init.nomad"
        }
      }
      job "cache" {
        jobspec = "local/cache.nomad"
      }
      job "worker" {
        # wait_cond = 4: waited for until it is healthy instead
        jobspec = "local/worker.nomad"
        depends_on = ["broker"]
      }
    }
    --- exit 0
    "#);
    let manifest = manifest.strip_suffix("--- exit 0").unwrap();
    assert_snapshot!(dtree(&[], &["graph", "-"], manifest), @r#"
    tree "jobs"
       1  cache
       2  broker  after cache
       3  broker_init (hook)  after broker
       4  worker  after broker_init
    --- exit 0
    "#);

    let of_all_kinds = r#"{"dependencies":{"api.v1":{"wait_cond":"6","pre":[{"job":"db"},{"job":"mq"}],"owner":"team-a"},
 "db":{"wait_cond":1, "post":{"job":"init"}},"mq":{"wait_cond":1, "post":{"job":"init", "x\ny": 1}}}}"#;
    assert_snapshot!(dtree(&[], &["import", "-"], of_all_kinds), @r#"
    # What nomad-dtree's dependency.json says, as a tree.
    tree "imported" {
      job "api.v1" {
        # wait_cond = 6: waited for until it is healthy instead
        # pre is a list: nomad-dtree ignored it, here all of it counts
        # owner = "team-a": has no equivalent
        jobspec = "local/api.v1.nomad"
        depends_on = ["db", "mq"]
      }
      job "db" {
        # wait_cond = 1: waited for until it is healthy instead
        jobspec = "local/db.nomad"
        post "init" {
          jobspec = "local/init.nomad"
        }
      }
      job "mq" {
        # wait_cond = 1: waited for until it is healthy instead
        jobspec = "local/mq.nomad"
        post "init_of_mq" {
          # x y = 1: has no equivalent
          jobspec = "local/init.nomad"
        }
      }
    }
    --- exit 0
    "#);
}

#[test]
fn what_is_wrong_with_an_older_tools_file_is_told_with_its_place() {
    let circle = r#"{"dependencies":{"left":{"wait_cond":1,"pre":{"job":"right"}},
 "right":{"wait_cond":1,"pre":{"job":"left"}},"solo":{"wait_cond":1}}}"#;
    assert_snapshot!(dtree(&[], &["import", "-", "--job", "left"], circle), @r#"
    --- stderr
    error: these depend on each other: left → right → left
     --> stdin:1:18
      |
    1 | {"dependencies":{"left":{"wait_cond":1,"pre":{"job":"right"}},
      |                  ^^^^^^

    1 problem in stdin
    --- exit 2
    "#);
    assert!(dtree(&[], &["import", "-", "--job", "solo"], circle).ends_with("--- exit 0"));
    assert_snapshot!(wrong(&[], &["import", "-", "--job", "sole"], circle), @"1:1-1: has no entry for sole (did you mean `solo`?)");

    let comma = r#"{"dependencies":{"db":{"post":{"job":"db_init","wait_cond":3}
  "wait_cond":5}}}"#;
    assert_snapshot!(wrong(&[], &["import", "-"], comma), @r#"1:61-62: a comma is missing between this and `"wait_cond"` (write a `,` here)"#);

    let missing = r#"{"dependencies": {
  "nginx": {"wait_cond": 5, "pre": {"job": "backend"}},
  "api": {"wait_cond": "soon", "pre": 3, "post": {}},
  "db": []
}}"#;
    assert_snapshot!(wrong(&[], &["import", "-"], missing), @"
    3:24-30: api: wait_cond is no number of seconds
    3:39-40: api: pre is no object with a job
    3:50-52: api: post names no job
    4:3-7: db: is no object
    ");
    let missing = r#"{"dependencies": {"nginx": {"wait_cond": 5, "pre": {"job": "backend"}}}}"#;
    assert_snapshot!(wrong(&[], &["import", "-"], missing), @"1:60-69: nginx: depends on backend, which has no entry");
    assert_snapshot!(wrong(&[], &["import", "-"], "{}"), @r#"1:1-1: has no object `dependencies`, and no lists `edges` and `changes` (what can be imported is `{"dependencies": {"JOB": { … }}}` of nomad-dtree, and `{"edges": [ … ], "changes": [ … ]}` of ernest)"#);
}

/// What a file comes to for a job, in its order.
fn order(text: &str, job: &str) -> String {
    let manifest = dtree(&[], &["import", "-", "--job", job], text);
    match manifest.strip_suffix("--- exit 0") {
        Some(good) => dtree(&[], &["graph", "-"], good),
        None => manifest,
    }
}

#[test]
fn the_older_tools_own_examples_keep_their_order() {
    // The examples "basic" and "consul", which are one.
    let basic = r#"{"dependencies": {
  "nginx": {"wait_cond": 5, "pre": {"job": "api", "wait_cond": 7}},
  "api": {"wait_cond": 7, "pre": {"job": "redis"}},
  "redis": {"wait_cond": 5}
}}"#;
    assert_snapshot!(order(basic, "nginx"), @r#"
    tree "imported"
       1  redis
       2  api  after redis
       3  nginx  after api
    --- exit 0
    "#);
    assert_snapshot!(order(basic, "api"), @r#"
    tree "imported"
       1  redis
       2  api  after redis
    --- exit 0
    "#);
    let hook = r#"{"dependencies": {"postgres": {"wait_cond": 5, "post": {"job": "postgres_setup", "wait_cond": 3}}}}"#;
    assert_snapshot!(order(hook, "postgres"), @r#"
    tree "imported"
       1  postgres
       2  postgres_setup (hook)  after postgres
    --- exit 0
    "#);
    // Its tests' files: a chain, a circle, a job without an entry.
    let chain = r#"{"dependencies": {
  "nginx": {"wait_cond": 5, "pre": {"job": "api"}},
  "api": {"wait_cond": 2, "pre": {"job": "postgres"}},
  "postgres": {"wait_cond": 1}
}}"#;
    assert_snapshot!(order(chain, "nginx"), @r#"
    tree "imported"
       1  postgres
       2  api  after postgres
       3  nginx  after api
    --- exit 0
    "#);
    let circle = chain.replace("\"wait_cond\": 1", "\"wait_cond\": 1, \"pre\": {\"job\": \"nginx\"}");
    assert_snapshot!(wrong(&[], &["import", "-", "--job", "nginx"], &circle), @"3:3-8: these depend on each other: api → postgres → nginx → api");
    let missing = chain.replace("\"job\": \"api\"", "\"job\": \"backend\"");
    assert_snapshot!(wrong(&[], &["import", "-", "--job", "nginx"], &missing), @"2:44-53: nginx: depends on backend, which has no entry");
    assert_snapshot!(order(&missing, "api"), @r#"
    tree "imported"
       1  postgres
       2  api  after postgres
    --- exit 0
    "#);
    // What its README shows lacks a comma.
    let sample = r#"{
  "dependencies": {
    "nginx": {"wait_cond": 5, "pre": {"job": "api"}},
    "api": {"wait_cond": 5, "pre": {"job": "postgres"}},
    "postgres": {
      "post": {
        "job": "postgres_setup",
        "wait_cond": 3
      }
      "wait_cond": 5
    }
  }
}"#;
    assert_snapshot!(wrong(&[], &["import", "-", "--job", "nginx"], sample), @r#"9:7-8: a comma is missing between this and `"wait_cond"` (write a `,` here)"#);
    assert_snapshot!(order(&sample.replace("}\n      \"wait", "},\n      \"wait"), "nginx"), @r#"
    tree "imported"
       1  postgres
       2  postgres_setup (hook)  after postgres
       3  api  after postgres_setup
       4  nginx  after api
    --- exit 0
    "#);
}

#[test]
fn what_the_older_tool_took_without_a_word_is_said() {
    let entry = |inside: &str| format!("{{\"dependencies\": {{\"db\": {{{inside}}}}}}}");
    // Cut off, commented, said twice.
    assert_snapshot!(wrong(&[], &["import", "-", "--job", "db"], r#"{"dependencies": {"db": {"wait_cond": 5}"#), @r#"1:40-41: ends before all that it opens is closed (it may be cut off: write the rest, and each `}`, `]` and `"` that is missing)"#);
    assert_snapshot!(wrong(&[], &["import", "-", "--job", "db"], "{\"dependencies\": {\n  // the database\n  \"db\": {\"wait_cond\": 5}\n}}"), @"2:3-4: has a comment here, and JSON has none (take it out)");
    assert_snapshot!(wrong(&[], &["import", "-", "--job", "db"], r#"{"dependencies": {"db": {"wait_cond": 5}, "db": {"wait_cond": 6}}}"#), @"1:43-44: db stands here twice (take one of them out)");
    for seconds in ["\"5s\"", "1.9", "true", "-4"] {
        let said = order(&entry(&format!("\"wait_cond\": {seconds}")), "db");
        assert!(said.contains("wait_cond is no number of seconds"), "{seconds}: {said}");
    }
    // A name is a name, with its dots and stars.
    assert_snapshot!(wrong(&[], &["import", "-", "--job", "ng*"], r#"{"dependencies": {"nginx": {"wait_cond": 5}}}"#), @"1:1-1: has no entry for ng*");
    // More than a hundred in a row are a chain like any other.
    let chain: Vec<String> = (0..150)
        .map(|n| match n {
            0 => "\"job-0\": {}".to_owned(),
            n => format!("\"job-{n}\": {{\"pre\": {{\"job\": \"job-{}\"}}}}", n - 1),
        })
        .collect();
    let said = order(&format!("{{\"dependencies\": {{{}}}}}", chain.join(", ")), "job-149");
    assert!(said.contains("150  job-149  after job-148") && said.ends_with("--- exit 0"), "{said}");
}

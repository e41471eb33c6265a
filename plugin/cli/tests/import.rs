//! The older tool's dependency file, imported.

use insta::assert_snapshot;

use super::dtree;

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
    assert_snapshot!(dtree(&[], &["import", "-", "--job", "sole"], circle), @r#"
    --- stderr
    error: has no entry for sole
     --> stdin:1:1
      |
    1 | {"dependencies":{"left":{"wait_cond":1,"pre":{"job":"right"}},
      | ^
      |
      = help: did you mean `solo`?

    1 problem in stdin
    --- exit 2
    "#);

    let comma = r#"{"dependencies":{"db":{"post":{"job":"db_init","wait_cond":3}
  "wait_cond":5}}}"#;
    assert_snapshot!(dtree(&[], &["import", "-"], comma), @r#"
    --- stderr
    error: a comma is missing between this and `"wait_cond"`
     --> stdin:1:61
      |
    1 | {"dependencies":{"db":{"post":{"job":"db_init","wait_cond":3}
      |                                                             ^
      |
      = help: write a `,` here

    1 problem in stdin
    --- exit 2
    "#);

    let missing = r#"{"dependencies": {
  "nginx": {"wait_cond": 5, "pre": {"job": "backend"}},
  "api": {"wait_cond": "soon", "pre": 3, "post": {}},
  "db": []
}}"#;
    assert_snapshot!(dtree(&[], &["import", "-"], missing), @r#"
    --- stderr
    error: api: wait_cond is no number of seconds
     --> stdin:3:24
      |
    3 |   "api": {"wait_cond": "soon", "pre": 3, "post": {}},
      |                        ^^^^^^

    error: api: pre is no object with a job
     --> stdin:3:39
      |
    3 |   "api": {"wait_cond": "soon", "pre": 3, "post": {}},
      |                                       ^

    error: api: post names no job
     --> stdin:3:50
      |
    3 |   "api": {"wait_cond": "soon", "pre": 3, "post": {}},
      |                                                  ^^

    error: db: is no object
     --> stdin:4:3
      |
    4 |   "db": []
      |   ^^^^

    4 problems in stdin
    --- exit 2
    "#);
    let missing = r#"{"dependencies": {"nginx": {"wait_cond": 5, "pre": {"job": "backend"}}}}"#;
    assert_snapshot!(dtree(&[], &["import", "-"], missing), @r#"
    --- stderr
    error: nginx: depends on backend, which has no entry
     --> stdin:1:60
      |
    1 | {"dependencies": {"nginx": {"wait_cond": 5, "pre": {"job": "backend"}}}}
      |                                                            ^^^^^^^^^

    1 problem in stdin
    --- exit 2
    "#);
    assert_snapshot!(dtree(&[], &["import", "-"], "{}"), @r#"
    --- stderr
    error: has no object `dependencies`, and no lists `edges` and `changes`
     --> stdin:1:1
      |
    1 | {}
      | ^
      |
      = help: what can be imported is `{"dependencies": {"JOB": { … }}}` of nomad-dtree, and `{"edges": [ … ], "changes": [ … ]}` of ernest

    1 problem in stdin
    --- exit 2
    "#);
}

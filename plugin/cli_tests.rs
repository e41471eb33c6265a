//! The command line as people and scripts see it: whole output, exit code. Needs no Nomad.

#![expect(clippy::unwrap_used, reason = "tests, whose helpers stand outside of a test function")]

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use insta::assert_snapshot;
use tempfile::TempDir;

/// A tree of a shop, as a file of its own.
const SHOP: &str = r#"tree "shop" {
  job "postgres" {
    jobspec = "local/postgres.nomad.hcl"
    post "setup" {
      dispatch = "setup"
    }
  }
  job "api" {
    jobspec    = "local/api.nomad.hcl"
    depends_on = ["postgres", "redis"]
    vars       = { version = var.version }
  }
  job "nginx" {
    jobspec    = "local/nginx.nomad.hcl"
    depends_on = ["postgres", "api"]
  }
  wait "redis" {}
}
"#;

/// Runs dtree where these files are. What it says, both ways, and its exit code.
fn dtree(files: &[(&str, &[u8])], words: &[&str], stdin: &str) -> String {
    let directory = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    said(directory.path(), words, stdin)
}

fn said(directory: &Path, words: &[&str], stdin: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dtree"))
        .args(words)
        .current_dir(directory)
        .env_remove("NOMAD_PLUGIN_MAGIC_COOKIE")
        .env("COLUMNS", "100")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    let err = if err.is_empty() { err } else { format!("--- stderr\n{err}") };
    format!("{out}{err}--- exit {}", output.status.code().unwrap())
}

#[test]
fn a_good_file_is_said_to_be_good_with_what_could_not_be_checked() {
    assert_snapshot!(dtree(&[("shop.dtree.hcl", SHOP.as_bytes())], &["check", "shop.dtree.hcl"], ""), @r#"
    shop.dtree.hcl: tree "shop": 3 jobs, 1 hook, 1 wait: no problem
        not checked, because it takes Nomad:
            job "api": vars.version = var.version
            the jobspecs that it names
    --- exit 0
    "#);
    assert_snapshot!(dtree(&[], &["check", "-"], "tree \"x\" {\n  wait \"db\" {}\n}\n"), @r#"
    stdin: tree "x": 1 wait: no problem
    --- exit 0
    "#);
}

#[test]
fn what_is_wrong_is_drawn_into_the_text_all_of_it() {
    let wrong = SHOP
        .replace("depends_on = [\"postgres\", \"redis\"]", "depends_on = [\"postgrs\", \"nginx\"]")
        .replace("vars  ", "vrs  ")
        .replace("dispatch = \"setup\"", "timeout = \"soon\"");
    let files: &[(&str, &[u8])] = &[("shop.dtree.hcl", wrong.as_bytes()), ("good.hcl", SHOP.as_bytes())];
    assert_snapshot!(dtree(files, &["check", "shop.dtree.hcl", "good.hcl"], ""), @r#"
    good.hcl: tree "shop": 3 jobs, 1 hook, 1 wait: no problem
        not checked, because it takes Nomad:
            job "api": vars.version = var.version
            the jobspecs that it names
    --- stderr
    error: these blocks depend on each other: api → nginx → api
     --> shop.dtree.hcl:1:1
      |
    1 | tree "shop" {
      | ^^^^^^^^^^^
      |
      = help: take one of the depends_on or one of the references away

    error: post "setup" of job "postgres": has nothing to run
     --> shop.dtree.hcl:4:5
      |
    4 |     post "setup" {
      |     ^^^^^^^^^^^^
      |
      = help: write the path of a batch jobspec, `jobspec = "local/setup.nomad.hcl"`, or the ID of a parameterized job, `dispatch = "setup"`

    error: post "setup" of job "postgres": timeout = "soon" is not a duration; write it like "90s", "5m" or "1h30m"
     --> shop.dtree.hcl:5:7
      |
    5 |       timeout = "soon"
      |       ^^^^^^^^^^^^^^^^

    error: job "api": depends_on names "postgrs", which is no block of this task
      --> shop.dtree.hcl:10:5
       |
    10 |     depends_on = ["postgrs", "nginx"]
       |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: did you mean "postgres"?

    error: job "api": vrs is nothing that may stand here
      --> shop.dtree.hcl:11:5
       |
    11 |     vrs       = { version = var.version }
       |     ^^^
       |
       = help: did you mean `vars`?

    5 problems in shop.dtree.hcl
    --- exit 2
    "#);
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_the_reason() {
    let files: &[(&str, &[u8])] = &[
        ("comma.json", b"{\"tree\": {\"x\": {\"wait\": {\"a\": {}\n  \"b\": {}}}}}"),
        ("binary.hcl", b"tree \"x\" {\n\xff\xfe\n}"),
        ("nothing.hcl", b"job \"web\" {\n}\n"),
    ];
    let words = ["check", "missing.hcl", ".", "comma.json", "binary.hcl", "nothing.hcl"];
    assert_snapshot!(dtree(files, &words, ""), @r#"
    --- stderr
    dtree: cannot read missing.hcl: there is no such file
    dtree: cannot read .: it is a directory; name the file in it
    error: expected `,` or `}`
     --> comma.json:2:3
      |
    2 |   "b": {}}}}}
      |   ^

    1 problem in comma.json
    dtree: cannot read binary.hcl: it is no UTF-8 text, in line 2
    error: declares nothing of dtree
     --> nothing.hcl:1:1
      |
    1 | job "web" {
      | ^
      |
      = help: write `tree "shop" { … }`, or a job with a task whose driver is "dtree"

    1 problem in nothing.hcl
    --- exit 2
    "#);
    let huge = vec![b' '; (16 << 20) + 1];
    assert_snapshot!(dtree(&[("huge.hcl", &huge)], &["check", "huge.hcl"], ""), @"
    --- stderr
    dtree: cannot read huge.hcl: it is longer than 16 MiB
    --- exit 2
    ");
}

#[test]
fn a_graph_is_drawn_in_three_ways() {
    let files: &[(&str, &[u8])] = &[("shop.dtree.hcl", SHOP.as_bytes())];
    assert_snapshot!(dtree(files, &["graph", "shop.dtree.hcl"], ""), @r#"
    tree "shop"
       1  postgres
          redis (wait)
       2  setup (hook)  after postgres
       3  api  after redis, setup
       4  nginx  after api
    --- exit 0
    "#);
    assert_snapshot!(dtree(files, &["graph", "--format", "dot", "shop.dtree.hcl"], ""), @r#"
    digraph "tree \"shop\"" {
      rankdir = LR
      node [shape = box]
      "postgres"
      "redis" [shape = oval]
      "setup" [style = dashed]
      "api"
      "nginx"
      "postgres" -> "setup"
      "redis" -> "api"
      "setup" -> "api"
      "api" -> "nginx"
    }
    --- exit 0
    "#);
    assert_snapshot!(dtree(files, &["graph", "--format", "mermaid", "shop.dtree.hcl"], ""), @r#"
    flowchart LR
        n0["postgres"]
        n1(["redis"])
        n2[/"setup"/]
        n3["api"]
        n4["nginx"]
        n0 --> n2
        n1 --> n3
        n2 --> n3
        n3 --> n4
    --- exit 0
    "#);
}

#[test]
fn wrong_words_are_told_with_what_may_be_said() {
    assert_snapshot!(dtree(&[], &["chekc", "x"], ""), @"
    --- stderr
    error: unrecognized subcommand 'chekc'

      tip: a similar subcommand exists: 'check'

    Usage: dtree <COMMAND>

    For more information, try '--help'.
    --- exit 2
    ");
    assert_snapshot!(dtree(&[], &["graph", "--format", "svgg", "x"], ""), @"
    --- stderr
    error: invalid value 'svgg' for '--format <FORMAT>'
      [possible values: text, dot, mermaid]

    For more information, try '--help'.
    --- exit 2
    ");
    assert_snapshot!(dtree(&[], &["check"], ""), @"
    --- stderr
    error: the following required arguments were not provided:
      <FILES>...

    Usage: dtree check <FILES>...

    For more information, try '--help'.
    --- exit 2
    ");
    assert_snapshot!(dtree(&[], &[], ""), @r#"
    --- stderr
    Dependency order for HashiCorp Nomad

    Usage: dtree <COMMAND>

    Commands:
      check        Check manifests, and jobspecs with tasks of dtree, without Nomad
      graph        Draw what depends on what
      import       Print what nomad-dtree's dependency.json says, as a manifest
      completions  Print completions for a shell
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version

    A Nomad client starts the same program as a task driver: copy it into the client's plugin_dir, and
    write `plugin "dtree" {}` into the client's configuration.
    --- exit 2
    "#);
}

#[test]
fn completions_are_there_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let text = dtree(&[], &["completions", shell], "");
        assert!(text.contains("graph") && text.ends_with("--- exit 0"), "{shell}: {text}");
    }
}

#[test]
fn the_examples_are_good() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for example in ["gate.nomad.hcl", "hook.nomad.hcl", "shop/shop.nomad.hcl", "stack/stack.nomad.hcl"] {
        let text = said(&root.join("jobspecs"), &["check", example], "");
        assert!(text.contains(": no problem\n") && text.ends_with("--- exit 0"), "{text}");
    }
}

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
    error: expected `,` or `}`
     --> stdin:2:3
      |
    2 |   "wait_cond":5}}}
      |   ^

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
    error: has no object `dependencies`
     --> stdin:1:1
      |
    1 | {}
      | ^
      |
      = help: write `{"dependencies": {"JOB": { … }}}`, as nomad-dtree takes it

    1 problem in stdin
    --- exit 2
    "#);
}

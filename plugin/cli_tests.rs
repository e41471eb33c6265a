//! The command line as people and scripts see it: whole output, exit code. Needs no Nomad.

#![expect(clippy::unwrap_used, reason = "tests, whose helpers stand outside of a test function")]
#![expect(clippy::too_many_lines, reason = "whole output is long")]

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

/// Where no Nomad listens, and nothing else.
const NOWHERE: &str = "unix:///nowhere/api.sock";

/// A tree of which nothing is left open.
const PLAIN: &str = r#"tree "plain" {
  job "db" {
    jobspec = "db.nomad.hcl"
  }
  job "api" {
    jobspec    = "api.nomad.hcl"
    depends_on = ["db"]
  }
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
        .env_remove("NOMAD_TOKEN")
        .env_remove("NOMAD_NAMESPACE")
        .env_remove("NOMAD_REGION")
        .env("NOMAD_ADDR", NOWHERE)
        .env_remove("CONSUL_HTTP_ADDR")
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
    error: a comma is missing between this and `"b"`
     --> comma.json:1:32
      |
    1 | {"tree": {"x": {"wait": {"a": {}
      |                                ^
      |
      = help: write a `,` here

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
fn a_picture_is_one_file_with_all_that_it_needs() {
    let files: &[(&str, &[u8])] = &[("shop.dtree.hcl", SHOP.as_bytes())];
    assert_snapshot!(dtree(files, &["graph", "--format", "svg", "shop.dtree.hcl"], ""), @r#"
    <svg xmlns="http://www.w3.org/2000/svg" role="img" width="408" height="194" viewBox="0 0 408 194">
    <title>tree &quot;shop&quot;</title>
    <style>text{font:12px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#16202c}.said{fill:#77828f}rect{stroke:#5d6b7b;stroke-width:1.2}.job{fill:#e9eff7}.hook{fill:#f8efdc;stroke-dasharray:4 3}.wait{fill:#e2f2e7}.absent{fill:#eceef0;stroke-dasharray:1.5 3}.line{fill:none;stroke:#8592a1;stroke-width:1.3}.tip{fill:#8592a1}.circle{stroke:#d0402b}.line.circle{stroke-width:2}.tip.circle{fill:#d0402b;stroke:none}rect.circle{stroke-width:2.2}</style>
    <text class="said" x="16" y="26">tree &quot;shop&quot;</text>
    <g transform="translate(16 46)">
    <path class="line" d="M80.0 14.0C102.0 14.0 102.0 14.0 124.0 14.0"/><path class="tip" d="M124.0 14.0l-7.0 3.5v-7.0z"/>
    <path class="line" d="M182.2 54.0C205.9 54.0 205.9 34.0 229.6 34.0"/><path class="tip" d="M229.6 34.0l-7.0 3.5v-7.0z"/>
    <path class="line" d="M182.2 14.0C205.9 14.0 205.9 34.0 229.6 34.0"/><path class="tip" d="M229.6 34.0l-7.0 3.5v-7.0z"/>
    <path class="line" d="M273.3 34.0C295.3 34.0 295.3 34.0 317.3 34.0"/><path class="tip" d="M317.3 34.0l-7.0 3.5v-7.0z"/>
    <g><title>postgres</title><rect class="job" x="0.0" y="0.0" width="80.0" height="28" rx="5"/><text x="40.0" y="18.0" text-anchor="middle">postgres</text></g>
    <g><title>redis</title><rect class="wait" x="124.0" y="40.0" width="58.2" height="28" rx="14"/><text x="153.1" y="58.0" text-anchor="middle">redis</text></g>
    <g><title>setup</title><rect class="hook" x="124.0" y="0.0" width="58.2" height="28" rx="5"/><text x="153.1" y="18.0" text-anchor="middle">setup</text></g>
    <g><title>api</title><rect class="job" x="229.6" y="20.0" width="43.8" height="28" rx="5"/><text x="251.5" y="38.0" text-anchor="middle">api</text></g>
    <g><title>nginx</title><rect class="job" x="317.3" y="20.0" width="58.2" height="28" rx="5"/><text x="346.5" y="38.0" text-anchor="middle">nginx</text></g>
    </g>
    <g transform="translate(16 164)"><g><title>job</title><rect class="job" x="0.0" y="-14.0" width="43.8" height="28" rx="5"/><text x="21.9" y="4.0" text-anchor="middle">job</text></g>
    <g><title>hook</title><rect class="hook" x="54.8" y="-14.0" width="51.0" height="28" rx="5"/><text x="80.2" y="4.0" text-anchor="middle">hook</text></g>
    <g><title>wait</title><rect class="wait" x="116.8" y="-14.0" width="51.0" height="28" rx="14"/><text x="142.2" y="4.0" text-anchor="middle">wait</text></g>
    </g>
    </svg>
    --- exit 0
    "#);

    let odd = "tree \"<a> & \\\"b\\\"\" {\n  wait \"<&>\" {}\n}\n";
    let odd = dtree(&[], &["graph", "--format", "svg", "-"], odd);
    assert!(odd.contains("&lt;a&gt; &amp; ") && odd.contains(">&lt;&amp;&gt;</text>"), "{odd}");

    let two = "tree \"a\" {\n  wait \"x\" {}\n}\ntree \"b\" {\n  wait \"y\" {}\n}\n";
    assert_snapshot!(dtree(&[], &["graph", "--format", "svg", "-"], two), @"
    --- stderr
    dtree: stdin declares 2 trees and tasks, and a picture shows one: keep one of them in a file of its own
    --- exit 2
    ");
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
      [possible values: text, dot, mermaid, svg]

      tip: a similar value exists: 'svg'

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
      plan         Show what a run would do, and write nothing
      run          Carry a tree out from here
      stop         Stop the jobs of a tree, those first that nothing needs any more
      submit       Hand a tree and its jobspecs to the cluster, as a job with a task of dtree, and
                   follow it
      graph        Draw what depends on what
      import       Print what nomad-dtree's dependency.json, or a mapping of ernest, says as a manifest
      policy       Print the least ACL policy for what a file declares, and how to attach it
      man          Print the manual, for `man -l -`
      wait         Wait until jobs, services, sockets or values are as they should be: exit code 0 met,
                   1 not in time or never
      status       Show how a tree stands: exit code 0 it is up, 1 it is not
      history      Show how the last runs of a tree ended
      why          Tell what holds an allocation, a tree or a job up
      doctor       Find out whether all is there that dtree needs: exit code 0 it is, 1 something was
                   found
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

/// A mapping with two roots, of which one feeds two others.
const FAN: &str = r#"{"id":"t1","action":"build.create",
 "edges":[{"source":"start","destination":"db::a","length":1},{"source":"start","destination":"mq::a","length":1},
  {"source":"db::a","destination":"api::1","length":1},{"source":"mq::a","destination":"api::1","length":1},
  {"source":"db::a","destination":"rep::1","length":1},{"source":"api::1","destination":"end","length":1},{"source":"rep::1","destination":"end","length":1}],
 "components":[],
 "changes":[{"_component_id":"db::a","_component":"db","_action":"create","_provider":"x","_state":"waiting"},
  {"_component_id":"mq::a","_component":"mq","_action":"create","_provider":"x","_state":"waiting"},
  {"_component_id":"api::1","_component":"api","_action":"create","_provider":"x","_state":"waiting","db_url":"$(components.#[_component_id=\"db::a\"].url)"},
  {"_component_id":"rep::1","_component":"rep","_action":"create","_provider":"x","_state":"waiting"}]}"#;

/// Imports a text, and draws what comes out, which is so checked.
fn imported(text: &str) -> String {
    let manifest = dtree(&[], &["import", "-"], text);
    match manifest.strip_suffix("--- exit 0") {
        Some(good) => format!("{good}{}", dtree(&[], &["graph", "-"], good)),
        None => manifest,
    }
}

#[test]
fn a_mapping_becomes_a_tree_with_its_edges_and_values() {
    assert_snapshot!(imported(FAN), @r#"
    # What ernest's mapping says, as a tree.
    # Each jobspec must declare the variables of its `vars`; with --jobspecs only those that it has are written.
    tree "t1" {
      job "api::1" {
        # _provider = "x": has no equivalent
        jobspec = "local/api.nomad.hcl"
        depends_on = ["db::a", "mq::a"]
        vars = {
          db_url = "$(db::a.url)"
        }
      }
      job "db::a" {
        # _provider = "x": has no equivalent
        jobspec = "local/db.nomad.hcl"
        # The jobspec must set these in its meta; a service or a variable may give them as well.
        outputs = {
          url = "meta:url"
        }
      }
      job "mq::a" {
        # _provider = "x": has no equivalent
        jobspec = "local/mq.nomad.hcl"
      }
      job "rep::1" {
        # _provider = "x": has no equivalent
        jobspec = "local/rep.nomad.hcl"
        depends_on = ["db::a"]
      }
    }
    tree "t1"
       1  db::a
          mq::a
       2  api::1  after db::a, mq::a
          rep::1  after db::a
    --- exit 0
    "#);
}

#[test]
fn what_a_mapping_has_done_already_is_not_done_again() {
    let in_the_middle = r#"{"id":"t2","action":"build.create","edges":[{"source":"start","destination":"a::1","length":1},{"source":"start","destination":"b::1","length":1},{"source":"a::1","destination":"c::1","length":1},{"source":"b::1","destination":"c::1","length":1}],
 "components":[],"changes":[{"_component_id":"a::1","_component":"a","_action":"create","_provider":"x","_state":"errored"},{"_component_id":"b::1","_component":"b","_action":"create","_provider":"x","_state":"running"},{"_component_id":"c::1","_component":"c","_action":"create","_provider":"x","_state":"waiting"}]}"#;
    assert_snapshot!(imported(in_the_middle), @r#"
    # What ernest's mapping says, as a tree.
    tree "t2" {
      job "a::1" {
        # _state = "errored": the run that wrote this had failed here; it is tried again
        # _provider = "x": has no equivalent
        jobspec = "local/a.nomad.hcl"
      }
      job "b::1" {
        # _state = "running": it is taken over as it is, and waited for
        # _provider = "x": has no equivalent
        jobspec = "local/b.nomad.hcl"
        adopt = true
      }
      job "c::1" {
        # _provider = "x": has no equivalent
        jobspec = "local/c.nomad.hcl"
        depends_on = ["a::1", "b::1"]
      }
    }
    tree "t2"
       1  a::1
          b::1
       2  c::1  after a::1, b::1
    --- exit 0
    "#);

    let of_all_kinds = r#"{"id":"all","name":"shop","user_id":7,"action":"build.sync","changelog":[],
 "edges":[{"source":"start","destination":"net::n","length":1},{"source":"net::n","destination":"old::o","length":1},
  {"source":"old::o","destination":"web::w","length":1},{"source":"img::i","destination":"web::w","length":1},
  {"source":"vpc::v","destination":"web::w","length":1},{"source":"web::w","destination":"end","length":1}],
 "components":[{"_component_id":"vpc::v","_component":"vpc","_action":"create","_state":"waiting","cidr":"10.0.0.0/8"},
  {"_component_id":"cred::c","_component":"credentials","_action":"none","region":"eu"},
  {"_component_id":"far::f","_component":"far","_action":"create"}],
 "changes":[{"_component_id":"net::n","_component":"network","_type":"aws","_action":"get","_state":"waiting"},
  {"_component_id":"old::o","_component":"old","_action":"delete","_state":"waiting"},
  {"_component_id":"img::i","_component":"img","_action":"create","_state":"completed"},
  {"_component_id":"all::f","_component":"find","_action":"find"},
  {"_component_id":"lone::l","_action":"create","_state":"waiting"},
  {"_component_id":"web::w","_component":"web","_action":"update","_state":"waiting","count":3,"a.b":1,"none":null,
   "zones":["$(components.#[_component_id=\"cred::c\"].region)-1","b"],"cidr":"$(components.#[_component_id=\"vpc::v\"].cidr)",
   "all":"$(components.#[_component_id%\"*\"]#._component)","n":"$(changes.#)","where":"http://$(changes.4.net.host):80/${x}\n"}]}"#;
    assert_snapshot!(imported(of_all_kinds), @r#"
    # What ernest's mapping says, as a tree.
    # action = "build.sync": sync only looked at what there is; here the jobs are brought up
    # user_id = 7: has no equivalent
    # all::f is left out: _action = "find": has no equivalent, jobs are known by their names
    # old::o is left out: _action = "delete": a tree that brings jobs up stops none; stop it by itself
    # Each jobspec must declare the variables of its `vars`; with --jobspecs only those that it has are written.
    tree "shop" {
      wait "img::i" {
        # _state = "completed": it is waited for, and not submitted again
        job = "i"
      }
      job "lone::l" {
        # no edge leads to it: the older tool never began it, here it is a root
        jobspec = "local/lone.nomad.hcl"
        # The jobspec must set these in its meta; a service or a variable may give them as well.
        outputs = {
          net_host = "meta:net.host"
        }
      }
      wait "net::n" {
        # _action = "get": it is waited for, and not submitted
        # _type = "aws": has no equivalent
        job = "n"
      }
      wait "vpc::v" {
        # it is no change, only there: it is waited for, and not submitted
        # cidr = "10.0.0.0/8": has no equivalent
        job = "v"
      }
      job "web::w" {
        # a.b = 1: has no equivalent
        # none = null: the variable's own default counts
        jobspec = "local/web.nomad.hcl"
        depends_on = ["img::i", "net::n", "vpc::v"]
        vars = {
          all = "[\"vpc\",\"credentials\",\"far\"]"
          cidr = "10.0.0.0/8"
          count = "3"
          n = "6"
          where = "http://$(lone::l.net_host):80/$${x}\n"
          zones = "[\"eu-1\",\"b\"]"
        }
      }
    }
    tree "shop"
       1  img::i (wait)
          lone::l
          net::n (wait)
          vpc::v (wait)
       2  web::w  after img::i, lone::l, net::n, vpc::v
    --- exit 0
    "#);
}

#[test]
fn a_mapping_that_deletes_is_a_tree_that_stops() {
    let ghost = r#"{"id":"t3","action":"build.delete","edges":[{"source":"start","destination":"app::1","length":1},{"source":"app::1","destination":"db::1","length":1},{"source":"db::1","destination":"end","length":1},{"source":"ghost::9","destination":"db::1","length":1}],
 "components":[{"_component_id":"cred::x","_component":"credentials","_action":"none","_provider":"x","_state":"waiting","region":"eu"}],
 "changes":[{"_component_id":"app::1","_component":"app","_action":"delete","_provider":"$(components.#[_component_id=\"cred::x\"]._provider)","_state":"waiting"},{"_component_id":"db::1","_component":"db","_action":"delete","_provider":"x","_state":"waiting"}]}"#;
    assert_snapshot!(imported(ghost), @r#"
    --- stderr
    error: edges: the edge from ghost::9 to db::1 names ghost::9, which is no component
     --> stdin:1:202
      |
    1 | ...:1},{"source":"db::1","destination":"end","length":1},{"source":"ghost::9","destination":"db::1","length":1}],
      |                                                           ^^^^^^^^^^^^^^^^^^^
      |
      = help: add it to the changes, or take the edge away

    1 problem in stdin
    --- exit 2
    "#);
    let good = ghost.replace(r#",{"source":"ghost::9","destination":"db::1","length":1}"#, "");
    assert_snapshot!(imported(&good), @r#"
    # What ernest's mapping says, as a tree.
    tree "t3" {
      verb = "stop"
      job "app::1" {
        # _provider = "x": has no equivalent
        jobspec = "local/app.nomad.hcl"
        depends_on = ["db::1"]
      }
      job "db::1" {
        # _provider = "x": has no equivalent
        jobspec = "local/db.nomad.hcl"
      }
    }
    tree "t3"
       1  app::1
       2  db::1  after app::1
    --- exit 0
    "#);
}

#[test]
fn what_is_wrong_with_a_mapping_is_told_with_its_place() {
    let values = r#"{"id":"t4","action":"build.create","edges":[{"source":"start","destination":"a::1","length":1}],"components":[],
 "changes":[{"_component_id":"a::1","_component":"a","_action":"create","_provider":"x","_state":"waiting","p":"$(changes.0.p)","q":"$(components.#[_component_id=\"no::1\"].z)","r":"port $(id)"}]}"#;
    assert_snapshot!(imported(values), @r#"
    --- stderr
    error: a::1: p takes its value from itself: a::1 p → a::1 p
     --> stdin:2:108
      |
    2 |  "changes":[{"_component_id":"a::1","_component":"a","_action":"create","_provider":"x","_state":"waiting","p":"$(changes.0.p)","q":"...
      |                                                                                                            ^^^^^^^^^^^^^^^^^^^^

    error: a::1: q has `$(components.#[_component_id="no::1"].z)`, which has no value
     --> stdin:2:129
      |
    2 | ...,"_state":"waiting","p":"$(changes.0.p)","q":"$(components.#[_component_id=\"no::1\"].z)","r":"port $(id)"}]}
      |                                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: no::1 is no component

    2 problems in stdin
    --- exit 2
    "#);
    let good =
        values.replace(r#""p":"$(changes.0.p)","q":"$(components.#[_component_id=\"no::1\"].z)","#, "");
    assert_snapshot!(imported(&good), @r#"
    # What ernest's mapping says, as a tree.
    # Each jobspec must declare the variables of its `vars`; with --jobspecs only those that it has are written.
    tree "t4" {
      job "a::1" {
        # _provider = "x": has no equivalent
        jobspec = "local/a.nomad.hcl"
        vars = {
          r = "port t4"
        }
      }
    }
    tree "t4"
       1  a::1
    --- exit 0
    "#);

    let circle = r#"{"edges":[{"source":"a::1","destination":"b::1"},{"source":"b::1","destination":"c::1"},{"source":"c::1","destination":"a::1"}],
 "changes":[{"_component_id":"a::1","_action":"create"},
  {"_component_id":"b::1","_action":"create"},
  {"_component_id":"c::1","_action":"create"}]}"#;
    assert_snapshot!(imported(circle), @r#"
    --- stderr
    error: these depend on each other: a::1 → c::1 → b::1 → a::1
     --> stdin:2:13
      |
    2 |  "changes":[{"_component_id":"a::1","_action":"create"},
      |             ^

    1 problem in stdin
    --- exit 2
    "#);

    let all = r#"{"action":"build.explode","edges":[3,{"source":"a::1","destination":"b::2"}],
 "components":{},
 "changes":[{"_component_id":"a::1","_action":"craete","x":"$(changes.1.y)"},
  {"_component_id":"b::1","x":"$(changes.2.x)","y":"$(oops","z":"$(nothing)","w":"$(changes.9.a)"},
  {"_component_id":"c::1","x":"a $(changes.1.x) b"},
  {"_component_id":"c::1"},
  {"_component":"d"}]}"#;
    assert_snapshot!(imported(all), @r#"
    --- stderr
    error: action = "build.explode" is nothing that is known
     --> stdin:1:2
      |
    1 | {"action":"build.explode","edges":[3,{"source":"a::1","destination":"b::2"}],
      |  ^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: what is: build.create, build.patch, build.delete, build.import, build.sync

    error: edges.0: has no source and destination
     --> stdin:1:36
      |
    1 | {"action":"build.explode","edges":[3,{"source":"a::1","destination":"b::2"}],
      |                                    ^

    error: edges: the edge from a::1 to b::2 names b::2, which is no component
     --> stdin:1:55
      |
    1 | {"action":"build.explode","edges":[3,{"source":"a::1","destination":"b::2"}],
      |                                                       ^^^^^^^^^^^^^^^^^^^^
      |
      = help: did you mean "b::1"?

    error: components is no list
     --> stdin:2:2
      |
    2 |  "components":{},
      |  ^^^^^^^^^^^^

    error: a::1: _action = "craete" is nothing that is known
     --> stdin:3:37
      |
    3 |  "changes":[{"_component_id":"a::1","_action":"craete","x":"$(changes.1.y)"},
      |                                     ^^^^^^^^^^^^^^^^^^
      |
      = help: did you mean "create"?

    error: a::1: x has `$(oops`, in which a path is not closed, or none
     --> stdin:3:56
      |
    3 |  "changes":[{"_component_id":"a::1","_action":"craete","x":"$(changes.1.y)"},
      |                                                        ^^^^^^^^^^^^^^^^^^^^
      |
      = help: write it like `$(components.#[_component_id="db::a"].url)`

    error: b::1: x takes its value from itself: b::1 x → c::1 x → b::1 x
     --> stdin:4:27
      |
    4 |   {"_component_id":"b::1","x":"$(changes.2.x)","y":"$(oops","z":"$(nothing)","w":"$(changes.9.a)"},
      |                           ^^^^^^^^^^^^^^^^^^^^

    error: b::1: y has `$(oops`, in which a path is not closed, or none
     --> stdin:4:48
      |
    4 |   {"_component_id":"b::1","x":"$(changes.2.x)","y":"$(oops","z":"$(nothing)","w":"$(changes.9.a)"},
      |                                                ^^^^^^^^^^^^
      |
      = help: write it like `$(components.#[_component_id="db::a"].url)`

    error: b::1: z has `$(nothing)`, which has no value
     --> stdin:4:61
      |
    4 |   {"_component_id":"b::1","x":"$(changes.2.x)","y":"$(oops","z":"$(nothing)","w":"$(changes.9.a)"},
      |                                                             ^^^^^^^^^^^^^^^^
      |
      = help: nothing of the mapping has this path

    error: b::1: w has `$(changes.9.a)`, which has no value
     --> stdin:4:78
      |
    4 |   {"_component_id":"b::1","x":"$(changes.2.x)","y":"$(oops","z":"$(nothing)","w":"$(changes.9.a)"},
      |                                                                              ^^^^^^^^^^^^^^^^^^^^
      |
      = help: no component is there

    error: c::1: x takes its value from itself: c::1 x → b::1 x → c::1 x
     --> stdin:5:27
      |
    5 |   {"_component_id":"c::1","x":"a $(changes.1.x) b"},
      |                           ^^^^^^^^^^^^^^^^^^^^^^^^

    error: c::1: stands twice in changes
     --> stdin:6:4
      |
    6 |   {"_component_id":"c::1"},
      |    ^^^^^^^^^^^^^^^^^^^^^^

    error: changes.4: has no `_component_id`
     --> stdin:7:3
      |
    7 |   {"_component":"d"}]}
      |   ^

    13 problems in stdin
    --- exit 2
    "#);
    assert_snapshot!(imported("{\"edges\": []}"), @r#"
    --- stderr
    error: has no list `changes`
     --> stdin:1:1
      |
    1 | {"edges": []}
      | ^
      |
      = help: that is what is to be done; a mapping without it does nothing

    1 problem in stdin
    --- exit 2
    "#);
    assert_snapshot!(dtree(&[], &["import", "-", "--job", "db"], FAN), @r#"
    --- stderr
    error: has no component db
     --> stdin:1:1
      |
    1 | {"id":"t1","action":"build.create",
      | ^

    1 problem in stdin
    --- exit 2
    "#);
}

#[test]
fn a_directory_of_jobspecs_says_which_there_are_and_which_variables_they_take() {
    let files: &[(&str, &[u8])] = &[
        ("t1.json", FAN.as_bytes()),
        ("db.nomad.hcl", b"variable \"name\" {}\njob \"db\" {\n  id = \"db-${var.name}\"\n}\n"),
        ("mq.nomad", b"job \"mq\" {\n}\n"),
        ("api-1.nomad.hcl", b"variable \"db_url\" {}\nvariable \"provider\" {}\njob \"api\" {\n}\n"),
        ("rep.json", b"{\"Job\": {\"ID\": \"rep\"}}"),
    ];
    assert_snapshot!(dtree(files, &["import", "t1.json", "--jobspecs", ".", "--name", "own"], ""), @r#"
    # What ernest's mapping says, as a tree.
    tree "own" {
      job "api::1" {
        jobspec = "local/api-1.nomad.hcl"
        depends_on = ["db::a", "mq::a"]
        vars = {
          db_url = "$(db::a.url)"
          provider = "x"
        }
      }
      job "db::a" {
        # _provider = "x": has no equivalent
        jobspec = "local/db.nomad.hcl"
        vars = {
          name = "a"
        }
        # The jobspec must set these in its meta; a service or a variable may give them as well.
        outputs = {
          url = "meta:url"
        }
      }
      job "mq::a" {
        # _provider = "x": has no equivalent
        jobspec = "local/mq.nomad"
      }
      job "rep::1" {
        # _provider = "x": has no equivalent
        jobspec = "local/rep.json"
        depends_on = ["db::a"]
      }
    }
    --- exit 0
    "#);
    let some = [files[0], files[2]];
    assert_snapshot!(dtree(&some, &["import", "t1.json", "--jobspecs", "."], ""), @r#"
    --- stderr
    error: db::a: the directory of jobspecs has none called db-a.nomad.hcl or db.nomad.hcl
     --> t1.json:6:13
      |
    6 |  "changes":[{"_component_id":"db::a","_component":"db","_action":"create","_provider":"x","_state":"waiting"},
      |             ^
      |
      = help: db.nomad.hcl would be that of all components of its type

    error: api::1: the directory of jobspecs has none called api-1.nomad.hcl or api.nomad.hcl
     --> t1.json:8:3
      |
    8 |   {"_component_id":"api::1","_component":"api","_action":"create","_provider":"x","_state":"waiting","db_url":"$(components.#[_compon...
      |   ^
      |
      = help: api.nomad.hcl would be that of all components of its type

    error: rep::1: the directory of jobspecs has none called rep-1.nomad.hcl or rep.nomad.hcl
     --> t1.json:9:3
      |
    9 |   {"_component_id":"rep::1","_component":"rep","_action":"create","_provider":"x","_state":"waiting"}]}
      |   ^
      |
      = help: rep.nomad.hcl would be that of all components of its type

    3 problems in t1.json
    --- exit 2
    "#);
    assert_snapshot!(dtree(&some, &["import", "t1.json", "--jobspecs", "nowhere"], ""), @"
    --- stderr
    dtree: cannot read the jobspecs in nowhere: there is no such directory
    --- exit 2
    ");
    assert_snapshot!(dtree(&some, &["import", "t1.json", "--jobspecs", "mq.nomad"], ""), @"
    --- stderr
    dtree: cannot read the jobspecs in mq.nomad: it is no directory; name the one that the jobspecs are in
    --- exit 2
    ");

    let older = br#"{"dependencies":{"api":{"pre":{"job":"db"},"post":{"job":"seed"}},"db":{"post":{"job":"init"}}}}"#;
    let files: &[(&str, &[u8])] = &[
        ("dependency.json", older),
        ("api.nomad", b"job \"api\" {\n}\n"),
        ("db.nomad.hcl", b"job \"db\" {\n}\n"),
        ("seed.nomad", b"job \"seed\" {\n  type = \"batch\"\n}\n"),
        ("init.nomad", b"job \"init\" {\n}\n"),
    ];
    assert_snapshot!(dtree(files, &["import", "dependency.json", "--jobspecs", "."], ""), @r#"
    # What nomad-dtree's dependency.json says, as a tree.
    tree "imported" {
      job "api" {
        jobspec = "local/api.nomad"
        depends_on = ["db"]
        post "seed" {
          jobspec = "local/seed.nomad"
        }
      }
      job "db" {
        jobspec = "local/db.nomad.hcl"
        post "init" {
          # its job is of type "service", which has no end: a hook must be a batch job
          jobspec = "local/init.nomad"
        }
      }
    }
    --- exit 0
    "#);
    assert_snapshot!(dtree(&files[..4], &["import", "dependency.json", "--jobspecs", "."], ""), @r#"
    --- stderr
    error: db: the directory of jobspecs has none called init.nomad or init.nomad.hcl
     --> dependency.json:1:67
      |
    1 | {"dependencies":{"api":{"pre":{"job":"db"},"post":{"job":"seed"}},"db":{"post":{"job":"init"}}}}
      |                                                                   ^^^^

    1 problem in dependency.json
    --- exit 2
    "#);
}

#[test]
fn a_policy_grants_what_a_tree_needs_and_says_how_to_attach_it() {
    assert_snapshot!(dtree(&[("shop.dtree.hcl", SHOP.as_bytes())], &["policy", "shop.dtree.hcl"], ""), @r#"
    # What tree "shop" needs in Nomad, and no more.
    # Attach it to the job that carries the tree; it takes effect at once:
    #     nomad acl policy apply -namespace default -job shop dtree-shop FILE
    # Or give it to a token, for a tree that is run from a shell:
    #     nomad acl policy apply dtree-shop FILE
    #     nomad acl token create -name dtree-shop -type client -policy dtree-shop
    #
    # Not found beside the file, and taken to be in namespace default: local/api.nomad.hcl, local/nginx.nomad.hcl, local/postgres.nomad.hcl
    namespace "default" {
      capabilities = [
        "list-jobs",       # tells a job that is not there
        "read-job",        # shows jobs, allocations, deployments and checks
        "submit-job",      # reads jobspecs, registers jobs, stops them
        "dispatch-job",    # runs parameterized jobs
        "read-logs",       # tells the last words of what failed
      ]
      variables {
        path "dtree/default/shop/*" {
          capabilities = ["read", "write"]
        }
        path "dtree/~held/default/redis/*" {
          capabilities = ["read", "write", "destroy"]
        }
      }
    }
    --- exit 0
    "#);
    // Jobspecs beside the file say where their jobs are.
    let files: &[(&str, &[u8])] = &[
        ("data.dtree.hcl", b"tree \"data\" {\n  job \"pg\" { jobspec = \"local/pg.hcl\" }\n  job \"mq\" {\n    jobspec = \"local/mq.hcl\"\n    namespace = \"queues\"\n  }\n}\n"),
        ("pg.hcl", b"job \"pg\" {\n  namespace = \"stores\"\n}\n"),
    ];
    assert_snapshot!(dtree(files, &["policy", "data.dtree.hcl", "--namespace", "ops"], ""), @r#"
    # What tree "data" needs in Nomad, and no more.
    # Attach it to the job that carries the tree; it takes effect at once:
    #     nomad acl policy apply -namespace ops -job data dtree-data FILE
    # Or give it to a token, for a tree that is run from a shell:
    #     nomad acl policy apply dtree-data FILE
    #     nomad acl token create -name dtree-data -type client -policy dtree-data
    namespace "ops" {
      variables {
        path "dtree/ops/data/*" {
          capabilities = ["read", "write"]
        }
      }
    }
    namespace "queues" {
      capabilities = [
        "list-jobs",       # tells a job that is not there
        "read-job",        # shows jobs, allocations, deployments and checks
        "submit-job",      # reads jobspecs, registers jobs, stops them
      ]
    }
    namespace "stores" {
      capabilities = [
        "list-jobs",       # tells a job that is not there
        "read-job",        # shows jobs, allocations, deployments and checks
        "submit-job",      # reads jobspecs, registers jobs, stops them
      ]
    }
    --- exit 0
    "#);
    let stop = SHOP
        .replace("tree \"shop\" {", "tree \"shop\" {\n  verb = \"stop\"\n  stop {\n    purge = true\n  }");
    assert_snapshot!(dtree(&[], &["policy", "-"], &stop), @r#"
    # What tree "shop" needs in Nomad, and no more.
    # Attach it to the job that carries the tree; it takes effect at once:
    #     nomad acl policy apply -namespace default -job shop dtree-shop FILE
    # Or give it to a token, for a tree that is run from a shell:
    #     nomad acl policy apply dtree-shop FILE
    #     nomad acl token create -name dtree-shop -type client -policy dtree-shop
    #
    # Not found beside the file, and taken to be in namespace default: local/api.nomad.hcl, local/nginx.nomad.hcl, local/postgres.nomad.hcl
    namespace "default" {
      capabilities = [
        "list-jobs",       # tells a job that is not there
        "read-job",        # shows jobs, allocations, deployments and checks
        "submit-job",      # reads jobspecs, registers jobs, stops them
      ]
      variables {
        path "dtree/default/shop/*" {
          capabilities = ["read", "write", "destroy"]
        }
        path "dtree/~held/default/*" {
          capabilities = ["read"]
        }
        path "dtree/~held/default/redis/*" {
          capabilities = ["read", "write", "destroy"]
        }
      }
    }
    --- exit 0
    "#);
}

#[test]
fn a_policy_for_tasks_names_them() {
    let jobspec = |tasks: &str| {
        format!("job \"web\" {{\n  namespace = \"front\"\n  group \"g\" {{\n{tasks}\n  }}\n}}\n")
    };
    let task = |name: &str, config: &str| {
        format!(
            "    task \"{name}\" {{\n      driver = \"dtree\"\n      config {{\n{config}\n      }}\n    }}"
        )
    };
    let gate = task(
        "gate",
        "wait \"db\" { namespace = \"data\" }\nwait \"redis\" { service = \"redis\" }\nwait \"up\" { tcp = \"db:1\" }\n\
         wait \"v\" {\n variable = \"app/v\"\n}\nwait \"c\" {\n service = \"c\"\n provider = \"consul\"\n}\n\
         wait \"k\" { consul_key = \"k\" }\nwait \"ok\" { approval = \"release\" }",
    );
    assert_snapshot!(dtree(&[], &["policy", "-"], &jobspec(&gate)), @r#"
    # What task "gate" of job "web" needs in Nomad, and no more.
    # Attach it to the task; it takes effect at once:
    #     nomad acl policy apply -namespace front -job web -group g -task gate dtree-web FILE
    #
    # wait "c" asks Consul, with the plugin's own token: it needs service:read and node:read.
    #
    # wait "k" asks Consul, with the plugin's own token: it needs key:read.
    #
    # wait "ok" is approved by a user, who needs alloc-exec in this namespace.
    namespace "data" {
      capabilities = [
        "list-jobs",       # tells a job that is not there
        "read-job",        # shows jobs, allocations, deployments and checks
      ]
    }
    namespace "front" {
      capabilities = [
        "read-job",        # shows jobs, allocations, deployments and checks
      ]
      variables {
        path "app/v" {
          capabilities = ["read"]
        }
      }
    }
    --- exit 0
    "#);
    let guard = task("guard", "wait \"db\" { on_loss = \"restart\" }");
    let hook = task("migrate", "hook \"migrate\" {\n  dispatch = \"migrate\"\n  once = \"v7\"\n}");
    assert_snapshot!(dtree(&[], &["policy", "-"], &jobspec(&format!("{guard}\n{hook}"))), @r#"
    # What task "guard" of job "web", task "migrate" of job "web" needs in Nomad, and no more.
    # Attach it to the job; it takes effect at once:
    #     nomad acl policy apply -namespace front -job web dtree-web FILE
    namespace "front" {
      capabilities = [
        "list-jobs",       # tells a job that is not there
        "read-job",        # shows jobs, allocations, deployments and checks
        "submit-job",      # reads jobspecs, registers jobs, stops them
        "dispatch-job",    # runs parameterized jobs
        "read-logs",       # tells the last words of what failed
        "alloc-lifecycle", # signals and restarts the allocation
      ]
      variables {
        path "dtree/~once/migrate/*" {
          capabilities = ["read", "write"]
        }
      }
    }
    --- exit 0
    "#);
    let none = task("gate", "wait \"up\" { dns = \"db\" }");
    assert_snapshot!(dtree(&[], &["policy", "-"], &jobspec(&none)), @r#"
    # task "gate" of job "web" needs no right in Nomad.
    --- exit 0
    "#);

    let two = "tree \"a\" {\n  wait \"x\" {}\n}\ntree \"b\" {\n  wait \"y\" {}\n}\n";
    assert_snapshot!(dtree(&[], &["policy", "-"], two), @"
    --- stderr
    dtree: stdin declares several trees, and a policy is for one: keep it in a file of its own
    --- exit 2
    ");
}

#[test]
fn the_manual_and_the_version_are_those_of_this_program() {
    let manual = dtree(&[], &["man"], "");
    assert!(manual.starts_with(".ie") && manual.ends_with("--- exit 0"), "{manual}");
    for command in ["check", "graph", "import", "policy", "completions"] {
        assert!(manual.contains(&format!("dtree\\-{command}")), "{command} is not in the manual");
    }
    let version = dtree(&[], &["--version"], "");
    let go = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/nomad/go.mod")).unwrap();
    let built = go.lines().find_map(|line| line.trim().strip_prefix("github.com/hashicorp/nomad v")).unwrap();
    assert!(version.contains(&format!("Nomad {built}")), "the stories run {built}: {version}");
}

#[test]
fn a_run_that_cannot_begin_says_why_and_what_to_do() {
    let shop: &[(&str, &[u8])] = &[("shop.dtree.hcl", SHOP.as_bytes()), ("plain.hcl", PLAIN.as_bytes())];
    assert_snapshot!(dtree(shop, &["run", "shop.dtree.hcl"], ""), @r#"
    --- stderr
    dtree: shop.dtree.hcl leaves open what Nomad evaluates where it starts a task, which does not happen here:
        job "api": vars.version = var.version

    hint: write the values in full, or register the job with `nomad job run`
    --- exit 2
    "#);
    assert_snapshot!(dtree(shop, &["run", "plain.hcl"], ""), @"
    --- stderr
    dtree: cannot reach Nomad at unix:///nowhere/api.sock: No such file or directory (os error 2)

    hint: check that the agent and its servers are up: `nomad server members`
    --- exit 2
    ");
    assert_snapshot!(dtree(shop, &["stop", "plain.hcl", "--address", "unix://x"], ""), @"
    --- stderr
    dtree: `unix://x` is no address of Nomad's API: the path of a socket begins with `/`: `unix:///run/api.sock`
    --- exit 2
    ");
    assert_snapshot!(dtree(shop, &["run", "plain.hcl", "--token", "a b"], ""), @"
    --- stderr
    dtree: the token has letters that no token has: check NOMAD_TOKEN
    --- exit 2
    ");
    assert_snapshot!(dtree(shop, &["run", "plain.hcl", "--namespace", "*"], ""), @"
    --- stderr
    dtree: a tree is in one namespace, and NOMAD_NAMESPACE is `*`: give `--namespace NAME`
    --- exit 2
    ");
    assert_snapshot!(dtree(shop, &["run", "missing.hcl"], ""), @"
    --- stderr
    dtree: cannot read missing.hcl: there is no such file
    --- exit 2
    ");
    assert_snapshot!(dtree(shop, &["run", "."], ""), @"
    --- stderr
    dtree: cannot read .: it is a directory; name the file in it
    --- exit 2
    ");
    assert_snapshot!(dtree(shop, &["run", "plain.hcl", "--purge"], ""), @"
    --- stderr
    error: unexpected argument '--purge' found

      tip: a similar argument exists: '--target'

    Usage: dtree run --target <JOB> <FILE>

    For more information, try '--help'.
    --- exit 2
    ");
    assert_snapshot!(dtree(&[("w.hcl", b"tree \"w\" {\n  wait \"x\" {}\n}\n")], &["run", "w.hcl"], ""), @"
    --- stderr
    dtree: w.hcl has no job and no hook, so there is nothing to carry out
    --- exit 2
    ");
    let two = format!("{PLAIN}{}", PLAIN.replace("plain", "other"));
    assert_snapshot!(dtree(&[("two.hcl", two.as_bytes())], &["run", "two.hcl"], ""), @"
    --- stderr
    dtree: two.hcl declares several trees: give `--tree` plain or other
    --- exit 2
    ");
    assert_snapshot!(dtree(&[("two.hcl", two.as_bytes())], &["run", "two.hcl", "--tree", "othr"], ""), @"
    --- stderr
    dtree: two.hcl declares no tree othr, or several of that name; did you mean other?
    --- exit 2
    ");
}

#[test]
fn what_is_chosen_of_a_tree_is_checked_before_anything_is_asked() {
    let plain: &[(&str, &[u8])] = &[("plain.hcl", PLAIN.as_bytes())];
    assert_snapshot!(dtree(plain, &["run", "plain.hcl", "--target", "apj"], ""), @"
    --- stderr
    dtree: --target apj: the tree has no such job

    hint: did you mean `api`?
    --- exit 2
    ");
    assert_snapshot!(dtree(plain, &["run", "plain.hcl", "--exclude", "web"], ""), @"
    --- stderr
    dtree: --exclude web: the tree has no such job

    hint: its jobs: api, db
    --- exit 2
    ");
    assert_snapshot!(dtree(plain, &["run", "plain.hcl", "--with-dependents"], ""), @"
    --- stderr
    error: the following required arguments were not provided:
      --target <JOB>

    Usage: dtree run --target <JOB> --with-dependents --address <URL> <FILE>

    For more information, try '--help'.
    --- exit 2
    ");
    assert_snapshot!(dtree(plain, &["run", "plain.hcl", "--exclude", "db", "--exclude", "api"], ""), @"
    --- stderr
    dtree: nothing is left of the tree: take an `--exclude` away
    --- exit 2
    ");
    // Its dependency is awaited, and for that its ID must be known.
    assert_snapshot!(dtree(plain, &["run", "plain.hcl", "--target", "api"], ""), @r#"
    --- stderr
    dtree: job "db": jobspec = "db.nomad.hcl" is not there: nothing in . is called "db.nomad.hcl" (`--jobspecs DIR` says where the jobspecs are)
    --- exit 2
    "#);
    let unclear: &[(&str, &[u8])] =
        &[("plain.hcl", PLAIN.as_bytes()), ("db.nomad.hcl", b"job \"db\" {\n  id = var.id\n}\n")];
    assert_snapshot!(dtree(unclear, &["run", "plain.hcl", "--target", "api"], ""), @"
    --- stderr
    dtree: api depends on db, which was not chosen, and whose ID its jobspec does not say in full

    hint: `--with-dependencies` chooses it, too
    --- exit 2
    ");
    assert_snapshot!(dtree(plain, &["stop", "plain.hcl", "--target", "api", "--target", "db"], ""), @"
    --- stderr
    dtree: a stop takes one target, and what depends on it is never stopped with it: stop that first
    --- exit 2
    ");
}

#[test]
fn what_needs_nomad_says_that_there_is_none() {
    for words in [
        &["wait", "job/api"][..],
        &["status", "shop"],
        &["history", "shop"],
        &["why", "shop"],
        &["graph", "--cluster"],
        &["graph", "shop"],
        &["doctor"],
    ] {
        let said = dtree(&[], words, "");
        assert_eq!(
            said,
            "--- stderr\ndtree: cannot reach Nomad at unix:///nowhere/api.sock: No such file or directory (os error 2)\n\n\
             hint: check that the agent and its servers are up: `nomad server members`\n--- exit 2",
            "{words:?}"
        );
    }
    assert_snapshot!(dtree(&[], &["graph", "shop.dtree.hcl"], ""), @"
    --- stderr
    dtree: cannot read shop.dtree.hcl: there is no such file
    --- exit 2
    ");
    assert_snapshot!(dtree(&[], &["graph"], ""), @"
    --- stderr
    error: the following required arguments were not provided:
      <SUBJECT>

    Usage: dtree graph --address <URL> <SUBJECT>

    For more information, try '--help'.
    --- exit 2
    ");
    assert_snapshot!(dtree(&[], &["graph", "shop", "--cluster"], ""), @"
    --- stderr
    error: the argument '[SUBJECT]' cannot be used with '--cluster'

    Usage: dtree graph --address <URL> <SUBJECT>

    For more information, try '--help'.
    --- exit 2
    ");
    assert_snapshot!(dtree(&[], &["status", "--watch"], ""), @"
    --- stderr
    error: the following required arguments were not provided:
      <TREE>

    Usage: dtree status --watch --address <URL> <TREE>

    For more information, try '--help'.
    --- exit 2
    ");
    assert_snapshot!(dtree(&[], &["doctor", "nothing.hcl"], ""), @"
    --- stderr
    dtree: cannot read nothing.hcl: there is no such file
    --- exit 2
    ");
}

#[test]
fn conditions_that_are_none_are_told_all_of_them() {
    let words = ["wait", "foo", "job/", "pod/api", "job/api=helthy", "tcp/db", "--timeout", "soon"];
    assert_snapshot!(dtree(&[], &words, ""), @"
    --- stderr
    dtree: `foo` is no condition; write job/ID, job/ID=UNTIL, service/NAME, service/consul:NAME, tcp/HOST:PORT, http/URL, dns/NAME, variable/PATH, variable/PATH#KEY=VALUE, consul/KEY or consul/KEY=VALUE
    dtree: `job/` does not say what of it; write job/ID, job/ID=UNTIL, service/NAME, service/consul:NAME, tcp/HOST:PORT, http/URL, dns/NAME, variable/PATH, variable/PATH#KEY=VALUE, consul/KEY or consul/KEY=VALUE
    dtree: `pod/api` is of no kind that is known; write job/ID, job/ID=UNTIL, service/NAME, service/consul:NAME, tcp/HOST:PORT, http/URL, dns/NAME, variable/PATH, variable/PATH#KEY=VALUE, consul/KEY or consul/KEY=VALUE
    --- exit 2
    ");
    let words = ["wait", "job/api=helthy", "job/db", "tcp/db", "--timeout", "soon"];
    assert_snapshot!(dtree(&[], &words, ""), @r#"
    --- stderr
    dtree: "job/api=helthy": until = "helthy" is none of running, healthy, complete, failed, finished, stopped, absent (did you mean "healthy"?)
    dtree: "job/api=helthy": timeout = "soon" is not a duration; write it like "90s", "5m" or "1h30m"
    dtree: "tcp/db": tcp = "db" is no `host:port`, with a port from 1 to 65535
    --- exit 2
    "#);
    assert_snapshot!(dtree(&[], &["wait"], ""), @"
    --- stderr
    error: the following required arguments were not provided:
      <CONDITION>...

    Usage: dtree wait --address <URL> <CONDITION>...

    For more information, try '--help'.
    --- exit 2
    ");
}

#[test]
fn a_socket_is_waited_for_without_nomad() {
    let open = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = open.local_addr().unwrap().port();
    let condition = format!("tcp/127.0.0.1:{port}");
    let said = dtree(&[], &["wait", &condition, "dns/localhost", "--json"], "");
    assert!(said.contains("\"met\": true") && said.ends_with("--- exit 0"), "{said}");
    drop(open);
    let said = dtree(&[], &["wait", &condition, "--timeout", "300ms"], "");
    let said = said.replace(&port.to_string(), "PORT");
    assert_snapshot!(said, @"
    --- stderr
    ==> tcp/127.0.0.1:PORT: gated: 127.0.0.1:PORT: connection refused
    ==> tcp/127.0.0.1:PORT: failed: not within 0s: 127.0.0.1:PORT: connection refused
    ==> tcp/127.0.0.1:PORT: wanted 127.0.0.1:PORT accepting connections, but not within 0s: 127.0.0.1:PORT: connection refused
    --- exit 1
    ");
    let said = dtree(&[], &["wait", &condition, "--timeout", "300ms", "--json"], "");
    let (document, _) = said.split_once("--- stderr").unwrap();
    assert_snapshot!(document.replace(&port.to_string(), "PORT"), @r#"
    {
      "conditions": [
        {
          "condition": "tcp/127.0.0.1:PORT",
          "detail": "not within 0s: 127.0.0.1:PORT: connection refused",
          "state": "failed"
        }
      ],
      "interrupted": false,
      "message": "tcp/127.0.0.1:PORT: wanted 127.0.0.1:PORT accepting connections, but not within 0s: 127.0.0.1:PORT: connection refused",
      "met": false
    }
    "#);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dtree"))
        .args(["man"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &[][..]));
}

#[test]
fn a_plan_without_nomad_tells_the_order() {
    let hooked = PLAIN.replace("    depends_on = [\"db\"]\n  }", "    depends_on = [\"db\"]\n    pre \"migrate\" {\n      dispatch = \"migrate\"\n    }\n  }\n  after_success \"tell\" {\n    dispatch = \"tell\"\n  }\n  wait \"redis\" {}");
    let files: &[(&str, &[u8])] = &[("plain.hcl", hooked.as_bytes())];
    assert_snapshot!(dtree(files, &["plan", "--offline", "plain.hcl"], ""), @"
    ==> Tree default/plain: its order; what would change is not known without Nomad

    Level 1
            job  db       unknown
            wait redis    await

    Level 2
            hook migrate  unknown    pre of api

    Level 3
            job  api      unknown

    Level 4
            hook tell     unknown    if anything is changed
    --- exit 0
    ");
    assert_snapshot!(dtree(files, &["plan", "--offline", "--json", "plain.hcl", "--exclude", "api"], ""), @r#"
    {
      "counts": {
        "create": 0,
        "refused": 0,
        "unchanged": 0,
        "update": 0
      },
      "file": "plain.hcl",
      "offline": true,
      "steps": [
        {
          "action": "unknown",
          "kind": "job",
          "level": 1,
          "name": "db",
          "needs": [],
          "why": null
        },
        {
          "action": "await",
          "kind": "wait",
          "level": 1,
          "name": "redis",
          "needs": [],
          "why": null
        },
        {
          "action": "unknown",
          "kind": "hook",
          "level": 2,
          "name": "tell",
          "needs": [],
          "why": "if anything is changed"
        }
      ],
      "tree": "default/plain"
    }
    --- exit 0
    "#);
    assert_snapshot!(dtree(files, &["plan", "plain.hcl"], ""), @"
    --- stderr
    dtree: cannot reach Nomad at unix:///nowhere/api.sock: No such file or directory (os error 2)

    hint: check that the agent and its servers are up: `nomad server members`
    --- exit 2
    ");
}

#[test]
fn the_older_tools_command_line_is_taken_as_it_was() {
    let files: &[(&str, &[u8])] = &[
        ("dependency.json", br#"{"dependencies": {"api": {"pre": {"job": "db"}}, "db": {"wait_cond": 1}}}"#),
        ("api.nomad", b"job \"api\" {\n}\n"),
        ("db.nomad", b"job \"db\" {\n}\n"),
        ("comma.json", b"{\"dependencies\": {\n  \"postgres\": {\n    \"post\": {\"job\": \"postgres_setup\", \"wait_cond\": 3}\n    \"wait_cond\": 5\n  }\n}}\n"),
    ];
    let paths = ["--fs-depfile-path", "dependency.json", "--fs-jobs-path", "."];
    let say = |words: &[&str]| dtree(files, &[words, &paths].concat(), "");
    assert_snapshot!(say(&["run", "--job", "api"]), @"
    --- stderr
    dtree: cannot reach Nomad at unix:///nowhere/api.sock: No such file or directory (os error 2)

    hint: check that the agent and its servers are up: `nomad server members`
    --- exit 2
    ");
    assert_snapshot!(say(&["stop", "-job", "nothing", "-deep"]), @r#"
    --- stderr
    error: has no entry for nothing
     --> dependency.json:1:1
      |
    1 | {"dependencies": {"api": {"pre": {"job": "db"}}, "db": {"wait_cond": 1}}}
      | ^

    1 problem in dependency.json
    --- exit 2
    "#);
    assert_snapshot!(dtree(files, &["run", "--job", "postgres", "--fs-depfile-path", "comma.json", "--fs-jobs-path", "."], ""), @r#"
    --- stderr
    error: a comma is missing between this and `"wait_cond"`
     --> comma.json:3:53
      |
    3 |     "post": {"job": "postgres_setup", "wait_cond": 3}
      |                                                     ^
      |
      = help: write a `,` here

    1 problem in comma.json
    --- exit 2
    "#);
    assert_snapshot!(dtree(files, &["run", "--job", "api", "--fs-depfile-path", "dependency.json"], ""), @"
    --- stderr
    dtree: it is not said where the jobs are: give `--fs-jobs-path`, or set FS_JOBS_PATH
    --- exit 2
    ");
    assert_snapshot!(dtree(files, &["run", "--job", "api", "--fs-depfile-path", "dependency.json", "--fs-jobs-path", "none"], ""), @"
    --- stderr
    dtree: cannot read the jobspecs in none: there is no such directory
    --- exit 2
    ");
    assert_snapshot!(dtree(files, &["run", "--store", "Filesystem"], ""), @"
    --- stderr
    error: the following required arguments were not provided:
      --job <JOB>

    Usage: dtree --job <JOB> --store <STORE> --address <URL> <VERB>

    For more information, try '--help'.
    --- exit 2
    ");
    assert_snapshot!(dtree(files, &["run", "--job", "x", "--store", "consull"], ""), @"
    --- stderr
    error: invalid value 'consull' for '--store <STORE>'
      [possible values: filesystem, consul]

      tip: a similar value exists: 'consul'

    For more information, try '--help'.
    --- exit 2
    ");
    let with_cert = ["run", "--job", "api", "--nomad-addr", "https://127.0.0.1:1", "--cert-file", "a.pem"];
    assert_snapshot!(say(&with_cert), @"
    --- stderr
    dtree: --cert-file is of no use without its key: name it by --key-file
    --- exit 2
    ");
    let consul = ["--consul-addr", "127.0.0.1:1", "--consul-depfile-path", "a/b", "--consul-jobs-path", "c"];
    assert_snapshot!(dtree(files, &[&["run", "--job", "x", "--store", "consul"][..], &consul].concat(), ""), @"
    --- stderr
    dtree: cannot reach Consul at http://127.0.0.1:1: Connection refused (os error 111)
    --- exit 2
    ");
}

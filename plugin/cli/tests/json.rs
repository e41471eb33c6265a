//! What commands that need no Nomad print for programs.

use insta::assert_snapshot;

use super::{NO_NOMAD, PLAIN, SHOP, dtree};

#[test]
fn a_check_tells_programs_what_is_declared_and_what_is_wrong_where() {
    let wrong = PLAIN.replace("[\"db\"]", "[\"bd\"]");
    let files: &[(&str, &[u8])] = &[("shop.hcl", SHOP.as_bytes()), ("wrong.hcl", wrong.as_bytes())];
    assert_snapshot!(dtree(files, &["check", "--json", "shop.hcl"], ""), @r#"
    {
      "files": [
        {
          "declares": [
            {
              "group": null,
              "hooks": [
                "setup"
              ],
              "job": "shop",
              "jobs": [
                "api",
                "nginx",
                "postgres"
              ],
              "name": "tree \"shop\"",
              "namespace": null,
              "not_checked": [
                {
                  "attribute": "vars.version",
                  "place": "job \"api\"",
                  "value": "var.version"
                }
              ],
              "task": null,
              "waits": [
                "redis"
              ]
            }
          ],
          "error": null,
          "file": "shop.hcl",
          "good": true,
          "problems": []
        }
      ],
      "good": true
    }
    --- exit 0
    "#);
    assert_snapshot!(dtree(files, &["check", "--json", "wrong.hcl", "missing.hcl"], ""), @r#"
    {
      "files": [
        {
          "declares": [],
          "error": null,
          "file": "wrong.hcl",
          "good": false,
          "problems": [
            {
              "column": 5,
              "end_column": 24,
              "end_line": 7,
              "help": "did you mean \"db\"?",
              "line": 7,
              "place": "job \"api\"",
              "text": "depends_on names \"bd\", which is no block of this task"
            }
          ]
        },
        {
          "declares": [],
          "error": "cannot read missing.hcl: there is no such file",
          "file": "missing.hcl",
          "good": false,
          "problems": []
        }
      ],
      "good": false
    }
    --- exit 2
    "#);
}

#[test]
fn a_graph_is_told_to_programs() {
    assert_snapshot!(dtree(&[], &["graph", "--json", "-"], SHOP), @r#"
    {
      "graphs": [
        {
          "circles": [],
          "nodes": [
            {
              "kind": "job",
              "name": "postgres",
              "needs": []
            },
            {
              "kind": "wait",
              "name": "redis",
              "needs": []
            },
            {
              "kind": "hook",
              "name": "setup",
              "needs": [
                "postgres"
              ]
            },
            {
              "kind": "job",
              "name": "api",
              "needs": [
                "redis",
                "setup"
              ]
            },
            {
              "kind": "job",
              "name": "nginx",
              "needs": [
                "api"
              ]
            }
          ],
          "title": "tree \"shop\""
        }
      ]
    }
    --- exit 0
    "#);
}

#[test]
fn a_policy_is_told_to_programs() {
    let tree = PLAIN.replace("job \"db\"", "wait \"ok\" {\n    approval = \"go\"\n  }\n  job \"db\"");
    assert_snapshot!(dtree(&[], &["policy", "--json", "-"], &tree), @r#"
    {
      "capabilities": [
        {
          "name": "list-jobs",
          "namespace": "default"
        },
        {
          "name": "read-job",
          "namespace": "default"
        },
        {
          "name": "submit-job",
          "namespace": "default"
        }
      ],
      "declares": [
        "tree \"plain\""
      ],
      "group": null,
      "hcl": "namespace \"default\" {\n  capabilities = [\n    \"list-jobs\",       # tells a job that is not there\n    \"read-job\",        # shows jobs, allocations, deployments and checks\n    \"submit-job\",      # reads jobspecs, registers jobs, stops them\n  ]\n  variables {\n    path \"dtree/default/plain/*\" {\n      capabilities = [\"read\", \"write\"]\n    }\n  }\n}\n",
      "job": "plain",
      "namespace": "default",
      "notes": [
        "Not found beside the file, and taken to be in namespace default: api.nomad.hcl, db.nomad.hcl",
        "wait \"ok\" is approved by a user (`dtree approve`), whose token needs, in a policy of its own:\n     namespace \"default\" { capabilities = [\"list-jobs\", \"read-job\", \"alloc-exec\"] }\n or, where the tree is run from a shell:\n     namespace \"default\" { capabilities = [\"list-jobs\", \"read-job\"] variables { path \"dtree/default/plain/~approvals\" { capabilities = [\"read\", \"write\"] } path \"dtree/default/plain/~run\" { capabilities = [\"read\"] } } }"
      ],
      "task": null,
      "variables": [
        {
          "capabilities": [
            "read",
            "write"
          ],
          "namespace": "default",
          "path": "dtree/default/plain/*"
        }
      ]
    }
    --- exit 0
    "#);
}

#[test]
fn an_import_is_told_to_programs_and_so_is_what_is_wrong() {
    let good = r#"{"dependencies": {"api": {"pre": {"job": "db"}}, "db": {}}}"#;
    assert_snapshot!(dtree(&[], &["import", "--json", "-"], good), @r##"
    {
      "file": "-",
      "manifest": "# What nomad-dtree's dependency.json says, as a tree.\ntree \"imported\" {\n  job \"api\" {\n    jobspec = \"local/api.nomad\"\n    depends_on = [\"db\"]\n  }\n  job \"db\" {\n    jobspec = \"local/db.nomad\"\n  }\n}\n",
      "problems": []
    }
    --- exit 0
    "##);
    let wrong = r#"{"dependencies": {"api": {"pre": {"job": "db"}},}}"#;
    assert_snapshot!(dtree(&[], &["import", "--json", "-"], wrong), @r#"
    {
      "file": "-",
      "manifest": null,
      "problems": [
        {
          "column": 49,
          "end_column": 50,
          "end_line": 1,
          "help": "take the comma out",
          "line": 1,
          "place": "file",
          "text": "a comma stands before this, and nothing follows it"
        }
      ]
    }
    --- exit 2
    "#);
}

#[test]
fn what_is_out_of_the_directory_takes_a_flag() {
    let tree = PLAIN.replace("\"db.nomad.hcl\"", "\"../db.nomad.hcl\"").replace("\"api.n", "\"/etc/api.n");
    let files: &[(&str, &[u8])] = &[("plain.hcl", tree.as_bytes())];
    assert_snapshot!(dtree(files, &["check", "plain.hcl"], ""), @r#"
    --- stderr
    error: job "db": jobspec = "../db.nomad.hcl" leads out of the task's directory; let a template or artifact block bring the file to "local/"
     --> plain.hcl:3:5
      |
    3 |     jobspec = "../db.nomad.hcl"
      |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: from a shell, `--outside` reads it where it is: check, plan, run, stop, submit, policy and doctor take that

    error: job "api": jobspec = "/etc/api.nomad.hcl" is not in the task's directory, of which "/local/", "/secrets/" and "/alloc/" can be read; let a template or artifact block bring the file to "local/"
     --> plain.hcl:6:5
      |
    6 |     jobspec    = "/etc/api.nomad.hcl"
      |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: from a shell, `--outside` reads it where it is: check, plan, run, stop, submit, policy and doctor take that

    2 problems in plain.hcl
    --- exit 2
    "#);
    assert_snapshot!(dtree(files, &["check", "plain.hcl", "--outside"], ""), @r#"
    plain.hcl: tree "plain": 2 jobs: no problem
        not checked, because it takes Nomad:
            the jobspecs that it names
    --- exit 0
    "#);
    assert_snapshot!(dtree(files, &["plan", "plain.hcl", "--outside", "--offline"], ""), @"
    ==> Tree default/plain: its order; what would change is not known without Nomad

    Level 1
            job  db   unknown

    Level 2
            job  api  unknown
    --- exit 0
    ");
}

#[test]
fn a_verb_that_trees_do_not_have_is_no_typing_error() {
    for (words, help) in [
        (&["restart", "shop.hcl", "--target", "db"], "`dtree stop shop.hcl` and then `dtree run shop.hcl`"),
        (&["rollback", "shop.hcl", "-x", "1"], "`dtree run shop.hcl` with the former jobspecs"),
        (&["pause", "--x", "shop.hcl", "1"], "`dtree run shop.hcl` end what is under way"),
        (&["resume", "shop.hcl", "--x", "1"], "`dtree run shop.hcl` goes on"),
    ] {
        let said = dtree(&[], words, "");
        assert!(said.contains(&format!("dtree: trees have no {} yet", words[0])), "{said}");
        assert!(said.contains(help) && said.ends_with("--- exit 2"), "{said}");
    }
    assert!(dtree(&[], &["restart"], "").contains("`dtree stop FILE`"));
}

/// The same without the time at which it was said.
fn timeless(said: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in said.lines() {
        let object: Option<serde_json::Value> =
            serde_json::from_str(line).ok().filter(|_| line.starts_with('{'));
        lines.push(object.map_or_else(
            || line.to_owned(),
            |mut object| {
                assert!(object["at"].take().as_str().is_some_and(|at| at.ends_with('Z')), "{line}");
                object.to_string()
            },
        ));
    }
    lines.join("\n")
}

#[test]
fn what_cannot_begin_has_an_end_for_programs_and_its_words_for_people() {
    let files: &[(&str, &[u8])] = &[("plain.hcl", PLAIN.as_bytes()), ("shop.hcl", SHOP.as_bytes())];
    let say = |words: &[&str]| timeless(&dtree(files, words, ""));
    let away = say(&["run", "plain.hcl", "--json"]);
    assert_snapshot!(away, @r#"
    {"at":null,"code":2,"event":"end","help":"check that the agent and its servers are up: `nomad server members`","message":"cannot reach Nomad at unix:///nowhere/api.sock: No such file or directory (os error 2)","run":null,"steps":[],"tree":null}
    --- stderr
    dtree: cannot reach Nomad at unix:///nowhere/api.sock: No such file or directory (os error 2)

    hint: check that the agent and its servers are up: `nomad server members`
    --- exit 2
    "#);
    assert_eq!(say(&["stop", "plain", "--json"]), away);
    assert_snapshot!(say(&["submit", "shop.hcl", "--json"]), @r#"
    {"at":null,"code":2,"event":"end","help":"write the values in full, or register the job with `nomad job run`","message":"shop.hcl leaves open what Nomad evaluates where it starts a task, which does not happen here:\n    job \"api\": vars.version = var.version","run":null,"steps":[],"tree":null}
    --- stderr
    dtree: shop.hcl leaves open what Nomad evaluates where it starts a task, which does not happen here:
        job "api": vars.version = var.version

    hint: write the values in full, or register the job with `nomad job run`
    --- exit 2
    "#);
    assert_snapshot!(say(&["run", "missing.hcl", "--json"]), @r#"
    {"at":null,"code":2,"event":"end","help":null,"message":"cannot read missing.hcl: there is no such file","run":null,"steps":[],"tree":null}
    --- stderr
    dtree: cannot read missing.hcl: there is no such file
    --- exit 2
    "#);
    // What is no following has no document where it cannot be told.
    for command in ["why", "approve", "status", "history"] {
        assert_eq!(dtree(files, &[command, "plain", "--json"], ""), NO_NOMAD, "{command}");
    }
}

//! The order, without Nomad.

use insta::assert_snapshot;

use super::{NO_NOMAD, PLAIN, dtree};

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
      "left_over": [],
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
    assert_eq!(dtree(files, &["plan", "plain.hcl"], ""), NO_NOMAD);
}

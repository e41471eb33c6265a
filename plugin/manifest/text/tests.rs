//! Files as people write them: the same manifest whatever it is written in, and each problem at its place.

use serde_json::json;

use super::*;

/// A tree with something of everything.
const HCL: &str = r#"
tree "shop" {
  max_parallel = 3
  context      = { zone = "a" }
  job "db" {
    jobspec = "local/db.nomad.hcl"
    vars {
      port = 5432
      name = "${NOMAD_META_release}"
    }
    ready {
      stable_for = "5s"
    }
    post "setup" {
      dispatch = "setup"
      meta     = { "a.b" = "c" }
    }
  }
  job "api" {
    jobspec    = "local/api.nomad.hcl"
    depends_on = ["db", "redis"]
    adopt      = true
  }
  wait "redis" {}
}
"#;

fn json_of_it() -> String {
    json!({"tree": {"shop": {
        "max_parallel": 3,
        "context": {"zone": "a"},
        "job": {
            "db": {
                "jobspec": "local/db.nomad.hcl",
                "vars": {"port": 5432, "name": "${NOMAD_META_release}"},
                "ready": {"stable_for": "5s"},
                "post": {"setup": {"dispatch": "setup", "meta": {"a.b": "c"}}},
            },
            "api": {"jobspec": "local/api.nomad.hcl", "depends_on": ["db", "redis"], "adopt": true},
        },
        "wait": {"redis": {}},
    }}})
    .to_string()
}

/// The one declaration of a file without problems.
fn good(text: &str, format: Format) -> Declared {
    let mut declared = read(text, format).unwrap();
    assert_eq!(declared.len(), 1);
    let declared = declared.remove(0);
    assert!(declared.problems.is_empty(), "{}", declared.problems);
    declared
}

/// Each problem, with the text that it stands at.
fn problems(text: &str, format: Format) -> Vec<String> {
    match read(text, format) {
        Ok(declared) => {
            let located = |declared: &Declared| {
                let at = |problem| {
                    let Located { problem, span } = declared.places.locate(problem);
                    format!("{} @ {}", problem, &text[span])
                };
                declared.problems.iter().map(at).collect::<Vec<_>>()
            };
            declared.iter().flat_map(located).collect()
        }
        Err(Located { problem, span }) => vec![format!("{problem} @ {:?}", &text[span])],
    }
}

#[test]
fn hcl_json_and_a_jobspec_declare_the_same() {
    let tree = good(HCL, Format::Hcl);
    assert_eq!(tree.name, "tree \"shop\"");
    assert_eq!(good(&json_of_it(), Format::Json).manifest, tree.manifest);
    let body = HCL.trim().strip_prefix("tree \"shop\" {").unwrap();
    let other = "task \"other\" {\n driver = \"docker\"\n}";
    let jobspec = format!(
        "job \"j\" {{\n group \"g\" {{\n {other}\n task \"t\" {{\n driver = \"dtree\"\n config {{\n{body}\n}}\n}}\n}}\n"
    );
    let task = good(&jobspec, Format::Hcl);
    assert_eq!((task.name.as_str(), task.manifest), ("task \"t\" of job \"j\"", tree.manifest));
}

#[test]
fn it_is_what_nomad_would_send() {
    let config = json!({
        "max_parallel": 3.0, "context": {"zone": "a"},
        "job": {
            "db": {
                "jobspec": "local/db.nomad.hcl", "vars": {"port": "5432", "name": "${NOMAD_META_release}"},
                "ready": {"stable_for": "5s"}, "post": {"setup": {"dispatch": "setup", "meta": {"a.b": "c"}}},
            },
            "api": {"jobspec": "local/api.nomad.hcl", "depends_on": ["db", "redis"], "adopt": true},
        },
        "wait": {"redis": {}},
    });
    let (sent, problems) = Manifest::from_msgpack(&rmp_serde::to_vec(&config).unwrap());
    assert!(problems.is_empty(), "{problems}");
    assert_eq!(good(HCL, Format::Hcl).manifest, sent);
}

#[test]
fn every_problem_is_found_at_its_place() {
    let text = r#"tree "shop" {
  on_failure = "finsh"
  tiemout = "1h"
  wait = "db"
  stop "all" {}
  job "api" {
    jobspec = "../api.nomad.hcl"
    vars = { port = [1] }
    adopt = "perhaps"
    depends_on "db" {}
    ready { timeout = "soon" }
    ready {}
    post "x" { dispatch = "a" }
    post "x" { dispatch = "b" }
  }
  wait "redis" {
    until = ["a"]
  }
}"#;
    insta::assert_snapshot!(problems(text, Format::Hcl).join("\n"), @r#"
    config: tiemout is nothing that may stand here (did you mean `timeout`?) @ tiemout
    config: wait is a block (write `wait "name" { … }`) @ wait
    config: stop takes no label @ stop
    job "api": vars: port takes a string, and this is a list @ vars = { port = [1] }
    job "api": adopt takes true or false, and this is a string (write it like `adopt = true`) @ adopt = "perhaps"
    job "api": depends_on is no block (write `depends_on = ["…"]`) @ depends_on
    ready of job "api": stands here twice (write all of it into one) @ ready
    post "x" of job "api": stands here twice (rename one of them) @ post "x"
    wait "redis": until takes a string, and this is a list (write it like `until = "…"`) @ until = ["a"]
    config: on_failure = "finsh" is none of finish, continue, cancel (did you mean "finish"?) @ on_failure = "finsh"
    job "api": jobspec = "../api.nomad.hcl" leads out of the task's directory; let a template or artifact block bring the file to "local/" @ jobspec = "../api.nomad.hcl"
    "#);
}

#[test]
fn a_text_that_cannot_be_read_has_one_problem_and_a_place() {
    let broken = [
        ("tree \"shop\" {\n  job \"api\" {\n", Format::Hcl),
        ("tree \"shop\" {\n  max_parallel 3\n}\n", Format::Hcl),
        ("{\"tree\": {\"shop\": {\"wait\": {\"a\": {}\n \"ü\": {}}}}}", Format::Json),
        ("{\"tree\": ", Format::Json),
        ("tree \"x\" {\n timeout = \"1h\"\n timeout = \"2h\"\n}", Format::Hcl),
        ("", Format::Hcl),
        ("job \"web\" {}\n", Format::Hcl),
        ("[1]", Format::Json),
        ("tree \"ü\" {\n  ü\n}", Format::Hcl),
    ];
    let said: Vec<String> = broken.iter().flat_map(|(text, format)| problems(text, *format)).collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    file: invalid block body; expected `}`, newline or identifier @ "\n"
    file: invalid structure; expected `{`, `=`, `"` or identifier @ "3"
    file: a comma is missing between this and `"ü"` (write a `,` here) @ "}"
    file: ends before all that it opens is closed (it may be cut off: write the rest, and each `}`, `]` and `"` that is missing) @ " "
    file: invalid attribute; expected unique attribute key; found redefined attribute @ "t"
    file: declares nothing of dtree (write `tree "shop" { … }`, or a job with a task whose driver is "dtree") @ ""
    file: declares nothing of dtree (write `tree "shop" { … }`, or a job with a task whose driver is "dtree") @ ""
    file: declares nothing of dtree (write `tree "shop" { … }`, or a job with a task whose driver is "dtree") @ ""
    file: invalid structure; expected `{`, `=`, `"` or identifier @ "\n"
    "#);
}

#[test]
fn what_only_nomad_can_evaluate_is_named_and_not_missed() {
    let text = r#"tree "shop" {
  verb = var.verb
  job "api" {
    jobspec = "local/${var.name}.nomad.hcl"
    vars = {
      a = upper("x")
      b = "${NOMAD_META_a}-${attr.kernel.name}"
    }
    depends_on = var.needs
  }
  wait "redis" {
    timeout = local.long
  }
}"#;
    let declared = good(text, Format::Hcl);
    let left: Vec<String> = declared
        .unchecked
        .iter()
        .map(|left| format!("{}: {} = {}", left.place, left.attribute, left.value))
        .collect();
    insta::assert_snapshot!(left.join("\n"), @r#"
    config: verb = var.verb
    job "api": jobspec = "local/${var.name}.nomad.hcl"
    job "api": vars.a = upper("x")
    job "api": depends_on = var.needs
    wait "redis": timeout = local.long
    "#);
    assert_eq!(declared.manifest.tree.unwrap().jobs["api"].vars.len(), 1);
}

#[test]
fn nothing_to_do_is_a_problem_unless_it_is_not_known() {
    assert_eq!(problems("tree \"x\" {}", Format::Hcl).len(), 1);
    assert_eq!(problems("tree \"x\" {\n wait \"a\" {}\n}", Format::Hcl).len(), 0);
}

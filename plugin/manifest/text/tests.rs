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
    file: ends before all that it opens is closed (it may be cut off: write the rest, and each `}`, `]` and `"` that is missing) @ ""
    file: neither `=` nor `{` stands here (write `NAME = VALUE`, or `NAME "LABEL" {` in one line) @ "3"
    file: a comma is missing between this and `"ü"` (write a `,` here) @ "}"
    file: ends before all that it opens is closed (it may be cut off: write the rest, and each `}`, `]` and `"` that is missing) @ " "
    file: timeout stands here twice (take one of them out) @ "t"
    file: declares nothing of dtree (write `tree "shop" { … }`, or a job with a task whose driver is "dtree") @ ""
    file: declares nothing of dtree (write `tree "shop" { … }`, or a job with a task whose driver is "dtree") @ ""
    file: declares nothing of dtree (write `tree "shop" { … }`, or a job with a task whose driver is "dtree") @ ""
    file: neither `=` nor `{` stands here (write `NAME = VALUE`, or `NAME "LABEL" {` in one line) @ ""
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

/// A tree with this in its job.
fn with(line: &str) -> String {
    format!("tree \"shop\" {{\n  job \"api\" {{\n    {line}\n  }}\n}}\n")
}

#[test]
fn what_is_no_hcl_is_told_by_what_the_author_has_done() {
    let lines = [
        "jobspec = \"${\"",
        "jobspec = \"${}\"",
        "jobspec = \"a${b\"",
        "jobspec = \"a%{if b}\"",
        "jobspec = \"a",
        "jobspec = \"a\\q\"",
        "jobspec = 'a'",
        "jobspec = “a”",
        "jobspec: \"a\"",
        "jobspec \"a\"",
        "jobspec",
        "jobspec =",
        "jobspec = \"a\",",
        "jobspec = \"a\" depends_on = []",
        "depends_on = [\"a\" \"b\"]",
        "post \"${var.x}\" {}",
        "post \"x\" { vars { a = \"b\" } }",
        "post \"x\"\n    {\n    }",
        "/* jobspec = \"a\"",
        "jobspec = <<EOT\n  a",
        "jobspec = \"a\"\n    jobspec = \"b\"",
        "}\n}\n}",
    ];
    let said: Vec<String> = lines.iter().flat_map(|line| problems(&with(line), Format::Hcl)).collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    file: a `${` of this line is not closed (write the `}`, or `$${` where the letters themselves are meant) @ "j"
    file: nothing stands in this `${…}` (write whose value it is, or `$${` where the letters themselves are meant) @ "${"
    file: this `${` is not closed (write the `}`, or `$${` where the letters themselves are meant) @ "${"
    file: a `%{` of this line is not closed (write `%%{` where the letters themselves are meant) @ "j"
    file: a `"` of this line is not closed (write `"` where the text ends; a text of several lines is written as `<<EOT`) @ "j"
    file: this backslash begins nothing (write `\\` for a backslash, `\n` for the end of a line) @ "\\"
    file: ' is no quotation mark here (write `"` before and behind the text) @ "'"
    file: “ is no quotation mark here (write `"` before and behind the text) @ "“"
    file: neither `=` nor `{` stands here (write `NAME = VALUE`, or `NAME "LABEL" {` in one line) @ ":"
    file: neither `=` nor `{` stands here (write `NAME = VALUE`, or `NAME "LABEL" {` in one line) @ ""
    file: neither `=` nor `{` stands here (write `NAME = VALUE`, or `NAME "LABEL" {` in one line) @ ""
    file: a value is missing here (write it behind the `=`, in the same line) @ ""
    file: nothing separates lines but their ends (take the comma out) @ ","
    file: a line holds one thing only (begin a new line here) @ "d"
    file: a comma is missing before this (write a `,` between the two) @ "\""
    file: a label is a plain text (write it without `${…}`) @ "\""
    file: a block in one line holds one attribute, and no block (begin a new line behind the `{` before this, and before its `}`) @ "{"
    file: neither `=` nor `{` stands here (write `NAME = VALUE`, or `NAME "LABEL" {` in one line) @ ""
    file: a comment is not closed (write `*/` where it ends) @ "/"
    file: this text does not end (write the word that stands behind `<<` alone in a line, where it ends) @ "a"
    file: jobspec stands here twice (take one of them out) @ "j"
    file: nothing is open that this closes (take it out, or write the `{` that is missing before it) @ "}"
    "#);
}

#[test]
fn what_is_no_json_is_told_by_what_the_author_has_done() {
    let texts = [
        "",
        "tree \"shop\" {}",
        "{'tree': 1}",
        "{tree: 1}",
        "{\"tree\": {},}",
        "{\"tree\": [1,]}",
        "{\"tree\": {}}}",
        "{\"tree\": \"a\n}",
        "{\"tree\": {\"a\": {}}, \"tree\": {\"b\": {}}}",
    ];
    let said: Vec<String> = texts.iter().flat_map(|text| problems(text, Format::Json)).collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    file: is empty @ ""
    file: is no JSON (JSON is what is taken here: it begins with `{`) @ "t"
    file: ' is no quotation mark of JSON (write `"`) @ "'"
    file: a name stands here without quotation marks (write it as `"NAME"`) @ "t"
    file: a comma stands before this, and nothing follows it (take the comma out) @ "}"
    file: a comma stands before this, and nothing follows it (take the comma out) @ "]"
    file: the document has ended before this (take out what follows, or a bracket that closes too early) @ "}"
    file: a `"` of this line is not closed (write `"` where the text ends; `\n` is the end of a line) @ "a"
    file: tree stands here twice (take one of them out) @ "\""
    "#);
}

#[test]
fn a_document_may_begin_with_empty_lines() {
    let text = "\n  {\"tree\": {\"shop\": {\"wait\": {\"a\": {\"untill\": \"running\"}}}}}";
    assert_eq!(
        problems(text, Format::Json),
        ["wait \"a\": untill is nothing that may stand here (did you mean `until`?) @ \"untill\""]
    );
    let cut = problems("\n  {\"tree\": {\"a\": {}}, \"tree\": {\"b\": {}}}", Format::Json);
    assert_eq!(cut, ["file: tree stands here twice (take one of them out) @ \"\\\"\""]);
}

#[test]
fn a_tree_has_one_name_and_no_other_tree_has_it() {
    let body = "{\n  wait \"a\" {}\n}\n";
    let texts = [
        format!("tree {body}"),
        format!("tree \"a\" \"b\" {body}"),
        format!("tree \"\" {body}"),
        format!("tree \"a\" {body}tree \"a\" {body}"),
        format!("tree \"a\" {body}tre \"b\" {body}"),
    ];
    let said: Vec<String> = texts.iter().flat_map(|text| problems(text, Format::Hcl)).collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    config: tree takes one label, its name (write `tree "shop" { … }`) @ tree
    config: tree takes one label, its name (write `tree "shop" { … }`) @ tree "a" "b"
    config: the label is empty @ tree ""
    config: tree "a" stands here twice (rename one of them) @ tree "a"
    file: tre is nothing that may stand here (did you mean `tree`?) @ "tre"
    "#);
}

#[test]
fn a_task_of_dtree_without_a_config_has_nothing_to_do() {
    let text =
        "job \"web\" {\n  group \"g\" {\n    task \"gate\" {\n      driver = \"dtree\"\n    }\n  }\n}\n";
    let said = problems(text, Format::Hcl);
    assert!(
        said[0].starts_with("config: nothing to wait for") && said[0].ends_with("@ task \"gate\""),
        "{said:?}"
    );
}

//! What stands in the place of references, before and after there are values.

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::Stage;
use crate::{
    cluster::JobKey,
    jobspec::{Prepared, Unfilled, Values, fill},
    manifest::{Manifest, Reference, Tree},
};

const VARIABLES: &str = r#"
variable "host" { type = string }
variable "port" { type = number }
variable "count" { type = number }
variable "replicas" {
  type    = number
  default = 3
}
variable "url" {}
variable "flag" { type = bool }
variable "list" { type = list(string) }
variable "map" { type = map(string) }
variable "zones" { type = list(string) }
variable "tags" { type = map(string) }
variable "any" { type = any }
"#;

/// A tree with a job `db` that has outputs, and what `others` are.
fn tree(others: &Value) -> Tree {
    let mut config = json!({
        "context": {"zone": "eu \"1\""},
        "job": {"db": {"jobspec": "local/db.hcl", "outputs": {
            "address": "service:pg:address", "port": "service:pg:port", "pass": "variable:db#pass", "release": "meta:release",
        }}},
    });
    for (kind, blocks) in others.as_object().unwrap() {
        for (name, block) in blocks.as_object().unwrap() {
            config[kind][name] = block.clone();
        }
    }
    let (manifest, problems) = Manifest::from_msgpack(&rmp_serde::to_vec_named(&config).unwrap());
    *crate::plan::Plan::compile(manifest, problems).unwrap().manifest().tree.clone().unwrap()
}

fn db() -> Value {
    json!({"ID": "pg", "Meta": {"release": "7"}, "TaskGroups": [
        {"Services": [{"Name": "pg", "Provider": "nomad"}, {"Name": "old", "Provider": "consul"}]},
    ]})
}

fn stage() -> Stage {
    let api = json!({"ID": "api", "Meta": {"own": "1"}});
    Stage::new().jobspec("local/db.hcl", &db()).file("local/api.hcl", &format!("# {api}\n{VARIABLES}"))
}

async fn prepared(stage: &Stage, tree: &Tree) -> Result<Prepared, String> {
    let own = JobKey::new("shop", "deploy");
    crate::jobspec::prepare(&stage.nomad, &stage.dir(), &own, tree).await.map_err(|error| error.to_string())
}

fn values(values: &[(&str, &str, &str)]) -> Values {
    let reference = |node: &str, output: &str| Reference { node: node.to_owned(), output: output.to_owned() };
    values.iter().map(|(node, output, value)| (reference(node, output), (*value).to_owned())).collect()
}

/// The variables of the last question to the parser.
fn asked(stage: &Stage) -> String {
    stage.nomad.parsed.lock().unwrap().last().unwrap().1.clone()
}

fn all_kinds() -> Tree {
    tree(&json!({"job": {"api": {"jobspec": "local/api.hcl", "vars": {
        "host": "$(db.address)", "port": "$(db.port)", "count": "$(db.release)", "replicas": "$(db.release)",
        "url": "pg://u:$(db.pass)@$(db.address):$(db.port)/$$(x) $(context.zone)", "flag": "$(db.pass)",
        "list": "$(db.pass)", "map": "$(db.pass)", "any": "$(db.pass)",
        "zones": "[\"$(db.address):$(db.port) \\\"\", $(db.pass), $(context.zone)]",
        "tags": "{ pass = \"<$(db.pass)>\" }",
    }}}}))
}

#[tokio::test]
async fn until_there_are_values_something_harmless_stands_there() {
    let (stage, tree) = (stage(), all_kinds());
    let prepared = prepared(&stage, &tree).await.unwrap();
    assert!(prepared["api"].text.is_some() && prepared["db"].text.is_none());
    let asked = stage.nomad.parsed.lock().unwrap().iter().map(|(_, asked)| asked.clone()).collect::<String>();
    assert_snapshot!(asked, @r#"
    any = ("a-value"
    )
    count = "1"
    flag = (false
    )
    host = "127.0.0.1"
    list = ([]
    )
    map = ({}
    )
    port = "20000"
    tags = ({ pass = "<a-value>" }
    )
    url = "pg://u:a-value@127.0.0.1:20000/$(x) eu \"1\""
    zones = (["127.0.0.1:20000 \"", 1, "eu \"1\""]
    )
    "#);
}

#[tokio::test]
async fn values_are_filled_in_by_what_the_variable_takes() {
    let (stage, tree) = (stage(), all_kinds());
    let prepared = prepared(&stage, &tree).await.unwrap();
    let values = values(&[
        ("db", "address", "10.0.0.1"),
        ("db", "port", "5432"),
        ("db", "release", "7"),
        ("db", "pass", "a\"b ${x} $(db.port)\\"),
    ]);
    let own = JobKey::new("shop", "deploy");
    let filled = fill(&stage.nomad, &own, &tree, "api", &prepared["api"], &values).await.unwrap();
    assert_snapshot!(asked(&stage), @r#"
    any = ("a\"b $${x} $(db.port)\\"
    )
    count = "7"
    flag = ("a\"b $${x} $(db.port)\\"
    )
    host = "10.0.0.1"
    list = ("a\"b $${x} $(db.port)\\"
    )
    map = ("a\"b $${x} $(db.port)\\"
    )
    port = "5432"
    replicas = "7"
    tags = ({ pass = "<a\"b $${x} $(db.port)\\>" }
    )
    url = "pg://u:a\"b $${x} $(db.port)\\@10.0.0.1:5432/$(x) eu \"1\""
    zones = (["10.0.0.1:5432 \"", "a\"b $${x} $(db.port)\\", "eu \"1\""]
    )
    "#);
    assert_eq!(filled.blueprint.key, prepared["api"].blueprint.key);
}

#[tokio::test]
async fn a_value_that_is_an_expression_by_itself_is_taken_as_one() {
    let stage = stage();
    let tree = tree(&json!({"job": {"api": {"jobspec": "local/api.hcl", "vars": {
        "list": "$(db.pass)", "zones": "[$(db.port), $(db.release)]", "flag": "$(db.address)",
    }}}}));
    let prepared = prepared(&stage, &tree).await.unwrap();
    let values = values(&[
        ("db", "pass", "[\"a\", \"b\"]"),
        ("db", "port", "5432"),
        ("db", "release", "upper(\"x\")"),
        ("db", "address", "true"),
    ]);
    let own = JobKey::new("shop", "deploy");
    fill(&stage.nomad, &own, &tree, "api", &prepared["api"], &values).await.unwrap();
    assert_snapshot!(asked(&stage), @r#"
    flag = (true
    )
    list = (["a", "b"]
    )
    zones = ([5432, "upper(\"x\")"]
    )
    "#);
}

#[tokio::test]
async fn a_hook_is_filled_in_and_keeps_its_name() {
    let seed = json!({"ID": "seed", "Type": "batch"});
    let tool = json!({"ID": "tool", "Type": "batch", "ParameterizedJob": {}});
    let stage = stage().jobspec("local/seed.hcl", &seed).jobspec("local/tool.hcl", &tool);
    let tree = tree(&json!({
        "job": {"tool": {"jobspec": "local/tool.hcl"}},
        "hook": {
            "seed": {"jobspec": "local/seed.hcl", "meta": {"at": "$(db.port)", "zone": "$(context.zone)"}},
            "run": {"dispatch": "tool", "meta": {"at": "$(db.port)"}, "payload": "at $(db.port), $$(x)"},
            "still": {"dispatch": "tool", "payload": "in $(context.zone)"},
        },
    }));
    let prepared = prepared(&stage, &tree).await.unwrap();
    assert_eq!(prepared["still"].payload, "in eu \"1\"", "known from the beginning");
    assert_eq!(prepared["seed"].meta["zone"], "eu \"1\"");
    let own = JobKey::new("shop", "deploy");
    for name in ["seed", "run"] {
        let filled = async |port| {
            let values = values(&[("db", "port", port)]);
            fill(&stage.nomad, &own, &tree, name, &prepared[name], &values).await.unwrap()
        };
        let (first, again, other) = (filled("1").await, filled("1").await, filled("2").await);
        assert_eq!(first, again);
        assert_eq!(first.meta["at"], "1");
        assert_ne!(first, other);
        assert_eq!(first.blueprint.spec, other.blueprint.spec, "by which it is found");
        assert_eq!(first.blueprint.spec, prepared[name].blueprint.spec);
        if name == "run" {
            assert_eq!(first.payload, "at 1, $(x)");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_had_is_told_before_the_run() {
    let mut stage =
        stage().file("local/o.hcl", "# {\"ID\": \"o\"}\nvariable \"o\" { type = object({a = string}) }\n");
    stage.nomad.complaints.insert("api".to_owned(), vec!["its port is odd".to_owned()]);
    let tree = tree(&json!({"job": {
        "other": {"jobspec": "local/db.hcl", "namespace": "data", "outputs": {
            "a": "service:gp:port", "b": "service:old:port", "c": "service:nothing-like-it:port", "d": "meta:relaese",
            "e": "meta:x", "f": "variable:any#thing",
        }},
        "api": {"jobspec": "local/api.hcl", "vars": {"port": "$(db.port)"}},
        "o": {"jobspec": "local/o.hcl", "vars": {"o": "$(db.pass)"}},
    }}));
    assert_snapshot!(prepared(&stage, &tree).await.unwrap_err(), @r#"
    7 problems:
    job "o": vars: o is filled in while the tree runs, and nothing can stand for an object or a tuple until then: give the variable a default
    job "api": local/api.hcl: its port is odd (until its references are filled in, something else stands there: the default of the variable, if it has one)
    job "other": outputs: a = "service:gp:port": local/db.hcl registers no such service (did you mean "service:pg:port"?)
    job "other": outputs: b = "service:old:port": local/db.hcl registers it with Consul, which dtree does not look at (write `provider = "nomad"` into the service there)
    job "other": outputs: c = "service:nothing-like-it:port": local/db.hcl registers no such service (write `service { name = "nothing-like-it" provider = "nomad" … }` there)
    job "other": outputs: d = "meta:relaese": the job in local/db.hcl has no such key in its meta (did you mean "meta:release"?)
    job "other": outputs: e = "meta:x": the job in local/db.hcl has no such key in its meta (write `meta { x = "…" }` into the job there)
    "#);
}

#[tokio::test]
async fn a_service_whose_name_nomad_makes_up_is_looked_for_later() {
    let mut job = db();
    for name in ["${JOB}-pg", ""] {
        job["TaskGroups"][0] = json!({"Tasks": [{"Services": [{"Name": name, "Provider": "nomad"}]}]});
        let stage = Stage::new().jobspec("local/db.hcl", &job);
        prepared(&stage, &tree(&json!({}))).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_wrong_once_it_is_filled_in() {
    let seed = json!({"ID": "seed", "Type": "batch"});
    let tool = json!({"ID": "tool", "Type": "batch", "ParameterizedJob": {}});
    let mut stage = stage().jobspec("local/seed.hcl", &seed).jobspec("local/tool.hcl", &tool);
    let tree = tree(&json!({
        "job": {
            "tool": {"jobspec": "local/tool.hcl"},
            "api": {"jobspec": "local/api.hcl", "vars": {"port": "$(db.port)"}},
        },
        "hook": {"run": {"dispatch": "tool", "payload": "$(db.pass)$(db.pass)"}},
    }));
    let mut prepared = prepared(&stage, &tree).await.unwrap();
    let own = JobKey::new("shop", "deploy");
    let mut told = Vec::new();
    let long = "x".repeat(9000);
    let values = values(&[("db", "port", "1"), ("db", "pass", &long)]);
    for (job, complaint) in [(Value::Null, "it is odd"), (json!({"ID": "ipa", "Type": "batch"}), "")] {
        if !complaint.is_empty() {
            stage.nomad.complaints.insert("api".to_owned(), vec![complaint.to_owned()]);
        }
        if !job.is_null() {
            prepared.get_mut("api").unwrap().text = Some(format!("# {job}\n"));
        }
        told.push(fill(&stage.nomad, &own, &tree, "api", &prepared["api"], &values).await.unwrap_err());
    }
    prepared.get_mut("api").unwrap().text = Some("# refuse: input.hcl:1,2-3: no; not like this\n".to_owned());
    told.push(fill(&stage.nomad, &own, &tree, "api", &prepared["api"], &values).await.unwrap_err());
    told.push(fill(&stage.nomad, &own, &tree, "run", &prepared["run"], &values).await.unwrap_err());
    let told: Vec<String> = told
        .into_iter()
        .map(|unfilled| match unfilled {
            Unfilled::Problems(problems) => problems.to_string(),
            Unfilled::Another(why) => format!("another: {why}"),
            Unfilled::Nomad(error) => format!("nomad: {error}"),
        })
        .collect();
    assert_snapshot!(told.join("\n"), @r#"
    job "api": local/api.hcl: it is odd (until its references are filled in, something else stands there: the default of the variable, if it has one)
    job "api": vars has "port", which is no variable of local/api.hcl (declare it there: `variable "port" {}`)
    2 problems:
    job "api": vars has "port", which is no variable of local/api.hcl (declare it there: `variable "port" {}`)
    job "api": local/api.hcl:1,2-3: no; not like this
    hook "run": payload has 18000 bytes with all filled in, and Nomad dispatches no more than 16384
    "#);
    stage.nomad.is_down = true;
    let down = fill(&stage.nomad, &own, &tree, "api", &prepared["api"], &values).await.unwrap_err();
    assert!(matches!(down, Unfilled::Nomad(error) if error.is_transient()));
}

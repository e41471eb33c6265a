//! Whole trees: what becomes of them, and what their authors are told.

use std::sync::atomic::Ordering;

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{Stage, tree};
use crate::{
    cluster::{JobKey, JobType},
    jobspec::{Error, MAX_NODES, prepare},
};

#[tokio::test]
async fn a_good_tree_is_prepared() {
    let stage = Stage::new()
        .jobspec("local/db.hcl", &json!({"ID": "postgres", "Type": null, "Namespace": null, "Status": "x"}))
        .jobspec("local/check.hcl", &json!({"ID": "check", "Type": "batch"}))
        .file(
            "local/tool.json",
            r#"{"Job": {"ID": "tool", "Type": "batch", "ParameterizedJob": {}, "Namespace": "data"}}"#,
        )
        .file("local/bare.json", r#" {"ID": "bare", "Type": "sysbatch", "Periodic": {"Spec": "@daily"}}"#);
    let prepared = stage
        .prepare(&json!({
            "db": {"jobspec": "local/db.hcl", "namespace": "data", "pre": {"check": {"jobspec": "/local/check.hcl"}}},
            "tool": {"jobspec": "local/tool.json"},
            "bare": {"jobspec": "local/bare.json", "post": {"run": {"dispatch": "tool", "namespace": "data"}}},
        }))
        .await
        .unwrap();
    let lines: Vec<String> = prepared
        .iter()
        .map(|(name, spec)| {
            let blueprint = &spec.blueprint;
            format!(
                "{name}: {} {:?} periodic={} parameterized={} {:?} job={}",
                blueprint.key,
                blueprint.kind,
                blueprint.is_periodic,
                blueprint.is_parameterized,
                blueprint.progress_deadline,
                spec.job.as_ref().unwrap_or(&Value::Null)
            )
        })
        .collect();
    assert_snapshot!(lines.join("\n"), @r#"
    bare: shop/bare Sysbatch periodic=true parameterized=false None job={"ID":"bare","Namespace":"shop","Periodic":{"Spec":"@daily"},"Type":"sysbatch"}
    check: shop/check Batch periodic=false parameterized=false None job={"ID":"check","Namespace":"shop","Type":"batch"}
    db: data/postgres Service periodic=false parameterized=false None job={"ID":"postgres","Namespace":"data"}
    run: data/tool Batch periodic=false parameterized=true None job=null
    tool: data/tool Batch periodic=false parameterized=true None job={"ID":"tool","Namespace":"data","ParameterizedJob":{},"Type":"batch"}
    "#);
}

#[tokio::test]
async fn the_namespace_is_that_of_the_block_else_of_the_text_else_of_the_task() {
    let text = |inner: &str, job: &Value| format!("# {job}\njob \"x\" {{\n{inner}\n}}\n");
    let default = json!({"ID": "x", "Namespace": "default"});
    let stage = Stage::new()
        .file("local/silent.hcl", &text("", &json!({"ID": "a", "Namespace": null})))
        .file("local/canonical.hcl", &text("", &default))
        .file("local/default.hcl", &text("namespace = \"default\"", &default))
        .file("local/data.hcl", &text("namespace = var.x", &json!({"ID": "b", "Namespace": "data"})))
        .file(
            "local/over.hcl",
            &text("namespace = \"default\"", &json!({"ID": "c", "Namespace": "default"})),
        );
    let prepared = stage
        .prepare(&json!({
            "silent": {"jobspec": "local/silent.hcl"},
            "canonical": {"jobspec": "local/canonical.hcl"},
            "default": {"jobspec": "local/default.hcl"},
            "data": {"jobspec": "local/data.hcl"},
            "over": {"jobspec": "local/over.hcl", "namespace": "data"},
        }))
        .await
        .unwrap();
    let keys: Vec<String> =
        prepared.iter().map(|(name, spec)| format!("{name}: {}", spec.blueprint.key)).collect();
    assert_eq!(
        keys,
        ["canonical: shop/x", "data: data/b", "default: default/x", "over: data/c", "silent: shop/a"]
    );
}

#[tokio::test]
async fn vars_reach_the_parser_as_their_variables_want_them() {
    let text = "# {\"ID\": \"a\"}\nvariable \"image\" { type = string }\nvariable \"zones\" { type = list(string) }\n";
    let stage = Stage::new().file("local/a.hcl", text);
    let vars = json!({"image": "nginx", "zones": "[\"a\"]"});
    stage
        .prepare(&json!({"a": {"jobspec": "local/a.hcl", "vars": vars, "namespace": "data"}}))
        .await
        .unwrap();
    let parsed = stage.nomad.parsed.lock().unwrap().clone();
    assert_eq!(parsed, [("data".to_owned(), "image = \"nginx\"\nzones = ([\"a\"]\n)\n".to_owned())]);
}

#[tokio::test]
async fn all_problems_of_all_jobspecs_are_told_at_once() {
    let mut stage = Stage::new()
        .file("local/broken.hcl", "# refuse: Failed to parse job: input.hcl:9,2-6: Unsupported block type; Blocks of type \"bogus\" are not expected here.\\n<nil>: Unset variable \"img\"; A used variable must be set\n")
        .file("local/vars.hcl", "# {\"ID\": \"vars\"}\nvariable \"image\" {}\n")
        .file("local/json.json", "{\"ID\": \"json\"}")
        .file("local/half.json", "{\"ID\": ")
        .file("local/hcl.json", "{\"job\": {}}")
        .file("local/list.json", "{\"Job\": []}")
        .file("local/noid.json", "{}")
        .jobspec("local/marked.hcl", &json!({"ID": "marked", "Meta": {"dtree_tree": "x"}}))
        .jobspec("local/invalid.hcl", &json!({"ID": "invalid", "Type": "servize"}));
    stage.nomad.complaints.insert(
        "invalid".to_owned(),
        vec!["Missing job datacenters".to_owned(), "Missing job task groups".to_owned()],
    );
    let nodes = json!({
        "broken": {"jobspec": "local/broken.hcl"},
        "vars": {"jobspec": "local/vars.hcl", "vars": {"imgae": "x", "other": "y"}},
        "json": {"jobspec": "local/json.json", "vars": {"x": "y"}},
        "half": {"jobspec": "local/half.json"},
        "hcl": {"jobspec": "local/hcl.json"},
        "list": {"jobspec": "local/list.json"},
        "noid": {"jobspec": "local/noid.json"},
        "marked": {"jobspec": "local/marked.hcl"},
        "invalid": {"jobspec": "local/invalid.hcl"},
        "missing": {"jobspec": "local/brokn.hcl", "pre": {"check": {"jobspec": "local/elsewhere"}}},
    });
    assert_snapshot!(stage.problems(&nodes).await, @r#"
    15 problems:
    job "broken": local/broken.hcl:9,2-6: Unsupported block type; Blocks of type "bogus" are not expected here.
    job "broken": variable "img" of local/broken.hcl has no value (write `vars = { img = "…" }`)
    job "half": local/half.json begins with a brace, but is no JSON: EOF while parsing a value at line 1 column 7 (write it as HCL, or as `nomad job run -output` prints it)
    job "hcl": local/hcl.json has a "job", which is HCL in the clothes of JSON (write it as HCL, or as `nomad job run -output` prints it)
    job "json": local/json.json is JSON, which has no variables for vars (take vars away, or give the jobspec as HCL)
    job "list": local/list.json has a "Job" that is no object (write it as HCL, or as `nomad job run -output` prints it)
    job "marked": local/marked.hcl has "dtree_tree" in its meta (take it away: keys with dtree_ are dtree's own marks)
    job "missing": jobspec = "local/brokn.hcl" is not there: nothing is called "brokn.hcl" (did you mean "local/broken.hcl"?)
    job "noid": local/noid.json has no "ID" (write the job as `nomad job run -output` prints it)
    job "vars": vars has "imgae", which is no variable of local/vars.hcl (did you mean "image"?)
    job "vars": vars has "other", which is no variable of local/vars.hcl (declare it there: `variable "other" {}`)
    pre "check" of job "missing": jobspec = "local/elsewhere" is not there: nothing is called "elsewhere" (a template or artifact block brings it there)
    job "invalid": local/invalid.hcl: Missing job datacenters
    job "invalid": local/invalid.hcl: Missing job task groups
    job "invalid": local/invalid.hcl has the type "servize", which is none of service, batch, system and sysbatch
    "#);
}

#[tokio::test]
async fn a_hook_is_a_batch_job_that_runs_when_it_is_registered() {
    let stage = Stage::new()
        .jobspec("local/a.hcl", &json!({"ID": "a"}))
        .jobspec("local/system.hcl", &json!({"ID": "s", "Type": "system"}))
        .jobspec("local/sysbatch.hcl", &json!({"ID": "s", "Type": "sysbatch"}))
        .jobspec("local/clock.hcl", &json!({"ID": "c", "Type": "batch", "Periodic": {"Spec": "@daily"}}))
        .jobspec("local/tool.hcl", &json!({"ID": "t", "Type": "batch", "ParameterizedJob": {"Payload": ""}}));
    let nodes = json!({"a": {"jobspec": "local/a.hcl", "pre": {
        "service": {"jobspec": "local/a.hcl"},
        "system": {"jobspec": "local/system.hcl"},
        "sysbatch": {"jobspec": "local/sysbatch.hcl"},
        "clock": {"jobspec": "local/clock.hcl"},
        "tool": {"jobspec": "local/tool.hcl"},
    }}});
    assert_snapshot!(stage.problems(&nodes).await, @r#"
    4 problems:
    pre "clock" of job "a": local/clock.hcl is periodic, so it runs by the clock and not here (take its `periodic` block away)
    pre "service" of job "a": local/a.hcl is a service job, which never ends; a hook is a batch job (write `type = "batch"` there)
    pre "system" of job "a": local/system.hcl is a system job, which never ends; a hook is a batch job (write `type = "batch"` there)
    pre "tool" of job "a": local/tool.hcl is parameterized, so it only runs when it is dispatched (make it a `job` of the tree and write `dispatch` here, or take its `parameterized` block away)
    "#);
}

#[tokio::test]
async fn a_job_is_submitted_by_one_node_and_not_by_itself() {
    let stage = Stage::new()
        .jobspec("local/a.hcl", &json!({"ID": "a"}))
        .jobspec("local/own.hcl", &json!({"ID": "deploy"}));
    let nodes = json!({
        "one": {"jobspec": "local/a.hcl"},
        "other": {"jobspec": "local/a.hcl", "namespace": "data"},
        "own": {"jobspec": "local/own.hcl"},
        "same": {"jobspec": "local/a.hcl", "namespace": "shop"},
    });
    assert_snapshot!(stage.problems(&nodes).await, @r#"
    2 problems:
    job "own": local/own.hcl is the job that the tree itself is a task of (a tree cannot submit itself: it would replace itself while it runs)
    job "same": it and job "one" submit the same job, "a" in namespace "shop" (give one of them another ID or namespace, or take one away)
    "#);
}

#[tokio::test]
async fn namespaces_are_looked_at_once_and_each_mended_by_one_policy() {
    let mut stage = Stage::new()
        .jobspec("local/a.hcl", &json!({"ID": "a", "Namespace": "prod"}))
        .jobspec("local/b.hcl", &json!({"ID": "b", "Namespace": "nowhere"}))
        .jobspec("local/c.hcl", &json!({"ID": "c", "Namespace": "nowhere"}))
        .jobspec("local/d.hcl", &json!({"ID": "d", "Namespace": "prod"}))
        .jobspec("local/e.hcl", &json!({"ID": "e"}));
    stage.nomad.namespaces.insert("prod");
    stage.nomad.denied.insert("prod");
    let nodes = json!({
        "a": {"jobspec": "local/a.hcl"},
        "b": {"jobspec": "local/b.hcl"},
        "c": {"jobspec": "local/c.hcl", "post": {"run": {"dispatch": "x", "namespace": "nowhere"}}},
        "d": {"jobspec": "local/d.hcl"},
        "e": {"jobspec": "local/e.hcl", "namespace": "prod"},
    });
    assert_snapshot!(stage.problems(&nodes).await, @r#"
    2 problems:
    job "b", job "c", post "run" of job "c": there is no namespace "nowhere" (make it with `nomad namespace apply nowhere`, or write another)
    job "e", job "a", job "d": Nomad does not allow the dtree plugin to parse a jobspec in namespace `prod` (write a policy file with the line `namespace "prod" { capabilities = ["list-jobs", "read-job", "submit-job", "dispatch-job", "read-logs"] }` and attach it to the job: `nomad acl policy apply -namespace shop -job deploy dtree-prod FILE`)
    "#);
}

#[tokio::test]
async fn a_dispatched_job_is_there_and_can_be_dispatched() {
    let mut stage = Stage::new()
        .jobspec("local/a.hcl", &json!({"ID": "setup"}))
        .jobspec("local/t.hcl", &json!({"ID": "tool", "Type": "batch", "ParameterizedJob": {}}));
    let sample = |id| crate::cluster::sample::job(id, JobType::Service, 1).job;
    let mut good = sample("good");
    (good.kind, good.is_parameterized) = (JobType::Batch, true);
    let mut stopped = good.clone();
    stopped.is_stopped = true;
    stage.nomad.jobs = [("good", good), ("plain", sample("plain")), ("stopped", stopped)]
        .map(|(name, job)| (JobKey::new("shop", name), job))
        .into();
    let nodes = |hooks: Value| json!({"a": {"jobspec": "local/a.hcl", "post": hooks}, "t": {"jobspec": "local/t.hcl"}});
    let good = json!({"one": {"dispatch": "good", "payload": "x"}, "two": {"dispatch": "tool"}});
    let prepared = stage.prepare(&nodes(good)).await.unwrap();
    let [one, two] = ["one", "two"].map(|name| &prepared[name]);
    assert_eq!((one.blueprint.key.to_string(), one.blueprint.kind), ("shop/good".to_owned(), JobType::Batch));
    assert_eq!((two.blueprint.key.to_string(), &two.job), ("shop/tool".to_owned(), &None));
    let bad = json!({
        "h1": {"dispatch": "plain"}, "h2": {"dispatch": "stopped"}, "h3": {"dispatch": "tol"},
        "h4": {"dispatch": "elsewhere"}, "h5": {"dispatch": "setup"}, "h6": {"dispatch": "good", "namespace": "data"},
    });
    assert_snapshot!(stage.problems(&nodes(bad)).await, @r#"
    6 problems:
    post "h1" of job "a": dispatch = "plain": that job of namespace "shop" is not parameterized (write a `parameterized` block into it, or its jobspec here as `jobspec`)
    post "h2" of job "a": dispatch = "stopped": that job of namespace "shop" is stopped (start it, or make it a `job` of this tree)
    post "h3" of job "a": dispatch = "tol": namespace "shop" has no such job (did you mean "tool"?)
    post "h4" of job "a": dispatch = "elsewhere": namespace "shop" has no such job (register it before, or make it a `job` of this tree with the ID "elsewhere")
    post "h5" of job "a": dispatch = "setup": that job of namespace "shop" is not parameterized (write a `parameterized` block into it, or its jobspec here as `jobspec`)
    post "h6" of job "a": dispatch = "good": namespace "data" has no such job (register it before, or make it a `job` of this tree with the ID "good")
    "#);
}

#[tokio::test]
async fn no_answer_is_no_problem_of_the_author() {
    let mut stage = Stage::new().jobspec("local/a.hcl", &json!({"ID": "a"}));
    stage.nomad.is_down = true;
    let error = stage.prepare(&json!({"a": {"jobspec": "local/a.hcl"}})).await.unwrap_err();
    assert!(matches!(&error, Error::Nomad(error) if error.is_transient()), "{error}");
}

#[tokio::test]
async fn a_large_tree_asks_a_few_questions_at_a_time_and_a_larger_one_none() {
    let stage = Stage::new().jobspec("local/a.hcl", &json!({"ID": "a", "Type": "batch"}));
    let hooks = |n: usize| {
        let hooks: serde_json::Map<String, Value> =
            (0..n).map(|n| (format!("h{n}"), json!({"jobspec": "local/a.hcl"}))).collect();
        json!({"a": {"jobspec": "local/a.hcl", "pre": hooks}})
    };
    assert_eq!(stage.prepare(&hooks(MAX_NODES - 1)).await.unwrap().len(), MAX_NODES);
    assert_eq!(stage.nomad.most_under_way.load(Ordering::SeqCst), 8);
    assert_snapshot!(stage.problems(&hooks(MAX_NODES)).await, @"config: has 1001 jobs and hooks, and a tree may have 1000 (divide it: a job of one tree can be a `wait` of another)");
}

/// A run is a task of its own, which may move between threads.
#[test]
fn preparing_can_be_spawned() {
    fn sent<T: Send>(_: &T) {}
    let stage = Stage::new();
    let (dir, own, tree) = (stage.dir(), JobKey::new("shop", "x"), tree(&json!({"a": {"jobspec": "x"}})));
    sent(&prepare(&stage.nomad, &dir, &own, &tree));
}

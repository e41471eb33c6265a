//! Graphs of waits, good and bad.

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::*;

fn manifest(edges: &[(&str, &[&str])]) -> Manifest {
    let waits: serde_json::Map<String, Value> =
        edges.iter().map(|(name, needs)| ((*name).to_owned(), json!({ "depends_on": needs }))).collect();
    let (manifest, problems) = Manifest::from_msgpack(&rmp_serde::to_vec(&json!({ "wait": waits })).unwrap());
    assert!(problems.is_empty(), "{problems}");
    manifest
}

fn refused(edges: &[(&str, &[&str])]) -> String {
    Plan::compile(manifest(edges), Problems::default()).unwrap_err().to_string()
}

#[test]
fn each_step_comes_after_all_that_it_depends_on() {
    let edges: &[(&str, &[&str])] =
        &[("a", &["z"]), ("m", &["a", "z"]), ("z", &[]), ("lone", &[]), ("top", &["m", "lone"])];
    let plan = Plan::compile(manifest(edges), Problems::default()).unwrap();
    let at = |name: &str| plan.order().iter().position(|step| step == name).unwrap();
    assert_eq!(plan.order().len(), 5);
    assert_eq!(plan.order(), ["lone", "z", "a", "m", "top"]);
    for (name, needs) in edges {
        for needed in *needs {
            assert!(at(needed) < at(name), "{needed} before {name}: {:?}", plan.order());
        }
    }
}

#[test]
fn a_circle_is_shown_as_a_path() {
    assert_snapshot!(refused(&[("left", &["right"]), ("right", &["left"]), ("solo", &[])]), @"config: these waits depend on each other: left → right → left (take one of the depends_on away)");
    assert_snapshot!(refused(&[("self", &["self"])]), @"config: these waits depend on each other: self → self (take one of the depends_on away)");
    assert_snapshot!(refused(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"]), ("x", &["y"]), ("y", &["x"])]), @"
    2 problems:
    config: these waits depend on each other: b → c → b (take one of the depends_on away)
    config: these waits depend on each other: x → y → x (take one of the depends_on away)
    ");
}

#[test]
fn a_name_that_no_block_has_is_told_with_a_near_one() {
    assert_snapshot!(refused(&[("api", &["postgers", "qqq"]), ("postgres", &[])]), @r#"
    2 problems:
    wait "api": depends_on names "postgers", which is no block of this task (did you mean "postgres"?)
    wait "api": depends_on names "qqq", which is no block of this task
    "#);
}

#[test]
fn problems_of_values_and_of_the_graph_are_told_together() {
    let config = json!({"wait": {"a": {"until": "nope", "depends_on": ["a", "b"]}}});
    let (manifest, problems) = Manifest::from_msgpack(&rmp_serde::to_vec(&config).unwrap());
    assert_snapshot!(Plan::compile(manifest, problems).unwrap_err(), @r#"
    3 problems:
    wait "a": until = "nope" is none of running, healthy, complete, failed, finished, stopped, absent
    wait "a": depends_on names "b", which is no block of this task (did you mean "a"?)
    config: these waits depend on each other: a → a (take one of the depends_on away)
    "#);
}

fn compiled(config: &Value) -> Result<Plan, Problems> {
    let (manifest, problems) = Manifest::from_msgpack(&rmp_serde::to_vec(config).unwrap());
    Plan::compile(manifest, problems)
}

#[test]
fn hooks_around_a_stop_and_after_a_run_are_no_steps_of_it_and_have_an_order_of_their_own() {
    let plan = compiled(&json!({
        "job": {"db": {
            "jobspec": "local/db", "depends_on": ["migrate"], "post": {"seed": {"jobspec": "x"}},
            "pre_stop": {"drain": {"jobspec": "x"}, "dump": {"jobspec": "x", "depends_on": ["drain"]}},
        }},
        "hook": {"migrate": {"dispatch": "m", "once": "v7"}, "warm": {"dispatch": "w", "depends_on": ["db"]}},
        "after_success": {"tell": {"dispatch": "t"}},
    }))
    .unwrap();
    assert_eq!(plan.order(), ["migrate", "db", "seed", "warm"]);
    assert_eq!(plan.needs("warm"), ["db", "seed"], "a job is satisfied with its post hooks");
    assert_eq!(plan.needs("dump"), ["drain"]);
    assert!(plan.needs("drain").is_empty() && plan.needs("tell").is_empty());
}

#[test]
fn steps_of_another_order_are_nothing_to_depend_on() {
    let problems = compiled(&json!({
        "job": {"db": {
            "jobspec": "local/db", "depends_on": ["tell"], "pre_stop": {"drain": {"jobspec": "x", "depends_on": ["db"]}},
            "post_stop": {"a": {"jobspec": "x", "depends_on": ["drain", "b"]}, "b": {"jobspec": "x", "depends_on": ["a"]}},
        }},
        "after_success": {"tell": {"dispatch": "t", "depends_on": ["alarm"]}},
        "after_failure": {"alarm": {"dispatch": "t", "once": "x"}},
    }))
    .unwrap_err();
    assert_snapshot!(problems, @r#"
    6 problems:
    after_failure "alarm": once belongs to a `hook` block (take it away: this one runs once for each rollout, run or stop by itself)
    job "db": depends_on names "tell", which runs at another time (pre_stop, post_stop, after_success and after_failure have an order of their own: each kind for itself)
    post_stop "a" of job "db": depends_on names "drain", which runs at another time (pre_stop, post_stop, after_success and after_failure have an order of their own: each kind for itself)
    pre_stop "drain" of job "db": depends_on names "db", which runs at another time (pre_stop, post_stop, after_success and after_failure have an order of their own: each kind for itself)
    after_success "tell": depends_on names "alarm", which runs at another time (pre_stop, post_stop, after_success and after_failure have an order of their own: each kind for itself)
    config: these blocks depend on each other: a → b → a (take one of the depends_on or one of the references away)
    "#);
}

#[test]
fn a_task_looks_at_its_own_job_and_at_those_it_waits_for() {
    let config = json!({"wait": {
        "db": {"job": "postgres", "namespace": "data"}, "redis": {}, "proxy": {"task": "envoy"},
    }});
    let (manifest, problems) = Manifest::from_msgpack(&rmp_serde::to_vec(&config).unwrap());
    let plan = Plan::compile(manifest, problems).unwrap();
    let place = Place {
        job: JobKey::new("shop", "api"),
        group: "web".to_owned(),
        alloc: "0".into(),
        task: "gate".to_owned(),
    };
    let subjects: Vec<String> = plan.subjects(&place).iter().map(ToString::to_string).collect();
    assert_eq!(subjects, ["data/postgres", "shop/api", "shop/redis"]);
}

#[test]
fn a_reference_is_a_dependency() {
    let plan = compiled(&json!({
        "context": {"zone": "a"},
        "job": {
            "db": {
                "jobspec": "x", "outputs": {"port": "service:pg:port"},
                "post": {"seed": {"jobspec": "x", "vars": {"port": "$(db.port)"}}},
            },
            "api": {
                "jobspec": "x", "vars": {"a": "$(db.id):$(db.port)", "b": "$(warm.exit_code)", "c": "$(context.zone)"},
                "pre": {"check": {"dispatch": "c", "payload": "$(db.port)", "meta": {"k": "$$(x) $(seed.id)"}}},
            },
        },
        "hook": {"warm": {"dispatch": "w"}},
    }))
    .unwrap();
    assert_eq!(plan.order(), ["db", "seed", "warm", "check", "api"]);
    assert_eq!(plan.needs("api"), ["check", "db", "seed", "warm"]);
    assert_eq!(plan.needs("check"), ["db", "seed", "warm"], "what its job depends on, too");
    assert_eq!(plan.needs("seed"), ["db"], "its own job, and not the hooks around it");
    let references =
        |name| plan.references(name).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(references("api"), "$(db.id) $(db.port) $(warm.exit_code)");
    assert_eq!(references("check"), "$(db.port) $(seed.id)");
    assert_eq!(references("db"), "");
}

#[test]
fn a_reference_that_leads_nowhere_is_told_with_its_place() {
    let vars = json!({
        "a": "$(dbb.port)", "b": "$(db.prot)", "c": "$(db.address)", "d": "$(redis.id)", "e": "$(api.id)",
        "f": "$(check.id)", "g": "$(tell.id)", "h": "$(context.zoon)", "i": "$(context.color)", "j": "$(date +%s)",
        "k": "x$(db", "l": "$(seed.code)", "m": "$(quite_another.id)", "n": "$(db.port) $(db.prot)",
    });
    let problems = compiled(&json!({
        "context": {"zone": "a"},
        "wait": {"redis": {}},
        "job": {
            "db": {"jobspec": "x", "outputs": {"port": "service:pg:port"}, "post": {"seed": {"jobspec": "x"}}},
            "api": {"jobspec": "x", "vars": vars, "pre": {"check": {"jobspec": "x"}}},
        },
        "after_success": {"tell": {"dispatch": "t", "meta": {"a": "$(db.id)"}, "payload": "$(context.zone)"}},
    }))
    .unwrap_err();
    assert_snapshot!(problems, @r#"
    15 problems:
    job "api": vars: a has `$(dbb.port)`, but no block of this task is called "dbb" (did you mean `$(db.port)`?)
    job "api": vars: b has `$(db.prot)`, but db has no output "prot" (did you mean `$(db.port)`?)
    job "api": vars: c has `$(db.address)`, but db has no output "address" (it has id, namespace, port; others are written into its block: `outputs = { address = "service:NAME:port" }`)
    job "api": vars: d has `$(redis.id)`, but redis is a wait, which has no outputs (only jobs, `hook` blocks and post hooks have outputs)
    job "api": vars: e has `$(api.id)`, but that is the block itself
    job "api": vars: f has `$(check.id)`, but check is one of the pre hooks, which do not run where their job is unchanged, and then there is nothing to take (make it a `hook` block that the job depends on)
    job "api": vars: g has `$(tell.id)`, but tell is one of the after_success hooks, which run when nobody asks any more (only jobs, `hook` blocks and post hooks have outputs)
    job "api": vars: h has `$(context.zoon)`, but context has no "zoon" (write `context { zoon = "…" }` into the task's config)
    job "api": vars: i has `$(context.color)`, but context has no "color" (write `context { color = "…" }` into the task's config)
    job "api": vars: j has `$(date +%s)`, which names no output (write `$(name.output)` for the output of a block, and `$$(` where `$(` itself is meant)
    job "api": vars: k has `$(db` without a `)` (write `$(name.output)` for the output of a block, and `$$(` where `$(` itself is meant)
    job "api": vars: l has `$(seed.code)`, but seed has no output "code" (it has exit_code, id; others are written into its block: `outputs = { code = "variable:PATH#KEY" }`)
    job "api": vars: m has `$(quite_another.id)`, but no block of this task is called "quite_another"
    job "api": vars: n has `$(db.prot)`, but db has no output "prot" (did you mean `$(db.port)`?)
    after_success "tell": meta: a has `$(db.id)`, but after_success hooks can take nothing from other blocks (only `$(context.key)` can stand there)
    "#);
    let context =
        compiled(&json!({"context": {"a": "b"}, "job": {"context": {"jobspec": "x"}}})).unwrap_err();
    assert_snapshot!(context, @r#"job "context": `$(context.…)` means the `context` block, so no other can have this name (rename it)"#);
    let none =
        compiled(&json!({"job": {"a": {"jobspec": "x", "vars": {"z": "$(context.zone)"}}}})).unwrap_err();
    assert_snapshot!(none, @r#"job "a": vars: z has `$(context.zone)`, but context has no "zone" (write `context { zone = "…" }` into the task's config)"#);
}

#[test]
fn what_runs_once_takes_nothing_from_others() {
    let problems = compiled(&json!({
        "context": {"zone": "a"}, "job": {"db": {"jobspec": "x"}},
        "hook": {"migrate": {"dispatch": "m", "once": "v7", "meta": {"db": "$(db.id)", "zone": "$(context.zone)"}}},
    }))
    .unwrap_err();
    assert_snapshot!(problems, @r#"hook "migrate": meta: db has `$(db.id)`, but what runs once for a key takes nothing from other blocks: who comes later may find others there (only `$(context.key)` can stand there; let the hook read the value itself)"#);
}

#[test]
fn references_that_go_round_are_a_circle() {
    let circle = compiled(&json!({
        "job": {
            "a": {"jobspec": "x", "vars": {"z": "$(b.id)"}},
            "b": {"jobspec": "x", "depends_on": ["c"]},
            "c": {"jobspec": "x", "vars": {"z": "$(a.id)"}},
            "d": {"jobspec": "x", "pre": {"e": {"jobspec": "x", "vars": {"z": "$(d.id)"}}}},
        },
    }))
    .unwrap_err();
    assert_snapshot!(circle, @"
    2 problems:
    config: these blocks depend on each other: a → b → c → a (take one of the depends_on or one of the references away)
    config: these blocks depend on each other: d → e → d (take one of the depends_on or one of the references away)
    ");
}

#[test]
fn a_stop_goes_backwards_through_hooks_and_waits_between_jobs() {
    let plan = compiled(&json!({
        "verb": "stop",
        "wait": {"dns": {}, "vault": {"depends_on": ["db"]}, "lone": {}},
        "job": {
            "db": {
                "jobspec": "x", "depends_on": ["dns"], "post": {"seed": {"jobspec": "x"}},
                "pre_stop": {"dump": {"jobspec": "x", "depends_on": ["flush"]}, "flush": {"jobspec": "x"}},
            },
            "api": {"jobspec": "x", "depends_on": ["migrate"], "post_stop": {"archive": {"jobspec": "x"}}},
            "web": {"jobspec": "x", "depends_on": ["vault"]},
            "mail": {"jobspec": "x", "depends_on": ["api"]},
        },
        "hook": {"migrate": {"dispatch": "m", "once": "v7", "depends_on": ["db"]}},
        "after_failure": {"alarm": {"dispatch": "m"}},
    }))
    .unwrap();
    let lines: Vec<String> =
        plan.order().iter().map(|name| format!("{name} after {}", plan.needs(name).join(", "))).collect();
    assert_snapshot!(lines.join("\n"), @"
    mail after 
    api after mail
    archive after api
    web after 
    flush after api, archive, web
    dump after api, archive, flush, web
    db after api, archive, dump, flush, web
    dns after db
    lone after api, archive, db, mail, web
    vault after web
    ");
    let foundations: Vec<&str> = plan.foundations(["web"]).into_iter().collect();
    assert_eq!(foundations, ["db", "dns", "seed", "vault"]);
    assert!(plan.needs("alarm").is_empty());
    assert!(plan.is_stop());
}

#[test]
fn what_an_expression_names_comes_before_it_and_holds_nothing_back() {
    let config = json!({
        "wait": {
            "all": {"when": "zoo && !either", "depends_on": ["net"]}, "either": {"when": "db || redis"},
            "db": {}, "redis": {"depends_on": ["net"]}, "zoo": {}, "net": {},
        },
    });
    let plan = compiled(&config).unwrap();
    assert_eq!(plan.order(), ["db", "net", "redis", "either", "zoo", "all"]);
    let parts: Vec<&str> =
        plan.order().iter().map(String::as_str).filter(|name| plan.is_part(name)).collect();
    assert_eq!(parts, ["db", "redis", "either", "zoo"]);
    let mut tree = config;
    tree["job"] = json!({"web": {"jobspec": "x", "depends_on": ["all"]}});
    let plan = compiled(&tree).unwrap();
    assert_eq!(plan.needs("all"), ["net"]);
    assert_eq!(plan.needs("web"), ["all"]);
}

#[test]
fn names_in_expressions_that_lead_nowhere_or_around_are_told() {
    let problems = compiled(&json!({
        "wait": {
            "db": {}, "a": {"when": "bd && web && seed && quite_another"},
            "b": {"when": "c"}, "c": {"when": "!d"}, "d": {"depends_on": ["b"]}, "e": {"when": "e"},
            "f": {"depends_on": ["g"]}, "g": {}, "h": {"when": "g"},
        },
        "job": {"web": {"jobspec": "x", "depends_on": ["g", "db"], "post": {"seed": {"jobspec": "x"}}}},
        "hook": {"migrate": {"dispatch": "m", "depends_on": ["g"]}},
    }))
    .unwrap_err();
    assert_snapshot!(problems, @r#"
    9 problems:
    wait "a": when names "bd", which is no wait of this task (did you mean "b"?)
    wait "a": when names "quite_another", which is no wait of this task
    wait "a": when names "seed", which is no wait (only waits can be named: give it a `wait` block, or write it into depends_on)
    wait "a": when names "web", which is no wait (only waits can be named: give it a `wait` block, or write it into depends_on)
    wait "f": depends_on names "g", which counts only through the `when` of wait "h" (depend on "h", or wait for it in a block of its own)
    job "web": depends_on names "g", which counts only through the `when` of wait "h" (depend on "h", or wait for it in a block of its own)
    hook "migrate": depends_on names "g", which counts only through the `when` of wait "h" (depend on "h", or wait for it in a block of its own)
    config: these blocks depend on each other: b → c → d → b (take one of the depends_on, one of the references or one of the names in a `when` away)
    config: these blocks depend on each other: e → e (take one of the depends_on, one of the references or one of the names in a `when` away)
    "#);
    let gate = compiled(&json!({"wait": {"a": {"when": "b"}, "b": {"depends_on": ["a"]}}})).unwrap_err();
    assert_snapshot!(gate, @"config: these waits depend on each other: a → b → a (take one of the depends_on, or one of the names in a `when`, away)");
}

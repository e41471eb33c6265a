//! Policies that are enough and not more, and what the doctor finds. With ACLs on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::{Value, json};

use crate::cli_look::dtree;
use crate::harness::{Options, seconds};
use crate::story::{Hook, Job, Node, SOON, Shared, Story, Tree};

static CLUSTER: Shared = Shared::new(|| Options { acl: true, ..Options::default() });

/// The policy that dtree prints for a jobspec.
fn policy(story: &Story, jobspec: &str) -> String {
    let (code, out, err) = dtree(story, None, &["policy", "-"], jobspec);
    assert_eq!(code, 0, "{err}");
    out
}

/// Attaches a policy to a job.
fn attach(story: &Story, job: &str, rules: &str) {
    let attached = json!({ "Namespace": "default", "JobID": job });
    let name = format!("exactly-{job}");
    story.post(
        &format!("/v1/acl/policy/{name}"),
        &json!({ "Name": name, "Rules": rules, "JobACL": attached }),
    );
}

/// The policy with one of its capabilities taken away, for each of them: which, and what is left.
fn each_without(policy: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let lines: Vec<&str> = policy.lines().collect();
    for (n, line) in lines.iter().enumerate() {
        let without = |line: Option<String>| {
            let line = line.into_iter();
            let before = lines[..n].iter().map(ToString::to_string);
            before
                .chain(line)
                .chain(lines[n + 1..].iter().map(ToString::to_string))
                .collect::<Vec<_>>()
                .join("\n")
        };
        let trimmed = line.trim();
        if let Some(name) = trimmed.strip_prefix('"').and_then(|rest| rest.split_once("\",")) {
            all.push((name.0.to_owned(), without(None)));
        } else if let Some(list) =
            trimmed.strip_prefix("capabilities = [\"").and_then(|rest| rest.strip_suffix("\"]"))
        {
            let names: Vec<&str> = list.split("\", \"").collect();
            for name in &names {
                let left: Vec<String> =
                    names.iter().filter(|other| *other != name).map(|name| format!("\"{name}\"")).collect();
                let line = format!("      capabilities = [{}]", left.join(", "));
                let place = lines[n - 1].trim().to_owned();
                all.push((format!("{name} of {place}"), without(Some(line))));
            }
        }
    }
    all
}

#[test]
fn the_policy_for_a_gate_is_enough_and_not_more() {
    let story = CLUSTER.story();
    let (db, web, path) = (story.id("db"), story.id("web"), story.id("release"));
    story.cli(&["var", "put", &path, "v=1"]);
    let gated = |id: &str, db: &str| {
        Job::service(id).gate(&format!(
            "wait \"{db}\" {{\n timeout = \"20s\"\n }}\nwait \"release\" {{\n variable = \"{path}\"\n timeout = \"20s\"\n }}"
        ))
    };
    let whole = policy(&story, &gated(&web, &db).hcl());
    let less = each_without(&whole);
    assert_eq!(less.len(), 3, "{whole}");
    let mut lacking = Vec::new();
    for (n, (what, rules)) in less.iter().enumerate() {
        let (id, db) = (story.id(&format!("web{n}")), story.id(&format!("db{n}")));
        attach(&story, &id, rules);
        story.run(&gated(&id, &db));
        lacking.push((what, id, db));
    }
    attach(&story, &web, &whole);
    story.run(&gated(&web, &db));
    story.makes_it_so(&web, "release");
    story.gate(&web).says(SOON, "no job has this ID yet");
    for db in [&db].into_iter().chain(lacking.iter().map(|(.., db)| db)) {
        story.run(&Job::service(db));
    }
    story.main(&web).runs(SOON);
    for (what, id, _) in &lacking {
        let message = story.gate(id).says(SOON, "does not allow");
        assert!(message.contains(what.split(' ').next().unwrap_or_default()), "{what}: {message}");
    }
}

#[test]
fn the_policy_for_a_tree_is_enough_and_not_more() {
    let story = CLUSTER.story();
    let params = story.id("params");
    story.run(&Job::batch(&params).parameterized("release"));
    let tree = |n: &str| {
        let name = |name: &str| story.id(&format!("{name}{n}"));
        let failing = Hook::of(&Job::batch(&name("bad")).script("echo the disk is full >&2; exit 3"));
        Tree::new(&name("tree")).node(
            Node::of(&Job::service(&name("db")))
                .post(failing.with("on_failure = \"continue\""))
                .post(Hook::dispatch(&name("seed"), &params).with("meta = { release = \"1\" }")),
        )
    };
    let whole = policy(&story, &tree("").hcl());
    let less = each_without(&whole);
    assert_eq!(less.len(), 7, "{whole}");
    let id = story.id("tree");
    attach(&story, &id, &whole);
    story.run_tree(&tree(""));
    for (n, (_, rules)) in less.iter().enumerate() {
        let tree = tree(&format!("-{n}"));
        attach(&story, &tree.id, &rules.replace(&id, &tree.id));
        story.run_tree(&tree);
    }
    story.tree(&id).succeeds(seconds(120));
    let told = story.within(SOON, "the tree to have told all", || {
        let told = told(&story, &id);
        let is_all = told.contains("the disk is full") && told.contains("done after");
        if is_all { Ok(told) } else { Err(told) }
    });
    assert!(!told.contains("does not allow"), "it is not enough:\n{whole}\n{told}");
    for (n, (what, _)) in less.iter().enumerate() {
        lacks(&story, &story.id(&format!("tree-{n}")), what, &whole);
    }
}

/// All that a tree has told.
fn told(story: &Story, tree: &str) -> String {
    let events = story.tree(tree).events().unwrap_or_default();
    let events: Vec<String> = events.into_iter().map(|(_, text)| text).collect();
    format!("{}\n{}", events.join("\n"), story.tree(tree).logs())
}

/// It says that Nomad does not allow something.
fn lacks(story: &Story, tree: &str, what: &str, policy: &str) {
    story.within(SOON, &format!("something is missing without {what} of\n{policy}"), || {
        let told = told(story, tree);
        if told.contains("does not allow") { Ok(()) } else { Err(told) }
    });
}

#[test]
fn the_policy_for_a_stop_is_enough_and_not_more() {
    let story = CLUSTER.story();
    let tree = |n: &str| {
        let name = |name: &str| story.id(&format!("{name}{n}"));
        Tree::new(&name("tree"))
            .node(Node::of(&Job::service(&name("db"))).post(Hook::of(&Job::batch(&name("seed")))))
            .node(Node::of(&Job::service(&name("gone"))))
    };
    let stop = |n: &str| tree(n).stopped("purge = true").run("2");
    let id = story.id("tree");
    let whole = policy(&story, &stop("").hcl());
    let less = each_without(&whole);
    assert_eq!(less.len(), 7, "{whole}");
    let names: Vec<String> = (0..less.len()).map(|n| format!("-{n}")).chain([String::new()]).collect();
    for n in &names {
        attach(&story, &tree(n).id, &crate::tree_access::policy());
        story.run_tree(&tree(n));
    }
    for n in &names {
        story.tree(&tree(n).id).succeeds(seconds(120));
    }
    story.is_judged_up_to_now();
    for n in &names {
        // A stop finds jobs that are gone already, too.
        story.purge(&story.id(&format!("gone{n}")));
    }
    attach(&story, &id, &whole);
    for (n, (_, rules)) in less.iter().enumerate() {
        let less = stop(&format!("-{n}"));
        attach(&story, &less.id, &rules.replace(&id, &less.id));
    }
    for n in &names {
        story.run_tree(&stop(n));
    }
    let left = |n: &str| story.get(&format!("/v1/vars?prefix=dtree/default/{}/default", tree(n).id));
    let is_purged = |n: &str| {
        story.within(SOON, "the job is purged", || match story.job(&story.id(&format!("db{n}"))) {
            Err(_) => Ok(()),
            Ok(job) => Err(job.to_string()),
        });
    };
    story.tree(&id).succeeds(seconds(120));
    is_purged("");
    assert!(!told(&story, &id).contains("does not allow"), "it is not enough:\n{whole}");
    assert_eq!(left(""), json!([]), "what was written down of a job that is purged goes with it");
    for (n, (what, _)) in less.iter().enumerate() {
        let n = format!("-{n}");
        if what.starts_with("destroy") {
            is_purged(&n);
            assert_ne!(left(&n), json!([]), "nothing is missing without {what}:\n{whole}");
        } else {
            lacks(&story, &stop(&n).id, what, &whole);
        }
    }
}

/// A token with these rules.
fn token(story: &Story, rules: &str) -> String {
    let name = story.id("doctor");
    story.post(&format!("/v1/acl/policy/{name}"), &json!({ "Name": name, "Rules": rules }));
    let made = story.post("/v1/acl/token", &json!({ "Name": name, "Type": "client", "Policies": [name] }));
    made["SecretID"].as_str().expect("a token has a secret").to_owned()
}

/// What the doctor finds, by how: good, bad, unknown.
fn findings(
    story: &Story,
    token: Option<&str>,
    words: &[&str],
    stdin: &str,
    code: i32,
) -> Vec<(String, String)> {
    let words: Vec<&str> = ["doctor", "--json"].iter().chain(words).copied().collect();
    let (found, out, err) = dtree(story, token, &words, stdin);
    assert_eq!(found, code, "{out}{err}");
    let document: Value = serde_json::from_str(&out).expect("it is JSON");
    let list = document["findings"].as_array().cloned().unwrap_or_default();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    list.iter()
        .map(|finding| {
            (text(finding, "how"), format!("{} / {}", text(finding, "what"), text(finding, "remedy")))
        })
        .collect()
}

#[test]
fn the_doctor_tells_what_a_token_lacks_with_the_line_that_grants_it() {
    let story = CLUSTER.story();
    let tree = Tree::new(&story.id("tree")).node(Node::of(&Job::service(&story.id("db"))));
    let bad = |found: &[(String, String)]| -> Vec<String> {
        found.iter().filter(|(how, _)| how == "bad").map(|(_, what)| what.clone()).collect()
    };
    let whole = format!("{}\nnode {{\n  policy = \"read\"\n}}\n", policy(&story, &tree.hcl()));
    let good = token(&story, &whole);
    let found = findings(&story, Some(&good), &["-"], &tree.hcl(), 0);
    assert!(found.iter().any(|(how, what)| how == "good" && what.contains("is healthy on")), "{found:?}");
    assert!(found.iter().any(|(_, what)| what.starts_with("this token has submit-job")), "{found:?}");

    let none = token(&story, "node {\n  policy = \"read\"\n}\n");
    let found = bad(&findings(&story, Some(&none), &["-"], &tree.hcl(), 1));
    for lacks in ["list-jobs", "read-job", "submit-job", "write on the variables dtree/default/"] {
        assert!(found.iter().any(|what| what.starts_with(&format!("this token lacks {lacks}"))), "{found:?}");
    }
    assert!(found[0].contains("namespace \"default\" { capabilities = ["), "{found:?}");

    let (without, _) = whole.split_once("  variables").expect("it has them");
    let refused = token(&story, &format!("{without}}}\nnode {{\n  policy = \"read\"\n}}\n"));
    let found = bad(&findings(&story, Some(&refused), &["-"], &tree.hcl(), 1));
    assert!(found.len() == 2 && found.iter().all(|what| what.contains("on the variables")), "{found:?}");

    let found = bad(&findings(&story, None, &[], "", 1));
    assert!(found.len() == 1 && found[0].contains("NOMAD_TOKEN"), "{found:?}");
}

#[test]
fn the_doctor_tells_that_the_driver_is_not_healthy() {
    let plugin = "config {\n nomad {\n address = \"nowhere\"\n }\n }";
    let story = Story::alone(Options { plugin: plugin.to_owned(), ..Options::default() });
    let found = findings(&story, None, &[], "", 1);
    let bad = found.iter().find(|(how, _)| how == "bad").expect("it found something");
    assert!(bad.1.contains("is not healthy") && bad.1.contains("nowhere"), "{found:?}");
}

#[test]
fn the_doctor_tells_that_the_driver_is_of_another_version() {
    let story = Story::alone(Options::default());
    // This program, but for its version: for it the driver is of another one.
    let other = story.cluster().dir().join("other-dtree");
    let mut program = fs::read(env!("CARGO_BIN_EXE_dtree")).expect("dtree was built");
    let (own, version) = (env!("CARGO_PKG_VERSION").as_bytes(), b"9.9.9");
    let mut at = 0;
    while let Some(found) = program[at..].windows(own.len()).position(|window| window == own) {
        at += found;
        program[at..at + own.len()].copy_from_slice(version);
    }
    fs::write(&other, program).expect("there is room");
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).expect("it is ours");
    // A client tells its driver's attributes some seconds after the driver.
    let found = story.within(SOON, "the version of the driver to be told", || {
        let doctor = Command::new(&other)
            .arg("doctor")
            .env("NOMAD_ADDR", story.cluster().api().url())
            .env_remove("NOMAD_TOKEN")
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&[doctor.stdout, doctor.stderr].concat()).into_owned();
        if doctor.status.code() == Some(1) { Ok(said) } else { Err(format!("{}: {said}", doctor.status)) }
    });
    assert!(found.contains("is version 0.1.0, and this is 9.9.9"), "{found}");
    assert!(found.contains("put this binary into its plugin_dir"), "{found}");
}

#[test]
fn the_doctor_tells_that_the_driver_is_missing() {
    let story = Story::alone(Options { lacks_plugin: true, ..Options::default() });
    let found = findings(&story, None, &[], "", 1);
    let bad = found.iter().find(|(how, _)| how == "bad").expect("it found something");
    assert!(bad.1.contains("the driver is missing on") && bad.1.contains("plugin_dir"), "{found:?}");
}

//! Approvals that are given by dtree's own command line, to tasks and to a tree that is run from a shell.

use serde_json::{Value, json};

use crate::cli_look::dtree;
use crate::cli_submit::{Written, ended};
use crate::harness::Options;
use crate::story::{Job, Node, SOON, Shared, Story, Tree};

static CLUSTER: Shared = Shared::new(Options::default);
static GUARDED: Shared = Shared::new(|| Options { acl: true, ..Options::default() });

fn approval(label: &str) -> String {
    format!("wait \"{label}\" {{\n approval = \"{label} is announced\"\n}}\n")
}

/// The exit code, and all that is said.
fn approve(story: &Story, token: Option<&str>, words: &[&str]) -> (i32, String) {
    let words: Vec<&str> = ["approve"].iter().chain(words).copied().collect();
    let (code, out, err) = dtree(story, token, &words, "");
    (code, out + &err)
}

#[test]
fn a_gate_is_approved_from_a_shell_by_whoever_is_meant() {
    let story = CLUSTER.story();
    let web = story.id("web");
    let (code, said) = approve(&story, None, &[&web]);
    assert!(code == 1 && said.contains("has no task of dtree that runs"), "{code}: {said}");

    story.run(&Job::service(&web).gate(&[approval("release"), approval("word")].join("\n")));
    story.gate(&web).says(SOON, "approve release");
    let (code, said) = approve(&story, None, &[&web]);
    assert!(code == 2 && said.contains("several approvals are waited for: release, word"), "{code}: {said}");
    let (code, told, _) = dtree(&story, None, &["approve", &web, "--json"], "");
    let told: Value = serde_json::from_str(&told).expect("it is JSON");
    assert_eq!((code, &told["approved"]), (2, &json!([])), "{told}");
    assert_eq!([&told["open"][0]["name"], &told["open"][1]["name"]], ["release", "word"], "{told}");
    let (code, said) = approve(&story, None, &[&web, "relaese"]);
    let words = "dtree: \"relaese\" does not wait for an approval now; these do: release, word\n";
    assert_eq!((code, said.as_str()), (1, words));
    story.gate(&web).still_waits();

    let alloc = story.gate(&web).allocation();
    let (code, said) = approve(&story, None, &[&alloc[..8], "release", "--by", "kim of ops"]);
    assert_eq!((code, said.as_str()), (0, "release is approved\n"));
    story.main(&web).has_never_started();
    let (code, told, said) = dtree(&story, None, &["approve", &web, "--json"], "");
    let told: Value = serde_json::from_str(&told).expect("it is JSON");
    assert_eq!((code, said.as_str()), (0, ""), "{told}");
    let given = &told["approved"][0];
    assert_eq!(
        (&given["name"], &given["allocation"], &given["task"]),
        (&json!("word"), &json!(alloc), &json!("gate"))
    );
    story.main(&web).runs(SOON);
    story.gate(&web).says(SOON, "approved by kim of ops");
    let (code, said) = approve(&story, None, &[&web]);
    assert!(code == 1 && said.contains("nothing waits for an approval now"), "{code}: {said}");
}

#[test]
fn each_of_several_allocations_is_named_and_all_are_approved_when_that_is_said() {
    let story = CLUSTER.story();
    let web = story.id("web");
    story.run(&Job::service(&web).count(2).gate(&approval("release")));
    story.within(SOON, "two gates wait", || {
        let allocations = story.allocations(&web)?;
        let asks = |alloc: &&Value| alloc["TaskStates"]["gate"].to_string().contains("approve release");
        match allocations.iter().filter(asks).count() {
            2 => Ok(()),
            n => Err(format!("{n} of {}", allocations.len())),
        }
    });
    let (code, said) = approve(&story, None, &[&web, "release"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("2 tasks wait for this approval") && said.contains("`--all`"), "{said}");
    for alloc in story.allocations(&web).unwrap_or_default() {
        let id = alloc["ID"].as_str().unwrap_or_default().to_owned();
        assert!(said.contains(&format!("allocation {} of job default/{web}, task gate", &id[..8])), "{said}");
    }
    let (code, said) = approve(&story, None, &[&web, "--all"]);
    assert_eq!((code, said.as_str()), (0, "release is approved\nrelease is approved\n"));
    story.is_healthy(&web);
}

#[test]
fn a_tree_is_approved_by_its_name() {
    let story = CLUSTER.story();
    let [web, tree] = ["web", "tree"].map(|name| story.id(name));
    let tree =
        Tree::new(&tree).option(&approval("release")).node(Node::of(&Job::service(&web)).after(&["release"]));
    story.run_tree(&tree);
    story.tree(&tree.id).says(SOON, "approve release");
    story.were_never_registered(&[&web]);
    let (code, said) = approve(&story, None, &[&tree.id, "release"]);
    assert_eq!((code, said.as_str()), (0, "release is approved\n"));
    story.tree(&tree.id).succeeds(SOON);
}

#[test]
fn a_tree_that_a_shell_carries_out_is_approved_from_another() {
    let story = CLUSTER.story();
    let [web, id] = ["web", "shell"].map(|name| story.id(name));
    story.knows([(web.clone(), "default".to_owned())]);
    let tree =
        Written::new(&id).block(&approval("release")).job(&Job::service(&web), "depends_on = [\"release\"]");
    let run = tree.command(&story, &["run"]);
    let words = [id.as_str(), "relaese"];
    story.within(SOON, "the process asks for it", || match approve(&story, None, &words) {
        (1, said) if said.contains("these do: release") => Ok(()),
        (code, said) => Err(format!("{code}: {said}")),
    });
    story.were_never_registered(&[&web]);
    let (code, said) = approve(&story, None, &[&id, "--by", "kim"]);
    assert_eq!((code, said.as_str()), (0, "release is approved\n"));
    let (code, said) = ended(run);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&format!("`dtree approve {id} release`")), "{said}");
    assert!(said.contains("approved by kim"), "{said}");
    let (code, said) = approve(&story, None, &[&id]);
    assert!(code == 1 && said.contains("nothing waits for an approval now"), "{code}: {said}");

    // Another run asks anew, and may have been told before.
    let (code, said) = ended(tree.command(&story, &["run", "--approve", "release"]));
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("1 unchanged"), "{said}");
}

/// A token with these rules.
fn token(story: &Story, name: &str, rules: &str) -> String {
    let name = story.id(name);
    story.post(&format!("/v1/acl/policy/{name}"), &json!({ "Name": name, "Rules": rules }));
    let made = story.post("/v1/acl/token", &json!({ "Name": name, "Type": "client", "Policies": [name] }));
    made["SecretID"].as_str().expect("a token has a secret").to_owned()
}

#[test]
fn a_token_that_may_not_approve_is_told_what_it_lacks() {
    let story = GUARDED.story();
    let web = story.id("web");
    story.run(&Job::service(&web).gate(&approval("release")));
    story.gate(&web).says(SOON, "approve release");
    let reads =
        token(&story, "reads", "namespace \"default\" { capabilities = [\"list-jobs\", \"read-job\"] }");
    let (code, said) = approve(&story, Some(&reads), &[&web, "release"]);
    assert_eq!(code, 2, "{said}");
    let hint = "namespace \"default\" { capabilities = [\"list-jobs\", \"read-job\", \"alloc-exec\"] }";
    assert!(said.contains("does not allow your token to") && said.contains(hint), "{said}");
    story.gate(&web).still_waits();

    // What it is told to have is enough.
    let gives = token(&story, "gives", hint);
    let (code, said) = approve(&story, Some(&gives), &[&web, "release"]);
    assert_eq!((code, said.as_str()), (0, "release is approved\n"));
    story.main(&web).runs(SOON);
}

/// The lines of policies that `dtree policy` gives to whoever approves.
fn for_approvers(policy: &str) -> Vec<String> {
    let lines = policy.lines().filter_map(|line| line.strip_prefix("#     namespace"));
    lines.map(|rules| format!("namespace{rules}")).collect()
}

#[test]
fn what_an_approver_is_said_to_need_is_enough_and_not_more() {
    let story = GUARDED.story();
    let [web, id] = ["web", "shell"].map(|name| story.id(name));
    story.knows([(web.clone(), "default".to_owned())]);
    let tree =
        Written::new(&id).block(&approval("release")).job(&Job::service(&web), "depends_on = [\"release\"]");
    let (code, policy) = ended(tree.command(&story, &["policy"]));
    assert_eq!(code, 0, "{policy}");
    let policies = for_approvers(&policy);
    let [of_task, of_shell] = policies.as_slice() else { panic!("{policy}") };
    let management = story.cluster().api().token().expect("ACLs are on").to_owned();
    let run = tree.command(&story, &["run", "--token", &management]);

    let no = token(&story, "no", of_task);
    let yes = token(&story, "yes", of_shell);
    let wrong = [id.as_str(), "relaese"];
    story.within(SOON, "the process asks for it", || match approve(&story, Some(&yes), &wrong) {
        (1, said) if said.contains("these do: release") => Ok(()),
        (code, said) => Err(format!("{code}: {said}")),
    });
    let (code, said) = approve(&story, Some(&no), &[&id, "release"]);
    assert!(code == 2 && said.contains("does not allow your token to read the variable"), "{code}: {said}");
    let less = of_shell.replacen("\"read\", \"write\"", "\"read\"", 1);
    assert_ne!(&less, of_shell);
    let less = token(&story, "less", &less);
    let (code, said) = approve(&story, Some(&less), &[&id, "release"]);
    assert!(code == 2 && said.contains("does not allow your token to write the variable"), "{code}: {said}");
    story.were_never_registered(&[&web]);
    let (code, said) = approve(&story, Some(&yes), &[&id, "release"]);
    assert_eq!((code, said.as_str()), (0, "release is approved\n"));
    let (code, said) = ended(run);
    assert_eq!(code, 0, "{said}");
}

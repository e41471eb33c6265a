//! A Consul that wants a token, or a certificate, or answers badly; and a tree that waits for all that is no job.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::json;

use crate::harness::{Consul, Options, free_ports};
use crate::outside::with_consul;
use crate::story::{Job, Manner, Node, Relay, SOON, Story, Switch, Tree};
use crate::tls::Papers;

/// A job whose gate waits for a key, and one whose gate waits for a service.
fn two_gates(story: &Story) -> [String; 2] {
    let (after_db, after_key) = (story.id("after-db"), story.id("after-key"));
    let service = "wait \"it\" {\n service = \"db\"\n provider = \"consul\"\n}";
    story.run(&Job::service(&after_db).gate(service));
    let key = "wait \"it\" {\n consul_key = \"shop/release\"\n equals = \"2.0\"\n}";
    story.run(&Job::service(&after_key).gate(key));
    [after_db, after_key]
}

/// Both gates see what is not so yet, and open when it is.
fn both_open(story: &Story, consul: &Consul, [after_db, after_key]: &[String; 2]) {
    consul.put("/v1/kv/shop/release", "1.0");
    story.gate(after_db).says(SOON, "is critical");
    story.gate(after_key).says(SOON, "is something else");
    for gated in [after_db, after_key] {
        story.gate(gated).still_waits();
        story.main(gated).has_never_started();
        story.makes_it_so(gated, "it");
    }
    consul.passes("db");
    consul.put("/v1/kv/shop/release", "2.0");
    for gated in [after_db, after_key] {
        story.gate(gated).succeeds(SOON);
        story.main(gated).runs(SOON);
    }
}

#[test]
fn a_token_with_just_the_rights_opens_and_one_without_is_told_which() {
    let papers = tempfile::tempdir().expect("a temporary directory");
    let token_file = papers.path().join("token");
    let [port] = free_ports().expect("loopback has free ports");
    let address = format!("http://127.0.0.1:{port}");
    let plugin = format!(
        "config {{\n consul {{\n address = \"{address}\"\n token_file = \"{}\"\n}}\n}}",
        token_file.display()
    );
    let story = Story::alone(Options { plugin, ..Options::default() });
    let consul = Consul::start_with_acls(story.cluster().dir(), port).unwrap_or_else(|why| panic!("{why}"));
    consul.register("db", &[]);
    let other = consul.token_that_may("other", "key \"another\" { policy = \"read\" }");
    fs::write(&token_file, &other).expect("it is written");

    let gates = two_gates(&story);
    let (service, key) = (
        "service \"db\" { policy = \"read\" } node_prefix \"\" { policy = \"read\" }",
        "key \"shop/release\" { policy = \"read\" }",
    );
    for (gated, right) in gates.iter().zip([service, key]) {
        let said = story.gate(gated).says(SOON, right);
        assert!(said.contains("consul.token_file") && !said.contains(&other), "{said}");
        story.gate(gated).still_waits();
    }
    // Whoever shows no token is shown nothing, and Consul does not say so.
    story.within(SOON, "a shell to be told the right", || {
        let output = Command::new(env!("CARGO_BIN_EXE_dtree"))
            .args(["wait", "service/consul:db", "--consul-addr", &address, "--timeout", "2s"])
            .env_clear()
            .output()
            .expect("the command runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let is_so = output.status.code() == Some(1) && said.contains(service);
        if is_so { Ok(()) } else { Err(said) }
    });

    // Exactly what the messages have said.
    let enough = consul.token_that_may("enough", &format!("{service}\n{key}"));
    fs::write(&token_file, enough).expect("it is written");
    both_open(&story, &consul, &gates);
}

#[test]
fn one_that_hangs_floods_and_talks_nonsense_is_asked_again_until_it_answers() {
    let [port] = free_ports().expect("loopback has free ports");
    let relay = Relay::to(port, Manner::Hangs);
    let plugin = format!("config {{\n consul {{\n address = \"http://{}\"\n}}\n}}", relay.address());
    let story = Story::alone(Options { plugin, ..Options::default() });
    let consul = Consul::start(story.cluster().dir(), port).unwrap_or_else(|why| panic!("{why}"));
    // All is so already, and only that nobody can be asked is in the way.
    consul.register("db", &[]);
    consul.passes("db");
    consul.put("/v1/kv/shop/release", "2.0");
    let gates = two_gates(&story);

    for (manner, words) in [
        (Manner::Hangs, "did not answer within 10 s"),
        (Manner::Floods, "is longer than 2097152 bytes"),
        (Manner::Babbles, "cannot reach Consul"),
    ] {
        relay.turns(manner);
        for gated in &gates {
            story.within(SOON, &format!("{gated} to tell of one that {manner:?}"), || {
                let (_, why) = story.gate(gated).exec(&["why"]);
                if why.contains(words) { Ok(()) } else { Err(why) }
            });
        }
        story.within(SOON, &format!("one that {manner:?} to be asked again"), || match relay.callers() {
            n if n > gates.len() * 2 => Ok(()),
            n => Err(format!("asked {n} times")),
        });
        for gated in &gates {
            story.gate(gated).still_waits();
            story.main(gated).has_never_started();
        }
    }
    // What is not read is in the buffers of two sockets.
    assert!(relay.most() < 64 << 20, "{} bytes were taken of one answer", relay.most());

    for gated in &gates {
        story.makes_it_so(gated, "it");
    }
    relay.turns(Manner::Passes);
    for gated in &gates {
        story.gate(gated).succeeds(SOON);
        story.main(gated).runs(SOON);
    }
}

#[test]
fn over_tls_either_side_proves_who_it_is() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let papers = Papers::new(&dir.path().join("papers"));
    let strangers = Papers::new(&dir.path().join("strangers"));
    papers.issue("consul", &["127.0.0.1", "localhost"]);
    papers.issue("dtree", &["dtree"]);
    let ca = dir.path().join("ca.pem");
    fs::copy(strangers.path("ca.pem"), &ca).expect("it is copied");
    let ports = free_ports().expect("loopback has free ports");
    let plugin = format!(
        "config {{\n consul {{\n address = \"https://127.0.0.1:{}\"\n ca_file = \"{}\"\n cert_file = \"{}\"\n key_file = \"{}\"\n}}\n}}",
        ports[1],
        ca.display(),
        papers.path("dtree.pem"),
        papers.path("dtree-key.pem")
    );
    let story = Story::alone(Options { plugin, ..Options::default() });
    let own = ["ca.pem", "consul.pem", "consul-key.pem"].map(|name| papers.path(name));
    let files = [own[0].as_str(), &own[1], &own[2]];
    let consul =
        Consul::start_with_tls(story.cluster().dir(), ports, files).unwrap_or_else(|why| panic!("{why}"));
    consul.register("db", &[]);
    let gates = two_gates(&story);
    for gated in &gates {
        story.gate(gated).says(SOON, "was issued by an authority that is not in");
        story.gate(gated).still_waits();
    }

    // What stands in the file is read again.
    fs::copy(papers.path("ca.pem"), &ca).expect("it is copied");
    both_open(&story, &consul, &gates);
}

#[test]
fn a_tree_waits_for_services_for_a_key_for_a_variable_and_for_a_word() {
    let (story, consul) = with_consul(Options::default());
    let (db, web, path, switch) = (story.id("db"), story.id("web"), story.id("release"), Switch::new());
    let labels = ["nomads", "consuls", "key", "variable", "word"];
    let waits = [
        format!("service = \"{db}\""),
        "service = \"cache\"\n provider = \"consul\"\n tags = [\"primary\"]".to_owned(),
        "consul_key = \"shop/release\"\n equals = \"2.0\"".to_owned(),
        format!("variable = \"{path}\"\n key = \"v\"\n equals = \"7\""),
        "approval = \"the release is announced\"".to_owned(),
    ];
    let blocks: BTreeMap<_, _> = labels.into_iter().zip(&waits).collect();
    let blocks: Vec<String> =
        blocks.iter().map(|(label, wait)| format!("wait \"{label}\" {{\n {wait}\n }}")).collect();
    let tree = Tree::new(&story.id("tree"))
        .option(&blocks.join("\n"))
        .node(Node::of(&Job::service(&web)).after(&labels));
    consul.register("cache", &["primary"]);
    consul.put("/v1/kv/shop/release", "1.0");
    story.run(&Job::service(&db).check(switch.port()));
    story.run_tree(&tree);
    let says = |label: &str, words: &str| {
        story.within(SOON, &format!("{label} to say {words:?}"), || {
            let (_, said) = story.tree(&tree.id).exec(&["status"]);
            let is_so = said.lines().any(|line| line.contains(label) && line.contains(words));
            if is_so { Ok(()) } else { Err(said) }
        });
        story.were_never_registered(&[&web]);
    };
    says("nomads", "fails");
    says("consuls", "is critical");
    says("key", "is something else");
    says("variable", "there is no variable");
    says("word", "approve word");

    let is_so = |label: &str| {
        story.within(SOON, &format!("{label} to be satisfied"), || {
            let (_, said) = story.tree(&tree.id).exec(&["status"]);
            let is_so = said.lines().any(|line| line.contains(label) && line.contains("satisfied"));
            if is_so { Ok(()) } else { Err(said) }
        });
        story.were_never_registered(&[&web]);
    };
    story.makes_it_so(&tree.id, "nomads");
    switch.turn_on();
    is_so("nomads");
    story.makes_it_so(&tree.id, "consuls");
    consul.passes("cache");
    is_so("consuls");
    story.makes_it_so(&tree.id, "key");
    consul.put("/v1/kv/shop/release", "2.0");
    is_so("key");
    story.makes_it_so(&tree.id, "variable");
    story.post(&format!("/v1/var/{path}"), &json!({ "Path": path, "Items": { "v": "7" } }));
    is_so("variable");
    story.makes_it_so(&tree.id, "word");
    let (code, said) = story.tree(&tree.id).exec(&["approve", "word", "--by", "kim"]);
    assert!(code == 0 && said.contains("word is approved"), "{code}: {said}");
    story.tree(&tree.id).succeeds(SOON);
    story.main(&web).runs(SOON);
}

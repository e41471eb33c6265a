//! The command line of nomad-dtree, unchanged, with what its users asked for: real readiness, hooks that count, stops in order.

use std::process::Command;
use std::{fs, thread};

use crate::cli_look::dtree;
use crate::harness::{Consul, Options, free_ports};
use crate::story::{Job, SOON, Shared, Story, Switch, Tally};
use crate::tls::Papers;

static CLUSTER: Shared = Shared::new(Options::default);

/// A small shop: its jobs, by the names of their files, the file that says what depends on what, and what tells of it.
struct Shop {
    jobs: Vec<(String, String)>,
    file: String,
    /// The same as the inside of a tree's block, for the oracle.
    body: String,
    db: String,
    api: String,
    /// What has begun and ended, in its order.
    tally: Tally,
    /// Whether db is healthy.
    switch: Switch,
}

impl Shop {
    fn of(story: &Story) -> Self {
        let [db, setup, api] = ["db", "setup", "api"].map(|name| story.id(name));
        let (tally, switch) = (story.tally("shop"), Switch::new());
        // It says when it is told to end, too.
        let server = |name: &str| {
            let ends = tally.script(&format!("{name} ends"), "exit 0");
            tally.script(name, &format!("trap '{ends}' INT TERM; while :; do sleep 0.05; done"))
        };
        // A hook is over when its script is.
        let script =
            tally.script("setup $(date +%s%N)", &format!("sleep 1; {}", tally.script("set up", "exit 0")));
        let jobs = vec![
            (
                db.clone(),
                Job::service(&db).script(&server("db")).kill_timeout("30s").check(switch.port()).hcl(),
            ),
            (setup.clone(), Job::batch(&setup).script(&script).hcl()),
            (api.clone(), Job::service(&api).script(&server("api")).kill_timeout("30s").hcl()),
        ];
        let file = format!(
            r#"{{"dependencies":{{"{api}":{{"wait_cond":7,"pre":{{"job":"{db}"}}}},"{db}":{{"wait_cond":5,"post":{{"job":"{setup}","wait_cond":3}}}}}}}}"#
        );
        let body = format!(
            "job \"{db}\" {{\n jobspec = \"x\"\n post \"{setup}\" {{\n jobspec = \"x\"\n}}\n}}\njob \"{api}\" {{\n jobspec = \"x\"\n depends_on = [\"{db}\"]\n}}\n"
        );
        story.knows([&db, &api].map(|id| (id.clone(), "default".to_owned())));
        Self { jobs, file, body, db, api, tally, switch }
    }

    /// What it is, and what of it is stopped.
    fn stopped(&self, stop: &str) -> String {
        format!("verb = \"stop\"\nstop {{\n{stop}\n}}\n{}", self.body)
    }

    /// Runs api, while db becomes healthy some time after it has begun.
    fn runs(&self, story: &Story, run: impl FnOnce() + Send) {
        thread::scope(|scope| {
            let run = scope.spawn(run);
            story.main(&self.db).runs(SOON);
            story.within(SOON, "db to be asked whether it is well, in vain", || {
                let alloc = story.allocations(&self.db)?.first().map(|alloc| alloc["ID"].clone());
                let id = alloc.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
                let checks = story.get(&format!("/v1/client/allocation/{id}/checks")).to_string();
                if checks.contains("failure") { Ok(()) } else { Err(checks) }
            });
            self.switch.turn_on();
            run.join().expect("it says what it should");
        });
        story.main(&self.api).runs(SOON);
        self.has_done(story, &["db", "setup", "set up", "api"]);
        // No wait is so many seconds long: it is as long as db takes to be well.
        let text = self.tally.text();
        let began = text.lines().find_map(|line| line.strip_prefix("setup ")).expect("it has begun");
        let passed = self.switch.passed().expect("it is on").as_nanosecond();
        assert!(began.parse::<i128>().expect("a time") > passed, "the hook has not waited for its job");
    }

    /// What has begun and ended, in its order. A task that runs writes that down a moment later.
    fn has_done(&self, story: &Story, wanted: &[&str]) {
        story.within(SOON, &format!("{wanted:?} to be all that has happened"), || {
            let text = self.tally.text();
            let lines = text.lines().map(|line| if line.starts_with("setup ") { "setup" } else { line });
            if lines.eq(wanted.iter().copied()) { Ok(()) } else { Err(text) }
        });
    }
}

/// It does what it is asked to: carries out the tree of this name with this inside.
fn is_done(story: &Story, tree: &str, body: &str, words: &[&str]) {
    let shell = story.carries_out(tree, body, true);
    let (code, out, err) = dtree(story, None, words, "");
    assert_eq!(code, 0, "dtree {words:?}\n{out}{err}");
    shell.ended(code, &format!("{out}{err}"));
}

/// What the older tool's command line comes to with these variables, and no others.
fn with_variables(words: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_dtree"))
        .args(words)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .expect("dtree was built");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.code().unwrap_or(-1), said)
}

#[test]
fn its_files_are_carried_out_in_order_and_stopped_in_the_other() {
    let story = CLUSTER.story();
    let shop = Shop::of(&story);
    let Shop { jobs, file, db, api, .. } = &shop;
    let home = tempfile::tempdir().expect("a directory");
    let depfile = home.path().join(format!("{}.json", story.id("dependency")));
    fs::write(&depfile, file).expect("it is ours");
    for (name, hcl) in jobs {
        fs::write(home.path().join(format!("{name}.nomad")), hcl).expect("it is ours");
    }
    let address = story.cluster().api().url();
    let (depfile, home) = (depfile.display().to_string(), home.path().display().to_string());
    let files = ["--store", "filesystem", "--fs-depfile-path", &depfile, "--fs-jobs-path", &home];
    let with = |words: &[&str]| -> Vec<String> {
        words
            .iter()
            .chain(&["--nomad-addr", address.as_str()])
            .chain(&files)
            .map(ToString::to_string)
            .collect()
    };
    let tree = story.id("dependency");
    let run = |body: &str, words: &[&str]| {
        let words = with(words);
        is_done(&story, &tree, body, &words.iter().map(String::as_str).collect::<Vec<_>>());
    };
    shop.runs(&story, || run(&shop.body, &["run", "--job", api]));

    // Nothing has changed, so nothing is done.
    let before = [db, api].map(|id| story.stamp(id));
    run(&shop.body, &["run", "--job", api]);
    assert_eq!([db, api].map(|id| story.stamp(id)), before);

    // The job is stopped, and nothing else; deep, it is gone before what it depends on.
    run(&shop.stopped(&format!("target = \"{api}\"")), &["stop", "--job", api]);
    story.has_stopped(api);
    let mut done = vec!["db", "setup", "set up", "api", "api ends"];
    shop.has_done(&story, &done);
    run(&shop.body, &["run", "--job", api]);
    // What is forgotten cannot be judged at the end.
    story.is_judged_up_to_now();
    let deep = shop.stopped(&format!("purge = true\nwith_dependencies = true\ntarget = \"{api}\""));
    run(&deep, &["stop", "--job", api, "--deep", "-purge"]);
    done.extend(["api", "api ends", "db ends"]);
    shop.has_done(&story, &done);
    for id in [db, api] {
        assert!(story.versions(id).is_empty(), "{id} is still there");
    }
}

#[test]
fn its_store_in_consul_is_the_same() {
    let story = CLUSTER.story();
    let [port] = free_ports().expect("loopback has free ports");
    let consul = Consul::start(story.cluster().dir(), port).unwrap_or_else(|why| panic!("{why}"));
    let shop = Shop::of(&story);
    let Shop { jobs, file, api, .. } = &shop;
    let key = story.id("dependency");
    consul.put(&format!("/v1/kv/{key}"), file);
    for (name, hcl) in jobs {
        consul.put(&format!("/v1/kv/jobs/{name}.nomad"), hcl);
    }
    let (nomad, address) = (story.cluster().api().url(), format!("127.0.0.1:{port}"));
    let words = [
        "run",
        "--job",
        api,
        "--server-addr",
        nomad.as_str(),
        "--store",
        "consul",
        "--consul-addr",
        &address,
        "--consul-depfile-path",
        &key,
        "--consul-jobs-path",
        "jobs",
    ];
    // An api that nomad-dtree may have submitted is there already: it is brought up to its file.
    story.run(&Job::service(api));
    shop.runs(&story, || is_done(&story, &key, &shop.body, &words));
}

#[test]
fn its_basic_example_is_carried_out_by_variables_alone() {
    let story = CLUSTER.story();
    let names = ["redis", "api", "nginx"];
    let [redis, api, nginx] = names.map(|name| story.id(name));
    let (tree, space) = (story.id("basic"), story.make_namespace("shop"));
    let switch = Switch::new();
    let home = tempfile::tempdir().expect("a directory");
    // What a file is called is what the tree calls it; what the job in it is called, and where it is, is its own.
    let jobs = [
        Job::service(&redis).check(switch.port()),
        Job::service(&api).namespace(&space),
        Job::service(&nginx),
    ];
    for (name, job) in names.iter().zip(&jobs) {
        fs::write(home.path().join(format!("{name}.nomad")), job.hcl()).expect("it is ours");
    }
    let spaces = ["default", &space, "default"];
    story.knows(
        [&redis, &api, &nginx].into_iter().zip(spaces).map(|(id, space)| (id.clone(), space.to_owned())),
    );
    let depfile = home.path().join(format!("{tree}.json"));
    let text = r#"{"dependencies": {
  "nginx": {"wait_cond": 5, "pre": {"job": "api"}},
  "api": {"wait_cond": 7, "pre": {"job": "redis"}},
  "redis": {"wait_cond": 5}
}}"#;
    fs::write(&depfile, text).expect("it is ours");
    let body = "job \"redis\" {\n jobspec = \"x\"\n}\njob \"api\" {\n jobspec = \"x\"\n depends_on = [\"redis\"]\n}\njob \"nginx\" {\n jobspec = \"x\"\n depends_on = [\"api\"]\n}\n";
    let address = story.cluster().api().url();
    let (depfile, jobs) = (depfile.display().to_string(), home.path().display().to_string());
    let variables = [
        ("NOMAD_ADDR", address.as_str()),
        ("FS_DEP_FILEPATH", depfile.as_str()),
        ("FS_JOBS_PATH", jobs.as_str()),
    ];

    let shell = story.carries_out(&tree, body, true);
    let (code, said) = thread::scope(|scope| {
        let run = scope.spawn(|| with_variables(&["run", "--job", "nginx"], &variables));
        story.main(&redis).runs(SOON);
        switch.turn_on();
        run.join().expect("it says what it should")
    });
    assert_eq!(code, 0, "{said}");
    shell.ended(code, &said);
    story.main(&nginx).runs(SOON);
    let passed = switch.passed().expect("it is on").as_nanosecond();
    let api_version = &story.versions(&api)[0];
    assert!(api_version["SubmitTime"].as_i64().map(i128::from) > Some(passed), "{api_version}");

    let stop = format!("verb = \"stop\"\nstop {{\nwith_dependencies = true\ntarget = \"nginx\"\n}}\n{body}");
    let shell = story.carries_out(&tree, &stop, true);
    let (code, said) = with_variables(&["stop", "--job", "nginx", "--deep"], &variables);
    assert_eq!(code, 0, "{said}");
    shell.ended(code, &said);
    for id in [&redis, &api, &nginx] {
        story.has_stopped(id);
    }
    // One that is not there is no success of a stop: it is said that there is none.
    story.is_judged_up_to_now();
    for id in [&redis, &api, &nginx] {
        story.purge(id);
    }
    let (code, said) = with_variables(&["stop", "--job", "nginx"], &variables);
    assert!(code == 0 && said.contains("not there") && !said.contains("stopped nginx"), "{code}: {said}");
}

#[test]
fn its_store_in_consul_may_want_a_token_and_certificates() {
    let story = CLUSTER.story();
    let dir = story.cluster().dir().join(story.id("papers"));
    let papers = Papers::new(&dir);
    papers.issue("consul", &["localhost"]);
    papers.issue("dtree", &["dtree"]);
    let [ca, cert, key] = ["ca.pem", "dtree.pem", "dtree-key.pem"].map(|name| papers.path(name));
    let [port, https] = free_ports().expect("loopback has free ports");
    let (own_cert, own_key) = (papers.path("consul.pem"), papers.path("consul-key.pem"));
    let consul = Consul::start_guarded(story.cluster().dir(), [port, https], [&ca, &own_cert, &own_key])
        .unwrap_or_else(|why| panic!("{why}"));
    let (web, tree) = (story.id("web"), story.id("depends"));
    story.knows([(web.clone(), "default".to_owned())]);
    let reader = consul.token_that_may("reader", "key_prefix \"shop/\" { policy = \"read\" }");
    let stranger = consul.token_that_may("stranger", "key_prefix \"other/\" { policy = \"read\" }");
    consul.put(
        &format!("/v1/kv/shop/{tree}"),
        &format!(r#"{{"dependencies": {{"{web}": {{"wait_cond": 1}}}}}}"#),
    );
    consul.put(&format!("/v1/kv/shop/jobs/{web}.nomad"), &Job::service(&web).hcl());

    let (nomad, address) = (story.cluster().api().url(), format!("localhost:{https}"));
    let (depfile, jobs) = (format!("shop/{tree}"), "shop/jobs".to_owned());
    let common = [
        ("NOMAD_ADDR", nomad.as_str()),
        ("CONSUL_ADDRESS", address.as_str()),
        ("CONSUL_DEP_FILEPATH", depfile.as_str()),
        ("CONSUL_JOBS_PATH", jobs.as_str()),
        ("CONSUL_HTTP_SSL", "true"),
    ];
    let run = |more: &[(&str, &str)], options: &[&str]| {
        let words = [&["run", "--job", &web, "--store", "consul"], options].concat();
        with_variables(&words, &[&common, more].concat())
    };
    let (authority, own) = (("CONSUL_CACERT", ca.as_str()), ("CONSUL_CLIENT_CERT", cert.as_str()));
    let (key_of, token) = (("CONSUL_CLIENT_KEY", key.as_str()), ("CONSUL_HTTP_TOKEN", reader.as_str()));
    for (variables, words) in [
        (&[authority, token][..], "certificate"),
        (&[own, key_of, token], "issued by an authority"),
        (&[authority, own, key_of], "CONSUL_HTTP_TOKEN"),
        (&[authority, own, key_of, ("CONSUL_HTTP_TOKEN", &stranger)], "policy"),
        (&[authority, own, key_of, token, ("CONSUL_HTTP_SSL", "false")], "CONSUL_HTTP_SSL=true"),
    ] {
        let (code, said) = run(variables, &[]);
        assert!(code == 2 && said.contains(words), "not about {words:?}: {code}: {said}");
        assert!(!said.contains(&reader) && !said.contains(&stranger), "{said}");
    }
    story.were_never_registered(&[&web]);

    let body = format!("job \"{web}\" {{\n jobspec = \"x\"\n}}\n");
    let shell = story.carries_out(&tree, &body, true);
    let (code, said) = run(&[authority, own, key_of, token], &[]);
    assert_eq!(code, 0, "{said}");
    shell.ended(code, &said);
    // The older tool's own words for the same files, and a file with the token.
    let file = dir.join("token");
    fs::write(&file, &reader).expect("it is written");
    let file = file.display().to_string();
    let files = ["--root-ca-file", ca.as_str(), "--cert-file", cert.as_str(), "--key-file", key.as_str()];
    let shell = story.carries_out(&tree, &body, true);
    let (code, said) = run(&[("CONSUL_HTTP_TOKEN_FILE", &file)], &files);
    assert!(code == 0 && said.contains("1 unchanged"), "{code}: {said}");
    shell.ended(code, &said);
    let own =
        [("ROOT_CA_FILE", ca.as_str()), ("CERT_FILE", cert.as_str()), ("KEY_FILE", key.as_str()), token];
    let shell = story.carries_out(&tree, &body, true);
    let (code, said) = run(&own, &[]);
    assert!(code == 0 && said.contains("1 unchanged"), "{code}: {said}");
    shell.ended(code, &said);
    let (code, said) = with_variables(
        &["run", "--job", &web, "--store", "consul"],
        &[&common[..2], &[("CONSUL_DEP_FILEPATH", "shop/none"), common[3], common[4]], &own].concat(),
    );
    assert!(code == 2 && said.contains("has no key shop/none"), "{code}: {said}");
}

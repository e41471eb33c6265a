//! The command line of nomad-dtree, unchanged, with what its users asked for: real readiness, hooks that count, stops in order.

use std::{fs, thread};

use crate::cli_look::dtree;
use crate::harness::{Consul, Options, free_ports};
use crate::story::{Job, SOON, Shared, Story, Switch, Tally};

static CLUSTER: Shared = Shared::new(Options::default);

/// A small shop: its jobs, by the names of their files, the file that says what depends on what, and what tells of it.
struct Shop {
    jobs: Vec<(String, String)>,
    file: String,
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
        story.knows([&db, &api].map(|id| (id.clone(), "default".to_owned())));
        Self { jobs, file, db, api, tally, switch }
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

/// It does what it is asked to.
fn is_done(story: &Story, words: &[&str]) {
    let (code, out, err) = dtree(story, None, words, "");
    assert_eq!(code, 0, "dtree {words:?}\n{out}{err}");
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
    let run = |words: &[&str]| {
        let words = with(words);
        is_done(&story, &words.iter().map(String::as_str).collect::<Vec<_>>());
    };
    shop.runs(&story, || run(&["run", "--job", api]));

    // Nothing has changed, so nothing is done.
    let before = [db, api].map(|id| story.stamp(id));
    run(&["run", "--job", api]);
    assert_eq!([db, api].map(|id| story.stamp(id)), before);

    // The job is stopped, and nothing else; deep, it is gone before what it depends on.
    run(&["stop", "--job", api]);
    story.has_stopped(api);
    let mut done = vec!["db", "setup", "set up", "api", "api ends"];
    shop.has_done(&story, &done);
    run(&["run", "--job", api]);
    run(&["stop", "--job", api, "--deep", "-purge"]);
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
    shop.runs(&story, || is_done(&story, &words));
}

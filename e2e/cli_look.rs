//! What the command line shows of a cluster, and what it waits for.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::{Options, seconds};
use crate::story::{Hook, Job, Node, SOON, Shared, Story, Switch, Tree};

static CLUSTER: Shared = Shared::new(Options::default);

/// Runs dtree's own command line against the story's Nomad, with this token or none: its exit code, what it prints, and
/// what it says beside that.
pub(crate) fn dtree(
    story: &Story,
    token: Option<&str>,
    words: &[&str],
    stdin: &str,
) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dtree"));
    command.args(words).env("NOMAD_ADDR", story.cluster().api().url()).env_remove("NOMAD_NAMESPACE");
    match token {
        Some(token) => command.env("NOMAD_TOKEN", token),
        None => command.env_remove("NOMAD_TOKEN"),
    };
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("dtree was built");
    let mut pipe = child.stdin.take().expect("it is a pipe");
    // It may not read it.
    pipe.write_all(stdin.as_bytes()).ok();
    drop(pipe);
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// It ends with this exit code; what it printed.
fn prints(story: &Story, words: &[&str], code: i32) -> String {
    let (found, out, err) = dtree(story, None, words, "");
    assert_eq!(found, code, "dtree {words:?}\n{out}{err}");
    out
}

/// It ends well; the JSON that it printed.
fn printed(story: &Story, words: &[&str]) -> Value {
    let out = prints(story, words, 0);
    serde_json::from_str(&out).unwrap_or_else(|why| panic!("{why}: {out}"))
}

#[test]
fn a_name_goes_before_the_beginning_of_an_id_and_both_are_told() {
    let story = CLUSTER.story();
    let [db, missing] = ["db", "missing"].map(|name| story.id(name));
    story.run(&Job::service(&db).gate(&format!("wait \"{missing}\" {{}}")));
    story.gate(&db).runs(SOON);
    let alloc = story.gate(&db).allocation();
    let short = &alloc[..8];
    let why = printed(&story, &["why", short, "--json"]);
    assert_eq!((&why["job"], &why["allocations"][0]["id"]), (&Value::Null, &alloc.as_str().into()), "{why}");
    // Too short for an ID, and so a name.
    let why = prints(&story, &["why", &alloc[..4]], 0);
    assert!(
        why.contains("no job has this ID yet") && why.contains("at least the first eight letters"),
        "{why}"
    );

    story.run(&Job::service(short));
    story.is_healthy(short);
    let why = prints(&story, &["why", short], 0);
    assert!(why.starts_with(&format!("{short}: satisfied")), "{why}");
    assert!(why.contains(&format!("Allocation {short} of job default/{db}")), "{why}");
    assert!(why.contains(&format!("{missing}: gated")), "{why}");
    let (code, _, said) = dtree(&story, None, &["approve", short], "");
    assert!(code == 1 && said.contains(&format!("{short} has no task of dtree")), "{code}: {said}");
}

#[test]
fn a_shell_waits_for_jobs_of_every_type() {
    let story = CLUSTER.story();
    let [api, seed, log, sweep, report, bad] =
        ["api", "seed", "log", "sweep", "report", "bad"].map(|name| story.id(name));
    let flag = story.flag("seed");
    let job = |id: &str| format!("job/{id}");
    // Nothing is there: not in time, and what is awaited is said.
    story.within(SOON, "dtree wait to say what is missing", || {
        let (code, _, said) = dtree(&story, None, &["wait", &job(&api), "--timeout", "1s"], "");
        assert_eq!(code, 1, "{said}");
        if said.contains("no job has this ID yet") { Ok(()) } else { Err(said) }
    });
    prints(&story, &["wait", &format!("{}=absent", job(&api)), "--timeout", "60s"], 0);

    story.run(&Job::service(&api));
    story.run(&Job::batch(&seed).script_after(&flag, "exit 0"));
    story.run(&Job::system(&log));
    story.run(&Job::sysbatch(&sweep));
    story.run(&Job::batch(&report).parameterized("release"));
    let others: Vec<String> = [&api, &log, &sweep, &report].map(|id| job(id)).to_vec();
    let mut words = vec!["wait", "--timeout", "60s"];
    words.extend(others.iter().map(String::as_str));
    prints(&story, &words, 0);
    story.main(&api).runs(seconds(0));

    // A batch job is awaited until it has completed, and not before.
    prints(&story, &["wait", &job(&seed), "--timeout", "2s"], 1);
    prints(&story, &["wait", &format!("{}=running", job(&seed)), "--timeout", "60s"], 0);
    flag.raise();
    prints(&story, &["wait", &job(&seed), "--timeout", "60s"], 0);

    // One that failed is never complete: that is said at once, and it can be waited for.
    story.run(&Job::batch(&bad).script("exit 3"));
    prints(&story, &["wait", &format!("{}=failed", job(&bad)), "--timeout", "60s"], 0);
    let document = prints(&story, &["wait", &job(&bad), "--timeout", "120s", "--json"], 1);
    let document: Value = serde_json::from_str(&document).expect("it is JSON");
    assert_eq!((&document["met"], &document["conditions"][0]["state"]), (&false.into(), &"failed".into()));

    story.stop(&api);
    prints(&story, &["wait", &format!("{}=stopped", job(&api)), "--timeout", "60s"], 0);
}

#[test]
fn a_shell_waits_for_services_and_variables() {
    let story = CLUSTER.story();
    let (web, path) = (story.id("web"), story.id("release"));
    let name = story.id("shop");
    let switch = Switch::new();
    switch.turn_on();
    story.run(&Job::service(&web).service_named(&name, &[], switch.port()));
    let service = format!("service/{name}");
    prints(&story, &["wait", &service, "--timeout", "60s"], 0);
    let condition = format!("variable/{path}#v=2");
    prints(&story, &["wait", &condition, "--timeout", "1s"], 1);
    story.cli(&["var", "put", &path, "v=1"]);
    prints(&story, &["wait", &condition, "--timeout", "1s"], 1);
    prints(&story, &["wait", &format!("variable/{path}"), "--timeout", "60s"], 0);
    story.cli(&["var", "put", "-force", &path, "v=2"]);
    prints(&story, &["wait", &condition, "--timeout", "60s"], 0);
}

#[test]
fn a_tree_is_shown_from_its_begin_to_its_end_and_after_it() {
    let story = CLUSTER.story();
    let [db, web, setup] = ["db", "web", "setup"].map(|name| story.id(name));
    let id = story.id("tree");
    let flag = story.flag("setup");
    let (code, _, said) = dtree(&story, None, &["status", &id], "");
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("nothing is known of a tree"), "{said}");

    let hook = Hook::of(&Job::batch(&setup).script_after(&flag, "exit 0"));
    let tree = Tree::new(&id)
        .node(Node::of(&Job::service(&db)).post(hook))
        .node(Node::of(&Job::service(&web)).after(&[&db]));
    story.run_tree(&tree);
    let setup_job = story.hook_job_ids(&id, &setup, 1).remove(0);
    // The hook runs until the flag is raised.
    let document = story.within(SOON, "the hook is gated", || {
        let document: Value = serde_json::from_str(&prints(&story, &["status", &id, "--json"], 1))
            .map_err(|error| error.to_string())?;
        let steps = document["steps"].as_array().cloned().unwrap_or_default();
        let state = |name: &str| {
            let step = steps.iter().find(|step| step["name"] == name);
            step.map_or("none", |step| step["state"].as_str().unwrap_or_default()).to_owned()
        };
        let states = [state(&db), state(&setup), state(&web)];
        if states == ["satisfied", "gated", "blocked"] { Ok(document) } else { Err(format!("{states:?}")) }
    });
    assert_eq!(document["run_state"], "running");
    assert_eq!(document["led"], true);
    let text = prints(&story, &["status", &id], 1);
    assert!(text.contains("under way") && text.contains(&setup_job), "{text}");
    let why = prints(&story, &["why", &id], 0);
    assert!(why.contains(&setup_job) && why.contains(&format!("waits for {setup}")), "{why}");
    let alloc = story.tree(&id).allocation();
    let why = prints(&story, &["why", &alloc[..8]], 0);
    assert!(why.contains("==> task tree: running") && why.contains(&setup_job), "{why}");
    let of_tree = printed(&story, &["why", &id, "--json"]);
    let of_alloc = printed(&story, &["why", &alloc, "--json"]);
    assert_eq!((&of_tree["job"], &of_alloc["tree"]), (&Value::Null, &Value::Null), "{of_tree}");
    let task = &of_alloc["allocations"][0]["tasks"][0];
    assert_eq!((&task["task"], &task["state"]), (&"tree".into(), &"running".into()), "{of_alloc}");
    for tree in [&of_tree["tree"], &task["tree"]] {
        let steps = tree["steps"].as_array().cloned().unwrap_or_default();
        let gated = steps.iter().find(|step| step["name"] == *setup).expect("it has the hook");
        assert_eq!((&gated["state"], &gated["job"]), (&"gated".into(), &setup_job.as_str().into()), "{tree}");
    }

    flag.raise();
    story.tree(&id).succeeds(SOON);
    story.within(SOON, "the run's end to be shown", || {
        let (code, out, err) = dtree(&story, None, &["status", &id], "");
        let is_so = code == 0 && out.contains("ended well") && out.contains("1 of 1 healthy");
        if is_so { Ok(()) } else { Err(format!("{code}: {out}{err}")) }
    });
    let runs: Value = serde_json::from_str(&prints(&story, &["history", &id, "--json"], 0)).expect("JSON");
    assert_eq!((runs.as_array().map(Vec::len), &runs[0]["good"]), (Some(1), &true.into()));
    assert!(prints(&story, &["status"], 0).contains(&format!("default/{id}")));
    let graph = prints(&story, &["graph", &id], 0);
    assert!(graph.contains(&format!("{web}  after {setup}")), "{graph}");

    // What is up by the record, and is not up any more, is not up.
    story.stop(&db);
    story.has_stopped(&db);
    let text = prints(&story, &["status", &id], 1);
    assert!(text.contains("was ready, and now: is stopped"), "{text}");
    let why = prints(&story, &["why", &db], 0);
    assert!(why.contains("is stopped"), "{why}");
    let why = printed(&story, &["why", &db, "--json"]);
    let ready = &why["job"]["ready"];
    assert_eq!(
        (&ready["state"], &ready["awaited"]),
        (&"gated".into(), &format!("job {db} healthy").into()),
        "{why}"
    );
    assert!(ready["detail"].to_string().contains("is stopped"), "{why}");
}

#[test]
fn the_graph_of_a_cluster_has_what_its_tasks_declare_with_circles_marked() {
    let story = CLUSTER.story();
    let [one, two, free] = ["one", "two", "free"].map(|name| story.id(name));
    let space = story.make_namespace("circle");
    for (job, needed) in [(&one, &two), (&two, &one), (&free, &one)] {
        story.run(&Job::service(job).namespace(&space).gate(&format!("wait \"{needed}\" {{}}")));
    }
    let graph = prints(&story, &["graph", "--cluster", "--namespace", &space], 0);
    let circle = format!("circle: {space}/{one} → {space}/{two} → {space}/{one}\n");
    assert!(graph.contains(&circle), "{graph}");
    assert!(graph.contains(&format!("{space}/{free}  after {space}/{one}")), "{graph}");
    let dot = prints(&story, &["graph", "--cluster", "--namespace", &space, "--format", "dot"], 0);
    assert_eq!(dot.matches("[color = red]").count(), 2, "{dot}");
    let svg = prints(&story, &["graph", "--cluster", "--namespace", &space, "--format", "svg"], 0);
    assert!(svg.contains("circle: these wait for each other"), "{svg}");
    let all = prints(&story, &["graph", "--cluster", "--namespace", "*"], 0);
    assert!(all.contains(&circle), "{all}");
    let why = prints(&story, &["why", &one, "--namespace", &space], 0);
    assert!(why.contains(&format!("==> its task gate of group g waits for others:\n{two}: gated")), "{why}");
    let why = printed(&story, &["why", &one, "--namespace", &space, "--json"]);
    let gate = &why["job"]["gates"][0];
    assert_eq!((&gate["task"], &gate["waits"][0]["name"]), (&"gate".into(), &two.as_str().into()), "{why}");
}

//! A tree that a shell hands to the cluster: it arrives as it was, and is followed to its end.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::cli_look::dtree;
use crate::harness::{Options, seconds};
use crate::story::{Job, SOON, Shared, Shell, Story};

static CLUSTER: Shared = Shared::new(Options::default);
static GUARDED: Shared = Shared::new(|| Options { acl: true, ..Options::default() });

/// What a jobspec may hold that Nomad, its client or a template would evaluate. Nomad parses the first line to the second.
const HOSTILE: &str = r#"$${node.class} %%{ if x } {{ env \"HOME\" }} [[ ]] <<dtree-0<< \"quoted\""#;
const ARRIVED: &str = r#"${node.class} %{ if x } {{ env "HOME" }} [[ ]] <<dtree-0<< "quoted""#;

/// A tree in a file of its own, with jobspecs beside it.
pub(crate) struct Written {
    dir: tempfile::TempDir,
    id: String,
    body: String,
}

impl Written {
    pub(crate) fn new(id: &str) -> Self {
        Self { dir: tempfile::tempdir().expect("there is room"), id: id.to_owned(), body: String::new() }
    }

    pub(crate) fn job(self, job: &Job, inside: &str) -> Self {
        let block = format!("job \"{0}\" {{\n jobspec = \"local/{0}.nomad.hcl\"\n {inside}\n}}", job.id);
        self.jobspec(job).block(&block)
    }

    /// Only the text of a job, which a block names.
    pub(crate) fn jobspec(self, job: &Job) -> Self {
        let path = self.dir.path().join(format!("{}.nomad.hcl", job.id));
        fs::write(path, job.hcl()).expect("there is room");
        self
    }

    /// More of its body.
    pub(crate) fn block(mut self, hcl: &str) -> Self {
        self.body.push_str(hcl);
        self.body.push('\n');
        self
    }

    fn file(&self) -> PathBuf {
        let path = self.dir.path().join("tree.dtree.hcl");
        fs::write(&path, format!("tree \"{}\" {{\n{}\n}}\n", self.id, self.body)).expect("there is room");
        path
    }

    /// Hands it over; the process, whose talk is piped.
    fn submit(&self, story: &Story) -> Process {
        story.knows_tree(&self.id);
        self.command(story, &["submit"])
    }

    /// A command about it, with these words; what it carries out the oracle judges.
    pub(crate) fn command(&self, story: &Story, words: &[&str]) -> Process {
        let address = story.cluster().api().url();
        self.command_at(story, &address, words)
    }

    /// The same by another way to Nomad.
    pub(crate) fn command_at(&self, story: &Story, address: &str, words: &[&str]) -> Process {
        let file = self.file();
        let shell = match words {
            ["run", options @ ..] => {
                let is_whole = !options.iter().any(|option| ["--target", "--exclude"].contains(option));
                Some(story.carries_out(&self.id, &self.body, is_whole))
            }
            ["stop", options @ ..] => {
                let body = format!("verb = \"stop\"\nstop {{\n{}}}\n{}", selection(options), self.body);
                Some(story.carries_out(&self.id, &body, true))
            }
            _ => None,
        };
        let child = Command::new(env!("CARGO_BIN_EXE_dtree"))
            .args(words)
            .arg(file)
            .env("NOMAD_ADDR", address)
            .env_remove("NOMAD_TOKEN")
            .env_remove("NOMAD_NAMESPACE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("dtree was built");
        Process { child, shell }
    }

    /// Hands it over, and follows it to its end; the exit code, and all that is said.
    fn is_submitted(&self, story: &Story) -> (i32, String) {
        ended(self.submit(story))
    }
}

/// A command that runs.
pub(crate) struct Process {
    child: Child,
    /// What of it the oracle judges.
    shell: Option<Shell>,
}

impl Deref for Process {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.child
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.child
    }
}

/// The options of a stop as its block has them.
fn selection(options: &[&str]) -> String {
    let mut block = String::new();
    let mut words = options.iter();
    while let Some(word) = words.next() {
        let _infallible = match *word {
            "--json" => Ok(()),
            "--purge" => writeln!(block, "purge = true"),
            "--with-dependencies" => writeln!(block, "with_dependencies = true"),
            "--target" => writeln!(block, "target = {:?}", words.next().expect("a job")),
            other => panic!("the oracle is not told of {other}"),
        };
    }
    block
}

/// What it came to: the exit code, and all that is said.
pub(crate) fn ended(process: Process) -> (i32, String) {
    let output = process.child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let code = output.status.code().unwrap_or(-1);
    if let Some(shell) = process.shell {
        shell.ended(code, &said);
    }
    (code, said)
}

/// The objects among what a command has said that prints one a line.
pub(crate) fn objects(said: &str) -> Vec<Value> {
    let lines = said.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"))).collect()
}

/// The last of them, once the steps were told one by one as it has them at the end.
#[track_caller]
pub(crate) fn end_of(said: &str) -> Value {
    let mut told = objects(said);
    let end = told.pop().unwrap_or_else(|| panic!("nothing was told: {said}"));
    assert_eq!(end["event"], "end", "{said}");
    for step in end["steps"].as_array().into_iter().flatten() {
        let is_it = |event: &&Value| event["event"] == "step" && event["name"] == step["name"];
        let last = told.iter().rev().find(is_it).unwrap_or_else(|| panic!("nothing of {step}: {said}"));
        assert_eq!(last["state"], step["state"], "{said}");
    }
    end
}

/// The steps that a command ends with, and how they stand.
pub(crate) fn steps_of(end: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    end["steps"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|step| (text(&step["name"]), text(&step["state"])))
        .collect()
}

/// A step as [`steps_of`] has it.
pub(crate) fn step((name, state): (&String, &str)) -> (String, String) {
    (name.clone(), state.to_owned())
}

#[test]
fn a_tree_arrives_as_it_was_and_a_second_time_changes_nothing() {
    let story = CLUSTER.story();
    let (db, web, id) = (story.id("db"), story.id("web"), story.id("handed"));
    let hostile = Job::service(&db).meta_line(&format!("meta {{\n    greeting = \"{HOSTILE}\"\n  }}"));
    let tree =
        Written::new(&id).job(&hostile, "").job(&Job::service(&web), &format!("depends_on = [\"{db}\"]"));
    story.knows([&db, &web].map(|id| (id.clone(), "default".to_owned())));

    let (code, said) = tree.is_submitted(&story);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&format!("created {db}, {web}")), "{said}");
    story.main(&web).runs(seconds(0));
    let registered = story.job(&db).unwrap();
    assert_eq!(registered["Meta"]["greeting"], ARRIVED);

    let before = [&db, &web].map(|id| story.stamp(id));
    let (code, said) = ended(tree.command(&story, &["submit", "--json"]));
    assert_eq!(code, 0, "{said}");
    let words = format!("==> Tree default/{id}: done after ");
    assert!(said.contains(&words) && said.contains(": 2 unchanged"), "{said}");
    let end = end_of(&said);
    assert_eq!((&end["code"], &end["tree"]), (&0.into(), &format!("default/{id}").into()), "{end}");
    assert!(end["message"].as_str().is_some_and(|said| said.starts_with("done after ")), "{end}");
    assert_eq!(steps_of(&end), [(&db, "satisfied"), (&web, "satisfied")].map(step), "{end}");
    let web_step = &end["steps"][1];
    assert_eq!(web_step["needs"], json!([db]), "{end}");
    assert!(web_step["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{end}");
    assert!(web_step["since"].as_str().is_some_and(|at| at.parse::<jiff::Timestamp>().is_ok()), "{end}");
    for job in [&db, &web] {
        let is_up = |event: &Value| event["name"] == *job && event["state"] == "satisfied";
        assert!(objects(&said).iter().any(is_up), "{said}");
    }
    assert_eq!([&db, &web].map(|id| story.stamp(id)), before);
}

#[test]
fn jobspecs_from_anywhere_travel_with_the_tree_when_that_is_allowed() {
    let story = CLUSTER.story();
    let [up, far, link, id] = ["up", "far", "link", "outside"].map(|name| story.id(name));
    let elsewhere = tempfile::tempdir().expect("there is room");
    for job in [&up, &far, &link] {
        fs::write(elsewhere.path().join(job), Job::service(job).hcl()).expect("there is room");
    }
    // Above the file, by its whole path, and by a link.
    let name = elsewhere.path().file_name().and_then(OsStr::to_str).expect("it has a name");
    let absolute = elsewhere.path().join(&far).display().to_string();
    let block =
        |job: &str, path: &str, more: &str| format!("job \"{job}\" {{\n jobspec = \"{path}\"\n {more}\n}}");
    let tree = Written::new(&id)
        .block(&block(&up, &format!("../{name}/{up}"), ""))
        .block(&block(&far, &absolute, &format!("depends_on = [\"{up}\"]")))
        .block(&block(&link, "local/linked.hcl", ""));
    symlink(elsewhere.path().join(&link), tree.dir.path().join("linked.hcl")).expect("there is room");
    story.knows([&up, &far, &link].map(|id| (id.clone(), "default".to_owned())));
    story.knows_tree(&id);
    for command in ["plan", "run", "submit", "policy", "doctor"] {
        let (code, said) = ended(tree.command(&story, &[command]));
        assert!(code == 2 && said.contains("`--outside`"), "{command}: {code}: {said}");
    }
    story.were_never_registered(&[&up, &far, &link, &id]);
    // A link alone is found when it is read.
    let linked = Written::new(&id).block(&block(&link, "local/linked.hcl", ""));
    symlink(elsewhere.path().join(&link), linked.dir.path().join("linked.hcl")).expect("there is room");
    for command in ["plan", "run", "submit"] {
        let (code, said) = ended(linked.command(&story, &[command]));
        assert!(code == 2 && said.contains("is a link out of the directory"), "{command}: {code}: {said}");
    }
    story.were_never_registered(&[&up, &far, &link, &id]);

    for (command, wanted) in [("policy", "submit-job"), ("doctor", "Nomad answers"), ("plan", "3 to create")]
    {
        let (code, said) = ended(tree.command(&story, &[command, "--outside"]));
        assert!(code == 0 && said.contains(wanted), "{command}: {code}: {said}");
    }
    let (code, said) = ended(tree.command(&story, &["submit", "--outside"]));
    assert!(code == 0 && said.contains(&format!("created {link}, {up}, {far}")), "{code}: {said}");
    // What a shell finds is what has travelled.
    let (code, said) = ended(tree.command(&story, &["run", "--outside"]));
    assert!(code == 0 && said.contains("3 unchanged"), "{code}: {said}");
    // The job carries them: no file is needed any more.
    drop((elsewhere, linked));
    let (code, out, err) = dtree(&story, None, &["stop", &id], "");
    assert_eq!(code, 0, "{out}{err}");
    for job in [&up, &far, &link] {
        story.has_stopped(job);
    }
}

#[test]
fn what_fails_in_the_cluster_fails_here_with_the_same_words() {
    let story = CLUSTER.story();
    let (seed, web, id) = (story.id("seed"), story.id("web"), story.id("handed"));
    let tree = Written::new(&id)
        .job(&Job::batch(&seed).script("echo no route to host >&2; exit 3"), "")
        .job(&Job::service(&web), &format!("depends_on = [\"{seed}\"]"));
    story.knows([(seed.clone(), "default".to_owned())]);
    story.knows_tree(&id);
    let (code, said) = ended(tree.command(&story, &["submit", "--json"]));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("failed after") && said.contains(&seed), "{said}");
    let end = end_of(&said);
    assert!(end["code"] == 1 && end["message"].to_string().contains("exited with 3"), "{end}");
    assert_eq!(end["help"], "`dtree submit` goes on where it ended");
    assert_eq!(steps_of(&end), [(&seed, "failed"), (&web, "skipped")].map(step), "{end}");
    assert!(end["steps"][0]["detail"].to_string().contains("exited with 3"), "{end}");
    story.were_never_registered(&[&web]);
}

#[test]
fn nothing_is_handed_over_that_is_wrong_or_in_the_way_of_somebody() {
    let story = CLUSTER.story();
    let (db, id) = (story.id("db"), story.id("handed"));
    let wrong = Written::new(&id).job(&Job::service(&db), "vars = { nope = \"1\" }");
    let (code, said) = wrong.is_submitted(&story);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("nope") && said.contains("nothing was handed over"), "{said}");
    story.were_never_registered(&[&db, &id]);

    let taken = story.id("taken");
    story.run(&Job::service(&taken));
    let (code, said) = Written::new(&taken).job(&Job::service(&db), "").is_submitted(&story);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains(&format!("there is a job default/{taken} already")), "{said}");
    story.were_never_registered(&[&db]);
    story.excuse(&taken, "a job of somebody else that a tree was called like");
}

#[test]
fn who_does_not_follow_it_any_more_leaves_it_to_the_cluster() {
    let story = CLUSTER.story();
    let (seed, web, id) = (story.id("seed"), story.id("web"), story.id("handed"));
    let flag = story.flag("seed");
    let tree = Written::new(&id)
        .job(&Job::batch(&seed).script_after(&flag, "exit 0"), "")
        .job(&Job::service(&web), &format!("depends_on = [\"{seed}\"]"));
    story.knows([&seed, &web].map(|id| (id.clone(), "default".to_owned())));
    let child = tree.submit(&story);
    story.main(&seed).runs(SOON);
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let (code, said) = ended(child);
    assert_eq!(code, 130, "{said}");
    assert!(said.contains("goes on in the cluster"), "{said}");

    // Another is told that it is under way.
    let (code, said) = tree.is_submitted(&story);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("is being carried out already"), "{said}");

    flag.raise();
    story.task(&id, &id).succeeds(SOON);
    story.main(&web).runs(SOON);
}

#[test]
fn with_acls_the_policy_that_dtree_prints_is_enough_to_hand_a_tree_over() {
    let story = GUARDED.story();
    let (db, web, id) = (story.id("db"), story.id("web"), story.id("handed"));
    let tree = Written::new(&id)
        .job(&Job::service(&db), "")
        .job(&Job::service(&web), &format!("depends_on = [\"{db}\"]"));
    story.knows([&db, &web].map(|id| (id.clone(), "default".to_owned())));
    let (code, rules) = ended(tree.command(&story, &["policy"]));
    assert_eq!(code, 0, "{rules}");

    // Nobody may, and somebody may who has not enough.
    let (code, said) = tree.is_submitted(&story);
    assert!(code == 2 && said.contains("set NOMAD_TOKEN"), "{code}: {said}");
    let reader = token(&story, "reader", "namespace \"default\" { policy = \"read\" }");
    let (code, said) = ended(tree.command(&story, &["submit", "--token", &reader]));
    assert!(code == 2 && said.contains("your token") && said.contains("submit-job"), "{code}: {said}");
    story.were_never_registered(&[&db, &web, &id]);

    // The user's token hands it over; what carries it out has its own identity, and the same policy.
    let own = token(&story, "own", &rules);
    let attached = json!({ "Namespace": "default", "JobID": id });
    let name = format!("exactly-{id}");
    story.post(
        &format!("/v1/acl/policy/{name}"),
        &json!({ "Name": name, "Rules": rules, "JobACL": attached }),
    );
    let (code, said) = ended(tree.command(&story, &["submit", "--token", &own]));
    assert_eq!(code, 0, "it is not enough:\n{rules}\n{said}");
    assert!(!said.contains("does not allow") && !said.contains(&own), "{said}");
    story.main(&web).runs(SOON);
}

/// A token with these rules.
fn token(story: &Story, name: &str, rules: &str) -> String {
    let name = story.id(name);
    story.post(&format!("/v1/acl/policy/{name}"), &json!({ "Name": name, "Rules": rules }));
    let made = story.post("/v1/acl/token", &json!({ "Name": name, "Type": "client", "Policies": [name] }));
    made["SecretID"].as_str().expect("a token has a secret").to_owned()
}

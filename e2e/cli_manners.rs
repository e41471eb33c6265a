//! How commands end that are interrupted, are not read to their end, or lose Nomad, and what is shown of a tree that only a
//! shell has run.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::cli_look::dtree;
use crate::cli_submit::{Process, Written, ended};
use crate::harness::{Options, wait_for};
use crate::story::{Cut, Hook, Job, Node, SOON, Shared, Story, Tree};

static CLUSTER: Shared = Shared::new(Options::default);

/// Begins a command whose words are piped.
fn begin(story: &Story, words: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_dtree"))
        .args(words)
        .env("NOMAD_ADDR", story.cluster().api().url())
        .env_remove("NOMAD_TOKEN")
        .env_remove("NOMAD_NAMESPACE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("dtree was built")
}

fn interrupt(child: &Child) {
    let pid = i32::try_from(child.id()).expect("a process ID");
    kill(Pid::from_raw(pid), Signal::SIGINT).expect("it runs");
}

/// The lines that a process prints, as they come.
fn lines(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    told
}

/// Waits for a line that has all of these words.
fn is_printed(lines: &mpsc::Receiver<String>, words: &[&str]) {
    let mut seen = Vec::new();
    loop {
        let line = lines.recv_timeout(SOON).unwrap_or_else(|_| panic!("no line with {words:?}: {seen:?}"));
        if words.iter().all(|word| line.contains(word)) {
            return;
        }
        seen.push(line);
    }
}

#[test]
fn a_tree_that_is_watched_is_shown_as_it_goes_on_until_an_interrupt() {
    let story = CLUSTER.story();
    let [db, setup, web, id] = ["db", "setup", "web", "watched"].map(|name| story.id(name));
    let flag = story.flag("setup");
    let tree = Tree::new(&id)
        .node(Node::of(&Job::service(&db)).post(Hook::of(&Job::batch(&setup).script_after(&flag, "exit 0"))))
        .node(Node::of(&Job::service(&web)).after(&[&db]));
    story.run_tree(&tree);
    let mut watch = begin(&story, &["status", &id, "--watch"]);
    let shown = lines(watch.stdout.take().expect("it is piped"));
    is_printed(&shown, &[&setup, "hook", "gated"]);
    is_printed(&shown, &[&web, "job", "blocked", &setup]);
    flag.raise();
    is_printed(&shown, &["Run", "ended well"]);
    is_printed(&shown, &[&web, "satisfied", "1 of 1 healthy"]);
    assert!(watch.try_wait().expect("it can be asked").is_none(), "it watches on");
    interrupt(&watch);
    assert_eq!(watch.wait().expect("it ends").code(), Some(130));
    story.tree(&id).succeeds(SOON);
    let mut watch = begin(&story, &["status", &id, "--watch", "--json"]);
    let shown = lines(watch.stdout.take().expect("it is piped"));
    let line = shown.recv_timeout(SOON).expect("it prints");
    let document: Value = serde_json::from_str(&line).expect("it is JSON");
    assert_eq!(document["tree"], format!("default/{id}"));
    interrupt(&watch);
    assert_eq!(watch.wait().expect("it ends").code(), Some(130));
}

#[test]
fn a_watch_lives_through_a_nomad_that_is_away_and_ends_when_nobody_reads() {
    let story = Story::alone(Options { restartable: true, ..Options::default() });
    let [db, id] = ["db", "watched"].map(|name| story.id(name));
    story.knows([(db.clone(), "default".to_owned())]);
    let tree = Written::new(&id).job(&Job::service(&db), "");
    let (code, said) = ended(tree.command(&story, &["run"]));
    assert_eq!(code, 0, "{said}");
    let mut watch = begin(&story, &["status", &id, "--watch"]);
    let mut shown = BufReader::new(watch.stdout.take().expect("it is piped"));
    let mut talk = BufReader::new(watch.stderr.take().expect("it is piped"));
    let mut line = String::new();
    while !line.contains("1 of 1 healthy") {
        line.clear();
        assert_ne!(shown.read_line(&mut line).expect("it prints"), 0, "it has ended");
    }
    story.agent(crate::harness::Agent::kill);
    line.clear();
    talk.read_line(&mut line).expect("it says something");
    assert!(line.contains("cannot reach Nomad"), "{line}");
    story.start_again();
    // It is told of the next change, and nobody is there to be told.
    drop(shown);
    story.stop(&db);
    let code = story.within(SOON, "the watch to end", || {
        watch.try_wait().ok().flatten().ok_or_else(|| "it watches on".to_owned())
    });
    let mut rest = String::new();
    talk.read_to_string(&mut rest).expect("it was piped");
    assert!(code.code() == Some(0) && !rest.contains("panicked"), "{code}: {rest}");
}

#[test]
fn a_wait_that_is_interrupted_says_what_was_still_awaited() {
    let story = CLUSTER.story();
    let [here, missing] = ["here", "missing"].map(|name| story.id(name));
    story.run(&Job::service(&here));
    story.is_healthy(&here);
    let words = [format!("job/{here}"), format!("job/{missing}")];
    let mut wait = begin(&story, &["wait", &words[0], &words[1]]);
    let mut talk = BufReader::new(wait.stderr.take().expect("it is piped"));
    let mut line = String::new();
    let mut is_told = [false; 2];
    while is_told != [true; 2] {
        line.clear();
        assert_ne!(talk.read_line(&mut line).expect("it says something"), 0, "it has ended");
        is_told[0] |= line.contains(&words[0]) && line.contains("satisfied");
        is_told[1] |= line.contains(&words[1]) && line.contains("no job has this ID yet");
    }
    interrupt(&wait);
    let mut rest = String::new();
    talk.read_to_string(&mut rest).expect("it is piped");
    assert_eq!(wait.wait().expect("it ends").code(), Some(130), "{rest}");
    let open: Vec<&str> = rest.lines().filter(|line| line.starts_with("    still awaited")).collect();
    let wanted = format!("    still awaited: {}: no job has this ID yet", words[1]);
    assert_eq!(open, [wanted.as_str()], "{rest}");
}

#[test]
fn what_nobody_reads_to_its_end_is_done_all_the_same() {
    let story = CLUSTER.story();
    let [db, web, id] = ["db", "web", "unread"].map(|name| story.id(name));
    story.knows([&db, &web].map(|id| (id.clone(), "default".to_owned())));
    let tree = Written::new(&id)
        .job(&Job::service(&db), "")
        .job(&Job::service(&web), &format!("depends_on = [\"{db}\"]"));
    // Both its ways to talk are closed at once.
    let mut run = tree.command(&story, &["run"]);
    drop(run.stdout.take());
    drop(run.stderr.take());
    let (code, _) = ended(run);
    assert_eq!(code, 0);
    story.main(&web).runs(SOON);
    for (words, wanted) in [
        (&["status", &id][..], 0),
        (&["status"], 0),
        (&["history", &id], 0),
        (&["graph", "--cluster"], 0),
        (&["doctor"], 0),
        (&["status", "nothing"], 2),
    ] {
        let mut child = begin(&story, words);
        drop(child.stdout.take());
        let mut talk = String::new();
        let mut stderr = child.stderr.take().expect("it is piped");
        stderr.read_to_string(&mut talk).expect("it was piped");
        let code = child.wait().expect("it ends").code();
        assert!(code == Some(wanted) && !talk.contains("panicked"), "{words:?}: {code:?}: {talk}");
    }
}

/// Runs something by a way that is cut after each number of connections, until there are enough for it to end with `code`.
fn is_told_that_nomad_is_away(story: &Story, what: &[&str], code: i32, run: impl Fn(&str) -> (i32, String)) {
    let address = story.cluster().api().url();
    for n in 0.. {
        let (found, said) = run(&Cut::after(&address, n).url());
        if found == code {
            assert!(n > 1, "{what:?} asks more than {n} questions: {said}");
            return;
        }
        assert!(found == 2 && said.contains("cannot reach Nomad"), "{what:?} after {n}: {found}: {said}");
        assert!(
            said.contains("hint: check that the agent and its servers are up"),
            "{what:?} after {n}: {said}"
        );
        assert!(!said.contains("panicked"), "{what:?} after {n}: {said}");
    }
}

#[test]
fn a_nomad_that_goes_away_while_it_is_asked_is_told_and_nothing_is_written() {
    let story = CLUSTER.story();
    let [db, web, id, idle, alone, gated, drawn, seed] =
        ["db", "web", "cut", "idle", "alone", "gated", "drawn", "seed"].map(|name| story.id(name));
    story.knows([&db, &web, &alone].map(|id| (id.clone(), "default".to_owned())));
    let tree = Written::new(&id)
        .job(&Job::service(&db), "")
        .job(&Job::service(&web), &format!("depends_on = [\"{db}\"]"));
    is_told_that_nomad_is_away(&story, &["plan"], 0, |url| ended(tree.command_at(&story, url, &["plan"])));
    story.were_never_registered(&[&db, &web]);

    let done = Written::new(&idle).job(&Job::service(&alone), "");
    let (code, said) = ended(done.command(&story, &["run"]));
    assert_eq!(code, 0, "{said}");
    story.run(&Job::service(&gated).gate(&format!("wait \"{db}\" {{}}")));
    story.gate(&gated).runs(SOON);
    let alloc = story.gate(&gated).allocation();
    story.run_tree(&Tree::new(&drawn).node(Node::of(&Job::batch(&seed))));
    story.tree(&drawn).succeeds(SOON);
    for words in [
        &["history", &idle][..],
        &["status"],
        &["status", &idle],
        &["why", &idle],
        &["why", &gated],
        &["why", &alloc[..8], "--json"],
        &["graph", &drawn],
        &["graph", &drawn, "--json"],
        &["graph", "--cluster"],
        &["doctor"],
    ] {
        is_told_that_nomad_is_away(&story, words, 0, |url| {
            let words = [words, &["--address", url]].concat();
            let (code, out, err) = dtree(&story, None, &words, "");
            assert!(code == 0 || out.is_empty(), "half of it was printed: {out}");
            (code, err)
        });
    }
    is_told_that_nomad_is_away(&story, &["approve"], 1, |url| {
        let (code, out, err) = dtree(&story, None, &["approve", &gated, "--address", url], "");
        (code, out + &err)
    });
}

/// Interrupts it until it ends, once something was said that has all of these words.
fn is_left(mut run: Process, words: &[&str]) -> (i32, String) {
    let mut talk = BufReader::new(run.stderr.take().expect("it is piped"));
    let mut said = String::new();
    while !said.lines().any(|line| words.iter().all(|word| line.contains(word))) {
        assert_ne!(talk.read_line(&mut said).expect("it says something"), 0, "it has ended: {said}");
    }
    let is_over = || {
        if run.try_wait().expect("it can be asked").is_some() {
            return Ok(());
        }
        interrupt(&run);
        Err("it has not ended".to_owned())
    };
    wait_for(SOON, is_over).expect("it ends");
    talk.read_to_string(&mut said).expect("it was piped");
    let (code, out) = ended(run);
    (code, said + &out)
}

#[test]
fn a_run_that_has_lost_nomad_is_left_with_what_goes_on_and_how_to_go_on_with_it() {
    let story = CLUSTER.story();
    let address = story.cluster().api().url();
    // At the begin: nothing was done yet, and it waits.
    for n in 1..4 {
        let [job, id] = ["early", "lost"].map(|name| story.id(&format!("{name}{n}")));
        let tree = Written::new(&id).job(&Job::service(&job), "");
        let run = tree.command_at(&story, &Cut::after(&address, n).url(), &["run"]);
        let (code, said) = is_left(run, &["cannot reach Nomad"]);
        assert!(code == 130 && said.contains("`dtree run"), "after {n}: {code}: {said}");
        story.were_never_registered(&[&job]);
    }

    // In the middle.
    let [seed, web, id] = ["seed", "web", "lost"].map(|name| story.id(name));
    let flag = story.flag("seed");
    story.knows([&seed, &web].map(|id| (id.clone(), "default".to_owned())));
    let tree = Written::new(&id)
        .job(&Job::batch(&seed).script_after(&flag, "exit 0"), "")
        .job(&Job::service(&web), &format!("depends_on = [\"{seed}\"]"));
    let cut = Cut::after(&address, usize::MAX);
    let run = tree.command_at(&story, &cut.url(), &["run"]);
    story.main(&seed).runs(SOON);
    cut.now();
    let (code, said) = is_left(run, &[&seed, "gated", "cannot reach Nomad"]);
    assert_eq!(code, 130, "{said}");
    assert!(said.contains(&format!("still under way: {seed}")), "{said}");
    assert!(said.contains("goes on where this run ended"), "{said}");
    flag.raise();
    let (code, said) = ended(tree.command(&story, &["run"]));
    assert_eq!(code, 0, "{said}");
    assert_eq!(story.versions(&seed).len(), 1, "{said}");
    assert_eq!(story.allocations(&seed).unwrap_or_default().len(), 1, "{said}");

    // A stop does not begin, by its file or by its name, and has stopped nothing when it is left.
    let before = story.stamp(&web);
    for n in 1..4 {
        let stop = tree.command_at(&story, &Cut::after(&address, n).url(), &["stop"]);
        let (code, said) = is_left(stop, &["cannot reach Nomad"]);
        assert!(code == 130 && said.contains("`dtree stop"), "after {n}: {code}: {said}");
    }
    for n in 0..2 {
        let url = Cut::after(&address, n).url();
        let (code, _, said) = dtree(&story, None, &["stop", &id, "--address", &url], "");
        assert!(code == 2 && said.contains("cannot reach Nomad"), "after {n}: {code}: {said}");
    }
    assert_eq!(story.stamp(&web), before);
}

#[test]
fn a_tree_is_handed_over_whole_or_not_at_all_and_a_follower_that_loses_nomad_says_so() {
    let story = CLUSTER.story();
    let [db, id] = ["db", "handed"].map(|name| story.id(name));
    story.knows([(db.clone(), "default".to_owned())]);
    story.knows_tree(&id);
    let tree = Written::new(&id).job(&Job::service(&db), "");
    is_told_that_nomad_is_away(&story, &["submit", "--detach"], 0, |url| {
        let handed = ended(tree.command_at(&story, url, &["submit", "--detach"]));
        if handed.0 != 0 {
            story.were_never_registered(&[&id]);
        }
        handed
    });
    story.task(&id, &id).succeeds(SOON);

    let [seed, id] = ["seed", "followed"].map(|name| story.id(name));
    let flag = story.flag("seed");
    story.knows([(seed.clone(), "default".to_owned())]);
    story.knows_tree(&id);
    let tree = Written::new(&id).job(&Job::batch(&seed).script_after(&flag, "exit 0"), "");
    let cut = Cut::after(&story.cluster().api().url(), usize::MAX);
    let follows = tree.command_at(&story, &cut.url(), &["submit"]);
    story.main(&seed).runs(SOON);
    cut.now();
    let (code, said) = is_left(follows, &["cannot reach Nomad", "follows it when that is back"]);
    assert!(code == 130 && said.contains("goes on in the cluster"), "{code}: {said}");
    flag.raise();
    story.task(&id, &id).succeeds(SOON);
}

#[test]
fn a_tree_that_only_a_shell_has_run_is_shown_with_who_leads_it() {
    let story = CLUSTER.story();
    let [seed, web, other, id] = ["seed", "web", "other", "shelled"].map(|name| story.id(name));
    let flag = story.flag("seed");
    story.knows([&seed, &web, &other].map(|id| (id.clone(), "default".to_owned())));
    let tree = Written::new(&id)
        .job(&Job::service(&other), "")
        .job(&Job::batch(&seed).script_after(&flag, "exit 0"), "")
        .job(&Job::service(&web), &format!("depends_on = [\"{seed}\"]"));
    // A part of it first: what the record of the next run does not speak of, the cluster does.
    let (code, said) = ended(tree.command(&story, &["run", "--target", &other]));
    assert_eq!(code, 0, "{said}");
    let run = tree.command(&story, &["run", "--exclude", &other]);
    let pid = run.id();
    let document = story.within(SOON, "its seed to be gated", || {
        let (_, out, err) = dtree(&story, None, &["status", &id, "--json"], "");
        let document: Value = serde_json::from_str(&out).map_err(|_| err)?;
        let state = |name: &str| {
            let steps = document["steps"].as_array().into_iter().flatten();
            let step = steps.into_iter().find(|step| step["name"] == *name);
            step.map(|step| step["state"].as_str().unwrap_or_default().to_owned()).unwrap_or_default()
        };
        let states = [state(&seed), state(&other)];
        if states == ["gated", "satisfied"] { Ok(document) } else { Err(document.to_string()) }
    });
    assert_eq!((&document["led"], &document["process"]["pid"]), (&true.into(), &pid.into()), "{document}");
    let (code, shown, _) = dtree(&story, None, &["status", &id], "");
    assert_eq!(code, 1, "{shown}");
    let (_, who) = shown.split_once(", led by ").expect("it is led");
    assert!(who.lines().next().is_some_and(|who| who.ends_with(&format!("(process {pid})"))), "{shown}");
    assert!(shown.contains("this tree has submitted it; now") && shown.contains("1 of 1 healthy"), "{shown}");

    let mut run = run;
    run.kill().expect("it runs");
    run.wait().expect("it ends");
    let (_, shown, _) = dtree(&story, None, &["status", &id], "");
    assert!(shown.contains(&format!("(process {pid})")), "{shown}");
    assert!(shown.contains("which led it, has ended") || shown.contains("nobody leads it now"), "{shown}");
    flag.raise();
    let (code, said) = ended(tree.command(&story, &["run"]));
    assert_eq!(code, 0, "{said}");
    let (code, shown, said) = dtree(&story, None, &["status", &id], "");
    assert!(code == 0 && shown.contains("Up            = true"), "{code}: {shown}{said}");
}

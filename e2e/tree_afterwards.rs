//! What comes after a run: hooks and addresses that are told how it ended, and what hooks know.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Options, wait_for};
use crate::story::{Hook, Job, Node, SOON, Shared, Story, Tally, Tree};

/// Who is told by `webhook` blocks.
static CHAT: LazyLock<TcpListener> =
    LazyLock::new(|| TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on"));

static CLUSTER: Shared = Shared::new(|| Options {
    plugin: format!("config {{ webhook_hosts = [\"{}\"] }}", chat()),
    ..Options::default()
});

fn chat() -> String {
    CHAT.local_addr().expect("it is bound").to_string()
}

/// A batch job that notes what it is told.
fn notes(id: &str, tally: &Tally) -> Job {
    let told = "$NOMAD_META_dtree_cause job=$NOMAD_META_dtree_job $NOMAD_META_dtree_version_before to \
                $NOMAD_META_dtree_version_after of $NOMAD_META_dtree_tree";
    Job::batch(id).script(&format!("echo {told} >> {}", tally.path().display()))
}

/// A tree of `db`, its post hook, and a hook after each kind of ending; `check` is what `db` says of itself.
fn tree(story: &Story, release: &str, post: &Tally, after: &Tally) -> Tree {
    let (db, seed, tell, alarm) = (story.id("db"), story.id("seed"), story.id("tell"), story.id("alarm"));
    Tree::new(&story.id("tree"))
        .run(release)
        .node(Node::of(&Job::service(&db).meta(release)).post(Hook::of(&notes(&seed, post))))
        .hook("after_success", Hook::of(&notes(&tell, after)))
        .hook("after_failure", Hook::of(&notes(&alarm, after)))
}

#[test]
fn hooks_know_why_they_run_and_a_run_that_changed_nothing_tells_nobody() {
    let story = CLUSTER.story();
    let (post, after) = (story.tally("post"), story.tally("after"));
    let (tree_id, db) = (story.id("tree"), story.id("db"));
    let of = format!("of default/{tree_id}");
    story.run_tree(&tree(&story, "a", &post, &after));
    story.tree(&tree_id).succeeds(SOON);
    assert_eq!(post.lines(), [format!("created job=default/{db} to 0 {of}")]);
    assert_eq!(after.lines(), [format!("success job= to {of}")]);

    story.run_tree(&tree(&story, "a", &post, &after).run("again"));
    story.tree(&tree_id).succeeds(SOON);
    assert_eq!((post.lines().len(), after.lines().len()), (1, 1), "nothing has changed");

    story.run_tree(&tree(&story, "b", &post, &after));
    story.tree(&tree_id).succeeds(SOON);
    assert!(post.lines().contains(&format!("updated job=default/{db} 0 to 1 {of}")), "{:?}", post.lines());
    assert_eq!(after.lines().len(), 2);
}

#[test]
fn a_failure_runs_its_hook_once_though_the_plugin_is_killed_in_it() {
    let story = Story::alone(Options::default());
    let (db, seed, alarm, flag) = (story.id("db"), story.id("seed"), story.id("alarm"), story.flag("alarm"));
    let tally = story.tally("after");
    let told = format!("echo $NOMAD_META_dtree_message >> {}", tally.path().display());
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(&db)).post(Hook::of(&Job::batch(&seed).script("exit 3"))))
        .hook("after_failure", Hook::of(&Job::batch(&alarm).script_after(&flag, &told)));
    story.run_tree(&tree);
    let jobs = story.hook_job_ids(&tree.id, &alarm, 1);
    story.main(&jobs[0]).runs(SOON);
    story.kill_plugin();
    flag.raise();
    story.tree(&tree.id).fails(SOON);
    assert_eq!(tally.lines().len(), 1, "{}", tally.text());
    assert!(tally.text().contains(&seed) && tally.text().contains("exited with 3"), "{}", tally.text());
    let message = story.tree(&tree.id).says(SOON, "failed after");
    assert!(message.contains("exited with 3"), "{message}");
    story.hook_job_ids(&tree.id, &alarm, 1);
}

#[test]
fn an_address_is_told_how_a_run_ended_and_only_one_that_the_operator_named() {
    let story = CLUSTER.story();
    let db = story.id("db");
    let with = |tree: Tree, host: &str| {
        tree.option(&format!("webhook \"chat\" {{\n url = \"http://{host}/s3cret\"\n }}"))
    };
    let tree = || Tree::new(&story.id("tree")).node(Node::of(&Job::service(&db)));
    story.run_tree(&with(tree(), "127.0.0.1:1"));
    story.tree(&tree().id).fails(SOON);
    let message = story.tree(&tree().id).says(SOON, "webhook_hosts");
    assert!(message.contains("127.0.0.1:1") && !message.contains("s3cret"), "{message}");
    story.were_never_registered(&[&db]);

    story.run_tree(&with(tree().run("2"), &chat()));
    let body = heard();
    assert_eq!(body["tree"], format!("default/{}", tree().id));
    assert_eq!((&body["outcome"], &body["steps"][0]["state"]), (&"success".into(), &"satisfied".into()));
    assert!(body["text"].as_str().is_some_and(|text| text.contains("created")), "{body}");
    story.tree(&tree().id).succeeds(SOON);
}

/// The body of the next request that arrives.
fn heard() -> Value {
    CHAT.set_nonblocking(true).expect("it is a socket");
    let (mut socket, _) = wait_for(SOON, || CHAT.accept()).expect("somebody calls");
    socket.set_nonblocking(false).expect("it is a socket");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("it is a socket");
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let n = socket.read(&mut buffer).expect("it goes on");
        request.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let whole = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
        if let Some(body) = whole {
            socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("it listens");
            return body;
        }
        assert_ne!(n, 0, "a whole request: {text}");
    }
}

//! Gates that wait for what is no job: sockets, names, services, values.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::json;

use crate::harness::{Agent, Consul, Options, free_ports, seconds};
use crate::story::{Job, SOON, Server, Shared, Story, Switch};

static CLUSTER: Shared = Shared::new(Options::default);
static GUARDED: Shared = Shared::new(|| Options { acl: true, ..Options::default() });

/// Something that answers each GET with a status and a text, which a story changes.
struct Page {
    answer: Arc<Mutex<(u16, &'static str)>>,
    server: Server,
}

impl Page {
    fn new(status: u16, text: &'static str) -> Self {
        let answer = Arc::new(Mutex::new((status, text)));
        let now = Arc::clone(&answer);
        let server = Server::new(move |mut client| {
            let (status, text) = *now.lock().unwrap_or_else(PoisonError::into_inner);
            let mut request = [0; 4096];
            // Who goes away is no concern of ours.
            let _head = client.read(&mut request);
            let length = text.len();
            let _sent = write!(client, "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n\r\n{text}");
        });
        Self { answer, server }
    }

    fn answers(&self, status: u16, text: &'static str) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = (status, text);
    }
}

/// The inside of `config {}` for one wait.
fn wait(attributes: &str) -> String {
    format!("wait \"it\" {{\n{attributes}\n}}")
}

fn put_variable(story: &Story, path: &str, key: &str, value: &str) {
    story.post(&format!("/v1/var/{path}"), &json!({ "Path": path, "Items": { key: value } }));
}

/// The gate opens once it may, and not before.
fn opens(story: &Story, web: &str) {
    story.gate(web).succeeds(SOON);
    story.main(web).runs(SOON);
}

#[test]
fn a_socket_that_accepts_opens_the_gate() {
    let story = CLUSTER.story();
    let web = story.id("web");
    let [port] = free_ports().expect("loopback has free ports");
    story.run(&Job::service(&web).gate(&wait(&format!("tcp = \"127.0.0.1:{port}\""))));
    story.gate(&web).says(SOON, "connection refused");
    story.gate(&web).still_waits();
    story.makes_it_so(&web, "it");
    let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("it is still free");
    opens(&story, &web);
}

#[test]
fn an_answer_must_have_the_status_and_the_text() {
    let story = CLUSTER.story();
    let (plain, exact) = (story.id("plain"), story.id("exact"));
    let page = Page::new(503, "warming up");
    let url = format!("http = \"http://{}/health\"", page.server.address());
    story.run(&Job::service(&plain).gate(&wait(&url)));
    story.run(&Job::service(&exact).gate(&wait(&format!("{url}\nstatus = 203\ncontains = \"version 2\""))));
    story.gate(&plain).says(SOON, "503");
    story.gate(&exact).says(SOON, "503");

    story.makes_it_so(&plain, "it");
    page.answers(203, "version 1");
    opens(&story, &plain);
    story.gate(&exact).says(SOON, "version 2");
    story.gate(&exact).still_waits();
    story.main(&exact).has_never_started();

    story.makes_it_so(&exact, "it");
    page.answers(203, "this is version 2.1");
    opens(&story, &exact);
}

#[test]
fn a_name_must_have_an_address() {
    let story = CLUSTER.story();
    let (here, nowhere) = (story.id("here"), story.id("nowhere"));
    story.makes_it_so(&here, "it");
    story.run(&Job::service(&here).gate(&wait("dns = \"localhost\"")));
    story.run(&Job::service(&nowhere).gate(&wait("dns = \"nowhere.invalid\"\ntimeout = \"5s\"")));
    opens(&story, &here);
    story.gate(&nowhere).fails(SOON);
    story.gate(&nowhere).says(SOON, "nowhere.invalid");
    story.main(&nowhere).has_never_started();
}

#[test]
fn k_of_n_instances_with_a_tag_must_pass_their_checks() {
    let story = CLUSTER.story();
    let (web, service) = (story.id("web"), story.id("db"));
    let ids = ["a", "b", "c"].map(|name| story.id(name));
    let switches = [Switch::new(), Switch::new(), Switch::new()];
    for (switch, is_on) in switches.iter().zip([true, false, true]) {
        if is_on {
            switch.turn_on();
        }
    }
    for ((id, switch), tags) in ids.iter().zip(&switches).zip([&["primary", "v2"][..], &["primary"], &["v2"]])
    {
        story.run(&Job::service(id).service_named(&service, tags, switch.port()));
    }
    let attributes = format!("service = \"{service}\"\ntags = [\"primary\"]\nat_least = 2");
    story.run(&Job::service(&web).gate(&wait(&attributes)));
    // The third one passes too, but is not tagged so.
    story.gate(&web).says(SOON, "1 of 2 passing (2 needed)");
    story.gate(&web).still_waits();
    story.main(&web).has_never_started();

    story.makes_it_so(&web, "it");
    switches[1].turn_on();
    opens(&story, &web);
}

#[test]
fn a_service_that_is_registered_but_not_well_holds_the_gate() {
    let story = CLUSTER.story();
    let (db, web, switch) = (story.id("db"), story.id("web"), Switch::new());
    story.run(&Job::service(&web).gate(&wait(&format!("service = \"{db}\""))));
    story.gate(&web).says(SOON, "no instance is registered");
    story.run(&Job::service(&db).check(switch.port()));
    story.main(&db).runs(SOON);
    story.gate(&web).says(SOON, "fails");
    story.gate(&web).still_waits();

    story.makes_it_so(&web, "it");
    switch.turn_on();
    opens(&story, &web);
}

#[test]
fn a_service_without_checks_passes_when_its_main_tasks_run() {
    let story = CLUSTER.story();
    let (db, web, flag) = (story.id("db"), story.id("web"), story.flag("db"));
    let service = format!("service {{\n name = \"{db}\"\n provider = \"nomad\"\n}}");
    // Nomad registers it before the main task runs.
    let slow = format!("{}\n{service}", Job::held_back(&flag));
    story.run(&Job::service(&db).group(&slow));
    story.run(&Job::service(&web).gate(&wait(&format!("service = \"{db}\""))));
    story.gate(&web).says(SOON, "task main does not run yet");
    story.gate(&web).still_waits();

    story.makes_it_so(&web, "it");
    flag.of(0).raise();
    opens(&story, &web);
}

#[test]
fn a_variable_is_waited_for_and_compared_and_told_to_nobody() {
    let story = CLUSTER.story();
    let (there, equal, path) = (story.id("there"), story.id("equal"), story.id("release"));
    let variable = format!("variable = \"{path}\"");
    story.run(&Job::service(&there).gate(&wait(&variable)));
    let (other, secret) = ("other-s3cret", "awaited-s3cret");
    story.run(&Job::service(&equal).gate(&wait(&format!("{variable}\nkey = \"v\"\nequals = \"{secret}\""))));
    story.gate(&there).says(SOON, "there is no variable");
    story.gate(&equal).says(SOON, "there is no variable");

    story.makes_it_so(&there, "it");
    put_variable(&story, &path, "v", other);
    opens(&story, &there);
    story.gate(&equal).says(SOON, "is something else");
    story.gate(&equal).still_waits();
    let (_, why) = story.gate(&equal).exec(&["why"]);

    story.makes_it_so(&equal, "it");
    put_variable(&story, &path, "v", secret);
    opens(&story, &equal);
    let events = format!("{:?}", story.gate(&equal).events());
    let agents: String = story.cluster().agents().iter().map(Agent::log).collect();
    let about = ["variable", "variable", "variable", &story.gate(&equal).allocation()];
    for (said, about) in [why, events, story.gate(&equal).logs(), agents].iter().zip(about) {
        assert!(said.contains(about), "not about {about}: {said}");
        assert!(!said.contains(secret) && !said.contains(other), "{said}");
    }
}

#[test]
fn what_a_task_may_not_see_is_named_with_the_policy_that_lets_it() {
    let story = GUARDED.story();
    let (web, path) = (story.id("web"), story.id("release"));
    put_variable(&story, &path, "v", "1");
    let policy = |name: &str, rules: &str| {
        let policy = json!({
            "Name": name, "Rules": format!("namespace \"default\" {{ {rules} }}"),
            "JobACL": { "Namespace": "default", "JobID": web },
        });
        story.post(&format!("/v1/acl/policy/{name}"), &policy);
    };
    policy(&format!("{web}-looks"), "capabilities = [\"list-jobs\", \"read-job\"]");
    story.run(&Job::service(&web).gate(&wait(&format!("variable = \"{path}\""))));
    story.gate(&web).says(SOON, &format!("path \"{path}\" {{ capabilities = [\"read\"] }}"));
    story.gate(&web).still_waits();

    story.makes_it_so(&web, "it");
    let rules = format!("variables {{ path \"{path}\" {{ capabilities = [\"read\"] }} }}");
    policy(&format!("{web}-reads"), &rules);
    opens(&story, &web);
}

/// A story on a cluster whose plugin knows a Consul.
pub(crate) fn with_consul(options: Options) -> (Story, Consul) {
    let [port] = free_ports().expect("loopback has free ports");
    let plugin = format!("config {{\n consul {{\n address = \"http://127.0.0.1:{port}\"\n}}\n}}");
    let story = Story::alone(Options { plugin, ..options });
    let consul = Consul::start(story.cluster().dir(), port).unwrap_or_else(|why| panic!("{why}"));
    (story, consul)
}

#[test]
fn a_service_and_a_key_of_consuls() {
    let (story, consul) = with_consul(Options::default());
    let (after_db, after_key) = (story.id("after-db"), story.id("after-key"));
    let service = "service = \"db\"\nprovider = \"consul\"\ntags = [\"primary\"]";
    story.run(&Job::service(&after_db).gate(&wait(service)));
    story.run(&Job::service(&after_key).gate(&wait("consul_key = \"shop/release\"\nequals = \"2.0\"")));
    story.gate(&after_db).says(SOON, "no instance is registered");
    story.gate(&after_key).says(SOON, "there is no key");
    consul.register("db", &["primary"]);
    consul.put("/v1/kv/shop/release", "1.0");
    story.gate(&after_db).says(SOON, "is critical");
    story.gate(&after_key).says(SOON, "is something else");
    story.gate(&after_db).still_waits();
    story.gate(&after_key).still_waits();

    story.makes_it_so(&after_db, "it");
    consul.passes("db");
    opens(&story, &after_db);
    story.makes_it_so(&after_key, "it");
    consul.put("/v1/kv/shop/release", "2.0");
    opens(&story, &after_key);
}

#[test]
fn consul_away_for_a_while_is_waited_for() {
    let (story, mut consul) = with_consul(Options::default());
    let web = story.id("web");
    consul.register("db", &[]);
    story.run(&Job::service(&web).gate(&wait("service = \"db\"\nprovider = \"consul\"")));
    story.gate(&web).says(SOON, "is critical");
    consul.kill();
    story.gate(&web).says(SOON, "cannot reach Consul");
    thread::sleep(seconds(20));
    story.gate(&web).still_waits();
    consul.start_again().unwrap_or_else(|why| panic!("{why}"));
    consul.register("db", &[]);
    story.gate(&web).still_waits();

    story.makes_it_so(&web, "it");
    consul.passes("db");
    opens(&story, &web);
}

#[test]
fn consul_and_the_agent_away_at_once_are_waited_for() {
    let (story, mut consul) = with_consul(Options { restartable: true, ..Options::default() });
    let (seed, web, flag) = (story.id("seed"), story.id("web"), story.flag("seed"));
    consul.register("db", &[]);
    story.run(&Job::batch(&seed).script_after(&flag, "exit 0"));
    let config =
        format!("wait \"{seed}\" {{}}\nwait \"it\" {{\n service = \"db\"\n provider = \"consul\"\n }}");
    story.run(&Job::service(&web).gate(&config));
    story.main(&seed).runs(SOON);
    story.gate(&web).says(SOON, "is critical");
    consul.kill();
    story.agent(Agent::kill);
    thread::sleep(seconds(20));
    story.start_again();
    consul.start_again().unwrap_or_else(|why| panic!("{why}"));
    consul.register("db", &[]);
    story.gate(&web).runs(SOON);
    story.gate(&web).still_waits();
    story.main(&web).has_never_started();

    story.makes_it_so(&web, "it");
    consul.passes("db");
    story.gate(&web).still_waits();
    flag.raise();
    story.gate(&web).succeeds(seconds(60));
    story.main(&web).runs(SOON);
}

#[test]
fn a_plugin_that_knows_no_consul_says_what_to_write() {
    let story = CLUSTER.story();
    let web = story.id("web");
    story.run(&Job::service(&web).gate(&wait("consul_key = \"release\"\ntimeout = \"5s\"")));
    story.gate(&web).says(SOON, "consul { address = ");
    story.gate(&web).fails(SOON);
    story.main(&web).has_never_started();
}

//! What one node of a tree puts out, another takes.

use serde_json::{Value, json};

use crate::harness::{Options, seconds};
use crate::story::{Hook, Job, Node, SOON, Shared, Story, Tree};

static CLUSTER: Shared = Shared::new(Options::default);

/// It stands in a variable, and nobody is told.
const SECRET: &str = "hunter2-Marker\\\"${x}";

/// A service with a dynamic port, and a release in its meta.
fn database(id: &str) -> Job {
    Job::service(id).meta("7").group(&format!(
        "network {{\n port \"db\" {{}}\n }}\n service {{\n name = \"{id}\"\n port = \"db\"\n provider = \"nomad\"\n }}"
    ))
}

/// A job with variables of several types, whose task has them in its environment.
fn taker(id: &str) -> String {
    let variables: Vec<String> = ["url", "pass", "release", "seed", "zone"]
        .map(|name| format!("variable \"{name}\" {{\n type = string\n}}"))
        .into();
    format!(
        r#"{}
variable "port" {{
  type = number
}}
variable "code" {{
  type = number
}}
variable "hosts" {{
  type = list(string)
}}
job "{id}" {{
  group "g" {{
    update {{
      min_healthy_time = "300ms"
    }}
    task "main" {{
      driver = "raw_exec"
      config {{
        command = "/bin/sh"
        args    = ["-c", "exec sleep 100000"]
      }}
      env {{
        NEXT    = var.port + 1
        URL     = var.url
        PASS    = var.pass
        RELEASE = var.release
        SEED    = var.seed
        CODE    = var.code + 1
        ZONE    = var.zone
        HOSTS   = join(" ", var.hosts)
      }}
      resources {{
        cpu    = 10
        memory = 10
      }}
    }}
  }}
}}
"#,
        variables.join("\n")
    )
}

fn keep(story: &Story, path: &str, key: &str, value: &str) {
    let said = story.cli(&["var", "put", "-force", path, &format!("{key}={value}")]);
    assert!(said.status.success(), "{said:?}");
}

/// The environment of a job's task.
fn env(story: &Story, id: &str) -> Value {
    story.job(id).expect("it is registered")["TaskGroups"][0]["Tasks"][0]["Env"].clone()
}

/// Address and port of the one instance of a service.
fn instance(story: &Story, name: &str) -> (String, u64) {
    story.within(SOON, "one instance of the service", || {
        let found = story.get(&format!("/v1/service/{name}"));
        match found.as_array().map(Vec::as_slice) {
            Some([one]) => Ok((
                one["Address"].as_str().unwrap_or_default().to_owned(),
                one["Port"].as_u64().unwrap_or(0),
            )),
            _ => Err(found.to_string()),
        }
    })
}

/// All that is told and kept of a tree's run but its jobs.
fn traces(story: &Story, tree: &str) -> String {
    let task = story.tree(tree);
    let mut text = format!("{}\n{:?}\n", task.logs(), task.events());
    let dir = story.cluster().dir().join(format!("a/data/alloc/{}/tree/dtree", task.allocation()));
    for entry in
        std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())).flatten()
    {
        let bytes = std::fs::read(entry.path()).expect("it can be read");
        text.push_str(&String::from_utf8_lossy(&bytes));
    }
    let records = story.get("/v1/vars?prefix=dtree/");
    for record in records.as_array().into_iter().flatten() {
        let path = record["Path"].as_str().unwrap_or_default();
        text.push_str(&story.get(&format!("/v1/var/{path}")).to_string());
    }
    text.push_str(&story.agent(|agent| agent.log()));
    text
}

#[test]
fn every_kind_of_output_is_filled_in_and_a_secret_is_told_to_nobody() {
    let story = CLUSTER.story();
    let [db, api, tool, seed, secret] = ["db", "api", "tool", "seed", "secret"].map(|name| story.id(name));
    keep(&story, &secret, "pass", SECRET);
    story.run(&Job::batch(&tool).parameterized("at").payload().script("exit 3"));
    let outputs = format!(
        "outputs {{\n address = \"service:{db}:address\"\n port = \"service:{db}:port\"\n pass = \"variable:{secret}#pass\"\n release = \"meta:release\"\n }}"
    );
    let vars = format!(
        r#"vars = {{
          port    = "$(db.port)"
          url     = "pg://$(db.address):$(db.port)/$(db.id)?$$(x)"
          pass    = "$(db.pass)"
          release = "v$(db.release)"
          seed    = "$({seed}.id)"
          code    = "$({seed}.exit_code)"
          zone    = "$(context.zone)"
          hosts   = "[\"a:$(db.port)\", $(db.address)]"
        }}"#
    );
    let hook = Hook::dispatch(&seed, &tool)
        .with("on_failure = \"continue\"\n meta = { at = \"$(db.port)\" }\n payload = \"pass $(db.pass)\"");
    let tree = Tree::new(&story.id("tree"))
        .option("context {\n zone = \"eu-1\"\n }")
        .node(Node::of(&database(&db)).named("db").with(&outputs).post(hook))
        .node(Node::of_text(&api, &taker(&api)).registering(&api, "default").with(&vars));
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(SOON);
    let (address, port) = instance(&story, &db);
    let dispatched = story.get(&format!("/v1/jobs?prefix={tool}/dispatch"));
    let dispatched = dispatched[0]["ID"].as_str().expect("it was dispatched").to_owned();
    let expected = |port: u64| {
        json!({
            "NEXT": (port + 1).to_string(), "URL": format!("pg://{address}:{port}/{db}?$(x)"), "PASS": SECRET, "RELEASE": "v7",
            "SEED": dispatched, "CODE": "4", "ZONE": "eu-1", "HOSTS": format!("a:{port} {address}"),
        })
    };
    assert_eq!(env(&story, &api), expected(port));
    let child = story.get(&format!("/v1/job/{}", dispatched.replace('/', "%2F")));
    assert_eq!(child["Meta"]["at"], port.to_string());
    let marker = "hunter2-Marker";
    let told = traces(&story, &tree.id);
    assert!(told.contains("reads $(context.zone)") || told.contains("reads $(db.address)"), "{told}");
    assert!(
        told.contains("submitted") && told.contains("exit_code"),
        "the journal and the record are among them: {told}"
    );
    assert!(!told.contains(marker), "{told}");

    // Again: nothing has changed, and the hook does not run.
    let before = [&db, &api].map(|id| story.stamp(id));
    story.run_tree(&tree.clone().run("2"));
    story.tree(&tree.id).succeeds(SOON);
    assert_eq!([&db, &api].map(|id| story.stamp(id)), before);

    // The database gets another port.
    let allocation = before[0].allocations[0].clone();
    let said = story.cli(&["alloc", "stop", &allocation]);
    assert!(said.status.success(), "{said:?}");
    story.is_healthy(&db);
    let (_, other) = story.within(SOON, "another port", || {
        let now = instance(&story, &db);
        if now.1 == port { Err(format!("{now:?}")) } else { Ok(now) }
    });
    story.run_tree(&tree.clone().run("3"));
    story.tree(&tree.id).succeeds(SOON);
    assert_eq!(env(&story, &api), expected(other));
    assert_eq!(story.versions(&db).len(), 1, "it was not touched");
    assert!(!traces(&story, &tree.id).contains(marker));
}

#[test]
fn a_variable_that_a_hook_writes_is_waited_for() {
    let story = CLUSTER.story();
    let [db, api, later] = ["db", "api", "later"].map(|name| story.id(name));
    let job =
        format!("variable \"n\" {{\n type = number\n}}\n{}", Job::service(&api).meta("${var.n + 1}").hcl());
    let tree = Tree::new(&story.id("tree"))
        .node(
            Node::of(&Job::service(&db))
                .named("db")
                .with(&format!("outputs = {{ n = \"variable:{later}#n\" }}")),
        )
        .node(Node::of_text(&api, &job).registering(&api, "default").with("vars = { n = \"$(db.n)\" }"));
    story.run_tree(&tree);
    story.tree(&tree.id).says(SOON, &format!("has no variable \"{later}\""));
    story.tree(&tree.id).still_waits();
    story.were_never_registered(&[&api]);

    keep(&story, &later, "n", "41");
    story.tree(&tree.id).succeeds(seconds(120));
    assert_eq!(story.job(&api).expect("it is there")["Meta"]["release"], "42");
}

#[test]
fn an_output_that_cannot_be_had_is_told_before_anything_is_written() {
    let story = CLUSTER.story();
    let [db, api, web] = ["db", "api", "web"].map(|name| story.id(name));
    let object = "variable \"o\" {\n type = object({ a = string })\n}\n";
    let outputs = format!(
        "outputs = {{ a = \"service:no-such:port\", b = \"meta:relaese\", c = \"meta:release\", d = \"service:{db}:port\" }}"
    );
    // Without a provider a service is Consul's.
    let job = database(&db).hcl().replace("provider = \"nomad\"", "");
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of_text("db", &job).with(&outputs))
        .node(
            Node::of_text(&api, &format!("{object}{}", Job::service(&api).hcl()))
                .with("vars = { o = \"$(db.c)\" }"),
        )
        .node(Node::of(&Job::service(&web)));
    story.run_tree(&tree);
    story.tree(&tree.id).fails(SOON);
    let message = story.tree(&tree.id).says(SOON, "nothing was begun");
    for part in
        ["registers no such service", "did you mean \"meta:release\"", "nothing can stand for an object"]
    {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
    story.were_never_registered(&[&db, &api, &web]);
}

#[test]
fn a_reference_that_leads_nowhere_or_in_a_circle_is_told_at_once() {
    let story = CLUSTER.story();
    let [db, api] = ["db", "api"].map(|name| story.id(name));
    let tree = Tree::new(&story.id("tree"))
        .option("context {\n zone = \"a\"\n }")
        .node(
            Node::of(&Job::service(&db))
                .named("db")
                .with("vars = { a = \"$(api.id)\", b = \"$(context.zoen)\" }"),
        )
        .node(
            Node::of(&Job::service(&api))
                .named("api")
                .with("vars = { a = \"$(db.prot)\", b = \"$(dbb.id)\", c = \"$(date)\", d = \"$(db.id)\" }"),
        );
    story.run_tree(&tree);
    story.tree(&tree.id).fails(SOON);
    let message = story.tree(&tree.id).says(SOON, "5 problems");
    for part in [
        "no output \"prot\"",
        "did you mean `$(db.id)`",
        "which names no output",
        "did you mean `$(context.zone)`",
        "api → db → api",
    ] {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
    story.were_never_registered(&[&db, &api]);
}

#[test]
fn a_secret_that_does_not_fit_is_not_repeated() {
    let story = CLUSTER.story();
    let [db, api, secret] = ["db", "api", "secret"].map(|name| story.id(name));
    keep(&story, &secret, "pass", SECRET);
    let job =
        format!("variable \"n\" {{\n type = number\n}}\n{}", Job::service(&api).meta("${var.n + 1}").hcl());
    let tree = Tree::new(&story.id("tree"))
        .node(
            Node::of(&Job::service(&db))
                .named("db")
                .with(&format!("outputs = {{ n = \"variable:{secret}#pass\" }}")),
        )
        .node(Node::of_text(&api, &job).with("vars = { n = \"$(db.n)\" }"));
    story.run_tree(&tree);
    story.tree(&tree.id).fails(SOON);
    story.tree(&tree.id).says(SOON, "what it says is not repeated");
    story.were_never_registered(&[&api]);
    assert!(!traces(&story, &tree.id).contains("hunter2"));
}

#[test]
fn a_job_that_calls_itself_by_an_output_is_refused() {
    let story = CLUSTER.story();
    let [db, api] = ["db", "api"].map(|name| story.id(name));
    let job = Job::service("${var.name}").hcl();
    let job = format!("variable \"name\" {{\n type = string\n}}\n{job}")
        .replace("job \"${var.name}\"", &format!("job \"{api}\""));
    let job = job.replacen("type      = \"service\"", "id = \"x-${var.name}\"\n type = \"service\"", 1);
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(&db)).named("db"))
        .node(Node::of_text(&api, &job).with("vars = { name = \"$(db.id)\" }"));
    story.run_tree(&tree);
    story.tree(&tree.id).fails(SOON);
    story.tree(&tree.id).says(SOON, "its ID cannot depend on an output");
    story.were_never_registered(&[&api, &format!("x-{db}")]);
}

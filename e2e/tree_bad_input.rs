//! What is wrong with a tree is said at once and all of it, before anything is written.

use std::collections::BTreeMap;

use crate::harness::{Options, seconds};
use crate::story::{Files, Hook, Job, Node, SOON, Shared, Story, Tree};

static CLUSTER: Shared = Shared::new(Options::default);

/// Runs a tree that is refused; gives what it says. Nothing of it, and none of `ids`, was ever registered.
#[track_caller]
fn refused(story: &Story, tree: &Tree, first_words: &str, ids: &[&str]) -> String {
    story.run_tree(tree);
    story.tree(&tree.id).fails(SOON);
    let message = story.tree(&tree.id).says(SOON, first_words);
    story.were_never_registered(ids);
    assert!(story.marked_by(&tree.id).is_empty(), "{message}");
    message
}

/// That all of these are in it.
#[track_caller]
fn names(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
}

#[test]
fn all_problems_of_a_trees_blocks_are_in_one_task_event() {
    let story = CLUSTER.story();
    let [db, hen, egg, web, twin, out] =
        ["db", "hen", "egg", "web", "twin", "out"].map(|name| story.id(name));
    let tree = Tree::new(&story.id("tree"))
        .option("on_failure = \"explode\"")
        .option("max_parallel = 0")
        .option(&format!("wait \"{twin}\" {{}}"))
        .node(Node::of(&Job::service(&db)))
        .node(Node::of(&Job::service(&hen)).after(&[&egg]))
        .node(Node::of(&Job::service(&egg)).after(&[&hen]))
        .node(Node::of(&Job::service(&web)).after(&["nobody"]))
        .node(Node::of(&Job::service(&twin)))
        .node(Node::of_file(&out, "local/../../../out.nomad.hcl"))
        .node(
            Node::of_text("bare", "")
                .with("ready {\n until = \"absent\"\n stable_for = \"soon\"\n }")
                .post(Hook::dispatch("both", "x").with("jobspec = \"local/x\"").with("retries = 1000")),
        );
    let message = refused(&story, &tree, "problems", &[&db, &hen, &egg, &web, &twin]);
    names(
        &message,
        &[
            &format!("{egg} → {hen} → {egg}"),
            "\"nobody\"",
            &format!("wait {twin:?} has the same label"),
            "leads out of the task's directory",
            "explode",
            "max_parallel",
            "absent",
            "soon",
            "retries",
            "dispatch",
        ],
    );
}

#[test]
fn all_problems_of_a_trees_files_are_in_one_task_event() {
    let story = CLUSTER.story();
    let [db, twin, gone, huge, link, linked, broken, unfit, forever, nowhere, strange] =
        ["db", "twin", "gone", "huge", "link", "linked", "broken", "unfit", "forever", "nowhere", "strange"]
            .map(|name| story.id(name));
    let mischief = r#"task "mischief" {
      driver = "raw_exec"

      lifecycle {
        hook = "prestart"
      }

      config {
        command = "/bin/sh"
        args    = ["-c", "cd $NOMAD_ALLOC_DIR && head -c 1100000 /dev/zero > huge && ln -s /etc/passwd link && ln -s /etc linked"]
      }

      resources {
        cpu    = 10
        memory = 10
      }
    }"#;
    let broken_text = format!("job \"{broken}\" {{\n  group \"g\" {{\n    cuont = 3\n  }}\n}}\n");
    let unfit_text = Job::service(&unfit).hcl().replace("memory = 10", "memory = 1");
    let tree = Tree::new(&story.id("tree"))
        .group(mischief)
        .node(Node::of(&Job::service(&db)))
        .node(Node::of(&Job::service(&db)).named(&twin))
        .node(Node::of_file(&gone, "local/gone.nomad.hcl"))
        .node(Node::of_file(&huge, "/alloc/huge"))
        .node(Node::of_file(&link, "/alloc/link"))
        .node(Node::of_file(&linked, "/alloc/linked/passwd"))
        .node(Node::of_text(&broken, &broken_text))
        .node(Node::of_text(&unfit, &unfit_text))
        .node(Node::of(&Job::service(&nowhere)).with("namespace = \"no-such-place\""))
        .node(
            Node::of(&Job::service(&strange))
                .with("vars = {\n colour = \"blue\"\n }")
                .post(Hook::of(&Job::service(&forever)))
                .pre(Hook::dispatch(&story.id("ghost"), "no-such-job")),
        );
    let message = refused(&story, &tree, "nothing was begun", &[&db, &unfit, &nowhere, &strange, &forever]);
    names(
        &message,
        &[
            "submit the same job",
            "nothing is called \"gone.nomad.hcl\"",
            "larger than 1 MiB",
            "\"link\" is a link",
            "\"linked\" is no directory, or a link",
            &format!("local/{broken}.nomad.hcl:3,"),
            "cuont",
            "minimum MemoryMB",
            "there is no namespace \"no-such-place\"",
            "colour",
            "a service job, which never ends",
            "no-such-job",
        ],
    );
}

#[test]
fn a_function_that_nomads_servers_lack_is_explained() {
    let story = CLUSTER.story();
    let web = story.id("web");
    let text = Job::service(&web).meta("${file(\"release\")}").hcl();
    let tree = Tree::new(&story.id("tree")).node(Node::of_text(&web, &text));
    let message = refused(&story, &tree, "nothing was begun", &[&web]);
    names(&message, &[&format!("local/{web}.nomad.hcl:"), "template"]);
}

#[test]
fn a_tree_does_not_submit_itself() {
    let story = CLUSTER.story();
    let (id, db) = (story.id("tree"), story.id("db"));
    let tree = Tree::new(&id)
        .node(Node::of(&Job::service(&db)))
        .node(Node::of_text("own", &Job::service(&id).hcl()));
    let message = refused(&story, &tree, "nothing was begun", &[&db]);
    names(&message, &["is the job that the tree itself is a task of"]);
}

#[test]
fn a_job_that_nobodys_tree_has_submitted_is_left_alone() {
    let story = CLUSTER.story();
    let (db, web) = (story.id("db"), story.id("web"));
    story.run(&Job::service(&db).meta("by hand"));
    story.is_healthy(&db);
    let before = story.stamp(&db);
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(&db)))
        .node(Node::of(&Job::service(&web)).after(&[&db]));
    story.run_tree(&tree);
    story.tree(&tree.id).fails(SOON);
    let message = story.tree(&tree.id).says(SOON, "failed after");
    names(&message, &[&db, "not by a tree", "adopt = true", &format!("because {db} failed: {web}")]);
    assert_eq!(story.stamp(&db), before);
    story.were_never_registered(&[&web]);
}

#[test]
fn adopt_takes_over_a_job_that_nobodys_tree_has_submitted() {
    let story = CLUSTER.story();
    let (db, web) = (story.id("db"), story.id("web"));
    story.run(&Job::service(&db).meta("by hand"));
    story.is_healthy(&db);
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(&db)).with("adopt = true"))
        .node(Node::of(&Job::service(&web)).after(&[&db]));
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(SOON);
    story.main(&web).runs(SOON);
    let before = [&db, &web].map(|id| story.stamp(id));

    // From now on it is the tree's own.
    story.run_tree(&tree.clone().run("2"));
    story.tree(&tree.id).succeeds(SOON);
    assert_eq!([&db, &web].map(|id| story.stamp(id)), before);
}

#[test]
fn a_job_of_another_tree_is_left_alone_also_with_adopt() {
    let story = CLUSTER.story();
    let db = story.id("db");
    let first = Tree::new(&story.id("first")).node(Node::of(&Job::service(&db)));
    story.run_tree(&first);
    story.tree(&first.id).succeeds(SOON);
    let before = story.stamp(&db);
    let second =
        Tree::new(&story.id("second")).node(Node::of(&Job::service(&db).meta("2")).with("adopt = true"));
    story.run_tree(&second);
    story.tree(&second.id).fails(SOON);
    story.tree(&second.id).says(SOON, &format!("belongs to tree default/{}", first.id));
    assert_eq!(story.stamp(&db), before);
}

/// Puts everything into a jobspec that somebody on its way could expand.
fn prickly(id: &str, flag: &str) -> String {
    format!(
        r#"job "{id}" {{
  type = "batch"

  group "g" {{
    restart {{
      attempts = 0
      mode     = "fail"
    }}

    task "main" {{
      driver = "raw_exec"

      template {{
        data        = "{{{{ env \"NOMAD_JOB_NAME\" }}}} $${{HOME}} %%{{x}} [[ {{{{ \"{{{{\" }}}} 100%\n"
        destination = "local/out"
      }}

      env {{
        GREETING = "hello ${{NOMAD_TASK_NAME}}, $$$${{not}} this"
      }}

      config {{
        command = "/bin/sh"
        args    = ["-c", "cp ${{NOMAD_TASK_DIR}}/out {flag}; echo ${{NOMAD_GROUP_NAME}} >> {flag}"]
      }}

      resources {{
        cpu    = 10
        memory = 10
      }}
    }}
  }}
}}
"#
    )
}

/// The part of a job that must have arrived as it was written.
fn task_of(job: &serde_json::Value) -> [serde_json::Value; 3] {
    let task = &job["TaskGroups"][0]["Tasks"][0];
    [task["Templates"][0]["EmbeddedTmpl"].clone(), task["Env"].clone(), task["Config"].clone()]
}

#[test]
fn jobspecs_full_of_dollars_and_braces_arrive_unharmed_through_templates() {
    let story = CLUSTER.story();
    let (id, flag) = (story.id("prickly"), story.flag("out"));
    let text = prickly(&id, &flag.0.display().to_string());
    let wanted = task_of(&story.cluster().parse(&text, "").expect("it is a good jobspec"));
    let tree = Tree::new(&story.id("tree")).node(Node::of_text(&id, &text).registering(&id, "default"));
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(SOON);
    assert_eq!(task_of(&story.job(&id).expect("it is registered")), wanted);
    let written = std::fs::read_to_string(&flag.0).expect("it has run");
    assert_eq!(written, format!("{id} ${{HOME}} %{{x}} [[ {{{{ 100%\ng\n"));
}

#[test]
fn jobspecs_arrive_through_artifacts() {
    let story = CLUSTER.story();
    let (id, db, flag) = (story.id("prickly"), story.id("db"), story.flag("out"));
    let text = prickly(&id, &flag.0.display().to_string());
    let wanted = task_of(&story.cluster().parse(&text, "").expect("it is a good jobspec"));
    let served = [("prickly.nomad.hcl", text), ("db.nomad.hcl", Job::service(&db).hcl())];
    let files = Files::serve(BTreeMap::from(served.map(|(name, text)| (name.to_owned(), text))));
    let artifact = |name: &str| {
        format!("artifact {{\n source = \"{}\"\n destination = \"local\"\n }}\n", files.url(name))
    };
    let tree = Tree::new(&story.id("tree"))
        .task(&[artifact("prickly.nomad.hcl"), artifact("db.nomad.hcl")].concat())
        .node(Node::of_file(&db, "local/db.nomad.hcl").registering(&db, "default"))
        .node(Node::of_file(&id, "local/prickly.nomad.hcl").registering(&id, "default").after(&[&db]));
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(seconds(120));
    assert_eq!(task_of(&story.job(&id).expect("it is registered")), wanted);
    story.main(&db).runs(SOON);
}

#[test]
fn a_value_for_a_variable_arrives_as_it_was_given() {
    let story = CLUSTER.story();
    let id = story.id("vars");
    let text = format!(
        "variable \"greeting\" {{\n type = string\n}}\nvariable \"n\" {{\n type = number\n}}\n{}",
        Job::service(&id).meta("${var.greeting} ${var.n}").hcl()
    );
    // The client expands a task's configuration once more, and not the values that come out of it.
    let tree = Tree::new(&story.id("tree")).node(
        Node::of_text(&id, &text)
            .registering(&id, "default")
            .with("vars = {\n greeting = \"say $$${x} \\\"100%\\\"\"\n n = 7\n }"),
    );
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(SOON);
    let job = story.job(&id).expect("it is registered");
    assert_eq!(job["Meta"]["release"], "say ${x} \"100%\" 7");
}

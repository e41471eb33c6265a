//! What a user who asks is told: of each open condition what is awaited, what is seen of it in Nomad's own words, since when,
//! until when, and what would help.

use serde_json::Value;

use crate::cli_look::dtree;
use crate::harness::Options;
use crate::story::{Job, SOON, Shared, Switch};

static CLUSTER: Shared = Shared::new(Options::default);

/// The beginning of an ID, as it is spoken.
fn short(id: &Value) -> String {
    id.as_str().expect("it has an ID").chars().take(8).collect()
}

/// When a wait began, or is over.
fn at(wait: &Value, key: &str) -> jiff::Timestamp {
    let text = wait[key].as_str().unwrap_or_else(|| panic!("no {key}: {wait}"));
    text.parse().unwrap_or_else(|why| panic!("{why}: {wait}"))
}

#[test]
fn all_that_is_in_the_way_is_named_with_what_helps() {
    let story = CLUSTER.story();
    let [db, big, picky, ghost, web] = ["db", "big", "picky", "ghost", "web"].map(|name| story.id(name));
    let switch = Switch::new();
    story.run(&Job::service(&db).check(switch.port()));
    story.run(&Job::service(&big).too_big());
    let nowhere = "constraint {\n attribute = \"${attr.kernel.name}\"\n value = \"plan9\"\n }";
    story.run(&Job::service(&picky).group(nowhere));
    story.main(&db).runs(SOON);
    let waits = [&db, &big, &picky, &ghost].map(|job| format!("wait \"{job}\" {{\n timeout = \"1h\"\n }}"));
    story.run(&Job::service(&web).gate(&waits.join("\n")));
    story.gate(&web).runs(SOON);

    let deployment = short(&story.get(&format!("/v1/job/{db}/deployment"))["ID"]);
    let allocation = short(&story.allocations(&db).expect("it is placed")[0]["ID"]);
    let words = [
        format!("awaited   job {db} healthy"),
        format!("deployment {deployment}"),
        format!("allocation {allocation}, {db}.g[0]: running"),
        "task main: running".to_owned(),
        "fails: ".to_owned(),
        "503".to_owned(),
        "1 client exhausted: memory".to_owned(),
        "1 client filtered: ${attr.kernel.name} = plan9".to_owned(),
        "no job has this ID yet".to_owned(),
        "since     ".to_owned(),
        "until     59m".to_owned(),
        format!("help      look with `nomad job status {db}`"),
        "help      register it with `nomad job run FILE`".to_owned(),
    ];
    let why = story.within(SOON, "why to name all of it", || {
        let (_, why) = story.gate(&web).exec(&["why"]);
        match words.iter().find(|words| !why.contains(*words)) {
            None => Ok(why),
            Some(missing) => Err(format!("nothing about {missing:?}:\n{why}")),
        }
    });
    assert_eq!(why.matches("    until     ").count(), 4, "each of them: {why}");

    // Programs are told when that began, and when it is over: of the job, and of its allocation.
    let (code, of_job, said) = dtree(&story, None, &["why", &web, "--json"], "");
    assert_eq!(code, 0, "{said}");
    let (code, of_alloc, said) = dtree(&story, None, &["why", &story.gate(&web).allocation(), "--json"], "");
    assert_eq!(code, 0, "{said}");
    let [of_job, of_alloc] = [of_job, of_alloc].map(|printed| {
        serde_json::from_str::<Value>(&printed).unwrap_or_else(|why| panic!("{why}: {printed}"))
    });
    for waits in [&of_job["job"]["gates"][0]["waits"], &of_alloc["allocations"][0]["tasks"][0]["waits"]] {
        let waits = waits.as_array().expect("they are told");
        assert_eq!(waits.len(), 4, "{waits:?}");
        for wait in waits {
            // It is gated since the gate has begun, and that has an hour for each.
            assert!(
                (59..=60).contains(&at(wait, "until").duration_since(at(wait, "since")).as_mins()),
                "{wait}"
            );
            assert_eq!((&wait["state"], &wait["then"]), (&"gated".into(), &"fail".into()), "{wait}");
        }
    }
    story.gate(&web).still_waits();
    story.main(&web).has_never_started();
}

#[test]
fn each_allocation_that_waits_says_for_itself_until_when() {
    let story = CLUSTER.story();
    let [ghost, web] = ["ghost", "web"].map(|name| story.id(name));
    let wait = format!("wait \"{ghost}\" {{\n timeout = \"1h\"\n }}");
    story.run(&Job::service(&web).count(2).gate(&wait));

    // To people, once both wait.
    let why = story.within(SOON, "why to tell of both allocations", || {
        let (code, why, said) = dtree(&story, None, &["why", &web], "");
        assert_eq!(code, 0, "{said}");
        if why.matches("    says      allocation ").count() == 2 { Ok(why) } else { Err(why) }
    });
    let placed = story.allocations(&web).expect("they are placed");
    let ids: Vec<&str> = placed.iter().filter_map(|placed| placed["ID"].as_str()).collect();
    assert_eq!(ids.len(), 2, "{placed:?}");
    for placed in &placed {
        let said = format!("says      allocation {}: {ghost}: gated for ", short(&placed["ID"]));
        let line =
            why.lines().find(|line| line.contains(&said)).unwrap_or_else(|| panic!("no {said}: {why}"));
        assert!(line.contains(", until 5") && line.ends_with(" from now, then fail"), "{line}");
    }

    // And to programs.
    let (code, printed, said) = dtree(&story, None, &["why", &web, "--json"], "");
    assert_eq!(code, 0, "{said}");
    let why: Value = serde_json::from_str(&printed).unwrap_or_else(|why| panic!("{why}: {printed}"));
    let told = why["job"]["gates"][0]["allocations"].as_array().expect("they are told");
    assert_eq!(told.len(), 2, "{printed}");
    for told in told {
        assert!(ids.contains(&told["id"].as_str().expect("it has an ID")), "{printed}");
        let wait = &told["waits"][0];
        assert_eq!((&wait["name"], &wait["state"]), (&ghost.as_str().into(), &"gated".into()), "{printed}");
        assert!(
            (59..=60).contains(&(at(wait, "until").duration_since(at(wait, "since"))).as_mins()),
            "{wait}"
        );
    }
    story.main(&web).has_never_started();
}

#[test]
fn a_failed_upstream_is_told_with_its_last_words() {
    let story = CLUSTER.story();
    let (seed, web, flag) = (story.id("seed"), story.id("web"), story.flag("seed"));
    let script = "echo all is well; echo no room on the disk >&2; exit 3";
    story.run(&Job::batch(&seed).script_after(&flag, script));
    story.run(&Job::service(&web).gate(&format!("wait \"{seed}\" {{}}")));
    story.main(&seed).runs(SOON);
    story.gate(&web).says(SOON, &seed);
    flag.raise();
    story.gate(&web).fails(SOON);
    let said = story.gate(&web).says(SOON, "no room on the disk");
    assert!(said.contains("exited with 3"), "{said}");
    story.main(&web).has_never_started();
}

//! Ernest's mapping, imported.

use insta::assert_snapshot;

use super::{dtree, wrong};

/// A mapping with two roots, of which one feeds two others.
const FAN: &str = r#"{"id":"t1","action":"build.create",
 "edges":[{"source":"start","destination":"db::a","length":1},{"source":"start","destination":"mq::a","length":1},
  {"source":"db::a","destination":"api::1","length":1},{"source":"mq::a","destination":"api::1","length":1},
  {"source":"db::a","destination":"rep::1","length":1},{"source":"api::1","destination":"end","length":1},{"source":"rep::1","destination":"end","length":1}],
 "components":[],
 "changes":[{"_component_id":"db::a","_component":"db","_action":"create","_provider":"x","_state":"waiting"},
  {"_component_id":"mq::a","_component":"mq","_action":"create","_provider":"x","_state":"waiting"},
  {"_component_id":"api::1","_component":"api","_action":"create","_provider":"x","_state":"waiting","db_url":"$(components.#[_component_id=\"db::a\"].url)"},
  {"_component_id":"rep::1","_component":"rep","_action":"create","_provider":"x","_state":"waiting"}]}"#;

/// Imports a text, and draws what comes out, which is so checked.
fn imported(text: &str) -> String {
    let manifest = dtree(&[], &["import", "-"], text);
    match manifest.strip_suffix("--- exit 0") {
        Some(good) => format!("{good}{}", dtree(&[], &["graph", "-"], good)),
        None => manifest,
    }
}

#[test]
fn a_mapping_becomes_a_tree_with_its_edges_and_values() {
    assert_snapshot!(imported(FAN), @r#"
    # What ernest's mapping says, as a tree.
    # Each jobspec must declare the variables of its `vars`; with --jobspecs only those that it has are written.
    tree "t1" {
      job "api::1" {
        # _provider = "x": has no equivalent
        jobspec = "local/api.nomad.hcl"
        depends_on = ["db::a", "mq::a"]
        vars = {
          db_url = "$(db::a.url)"
        }
      }
      job "db::a" {
        # _provider = "x": has no equivalent
        jobspec = "local/db.nomad.hcl"
        # The jobspec must set these in its meta; a service or a variable may give them as well.
        outputs = {
          url = "meta:url"
        }
      }
      job "mq::a" {
        # _provider = "x": has no equivalent
        jobspec = "local/mq.nomad.hcl"
      }
      job "rep::1" {
        # _provider = "x": has no equivalent
        jobspec = "local/rep.nomad.hcl"
        depends_on = ["db::a"]
      }
    }
    tree "t1"
       1  db::a
          mq::a
       2  api::1  after db::a, mq::a
          rep::1  after db::a
    --- exit 0
    "#);
}

#[test]
fn what_a_mapping_has_done_already_is_not_done_again() {
    let in_the_middle = r#"{"id":"t2","action":"build.create","edges":[{"source":"start","destination":"a::1","length":1},{"source":"start","destination":"b::1","length":1},{"source":"a::1","destination":"c::1","length":1},{"source":"b::1","destination":"c::1","length":1}],
 "components":[],"changes":[{"_component_id":"a::1","_component":"a","_action":"create","_provider":"x","_state":"errored"},{"_component_id":"b::1","_component":"b","_action":"create","_provider":"x","_state":"running"},{"_component_id":"c::1","_component":"c","_action":"create","_provider":"x","_state":"waiting"}]}"#;
    assert_snapshot!(imported(in_the_middle), @r#"
    # What ernest's mapping says, as a tree.
    tree "t2" {
      job "a::1" {
        # _state = "errored": the run that wrote this had failed here; it is tried again
        # _provider = "x": has no equivalent
        jobspec = "local/a.nomad.hcl"
      }
      job "b::1" {
        # _state = "running": it is taken over as it is, and waited for
        # _provider = "x": has no equivalent
        jobspec = "local/b.nomad.hcl"
        adopt = true
      }
      job "c::1" {
        # _provider = "x": has no equivalent
        jobspec = "local/c.nomad.hcl"
        depends_on = ["a::1", "b::1"]
      }
    }
    tree "t2"
       1  a::1
          b::1
       2  c::1  after a::1, b::1
    --- exit 0
    "#);

    let of_all_kinds = r#"{"id":"all","name":"shop","user_id":7,"action":"build.sync","changelog":[],
 "edges":[{"source":"start","destination":"net::n","length":1},{"source":"net::n","destination":"old::o","length":1},
  {"source":"old::o","destination":"web::w","length":1},{"source":"img::i","destination":"web::w","length":1},
  {"source":"vpc::v","destination":"web::w","length":1},{"source":"web::w","destination":"end","length":1}],
 "components":[{"_component_id":"vpc::v","_component":"vpc","_action":"create","_state":"waiting","cidr":"10.0.0.0/8"},
  {"_component_id":"cred::c","_component":"credentials","_action":"none","region":"eu"},
  {"_component_id":"far::f","_component":"far","_action":"create"}],
 "changes":[{"_component_id":"net::n","_component":"network","_type":"aws","_action":"get","_state":"waiting"},
  {"_component_id":"old::o","_component":"old","_action":"delete","_state":"waiting"},
  {"_component_id":"img::i","_component":"img","_action":"create","_state":"completed"},
  {"_component_id":"all::f","_component":"find","_action":"find"},
  {"_component_id":"lone::l","_action":"create","_state":"waiting"},
  {"_component_id":"web::w","_component":"web","_action":"update","_state":"waiting","count":3,"a.b":1,"none":null,
   "zones":["$(components.#[_component_id=\"cred::c\"].region)-1","b"],"cidr":"$(components.#[_component_id=\"vpc::v\"].cidr)",
   "all":"$(components.#[_component_id%\"*\"]#._component)","n":"$(changes.#)","where":"http://$(changes.4.net.host):80/${x}\n"}]}"#;
    assert_snapshot!(imported(of_all_kinds), @r#"
    # What ernest's mapping says, as a tree.
    # action = "build.sync": sync only looked at what there is; here the jobs are brought up
    # user_id = 7: has no equivalent
    # all::f is left out: _action = "find": has no equivalent, jobs are known by their names
    # old::o is left out: _action = "delete": a tree that brings jobs up stops none; stop it by itself
    # Each jobspec must declare the variables of its `vars`; with --jobspecs only those that it has are written.
    tree "shop" {
      wait "img::i" {
        # _state = "completed": it is waited for, and not submitted again
        job = "i"
      }
      job "lone::l" {
        # no edge leads to it: the older tool never began it, here it is a root
        jobspec = "local/lone.nomad.hcl"
        # The jobspec must set these in its meta; a service or a variable may give them as well.
        outputs = {
          net_host = "meta:net.host"
        }
      }
      wait "net::n" {
        # _action = "get": it is waited for, and not submitted
        # _type = "aws": has no equivalent
        job = "n"
      }
      wait "vpc::v" {
        # it is no change, only there: it is waited for, and not submitted
        # cidr = "10.0.0.0/8": has no equivalent
        job = "v"
      }
      job "web::w" {
        # a.b = 1: has no equivalent
        # none = null: the variable's own default counts
        jobspec = "local/web.nomad.hcl"
        depends_on = ["img::i", "net::n", "vpc::v"]
        vars = {
          all = "[\"vpc\",\"credentials\",\"far\"]"
          cidr = "10.0.0.0/8"
          count = "3"
          n = "6"
          where = "http://$(lone::l.net_host):80/$${x}\n"
          zones = "[\"eu-1\",\"b\"]"
        }
      }
    }
    tree "shop"
       1  img::i (wait)
          lone::l
          net::n (wait)
          vpc::v (wait)
       2  web::w  after img::i, lone::l, net::n, vpc::v
    --- exit 0
    "#);
}

#[test]
fn a_mapping_that_deletes_is_a_tree_that_stops() {
    let ghost = r#"{"id":"t3","action":"build.delete","edges":[{"source":"start","destination":"app::1","length":1},{"source":"app::1","destination":"db::1","length":1},{"source":"db::1","destination":"end","length":1},{"source":"ghost::9","destination":"db::1","length":1}],
 "components":[{"_component_id":"cred::x","_component":"credentials","_action":"none","_provider":"x","_state":"waiting","region":"eu"}],
 "changes":[{"_component_id":"app::1","_component":"app","_action":"delete","_provider":"$(components.#[_component_id=\"cred::x\"]._provider)","_state":"waiting"},{"_component_id":"db::1","_component":"db","_action":"delete","_provider":"x","_state":"waiting"}]}"#;
    assert_snapshot!(imported(ghost), @r#"
    --- stderr
    error: edges: the edge from ghost::9 to db::1 names ghost::9, which is no component
     --> stdin:1:202
      |
    1 | ...:1},{"source":"db::1","destination":"end","length":1},{"source":"ghost::9","destination":"db::1","length":1}],
      |                                                           ^^^^^^^^^^^^^^^^^^^
      |
      = help: add it to the changes, or take the edge away

    1 problem in stdin
    --- exit 2
    "#);
    let good = ghost.replace(r#",{"source":"ghost::9","destination":"db::1","length":1}"#, "");
    assert_snapshot!(imported(&good), @r#"
    # What ernest's mapping says, as a tree.
    tree "t3" {
      verb = "stop"
      job "app::1" {
        # _provider = "x": has no equivalent
        jobspec = "local/app.nomad.hcl"
        depends_on = ["db::1"]
      }
      job "db::1" {
        # _provider = "x": has no equivalent
        jobspec = "local/db.nomad.hcl"
      }
    }
    tree "t3"
       1  app::1
       2  db::1  after app::1
    --- exit 0
    "#);
}

#[test]
fn what_is_wrong_with_a_mapping_is_told_with_its_place() {
    let values = r#"{"id":"t4","action":"build.create","edges":[{"source":"start","destination":"a::1","length":1}],"components":[],
 "changes":[{"_component_id":"a::1","_component":"a","_action":"create","_provider":"x","_state":"waiting","p":"$(changes.0.p)","q":"$(components.#[_component_id=\"no::1\"].z)","r":"port $(id)"}]}"#;
    assert_snapshot!(wrong(&[], &["import", "-"], values), @r#"
    2:108-128: a::1: p takes its value from itself: a::1 p → a::1 p
    2:129-177: a::1: q has `$(components.#[_component_id="no::1"].z)`, which has no value (no::1 is no component)
    "#);
    let good =
        values.replace(r#""p":"$(changes.0.p)","q":"$(components.#[_component_id=\"no::1\"].z)","#, "");
    assert_snapshot!(imported(&good), @r#"
    # What ernest's mapping says, as a tree.
    # Each jobspec must declare the variables of its `vars`; with --jobspecs only those that it has are written.
    tree "t4" {
      job "a::1" {
        # _provider = "x": has no equivalent
        jobspec = "local/a.nomad.hcl"
        vars = {
          r = "port t4"
        }
      }
    }
    tree "t4"
       1  a::1
    --- exit 0
    "#);

    let circle = r#"{"edges":[{"source":"a::1","destination":"b::1"},{"source":"b::1","destination":"c::1"},{"source":"c::1","destination":"a::1"}],
 "changes":[{"_component_id":"a::1","_action":"create"},
  {"_component_id":"b::1","_action":"create"},
  {"_component_id":"c::1","_action":"create"}]}"#;
    assert_snapshot!(wrong(&[], &["import", "-"], circle), @"2:13-14: these depend on each other: a::1 → c::1 → b::1 → a::1");

    let all = r#"{"action":"build.explode","edges":[3,{"source":"a::1","destination":"b::2"}],
 "components":{},
 "changes":[{"_component_id":"a::1","_action":"craete","x":"$(changes.1.y)"},
  {"_component_id":"b::1","x":"$(changes.2.x)","y":"$(oops","z":"$(nothing)","w":"$(changes.9.a)"},
  {"_component_id":"c::1","x":"a $(changes.1.x) b"},
  {"_component_id":"c::1"},
  {"_component":"d"}]}"#;
    assert_snapshot!(wrong(&[], &["import", "-"], all), @r#"
    1:2-26: action = "build.explode" is nothing that is known (what is: build.create, build.patch, build.delete, build.import, build.sync)
    1:36-37: edges.0: has no source and destination
    1:55-75: edges: the edge from a::1 to b::2 names b::2, which is no component (did you mean "b::1"?)
    2:2-14: components is no list
    3:37-55: a::1: _action = "craete" is nothing that is known (did you mean "create"?)
    3:56-76: a::1: x has `$(oops`, in which a path is not closed, or none (write it like `$(components.#[_component_id="db::a"].url)`)
    4:27-47: b::1: x takes its value from itself: b::1 x → c::1 x → b::1 x
    4:48-60: b::1: y has `$(oops`, in which a path is not closed, or none (write it like `$(components.#[_component_id="db::a"].url)`)
    4:61-77: b::1: z has `$(nothing)`, which has no value (nothing of the mapping has this path)
    4:78-98: b::1: w has `$(changes.9.a)`, which has no value (no component is there)
    5:27-51: c::1: x takes its value from itself: c::1 x → b::1 x → c::1 x
    6:4-26: c::1: stands twice in changes
    7:3-4: changes.4: has no `_component_id`
    "#);
    assert_snapshot!(wrong(&[], &["import", "-"], "{\"edges\": []}"), @"1:1-1: has no list `changes` (that is what is to be done; a mapping without it does nothing)");
    assert_snapshot!(wrong(&[], &["import", "-", "--job", "db"], FAN), @"1:1-1: has no component db");
}

#[test]
fn a_directory_of_jobspecs_says_which_there_are_and_which_variables_they_take() {
    let files: &[(&str, &[u8])] = &[
        ("t1.json", FAN.as_bytes()),
        ("db.nomad.hcl", b"variable \"name\" {}\njob \"db\" {\n  id = \"db-${var.name}\"\n}\n"),
        ("mq.nomad", b"job \"mq\" {\n}\n"),
        ("api-1.nomad.hcl", b"variable \"db_url\" {}\nvariable \"provider\" {}\njob \"api\" {\n}\n"),
        ("rep.json", b"{\"Job\": {\"ID\": \"rep\"}}"),
    ];
    assert_snapshot!(dtree(files, &["import", "t1.json", "--jobspecs", ".", "--name", "own"], ""), @r#"
    # What ernest's mapping says, as a tree.
    tree "own" {
      job "api::1" {
        jobspec = "local/api-1.nomad.hcl"
        depends_on = ["db::a", "mq::a"]
        vars = {
          db_url = "$(db::a.url)"
          provider = "x"
        }
      }
      job "db::a" {
        # _provider = "x": has no equivalent
        jobspec = "local/db.nomad.hcl"
        vars = {
          name = "a"
        }
        # The jobspec must set these in its meta; a service or a variable may give them as well.
        outputs = {
          url = "meta:url"
        }
      }
      job "mq::a" {
        # _provider = "x": has no equivalent
        jobspec = "local/mq.nomad"
      }
      job "rep::1" {
        # _provider = "x": has no equivalent
        jobspec = "local/rep.json"
        depends_on = ["db::a"]
      }
    }
    --- exit 0
    "#);
    let some = [files[0], files[2]];
    assert_snapshot!(wrong(&some, &["import", "t1.json", "--jobspecs", "."], ""), @"
    6:13-14: db::a: the directory of jobspecs has none called db-a.nomad.hcl or db.nomad.hcl (db.nomad.hcl would be that of all components of its type)
    8:3-4: api::1: the directory of jobspecs has none called api-1.nomad.hcl or api.nomad.hcl (api.nomad.hcl would be that of all components of its type)
    9:3-4: rep::1: the directory of jobspecs has none called rep-1.nomad.hcl or rep.nomad.hcl (rep.nomad.hcl would be that of all components of its type)
    ");
    assert_snapshot!(dtree(&some, &["import", "t1.json", "--jobspecs", "nowhere"], ""), @"
    --- stderr
    dtree: cannot read the jobspecs in nowhere: there is no such directory
    --- exit 2
    ");
    assert_snapshot!(dtree(&some, &["import", "t1.json", "--jobspecs", "mq.nomad"], ""), @"
    --- stderr
    dtree: cannot read the jobspecs in mq.nomad: it is no directory; name the one that the jobspecs are in
    --- exit 2
    ");

    let older = br#"{"dependencies":{"api":{"pre":{"job":"db"},"post":{"job":"seed"}},"db":{"post":{"job":"init"}}}}"#;
    let files: &[(&str, &[u8])] = &[
        ("dependency.json", older),
        ("api.nomad", b"job \"api\" {\n}\n"),
        ("db.nomad.hcl", b"job \"db\" {\n}\n"),
        ("seed.nomad", b"job \"seed\" {\n  type = \"batch\"\n}\n"),
        ("init.nomad", b"job \"init\" {\n}\n"),
    ];
    assert_snapshot!(dtree(files, &["import", "dependency.json", "--jobspecs", "."], ""), @r#"
    # What nomad-dtree's dependency.json says, as a tree.
    tree "imported" {
      job "api" {
        jobspec = "local/api.nomad"
        depends_on = ["db"]
        post "seed" {
          jobspec = "local/seed.nomad"
        }
      }
      job "db" {
        jobspec = "local/db.nomad.hcl"
        post "init" {
          # its job is of type "service", which has no end: a hook must be a batch job
          jobspec = "local/init.nomad"
        }
      }
    }
    --- exit 0
    "#);
    assert_snapshot!(wrong(&files[..4], &["import", "dependency.json", "--jobspecs", "."], ""), @"1:67-71: db: the directory of jobspecs has none called init.nomad or init.nomad.hcl");
}

#[test]
fn a_mapping_of_ten_changes_keeps_its_edges() {
    // Of the shape of the tests' own graph there: components by `_type`, names without a type, groups that come after
    // what makes room for them.
    let component = |id: &str, kind: &str, action: &str| {
        format!(
            r#"{{"_component_id":"{id}","_component":"{kind}","_type":"fake","_action":"{action}","_state":"waiting"}}"#
        )
    };
    let roots = ["db-1", "web-new", "web-1", "web-2", "web-3"];
    let new = ["web-new-1", "web-new-2", "web-new-3"];
    let late = ["balancer-1", "balancer-2"];
    let edge = |from: &str, to: &str| format!(r#"{{"source":"{from}","destination":"{to}","length":1}}"#);
    let edges: Vec<String> = (roots.iter().map(|root| edge("start", root)))
        .chain(new.iter().map(|web| edge("web-new", web)))
        .chain(new.iter().map(|web| edge(web, "balancer-1")))
        .chain(["web-1", "web-2", "web-3"].iter().map(|web| edge(web, "balancer-2")))
        .chain(["db-1", "balancer-1", "balancer-2"].iter().map(|last| edge(last, "end")))
        .collect();
    let changes: Vec<String> = (roots.iter().chain(&new).chain(&late))
        .map(|id| {
            component(
                id,
                id.split('-').next().unwrap(),
                if id.starts_with("web-n") { "create" } else { "update" },
            )
        })
        .collect();
    let there: Vec<String> = (roots.iter().filter(|id| **id != "web-new").chain(&late))
        .map(|id| component(id, id.split('-').next().unwrap(), "none"))
        .collect();
    assert_eq!((edges.len(), changes.len()), (17, 10));
    let mapping = format!(
        r#"{{"id":"fixture","action":"build.create","edges":[{}],"components":[{}],"changes":[{}]}}"#,
        edges.join(","),
        there.join(","),
        changes.join(",")
    );
    let said = imported(&mapping);
    let graph = said.split_once("\n}\n").map_or(said.as_str(), |(_, graph)| graph);
    assert_snapshot!(graph, @r#"
    tree "fixture"
       1  db-1
          web-1
          web-2
          web-3
          web-new
       2  balancer-2  after web-1, web-2, web-3
          web-new-1  after web-new
          web-new-2  after web-new
          web-new-3  after web-new
       3  balancer-1  after web-new-1, web-new-2, web-new-3
    --- exit 0
    "#);
}

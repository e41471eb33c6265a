//! What a wait can look at.

use super::*;

fn subject(attributes: &Value) -> Subject {
    only_wait(&json!({"wait": {"it": attributes}})).subject
}

#[test]
fn every_attribute_of_every_subject_arrives() {
    let Subject::Job { meta, scope, source, .. } =
        subject(&json!({"meta": {"release": "v7"}, "scope": "client", "source": "nomad"}))
    else {
        panic!("no job");
    };
    assert_eq!((meta["release"].as_str(), scope, source), ("v7", Scope::Client, HealthSource::Nomad));
    let service = |provider, namespace: Option<&str>, tags: &[&str], at_least| {
        Subject::Service(Box::new(Service {
            name: "web".to_owned(),
            provider,
            namespace: namespace.map(Into::into),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            at_least,
        }))
    };
    assert_eq!(subject(&json!({"service": "web"})), service(Provider::Nomad, None, &[], 1));
    assert_eq!(
        subject(&json!({"service": "web", "namespace": "data", "tags": ["a", "b"], "at_least": "2"})),
        service(Provider::Nomad, Some("data"), &["a", "b"], 2)
    );
    assert_eq!(
        subject(&json!({"service": "web", "provider": "consul"})),
        service(Provider::Consul, None, &[], 1)
    );
    let probe =
        |target, millis| Subject::Probe(Box::new(Probe { target, interval: Duration::from_millis(millis) }));
    for address in ["db.example:5432", "10.0.0.1:1", "[::1]:65535"] {
        let target = Target::Tcp { address: address.to_owned() };
        assert_eq!(subject(&json!({"tcp": address})), probe(target, 100));
    }
    let url = "http://10.0.0.1:8080/health?x=y";
    let target = Target::Http { url: url.to_owned(), status: Some(204), contains: Some("ok".to_owned()) };
    let http = json!({"http": url, "status": 204, "contains": "ok", "interval": "20ms"});
    assert_eq!(subject(&http), probe(target, 20));
    let target = Target::Dns { name: "db.service.consul.".to_owned() };
    assert_eq!(subject(&json!({"dns": "db.service.consul.", "interval": "1m"})), probe(target, 60_000));
    assert_eq!(
        subject(&json!({"variable": "db/ready", "namespace": "data", "key": "is", "equals": ""})),
        Subject::Stored(Box::new(Stored::Variable {
            namespace: Some("data".into()),
            path: "db/ready".to_owned(),
            key: Some("is".to_owned()),
            equals: Some(String::new()),
        }))
    );
    let stored = Stored::ConsulKey { key: "db/ready".to_owned(), equals: Some("yes".to_owned()) };
    assert_eq!(
        subject(&json!({"consul_key": "db/ready", "equals": "yes"})),
        Subject::Stored(Box::new(stored))
    );
    let approval = Subject::Approval { what: "all is announced".into() };
    assert_eq!(subject(&json!({"approval": "all is announced"})), approval);
    assert_eq!(
        subject(&json!({"when": "a && !b"})),
        Subject::When(Box::new(Expression::parse("a && !b").unwrap()))
    );
}

#[test]
fn what_is_optional_goes_on_without_it_unless_told_otherwise() {
    let end = |attributes: Value| only_wait(&json!({"wait": {"it": attributes}})).on_timeout;
    assert_eq!(end(json!({"optional": true})), OnTimeout::Continue);
    assert_eq!(end(json!({"optional": true, "on_timeout": "fail"})), OnTimeout::Fail);
    assert_eq!(end(json!({"optional": false})), OnTimeout::Fail);
}

#[test]
fn questions_hold_all_that_decides_their_answer() {
    let place = crate::cluster::Place {
        job: crate::cluster::JobKey::new("data", "api"),
        group: "web".to_owned(),
        alloc: "61d0c2aa".into(),
        task: "gate".to_owned(),
    };
    let asked = |attributes: Value| {
        let question = only_wait(&json!({"wait": {"it": attributes}})).question(&place);
        question.map_or_else(|| "nothing".to_owned(), |question| format!("{question:?}"))
    };
    let asked = [
        asked(json!({})),
        asked(json!({"task": "proxy"})),
        asked(json!({"task": "proxy", "until": "running"})),
        asked(json!({"service": "web", "tags": ["a"]})),
        asked(json!({"service": "web", "namespace": "ops"})),
        asked(json!({"service": "web", "provider": "consul"})),
        asked(json!({"tcp": "db:1"})),
        asked(json!({"http": "http://db/", "status": 204, "contains": "ok"})),
        asked(json!({"dns": "db", "interval": "1s"})),
        asked(json!({"variable": "a/b", "key": "k", "equals": "v"})),
        asked(json!({"consul_key": "a/b"})),
        asked(json!({"approval": "x"})),
        asked(json!({"when": "a"})),
    ];
    assert_snapshot!(asked.join("\n"), @r#"
    nothing
    OwnChecks { alloc: 61d0c2aa }
    nothing
    Service { namespace: data, name: "web" }
    Service { namespace: ops, name: "web" }
    ConsulService { name: "web" }
    Tcp { address: "db:1", every: 100 }
    Http { url: "http://db/", contains: Some("ok"), every: 100 }
    Dns { name: "db", every: 1000 }
    Variable { namespace: data, path: "a/b", key: Some("k"), equals: Some("v") }
    ConsulKey { key: "a/b", equals: None }
    nothing
    nothing
    "#);
}

#[test]
fn several_subjects_and_attributes_of_others_are_named() {
    assert_snapshot!(problems(&json!({"wait": {
        "many": {"job": "a", "tcp": "db:1", "when": "x", "tags": ["a"], "interval": "1s"},
        "task": {"task": "proxy", "meta": {"a": "b"}, "scope": "client", "source": "live", "status": 200},
        "service": {"service": "web", "until": "healthy", "group": "web", "key": "x", "on_blocked": "fail"},
        "consul": {"service": "web", "provider": "consul", "namespace": "data"},
        "tcp": {"tcp": "db:1", "status": 200, "contains": "x", "at_least": "2", "any_version": true},
        "variable": {"variable": "a", "provider": "nomad", "interval": "1s"},
        "key": {"consul_key": "a", "namespace": "x", "key": "y"},
        "approval": {"approval": "x", "stable_for": "1s", "optional": true, "equals": "x"},
        "when": {"when": "task", "namespace": "x", "tags": ["x"]},
    }})), @r#"
    24 problems:
    wait "approval": equals and approval contradict each other: equals belongs to variable, consul_key
    wait "approval": stable_for and approval contradict each other: what is approved stays so, and may always be approved
    wait "approval": optional and approval contradict each other: what is approved stays so, and may always be approved
    wait "consul": namespace and provider = "consul" contradict each other: Nomad's namespaces are none of Consul's
    wait "key": namespace and consul_key contradict each other: namespace belongs to job, service, variable
    wait "key": key and consul_key contradict each other: key belongs to variable
    wait "many": job, tcp, when contradict each other: a wait has one subject (give each a `wait` block of its own)
    wait "many": tags and job contradict each other: tags belongs to service
    wait "service": group and service contradict each other: group belongs to job
    wait "service": key and service contradict each other: key belongs to variable
    wait "service": until and service contradict each other: until belongs to job, task
    wait "service": on_blocked and service contradict each other: on_blocked belongs to job
    wait "task": meta and task contradict each other: meta belongs to job
    wait "task": scope and task contradict each other: scope belongs to job
    wait "task": source and task contradict each other: source belongs to job
    wait "task": status and task contradict each other: status belongs to http
    wait "tcp": status and tcp contradict each other: status belongs to http
    wait "tcp": contains and tcp contradict each other: contains belongs to http
    wait "tcp": at_least and tcp contradict each other: at_least belongs to job, service
    wait "tcp": any_version and tcp contradict each other: any_version belongs to job
    wait "variable": provider and variable contradict each other: provider belongs to service
    wait "variable": interval and variable contradict each other: interval belongs to tcp, http, dns
    wait "when": namespace and when contradict each other: namespace belongs to job, service, variable
    wait "when": tags and when contradict each other: tags belongs to service
    "#);
}

#[test]
fn pairs_of_a_job_that_contradict_each_other_are_named() {
    assert_snapshot!(problems(&json!({"wait": {
        "absent": {"until": "absent", "optional": true, "meta": {"a": "b"}, "scope": "client", "source": "live"},
        "any": {"meta": {"a": "b"}, "any_version": true, "scope": "client", "at_least": "1"},
        "failed": {"until": "failed", "scope": "client", "source": "nomad"},
        "running": {"until": "running", "source": "nomad"},
        "stable": {"stable_for": "5m"},
        "words": {"scope": "node", "source": "consul", "stable_for": "x", "meta": {"dtree_tree": "x", "": "y"}},
    }})), @r#"
    15 problems:
    wait "absent": optional and until = "absent" contradict each other: what is optional may be absent
    wait "absent": meta and until = "absent" contradict each other: a job is stopped or absent as a whole
    wait "absent": scope = "client" and until = "absent" contradict each other: a job is stopped or absent as a whole
    wait "absent": source and until = "absent" contradict each other: a job is stopped or absent as a whole
    wait "any": any_version and meta contradict each other: only the versions that carry it count
    wait "any": at_least and scope = "client" contradict each other: a client has one allocation of each group
    wait "failed": scope = "client" and until = "failed" contradict each other: a job fails as a whole
    wait "failed": source and until = "failed" contradict each other: source is about health
    wait "running": source and until = "running" contradict each other: source is about health
    wait "stable": stable_for = 5m and timeout = 5m contradict each other: its time would be over before it was so for so long
    wait "words": stable_for = "x" is not a duration; write it like "90s", "5m" or "1h30m"
    wait "words": scope = "node" is none of cluster, client
    wait "words": source = "consul" is none of live, nomad
    wait "words": meta has a key without a name
    wait "words": meta has "dtree_tree", but keys with dtree_ are dtree's own marks
    "#);
}

#[test]
fn every_value_has_a_range() {
    assert_snapshot!(problems(&json!({"wait": {
        "a1": {"service": "a b", "at_least": "50%", "tags": [" "], "namespace": "*"},
        "a2": {"service": "", "provider": "etcd", "at_least": "0"},
        "b1": {"tcp": "db", "interval": "10ms"}, "b2": {"tcp": ":80"}, "b3": {"tcp": "db:0", "interval": "2m"},
        "b4": {"tcp": "http://db:80"}, "b5": {"tcp": "[db]:80"}, "b6": {"tcp": "db:99999"}, "b7": {"tcp": ""},
        "c1": {"http": "ftp://db/", "status": 99}, "c2": {"http": "db", "status": 600, "contains": ""},
        "c3": {"http": "http://u:p@db/", "status": "ok"}, "c4": {"http": "http:///x", "contains": "x".repeat(4097)},
        "c5": {"http": "http://db:0/"}, "c6": {"http": "http://db:x/"},
        "d1": {"dns": ""}, "d2": {"dns": "a b"}, "d3": {"dns": "a..b"}, "d4": {"dns": "a".repeat(64)},
        "e1": {"variable": "", "key": ""}, "e2": {"variable": "a.b", "equals": "x"}, "e3": {"variable": "a".repeat(129)},
        "f1": {"consul_key": ""}, "f2": {"consul_key": "/a"}, "f3": {"consul_key": "a".repeat(513), "equals": "x".repeat(4097)},
        "g1": {"approval": " "}, "g2": {"approval": "a\nb"},
    }})).replace(&"x".repeat(4097), "…").replace(&"a".repeat(64), "aaa…"), @r#"
    42 problems:
    wait "a1": at_least takes a number where a service is awaited (nobody knows how many instances it is to have: write `at_least = 2`)
    wait "a1": tags has an empty one
    wait "a1": service = "a b" has a blank in it, which no name in Nomad has
    wait "a1": namespace = "*" cannot be one: up to 128 letters, digits and dashes, and one namespace only
    wait "a2": provider = "etcd" is none of nomad, consul
    wait "a2": at_least = "0" is neither a number from 1 on, like "2", nor a share from 1% to 100%, like "50%"
    wait "a2": service is empty
    wait "b1": interval is from 20ms to 1m
    wait "b1": tcp = "db" is no `host:port`, with a port from 1 to 65535
    wait "b2": tcp = ":80" is no `host:port`, with a port from 1 to 65535
    wait "b3": interval is from 20ms to 1m
    wait "b3": tcp = "db:0" is no `host:port`, with a port from 1 to 65535
    wait "b4": tcp = "http://db:80" is no `host:port`, with a port from 1 to 65535
    wait "b5": tcp = "[db]:80" is no `host:port`, with a port from 1 to 65535
    wait "b6": tcp = "db:99999" is no `host:port`, with a port from 1 to 65535
    wait "b7": tcp = "" is no `host:port`, with a port from 1 to 65535
    wait "c1": http = "ftp://db/" is no address: it begins with `http://` or `https://`
    wait "c1": status = 99 is no whole number from 100 to 599
    wait "c2": http = "db" is no address: it begins with `http://` or `https://`
    wait "c2": status = 600 is no whole number from 100 to 599
    wait "c2": contains is empty
    wait "c3": http = "http://u:p@db/" has a user in it, which dtree does not send
    wait "c3": status = ok is no whole number from 100 to 599
    wait "c4": http = "http:///x" has no host that could be looked up
    wait "c4": contains has 4097 bytes, and may have 4096
    wait "c5": http = "http://db:0/" has no port from 1 to 65535
    wait "c6": http = "http://db:x/" has no port from 1 to 65535
    wait "d1": dns = "" is no name that can be looked up
    wait "d2": dns = "a b" is no name that can be looked up
    wait "d3": dns = "a..b" is no name that can be looked up
    wait "d4": dns = "aaa…" is no name that can be looked up
    wait "e1": variable = "" is no path of one: up to 128 letters, digits, `-`, `_`, `~` and `/`
    wait "e1": key is empty
    wait "e2": variable = "a.b" is no path of one: up to 128 letters, digits, `-`, `_`, `~` and `/`
    wait "e2": equals without key says nothing: a variable has items (name the item: `key = "…"`)
    wait "e3": variable = "aaa…aaa…a" is no path of one: up to 128 letters, digits, `-`, `_`, `~` and `/`
    wait "f1": consul_key is empty
    wait "f2": consul_key = "/a" begins with a slash, which no key in Consul does
    wait "f3": equals has 4097 bytes, and may have 4096
    wait "f3": consul_key is no line of up to 512 letters
    wait "g1": approval is empty (say what is approved: `approval = "the release is announced"`)
    wait "g2": approval is no line of up to 200 letters
    "#);
}

#[test]
fn an_expression_that_is_no_good_is_told_with_its_place() {
    let many: Vec<String> = (0..17).map(|n| format!("w{n}")).collect();
    assert_snapshot!(problems(&json!({"wait": {
        "a": {"when": "b && || c"}, "b": {"when": ""}, "c": {"when": "x && !x"}, "d": {"when": "(x || !x)"},
        "e": {"when": many.join(" && ")},
    }})), @r#"
    5 problems:
    wait "a": when cannot be read: the name of a wait, `!` or `(` is missing here
        b && || c
             ^
    wait "b": when is empty: name other waits in it, like `db && (redis || cache)`
    wait "c": when = "x && !x" can never hold, whatever its waits come to
    wait "d": when = "(x || !x)" always holds, whatever its waits come to
    wait "e": when names 17 waits, and may name 16 (give a part of it a wait of its own, and name that)
    "#);
}

#[test]
fn what_counts_only_in_an_expression_has_no_limit_of_its_own() {
    assert_snapshot!(problems(&json!({"wait": {
        "db": {"timeout": "1m", "on_timeout": "fail", "optional": true, "stable_for": "10m"},
        "cache": {"stable_for": "10m"},
        "ready": {"when": "db || cache", "timeout": "1m"},
    }})), @r#"
    3 problems:
    wait "db": timeout means nothing here: this wait counts only through the `when` of wait "ready" (write it into wait "ready")
    wait "db": on_timeout means nothing here: this wait counts only through the `when` of wait "ready" (write it into wait "ready")
    wait "db": optional means nothing here: this wait counts only through the `when` of wait "ready" (write it into wait "ready")
    "#);
}

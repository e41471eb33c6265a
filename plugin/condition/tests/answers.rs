//! What is no job and no task: services, sockets, values, words of users, expressions.

use serde_json::json;

use super::*;
use crate::cluster::{Blindness, HttpAnswer, Instance, Place, Unwell, Value};

fn ask(attributes: &serde_json::Value, answer: Answer) -> String {
    told(judge_answer(&wait(attributes), Some(&Ok(answer))))
}

fn instance(address: &str, tags: &[&str], health: Result<(), &str>) -> Instance {
    Instance {
        id: "61d0c2aa".to_owned(),
        address: address.to_owned(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        health: health.map_err(|why| Unwell::Failing(why.to_owned())),
    }
}

#[test]
fn enough_instances_with_all_the_tags_must_pass() {
    let one = || instance("10.0.0.1:80", &["v7"], Ok(()));
    let other = || instance("10.0.0.2:80", &["v7", "eu"], Ok(()));
    let failing = || instance("10.0.0.3:80", &["v7", "eu"], Err("check http: connection refused"));
    let of = |attributes: serde_json::Value, instances: &[Instance]| {
        ask(&attributes, Answer::Instances(instances.to_vec()))
    };
    let all = [failing(), one(), other()];
    let cases = [
        ("one of none", of(json!({"service": "web"}), &[])),
        ("optional, of none", of(json!({"service": "web", "optional": true}), &[])),
        ("optional, one failing", of(json!({"service": "web", "optional": true}), &[failing()])),
        ("one of one failing", of(json!({"service": "web"}), &[failing()])),
        ("one of three", of(json!({"service": "web"}), &all)),
        ("two of three", of(json!({"service": "web", "at_least": "2"}), &all)),
        ("three of three", of(json!({"service": "web", "at_least": "3"}), &all)),
        ("three of two", of(json!({"service": "web", "at_least": "3"}), &[one(), other()])),
        ("both tags", of(json!({"service": "web", "tags": ["eu", "v7"]}), &all)),
        ("two with both tags", of(json!({"service": "web", "tags": ["eu", "v7"], "at_least": "2"}), &all)),
        ("a tag that none has", of(json!({"service": "web", "tags": ["us", "v7"]}), &all)),
        (
            "a tag that none has, optional",
            of(json!({"service": "web", "tags": ["us"], "optional": true}), &all),
        ),
        ("Consul", of(json!({"service": "web", "provider": "consul"}), &all)),
    ];
    insta::assert_snapshot!(table(cases), @"
    one of none                        not yet: no instance is registered
    optional, of none                  met: no instance is registered, and it is optional
    optional, one failing              not yet: 0 of 1 passing (1 needed); 10.0.0.3:80: check http: connection refused
    one of one failing                 not yet: 0 of 1 passing (1 needed); 10.0.0.3:80: check http: connection refused
    one of three                       met: 2 of 3 passing (1 needed)
    two of three                       met: 2 of 3 passing (2 needed)
    three of three                     not yet: 2 of 3 passing (3 needed); 10.0.0.3:80: check http: connection refused
    three of two                       not yet: 2 of 2 passing (3 needed)
    both tags                          met: 1 of 2 passing (1 needed)
    two with both tags                 not yet: 1 of 2 passing (2 needed); 10.0.0.3:80: check http: connection refused
    a tag that none has                not yet: none of 3 registered is tagged us, v7
    a tag that none has, optional      not yet: none of 3 registered is tagged us
    Consul                             met: 2 of 3 passing (1 needed)
    ");
}

#[test]
fn what_answers_on_the_network_may_always_come() {
    fn refused<T>() -> Result<T, String> {
        Err("connection refused".to_owned())
    }
    let tcp = json!({"tcp": "db:5432"});
    let http = |attributes: serde_json::Value, status, is_found| {
        let mut all = json!({"http": "http://web/"});
        all.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
        ask(&all, Answer::Http(Ok(HttpAnswer { status, is_found })))
    };
    let dns = |addresses: &[&str]| {
        let addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
        ask(&json!({"dns": "db"}), Answer::Addresses(Ok(addresses)))
    };
    let cases = [
        ("accepts", ask(&tcp, Answer::Accepts(Ok(())))),
        ("refuses", ask(&tcp, Answer::Accepts(refused()))),
        ("200", http(json!({}), 200, false)),
        ("299", http(json!({}), 299, false)),
        ("300", http(json!({}), 300, true)),
        ("199", http(json!({}), 199, true)),
        ("404, as awaited", http(json!({"status": 404}), 404, false)),
        ("200 instead of 404", http(json!({"status": 404}), 200, true)),
        ("with the text", http(json!({"contains": "ok"}), 200, true)),
        ("without the text", http(json!({"contains": "ok"}), 200, false)),
        ("503 with the text", http(json!({"contains": "ok"}), 503, true)),
        ("no answer", ask(&json!({"http": "http://web/"}), Answer::Http(refused()))),
        ("one address", dns(&["10.0.0.1"])),
        ("many addresses", dns(&["a", "b", "c", "d"])),
        ("no address", dns(&[])),
        ("no such name", ask(&json!({"dns": "db"}), Answer::Addresses(refused()))),
        ("an answer to something else", ask(&tcp, Answer::Value(Value::Holds))),
        ("of a service", ask(&json!({"service": "web"}), Answer::Accepts(Ok(())))),
    ];
    insta::assert_snapshot!(table(cases), @r#"
    accepts                            met: db:5432 accepts connections
    refuses                            not yet: db:5432: connection refused
    200                                met: http://web/ answers 200
    299                                met: http://web/ answers 299
    300                                not yet: http://web/ answers 300, not 2xx
    199                                not yet: http://web/ answers 199, not 2xx
    404, as awaited                    met: http://web/ answers 404
    200 instead of 404                 not yet: http://web/ answers 200, not 404
    with the text                      met: http://web/ answers 200
    without the text                   not yet: http://web/ answers 200, without "ok" in it
    503 with the text                  not yet: http://web/ answers 503, not 2xx
    no answer                          not yet: http://web/: connection refused
    one address                        met: db is 10.0.0.1
    many addresses                     met: db is a, b, c, …
    no address                         not yet: db has no address
    no such name                       not yet: db: connection refused
    an answer to something else        not yet: was answered in another way than it was asked
    of a service                       not yet: was answered in another way than it was asked
    "#);
}

#[test]
fn values_are_never_told() {
    let secret = json!({"variable": "db/flags", "key": "ready", "equals": "s3cret"});
    let whole = json!({"variable": "db/flags"});
    let key = json!({"consul_key": "db/lock", "equals": "s3cret"});
    let optional = json!({"variable": "db/flags", "key": "ready", "optional": true});
    let of = |attributes: &serde_json::Value, value| ask(attributes, Answer::Value(value));
    let cases = [
        ("item: no variable", of(&secret, Value::Absent)),
        ("item: no item", of(&secret, Value::NoItem)),
        ("item: differs", of(&secret, Value::Differs)),
        ("item: holds", of(&secret, Value::Holds)),
        ("variable: none", of(&whole, Value::Absent)),
        ("variable: is there", of(&whole, Value::Holds)),
        ("variable: makes no sense", of(&whole, Value::NoItem)),
        ("key: none", of(&key, Value::Absent)),
        ("key: differs", of(&key, Value::Differs)),
        ("key: holds", of(&key, Value::Holds)),
        ("optional: no variable", of(&optional, Value::Absent)),
        ("optional: no item", of(&optional, Value::NoItem)),
        ("optional: is there", of(&optional, Value::Holds)),
    ];
    let told = table(cases);
    assert!(!told.contains("s3cret"));
    insta::assert_snapshot!(told, @"
    item: no variable                  not yet: there is no variable db/flags
    item: no item                      not yet: variable db/flags has no item ready
    item: differs                      not yet: variable db/flags, item ready: is something else
    item: holds                        met: variable db/flags, item ready: is as awaited
    variable: none                     not yet: there is no variable db/flags
    variable: is there                 met: variable db/flags: is there
    variable: makes no sense           not yet: was answered in another way than it was asked
    key: none                          not yet: there is no key db/lock
    key: differs                       not yet: key db/lock: is something else
    key: holds                         met: key db/lock: is as awaited
    optional: no variable              met: there is no variable db/flags, and it is optional
    optional: no item                  met: variable db/flags has no item ready, and it is optional
    optional: is there                 met: variable db/flags, item ready: is there
    ");
}

#[test]
fn what_was_not_answered_is_not_yet() {
    let why = "Nomad does not allow it".to_owned();
    let denied = Err(Unseen { because: Blindness::Denied, why, hint: Some("a hint".to_owned()) });
    for attributes in [
        json!({"service": "a"}),
        json!({"tcp": "a:1"}),
        json!({"http": "http://a"}),
        json!({"dns": "a"}),
        json!({"variable": "a"}),
        json!({"consul_key": "a"}),
        json!({"service": "a", "optional": true}),
    ] {
        let wait = wait(&attributes);
        assert_eq!(told(judge_answer(&wait, None)), "not yet: no answer yet", "{attributes}");
        let denied = told(judge_answer(&wait, Some(&denied)));
        assert_eq!(denied, "not yet: Nomad does not allow it; a hint", "{attributes}");
    }
}

#[test]
fn an_approval_is_a_users_word() {
    let place = Place {
        job: crate::cluster::JobKey::new("default", "shop"),
        group: "web".to_owned(),
        alloc: "61d0c2aa-0000".into(),
        task: "gate".to_owned(),
    };
    let at_shell = |namespace: &str| {
        let job = crate::cluster::JobKey::new(namespace, "shop");
        told(judge_approval("release", &Place::at_shell(job, "61d0c2aa-0000".into(), "dtree"), None))
    };
    let by = Some("kim".to_owned());
    let cases = [
        ("in a shell", at_shell("default")),
        ("in a shell, elsewhere", at_shell("data")),
        ("not given", told(judge_approval("release", &place, None))),
        ("given", told(judge_approval("release", &place, Some(&None)))),
        ("given by somebody", told(judge_approval("release", &place, Some(&by)))),
    ];
    insta::assert_snapshot!(table(cases), @"
    in a shell                         not yet: not approved yet; approve it with `dtree approve shop release`
    in a shell, elsewhere              not yet: not approved yet; approve it with `dtree approve shop release --namespace data`
    not given                          not yet: not approved yet; approve it with `nomad alloc exec -task gate 61d0c2aa approve release`
    given                              met: approved
    given by somebody                  met: approved by kim
    ");
}

#[test]
fn an_expression_is_judged_by_how_its_parts_stand() {
    use crate::manifest::Expression;
    use Truth::{Fails, Holds, Lost, Unknown};
    let judge = |text: &str, a, b| {
        let expression = Expression::parse(text).unwrap();
        let (verdict, truth) = judge_when(&expression, |name| if name == "a" { a } else { b });
        format!("{truth:?}, {}", told(verdict))
    };
    let either = "a || b";
    let without = "a && !b";
    let cases = [
        ("a or b: one holds", judge(either, Fails, Holds)),
        ("a or b: one holds, one is unseen", judge(either, Holds, Unknown)),
        ("a or b: none holds, one is unseen", judge(either, Fails, Unknown)),
        ("a or b: one is lost", judge(either, Lost, Fails)),
        ("a or b: one is lost, one unseen", judge(either, Lost, Unknown)),
        ("a or b: both are lost", judge(either, Lost, Lost)),
        ("a, not b: so it is", judge(without, Holds, Fails)),
        ("a, not b: b is unseen", judge(without, Holds, Unknown)),
        ("a, not b: b is lost", judge(without, Holds, Lost)),
        ("a, not b: both hold", judge(without, Holds, Holds)),
        ("a, not b: a is lost", judge(without, Lost, Unknown)),
        ("not a: unseen", judge("!a", Unknown, Holds)),
    ];
    insta::assert_snapshot!(table(cases), @"
    a or b: one holds                  Holds, met: a does not hold, b holds
    a or b: one holds, one is unseen   Holds, met: a holds, b unknown
    a or b: none holds, one is unseen  Unknown, not yet: a does not hold, b unknown
    a or b: one is lost                Fails, not yet: a failed, b does not hold
    a or b: one is lost, one unseen    Unknown, not yet: a failed, b unknown
    a or b: both are lost              Fails, never: `a || b` cannot hold any more: a failed, b failed
    a, not b: so it is                 Holds, met: a holds, b does not hold
    a, not b: b is unseen              Unknown, not yet: a holds, b unknown
    a, not b: b is lost                Holds, met: a holds, b failed
    a, not b: both hold                Fails, not yet: a holds, b holds
    a, not b: a is lost                Fails, never: `a && !b` cannot hold any more: a failed, b unknown
    not a: unseen                      Unknown, not yet: a unknown
    ");
}

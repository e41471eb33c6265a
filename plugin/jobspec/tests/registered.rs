//! What is written into a job before it is registered.

use std::time::Duration;

use serde_json::{Value, json};

use super::Stage;
use crate::{
    cluster::{JobType, Marks},
    jobspec::{Spec, spec, with_counts_of},
};

async fn only(job: &Value, nodes: &Value) -> (Spec, Spec) {
    let stage = Stage::new().jobspec("local/a.hcl", job).jobspec(
        "local/b.hcl",
        &json!({"ID": "b", "Name": "The B", "Type": "batch", "Meta": {"own": "1", "both": "1"}}),
    );
    let mut prepared = stage.prepare(nodes).await.unwrap();
    (prepared.remove("a").unwrap(), prepared.remove("b").unwrap())
}

fn nodes() -> Value {
    json!({"a": {"jobspec": "local/a.hcl", "pre": {"b": {"jobspec": "local/b.hcl", "meta": {"both": "2"}}}}})
}

fn marks() -> Marks {
    Marks { tree: "shop/deploy".into(), node: "a".to_owned(), spec: "abc".into() }
}

#[tokio::test]
async fn a_job_is_registered_with_its_marks() {
    let (a, _) = only(&json!({"ID": "a", "Name": "A", "Meta": null}), &nodes()).await;
    assert_eq!(
        a.marked(&marks()).unwrap(),
        json!({
            "ID": "a", "Name": "A", "Namespace": "shop",
            "Meta": {"dtree_tree": "shop/deploy", "dtree_node": "a", "dtree_spec": "abc"},
        })
    );
}

#[tokio::test]
async fn a_hook_is_registered_under_an_id_of_its_own() {
    let (_, b) = only(&json!({"ID": "a"}), &nodes()).await;
    let b = Spec { meta: [("both".to_owned(), "2".to_owned())].into(), ..b };
    assert_eq!(
        b.marked_as(&"b-shop-1".into(), &b.meta, &marks()).unwrap(),
        json!({
            "ID": "b-shop-1", "Name": "The B", "Namespace": "shop", "Type": "batch",
            "Meta": {"own": "1", "both": "2", "dtree_tree": "shop/deploy", "dtree_node": "a", "dtree_spec": "abc"},
        })
    );
    assert_eq!(b.blueprint.key.job.as_str(), "b", "as the jobspec calls it");
}

#[test]
fn what_an_autoscaler_did_is_kept() {
    let job = json!({"TaskGroups": [
        {"Name": "scaled", "Count": 1, "Scaling": {"Enabled": null}},
        {"Name": "off", "Count": 1, "Scaling": {"Enabled": false}},
        {"Name": "plain", "Count": 1, "Scaling": null},
        {"Name": "new", "Count": 1, "Scaling": {"Enabled": true}},
    ]});
    let mut current = crate::cluster::sample::service(1).job;
    let group = current.groups.values().next().unwrap().clone();
    for name in ["scaled", "off", "plain"] {
        current.groups.insert(name.to_owned(), crate::cluster::Group { count: 7, ..group.clone() });
    }
    let counts: Vec<Value> = with_counts_of(job, &current)["TaskGroups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["Count"].clone())
        .collect();
    assert_eq!(counts, [7, 1, 1, 1]);
}

#[test]
fn the_progress_deadline_is_the_longest_of_the_groups() {
    let minutes = |n: u64| n * 60 * 1_000_000_000;
    let of = |job: Value, kind| spec::progress_deadline(&job, kind);
    let some = |n| Some(Duration::from_mins(n));
    let plain = json!({"TaskGroups": [{"Update": null}]});
    assert_eq!(of(plain.clone(), JobType::Service), some(10));
    assert_eq!(of(plain.clone(), JobType::System), some(10));
    assert_eq!(of(plain, JobType::Batch), None);
    let both = json!({
        "Update": {"ProgressDeadline": minutes(3), "MaxParallel": null},
        "TaskGroups": [{}, {"Update": {"ProgressDeadline": minutes(5)}}, {"Update": {"ProgressDeadline": "1m"}}],
    });
    assert_eq!(of(both, JobType::Service), some(5));
    let all = json!({"Update": {"MaxParallel": 0}, "TaskGroups": [{}, {"Update": null}]});
    assert_eq!(of(all, JobType::Service), None, "all at once, so Nomad makes no deployment");
    let one = json!({"Update": {"MaxParallel": 0}, "TaskGroups": [{}, {"Update": {"MaxParallel": 1}}]});
    assert_eq!(of(one, JobType::Service), some(10));
}

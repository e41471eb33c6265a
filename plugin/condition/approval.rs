//! A user's word: given with `nomad alloc exec` or `dtree approve`, for the rest of the run.

use super::Verdict;
use crate::cluster::Place;

/// Judges the wait `name` of a task at `place` for an approval; `given` is who gave it, as far as that is known.
pub fn judge(name: &str, place: &Place, given: Option<&Option<String>>) -> Verdict {
    match given {
        Some(Some(by)) => Verdict::Met(format!("approved by {by}")),
        Some(None) => Verdict::Met("approved".to_owned()),
        None if place.is_at_shell() => {
            let namespace = match place.job.namespace.as_str() {
                "default" => String::new(),
                namespace => format!(" --namespace {namespace}"),
            };
            let tree = &place.job.job;
            Verdict::not_yet(format!(
                "not approved yet; approve it with `dtree approve {tree} {name}{namespace}`"
            ))
        }
        None => Verdict::not_yet(format!(
            "not approved yet; approve it with `nomad alloc exec -task {} {} approve {name}`",
            place.task,
            place.alloc.short(),
        )),
    }
}

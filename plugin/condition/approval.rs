//! A user's word: given with `nomad alloc exec`, for the rest of the run.

use super::Verdict;
use crate::cluster::Place;

/// Judges the wait `name` of a task at `place` for an approval; `given` is who gave it, as far as that is known.
pub fn judge(name: &str, place: &Place, given: Option<&Option<String>>) -> Verdict {
    match given {
        Some(Some(by)) => Verdict::Met(format!("approved by {by}")),
        Some(None) => Verdict::Met("approved".to_owned()),
        None => Verdict::not_yet(format!(
            "not approved yet; approve it with `nomad alloc exec -task {} {} approve {name}`",
            place.task,
            place.alloc.short(),
        )),
    }
}

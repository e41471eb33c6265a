//! How the last runs of a tree have ended: a list that does not grow.

use serde_json::Value;

/// How much the list may take, in bytes.
const ROOM: usize = 56 << 10;
/// What tells one run from another.
const RUN: &str = "run";

/// `runs`, the oldest first, with `entry` in the place of an earlier one about its run, or behind all. At most `most`
/// of them, and only as many as there is room for.
pub(super) fn with(mut runs: Vec<Value>, entry: Value, most: usize) -> Vec<Value> {
    match runs.iter_mut().find(|run| run[RUN] == entry[RUN]) {
        Some(run) => *run = entry,
        None => runs.push(entry),
    }
    let mut room = ROOM;
    let fit = runs
        .iter()
        .rev()
        .take(most)
        .take_while(|run| {
            let size = run.to_string().len() + 1;
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        })
        .count();
    runs.split_off(runs.len() - fit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_runs_are_kept_each_once() {
        let mut runs = Vec::new();
        for n in 0..30 {
            runs = with(runs, json!({ "run": n, "good": false }), 20);
        }
        runs = with(runs, json!({ "run": 29, "good": true }), 20);
        let kept: Vec<_> = runs.iter().map(|run| run["run"].as_u64().unwrap()).collect();
        assert_eq!(kept, (10..30).collect::<Vec<_>>());
        assert_eq!(runs.last().unwrap()["good"], true);
    }

    #[test]
    fn the_list_does_not_outgrow_a_variable() {
        let mut runs = Vec::new();
        for n in 0..20 {
            runs = with(runs, json!({ "run": n, "message": "x".repeat(8 << 10) }), 20);
        }
        assert!(Value::from(runs.clone()).to_string().len() < 60_000);
        assert_eq!((runs.len(), runs.last().unwrap()["run"].as_u64()), (6, Some(19)));
    }
}

//! What a command that follows something tells programs: an object a line as it happens, and a last one with what it came to.
//!
//! Without `--json` nothing of this is printed, and the last words for people go to stdout in its place.

use serde_json::{Value, json};

use super::{Failure, Outcome, print, screen};
use crate::{
    cluster::RunId,
    engine::{Line, Status},
    runner::{spelled, steps, wall_clock},
};

/// Whoever is told.
#[derive(clap::Args, Clone, Copy)]
pub(super) struct Events {
    /// A JSON object for each thing that happens, and one for how it ended
    #[arg(long = "json")]
    pub(super) are_wanted: bool,
}

/// How something that was followed ended.
pub(super) struct End {
    /// The tree, by its whole name.
    pub(super) tree: String,
    /// How it stood then.
    pub(super) known: Known,
    /// The last words for people, or why it is no success.
    pub(super) outcome: Result<String, Failure>,
}

/// What is known here of how a run stood: nothing of one that has not begun.
#[derive(Default)]
pub(super) struct Known {
    pub(super) run: Option<RunId>,
    pub(super) steps: Vec<Value>,
    /// How it ended, in its own words.
    pub(super) ending: Option<String>,
}

impl Known {
    pub(super) fn of(status: &Status) -> Self {
        Self { run: status.run.clone(), steps: steps(status), ending: status.ending.clone() }
    }
}

impl Events {
    /// Something has happened.
    pub(super) fn line(self, line: &Line) {
        self.line_at(&spelled(wall_clock()), line);
    }

    /// The same, at a time that is known.
    pub(super) fn line_at(self, at: &str, line: &Line) {
        if self.are_wanted {
            let object = match line {
                Line::Step { name, state, detail } => {
                    json!({ "event": "step", "at": at, "name": name, "state": state, "detail": detail })
                }
                Line::Said(text) => json!({ "event": "said", "at": at, "text": text }),
            };
            // That nobody reads it is no reason to leave a tree half way.
            print(&format!("{object}\n")).ok();
        }
    }

    /// It is over. What could not begin has an end, too.
    pub(super) fn end(self, ended: Result<End, Failure>) -> Outcome {
        let End { tree, known, outcome } = match ended {
            Ok(end) => end,
            Err(failure) => End { tree: String::new(), known: Known::default(), outcome: Err(failure) },
        };
        if !self.are_wanted {
            return outcome.and_then(|text| print(&text));
        }
        print(&format!("{}\n", document(&tree, &known, &outcome)))?;
        outcome.map(|text| screen::write(&text))
    }
}

/// The last object.
fn document(tree: &str, known: &Known, outcome: &Result<String, Failure>) -> Value {
    let (said, code) = match outcome {
        Ok(text) => (text, 0),
        Err(failure) => (&failure.why, failure.code),
    };
    let (message, help) = parts(said);
    let message = message.trim_start_matches(&format!("Tree {tree}: "));
    json!({
        "event": "end",
        "at": spelled(wall_clock()),
        "tree": (!tree.is_empty()).then_some(tree),
        "run": known.run.as_ref().map(ToString::to_string),
        "code": code,
        "message": Some(known.ending.as_deref().unwrap_or(message)).filter(|message| !message.is_empty()),
        "help": help,
        "steps": known.steps,
    })
}

/// What was said to people, without what is only for them, and what to do about it.
pub(super) fn parts(said: &str) -> (&str, Option<&str>) {
    let (message, help) = match said.split_once("\n\nhint: ") {
        Some((message, help)) => (message, Some(help.trim_end())),
        None => (said, None),
    };
    (message.trim_end().trim_start_matches("dtree: ").trim_start_matches("==> "), help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{NodeStatus, Time};

    fn status() -> Status {
        let at = Time::from_unix_millis;
        let node = NodeStatus {
            name: "db".to_owned(),
            wanted: "job db healthy".to_owned(),
            state: "gated",
            detail: "0 of 1 healthy".to_owned(),
            seen: vec!["allocation 3f2a9c41, db.g[0]: running".to_owned()],
            since: at(1_000),
            gives_up: Some(at(61_000)),
            on_timeout: "fail",
            depends_on: Vec::new(),
            hint: Some("look with `nomad job status db`".to_owned()),
        };
        Status {
            now: at(9_000),
            began: at(0),
            run: Some("5c1d".into()),
            task: String::new(),
            alloc: String::new(),
            nodes: [node].into(),
            notes: Vec::new(),
            ending: Some("failed after 9s: db: it is of no use".to_owned()),
        }
    }

    #[test]
    fn the_end_says_what_it_came_to_with_all_steps() {
        let why = "==> Run 5c1d of default/shop: failed after 9s\n    db: it is of no use\n\nhint: `dtree run FILE` goes on where this run ended\n";
        let failed = Err(Failure { why: why.to_owned(), code: 1 });
        let mut end = document("default/shop", &Known::of(&status()), &failed);
        end["at"] = Value::Null;
        insta::assert_snapshot!(format!("{end:#}"), @r#"
        {
          "at": null,
          "code": 1,
          "event": "end",
          "help": "`dtree run FILE` goes on where this run ended",
          "message": "failed after 9s: db: it is of no use",
          "run": "5c1d",
          "steps": [
            {
              "awaited": "job db healthy",
              "detail": "0 of 1 healthy",
              "help": "look with `nomad job status db`",
              "name": "db",
              "needs": [],
              "seen": [
                "allocation 3f2a9c41, db.g[0]: running"
              ],
              "since": "1970-01-01T00:00:01Z",
              "state": "gated",
              "then": "fail",
              "until": "1970-01-01T00:01:01Z"
            }
          ],
          "tree": "default/shop"
        }
        "#);
    }

    #[test]
    fn what_was_handed_over_ends_with_its_own_words() {
        let mut end = document(
            "default/shop",
            &Known::default(),
            &Ok("==> Tree default/shop: done after 4s: created db\n".to_owned()),
        );
        end["at"] = Value::Null;
        insta::assert_snapshot!(end, @r#"{"at":null,"code":0,"event":"end","help":null,"message":"done after 4s: created db","run":null,"steps":[],"tree":"default/shop"}"#);
        let denied =
            Err(Failure::cannot("dtree: Nomad does not allow it\n\nhint: give your token\n  a policy\n"));
        let mut end = document("", &Known::default(), &denied);
        end["at"] = Value::Null;
        insta::assert_snapshot!(end, @r#"{"at":null,"code":2,"event":"end","help":"give your token\n  a policy","message":"Nomad does not allow it","run":null,"steps":[],"tree":null}"#);
    }
}

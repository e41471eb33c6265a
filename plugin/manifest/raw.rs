//! The blocks as they arrive: every attribute optional and text. [`Wait::check`] turns one into typed values.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{AtLeast, OnBlocked, OnTimeout, Problem, Problems, Subject, Until, value};
use crate::cluster::{JobId, Namespace, nearest};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) wait: Option<BTreeMap<String, Wait>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    job: Option<String>,
    namespace: Option<String>,
    group: Option<String>,
    task: Option<String>,
    until: Option<String>,
    at_least: Option<String>,
    any_version: Option<bool>,
    timeout: Option<String>,
    on_timeout: Option<String>,
    on_blocked: Option<String>,
    depends_on: Option<Vec<String>>,
}

/// Where problems of one block go.
struct Block<'a> {
    place: String,
    problems: &'a mut Problems,
}

impl Block<'_> {
    fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(Problem::new(self.place.clone(), text));
    }

    /// Reads one of a few words.
    fn word<T>(
        &mut self,
        attribute: &str,
        text: Option<String>,
        words: &[&str],
        read: fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = text?;
        let value = read(&text);
        if value.is_none() {
            let problem = Problem::new(
                self.place.clone(),
                format!("{attribute} = \"{text}\" is none of {}", words.join(", ")),
            );
            self.problems.push(match nearest(&text, words.iter().copied()) {
                Some(word) => problem.with_help(format!("did you mean \"{word}\"?")),
                None => problem,
            });
        }
        value
    }

    /// Refuses a name that nothing in Nomad can have.
    fn name(&mut self, attribute: &str, name: Option<String>) -> Option<String> {
        let name = name?;
        if name.is_empty() {
            self.problem(format!("{attribute} is empty"));
        } else if name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            self.problem(format!("{attribute} = {name:?} has a blank in it, which no name in Nomad has"));
        }
        Some(name)
    }

    fn namespace(&mut self, namespace: Option<String>) -> Option<Namespace> {
        let namespace = namespace?;
        let is_good = (1..=128).contains(&namespace.len())
            && namespace.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if !is_good {
            self.problem(format!(
                "namespace = {namespace:?} cannot be one: up to 128 letters, digits and dashes, and one namespace only"
            ));
        }
        Some(namespace.into())
    }

    /// Names attributes that contradict each other, as a pair.
    fn apart(&mut self, given: &[(&str, bool)], other: &str, why: &str) {
        for (attribute, _) in given.iter().filter(|(_, is_given)| *is_given) {
            self.problem(format!("{attribute} and {other} contradict each other: {why}"));
        }
    }
}

impl Wait {
    /// The block with typed values; what is wrong with it is added to `problems`.
    pub(super) fn check(self, label: &str, problems: &mut Problems) -> super::Wait {
        let mut block = Block { place: format!("wait {label:?}"), problems };
        let until = block.word("until", self.until, Until::WORDS, Until::from_word);
        let at_least = self.at_least.and_then(|text| {
            let at_least = AtLeast::from_text(&text);
            if at_least.is_none() {
                block.problem(format!(
                    "at_least = \"{text}\" is neither a number from 1 on, like \"2\", nor a share from 1% to 100%, like \"50%\""
                ));
            }
            at_least
        });
        let any_version = self.any_version.unwrap_or(false);

        if self.task.is_some() {
            let of_jobs = [
                ("job", self.job.is_some()),
                ("namespace", self.namespace.is_some()),
                ("group", self.group.is_some()),
                ("at_least", at_least.is_some()),
                ("any_version", any_version),
                ("on_blocked", self.on_blocked.is_some()),
            ];
            block.apart(&of_jobs, "task", "a task of the own allocation is no job");
            if let Some(until) = until
                && !matches!(until, Until::Running | Until::Healthy | Until::Complete)
            {
                block.problem(format!(
                    "until = \"{until}\" and task contradict each other: a task can be awaited until running, healthy or complete"
                ));
            }
        }
        if let Some(until @ (Until::Stopped | Until::Absent)) = until {
            let of_running_jobs = [
                ("group", self.group.is_some()),
                ("at_least", at_least.is_some()),
                ("any_version", any_version),
                ("on_blocked", self.on_blocked.is_some()),
            ];
            block.apart(
                &of_running_jobs,
                &format!("until = \"{until}\""),
                "a job is stopped or absent as a whole",
            );
        }
        if until == Some(Until::Failed) {
            block.apart(
                &[("at_least", at_least.is_some())],
                "until = \"failed\"",
                "one failure fails the job",
            );
        }

        let timeout = match self.timeout.as_deref().map(value::duration) {
            None => super::Wait::DEFAULT_TIMEOUT,
            Some(Ok(timeout)) => timeout,
            Some(Err(why)) => {
                block.problem(format!("timeout = {why}"));
                super::Wait::DEFAULT_TIMEOUT
            }
        };
        let on_timeout = block.word("on_timeout", self.on_timeout, OnTimeout::WORDS, OnTimeout::from_word);
        let on_blocked = block.word("on_blocked", self.on_blocked, OnBlocked::WORDS, OnBlocked::from_word);

        let subject = match block.name("task", self.task) {
            Some(task) => Subject::Task { task },
            None => Subject::Job {
                job: match self.job {
                    Some(job) => block.name("job", Some(job)),
                    None => block.name("the label", Some(label.to_owned())),
                }
                .map_or_else(|| JobId::from(label), JobId::from),
                namespace: block.namespace(self.namespace),
                group: block.name("group", self.group),
            },
        };
        super::Wait {
            subject,
            until,
            at_least,
            any_version,
            timeout,
            on_timeout: on_timeout.unwrap_or(OnTimeout::Fail),
            on_blocked: on_blocked.unwrap_or(OnBlocked::Wait),
            depends_on: self.depends_on.unwrap_or_default(),
        }
    }
}

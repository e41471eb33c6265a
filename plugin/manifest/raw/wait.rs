//! One `wait` block as it arrives.

use serde::Deserialize;

use super::block::Block;
use crate::{
    cluster::JobId,
    manifest::{self, HealthSource, OnBlocked, OnTimeout, Problems, Subject, Until},
};

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
    source: Option<String>,
    timeout: Option<String>,
    on_timeout: Option<String>,
    on_blocked: Option<String>,
    depends_on: Option<Vec<String>>,
}

impl Wait {
    /// The block with typed values; what is wrong with it is added to `problems`.
    pub(super) fn check(self, label: &str, problems: &mut Problems) -> manifest::Wait {
        let mut block = Block::new(format!("wait {label:?}"), problems);
        let until = block.word("until", self.until, Until::WORDS, Until::from_word);
        let at_least = block.at_least(self.at_least);
        let any_version = self.any_version.unwrap_or(false);

        if self.task.is_some() {
            let of_jobs = [
                ("job", self.job.is_some()),
                ("namespace", self.namespace.is_some()),
                ("group", self.group.is_some()),
                ("at_least", at_least.is_some()),
                ("any_version", any_version),
                ("source", self.source.is_some()),
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

        let timeout = block.time_limit("timeout", self.timeout);
        let on_timeout = block.word("on_timeout", self.on_timeout, OnTimeout::WORDS, OnTimeout::from_word);
        let on_blocked = block.word("on_blocked", self.on_blocked, OnBlocked::WORDS, OnBlocked::from_word);

        let source = block.word("source", self.source, HealthSource::WORDS, HealthSource::from_word);

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
                source: source.unwrap_or_default(),
            },
        };
        manifest::Wait {
            subject,
            until,
            at_least,
            any_version,
            timeout: timeout.unwrap_or(manifest::Wait::DEFAULT_TIMEOUT),
            on_timeout: on_timeout.unwrap_or(OnTimeout::Fail),
            on_blocked: on_blocked.unwrap_or(OnBlocked::Wait),
            depends_on: self.depends_on.unwrap_or_default(),
        }
    }
}

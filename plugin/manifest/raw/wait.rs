//! One `wait` block as it arrives.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    block::{Block, Number},
    subject::{self, Kind},
};
use crate::manifest::{
    self, Expression, HealthSource, OnBlocked, OnTimeout, Problems, Scope, Subject, Until,
};

/// The longest that a wait says what is approved.
const MAX_APPROVAL: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    job: Option<String>,
    pub(super) namespace: Option<String>,
    group: Option<String>,
    meta: Option<BTreeMap<String, String>>,
    scope: Option<String>,
    source: Option<String>,
    task: Option<String>,
    pub(super) service: Option<String>,
    pub(super) provider: Option<String>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) tcp: Option<String>,
    pub(super) http: Option<String>,
    pub(super) status: Option<Number>,
    pub(super) contains: Option<String>,
    pub(super) dns: Option<String>,
    pub(super) interval: Option<String>,
    pub(super) variable: Option<String>,
    pub(super) key: Option<String>,
    pub(super) consul_key: Option<String>,
    pub(super) equals: Option<String>,
    approval: Option<String>,
    when: Option<String>,
    until: Option<String>,
    pub(super) at_least: Option<String>,
    any_version: Option<bool>,
    stable_for: Option<String>,
    optional: Option<bool>,
    timeout: Option<String>,
    on_timeout: Option<String>,
    on_blocked: Option<String>,
    depends_on: Option<Vec<String>>,
}

impl Wait {
    /// The waits that its `when` names, if it has one that can be read.
    pub(super) fn parts(&self) -> Vec<String> {
        let expression = self.when.as_deref().and_then(|when| Expression::parse(when).ok());
        expression.iter().flat_map(Expression::names).map(str::to_owned).collect()
    }

    /// Which subjects it names, in the order of the documentation.
    fn kinds(&self) -> Vec<Kind> {
        let given = [
            (Kind::Job, self.job.is_some()),
            (Kind::Task, self.task.is_some()),
            (Kind::Service, self.service.is_some()),
            (Kind::Tcp, self.tcp.is_some()),
            (Kind::Http, self.http.is_some()),
            (Kind::Dns, self.dns.is_some()),
            (Kind::Variable, self.variable.is_some()),
            (Kind::ConsulKey, self.consul_key.is_some()),
            (Kind::Approval, self.approval.is_some()),
            (Kind::When, self.when.is_some()),
        ];
        given.into_iter().filter(|(_, is_given)| *is_given).map(|(kind, _)| kind).collect()
    }

    /// The attributes that belong to certain subjects, as far as they are given.
    fn particular(&self) -> Vec<&'static str> {
        let given = [
            ("namespace", self.namespace.is_some()),
            ("group", self.group.is_some()),
            ("meta", self.meta.as_ref().is_some_and(|meta| !meta.is_empty())),
            ("scope", self.scope.is_some()),
            ("source", self.source.is_some()),
            ("provider", self.provider.is_some()),
            ("tags", self.tags.as_ref().is_some_and(|tags| !tags.is_empty())),
            ("status", self.status.is_some()),
            ("contains", self.contains.is_some()),
            ("interval", self.interval.is_some()),
            ("key", self.key.is_some()),
            ("equals", self.equals.is_some()),
            ("until", self.until.is_some()),
            ("at_least", self.at_least.is_some()),
            ("any_version", self.any_version.unwrap_or(false)),
            ("on_blocked", self.on_blocked.is_some()),
            ("stable_for", self.stable_for.is_some()),
            ("optional", self.optional.unwrap_or(false)),
        ];
        given.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name).collect()
    }

    /// The block with typed values; what is wrong with it is added to `problems`. `part_of` is the wait whose `when` names
    /// it.
    pub(super) fn check(self, label: &str, part_of: Option<&str>, problems: &mut Problems) -> manifest::Wait {
        let mut block = Block::new(format!("wait {label:?}"), problems);
        let kinds = self.kinds();
        subject::check(&kinds, &self.particular(), &mut block);
        if let Some(whole) = part_of {
            self.check_part(whole, &mut block);
        }
        let kind = kinds.first().copied().unwrap_or(Kind::Job);
        let until = block.word("until", self.until.clone(), Until::WORDS, Until::from_word);
        let at_least = match kind {
            Kind::Job => block.at_least(self.at_least.clone()),
            _ => None,
        };
        let timeout = block.time_limit("timeout", self.timeout.clone());
        let on_timeout =
            block.word("on_timeout", self.on_timeout.clone(), OnTimeout::WORDS, OnTimeout::from_word);
        let on_blocked =
            block.word("on_blocked", self.on_blocked.clone(), OnBlocked::WORDS, OnBlocked::from_word);
        let stable_for = block.duration("stable_for", self.stable_for.clone()).unwrap_or_default();
        let limit = timeout.unwrap_or(manifest::Wait::DEFAULT_TIMEOUT);
        if stable_for >= limit && part_of.is_none() {
            block.problem(format!(
                "stable_for = {} and timeout = {} contradict each other: its time would be over before it was so for so long",
                humantime::format_duration(stable_for),
                humantime::format_duration(limit),
            ));
        }
        let optional = self.optional.unwrap_or(false);
        if optional && until == Some(Until::Absent) {
            block.apart(&[("optional", true)], "until = \"absent\"", "what is optional may be absent");
        }
        let usual_end = if optional { OnTimeout::Continue } else { OnTimeout::Fail };
        let any_version = self.any_version.unwrap_or(false);
        let depends_on = self.depends_on.clone().unwrap_or_default();
        manifest::Wait {
            until,
            at_least,
            any_version,
            timeout: limit,
            on_timeout: on_timeout.unwrap_or(usual_end),
            on_blocked: on_blocked.unwrap_or(OnBlocked::Wait),
            depends_on,
            stable_for,
            optional,
            subject: match kind {
                Kind::Job => self.job(label, until, &mut block),
                Kind::Task => self.task(until, &mut block),
                Kind::Service => self.service(&mut block),
                Kind::Tcp | Kind::Http | Kind::Dns => self.probe(kind, &mut block),
                Kind::Variable | Kind::ConsulKey => self.stored(&mut block),
                Kind::Approval => self.approval(&mut block),
                Kind::When => self.when(&mut block),
            },
        }
    }

    /// What a wait that a `when` names cannot have.
    fn check_part(&self, whole: &str, block: &mut Block<'_>) {
        let given = [
            ("timeout", self.timeout.is_some()),
            ("on_timeout", self.on_timeout.is_some()),
            ("optional", self.optional.unwrap_or(false)),
        ];
        for (attribute, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
            block.problem_with_help(
                format!("{attribute} means nothing here: this wait counts only through the `when` of wait {whole:?}"),
                format!("write it into wait {whole:?}"),
            );
        }
    }

    fn job(self, label: &str, until: Option<Until>, block: &mut Block<'_>) -> Subject {
        self.check_pairs(until, block);
        let job = match self.job {
            Some(job) => block.name("job", Some(job)),
            None => block.name("the label", Some(label.to_owned())),
        };
        let scope = block.word("scope", self.scope, Scope::WORDS, Scope::from_word);
        let source = block.word("source", self.source, HealthSource::WORDS, HealthSource::from_word);
        Subject::Job {
            job: job.unwrap_or_else(|| label.to_owned()).into(),
            namespace: block.namespace(self.namespace),
            group: block.name("group", self.group),
            meta: block.meta(self.meta),
            scope: scope.unwrap_or_default(),
            source: source.unwrap_or_default(),
        }
    }

    /// The attributes of a wait for a job that contradict each other.
    fn check_pairs(&self, until: Option<Until>, block: &mut Block<'_>) {
        let group = ("group", self.group.is_some());
        let at_least = ("at_least", self.at_least.is_some());
        let any_version = ("any_version", self.any_version.unwrap_or(false));
        let on_blocked = ("on_blocked", self.on_blocked.is_some());
        let meta = ("meta", self.meta.as_ref().is_some_and(|meta| !meta.is_empty()));
        let is_local = self.scope.as_deref() == Some(Scope::Client.word());
        let scope = ("scope = \"client\"", is_local);
        let source = ("source", self.source.is_some());
        match until {
            Some(until @ (Until::Stopped | Until::Absent)) => block.apart(
                &[group, at_least, any_version, on_blocked, meta, scope, source],
                &format!("until = \"{until}\""),
                "a job is stopped or absent as a whole",
            ),
            Some(Until::Failed) => {
                block.apart(&[at_least], "until = \"failed\"", "one failure fails the job");
                block.apart(&[scope], "until = \"failed\"", "a job fails as a whole");
                block.apart(&[source], "until = \"failed\"", "source is about health");
            }
            Some(until @ (Until::Running | Until::Complete | Until::Finished)) => {
                block.apart(&[source], &format!("until = \"{until}\""), "source is about health");
            }
            Some(Until::Healthy) | None => {}
        }
        if meta.1 {
            block.apart(&[any_version], "meta", "only the versions that carry it count");
        }
        if is_local {
            block.apart(&[at_least], "scope = \"client\"", "a client has one allocation of each group");
        }
    }

    fn task(self, until: Option<Until>, block: &mut Block<'_>) -> Subject {
        if let Some(until) = until
            && !matches!(until, Until::Running | Until::Healthy | Until::Complete)
        {
            block.problem(format!(
                "until = \"{until}\" and task contradict each other: a task can be awaited until running, healthy or complete"
            ));
        }
        Subject::Task { task: block.name("task", self.task).unwrap_or_default() }
    }

    fn approval(self, block: &mut Block<'_>) -> Subject {
        let what = self.approval.unwrap_or_default();
        if what.trim().is_empty() {
            block.problem_with_help(
                "approval is empty",
                "say what is approved: `approval = \"the release is announced\"`",
            );
        } else if what.len() > MAX_APPROVAL || what.chars().any(char::is_control) {
            block.problem(format!("approval is no line of up to {MAX_APPROVAL} letters"));
        }
        Subject::Approval { what: what.into() }
    }

    fn when(self, block: &mut Block<'_>) -> Subject {
        let text = self.when.unwrap_or_default();
        let expression = match Expression::parse(&text) {
            Ok(expression) => expression,
            Err(why) => {
                block.problem(format!("when {why}"));
                return Subject::Approval { what: text.into() };
            }
        };
        let n_names = expression.names().len();
        if n_names > Expression::MAX_NAMES {
            block.problem_with_help(
                format!("when names {n_names} waits, and may name {}", Expression::MAX_NAMES),
                "give a part of it a wait of its own, and name that",
            );
        } else if !expression.can_hold(|_| None) {
            block.problem(format!("when = \"{expression}\" can never hold, whatever its waits come to"));
        } else if !expression.can_fail(|_| None) {
            block.problem(format!("when = \"{expression}\" always holds, whatever its waits come to"));
        }
        Subject::When(Box::new(expression))
    }
}

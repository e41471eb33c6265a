//! The subjects of a `wait` block: which attributes belong to which, and those that are no jobs.

use std::time::Duration;

use super::{block::Block, wait::Wait};
use crate::{
    cluster::LONGEST_PATH,
    manifest::{AtLeast, Probe, Provider, Service, Stored, Subject, Target, Webhook},
};

/// The longest text that is compared with something.
const MAX_TEXT: usize = 4 << 10;
/// The longest key of Consul's store, in bytes.
const MAX_CONSUL_KEY: usize = 512;
/// The longest name that can be looked up.
const MAX_DNS: usize = 253;
/// How often something may be asked.
const INTERVALS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_mins(1));

/// What a wait is about, named by the attribute that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Job,
    Task,
    Service,
    Tcp,
    Http,
    Dns,
    Variable,
    ConsulKey,
    Approval,
    When,
}

use Kind::{ConsulKey, Dns, Http, Job, Task, Tcp, Variable, When};

/// The subjects that an attribute belongs to.
fn subjects_of(attribute: &str) -> &'static [Kind] {
    match attribute {
        "namespace" => &[Job, Kind::Service, Variable],
        "until" => &[Job, Task],
        "at_least" => &[Job, Kind::Service],
        "provider" | "tags" => &[Kind::Service],
        "status" | "contains" => &[Http],
        "interval" => &[Tcp, Http, Dns],
        "key" => &[Variable],
        "equals" => &[Variable, ConsulKey],
        "stable_for" | "optional" => &[Job, Task, Kind::Service, Tcp, Http, Dns, Variable, ConsulKey, When],
        _ => &[Job],
    }
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Task => "task",
            Self::Service => "service",
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Dns => "dns",
            Self::Variable => "variable",
            Self::ConsulKey => "consul_key",
            Self::Approval => "approval",
            Self::When => "when",
        }
    }
}

/// Names several subjects, and each of the `given` attributes that belongs to none of them.
pub(super) fn check(kinds: &[Kind], given: &[&'static str], block: &mut Block<'_>) {
    let words = |kinds: &[Kind]| kinds.iter().map(|kind| kind.word()).collect::<Vec<_>>();
    if kinds.len() > 1 {
        block.problem_with_help(
            format!("{} contradict each other: a wait has one subject", words(kinds).join(", ")),
            "give each a `wait` block of its own",
        );
    }
    let Some(kind) = kinds.first() else { return check(&[Job], given, block) };
    for attribute in given {
        let belongs_to = subjects_of(attribute);
        if kinds.iter().any(|kind| belongs_to.contains(kind)) {
            continue;
        }
        let why = if matches!(*attribute, "stable_for" | "optional") {
            "what is approved stays so, and may always be approved".to_owned()
        } else {
            format!("{attribute} belongs to {}", words(belongs_to).join(", "))
        };
        block.apart(&[(attribute, true)], kind.word(), &why);
    }
}

impl Wait {
    pub(super) fn service(self, block: &mut Block<'_>) -> Subject {
        let provider = block.word("provider", self.provider, Provider::WORDS, Provider::from_word);
        let provider = provider.unwrap_or(Provider::Nomad);
        if provider == Provider::Consul {
            block.apart(
                &[("namespace", self.namespace.is_some())],
                "provider = \"consul\"",
                "Nomad's namespaces are none of Consul's",
            );
        }
        let at_least = match block.at_least(self.at_least) {
            Some(AtLeast::Percent(_)) => {
                block.problem_with_help(
                    "at_least takes a number where a service is awaited",
                    "nobody knows how many instances it is to have: write `at_least = 2`",
                );
                1
            }
            Some(AtLeast::Count(count)) => count,
            None => 1,
        };
        let tags = self.tags.unwrap_or_default();
        if tags.iter().any(|tag| tag.trim().is_empty()) {
            block.problem("tags has an empty one");
        }
        Subject::Service(Box::new(Service {
            name: block.name("service", self.service).unwrap_or_default(),
            provider,
            namespace: block.namespace(self.namespace),
            tags,
            at_least,
        }))
    }

    pub(super) fn probe(self, kind: Kind, block: &mut Block<'_>) -> Subject {
        let interval = block.duration("interval", self.interval);
        if interval.is_some_and(|interval| !(INTERVALS.0..=INTERVALS.1).contains(&interval)) {
            block.problem("interval is from 20ms to 1m");
        }
        let target = match kind {
            Tcp => Target::Tcp { address: block.address(self.tcp.unwrap_or_default()) },
            Dns => Target::Dns { name: block.host("dns", self.dns.unwrap_or_default()) },
            _ => {
                let url = self.http.unwrap_or_default();
                let has_port = |host: &str| match host.rsplit_once(':') {
                    Some((_, port)) if !host.ends_with(']') => port.parse::<u16>().is_ok_and(|port| port > 0),
                    Some(_) | None => true,
                };
                match Webhook::host_of(&url) {
                    Ok(host) if has_port(host) => {}
                    Ok(_) => block.problem(format!("http = {url:?} has no port from 1 to 65535")),
                    Err(_) if url.contains('@') => {
                        block.problem(format!("http = {url:?} has a user in it, which dtree does not send"));
                    }
                    Err(why) => block.problem(format!("http = {url:?} {why}")),
                }
                let status = block.number("status", self.status, 100, 599);
                Target::Http {
                    url,
                    status: status.and_then(|status| u16::try_from(status).ok()),
                    contains: block.compared("contains", self.contains, 1),
                }
            }
        };
        Subject::Probe(Box::new(Probe { target, interval: interval.unwrap_or(Probe::INTERVAL) }))
    }

    pub(super) fn stored(self, block: &mut Block<'_>) -> Subject {
        let equals = block.compared("equals", self.equals, 0);
        let stored = match (self.variable, self.consul_key) {
            (Some(path), _) => {
                block.variable(&path);
                if equals.is_some() && self.key.is_none() {
                    block.problem_with_help(
                        "equals without key says nothing: a variable has items",
                        "name the item: `key = \"…\"`",
                    );
                }
                if self.key.as_ref().is_some_and(String::is_empty) {
                    block.problem("key is empty");
                }
                Stored::Variable { namespace: block.namespace(self.namespace), path, key: self.key, equals }
            }
            (None, key) => {
                let key = key.unwrap_or_default();
                if key.is_empty() {
                    block.problem("consul_key is empty");
                } else if key.starts_with('/') {
                    block.problem(format!(
                        "consul_key = {key:?} begins with a slash, which no key in Consul does"
                    ));
                } else if key.len() > MAX_CONSUL_KEY || key.chars().any(char::is_control) {
                    block.problem(format!("consul_key is no line of up to {MAX_CONSUL_KEY} letters"));
                }
                Stored::ConsulKey { key, equals }
            }
        };
        Subject::Stored(Box::new(stored))
    }
}

impl Block<'_> {
    /// Refuses what cannot be connected to.
    fn address(&mut self, address: String) -> String {
        let split = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
        let is_good = split.is_some_and(|(host, port)| {
            let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            let is_host = match inside {
                Some(ip) => {
                    ip.contains(':') && ip.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, ':' | '.'))
                }
                None => is_host(host),
            };
            port > 0 && is_host
        });
        if !is_good {
            self.problem(format!("tcp = {address:?} is no `host:port`, with a port from 1 to 65535"));
        }
        address
    }

    /// Refuses what cannot be looked up.
    fn host(&mut self, attribute: &str, name: String) -> String {
        if !is_host(name.strip_suffix('.').unwrap_or(&name)) {
            self.problem(format!("{attribute} = {name:?} is no name that can be looked up"));
        }
        name
    }

    /// Refuses a text that is too long, or too short, to be compared with anything.
    fn compared(&mut self, attribute: &str, text: Option<String>, least: usize) -> Option<String> {
        let text = text?;
        if text.len() < least {
            self.problem(format!("{attribute} is empty"));
        } else if text.len() > MAX_TEXT {
            self.problem(format!("{attribute} has {} bytes, and may have {MAX_TEXT}", text.len()));
        }
        Some(text)
    }

    /// Refuses a path that no variable can have.
    fn variable(&mut self, path: &str) {
        let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '~' | '/');
        if path.is_empty() || path.len() > LONGEST_PATH || !path.chars().all(is_good) {
            self.problem(format!(
                "variable = {path:?} is no path of one: up to {LONGEST_PATH} letters, digits, `-`, `_`, `~` and `/`"
            ));
        }
    }
}

/// Whether it may be the name or the address of a host.
fn is_host(name: &str) -> bool {
    (1..=MAX_DNS).contains(&name.len())
        && name.split('.').all(|part| {
            (1..=63).contains(&part.len())
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        })
}

//! Reads the attributes of one block, and says what is wrong with them.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use crate::{
    cluster::{Namespace, nearest},
    manifest::{AtLeast, Problem, Problems, Source, TaskPath, leads_out, template::is_output, value},
};

/// The most bytes that Nomad dispatches with a job.
const MAX_PAYLOAD: usize = 16 << 10;

/// The longest key of `once`, in bytes: it is kept with the record of what ran for it.
const MAX_KEY: usize = 1 << 10;

/// The beginning of the meta keys that dtree writes itself.
const RESERVED: &str = "dtree_";

/// A number as Nomad sends it: as an integer if it is one. A text stands where nobody converted it.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Number {
    /// A number.
    Number(f64),
    /// The text of one.
    Text(String),
}

/// Where problems of one block go.
pub(super) struct Block<'a> {
    place: String,
    problems: &'a mut Problems,
}

impl<'a> Block<'a> {
    /// The block that the author knows as `place`.
    pub(super) fn new(place: impl Into<String>, problems: &'a mut Problems) -> Self {
        Self { place: place.into(), problems }
    }

    /// Adds a problem of this block.
    pub(super) fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(Problem::new(self.place.clone(), text));
    }

    /// Adds a problem of this block and what to do about it.
    pub(super) fn problem_with_help(&mut self, text: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(self.place.clone(), text).with_help(help));
    }

    /// Reads one of a few words.
    pub(super) fn word<T>(
        &mut self,
        attribute: &str,
        text: Option<String>,
        words: &[&str],
        read: fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = text?;
        let value = read(&text);
        if value.is_none() {
            let problem = format!("{attribute} = \"{text}\" is none of {}", words.join(", "));
            match nearest(&text, words.iter().copied()) {
                Some(word) => self.problem_with_help(problem, format!("did you mean \"{word}\"?")),
                None => self.problem(problem),
            }
        }
        value
    }

    /// Refuses a name that nothing in Nomad can have.
    pub(super) fn name(&mut self, attribute: &str, name: Option<String>) -> Option<String> {
        let name = name?;
        if name.is_empty() {
            self.problem(format!("{attribute} is empty"));
        } else if name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            self.problem(format!("{attribute} = {name:?} has a blank in it, which no name in Nomad has"));
        }
        Some(name)
    }

    /// Refuses what cannot be a namespace.
    pub(super) fn namespace(&mut self, namespace: Option<String>) -> Option<Namespace> {
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

    /// Reads a count or a share.
    pub(super) fn at_least(&mut self, text: Option<String>) -> Option<AtLeast> {
        let text = text?;
        let at_least = AtLeast::from_text(&text);
        if at_least.is_none() {
            self.problem(format!(
                "at_least = \"{text}\" is neither a number from 1 on, like \"2\", nor a share from 1% to 100%, like \"50%\""
            ));
        }
        at_least
    }

    /// Reads a time limit.
    pub(super) fn time_limit(&mut self, attribute: &str, text: Option<String>) -> Option<Duration> {
        self.good(attribute, value::duration(&text?))
    }

    /// Reads a duration that may be zero.
    pub(super) fn duration(&mut self, attribute: &str, text: Option<String>) -> Option<Duration> {
        self.good(attribute, value::duration_or_none(&text?))
    }

    fn good<T>(&mut self, attribute: &str, read: Result<T, String>) -> Option<T> {
        read.map_err(|why| self.problem(format!("{attribute} = {why}"))).ok()
    }

    /// Reads a whole number from `least` to `most`.
    pub(super) fn number(
        &mut self,
        attribute: &str,
        number: Option<Number>,
        least: u32,
        most: u32,
    ) -> Option<u32> {
        // Both `7.0` and "7" are seven; the shortest text of a float is that of the integer.
        let text = match number? {
            Number::Number(number) => number.to_string(),
            Number::Text(text) => text,
        };
        let value = text.parse().ok().filter(|value| (least..=most).contains(value));
        if value.is_none() {
            self.problem(format!("{attribute} = {text} is no whole number from {least} to {most}"));
        }
        value
    }

    /// Refuses a path that leads out of the task's directory.
    pub(super) fn path(&mut self, attribute: &str, path: String) -> String {
        if let Err(why) = TaskPath::new(&path) {
            let problem = Problem::new(self.place.clone(), format!("{attribute} = {path:?} {why}"));
            self.problems.push(problem.leading_out(leads_out(&path)));
        }
        path
    }

    /// Refuses names that no variable of a jobspec can have.
    pub(super) fn vars(&mut self, vars: Option<BTreeMap<String, String>>) -> BTreeMap<String, String> {
        let vars = vars.unwrap_or_default();
        for name in vars.keys() {
            let mut letters = name.chars();
            let is_name = letters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
                && letters.all(|c| c.is_alphanumeric() || c == '_' || c == '-');
            if !is_name {
                self.problem(format!(
                    "vars has {name:?}, which no variable is called: letters, digits, `_` and `-`, and no digit first"
                ));
            }
        }
        vars
    }

    /// Refuses keys that are not the author's.
    pub(super) fn meta(&mut self, meta: Option<BTreeMap<String, String>>) -> BTreeMap<String, String> {
        let meta = meta.unwrap_or_default();
        for key in meta.keys() {
            if key.is_empty() {
                self.problem("meta has a key without a name");
            } else if key.starts_with(RESERVED) {
                self.problem(format!("meta has {key:?}, but keys with {RESERVED} are dtree's own marks"));
            }
        }
        meta
    }

    /// Refuses a payload that Nomad would refuse.
    pub(super) fn payload(&mut self, payload: Option<String>) -> String {
        let payload = payload.unwrap_or_default();
        if payload.len() > MAX_PAYLOAD {
            self.problem(format!(
                "payload has {} bytes, and Nomad dispatches no more than {MAX_PAYLOAD}",
                payload.len()
            ));
        }
        payload
    }

    /// Refuses a key that would be the same for everybody.
    pub(super) fn once(&mut self, key: Option<String>) -> Option<String> {
        let key = key?;
        if key.trim().is_empty() {
            self.problem_with_help(
                "once is empty, so it would run once and never again, for whatever release",
                "give it a key that changes when it must run again, like `once = \"${NOMAD_META_release}\"`, and see that it has a value",
            );
        } else if key.contains("${") {
            self.problem_with_help(
                format!("once = {key:?} is no key: Nomad found no value for it"),
                "a name in `${…}` must be that of the task's environment or meta",
            );
        } else if key.len() > MAX_KEY {
            self.problem(format!("once has {} bytes, and a key may have {MAX_KEY}", key.len()));
        }
        Some(key)
    }

    /// Reads where outputs come from. Each has the `built_in` ones, too.
    pub(super) fn outputs(
        &mut self,
        outputs: Option<BTreeMap<String, String>>,
        built_in: &[&str],
    ) -> BTreeMap<String, Source> {
        let mut sources = BTreeMap::new();
        for (name, text) in outputs.unwrap_or_default() {
            if !is_output(&name) {
                self.problem(format!(
                    "outputs has {name:?}, which no output is called: letters, digits, `_` and `-`"
                ));
            } else if built_in.contains(&name.as_str()) {
                self.problem_with_help(
                    format!("outputs has {name:?}, which it has by itself"),
                    "give yours another name",
                );
            }
            match Source::read(&text) {
                Ok(source) => {
                    sources.insert(name, source);
                }
                Err((why, help)) => self.problem_with_help(format!("outputs: {name} = {text:?} {why}"), help),
            }
        }
        sources
    }

    /// Refuses keys that no reference can name, and references where there is nothing to refer to yet.
    pub(super) fn context(&mut self, context: Option<BTreeMap<String, String>>) -> BTreeMap<String, String> {
        let context = context.unwrap_or_default();
        for (key, value) in &context {
            if !is_output(key) {
                self.problem(format!(
                    "context has {key:?}, which no reference can name: letters, digits, `_` and `-`"
                ));
            }
            if value.contains("$(") {
                self.problem_with_help(
                    format!("context: {key} has `$(` in it, and a value of context is taken as it is"),
                    "write the reference where the value is used",
                );
            }
        }
        context
    }

    /// Names attributes that contradict each other, as a pair.
    pub(super) fn apart(&mut self, given: &[(&str, bool)], other: &str, why: &str) {
        for (attribute, _) in given.iter().filter(|(_, is_given)| *is_given) {
            self.problem(format!("{attribute} and {other} contradict each other: {why}"));
        }
    }
}

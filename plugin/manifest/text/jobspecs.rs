//! A directory of jobspecs, as far as an importer wants to know it: which are there, and what each declares.

use std::collections::{BTreeMap, BTreeSet};

use hcl_edit::{expr::Expression, parser::parse_body};
use serde_json::Value;

use super::entry;

/// How a jobspec's name may end, in the order in which they are looked for.
const ENDINGS: [&str; 5] = [".nomad.hcl", ".nomad", ".hcl", ".nomad.json", ".json"];

/// The jobspecs of a directory, by the name of their file.
#[derive(Clone, Debug, Default)]
pub struct Jobspecs(BTreeMap<String, Jobspec>);

/// What a jobspec says of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Jobspec {
    /// Its job's ID, where the text says it.
    pub(super) id: Option<String>,
    namespace: Option<String>,
    /// `service`, `batch`, …, where the text says it.
    pub(super) kind: Option<String>,
    /// The variables that it declares; `None` where the text cannot be read here.
    pub(super) variables: Option<BTreeSet<String>>,
    /// Whether a variable decides its job's ID.
    pub(super) is_template: bool,
}

impl Jobspecs {
    /// Takes files by name, with their text. What is no jobspec by its name is left out.
    pub fn read(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let files = files.into_iter().filter(|(name, _)| Self::is_one(name));
        Self(files.map(|(name, text)| (name, Jobspec::read(&text))).collect())
    }

    /// Whether a file with this name is a jobspec.
    pub fn is_one(name: &str) -> bool {
        ENDINGS.iter().any(|ending| name.len() > ending.len() && name.ends_with(ending))
    }

    /// The first file that is called like one of `stems`, with an ending of a jobspec.
    pub(super) fn find<'a>(&'a self, stems: &[&str]) -> Option<(&'a str, &'a Jobspec)> {
        let names = stems.iter().flat_map(|stem| ENDINGS.iter().map(move |ending| format!("{stem}{ending}")));
        let mut found = names.filter_map(|name| self.0.get_key_value(&name));
        found.next().map(|(name, jobspec)| (name.as_str(), jobspec))
    }

    /// What each file is called without its ending.
    pub(super) fn stems(&self) -> impl Iterator<Item = &str> {
        self.0.keys().filter_map(|name| ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)))
    }
}

/// The namespace that a jobspec names, where its text says it.
pub fn namespace_of(jobspec: &str) -> Option<String> {
    Jobspec::read(jobspec).namespace
}

/// The ID of a jobspec's job, and its namespace where it names one; `None` where the text does not say the ID.
pub fn identity_of(jobspec: &str) -> Option<(String, Option<String>)> {
    let Jobspec { id, namespace, .. } = Jobspec::read(jobspec);
    Some((id?, namespace))
}

impl Jobspec {
    fn read(text: &str) -> Self {
        if text.trim_start().starts_with('{') {
            return serde_json::from_str(text).map(|value| Self::of_json(&value)).unwrap_or_default();
        }
        let Ok(body) = parse_body(text) else { return Self::default() };
        let entries = entry::of_body(&body);
        let variables = entry::blocks(&entries, "variable").filter_map(|(name, _)| name.map(str::to_owned));
        let variables = Some(variables.collect());
        let Some((label, job)) = entry::blocks(&entries, "job").next() else {
            return Self { variables, ..Self::default() };
        };
        let id = job.entries.iter().find(|entry| entry.name == "id");
        let is_template = id.is_some_and(
            |id| matches!(&id.given, entry::Given::Value(value) if !matches!(value, Expression::String(_))),
        );
        let id = entry::text(&job.entries, "id").or_else(|| label.map(str::to_owned));
        Self {
            id: id.filter(|_| !is_template),
            namespace: entry::text(&job.entries, "namespace"),
            kind: entry::text(&job.entries, "type"),
            variables,
            is_template,
        }
    }

    /// A job as Nomad's API takes it, with or without its wrapping: it has no variables.
    fn of_json(value: &Value) -> Self {
        let job = value.get("Job").unwrap_or(value);
        let text = |key: &str| job.get(key).and_then(Value::as_str).map(str::to_owned);
        Self {
            id: text("ID"),
            namespace: text("Namespace"),
            kind: text("Type").map(|kind| kind.to_lowercase()),
            variables: Some(BTreeSet::new()),
            is_template: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jobspec_is_found_by_its_name_and_known_by_its_text() {
        let files = [
            ("db.nomad.hcl", "variable \"url\" {}\njob \"postgres\" {\n  type = \"batch\"\n}\n"),
            ("db.json", "{}"),
            ("mq.json", "{\"Job\": {\"ID\": \"rabbit\", \"Type\": \"service\"}}"),
            ("web.hcl", "variable \"n\" {}\njob \"web\" {\n  id = \"web-${var.n}\"\n}\n"),
            ("broken.nomad", "job {{"),
            ("README.md", "job \"x\" {}"),
        ];
        let jobspecs = Jobspecs::read(files.map(|(name, text)| (name.to_owned(), text.to_owned())));
        let said =
            ["db", "mq", "web", "broken", "README", "x"].map(|stem| match jobspecs.find(&["-", stem]) {
                Some((file, Jobspec { id, kind, variables, is_template, .. })) => {
                    format!("{file}: {id:?} {kind:?} {variables:?} {is_template}")
                }
                None => format!("{stem}: none"),
            });
        insta::assert_snapshot!(said.join("\n"), @r#"
        db.nomad.hcl: Some("postgres") Some("batch") Some({"url"}) false
        mq.json: Some("rabbit") Some("service") Some({}) false
        web.hcl: None None Some({"n"}) true
        broken.nomad: None None None false
        README: none
        x: none
        "#);
    }
}

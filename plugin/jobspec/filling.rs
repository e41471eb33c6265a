//! What is put in the place of references: values, or stand-ins as long as there are none.
//!
//! A jobspec is parsed before the run, so that what is wrong with it is told before anything is written; what another
//! block puts out is known only later. Until then something harmless stands there:
//!
//! | in | stands |
//! |---|---|
//! | a variable with a default | the default: the variable is not given |
//! | a number | a number |
//! | a `bool`, a list, a map, alone | `false`, `[]`, `{}` |
//! | an object or a tuple, alone | nothing: its variable needs a default |
//! | any text | `127.0.0.1` for an address, a number for a port or an exit code, else a word |

use std::collections::BTreeMap;

use super::hcl::{Kind, Takes, Variable, is_literal, quoted};
use crate::manifest::{Part, Reference, ServicePart, Source, Template, Tree};

/// The values of references.
pub type Values = BTreeMap<Reference, String>;

/// What is put in the place of references.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filling<'a> {
    pub(super) tree: &'a Tree,
    /// `None` while there are none: then stand-ins are put there.
    pub(super) values: Option<&'a Values>,
}

/// What a variable is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// Nothing: its default counts.
    Default,
    /// This text.
    Text(String),
    /// This expression.
    Expression(String),
}

/// Whether any of `texts` takes a value from another node.
pub(super) fn refers<'a>(texts: impl Iterator<Item = &'a str>) -> bool {
    let mut templates = texts.filter_map(|text| Template::read(text).ok());
    templates.any(|template| template.references().any(|reference| !reference.is_context()))
}

impl Filling<'_> {
    /// `text` with everything filled in.
    pub(super) fn text(&self, text: &str) -> String {
        let Ok(template) = Template::read(text) else { return text.to_owned() };
        self.written(&template, "a-value")
    }

    /// The same for all texts of a map.
    pub(super) fn texts(&self, texts: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        texts.iter().map(|(name, text)| (name.clone(), self.text(text))).collect()
    }

    /// What the variable `variable` is given where the author has written `text`. The variable is not known where the
    /// jobspec's text is not understood.
    ///
    /// # Errors
    ///
    /// A sentence that says why nothing can stand there.
    pub(super) fn given(&self, text: &str, variable: Option<&Variable>) -> Result<Given, String> {
        let Ok(template) = Template::read(text) else { return Ok(Given::Text(text.to_owned())) };
        let waits = self.values.is_none() && template.references().any(|reference| !reference.is_context());
        let Some(variable) = variable else {
            let text = self.written(&template, "a-value");
            return Ok(if is_literal(&text) { Given::Expression(text) } else { Given::Text(text) });
        };
        if waits && variable.has_default {
            return Ok(Given::Default);
        }
        let is_alone = matches!(template.parts.as_slice(), [Part::Value(_)]);
        match (variable.takes, variable.kind) {
            (Takes::Text, Kind::Number) => Ok(Given::Text(self.written(&template, "1"))),
            (Takes::Text, _) => Ok(Given::Text(self.written(&template, "a-value"))),
            (Takes::Expression, kind) if waits && is_alone => match kind {
                Kind::Bool => Ok(Given::Expression("false".to_owned())),
                Kind::List => Ok(Given::Expression("[]".to_owned())),
                Kind::Map => Ok(Given::Expression("{}".to_owned())),
                Kind::Text | Kind::Number | Kind::Any => Ok(Given::Expression(quoted("a-value"))),
                Kind::Object => {
                    Err("is filled in while the tree runs, and nothing can stand for an object or \
                                     a tuple until then: give the variable a default"
                        .to_owned())
                }
            },
            (Takes::Expression, _) => Ok(Given::Expression(self.expression(&template))),
        }
    }

    fn written(&self, template: &Template, word: &str) -> String {
        let parts = template.parts.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Value(reference) => self.value(reference, word),
        });
        parts.collect()
    }

    /// An HCL expression. In quotes a value is a piece of their text; elsewhere it is what it means by itself, like a
    /// number or a list, and else a text.
    fn expression(&self, template: &Template) -> String {
        let mut written = String::new();
        let mut is_quoted = false;
        for part in &template.parts {
            match part {
                Part::Text(text) => {
                    let mut letters = text.chars();
                    while let Some(letter) = letters.next() {
                        written.push(letter);
                        match letter {
                            '"' => is_quoted = !is_quoted,
                            '\\' if is_quoted => written.extend(letters.next()),
                            _ => {}
                        }
                    }
                }
                Part::Value(reference) if is_quoted => {
                    let text = quoted(&self.value(reference, "a-value"));
                    written.push_str(
                        text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default(),
                    );
                }
                Part::Value(reference) => {
                    let value = self.value(reference, "1");
                    written.push_str(&if is_literal(&value) { value } else { quoted(&value) });
                }
            }
        }
        written
    }

    /// The value of a reference, or what stands for it; `word` where anything may.
    fn value(&self, reference: &Reference, word: &str) -> String {
        let Reference { node, output } = reference;
        if reference.is_context() {
            return self.tree.context.get(output).cloned().unwrap_or_default();
        }
        if let Some(value) = self.values.and_then(|values| values.get(reference)) {
            return value.clone();
        }
        let source = match (self.tree.jobs.get(node), self.tree.hooks.get(node)) {
            (Some(job), _) => job.outputs.get(output),
            (None, Some(hook)) => hook.outputs.get(output),
            (None, None) => None,
        };
        match source {
            Some(Source::Service { part: ServicePart::Address, .. }) => "127.0.0.1".to_owned(),
            Some(Source::Service { part: ServicePart::Port, .. }) => "20000".to_owned(),
            None if output == "exit_code" => "0".to_owned(),
            Some(Source::Variable { .. } | Source::Meta { .. }) | None => word.to_owned(),
        }
    }
}

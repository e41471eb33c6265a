//! Texts that take values from other blocks: `postgres://$(db.address):$(db.port)/shop`.
//!
//! | written | means |
//! |---|---|
//! | `$(node.output)` | the output of the block `node`; a block's name may have dots, an output's has none |
//! | `$(context.key)` | the value of `key` in the task's `context` block |
//! | `$$(` | `$(` itself |
//! | `${…}` | nothing here: Nomad's |

use std::{collections::BTreeMap, fmt};

/// What stands before the dot of a reference to the `context` block.
pub const CONTEXT: &str = "context";

/// An output of a block.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The block's label, or [`CONTEXT`].
    pub node: String,
    /// What it is called there.
    pub output: String,
}

impl Reference {
    /// Whether it is a value of the `context` block.
    pub fn is_context(&self) -> bool {
        self.node == CONTEXT
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "$({}.{})", self.node, self.output)
    }
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text that stays as it is.
    Text(String),
    /// A value to fill in.
    Value(Reference),
}

/// A text with references, or without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its pieces in order. No two texts follow one another.
    pub parts: Vec<Part>,
}

impl Template {
    /// Reads `text`.
    ///
    /// # Errors
    ///
    /// A sentence that says what only looks like a reference.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("$(") {
            if let Some(before) = before.strip_suffix('$') {
                literal.push_str(before);
                literal.push_str("$(");
                rest = after;
                continue;
            }
            literal.push_str(before);
            let Some((inside, after)) = after.split_once(')') else {
                return Err(format!("has `$({}` without a `)`", beginning(after)));
            };
            let reference = reference(inside)
                .ok_or_else(|| format!("has `$({})`, which names no output", beginning(inside)))?;
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Value(reference));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }

    /// What it refers to, in order.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value(reference) => Some(reference),
            Part::Text(_) => None,
        })
    }

    /// The text with `values` filled in; the error is a reference without a value.
    ///
    /// # Errors
    ///
    /// When a value is missing.
    pub fn fill(&self, values: &BTreeMap<Reference, String>) -> Result<String, Reference> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Value(reference) => {
                    text.push_str(values.get(reference).ok_or_else(|| reference.clone())?);
                }
            }
        }
        Ok(text)
    }
}

/// What stands between the parentheses, if it names an output.
fn reference(inside: &str) -> Option<Reference> {
    let (node, output) = inside.rsplit_once('.')?;
    let is_node =
        !node.is_empty() && !node.contains(|c: char| c.is_whitespace() || c.is_control() || c == '$');
    (is_node && is_output(output)).then(|| Reference { node: node.to_owned(), output: output.to_owned() })
}

/// Whether `name` can be that of an output, or of a key of the `context` block.
pub(super) fn is_output(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

/// As much of a text as a message shows.
fn beginning(text: &str) -> String {
    text.chars().take_while(|c| !c.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        match Template::read(text) {
            Ok(Template { parts }) => {
                let parts = parts.iter().map(|part| match part {
                    Part::Text(text) => format!("{text:?}"),
                    Part::Value(Reference { node, output }) => format!("<{node}|{output}>"),
                });
                parts.collect::<Vec<_>>().join(" ")
            }
            Err(why) => format!("it {why}"),
        }
    }

    #[test]
    fn a_text_is_read_into_its_parts() {
        let texts = [
            "",
            "plain",
            "$(db.port)",
            "pg://$(db.address):$(db.port)/x",
            "$(team/db.v2.port)$(context.zone)",
            "$$(date) and $(db.id)",
            "$$$(db.id) $ ( ${NOMAD_PORT_x} $${y} )",
            "$(db.port",
            "$(date +%s) $(db.id)",
            "$(db)",
            "$(.id)",
            "$(db.)",
            "$(db.a b)",
            "$(a $(db.id))",
            "$()",
        ];
        let told: Vec<String> = texts.iter().map(|text| format!("{text:?}: {}", told(text))).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        "": 
        "plain": "plain"
        "$(db.port)": <db|port>
        "pg://$(db.address):$(db.port)/x": "pg://" <db|address> ":" <db|port> "/x"
        "$(team/db.v2.port)$(context.zone)": <team/db.v2|port> <context|zone>
        "$$(date) and $(db.id)": "$(date) and " <db|id>
        "$$$(db.id) $ ( ${NOMAD_PORT_x} $${y} )": "$$(db.id) $ ( ${NOMAD_PORT_x} $${y} )"
        "$(db.port": it has `$(db.port` without a `)`
        "$(date +%s) $(db.id)": it has `$(date +%s)`, which names no output
        "$(db)": it has `$(db)`, which names no output
        "$(.id)": it has `$(.id)`, which names no output
        "$(db.)": it has `$(db.)`, which names no output
        "$(db.a b)": it has `$(db.a b)`, which names no output
        "$(a $(db.id))": it has `$(a $(db.id)`, which names no output
        "$()": it has `$()`, which names no output
        "#);
    }

    #[test]
    fn what_is_filled_in_is_not_read_again() {
        let template = Template::read("$$(a.b) $(a.b)").unwrap();
        let reference = Reference { node: "a".to_owned(), output: "b".to_owned() };
        let values = [(reference.clone(), "$(c.d)".to_owned())].into();
        assert_eq!(template.fill(&values), Ok("$(a.b) $(c.d)".to_owned()));
        assert_eq!(template.fill(&BTreeMap::new()), Err(reference));
    }
}

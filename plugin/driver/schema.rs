//! Schemas in the form that Nomad reads: the manifest's, and that of the plugin's own block.
//!
//! | in HCL | helper | msgpack |
//! |---|---|---|
//! | `name = "x"` | [`attr`] | the value, or nil |
//! | at most one `name { … }` | [`block`] | map, or nil |
//! | any number of `name "label" { … }` | [`labelled`] | map by label, in no order |
//! | a body | [`object`] | map with every key |
//!
//! # Invariants
//!
//! * Nothing under a labelled block has type `any`: that panics the whole agent.
//! * There is no `map(…)`, which no jobspec can satisfy, and no unknown type, which fails every allocation.

use super::pb::hclspec::{Attr, Block, BlockMap, Object, Spec, spec};
use crate::manifest::schema::{self, Kind};

fn spec(block: spec::Block) -> Spec {
    Spec { block: Some(block) }
}

/// `name = value`, of a type expression's type.
fn attr(name: &str, kind: &str, required: bool) -> Spec {
    spec(spec::Block::Attr(Attr { name: name.to_owned(), r#type: kind.to_owned(), required }))
}

/// A body with these names.
fn object<'a>(attributes: impl IntoIterator<Item = (&'a str, Spec)>) -> Spec {
    let attributes = attributes.into_iter().map(|(name, spec)| (name.to_owned(), spec)).collect();
    spec(spec::Block::Object(Object { attributes }))
}

/// At most one `name { … }`.
fn block(name: &str, nested: Spec) -> Spec {
    let nested = Some(Box::new(nested));
    spec(spec::Block::BlockValue(Box::new(Block { name: name.to_owned(), required: false, nested })))
}

/// Any number of `name "label" { … }`.
fn labelled(name: &str, label: &str, nested: Spec) -> Spec {
    let labels = vec![label.to_owned()];
    let nested = Some(Box::new(nested));
    spec(spec::Block::BlockMap(Box::new(BlockMap { name: name.to_owned(), labels, nested })))
}

/// The body of a task's `config { … }`.
pub(super) fn task_config() -> Spec {
    manifest(schema::MANIFEST)
}

fn manifest(blocks: &[schema::Block]) -> Spec {
    object(blocks.iter().map(|block| {
        let attributes = block.attributes.iter();
        let body = object(
            attributes.map(|attribute| (attribute.name, attr(attribute.name, kind(attribute.kind), false))),
        );
        (block.name, labelled(block.name, block.label, body))
    }))
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "string",
        Kind::Bool => "bool",
        Kind::TextList => "list(string)",
    }
}

/// The body of `plugin "dtree" { config { … } }`, which `settings` reads.
pub(super) fn plugin_config() -> Spec {
    let nomad = object(["address", "token_file"].map(|name| (name, attr(name, "string", false))));
    object([("nomad", block("nomad", nomad))])
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// A schema as the lines of a jobspec.
    fn outline(spec: &Spec, depth: usize, text: &mut String) {
        let indent = "  ".repeat(depth);
        match spec.block.as_ref().unwrap() {
            spec::Block::Object(object) => {
                for (key, nested) in &object.attributes {
                    assert!(outline_name(nested).is_none_or(|name| name == key), "{key}");
                    outline(nested, depth, text);
                }
            }
            spec::Block::Attr(attr) => writeln!(text, "{indent}{} = {}", attr.name, attr.r#type).unwrap(),
            spec::Block::BlockValue(block) => {
                writeln!(text, "{indent}{} {{", block.name).unwrap();
                outline(block.nested.as_ref().unwrap(), depth + 1, text);
                writeln!(text, "{indent}}}").unwrap();
            }
            spec::Block::BlockMap(block) => {
                writeln!(text, "{indent}{} <{}> {{", block.name, block.labels.join("> <")).unwrap();
                outline(block.nested.as_ref().unwrap(), depth + 1, text);
                writeln!(text, "{indent}}}").unwrap();
            }
            other => panic!("the driver's schemas have no {other:?}"),
        }
    }

    fn outline_name(spec: &Spec) -> Option<&str> {
        match spec.block.as_ref()? {
            spec::Block::Attr(attr) => Some(&attr.name),
            spec::Block::BlockValue(block) => Some(&block.name),
            spec::Block::BlockMap(block) => Some(&block.name),
            _ => None,
        }
    }

    fn outlined(spec: &Spec) -> String {
        let mut text = String::new();
        outline(spec, 0, &mut text);
        text
    }

    #[test]
    fn a_task_takes_what_the_manifest_lists() {
        insta::assert_snapshot!(outlined(&task_config()), @"
        wait <name> {
          any_version = bool
          at_least = string
          depends_on = list(string)
          group = string
          job = string
          namespace = string
          on_blocked = string
          on_timeout = string
          task = string
          timeout = string
          until = string
        }
        ");
    }

    #[test]
    fn the_plugin_takes_the_way_to_nomad() {
        insta::assert_snapshot!(outlined(&plugin_config()), @r"
        nomad {
          address = string
          token_file = string
        }
        ");
    }

    #[test]
    fn every_kind_is_a_type_that_nomad_knows() {
        const BLOCKS: &[schema::Block] = &[schema::Block {
            name: "b",
            label: "l",
            attributes: &[
                schema::Attribute { name: "t", kind: Kind::Text, meaning: "" },
                schema::Attribute { name: "u", kind: Kind::Bool, meaning: "" },
                schema::Attribute { name: "v", kind: Kind::TextList, meaning: "" },
            ],
        }];
        insta::assert_snapshot!(outlined(&manifest(BLOCKS)), @r"
        b <l> {
          t = string
          u = bool
          v = list(string)
        }
        ");
    }
}

//! Schemas in the form that Nomad reads: the manifest's, and that of the plugin's own block.
//!
//! | in HCL | helper | msgpack |
//! |---|---|---|
//! | `name = "x"` | [`attr`] | the value, or nil |
//! | `name = { key = "x" }`, or as a block | [`map`] | map, or nil |
//! | at most one `name { … }` | [`block`] | map, or nil |
//! | any number of `name "label" { … }` | [`labelled`] | map by label, in no order |
//! | a body | [`object`] | map with every key |
//!
//! # Invariants
//!
//! * Nothing under a labelled block has type `any`: that panics the whole agent.
//! * Nothing has a default here: what is absent arrives as nil, and the reader alone knows what that means.
//! * There is no `map(…)`, which no jobspec can satisfy, and no unknown type, which fails every allocation.

use super::pb::hclspec::{Attr, Block, BlockAttrs, BlockMap, Object, Spec, spec};
use crate::manifest::schema::{self, Kind};

fn spec(block: spec::Block) -> Spec {
    Spec { block: Some(block) }
}

/// `name = value`, of a type expression's type.
fn attr(name: &str, kind: &str, required: bool) -> Spec {
    spec(spec::Block::Attr(Attr { name: name.to_owned(), r#type: kind.to_owned(), required }))
}

/// `name = { key = "text" }`, also written without the `=`.
fn map(name: &str) -> Spec {
    spec(spec::Block::BlockAttrs(BlockAttrs {
        name: name.to_owned(),
        r#type: "string".to_owned(),
        required: false,
    }))
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
    body(schema::MANIFEST)
}

fn body(body: schema::Body) -> Spec {
    let attributes = body.attributes.iter().map(|attribute| {
        let spec = match attribute.kind {
            Kind::Text => attr(attribute.name, "string", false),
            Kind::Bool => attr(attribute.name, "bool", false),
            Kind::Number => attr(attribute.name, "number", false),
            Kind::TextList => attr(attribute.name, "list(string)", false),
            Kind::TextMap => map(attribute.name),
        };
        (attribute.name, spec)
    });
    let blocks = body.blocks.iter().map(|inner| {
        let nested = self::body(inner.body);
        let spec = match inner.label {
            Some(label) => labelled(inner.name, label, nested),
            None => block(inner.name, nested),
        };
        (inner.name, spec)
    });
    object(attributes.chain(blocks))
}

/// The body of `plugin "dtree" { config { … } }`, which `settings` reads.
pub(super) fn plugin_config() -> Spec {
    let api = || {
        let names = ["address", "token_file", "ca_file", "cert_file", "key_file", "tls_server_name"];
        object(names.map(|name| (name, attr(name, "string", false))))
    };
    let webhook_hosts = attr("webhook_hosts", "list(string)", false);
    object([
        ("nomad", block("nomad", api())),
        ("consul", block("consul", api())),
        ("webhook_hosts", webhook_hosts),
        ("ca_file", attr("ca_file", "string", false)),
    ])
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
            spec::Block::BlockAttrs(map) => {
                writeln!(text, "{indent}{} = map of {}", map.name, map.r#type).unwrap();
            }
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
            spec::Block::BlockAttrs(map) => Some(&map.name),
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
    #[expect(clippy::too_many_lines, reason = "it shows the whole schema")]
    fn a_task_takes_what_the_manifest_lists() {
        insta::assert_snapshot!(outlined(&task_config()), @"
        after_failure <name> {
          depends_on = list(string)
          dispatch = string
          jobspec = string
          meta = map of string
          namespace = string
          on_failure = string
          once = string
          outputs = map of string
          payload = string
          retain = string
          retries = number
          timeout = string
          vars = map of string
        }
        after_success <name> {
          depends_on = list(string)
          dispatch = string
          jobspec = string
          meta = map of string
          namespace = string
          on_failure = string
          once = string
          outputs = map of string
          payload = string
          retain = string
          retries = number
          timeout = string
          vars = map of string
        }
        context = map of string
        hook <name> {
          depends_on = list(string)
          dispatch = string
          jobspec = string
          meta = map of string
          namespace = string
          on_failure = string
          once = string
          outputs = map of string
          payload = string
          retain = string
          retries = number
          timeout = string
          vars = map of string
        }
        job <name> {
          adopt = bool
          depends_on = list(string)
          exclusive = string
          jobspec = string
          namespace = string
          outputs = map of string
          post <name> {
            depends_on = list(string)
            dispatch = string
            jobspec = string
            meta = map of string
            namespace = string
            on_failure = string
            once = string
            outputs = map of string
            payload = string
            retain = string
            retries = number
            timeout = string
            vars = map of string
          }
          post_stop <name> {
            depends_on = list(string)
            dispatch = string
            jobspec = string
            meta = map of string
            namespace = string
            on_failure = string
            once = string
            outputs = map of string
            payload = string
            retain = string
            retries = number
            timeout = string
            vars = map of string
          }
          pre <name> {
            depends_on = list(string)
            dispatch = string
            jobspec = string
            meta = map of string
            namespace = string
            on_failure = string
            once = string
            outputs = map of string
            payload = string
            retain = string
            retries = number
            timeout = string
            vars = map of string
          }
          pre_stop <name> {
            depends_on = list(string)
            dispatch = string
            jobspec = string
            meta = map of string
            namespace = string
            on_failure = string
            once = string
            outputs = map of string
            payload = string
            retain = string
            retries = number
            timeout = string
            vars = map of string
          }
          ready {
            at_least = string
            group = string
            on_blocked = string
            stable_for = string
            timeout = string
            until = string
          }
          vars = map of string
        }
        max_parallel = number
        on_failure = string
        stop {
          exclude = list(string)
          purge = bool
          target = string
          timeout = string
          with_dependencies = bool
        }
        timeout = string
        verb = string
        wait <name> {
          any_version = bool
          approval = string
          at_least = string
          consul_key = string
          contains = string
          depends_on = list(string)
          dns = string
          equals = string
          grace = string
          group = string
          http = string
          interval = string
          job = string
          key = string
          max_actions = number
          meta = map of string
          namespace = string
          on_blocked = string
          on_loss = string
          on_timeout = string
          optional = bool
          period = string
          provider = string
          scope = string
          service = string
          signal = string
          source = string
          stable_for = string
          status = number
          tags = list(string)
          task = string
          tasks = list(string)
          tcp = string
          timeout = string
          until = string
          variable = string
          when = string
        }
        webhook <name> {
          headers = map of string
          on = list(string)
          timeout = string
          url = string
        }
        ");
    }

    #[test]
    fn the_plugin_takes_the_way_to_nomad() {
        insta::assert_snapshot!(outlined(&plugin_config()), @"
        ca_file = string
        consul {
          address = string
          ca_file = string
          cert_file = string
          key_file = string
          tls_server_name = string
          token_file = string
        }
        nomad {
          address = string
          ca_file = string
          cert_file = string
          key_file = string
          tls_server_name = string
          token_file = string
        }
        webhook_hosts = list(string)
        ");
    }

    #[test]
    fn every_kind_is_a_type_that_nomad_knows() {
        const fn of(name: &'static str, kind: Kind) -> schema::Attribute {
            schema::Attribute { name, kind, meaning: "" }
        }
        const BODY: schema::Body = schema::Body {
            attributes: &[
                of("t", Kind::Text),
                of("u", Kind::Bool),
                of("v", Kind::TextList),
                of("w", Kind::Number),
                of("x", Kind::TextMap),
            ],
            blocks: &[],
        };
        insta::assert_snapshot!(outlined(&body(BODY)), @"
        t = string
        u = bool
        v = list(string)
        w = number
        x = map of string
        ");
    }
}

//! What stands between braces, whether it came as HCL or as JSON.

use std::ops::Range;

use hcl_edit::{
    Span as _,
    expr::{Expression, Object, ObjectKey},
    structure::{Block as HclBlock, Body, Structure},
};

use crate::manifest::schema;

/// An attribute or a block.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) name: String,
    /// Where the name stands.
    pub(super) span: Range<usize>,
    pub(super) given: Given<'a>,
}

#[derive(Debug)]
pub(super) enum Given<'a> {
    Value(&'a Expression),
    Block(Block<'a>),
}

/// A block, or an object in the place of one.
#[derive(Debug)]
pub(super) struct Block<'a> {
    pub(super) labels: Vec<String>,
    /// Where its name and labels stand.
    pub(super) span: Range<usize>,
    pub(super) entries: Vec<Entry<'a>>,
}

/// The blocks called `name`, with their first label.
pub(super) fn blocks<'b, 'a>(
    entries: &'b [Entry<'a>],
    name: &'static str,
) -> impl Iterator<Item = (Option<&'b str>, &'b Block<'a>)> {
    entries.iter().filter(move |entry| entry.name == name).filter_map(|entry| match &entry.given {
        Given::Block(block) => Some((block.labels.first().map(String::as_str), block)),
        Given::Value(_) => None,
    })
}

/// An attribute's text, if it is one.
pub(super) fn text(entries: &[Entry<'_>], name: &str) -> Option<String> {
    entries.iter().filter(|entry| entry.name == name).find_map(|entry| match entry.given {
        Given::Value(Expression::String(text)) => Some(text.to_string()),
        _ => None,
    })
}

pub(super) fn of_body(body: &Body) -> Vec<Entry<'_>> {
    body.iter().map(of_structure).collect()
}

fn of_structure(structure: &Structure) -> Entry<'_> {
    match structure {
        Structure::Attribute(attribute) => Entry {
            name: attribute.key.as_str().to_owned(),
            span: attribute.key.span().unwrap_or_default(),
            given: Given::Value(&attribute.value),
        },
        Structure::Block(block) => Entry {
            name: block.ident.as_str().to_owned(),
            span: block.ident.span().unwrap_or_default(),
            given: Given::Block(Block {
                labels: block.labels.iter().map(|label| label.as_str().to_owned()).collect(),
                span: head(block),
                entries: of_body(&block.body),
            }),
        },
    }
}

/// Where a block's name and labels stand.
fn head(block: &HclBlock) -> Range<usize> {
    let name = block.ident.span().unwrap_or_default();
    let end = block.labels.last().and_then(hcl_edit::Span::span).map_or(name.end, |span| span.end);
    name.start..end
}

/// A whole file in JSON: its trees, or its job.
pub(super) fn of_file(object: &Object) -> Vec<Entry<'_>> {
    const LABELLED: [&str; 4] = ["tree", "job", "group", "task"];
    let mut entries = Vec::new();
    for (name, span, value) in members(object) {
        match value {
            Expression::Object(inner) if LABELLED.contains(&name.as_str()) => {
                let nested =
                    |inner| if name == "tree" { of_object(inner, &schema::MANIFEST) } else { of_file(inner) };
                entries.extend(labelled(&name, inner, nested));
            }
            Expression::Object(inner) if name == "config" => {
                let entries_of = of_object(inner, &schema::MANIFEST);
                let block = Block { labels: Vec::new(), span: span.clone(), entries: entries_of };
                entries.push(Entry { name, span, given: Given::Block(block) });
            }
            value => entries.push(Entry { name, span, given: Given::Value(value) }),
        }
    }
    entries
}

/// An object in the place of a block with this body.
fn of_object<'a>(object: &'a Object, body: &schema::Body) -> Vec<Entry<'a>> {
    let mut entries = Vec::new();
    for (name, span, value) in members(object) {
        let block = body.blocks.iter().find(|block| block.name == name);
        match (block, value) {
            (Some(block), Expression::Object(inner)) if block.label.is_some() => {
                entries.extend(labelled(&name, inner, |inner| of_object(inner, &block.body)));
            }
            (Some(block), Expression::Object(inner)) => {
                let given = Given::Block(Block {
                    labels: Vec::new(),
                    span: span.clone(),
                    entries: of_object(inner, &block.body),
                });
                entries.push(Entry { name, span, given });
            }
            (_, value) => entries.push(Entry { name, span, given: Given::Value(value) }),
        }
    }
    entries
}

/// One block for each label.
fn labelled<'a>(
    name: &str,
    object: &'a Object,
    inner: impl Fn(&'a Object) -> Vec<Entry<'a>>,
) -> Vec<Entry<'a>> {
    members(object)
        .map(|(label, span, value)| {
            let given = match value {
                Expression::Object(body) => {
                    Given::Block(Block { labels: vec![label], span: span.clone(), entries: inner(body) })
                }
                value => Given::Value(value),
            };
            Entry { name: name.to_owned(), span, given }
        })
        .collect()
}

/// What is in an object, where its names are known.
pub(super) fn members(object: &Object) -> impl Iterator<Item = (String, Range<usize>, &Expression)> {
    object.iter().filter_map(|(key, value)| {
        let (name, span) = match key {
            ObjectKey::Ident(name) => (name.as_str().to_owned(), name.span()),
            ObjectKey::Expression(Expression::String(text)) => (text.to_string(), text.span()),
            ObjectKey::Expression(_) => return None,
        };
        Some((name, span.unwrap_or_default(), value.expr()))
    })
}

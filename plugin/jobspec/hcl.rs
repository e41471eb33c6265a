//! What of a jobspec's text is known before Nomad parses it: its variables, and whether it names a namespace.
//!
//! Nomad ignores values for variables that a jobspec does not have, so a slip of the finger would go unseen.
//!
//! # How a value travels
//!
//! The author writes strings, as on the command line of `nomad job run -var name=value`, and they mean the same:
//!
//! | the variable's type | the value is |
//! |---|---|
//! | `string`, `number`, or none (also with a string or a number as default) | the text itself; Nomad makes a number of it |
//! | anything else: `bool`, `list(…)`, `map(…)`, `object(…)`, `any` | an HCL expression |
//! | not known, because this reader does not understand the text | an expression if it is a literal one, else the text |
//!
//! Expressions are sent in parentheses: they may go over several lines, and cannot be taken for more than one.

use std::{collections::BTreeMap, fmt::Write as _};

use hcl_edit::{
    expr::Expression,
    structure::{Attribute, Body},
};

use super::filling::{Filling, Given};

/// What a variable takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// The text itself.
    Text,
    /// An HCL expression.
    Expression,
}

/// What a variable's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Bool,
    /// A list or a set.
    List,
    /// A map, whose keys are the author's.
    Map,
    /// An object or a tuple, whose parts are fixed.
    Object,
    Any,
}

/// A variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) takes: Takes,
    pub(super) kind: Kind,
    pub(super) has_default: bool,
}

/// What is known of a jobspec.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outline {
    /// Its variables by name.
    pub(super) variables: BTreeMap<String, Variable>,
    /// Whether its job names a namespace.
    pub(super) names_namespace: bool,
}

impl Outline {
    /// Reads `hcl`; `None` where it is not understood, which says nothing: Nomad may understand it.
    pub(super) fn read(hcl: &str) -> Option<Self> {
        let body: Body = hcl.parse().ok()?;
        let mut outline = Self::default();
        for block in body.blocks() {
            match block.ident.as_str() {
                "variable" => {
                    if let Some(name) = block.labels.first() {
                        outline.variables.insert(name.as_str().to_owned(), variable(&block.body));
                    }
                }
                "variables" => {
                    for attribute in block.body.attributes() {
                        outline.variables.insert(attribute.key.to_string(), like(&attribute.value));
                    }
                }
                "job" => outline.names_namespace |= block.body.has_attribute("namespace"),
                _ => {}
            }
        }
        Some(outline)
    }
}

fn variable(body: &Body) -> Variable {
    let value = |key| body.get_attribute(key).map(|attribute: &Attribute| &attribute.value);
    let default = value("default");
    let of_type = |kind| Variable { takes: takes(kind), kind, has_default: default.is_some() };
    match (value("type"), default) {
        (Some(kind), _) => of_type(kind_of_type(kind)),
        (None, Some(default)) => like(default),
        (None, None) => of_type(Kind::Text),
    }
}

fn takes(kind: Kind) -> Takes {
    match kind {
        Kind::Text | Kind::Number => Takes::Text,
        Kind::Bool | Kind::List | Kind::Map | Kind::Object | Kind::Any => Takes::Expression,
    }
}

/// What a type says: `string`, `list(string)`.
fn kind_of_type(kind: &Expression) -> Kind {
    let name = match kind {
        Expression::Variable(name) => name.as_str(),
        Expression::FuncCall(call) => call.name.name.as_str(),
        _ => "",
    };
    match name {
        "string" => Kind::Text,
        "number" => Kind::Number,
        "bool" => Kind::Bool,
        "list" | "set" => Kind::List,
        "map" => Kind::Map,
        "object" | "tuple" => Kind::Object,
        _ => Kind::Any,
    }
}

/// A variable that has `default` and no type.
fn like(default: &Expression) -> Variable {
    let kind = match default {
        Expression::Number(_) | Expression::UnaryOp(_) => Kind::Number,
        Expression::Null(_)
        | Expression::String(_)
        | Expression::StringTemplate(_)
        | Expression::HeredocTemplate(_) => Kind::Text,
        _ => Kind::Any,
    };
    Variable { takes: takes(kind), kind, has_default: true }
}

/// Whether `text` is a value that means itself: no name, no call.
pub(super) fn is_literal(text: &str) -> bool {
    fn means_itself(expression: &Expression) -> bool {
        match expression {
            Expression::Null(_) | Expression::Bool(_) | Expression::Number(_) | Expression::String(_) => true,
            Expression::Array(array) => array.iter().all(means_itself),
            Expression::Object(object) => object.iter().all(|(_, value)| means_itself(value.expr())),
            _ => false,
        }
    }
    text.trim().parse().is_ok_and(|expression: Expression| means_itself(&expression))
}

/// The lines that bring `vars` to Nomad's parser, with all filled in, and the variables for which that cannot be, with the
/// reason. Values for unknown variables are left out.
pub(super) fn variables(
    vars: &BTreeMap<String, String>,
    outline: Option<&Outline>,
    filling: &Filling<'_>,
) -> (String, Vec<(String, String)>) {
    let (mut lines, mut impossible) = (String::new(), Vec::new());
    for (name, value) in vars {
        let variable = match outline {
            Some(outline) => match outline.variables.get(name) {
                Some(variable) => Some(variable),
                None => continue,
            },
            None => None,
        };
        // Writing to a string cannot fail.
        let _written = match filling.given(value, variable) {
            Ok(Given::Text(text)) => writeln!(lines, "{name} = {}", quoted(&text)),
            Ok(Given::Expression(expression)) => writeln!(lines, "{name} = ({expression}\n)"),
            Ok(Given::Default) => Ok(()),
            Err(why) => {
                impossible.push((name.clone(), why));
                Ok(())
            }
        };
    }
    (lines, impossible)
}

/// `text` as an HCL string that means exactly it.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '$' | '%' if letters.peek() == Some(&'{') => {
                quoted.push(letter);
                quoted.push(letter);
            }
            control if control.is_control() => {
                let _written = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    const TEXT: &str = r#"
variable "image" { type = string }
variable "n" { type = number }
variable "plain" {}
variable "like_text" { default = "x" }
variable "like_number" { default = -5 }
variable "none" { default = null }
variable "flag" { default = true }
variable "zones" { type = list(string) }
variable "any" { type = any }
variables {
  old = "x"
  older = [1]
}
locals { a = "${var.image}" }
job "api" {
  group "g" {
    task "t" {
      env {
        A = <<EOT
${upper(var.image)} %{ if true }x%{ endif }
EOT
      }
    }
  }
}
"#;

    fn vars(vars: &[(&str, &str)]) -> BTreeMap<String, String> {
        vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn lines(vars: &BTreeMap<String, String>, outline: Option<&Outline>) -> String {
        let tree = crate::jobspec::tests::tree(&serde_json::json!({"a": {"jobspec": "x"}}));
        let (lines, impossible) = variables(vars, outline, &Filling { tree: &tree, values: None });
        assert!(impossible.is_empty(), "{impossible:?}");
        lines
    }

    #[test]
    fn variables_are_found_with_what_they_take() {
        let outline = Outline::read(TEXT).unwrap();
        let texts = outline.variables.iter().filter(|(_, variable)| variable.takes == Takes::Text);
        let texts: Vec<&str> = texts.map(|(name, _)| name.as_str()).collect();
        assert_eq!(texts, ["image", "like_number", "like_text", "n", "none", "old", "plain"]);
        assert_eq!(outline.variables.len(), 11);
    }

    #[test]
    fn a_namespace_counts_only_in_the_job() {
        let names = |text| Outline::read(text).unwrap().names_namespace;
        assert!(!names(TEXT));
        assert!(!names("job \"a\" {\n group \"g\" {\n  namespace = \"x\"\n }\n}\n"));
        assert!(names("job \"a\" {\n namespace = var.x\n}\n"));
    }

    #[test]
    fn values_travel_as_they_would_on_the_command_line() {
        let outline = Outline::read(TEXT).unwrap();
        let given = vars(&[
            ("image", "nginx:${tag} \"%{x}\" \\ \n $5 100%"),
            ("n", "5"),
            ("plain", "true"),
            ("flag", "true"),
            ("zones", "[\"a\",\n \"b\"]"),
            ("unknown", "x"),
        ]);
        assert_snapshot!(lines(&given, Some(&outline)), @r#"
        flag = (true
        )
        image = "nginx:$${tag} \"%%{x}\" \\ \n $5 100%"
        n = "5"
        plain = "true"
        zones = (["a",
         "b"]
        )
        "#);
    }

    #[test]
    fn without_an_outline_only_literals_are_expressions() {
        let given = vars(&[
            ("a", "[1, 2]"),
            ("b", "nginx"),
            ("c", "true"),
            ("d", "file(\"x\")"),
            ("e", "{ a = 1 }"),
            ("f", "1.5"),
            ("g", ""),
        ]);
        assert_snapshot!(lines(&given, None), @r#"
        a = ([1, 2]
        )
        b = "nginx"
        c = (true
        )
        d = "file(\"x\")"
        e = ({ a = 1 }
        )
        f = (1.5
        )
        g = ""
        "#);
    }

    #[test]
    fn no_text_breaks_the_reader() {
        let deep = |open: &str| open.repeat((1 << 20) / open.len());
        for text in [
            deep("["),
            deep("("),
            deep("a {\n"),
            deep("!"),
            deep("${"),
            format!("a = {}", deep("[")),
            format!("a = {}", deep("1+")),
            format!("a = \"{}", deep("${\"")),
        ] {
            assert_eq!(Outline::read(&text), None);
        }
    }
}

//! Why a text is neither HCL nor JSON: what stands where it goes wrong, and what to write there.
//!
//! The parsers say what they would have gone on with; what the author has done is told from the text around that place.

use std::ops::Range;

use hcl_edit::parser;

use super::Located;
use crate::manifest::Problem;

/// The longest name, in bytes, that a message repeats.
const MOST_OF_A_NAME: usize = 60;

/// How a text that ends too early is told.
const ENDS: (&str, &str) = (
    "ends before all that it opens is closed",
    "it may be cut off: write the rest, and each `}`, `]` and `\"` that is missing",
);

/// A text that is no HCL.
pub(super) fn no_hcl(error: &parser::Error, text: &str) -> Located {
    let at = error.location().offset().min(text.len());
    let said = error.message().replace('\n', "; ");
    let (span, problem) = match hcl_cause(&said, text, at) {
        Some((span, what, help)) => (span, Problem::new("file", what).with_help(help)),
        None => (letter(text, at), Problem::new("file", said)),
    };
    Located { problem, span }
}

/// Where it goes wrong, what is wrong there, and what to do.
fn hcl_cause(said: &str, text: &str, at: usize) -> Option<(Range<usize>, String, &'static str)> {
    let (before, rest) = text.split_at_checked(at)?;
    let begun = before.rsplit('\n').next().unwrap_or_default();
    let line = rest.lines().next().unwrap_or_default();
    let next = rest.chars().next().unwrap_or_default();
    let here = letter(text, at);
    let told = |what: &str, help| Some((here.clone(), what.to_owned(), help));
    let opened = |opening: &str| {
        let start = before.rfind(opening).unwrap_or(at);
        start..start + opening.len()
    };
    if rest.trim().is_empty() {
        return told(ENDS.0, ENDS.1);
    }
    if said.contains("redefined") {
        let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        let name = rest.trim_start_matches('"').split(|c| !is_of_name(c)).next().unwrap_or_default();
        return told(&format!("{name} stands here twice"), "take one of them out");
    }
    if rest.starts_with("/*") && !rest.contains("*/") {
        return told("a comment is not closed", "write `*/` where it ends");
    }
    if before.trim_end().ends_with("${") {
        let help = "write whose value it is, or `$${` where the letters themselves are meant";
        return Some((opened("${"), "nothing stands in this `${…}`".to_owned(), help));
    }
    if said == "expected `}`" && begun.contains("${") {
        let help = "write the `}`, or `$${` where the letters themselves are meant";
        return Some((opened("${"), "this `${` is not closed".to_owned(), help));
    }
    match (said, next) {
        ("unexpected token", '}') => told(
            "nothing is open that this closes",
            "take it out, or write the `{` that is missing before it",
        ),
        (_, '\'' | '“' | '”' | '‘' | '’') => {
            told(&format!("{next} is no quotation mark here"), "write `\"` before and behind the text")
        }
        ("expected newline or eof", ',') => {
            told("nothing separates lines but their ends", "take the comma out")
        }
        ("expected newline or eof", _) => told("a line holds one thing only", "begin a new line here"),
        ("expected `]`", _) => told("a comma is missing before this", "write a `,` between the two"),
        ("expected `{`", '"') => told("a label is a plain text", "write it without `${…}`"),
        ("expected heredoc end delimiter", _) => told(
            "this text does not end",
            "write the word that stands behind `<<` alone in a line, where it ends",
        ),
        ("invalid attribute; expected `=`", _) => told(
            "a block in one line holds one attribute, and no block",
            "begin a new line behind the `{` before this, and before its `}`",
        ),
        _ if said.starts_with("invalid expression") && matches!(next, '\n' | '\r') => {
            told("a value is missing here", "write it behind the `=`, in the same line")
        }
        _ if said.starts_with("invalid escape sequence") => {
            let help = "write `\\\\` for a backslash, `\\n` for the end of a line";
            Some((opened("\\"), "this backslash begins nothing".to_owned(), help))
        }
        _ if said == "expected `{`" || said.starts_with("invalid structure") => {
            told("neither `=` nor `{` stands here", "write `NAME = VALUE`, or `NAME \"LABEL\" {` in one line")
        }
        _ if is_open(line) => told(
            "a `\"` of this line is not closed",
            "write `\"` where the text ends; a text of several lines is written as `<<EOT`",
        ),
        _ if line.rsplit_once("${").is_some_and(|(_, rest)| !rest.contains('}')) => told(
            "a `${` of this line is not closed",
            "write the `}`, or `$${` where the letters themselves are meant",
        ),
        _ if line.contains("%{") => {
            told("a `%{` of this line is not closed", "write `%%{` where the letters themselves are meant")
        }
        _ => None,
    }
}

/// Whether a quotation mark of the line is the last one of an odd number.
fn is_open(line: &str) -> bool {
    line.replace("\\\\", "").replace("\\\"", "").matches('"').count() % 2 == 1
}

/// A text that is no JSON, which is stricter than the expression as which it is read.
pub(super) fn no_json(error: &serde_json::Error, text: &str) -> Located {
    let before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let mut start = (before + error.column().saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let span = letter(text, start);
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or_default();
    let next = text.get(start..).and_then(|rest| rest.chars().next()).unwrap_or_default();
    if said.starts_with("expected `,` or ") && matches!(next, '"' | '{' | '[') {
        return no_comma(text, start);
    }
    let told = |what: &str, help: &str| Problem::new("file", what).with_help(help);
    let begin = text.trim_start().chars().next();
    let problem = match next {
        _ if begin.is_none() => Problem::new("file", "is empty"),
        _ if error.is_eof() => told(ENDS.0, ENDS.1),
        '/' | '#' => told("has a comment here, and JSON has none", "take it out"),
        _ if !matches!(begin, Some('{' | '[')) => {
            let problem = told("is no JSON", "JSON is what is taken here: it begins with `{`");
            return Located { problem, span: letter(text, text.len() - text.trim_start().len()) };
        }
        '\'' => told("' is no quotation mark of JSON", "write `\"`"),
        '}' | ']' if ["trailing comma", "key must be a string", "expected value"].contains(&said) => {
            told("a comma stands before this, and nothing follows it", "take the comma out")
        }
        _ if said == "key must be a string" => {
            told("a name stands here without quotation marks", "write it as `\"NAME\"`")
        }
        _ if said == "trailing characters" => told(
            "the document has ended before this",
            "take out what follows, or a bracket that closes too early",
        ),
        _ if said.starts_with("control character") => told(
            "a `\"` of this line is not closed",
            "write `\"` where the text ends; `\\n` is the end of a line",
        ),
        _ => Problem::new("file", said),
    };
    Located { problem, span }
}

/// A value that is followed by another one: the problem is at the end of the first.
fn no_comma(text: &str, next: usize) -> Located {
    let end = text.get(..next).map_or(0, |before| before.trim_end().len());
    let start =
        text.get(..end).and_then(|before| before.chars().next_back()).map_or(end, |c| end - c.len_utf8());
    let word = text.get(next..).unwrap_or_default();
    let word: String = match word.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        Some((name, _)) if name.len() <= MOST_OF_A_NAME => format!("`\"{name}\"`"),
        Some(_) | None => "what follows".to_owned(),
    };
    let problem = Problem::new("file", format!("a comma is missing between this and {word}"))
        .with_help("write a `,` here");
    Located { problem, span: start..end }
}

/// The letter at a place of the text; nothing at its end, and at that of a line.
fn letter(text: &str, at: usize) -> Range<usize> {
    let next = text.get(at..).and_then(|rest| rest.chars().next());
    at..next.filter(|letter| !matches!(letter, '\n' | '\r')).map_or(at, |letter| at + letter.len_utf8())
}

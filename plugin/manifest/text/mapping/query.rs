//! Paths into a JSON document, as the older tool's templates write them (gjson's language, without its functions).
//!
//! | written | means |
//! |---|---|
//! | `key`, `na\.me`, `web*` | a member of an object; `*` and `?` stand for any text and any letter |
//! | `3` | an item of a list |
//! | `#` at the end | how many items it has |
//! | `#.path` | `path` in each item that has it |
//! | `#[key="value"]`, `#(key=="value")` | the first item of which that is so; `=`, `!=`, `<`, `<=`, `>`, `>=`, `%` (as `*` and `?`) |
//! | `#[…]#` | all of them |

use serde_json::Value;

/// A path, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Each,
    Where { test: Test, all: bool },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Test {
    key: String,
    operator: &'static str,
    value: String,
}

/// A place in the document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum At {
    Key(String),
    Index(usize),
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found<'a> {
    /// A value that stands in the document.
    There(Vec<At>, &'a Value),
    /// One that was put together.
    Made(Value),
}

/// Longest first, so that none hides behind the beginning of another.
const OPERATORS: [&str; 8] = ["==", "!=", "<=", ">=", "=", "<", ">", "%"];

impl Query {
    /// Reads a path; `None` where it is none.
    pub(super) fn read(path: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let mut rest = path;
        loop {
            let (step, after) = match rest.strip_prefix('#') {
                Some(after) => selection(after)?,
                None => key(rest)?,
            };
            steps.push(step);
            match after.strip_prefix('.') {
                Some(more) => rest = more,
                None if after.is_empty() => return Some(Self(steps)),
                None => return None,
            }
        }
    }

    /// What it leads to in `document`.
    pub(super) fn find<'a>(&self, document: &'a Value) -> Option<Found<'a>> {
        find(&self.0, document, Vec::new())
    }

    /// Where it looks for one component, and what it wants of it: `components.#[_component_id="a::1"].url` is
    /// `components.#[_component_id="a::1"]` and `url`.
    pub(super) fn of_component(&self) -> Option<(Self, String)> {
        let (list, rest) = self.0.split_at_checked(2)?;
        let Some(Step::Key(name)) = list.first() else { return None };
        let wanted: Vec<&str> = rest
            .iter()
            .map(|step| match step {
                Step::Key(key) => Some(key.as_str()),
                Step::Each | Step::Where { .. } => None,
            })
            .collect::<Option<_>>()?;
        let is_one = matches!(list.last(), Some(Step::Key(_) | Step::Where { all: false, .. }));
        (["components", "changes"].contains(&name.as_str()) && is_one && !wanted.is_empty())
            .then(|| (Self(list.to_vec()), wanted.join(".")))
    }

    /// The ID of the component that it asks for by its ID.
    pub(super) fn id(&self) -> Option<&str> {
        self.0.iter().find_map(|step| match step {
            Step::Where { test: Test { key, operator: "=" | "==", value }, .. } if key == "_component_id" => {
                Some(value.as_str())
            }
            _ => None,
        })
    }

    /// The same path in the list of changes.
    pub(super) fn in_changes(&self) -> Self {
        let mut steps = self.0.clone();
        if let Some(Step::Key(first)) = steps.first_mut() {
            "changes".clone_into(first);
        }
        Self(steps)
    }
}

/// A member's name, up to the next dot.
fn key(text: &str) -> Option<(Step, &str)> {
    let mut name = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '.' => return (!name.is_empty()).then(|| (Step::Key(name), text.get(at..).unwrap_or_default())),
            '\\' => name.push(letters.next()?.1),
            letter => name.push(letter),
        }
    }
    (!name.is_empty()).then_some((Step::Key(name), ""))
}

/// What follows a `#`.
fn selection(text: &str) -> Option<(Step, &str)> {
    let close = match text.chars().next() {
        Some('[') => ']',
        Some('(') => ')',
        _ => return Some((Step::Each, text)),
    };
    let mut is_quoted = false;
    let end = text.char_indices().find_map(|(at, letter)| {
        if letter == '"' {
            is_quoted = !is_quoted;
        }
        (letter == close && !is_quoted).then_some(at)
    })?;
    let asked = test(text.get(1..end)?)?;
    let after = text.get(end + 1..)?;
    let (all, after) = after.strip_prefix('#').map_or((false, after), |after| (true, after));
    Some((Step::Where { test: asked, all }, after))
}

fn test(inside: &str) -> Option<Test> {
    let (at, operator) = inside.char_indices().find_map(|(at, _)| {
        let rest = inside.get(at..)?;
        OPERATORS.into_iter().find(|operator| rest.starts_with(operator)).map(|operator| (at, operator))
    })?;
    let (key, value) = (inside.get(..at)?.trim(), inside.get(at + operator.len()..)?.trim());
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    Some(Test { key: key.to_owned(), operator, value: value.to_owned() })
}

fn find<'a>(steps: &[Step], value: &'a Value, at: Vec<At>) -> Option<Found<'a>> {
    let Some((step, rest)) = steps.split_first() else { return Some(Found::There(at, value)) };
    let into = |next: At| {
        let mut at = at.clone();
        at.push(next);
        at
    };
    match (step, value) {
        (Step::Key(key), Value::Object(members)) => {
            let exact = members.get_key_value(key);
            let (name, member) = exact.or_else(|| members.iter().find(|(name, _)| is_like(name, key)))?;
            find(rest, member, into(At::Key(name.clone())))
        }
        (Step::Key(key), Value::Array(items)) => {
            let index = key.parse().ok()?;
            find(rest, items.get(index)?, into(At::Index(index)))
        }
        (Step::Each, Value::Array(items)) if rest.is_empty() => Some(Found::Made(items.len().into())),
        (Step::Each, Value::Array(items)) => {
            let found = items.iter().filter_map(|item| find(rest, item, Vec::new()));
            Some(Found::Made(found.map(Found::into_value).collect()))
        }
        (Step::Where { test, all: false }, Value::Array(items)) => {
            let (index, item) = items.iter().enumerate().find(|(_, item)| test.holds(item))?;
            find(rest, item, into(At::Index(index)))
        }
        (Step::Where { test, all: true }, Value::Array(items)) => {
            let chosen = items.iter().filter(|item| test.holds(item));
            let found = chosen.filter_map(|item| find(rest, item, Vec::new()));
            Some(Found::Made(found.map(Found::into_value).collect()))
        }
        _ => None,
    }
}

impl Found<'_> {
    fn into_value(self) -> Value {
        match self {
            Self::There(_, value) => value.clone(),
            Self::Made(value) => value,
        }
    }
}

impl Test {
    fn holds(&self, item: &Value) -> bool {
        let found = match self.key.as_str() {
            "" => Some(item),
            key => Query::read(key).and_then(|query| match query.find(item) {
                Some(Found::There(_, value)) => Some(value),
                Some(Found::Made(_)) | None => None,
            }),
        };
        let Some(found) = found else { return false };
        let text = match found {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let order = match (found, self.value.parse::<f64>()) {
            (Value::Number(number), Ok(wanted)) => {
                number.as_f64().and_then(|found| found.partial_cmp(&wanted))
            }
            _ => Some(text.as_str().cmp(&self.value)),
        };
        let Some(order) = order else { return false };
        match self.operator {
            "=" | "==" => order.is_eq(),
            "!=" => order.is_ne(),
            "<" => order.is_lt(),
            "<=" => order.is_le(),
            ">" => order.is_gt(),
            ">=" => order.is_ge(),
            _ => is_like(&text, &self.value),
        }
    }
}

/// Whether `text` is as `pattern`, in which `*` stands for any text and `?` for any letter.
fn is_like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    // Whether the text up to here is as the pattern so far.
    let mut so_far = vec![false; text.len() + 1];
    if let Some(first) = so_far.first_mut() {
        *first = true;
    }
    for letter in pattern {
        let before = so_far.clone();
        let mut any = false;
        for (at, is_so) in so_far.iter_mut().enumerate() {
            let at_last = at.checked_sub(1);
            let matched = at_last.is_some_and(|last| {
                before.get(last) == Some(&true) && (letter == '?' || text.get(last) == Some(&letter))
            });
            any |= before.get(at) == Some(&true);
            *is_so = if letter == '*' { any } else { matched };
        }
    }
    so_far.last() == Some(&true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_to_what_the_older_tool_finds() {
        let document = json!({
            "id": "t1",
            "a.b": 1,
            "components": [
                {"_component_id": "vpc::main", "vpc_aws_id": "vpc-1", "size": 10, "tags": ["x", "y"]},
                {"_component_id": "vpc::side", "vpc_aws_id": "vpc-2", "size": 9, "on": true},
                {"_component_id": "net::a]b", "nested": {"deep": [{"z": null}]}},
            ],
        });
        let paths = [
            "id",
            "a\\.b",
            "i?",
            "components.0.tags.1",
            "components.#",
            "components.#.size",
            "components.#[_component_id=\"vpc::main\"].vpc_aws_id",
            "components.#[_component_id=vpc::side].vpc_aws_id",
            "components.#(_component_id==\"vpc::side\").on",
            "components.#[_component_id%\"vpc::*\"]#.vpc_aws_id",
            "components.#[size>9].size",
            "components.#[size<=9].size",
            "components.#[size!=10].size",
            "components.#[on=true].size",
            "components.#[_component_id=\"net::a]b\"].nested.deep.0.z",
            "components.0.tags.#[%\"y\"]",
            "components.#[_component_id=\"no::1\"].z",
            "components.7",
            "components.x",
            "",
            "a..b",
            "components.#[oops",
            "components.#[]",
            "#x",
        ];
        let said = paths.map(|path| {
            let found = Query::read(path).map(|query| query.find(&document).map(Found::into_value));
            let found = match found {
                None => "no path".to_owned(),
                Some(None) => "nothing".to_owned(),
                Some(Some(value)) => value.to_string(),
            };
            format!("{path}: {found}")
        });
        insta::assert_snapshot!(said.join("\n"), @r#"
        id: "t1"
        a\.b: 1
        i?: "t1"
        components.0.tags.1: "y"
        components.#: 3
        components.#.size: [10,9]
        components.#[_component_id="vpc::main"].vpc_aws_id: "vpc-1"
        components.#[_component_id=vpc::side].vpc_aws_id: "vpc-2"
        components.#(_component_id=="vpc::side").on: true
        components.#[_component_id%"vpc::*"]#.vpc_aws_id: ["vpc-1","vpc-2"]
        components.#[size>9].size: 10
        components.#[size<=9].size: 9
        components.#[size!=10].size: 9
        components.#[on=true].size: 9
        components.#[_component_id="net::a]b"].nested.deep.0.z: null
        components.0.tags.#[%"y"]: "y"
        components.#[_component_id="no::1"].z: nothing
        components.7: nothing
        components.x: nothing
        : no path
        a..b: no path
        components.#[oops: no path
        components.#[]: no path
        #x: no path
        "#);
    }

    #[test]
    fn what_is_wanted_of_a_component_is_told_apart_from_where_it_is() {
        let of = |path: &str| {
            let query = Query::read(path).unwrap();
            query.of_component().map(|(list, wanted)| (list.id().map(str::to_owned), wanted))
        };
        assert_eq!(
            of("components.#[_component_id=\"db::a\"].net.url"),
            Some((Some("db::a".to_owned()), "net.url".to_owned()))
        );
        assert_eq!(of("changes.0.url"), Some((None, "url".to_owned())));
        assert_eq!(of("changes.#[_component_id%\"*\"]#.url"), None);
        assert_eq!(of("components.0"), None);
        assert_eq!(of("edges.0.source"), None);
    }
}

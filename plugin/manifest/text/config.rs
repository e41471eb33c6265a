//! The body of `config {}` as Nomad keeps it in a job: blocks are lists of maps, and texts are what the author wrote,
//! before a client filled anything in.

use serde_json::{Map, Value};

use crate::manifest::{
    Manifest, Problem, Problems, raw,
    schema::{self, Kind},
};

/// Reads it.
pub fn of_config(config: &Value) -> (Manifest, Problems) {
    let mut problems = Problems::default();
    match serde_json::from_value::<raw::Manifest>(body(config, &schema::MANIFEST)) {
        Ok(raw) => (raw.check(&mut problems), problems),
        Err(error) => {
            problems.push(Problem::new("config", format!("cannot be read: {error}")));
            (Manifest::default(), problems)
        }
    }
}

/// The maps that a value is made of.
fn maps(value: &Value) -> Vec<&Map<String, Value>> {
    match value {
        Value::Array(list) => list.iter().filter_map(Value::as_object).collect(),
        Value::Object(map) => vec![map],
        _ => Vec::new(),
    }
}

fn body(value: &Value, body: &schema::Body) -> Value {
    let mut values = Map::new();
    for (name, value) in maps(value).into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        let attribute = body.attributes.iter().find(|attribute| attribute.name == *name);
        let block = body.blocks.iter().find(|block| block.name == *name);
        let value = match (attribute, block) {
            (Some(attribute), _) => of_kind(value, attribute.kind),
            (None, Some(block)) if block.label.is_some() => {
                let labelled = maps(value).into_iter().flatten();
                Value::Object(
                    labelled.map(|(label, inner)| (label.clone(), self::body(inner, &block.body))).collect(),
                )
            }
            (None, Some(block)) => self::body(value, &block.body),
            // It is told that nobody knows it.
            (None, None) => value.clone(),
        };
        values.insert(name.clone(), value);
    }
    Value::Object(values)
}

fn of_kind(value: &Value, kind: Kind) -> Value {
    match (kind, value) {
        (Kind::Text, Value::Number(number)) => Value::String(number.to_string()),
        (Kind::Text, Value::Bool(value)) => Value::String(value.to_string()),
        (Kind::Bool, Value::String(text)) => text.parse().map_or_else(|_| value.clone(), Value::Bool),
        (Kind::Number, Value::String(text)) => {
            let number = text.parse().ok().and_then(serde_json::Number::from_f64);
            number.map_or_else(|| value.clone(), Value::Number)
        }
        (Kind::TextMap, value) => {
            let all = maps(value).into_iter().flatten();
            Value::Object(all.map(|(name, value)| (name.clone(), of_kind(value, Kind::Text))).collect())
        }
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::text::{Format, read};

    #[test]
    fn what_nomad_keeps_is_what_the_author_wrote() {
        let kept = json!({
            "max_parallel": 3, "context": [{"zone": "a"}],
            "job": [{
                "db": [{"jobspec": "local/db.hcl", "vars": [{"port": 5432}], "ready": [{"stable_for": "5s"}],
                    "post": [{"setup": [{"dispatch": "setup"}]}]}],
            }, {"api": [{"jobspec": "local/api.hcl", "depends_on": ["db", "redis"], "adopt": "true"}]}],
            "wait": [{"redis": [{"at_least": 2}]}],
        });
        let written = "tree \"x\" {\n max_parallel = 3\n context = { zone = \"a\" }\n job \"db\" {\n jobspec = \"local/db.hcl\"\n vars = { port = 5432 }\n ready {\n stable_for = \"5s\"\n }\n post \"setup\" {\n dispatch = \"setup\"\n }\n }\n job \"api\" {\n jobspec = \"local/api.hcl\"\n depends_on = [\"db\", \"redis\"]\n adopt = true\n }\n wait \"redis\" {\n at_least = \"2\"\n }\n}";
        let (manifest, problems) = of_config(&kept);
        assert!(problems.is_empty(), "{problems}");
        assert_eq!(manifest, read(written, Format::Hcl).unwrap().remove(0).manifest);
        let (_, problems) = of_config(&json!({"waitt": [{"a": [{}]}]}));
        assert!(!problems.is_empty());
    }
}

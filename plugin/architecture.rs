//! The rule that guards the rules: which room may know which, and what the core may not touch.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Every room, and the rooms it may use. The drawing in `docs/ARCHITECTURE.md` says the same.
const ROOMS: [(&str, &[&str]); 19] = [
    ("beneath", &[]),
    ("cluster", &[]),
    ("manifest", &["cluster"]),
    ("condition", &["cluster", "manifest"]),
    ("plan", &["cluster", "manifest"]),
    ("engine", &["cluster", "manifest", "condition", "plan"]),
    ("show", &["manifest", "plan", "engine"]),
    (
        "cli",
        &[
            "cluster",
            "manifest",
            "condition",
            "plan",
            "engine",
            "show",
            "watch",
            "probe",
            "http",
            "nomad",
            "consul",
            "jobspec",
            "record",
            "runner",
        ],
    ),
    ("http", &[]),
    ("timer", &[]),
    ("nomad", &["cluster", "http"]),
    ("consul", &["cluster", "http"]),
    ("jobspec", &["beneath", "cluster", "manifest", "plan", "nomad"]),
    ("record", &["beneath", "cluster", "nomad"]),
    ("watch", &["beneath", "timer", "cluster", "nomad"]),
    ("probe", &["timer", "cluster", "http", "nomad", "consul", "watch"]),
    (
        "runner",
        &[
            "cluster",
            "manifest",
            "condition",
            "plan",
            "engine",
            "http",
            "watch",
            "probe",
            "nomad",
            "jobspec",
            "record",
        ],
    ),
    (
        "driver",
        &[
            "beneath", "cluster", "manifest", "plan", "engine", "show", "http", "watch", "probe", "nomad",
            "consul", "runner", "goplugin", "pb",
        ],
    ),
    ("goplugin", &["pb"]),
];

/// The pure core: data in, data out.
const CORE: [&str; 6] = ["cluster", "manifest", "condition", "plan", "engine", "show"];

/// What only a shell may touch: the clock, the disk, the network, tasks, chance, the log.
const OUTSIDE: [&str; 14] = [
    "async fn",
    ".await",
    "tokio",
    "hyper",
    "tonic",
    "tracing",
    "nix::",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "Instant",
    "SystemTime",
    "HashMap",
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The file without comments, and without the tests at its end.
fn production(path: &Path) -> String {
    let source = fs::read_to_string(path).unwrap();
    let is_test =
        path.iter().any(|part| part == "tests") || path.ends_with("tests.rs") || path.ends_with("sample.rs");
    if is_test || path.iter().any(|part| part == "fake") {
        return String::new();
    }
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The rooms that `code` names: `crate::room`, also inside `use crate::{…}` over several lines.
fn rooms_named(code: &str) -> Vec<&'static str> {
    let mut named = Vec::new();
    for path in code.split("crate::").skip(1) {
        let braced = path.strip_prefix('{').map(|list| {
            let mut depth = 1;
            let end = list.char_indices().find_map(|(at, c)| {
                depth += match c {
                    '{' => 1,
                    '}' => -1,
                    _ => 0,
                };
                (depth == 0).then_some(at)
            });
            top_level(&list[..end.unwrap()])
        });
        let heads = braced.unwrap_or_else(|| vec![path.to_owned()]);
        for head in heads {
            let word: String = head.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            named.extend(ROOMS.iter().map(|(room, _)| *room).chain(["pb"]).filter(|room| *room == word));
        }
    }
    named
}

/// The parts of a `use` list that are not inside further braces.
fn top_level(list: &str) -> Vec<String> {
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for c in list.chars() {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        if c == ',' && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push(c);
        }
    }
    parts
}

#[test]
fn each_room_uses_only_the_rooms_below_it() {
    for (room, below) in ROOMS {
        let files = sources(&Path::new("plugin").join(room));
        assert!(!files.is_empty(), "the room {room} is gone: take it out of the list");
        for path in files {
            for named in rooms_named(&production(&path)) {
                assert!(
                    named == room || below.contains(&named),
                    "{}: {room} may not use {named}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn the_core_touches_nothing_outside() {
    for room in CORE {
        for path in sources(&Path::new("plugin").join(room)) {
            let code = production(&path);
            for outside in OUTSIDE {
                assert!(!code.contains(outside), "{}: `{outside}` belongs into a shell", path.display());
            }
        }
    }
}

#[test]
fn every_folder_is_a_room_of_the_list() {
    for entry in fs::read_dir("plugin").unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(!path.is_dir() || ROOMS.iter().any(|(room, _)| *room == name), "{name} is in no drawing");
    }
}

#[test]
fn names_are_found_in_every_form_of_path() {
    let code = "use crate::{cluster::{A, plan}, engine, x::manifest};\nlet a = crate::watch::B; self::crate::nomad::C";
    assert_eq!(rooms_named(code), ["cluster", "engine", "watch", "nomad"]);
}

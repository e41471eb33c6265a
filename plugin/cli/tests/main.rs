//! The command line as people and scripts see it: whole output, exit code. Needs no Nomad.

#![expect(clippy::unwrap_used, reason = "tests, whose helpers stand outside of a test function")]
#![expect(clippy::indexing_slicing, reason = "a JSON value without that key gives null, and no panic")]

mod approve;
mod check;
mod graph;
mod import;
mod json;
mod manners;
mod mapping;
mod older;
mod plan;
mod policy;
mod run;
mod wait;

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// A tree of a shop, as a file of its own.
const SHOP: &str = r#"tree "shop" {
  job "postgres" {
    jobspec = "local/postgres.nomad.hcl"
    post "setup" {
      dispatch = "setup"
    }
  }
  job "api" {
    jobspec    = "local/api.nomad.hcl"
    depends_on = ["postgres", "redis"]
    vars       = { version = var.version }
  }
  job "nginx" {
    jobspec    = "local/nginx.nomad.hcl"
    depends_on = ["postgres", "api"]
  }
  wait "redis" {}
}
"#;

/// Where no Nomad listens, and nothing else.
const NOWHERE: &str = "unix:///nowhere/api.sock";

/// What is said where Nomad is asked for something.
const NO_NOMAD: &str = "--- stderr
dtree: cannot reach Nomad at unix:///nowhere/api.sock: No such file or directory (os error 2)

hint: check that the agent and its servers are up: `nomad server members`
--- exit 2";

/// A tree of which nothing is left open.
const PLAIN: &str = r#"tree "plain" {
  job "db" {
    jobspec = "db.nomad.hcl"
  }
  job "api" {
    jobspec    = "api.nomad.hcl"
    depends_on = ["db"]
  }
}
"#;

/// Runs dtree where these files are. What it says, both ways, and its exit code.
fn dtree(files: &[(&str, &[u8])], words: &[&str], stdin: &str) -> String {
    let directory = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    said(directory.path(), words, stdin)
}

/// What an import finds wrong, a line for each: where, what, and what to do. Nothing else is said, and the exit code is 2.
fn wrong(files: &[(&str, &[u8])], words: &[&str], stdin: &str) -> String {
    let said = dtree(files, &[words, &["--json"]].concat(), stdin);
    let document = said.strip_suffix("--- exit 2").unwrap_or_else(|| panic!("{said}"));
    let document: Value = serde_json::from_str(document).unwrap();
    let problems = document["problems"].as_array().unwrap().iter().map(|problem| {
        let text = |key: &str| problem[key].as_str().unwrap_or_default();
        let title = format!("{}: {}", text("place"), text("text"));
        let help = if text("help").is_empty() { String::new() } else { format!(" ({})", text("help")) };
        let end = if problem["line"] == problem["end_line"] {
            problem["end_column"].to_string()
        } else {
            format!("{}:{}", problem["end_line"], problem["end_column"])
        };
        let at = format!("{}:{}-{end}", problem["line"], problem["column"]);
        format!("{at}: {}{help}", title.trim_start_matches("file: "))
    });
    problems.collect::<Vec<_>>().join("\n")
}

fn said(directory: &Path, words: &[&str], stdin: &str) -> String {
    said_with(directory, words, stdin, &[])
}

/// The same with these variables, and no others that say anything.
fn said_with(directory: &Path, words: &[&str], stdin: &str, variables: &[(&str, &str)]) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dtree"))
        .args(words)
        .current_dir(directory)
        .env_clear()
        .env("NOMAD_ADDR", NOWHERE)
        .env("COLUMNS", "100")
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    let err = if err.is_empty() { err } else { format!("--- stderr\n{err}") };
    format!("{out}{err}--- exit {}", output.status.code().unwrap())
}

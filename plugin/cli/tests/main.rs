//! The command line as people and scripts see it: whole output, exit code. Needs no Nomad.

#![expect(clippy::unwrap_used, reason = "tests, whose helpers stand outside of a test function")]
#![expect(clippy::too_many_lines, reason = "whole output is long")]

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

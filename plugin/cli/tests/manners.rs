//! What all commands have in common: wrong words, no Nomad, pipes, completions, the manual.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use insta::assert_snapshot;
use tempfile::TempDir;

use super::{NO_NOMAD, PLAIN, dtree, said_with};

#[test]
fn wrong_words_are_told_with_what_may_be_said() {
    assert_snapshot!(dtree(&[], &["chekc", "x"], ""), @"
    --- stderr
    error: unrecognized subcommand 'chekc'

      tip: a similar subcommand exists: 'check'

    Usage: dtree <COMMAND>

    For more information, try '--help'.
    --- exit 2
    ");
    assert_snapshot!(dtree(&[], &["graph", "--format", "svgg", "x"], ""), @"
    --- stderr
    error: invalid value 'svgg' for '--format <FORMAT>'
      [possible values: text, dot, mermaid, svg]

      tip: a similar value exists: 'svg'

    For more information, try '--help'.
    --- exit 2
    ");
    assert_snapshot!(dtree(&[], &["check"], ""), @"
    --- stderr
    error: the following required arguments were not provided:
      <FILES>...

    Usage: dtree check <FILES>...

    For more information, try '--help'.
    --- exit 2
    ");
    assert_snapshot!(dtree(&[], &[], ""), @r#"
    --- stderr
    Dependency order for HashiCorp Nomad

    Usage: dtree <COMMAND>

    Commands:
      check        Check manifests, and jobspecs with tasks of dtree, without Nomad
      plan         Show what a run would do, and write nothing
      run          Carry a tree out from here
      stop         Stop the jobs of a tree, those first that nothing needs any more
      submit       Hand a tree and its jobspecs to the cluster, as a job with a task of dtree, and
                   follow it
      graph        Draw what depends on what
      import       Print what nomad-dtree's dependency.json, or a mapping of ernest, says as a manifest
      policy       Print the least ACL policy for what a file declares, and how to attach it
      man          Print the manual, for `man -l -`
      wait         Wait until jobs, services, sockets or values are as they should be: exit code 0 met,
                   1 not in time or never
      status       Show how a tree stands: exit code 0 it is up, 1 it is not
      history      Show how the last runs of a tree ended
      why          Tell what holds an allocation, a tree or a job up
      approve      Give an approval that a gate or a tree waits for
      doctor       Find out whether all is there that dtree needs: exit code 0 it is, 1 something was
                   found
      completions  Print completions for a shell
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version

    A Nomad client starts the same program as a task driver: copy it into the client's plugin_dir, and
    write `plugin "dtree" {}` into the client's configuration.
    --- exit 2
    "#);
}

#[test]
fn completions_are_there_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let text = dtree(&[], &["completions", shell], "");
        assert!(text.contains("graph") && text.ends_with("--- exit 0"), "{shell}: {text}");
    }
}

#[test]
fn the_manual_and_the_version_are_those_of_this_program() {
    let manual = dtree(&[], &["man"], "");
    assert!(manual.starts_with(".ie") && manual.ends_with("--- exit 0"), "{manual}");
    for command in ["check", "graph", "import", "policy", "completions"] {
        assert!(manual.contains(&format!("dtree\\-{command}")), "{command} is not in the manual");
    }
    let version = dtree(&[], &["--version"], "");
    let go = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/nomad/go.mod")).unwrap();
    let built = go.lines().find_map(|line| line.trim().strip_prefix("github.com/hashicorp/nomad v")).unwrap();
    assert!(version.contains(&format!("Nomad {built}")), "the stories run {built}: {version}");
}

#[test]
fn help_does_not_tell_what_stands_in_variables() {
    let home = TempDir::new().unwrap();
    let secrets = [("NOMAD_TOKEN", "hush"), ("CONSUL_HTTP_TOKEN", "hush")];
    for words in [&["run", "--help"][..], &["wait", "-h"], &["run", "--job", "x", "--help"], &["man"]] {
        let said = said_with(home.path(), words, "", &secrets);
        assert!(said.contains("NOMAD") && !said.contains("hush"), "{words:?}: {said}");
    }
}

#[test]
fn what_needs_nomad_says_that_there_is_none() {
    for words in [
        &["wait", "job/api"][..],
        &["status", "shop"],
        &["history", "shop"],
        &["why", "shop"],
        &["graph", "--cluster"],
        &["graph", "shop"],
        &["doctor"],
    ] {
        assert_eq!(dtree(&[], words, ""), NO_NOMAD, "{words:?}");
    }
    assert_snapshot!(dtree(&[], &["graph", "shop.dtree.hcl"], ""), @"
    --- stderr
    dtree: cannot read shop.dtree.hcl: there is no such file
    --- exit 2
    ");
    assert_snapshot!(dtree(&[], &["graph"], ""), @"
    --- stderr
    error: the following required arguments were not provided:
      <SUBJECT>

    Usage: dtree graph --address <URL> <SUBJECT>

    For more information, try '--help'.
    --- exit 2
    ");
    assert_snapshot!(dtree(&[], &["graph", "shop", "--cluster"], ""), @"
    --- stderr
    error: the argument '[SUBJECT]' cannot be used with '--cluster'

    Usage: dtree graph --address <URL> <SUBJECT>

    For more information, try '--help'.
    --- exit 2
    ");
    assert_snapshot!(dtree(&[], &["status", "--watch"], ""), @"
    --- stderr
    error: the following required arguments were not provided:
      <TREE>

    Usage: dtree status --watch --address <URL> <TREE>

    For more information, try '--help'.
    --- exit 2
    ");
    assert_snapshot!(dtree(&[], &["doctor", "nothing.hcl"], ""), @"
    --- stderr
    dtree: cannot read nothing.hcl: there is no such file
    --- exit 2
    ");
}

#[test]
fn an_address_that_says_nothing_is_the_usual_one() {
    let home = TempDir::new().unwrap();
    let asked = |address| said_with(home.path(), &["status"], "", &[("NOMAD_ADDR", address)]);
    // Whatever listens there.
    let said = asked("");
    assert!(!said.contains("is no address"), "{said}");
    let said = asked(" unix:///nowhere/api.sock\r\n");
    assert_eq!(said, NO_NOMAD);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dtree"))
        .args(["man"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &[][..]));
}

#[test]
fn whoever_stops_reading_gets_no_words_about_it() {
    let home = TempDir::new().unwrap();
    fs::write(home.path().join("plain.hcl"), PLAIN).unwrap();
    for words in [&["plan", "--offline", "plain.hcl"][..], &["graph", "plain.hcl"], &["check", "plain.hcl"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dtree"))
            .args(words)
            .current_dir(home.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &[][..]), "{words:?}");
    }
}

//! Journals that were cut off, tampered with, or written when the disk was full.

mod approvals;
mod keeper;
mod shown;

use std::{
    fs, io,
    os::unix::fs::{FileExt as _, PermissionsExt as _, symlink},
    path::PathBuf,
};

use insta::assert_snapshot;
use nix::{sys::stat::Mode, unistd::mkfifo};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Error, Journal};

const TREE: &str = "shop/deploy";

struct Task {
    alloc: TempDir,
}

impl Task {
    fn new() -> Self {
        let alloc = tempfile::tempdir().unwrap();
        fs::create_dir_all(alloc.path().join("deploy")).unwrap();
        Self { alloc }
    }

    /// A task whose journal has these bytes.
    fn with(bytes: &[u8]) -> Self {
        let task = Self::new();
        fs::create_dir(task.directory()).unwrap();
        fs::set_permissions(task.directory(), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(task.file(), bytes).unwrap();
        task
    }

    fn directory(&self) -> PathBuf {
        self.alloc.path().join("deploy/dtree")
    }

    fn file(&self) -> PathBuf {
        self.directory().join("journal")
    }

    fn open(&self) -> Result<(Journal, Vec<Value>), Error> {
        Journal::open(self.alloc.path(), "deploy", TREE)
    }

    fn entries(&self) -> Vec<Value> {
        self.open().unwrap().1
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    /// Why it cannot be opened, with the sources and without the place where the test runs.
    fn refusal(&self) -> String {
        let error = self.open().unwrap_err();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            text.extend([": ", &error.to_string()]);
            source = error.source();
        }
        text.replace(self.alloc.path().to_str().unwrap(), "ALLOC")
    }
}

fn some_entries() -> Vec<Value> {
    vec![json!({"intent": "db"}), json!({"text": "two\nlines, \u{e4} and \u{0}"}), json!(3), json!([null])]
}

#[test]
fn entries_are_there_in_the_order_in_which_they_were_appended() {
    let task = Task::new();
    let (mut journal, entries) = task.open().unwrap();
    assert!(entries.is_empty());
    journal.append(&some_entries()[..1]).unwrap();
    journal.append(&[]).unwrap();
    journal.append(&some_entries()[1..]).unwrap();
    assert_eq!(task.entries(), some_entries());
    let (mut journal, _) = task.open().unwrap();
    journal.append(&[json!("more")]).unwrap();
    assert_eq!(task.entries(), [some_entries(), vec![json!("more")]].concat());
    assert_snapshot!(task.text(), @r#"
    {"journal":1,"tree":"shop/deploy"}
    {"intent":"db"}
    {"text":"two\nlines, ä and \u0000"}
    3
    [null]
    "more"
    "#);
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(task.directory()), mode(task.file())), (0o700, 0o600));
}

#[test]
fn a_journal_that_was_cut_off_anywhere_goes_on_after_its_last_whole_entry() {
    let task = Task::new();
    task.open().unwrap().0.append(&some_entries()).unwrap();
    let bytes = fs::read(task.file()).unwrap();
    for n in 0..=bytes.len() {
        for zeros in [0, 1, 100] {
            let torn = [&bytes[..n], &vec![0; zeros]].concat();
            let task = Task::with(&torn);
            let n_whole = bytes[..n].split(|byte| *byte == b'\n').count().saturating_sub(2);
            let expected = &some_entries()[..n_whole];
            if zeros > 0 && !bytes[..n].contains(&b'\n') {
                // Zeros instead of a header.
                continue;
            }
            let (mut journal, entries) = task.open().unwrap();
            assert_eq!(entries, expected, "{n} bytes and {zeros} zeros");
            journal.append(&[json!("next")]).unwrap();
            assert_eq!(task.entries(), [expected, &[json!("next")]].concat(), "{n} bytes and {zeros} zeros");
        }
    }
}

#[test]
fn zeros_in_the_last_line_are_what_a_crash_left_and_elsewhere_they_are_damage() {
    let header = "{\"journal\":1,\"tree\":\"shop/deploy\"}\n";
    let task = Task::with(format!("{header}1\n\0\0\0\"x\"\n").as_bytes());
    assert_eq!(task.entries(), [json!(1)]);
    let task = Task::with(format!("{header}1\n\0\0\0\"x\"\n2\n").as_bytes());
    assert!(task.open().is_err());
}

#[test]
fn a_write_that_failed_leaves_no_trace() {
    let full = || io::Error::from(io::ErrorKind::StorageFull);
    let task = Task::new();
    let (mut journal, _) = task.open().unwrap();
    journal.append(&[json!(1)]).unwrap();
    let before = task.text();
    for n in 0..12 {
        let failed = journal.append_by(&[json!("two"), json!("three")], |file, bytes, at| {
            file.write_all_at(&bytes[..n], at)?;
            Err(full())
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(task.text(), before, "{n} bytes");
    }
    journal.append(&[json!(2)]).unwrap();
    assert_eq!(task.entries(), [json!(1), json!(2)]);
}

#[test]
fn replacing_leaves_only_the_new_entries() {
    let task = Task::new();
    let (mut journal, _) = task.open().unwrap();
    journal.append(&some_entries()).unwrap();
    journal.replace(&[json!("summary")]).unwrap();
    journal.append(&[json!("after")]).unwrap();
    assert_eq!(task.entries(), [json!("summary"), json!("after")]);
    let names: Vec<_> =
        fs::read_dir(task.directory()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["journal"]);

    // What an attempt left behind that a crash ended.
    fs::write(task.directory().join("journal.new"), "half").unwrap();
    assert_eq!(task.entries(), [json!("summary"), json!("after")]);
    assert!(!task.directory().join("journal.new").exists());
}

#[test]
fn what_is_not_understood_is_refused_and_left_as_it_is() {
    let header = "{\"journal\":1,\"tree\":\"shop/deploy\"}\n";
    let cases = [
        "{\"journal\":2,\"trees\":[]}\n{}\n".to_owned(),
        "{\"journal\":1,\"tree\":\"shop/other\"}\n".to_owned(),
        "{\"journal\":1}\n".to_owned(),
        "hello".to_owned(),
        "\n".to_owned(),
        "\0\0\0".to_owned(),
        format!("{header}{{}}\n{{\"half\n{{}}\n"),
        format!("{header}{{}}\n\n{{}}\n"),
        format!("{header}garbage\n"),
    ];
    let mut told = Vec::new();
    for case in cases {
        let task = Task::with(case.as_bytes());
        told.push(task.refusal());
        assert_eq!(task.text(), case);
    }
    assert_snapshot!(told.join("\n"), @r#"
    the journal `ALLOC/deploy/dtree/journal` has version 2, and this dtree knows version 1: a later dtree began this run, so update the plugin on this client to that one
    the journal `ALLOC/deploy/dtree/journal` is that of tree "shop/other": move it away, and the run begins anew
    line 1 of the journal `ALLOC/deploy/dtree/journal` is damaged, so what this run did is not known: move the file away, and the run begins anew and finds what it submitted by its marks: missing field `tree` at line 1 column 13
    line 1 of the journal `ALLOC/deploy/dtree/journal` is damaged, so what this run did is not known: move the file away, and the run begins anew and finds what it submitted by its marks: expected value at line 1 column 1
    line 1 of the journal `ALLOC/deploy/dtree/journal` is damaged, so what this run did is not known: move the file away, and the run begins anew and finds what it submitted by its marks: EOF while parsing a value at line 2 column 0
    line 1 of the journal `ALLOC/deploy/dtree/journal` is damaged, so what this run did is not known: move the file away, and the run begins anew and finds what it submitted by its marks: expected value at line 1 column 1
    line 3 of the journal `ALLOC/deploy/dtree/journal` is damaged, so what this run did is not known: move the file away, and the run begins anew and finds what it submitted by its marks: control character (\u0000-\u001F) found while parsing a string at line 2 column 0
    line 3 of the journal `ALLOC/deploy/dtree/journal` is damaged, so what this run did is not known: move the file away, and the run begins anew and finds what it submitted by its marks: EOF while parsing a value at line 2 column 0
    line 2 of the journal `ALLOC/deploy/dtree/journal` is damaged, so what this run did is not known: move the file away, and the run begins anew and finds what it submitted by its marks: expected value at line 1 column 1
    "#);
}

#[test]
fn a_journal_does_not_grow_beyond_what_is_read_again() {
    let task = Task::new();
    let (mut journal, _) = task.open().unwrap();
    journal.append(&[json!(1)]).unwrap();
    let large = json!("x".repeat(1 << 20));
    assert_eq!(journal.append(std::slice::from_ref(&large)).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(journal.replace(&[large]).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(task.entries(), [json!(1)]);
    fs::OpenOptions::new().write(true).open(task.file()).unwrap().set_len((1 << 20) + 1).unwrap();
    assert_snapshot!(task.refusal(), @"cannot use the journal `ALLOC/deploy/dtree/journal`: more than 1 MiB are too many");
}

#[test]
fn nothing_planted_is_used() {
    let elsewhere = tempfile::tempdir().unwrap();
    let victim = elsewhere.path().join("victim");
    fs::write(&victim, "").unwrap();
    let mut told = Vec::new();
    let mut refused = |task: &Task| told.push(task.refusal());

    let task = Task::new();
    fs::create_dir(task.directory()).unwrap();
    refused(&task);
    fs::set_permissions(task.directory(), fs::Permissions::from_mode(0o700)).unwrap();
    symlink(&victim, task.file()).unwrap();
    refused(&task);
    fs::remove_file(task.file()).unwrap();
    fs::hard_link(&victim, task.file()).unwrap();
    refused(&task);
    fs::remove_file(task.file()).unwrap();
    mkfifo(&task.file(), Mode::S_IRWXU).unwrap();
    refused(&task);
    fs::remove_file(task.file()).unwrap();
    fs::create_dir(task.file()).unwrap();
    refused(&task);

    for directory in ["deploy/dtree", "deploy"] {
        let task = Task::new();
        let directory = task.alloc.path().join(directory);
        fs::remove_dir_all(&directory).ok();
        symlink(elsewhere.path(), directory).unwrap();
        refused(&task);
    }
    let task = Task::new();
    fs::remove_dir(task.alloc.path().join("deploy")).unwrap();
    refused(&task);
    assert_snapshot!(told.join("\n"), @"
    cannot use the journal `ALLOC/deploy/dtree/journal`: dtree is not ours alone
    cannot use the journal `ALLOC/deploy/dtree/journal`: journal: Too many levels of symbolic links (os error 40)
    cannot use the journal `ALLOC/deploy/dtree/journal`: journal has a second name
    cannot use the journal `ALLOC/deploy/dtree/journal`: journal is not a regular file
    cannot use the journal `ALLOC/deploy/dtree/journal`: journal: Is a directory (os error 21)
    cannot use the journal `ALLOC/deploy/dtree/journal`: dtree: Not a directory (os error 20)
    cannot use the journal `ALLOC/deploy/dtree/journal`: deploy: Not a directory (os error 20)
    cannot use the journal `ALLOC/deploy/dtree/journal`: deploy: No such file or directory (os error 2)
    ");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);

    // What is planted where the new one is written is put away, not written through.
    let task = Task::new();
    let (mut journal, _) = task.open().unwrap();
    symlink(&victim, task.directory().join("journal.new")).unwrap();
    journal.replace(&[json!(1)]).unwrap();
    assert_eq!(task.entries(), [json!(1)]);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "");
}

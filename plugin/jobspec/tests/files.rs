//! What is read of a task's files, and what is not.

use std::{fs, os::unix::fs::symlink};

use nix::{sys::stat::Mode, unistd::mkfifo};

use super::Stage;

#[test]
fn a_file_is_read_by_each_of_its_paths() {
    let stage =
        Stage::new().file("local/x.hcl", "local").file("secrets/x.hcl", "secret").file("x.hcl", "bare");
    fs::write(stage.alloc.path().join("alloc/data/x.hcl"), "shared").unwrap();
    let read = |path| stage.dir().read(path).unwrap();
    assert_eq!(
        ["local/x.hcl", "./local//x.hcl", "/local/x.hcl", "secrets/x.hcl", "x.hcl", "/alloc/data/x.hcl"]
            .map(read),
        ["local", "local", "local", "secret", "bare", "shared"]
    );
}

#[test]
fn what_cannot_be_read_is_told_with_the_reason() {
    let stage =
        Stage::new().file("local/postgres.nomad.hcl", "x").file("local/large", "").file("local/bytes", "");
    let local = stage.alloc.path().join("deploy/local");
    fs::write(local.join("bytes"), b"ab\xffc").unwrap();
    fs::write(local.join("large"), vec![b'x'; (1 << 20) + 1]).unwrap();
    fs::write(local.join("full"), vec![b'x'; 1 << 20]).unwrap();
    fs::write(stage.alloc.path().join("alloc/data/db.hcl"), "x").unwrap();
    assert_eq!(stage.dir().read("local/full").unwrap().len(), 1 << 20);
    let paths = [
        "local/postgers.nomad.hcl",
        "/local/postgers.nomad.hcl",
        "/alloc/data/bd.hcl",
        "lokal/postgres.nomad.hcl",
        "local/other",
        "local/large",
        "local/bytes",
        "local/bytes/x",
        "local",
        "../x",
    ];
    let told: Vec<String> =
        paths.iter().map(|path| format!("{path:?} {}", stage.dir().read(path).unwrap_err())).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    "local/postgers.nomad.hcl" is not there: nothing is called "postgers.nomad.hcl" (did you mean "local/postgres.nomad.hcl"?)
    "/local/postgers.nomad.hcl" is not there: nothing is called "postgers.nomad.hcl" (did you mean "local/postgres.nomad.hcl"?)
    "/alloc/data/bd.hcl" is not there: nothing is called "bd.hcl" (did you mean "/alloc/data/db.hcl"?)
    "lokal/postgres.nomad.hcl" is not there: nothing is called "lokal" (did you mean "local"?)
    "local/other" is not there: nothing is called "other" (a template or artifact block brings it there)
    "local/large" is larger than 1 MiB
    "local/bytes" is no text: byte 2 is not UTF-8
    "local/bytes/x" is not read: "bytes" is no directory, or a link to one
    "local" is no regular file
    "../x" leads out of the task's directory; let a template or artifact block bring the file to "local/"
    "#);
}

#[test]
fn nothing_planted_is_read() {
    let stage = Stage::new().file("local/real", "x");
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("secret"), "secret").unwrap();
    let task = stage.alloc.path().join("deploy");
    symlink(elsewhere.path().join("secret"), task.join("local/link")).unwrap();
    symlink("real", task.join("local/link_inside")).unwrap();
    symlink(elsewhere.path(), task.join("local/dir")).unwrap();
    fs::hard_link(elsewhere.path().join("secret"), task.join("local/hard")).unwrap();
    mkfifo(&task.join("local/fifo"), Mode::S_IRWXU).unwrap();
    symlink("/dev/zero", task.join("local/zero")).unwrap();
    let paths =
        ["local/link", "local/link_inside", "local/dir/secret", "local/hard", "local/fifo", "local/zero"];
    let told: Vec<String> =
        paths.iter().map(|path| format!("{path:?} {}", stage.dir().read(path).unwrap_err())).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    "local/link" is not read: "link" is a link
    "local/link_inside" is not read: "link_inside" is a link
    "local/dir/secret" is not read: "dir" is no directory, or a link to one
    "local/hard" has a second name (a hard link), so it may be another's file
    "local/fifo" is no regular file
    "local/zero" is not read: "zero" is a link
    "#);

    // Nor where a whole directory of Nomad's was replaced.
    fs::remove_dir_all(task.join("secrets")).unwrap();
    symlink(elsewhere.path(), task.join("secrets")).unwrap();
    assert!(stage.dir().read("secrets/secret").is_err());
    fs::remove_dir_all(&task).unwrap();
    symlink(elsewhere.path(), &task).unwrap();
    assert!(stage.dir().read("secret").is_err());
}

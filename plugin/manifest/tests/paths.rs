//! Paths of files of a task.

use insta::assert_snapshot;

use crate::manifest::TaskPath;

#[test]
fn a_path_is_in_the_tasks_directory_or_in_the_shared_one() {
    let read = |path| {
        let TaskPath { is_shared, names } = TaskPath::new(path).unwrap();
        (is_shared, names.join("/"))
    };
    assert_eq!(read("local/x.hcl"), (false, "local/x.hcl".to_owned()));
    assert_eq!(read("./local//a/./x.hcl"), (false, "local/a/x.hcl".to_owned()));
    assert_eq!(read("x..hcl"), (false, "x..hcl".to_owned()));
    assert_eq!(read("/local/x.hcl"), (false, "local/x.hcl".to_owned()));
    assert_eq!(read("/secrets/x.hcl"), (false, "secrets/x.hcl".to_owned()));
    assert_eq!(read("/alloc/data/x.hcl"), (true, "data/x.hcl".to_owned()));
    assert_eq!(read("alloc/x.hcl"), (false, "alloc/x.hcl".to_owned()), "what a template calls so");
}

#[test]
fn a_path_to_elsewhere_or_to_no_file_is_refused() {
    let paths = [
        "",
        "../x",
        "local/../../x",
        "a\0b",
        "/etc/passwd",
        "/local",
        "/",
        ".",
        "local/",
        "local/.",
        "/localx/y",
        "/private/x",
        "private/x",
    ];
    let told: Vec<String> =
        paths.iter().map(|path| format!("{path:?} {}", TaskPath::new(path).unwrap_err())).collect();
    assert_snapshot!(told.join("\n"), @r#"
    "" names no file; write a path in the task's directory, like "local/x.nomad.hcl"
    "../x" leads out of the task's directory; let a template or artifact block bring the file to "local/"
    "local/../../x" leads out of the task's directory; let a template or artifact block bring the file to "local/"
    "a\0b" has a NUL in it, which no path has
    "/etc/passwd" is not in the task's directory, of which "/local/", "/secrets/" and "/alloc/" can be read; let a template or artifact block bring the file to "local/"
    "/local" is not in the task's directory, of which "/local/", "/secrets/" and "/alloc/" can be read; let a template or artifact block bring the file to "local/"
    "/" names a directory; write the path of a file in it
    "." names a directory; write the path of a file in it
    "local/" names a directory; write the path of a file in it
    "local/." names a directory; write the path of a file in it
    "/localx/y" is not in the task's directory, of which "/local/", "/secrets/" and "/alloc/" can be read; let a template or artifact block bring the file to "local/"
    "/private/x" is in a directory that no task sees; use "local/"
    "private/x" is in a directory that no task sees; use "local/"
    "#);
}

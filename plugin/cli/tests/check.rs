//! What a file is answered: good, or all that is wrong with it.

use std::path::Path;

use insta::assert_snapshot;

use super::{SHOP, dtree, said};

#[test]
fn a_good_file_is_said_to_be_good_with_what_could_not_be_checked() {
    assert_snapshot!(dtree(&[("shop.dtree.hcl", SHOP.as_bytes())], &["check", "shop.dtree.hcl"], ""), @r#"
    shop.dtree.hcl: tree "shop": 3 jobs, 1 hook, 1 wait: no problem
        not checked, because it takes Nomad:
            job "api": vars.version = var.version
            the jobspecs that it names
    --- exit 0
    "#);
    assert_snapshot!(dtree(&[], &["check", "-"], "tree \"x\" {\n  wait \"db\" {}\n}\n"), @r#"
    stdin: tree "x": 1 wait: no problem
    --- exit 0
    "#);
}

#[test]
fn what_is_wrong_is_drawn_into_the_text_all_of_it() {
    let wrong = SHOP
        .replace("depends_on = [\"postgres\", \"redis\"]", "depends_on = [\"postgrs\", \"nginx\"]")
        .replace("vars  ", "vrs  ")
        .replace("dispatch = \"setup\"", "timeout = \"soon\"");
    let files: &[(&str, &[u8])] = &[("shop.dtree.hcl", wrong.as_bytes()), ("good.hcl", SHOP.as_bytes())];
    assert_snapshot!(dtree(files, &["check", "shop.dtree.hcl", "good.hcl"], ""), @r#"
    good.hcl: tree "shop": 3 jobs, 1 hook, 1 wait: no problem
        not checked, because it takes Nomad:
            job "api": vars.version = var.version
            the jobspecs that it names
    --- stderr
    error: these blocks depend on each other: api → nginx → api
     --> shop.dtree.hcl:1:1
      |
    1 | tree "shop" {
      | ^^^^^^^^^^^
      |
      = help: take one of the depends_on or one of the references away

    error: post "setup" of job "postgres": has nothing to run
     --> shop.dtree.hcl:4:5
      |
    4 |     post "setup" {
      |     ^^^^^^^^^^^^
      |
      = help: write the path of a batch jobspec, `jobspec = "local/setup.nomad.hcl"`, or the ID of a parameterized job, `dispatch = "setup"`

    error: post "setup" of job "postgres": timeout = "soon" is not a duration; write it like "90s", "5m" or "1h30m"
     --> shop.dtree.hcl:5:7
      |
    5 |       timeout = "soon"
      |       ^^^^^^^^^^^^^^^^

    error: job "api": depends_on names "postgrs", which is no block of this task
      --> shop.dtree.hcl:10:5
       |
    10 |     depends_on = ["postgrs", "nginx"]
       |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: did you mean "postgres"?

    error: job "api": vrs is nothing that may stand here
      --> shop.dtree.hcl:11:5
       |
    11 |     vrs       = { version = var.version }
       |     ^^^
       |
       = help: did you mean `vars`?

    5 problems in shop.dtree.hcl
    --- exit 2
    "#);
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_the_reason() {
    let files: &[(&str, &[u8])] = &[
        ("comma.json", b"{\"tree\": {\"x\": {\"wait\": {\"a\": {}\n  \"b\": {}}}}}"),
        ("binary.hcl", b"tree \"x\" {\n\xff\xfe\n}"),
        ("nothing.hcl", b"job \"web\" {\n}\n"),
    ];
    let words = ["check", "missing.hcl", ".", "comma.json", "binary.hcl", "nothing.hcl"];
    assert_snapshot!(dtree(files, &words, ""), @r#"
    --- stderr
    dtree: cannot read missing.hcl: there is no such file
    dtree: cannot read .: it is a directory; name the file in it
    error: a comma is missing between this and `"b"`
     --> comma.json:1:32
      |
    1 | {"tree": {"x": {"wait": {"a": {}
      |                                ^
      |
      = help: write a `,` here

    1 problem in comma.json
    dtree: cannot read binary.hcl: it is no UTF-8 text, in line 2
    error: declares nothing of dtree
     --> nothing.hcl:1:1
      |
    1 | job "web" {
      | ^
      |
      = help: write `tree "shop" { … }`, or a job with a task whose driver is "dtree"

    1 problem in nothing.hcl
    --- exit 2
    "#);
    let huge = vec![b' '; (16 << 20) + 1];
    assert_snapshot!(dtree(&[("huge.hcl", &huge)], &["check", "huge.hcl"], ""), @"
    --- stderr
    dtree: cannot read huge.hcl: it is longer than 16 MiB
    --- exit 2
    ");
}

#[test]
fn the_examples_are_good() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for example in ["gate.nomad.hcl", "hook.nomad.hcl", "shop/shop.nomad.hcl", "stack/stack.nomad.hcl"] {
        let text = said(&root.join("jobspecs"), &["check", example], "");
        assert!(text.contains(": no problem\n") && text.ends_with("--- exit 0"), "{text}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_what_is_there() {
    let home = tempfile::TempDir::new().unwrap();
    std::fs::write(home.path().join("shop.dtree.hcl"), SHOP).unwrap();
    std::fs::write(home.path().join("wide.hcl"), [0xff, 0xfe, b't', 0]).unwrap();
    std::os::unix::fs::symlink("gone.hcl", home.path().join("link.hcl")).unwrap();
    assert_snapshot!(said(home.path(), &["check", "shpo.dtree.hcl", "link.hcl", "wide.hcl", "other"], ""), @"
    --- stderr
    dtree: cannot read shpo.dtree.hcl: there is no such file; did you mean shop.dtree.hcl?
    dtree: cannot read link.hcl: it is a link to gone.hcl, which is not there
    dtree: cannot read wide.hcl: it is UTF-16; save it as UTF-8
    dtree: cannot read other: there is no such file
    --- exit 2
    ");
}

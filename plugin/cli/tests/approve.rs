//! Approvals, as far as they need no Nomad.

use insta::assert_snapshot;

use crate::{NO_NOMAD, PLAIN, dtree};

#[test]
fn an_approval_takes_nomad() {
    assert_eq!(dtree(&[], &["approve", "shop", "release"], ""), NO_NOMAD);
    assert_snapshot!(dtree(&[], &["approve"], ""), @"
    --- stderr
    error: the following required arguments were not provided:
      <SUBJECT>

    Usage: dtree approve --address <URL> <SUBJECT> [NAME]

    For more information, try '--help'.
    --- exit 2
    ");
}

#[test]
fn only_what_waits_for_an_approval_is_approved_in_advance() {
    let run = |tree: &str, name: &str| {
        let files: &[(&str, &[u8])] = &[("plain.dtree.hcl", tree.as_bytes())];
        dtree(files, &["run", "plain.dtree.hcl", "--approve", name], "")
    };
    assert_snapshot!(run(PLAIN, "release"), @"
    --- stderr
    dtree: --approve release: the tree has no such wait for an approval

    hint: nothing of it waits for an approval
    --- exit 2
    ");
    let tree = PLAIN
        .replace("job \"db\"", "wait \"release\" {\n    approval = \"it is announced\"\n  }\n  job \"db\"");
    assert_snapshot!(run(&tree, "relaese"), @"
    --- stderr
    dtree: --approve relaese: the tree has no such wait for an approval

    hint: did you mean `release`?
    --- exit 2
    ");
    assert_snapshot!(run(&tree, "db"), @"
    --- stderr
    dtree: --approve db: the tree has no such wait for an approval

    hint: its waits for an approval: release
    --- exit 2
    ");
}

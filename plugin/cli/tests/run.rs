//! What is refused before a tree is carried out, and what is chosen of it.

use insta::assert_snapshot;

use super::{NO_NOMAD, PLAIN, SHOP, dtree};

#[test]
fn a_run_that_cannot_begin_says_why_and_what_to_do() {
    let shop: &[(&str, &[u8])] = &[("shop.dtree.hcl", SHOP.as_bytes()), ("plain.hcl", PLAIN.as_bytes())];
    assert_snapshot!(dtree(shop, &["run", "shop.dtree.hcl"], ""), @r#"
    --- stderr
    dtree: shop.dtree.hcl leaves open what Nomad evaluates where it starts a task, which does not happen here:
        job "api": vars.version = var.version

    hint: write the values in full, or register the job with `nomad job run`
    --- exit 2
    "#);
    assert_eq!(dtree(shop, &["run", "plain.hcl"], ""), NO_NOMAD);
    assert_snapshot!(dtree(shop, &["stop", "plain.hcl", "--address", "unix://x"], ""), @"
    --- stderr
    dtree: `unix://x` is no address of Nomad's API: the path of a socket begins with `/`: `unix:///run/api.sock`
    --- exit 2
    ");
    assert_snapshot!(dtree(shop, &["run", "plain.hcl", "--token", "a b"], ""), @"
    --- stderr
    dtree: the token has letters that no token has: check NOMAD_TOKEN
    --- exit 2
    ");
    assert_snapshot!(dtree(shop, &["run", "plain.hcl", "--namespace", "*"], ""), @"
    --- stderr
    dtree: a tree is in one namespace, and NOMAD_NAMESPACE is `*`: give `--namespace NAME`
    --- exit 2
    ");
    assert_snapshot!(dtree(shop, &["run", "missing.hcl"], ""), @"
    --- stderr
    dtree: cannot read missing.hcl: there is no such file
    --- exit 2
    ");
    assert_snapshot!(dtree(shop, &["run", "."], ""), @"
    --- stderr
    dtree: cannot read .: it is a directory; name the file in it
    --- exit 2
    ");
    assert_snapshot!(dtree(shop, &["run", "plain.hcl", "--purge"], ""), @"
    --- stderr
    error: unexpected argument '--purge' found

      tip: a similar argument exists: '--target'

    Usage: dtree run --target <JOB> <FILE>

    For more information, try '--help'.
    --- exit 2
    ");
    assert_snapshot!(dtree(&[("w.hcl", b"tree \"w\" {\n  wait \"x\" {}\n}\n")], &["run", "w.hcl"], ""), @"
    --- stderr
    dtree: w.hcl has no job and no hook, so there is nothing to carry out
    --- exit 2
    ");
    let two = format!("{PLAIN}{}", PLAIN.replace("plain", "other"));
    assert_snapshot!(dtree(&[("two.hcl", two.as_bytes())], &["run", "two.hcl"], ""), @"
    --- stderr
    dtree: two.hcl declares several trees: give `--tree` plain or other
    --- exit 2
    ");
    assert_snapshot!(dtree(&[("two.hcl", two.as_bytes())], &["run", "two.hcl", "--tree", "othr"], ""), @"
    --- stderr
    dtree: two.hcl declares no tree othr, or several of that name; did you mean other?
    --- exit 2
    ");
}

#[test]
fn what_is_chosen_of_a_tree_is_checked_before_anything_is_asked() {
    let plain: &[(&str, &[u8])] = &[("plain.hcl", PLAIN.as_bytes())];
    assert_snapshot!(dtree(plain, &["run", "plain.hcl", "--target", "apj"], ""), @"
    --- stderr
    dtree: --target apj: the tree has no such job

    hint: did you mean `api`?
    --- exit 2
    ");
    assert_snapshot!(dtree(plain, &["run", "plain.hcl", "--exclude", "web"], ""), @"
    --- stderr
    dtree: --exclude web: the tree has no such job

    hint: its jobs: api, db
    --- exit 2
    ");
    assert_snapshot!(dtree(plain, &["run", "plain.hcl", "--with-dependents"], ""), @"
    --- stderr
    error: the following required arguments were not provided:
      --target <JOB>

    Usage: dtree run --target <JOB> --with-dependents --address <URL> <FILE>

    For more information, try '--help'.
    --- exit 2
    ");
    assert_snapshot!(dtree(plain, &["run", "plain.hcl", "--exclude", "db", "--exclude", "api"], ""), @"
    --- stderr
    dtree: nothing is left of the tree: take an `--exclude` away
    --- exit 2
    ");
    // Its dependency is awaited, and for that its ID must be known.
    assert_snapshot!(dtree(plain, &["run", "plain.hcl", "--target", "api"], ""), @r#"
    --- stderr
    dtree: job "db": jobspec = "db.nomad.hcl" is not there: nothing in . is called "db.nomad.hcl" (`--jobspecs DIR` says where the jobspecs are)
    --- exit 2
    "#);
    let unclear: &[(&str, &[u8])] =
        &[("plain.hcl", PLAIN.as_bytes()), ("db.nomad.hcl", b"job \"db\" {\n  id = var.id\n}\n")];
    assert_snapshot!(dtree(unclear, &["run", "plain.hcl", "--target", "api"], ""), @"
    --- stderr
    dtree: api depends on db, which was not chosen, and whose ID its jobspec does not say in full

    hint: `--with-dependencies` chooses it, too
    --- exit 2
    ");
    assert_snapshot!(dtree(plain, &["stop", "plain.hcl", "--target", "api", "--target", "db"], ""), @"
    --- stderr
    dtree: a stop takes one target, and what depends on it is never stopped with it: stop that first
    --- exit 2
    ");
}

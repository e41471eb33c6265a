//! What commands that need no Nomad print for programs.

use insta::assert_snapshot;

use super::{PLAIN, SHOP, dtree};

#[test]
fn a_check_tells_programs_what_is_declared_and_what_is_wrong_where() {
    let wrong = PLAIN.replace("[\"db\"]", "[\"bd\"]");
    let files: &[(&str, &[u8])] = &[("shop.hcl", SHOP.as_bytes()), ("wrong.hcl", wrong.as_bytes())];
    assert_snapshot!(dtree(files, &["check", "--json", "shop.hcl"], ""), @"");
    assert_snapshot!(dtree(files, &["check", "--json", "wrong.hcl", "missing.hcl"], ""), @"");
}

#[test]
fn a_graph_is_told_to_programs() {
    assert_snapshot!(dtree(&[], &["graph", "--json", "-"], SHOP), @"");
}

#[test]
fn a_policy_is_told_to_programs() {
    let tree = PLAIN.replace("job \"db\"", "wait \"ok\" {\n    approval = \"go\"\n  }\n  job \"db\"");
    assert_snapshot!(dtree(&[], &["policy", "--json", "-"], &tree), @"");
}

#[test]
fn an_import_is_told_to_programs_and_so_is_what_is_wrong() {
    let good = r#"{"dependencies": {"api": {"pre": {"job": "db"}}, "db": {}}}"#;
    assert_snapshot!(dtree(&[], &["import", "--json", "-"], good), @"");
    let wrong = r#"{"dependencies": {"api": {"pre": {"job": "db"}},}}"#;
    assert_snapshot!(dtree(&[], &["import", "--json", "-"], wrong), @"");
}

#[test]
fn what_is_out_of_the_directory_takes_a_flag() {
    let tree = PLAIN.replace("\"db.nomad.hcl\"", "\"../db.nomad.hcl\"").replace("\"api.n", "\"/etc/api.n");
    let files: &[(&str, &[u8])] = &[("plain.hcl", tree.as_bytes())];
    assert_snapshot!(dtree(files, &["check", "plain.hcl"], ""), @"");
    assert_snapshot!(dtree(files, &["check", "plain.hcl", "--outside"], ""), @"");
    assert_snapshot!(dtree(files, &["plan", "plain.hcl", "--outside", "--offline"], ""), @"");
}

#[test]
fn a_verb_that_trees_do_not_have_is_no_typing_error() {
    for (words, help) in [
        (&["restart", "shop.hcl", "--target", "db"], "`dtree stop shop.hcl` and then `dtree run shop.hcl`"),
        (&["rollback", "shop.hcl", "-x", "1"], "`dtree run shop.hcl` with the former jobspecs"),
        (&["pause", "--x", "shop.hcl", "1"], "`dtree run shop.hcl` end what is under way"),
        (&["resume", "shop.hcl", "--x", "1"], "`dtree run shop.hcl` goes on"),
    ] {
        let said = dtree(&[], words, "");
        assert!(said.contains(&format!("dtree: trees have no {} yet", words[0])), "{said}");
        assert!(said.contains(help) && said.ends_with("--- exit 2"), "{said}");
    }
    assert!(dtree(&[], &["restart"], "").contains("`dtree stop FILE`"));
}

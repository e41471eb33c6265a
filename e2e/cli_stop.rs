//! A tree that is stopped by its name, without its file.

use crate::cli_look::dtree;
use crate::cli_submit::{Written, ended};
use crate::harness::Options;
use crate::story::{Job, Node, SOON, Shared, Story, Tree};

static CLUSTER: Shared = Shared::new(Options::default);

/// The exit code, and all that is said.
fn stop(story: &Story, words: &[&str]) -> (i32, String) {
    let words: Vec<&str> = ["stop"].iter().chain(words).copied().collect();
    let (code, out, err) = dtree(story, None, &words, "");
    (code, out + &err)
}

#[test]
fn a_tree_in_a_jobspec_is_stopped_by_its_name_too() {
    let story = CLUSTER.story();
    let [db, web, id] = ["db", "web", "spec"].map(|name| story.id(name));
    let tree =
        Tree::new(&id).node(Node::of(&Job::service(&db))).node(Node::of(&Job::service(&web)).after(&[&db]));
    story.run_tree(&tree);
    story.tree(&id).succeeds(SOON);
    let (code, said) = stop(&story, &[&format!("{id}x")]);
    assert!(code == 2 && said.contains(&format!("did you mean `{id}`?")), "{code}: {said}");
    let (code, said) = stop(&story, &[&id, "--target", "wbe"]);
    assert!(code == 2 && said.contains("the tree has no such job"), "{code}: {said}");
    let (code, said) = stop(&story, &[&id]);
    assert_eq!(code, 0, "{said}");
    story.has_stopped(&web);
    story.has_stopped(&db);
}

#[test]
fn a_tree_of_a_shell_is_not_stopped_by_its_name_because_nobody_knows_its_order() {
    let story = CLUSTER.story();
    let [db, id] = ["db", "shell"].map(|name| story.id(name));
    story.knows([(db.clone(), "default".to_owned())]);
    let tree = Written::new(&id).job(&Job::service(&db), "");
    let (code, said) = ended(tree.command(&story, &["run"]));
    assert_eq!(code, 0, "{said}");
    let before = story.stamp(&db);
    let (code, said) = stop(&story, &[&id]);
    assert!(code == 2 && said.contains("was carried out from a shell"), "{code}: {said}");
    let (code, said) = stop(&story, &["nothing-like-it"]);
    assert!(code == 2 && said.contains("no tree nothing-like-it in namespace default"), "{code}: {said}");
    assert_eq!(story.stamp(&db), before);
}

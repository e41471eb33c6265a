//! Approvals of a tree that a process at a command line carries out. `nomad alloc exec` does not reach it, so it asks for
//! them in a variable beside the tree's record, and there they are given.
//!
//! # Invariants
//!
//! * Either side writes only over what it has read, so neither loses what the other has written.
//! * An approval counts for the run that has asked for it, and only for a wait that it has asked for.
//! * What was given stays there until the run knows it: whoever gave it is told so only then.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::{
    header::{Header, Items},
    path,
};
use crate::{
    cluster::{AllocId, Namespace, RunId, TreeName},
    nomad::{Access, Cas, Client, Error},
};

/// What stands in the variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The run that asks.
    pub run: String,
    /// By what its record knows the process that carries it out.
    pub holder: String,
    /// The waits that can be approved.
    pub open: Vec<String>,
    /// What was approved, and by whom if that was said; the run does not know of it yet.
    pub given: BTreeMap<String, Option<String>>,
    /// What the run knows to be approved.
    pub taken: Vec<String>,
}

impl Asked {
    fn read(items: &Items) -> Self {
        fn list<T: DeserializeOwned + Default>(text: Option<&String>) -> T {
            // What is not understood was written by nobody who was asked.
            text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
        }
        Self {
            run: items.get("run").cloned().unwrap_or_default(),
            holder: items.get("holder").cloned().unwrap_or_default(),
            open: list(items.get("open")),
            given: list(items.get("given")),
            taken: list(items.get("taken")),
        }
    }

    fn items(&self) -> Items {
        let json = |value: serde_json::Value| value.to_string();
        [
            ("run", self.run.clone()),
            ("holder", self.holder.clone()),
            ("open", json(self.open.clone().into())),
            ("given", json(self.given.iter().map(|(name, by)| (name.clone(), by.clone())).collect())),
            ("taken", json(self.taken.clone().into())),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }
}

/// The variables that somebody reads and writes who approves what `tree` asks for.
pub fn approvers_paths(tree: &TreeName) -> [(String, &'static [Access]); 2] {
    [(path::approvals(tree), &[Access::Read, Access::Write]), (path::header(tree), &[Access::Read])]
}

/// What the process that carries out `tree` asks for; `None` when none does, as far as the record tells. Whether the
/// process is still there it does not tell: what is given to one that has died waits for whoever goes on with its run.
pub async fn asked(client: &Client, namespace: &Namespace, tree: &TreeName) -> Result<Option<Asked>, Error> {
    let Some(found) = client.variable(namespace, &path::approvals(tree)).await? else { return Ok(None) };
    let asked = Asked::read(&found.items);
    let Some(head) = client.variable(namespace, &path::header(tree)).await? else { return Ok(None) };
    // A record that is not understood is another's.
    let is_its = Header::read(&head.items).is_ok_and(|header| {
        header.term.alloc.as_str() == asked.holder
            && header.run.is_some_and(|(run, _)| run.to_string() == asked.run)
    });
    Ok(is_its.then_some(asked))
}

/// Asks, in the name of `run` and of who carries it out, for approvals of the waits `open`, and says which it has `taken`. What was given of those.
///
/// # Errors
///
/// [`Error::is_conflict`] tells that somebody gives one at this moment: ask again.
pub async fn ask(
    client: &Client,
    namespace: &Namespace,
    tree: &TreeName,
    (run, holder): (&RunId, &AllocId),
    open: &[String],
    taken: &[String],
) -> Result<BTreeMap<String, Option<String>>, Error> {
    let path = path::approvals(tree);
    let found = client.variable(namespace, &path).await?;
    let there = found.as_ref().map(|found| Asked::read(&found.items)).unwrap_or_default();
    let (run, holder) = (run.to_string(), holder.to_string());
    let mut given = if there.run == run { there.given.clone() } else { BTreeMap::new() };
    given.retain(|name, _| open.contains(name));
    let asked = Asked { run, holder, open: open.to_vec(), given, taken: taken.to_vec() };
    if asked != there {
        let expected = found.map_or(Cas::Absent, |found| Cas::At(found.index));
        client.put_variable(namespace, &path, &asked.items(), expected).await?;
    }
    Ok(asked.given)
}

/// Approves the wait `name` in the name of `by`. Whether `run` asks for that.
///
/// # Errors
///
/// [`Error::is_conflict`] tells that something has changed meanwhile: look again.
pub async fn give(
    client: &Client,
    namespace: &Namespace,
    tree: &TreeName,
    run: &str,
    name: &str,
    by: Option<String>,
) -> Result<bool, Error> {
    let path = path::approvals(tree);
    let Some(found) = client.variable(namespace, &path).await? else { return Ok(false) };
    let mut asked = Asked::read(&found.items);
    if asked.run != run || !asked.open.iter().any(|open| open == name) {
        return Ok(false);
    }
    asked.given.entry(name.to_owned()).or_insert(by);
    client.put_variable(namespace, &path, &asked.items(), Cas::At(found.index)).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_is_read_as_it_was_written_and_damage_is_nothing() {
        let asked = Asked {
            run: "61d0c2aa".to_owned(),
            holder: "a1".to_owned(),
            open: vec!["release".to_owned(), "a \"b\"".to_owned()],
            given: [("release".to_owned(), Some("kim".to_owned())), ("word".to_owned(), None)].into(),
            taken: vec!["before".to_owned()],
        };
        assert_eq!(Asked::read(&asked.items()), asked);
        let mut items = asked.items();
        items.insert("given".to_owned(), "[".to_owned());
        assert_eq!(Asked::read(&items), Asked { given: BTreeMap::new(), ..asked });
    }
}

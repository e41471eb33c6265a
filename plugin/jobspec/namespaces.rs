//! The namespaces of a tree: are they there, and may the task submit in them?

use std::collections::BTreeMap;

use super::{Nomad, dispatch::targets, draft::Draft, each, outcome::Findings};
use crate::{
    cluster::{JobKey, Namespace},
    manifest::{Problem, Tree},
    nomad,
};

/// Looks at each namespace once. Those that are not there, or that the task may not use.
///
/// # Errors
///
/// When Nomad did not answer.
pub(super) async fn unusable<N: Nomad>(
    nomad: &N,
    own: &JobKey,
    tree: &Tree,
    drafts: &[Draft<'_>],
    findings: &mut Findings,
) -> Result<Vec<Namespace>, nomad::Error> {
    let mut wanted: BTreeMap<Namespace, (bool, Vec<String>)> = BTreeMap::new();
    for draft in drafts {
        let (submits, places) = wanted.entry(draft.key.namespace.clone()).or_default();
        *submits = true;
        places.push(draft.source.place());
    }
    for target in targets(own, tree) {
        wanted.entry(target.key.namespace.clone()).or_default().1.push(target.hook.place(target.name));
    }
    let answers =
        each(wanted.iter().map(|(namespace, (submits, _))| usable(nomad, namespace, *submits))).await?;
    let mut bad = Vec::new();
    for ((namespace, (_, places)), answer) in wanted.into_iter().zip(answers) {
        match answer {
            Usable::Yes => continue,
            Usable::Absent => findings.problems.push(
                Problem::new(places.join(", "), format!("there is no namespace \"{namespace}\""))
                    .with_help(format!("make it with `nomad namespace apply {namespace}`, or write another")),
            ),
            Usable::Denied(error) => {
                findings.deny(&namespace, places, error);
            }
        }
        bad.push(namespace);
    }
    Ok(bad)
}

/// Whether a namespace can be used.
enum Usable {
    Yes,
    Absent,
    Denied(nomad::Error),
}

/// Whether `namespace` is there, and with `submits`, whether jobs may be submitted there.
async fn usable<N: Nomad>(nomad: &N, namespace: &Namespace, submits: bool) -> Result<Usable, nomad::Error> {
    let answer: Result<_, nomad::Error> = async {
        if !nomad.namespace_exists(namespace).await? {
            return Ok(Usable::Absent);
        }
        if submits {
            nomad.prove_submit(namespace).await?;
        }
        Ok(Usable::Yes)
    }
    .await;
    match answer {
        Err(denied) if denied.is_denied() => Ok(Usable::Denied(denied)),
        answer => answer,
    }
}

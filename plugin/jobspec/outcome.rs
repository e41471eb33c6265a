//! What was found wrong so far: problems, and rights that are missing.

use std::collections::BTreeMap;

use crate::{
    cluster::{JobKey, Namespace},
    manifest::{Problem, Problems},
    nomad::{self, Right, Rights},
};

/// Problems, and denials by namespace: one policy mends all of one namespace.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Those of single nodes.
    pub(super) problems: Problems,
    denied: BTreeMap<Namespace, (nomad::Error, Vec<String>)>,
}

impl Findings {
    /// Notes that Nomad denied something in `namespace` that the blocks `places` need.
    pub(super) fn deny(
        &mut self,
        namespace: &Namespace,
        places: impl IntoIterator<Item = String>,
        error: nomad::Error,
    ) {
        let (_, known) = self.denied.entry(namespace.clone()).or_insert_with(|| (error, Vec::new()));
        for place in places {
            if !known.contains(&place) {
                known.push(place);
            }
        }
    }

    /// Adds what another step found.
    pub(super) fn append(&mut self, others: Self) {
        self.problems.append(others.problems);
        for (namespace, (error, places)) in others.denied {
            self.deny(&namespace, places, error);
        }
    }

    /// All of it as problems of the task of job `own`.
    pub(super) fn into_problems(mut self, own: &JobKey) -> Problems {
        for (namespace, (error, places)) in self.denied {
            let places = places.join(", ");
            let problem = match &error {
                nomad::Error::Denied { .. } => {
                    let JobKey { namespace: home, job } = own;
                    let rule = all_of_a_tree(&namespace, namespace == *home).line(&namespace);
                    Problem::new(places, error.to_string()).with_help(format!(
                            "write a policy file with the line `{rule}` and attach it to the job: `nomad acl policy apply -namespace {home} -job {job} dtree-{namespace} FILE`"
                        ))
                }
                other => {
                    let problem = Problem::new(places, other.chain());
                    match other.hint() {
                        Some(hint) => problem.with_help(hint),
                        None => problem,
                    }
                }
            };
            self.problems.push(problem);
        }
        self.problems
    }
}

/// What any tree needs in a namespace, and what it needs to keep what outlives a run, in its own: all at once, so that
/// one denial is not followed by the next.
fn all_of_a_tree(namespace: &Namespace, is_home: bool) -> Rights {
    let mut rights = Rights::default();
    rights.allow_to_look(namespace);
    for right in [Right::SubmitJob, Right::DispatchJob, Right::ReadLogs] {
        rights.allow(namespace, right);
    }
    if is_home {
        rights.allow_all_variables(namespace);
    }
    rights
}

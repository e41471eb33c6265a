//! What was found wrong so far: problems, and rights that are missing.

use std::collections::BTreeMap;

use crate::{
    cluster::{JobKey, Namespace},
    manifest::{Problem, Problems},
    nomad,
};

/// What a token needs for a tree in a namespace.
const CAPABILITIES: &str = r#"["list-jobs", "read-job", "submit-job", "dispatch-job", "read-logs"]"#;
/// And what it needs to keep what outlives a run, in its own namespace.
const VARIABLES: &str = r#" variables { path "dtree/*" { capabilities = ["read", "write"] } }"#;

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
                    let variables = if namespace == *home { VARIABLES } else { "" };
                    Problem::new(places, error.to_string()).with_help(format!(
                            "write a policy file with the line `namespace \"{namespace}\" {{ capabilities = {CAPABILITIES}{variables} }}` and attach it to the job: `nomad acl policy apply -namespace {home} -job {job} dtree-{namespace} FILE`"
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

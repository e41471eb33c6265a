//! Rights in Nomad: what they are called, and the policy that grants them. Nothing else in dtree knows either.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use crate::cluster::{Namespace, VARIABLES};

/// How much of a path is in the name of a policy, which may have 128 characters.
const MAX_PATH_WORDS: usize = 100;

/// A right in a namespace, as ACL policies name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability {
    /// `list-jobs` and `read-job`: to look.
    Read,
    /// `submit-job`: to register, stop and tag jobs, and to have their text read.
    SubmitJob,
    /// `dispatch-job`: to start a run of a parameterized job.
    DispatchJob,
    /// `read-logs`: to read what tasks have written.
    ReadLogs,
    /// `alloc-lifecycle`: to restart and signal what is placed.
    AllocLifecycle,
    /// `alloc-exec`: to approve what a task waits for.
    AllocExec,
    /// `list`, `read`, `write` and `destroy` on dtree's own variables: to keep what outlives a run.
    Variables,
    /// `read` on the variable at this path.
    ReadVariable(String),
}

impl Capability {
    /// The line of a policy that grants it, and reading, without which it is of little use.
    pub fn rule(&self, namespace: &Namespace) -> String {
        let mut rights = Rights::default();
        match self {
            Self::ReadVariable(path) => rights.allow_variable(namespace, path, &[Access::Read]),
            Self::Variables => rights.allow_all_variables(namespace),
            Self::Read => rights.allow_to_look(namespace),
            Self::SubmitJob | Self::DispatchJob | Self::ReadLogs | Self::AllocLifecycle | Self::AllocExec => {
                rights.allow_to_look(namespace);
                rights.allow(namespace, self.right());
            }
        }
        rights.line(namespace)
    }

    fn right(&self) -> Right {
        match self {
            Self::Read | Self::Variables | Self::ReadVariable(_) => Right::ReadJob,
            Self::SubmitJob => Right::SubmitJob,
            Self::DispatchJob => Right::DispatchJob,
            Self::ReadLogs => Right::ReadLogs,
            Self::AllocLifecycle => Right::AllocLifecycle,
            Self::AllocExec => Right::AllocExec,
        }
    }

    /// A name for the policy: one each, so that none replaces another.
    pub(super) fn policy(&self) -> Cow<'static, str> {
        if let Self::ReadVariable(path) = self {
            let words = path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
            return format!("gate-variable-{}", words.take(MAX_PATH_WORDS).collect::<String>()).into();
        }
        let name = match self {
            Self::Read => "gate-read",
            Self::SubmitJob => "tree-submit",
            Self::DispatchJob => "tree-dispatch",
            Self::ReadLogs => "tree-logs",
            Self::AllocLifecycle => "guard-act",
            Self::AllocExec => "approve",
            Self::Variables | Self::ReadVariable(_) => "tree-variables",
        };
        name.into()
    }
}

/// A capability of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// To tell a job that is not there from one that is not seen.
    ListJobs,
    /// To see jobs, and everything of them.
    ReadJob,
    /// To have jobspecs read, to register jobs, and to stop them.
    SubmitJob,
    /// To run parameterized jobs.
    DispatchJob,
    /// To read what tasks have written.
    ReadLogs,
    /// To signal and restart what is placed.
    AllocLifecycle,
    /// To approve what a task waits for.
    AllocExec,
}

impl Right {
    /// As policies call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ListJobs => "list-jobs",
            Self::ReadJob => "read-job",
            Self::SubmitJob => "submit-job",
            Self::DispatchJob => "dispatch-job",
            Self::ReadLogs => "read-logs",
            Self::AllocLifecycle => "alloc-lifecycle",
            Self::AllocExec => "alloc-exec",
        }
    }

    /// What it is for, after its name.
    fn purpose(self) -> &'static str {
        match self {
            Self::ListJobs => "tells a job that is not there",
            Self::ReadJob => "shows jobs, allocations, deployments and checks",
            Self::SubmitJob => "reads jobspecs, registers jobs, stops them",
            Self::DispatchJob => "runs parameterized jobs",
            Self::ReadLogs => "tells the last words of what failed",
            Self::AllocLifecycle => "signals and restarts the allocation",
            Self::AllocExec => "approves what a task waits for",
        }
    }
}

/// What may be done with a variable. Who may read one may list it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// To see that it is there.
    List,
    /// To see what is in it.
    Read,
    /// To write it, and to hold its lock.
    Write,
    /// To take it away.
    Destroy,
}

impl Access {
    /// As policies call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Read => "read",
            Self::Write => "write",
            Self::Destroy => "destroy",
        }
    }
}

/// What a token needs, by namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights(BTreeMap<Namespace, Granted>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Granted {
    rights: BTreeSet<Right>,
    /// By path, which may end with `*`.
    variables: BTreeMap<String, BTreeSet<Access>>,
}

impl Rights {
    /// Adds a right.
    pub fn allow(&mut self, namespace: &Namespace, right: Right) {
        self.of(namespace).rights.insert(right);
    }

    /// Adds what it takes to wait for a job.
    pub fn allow_to_look(&mut self, namespace: &Namespace) {
        self.allow(namespace, Right::ListJobs);
        self.allow(namespace, Right::ReadJob);
    }

    /// Adds what may be done with the variables at `path`, which may end with `*`.
    pub fn allow_variable(&mut self, namespace: &Namespace, path: &str, access: &[Access]) {
        self.of(namespace).variables.entry(path.to_owned()).or_default().extend(access);
    }

    /// Adds everything with all variables of dtree's own.
    pub fn allow_all_variables(&mut self, namespace: &Namespace) {
        let all = [Access::List, Access::Read, Access::Write, Access::Destroy];
        self.allow_variable(namespace, &format!("{VARIABLES}/*"), &all);
    }

    /// Adds all that others need.
    pub fn append(&mut self, others: Self) {
        for (namespace, granted) in others.0 {
            let own = self.of(&namespace);
            own.rights.extend(granted.rights);
            for (path, access) in granted.variables {
                own.variables.entry(path).or_default().extend(access);
            }
        }
    }

    /// Whether nothing is needed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each right, by namespace.
    pub fn rights(&self) -> impl Iterator<Item = (&Namespace, Right)> {
        self.0
            .iter()
            .flat_map(|(namespace, granted)| granted.rights.iter().map(move |right| (namespace, *right)))
    }

    /// Each path of variables, by namespace, with what is done there.
    pub fn variables(&self) -> impl Iterator<Item = (&Namespace, &str, &BTreeSet<Access>)> {
        self.0.iter().flat_map(|(namespace, granted)| {
            granted.variables.iter().map(move |(path, access)| (namespace, path.as_str(), access))
        })
    }

    /// The policy for one namespace, in one line.
    pub fn line(&self, namespace: &Namespace) -> String {
        let mut parts = Vec::new();
        if let Some(granted) = self.0.get(namespace) {
            if !granted.rights.is_empty() {
                parts.push(format!(
                    "capabilities = {}",
                    list(granted.rights.iter().map(|right| right.name()))
                ));
            }
            let paths = granted.variables.iter().map(|(path, access)| {
                format!(
                    "path \"{path}\" {{ capabilities = {} }}",
                    list(access.iter().map(|access| access.name()))
                )
            });
            let paths: Vec<String> = paths.collect();
            if !paths.is_empty() {
                parts.push(format!("variables {{ {} }}", paths.join(" ")));
            }
        }
        format!("namespace \"{namespace}\" {{ {} }}", parts.join(" "))
    }

    /// The whole policy, with what each right is for.
    pub fn hcl(&self) -> String {
        let mut hcl = String::new();
        for (namespace, granted) in &self.0 {
            // Writing into a string cannot fail.
            let _ = writeln!(hcl, "namespace \"{namespace}\" {{");
            if !granted.rights.is_empty() {
                hcl.push_str("  capabilities = [\n");
                for right in &granted.rights {
                    let name = format!("\"{}\",", right.name());
                    let _ = writeln!(hcl, "    {name:<18} # {}", right.purpose());
                }
                hcl.push_str("  ]\n");
            }
            if !granted.variables.is_empty() {
                hcl.push_str("  variables {\n");
                for (path, access) in &granted.variables {
                    let access = list(access.iter().map(|access| access.name()));
                    let _ = writeln!(hcl, "    path \"{path}\" {{\n      capabilities = {access}\n    }}");
                }
                hcl.push_str("  }\n");
            }
            hcl.push_str("}\n");
        }
        hcl
    }

    fn of(&mut self, namespace: &Namespace) -> &mut Granted {
        self.0.entry(namespace.clone()).or_default()
    }
}

/// As HCL writes a list of names.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("\"{name}\"")).collect();
    format!("[{}]", names.join(", "))
}

//! `dtree policy`: the least ACL policy for what a file declares, and how to attach it.

use std::{fmt::Write as _, path::PathBuf};

use serde_json::{Value, json};

use super::{
    Failure, Outcome,
    beside::Beside,
    file::{Good, Source},
    print,
};
use crate::{
    cluster::{JobKey, TreeName},
    jobspec,
    manifest::{Provider, Stored, Subject, text::Owner},
    nomad::{Right, Rights},
    record,
};

/// The attributes on which it depends what is needed.
const DECIDING: [&str; 12] = [
    "dispatch",
    "job",
    "jobspec",
    "namespace",
    "on_loss",
    "once",
    "outputs",
    "provider",
    "purge",
    "service",
    "variable",
    "verb",
];

/// What a policy is for.
#[derive(clap::Args)]
pub(super) struct Options {
    /// NAME.dtree.hcl, NAME.dtree.json, or a Nomad jobspec in HCL; - reads from stdin
    file: PathBuf,
    /// Where its job is; else what the jobspec says, or `default`
    #[arg(long)]
    namespace: Option<String>,
    /// Let jobspecs be anywhere on this disk: by `..`, by absolute paths, by links
    #[arg(long)]
    outside: bool,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Prints the policy for all that a file declares.
pub(super) fn run(options: &Options) -> Outcome {
    let source = Source::read(&options.file)?.with_outside(options.outside);
    let good = source.understand()?;
    let Some(first) = good.first() else { return Ok(()) };
    let owner = &first.declared.owner;
    if good.iter().any(|good| good.declared.owner.job != owner.job) {
        return Err(Failure::cannot(format!(
            "dtree: {} declares several trees, and a policy is for one: keep it in a file of its own\n",
            source.name()
        )));
    }
    let home = options.namespace.as_deref().or(owner.namespace.as_deref()).unwrap_or("default");
    let own = JobKey::new(home, owner.job.as_str());
    let mut rights = Rights::default();
    let mut notes = Vec::new();
    for good in &good {
        let manifest = good.plan.manifest();
        let beside = Beside::of(&options.file, manifest, options.outside);
        rights.append(jobspec::rights(manifest, &own, &|jobspec| beside.namespace_of(jobspec)));
        notes.extend(notes_on(good, &own, &beside));
    }
    let names: Vec<&str> = good.iter().map(|good| good.declared.name.as_str()).collect();
    if options.json {
        return print(&format!("{:#}\n", document(&names, owner, home, &rights, &notes)));
    }
    let names = names.join(", ");
    let mut text = if rights.is_empty() {
        format!("# {names} needs no right in Nomad.\n")
    } else {
        format!("# What {names} needs in Nomad, and no more.\n{}", attachment(&good, owner, home))
    };
    for note in notes {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "#\n# {note}");
    }
    text.push_str(&rights.hcl());
    print(&text)
}

/// The same for programs.
fn document(names: &[&str], owner: &Owner, home: &str, rights: &Rights, notes: &[String]) -> Value {
    let capabilities = rights.rights();
    let capabilities =
        capabilities.map(|(namespace, right)| json!({ "namespace": namespace, "name": right.name() }));
    let variables = rights.variables().map(|(namespace, path, access)| {
        let access: Vec<&str> = access.iter().map(|access| access.name()).collect();
        json!({ "namespace": namespace, "path": path, "capabilities": access })
    });
    json!({
        "declares": names,
        "namespace": home,
        "job": owner.job,
        "group": owner.task.as_ref().map(|(group, _)| group),
        "task": owner.task.as_ref().map(|(_, task)| task),
        "capabilities": capabilities.collect::<Vec<_>>(),
        "variables": variables.collect::<Vec<_>>(),
        "notes": notes.iter().map(|note| note.replace("\n#", "\n")).collect::<Vec<_>>(),
        "hcl": rights.hcl(),
    })
}

/// How the policy is attached.
fn attachment(good: &[Good], owner: &Owner, home: &str) -> String {
    let job = &owner.job;
    let name = format!("dtree-{job}");
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' }).collect();
    let apply = format!("#     nomad acl policy apply -namespace {home} -job {job}");
    match (&owner.task, good) {
        (Some((group, task)), [_]) => {
            format!(
                "# Attach it to the task; it takes effect at once:\n{apply} -group {group} -task {task} {name} FILE\n"
            )
        }
        (Some(_), _) => format!("# Attach it to the job; it takes effect at once:\n{apply} {name} FILE\n"),
        (None, _) => format!(
            "# Attach it to the job that carries the tree; it takes effect at once:\n{apply} {name} FILE\n\
             # Or give it to a token, for a tree that is run from a shell:\n\
             #     nomad acl policy apply {name} FILE\n\
             #     nomad acl token create -name {name} -type client -policy {name}\n"
        ),
    }
}

/// What the policy cannot say.
fn notes_on(good: &Good, own: &JobKey, beside: &Beside) -> Vec<String> {
    let manifest = good.plan.manifest();
    let mut notes = Vec::new();
    // What decides nothing about rights need not be known.
    let decides = |attribute: &str| {
        let word = attribute.split('.').next().unwrap_or_default();
        DECIDING.contains(&word)
    };
    for left in good.declared.unchecked.iter().filter(|left| decides(&left.attribute)) {
        notes.push(format!(
            "Not known without Nomad, and not granted: {}: {} = {}",
            left.place,
            left.attribute,
            left.value.split_whitespace().collect::<Vec<_>>().join(" ")
        ));
    }
    if !beside.missing.is_empty() {
        notes.push(format!(
            "Not found beside the file, and taken to be in namespace {}: {}",
            own.namespace,
            beside.missing.join(", ")
        ));
    }
    for (name, wait) in &manifest.waits {
        let needs = match &wait.subject {
            Subject::Service(service) if service.provider == Provider::Consul => {
                "asks Consul, with the plugin's own token: it needs service:read and node:read"
            }
            Subject::Stored(stored) if matches!(stored.as_ref(), Stored::ConsulKey { .. }) => {
                "asks Consul, with the plugin's own token: it needs key:read"
            }
            Subject::Approval { .. } => {
                notes.push(approvers(name, own, good.declared.owner.task.is_none()));
                continue;
            }
            _ => continue,
        };
        notes.push(format!("wait {name:?} {needs}."));
    }
    notes
}

/// What the token of a user needs who approves the wait `name`; `may_be_run` from a shell where it is a tree in a file.
fn approvers(name: &str, own: &JobKey, may_be_run: bool) -> String {
    let home = &own.namespace;
    let mut rights = Rights::default();
    rights.allow_to_look(home);
    rights.allow(home, Right::AllocExec);
    let mut note = format!(
        "wait {name:?} is approved by a user (`dtree approve`), whose token needs, in a policy of its own:\n#     {}",
        rights.line(home)
    );
    if may_be_run {
        let mut rights = Rights::default();
        rights.allow_to_look(home);
        let name = TreeName::from(own.to_string());
        for (path, access) in record::approvers_paths(&name) {
            rights.allow_variable(home, &path, access);
        }
        // Writing into a string cannot fail.
        let _ = write!(note, "\n# or, where the tree is run from a shell:\n#     {}", rights.line(home));
    }
    note
}

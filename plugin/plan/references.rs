//! What the texts of blocks take from other blocks.

use std::collections::BTreeSet;

use crate::{
    cluster::nearest,
    manifest::{CONTEXT, Hook, JobNode, Manifest, Moment, Problem, Problems, Reference, Template, Tree},
};

/// What `texts` take from other blocks. What cannot be read takes nothing: it is a problem.
pub(super) fn of<'a>(texts: impl Iterator<Item = (String, &'a str)>) -> BTreeSet<Reference> {
    let templates = texts.filter_map(|(_, text)| Template::read(text).ok());
    let references = templates.flat_map(|template| template.references().cloned().collect::<Vec<_>>());
    references.filter(|reference| !reference.is_context()).collect()
}

/// The blocks that `texts` of the block `name` take something from. A block that refers to itself, or to one that has
/// no outputs, is a problem of its own, and no circle.
pub(super) fn nodes<'a>(
    tree: Option<&Tree>,
    name: &str,
    texts: impl Iterator<Item = (String, &'a str)>,
) -> BTreeSet<String> {
    let has_outputs = |node: &String| {
        tree.is_some_and(|tree| match tree.hooks.get(node) {
            Some(hook) => hook.moment.has_outputs(),
            None => tree.jobs.contains_key(node),
        })
    };
    let nodes = of(texts).into_iter().map(|reference| reference.node);
    nodes.filter(|node| node != name && has_outputs(node)).collect()
}

/// Adds all that is wrong with the references of `manifest`, but for circles.
pub(super) fn check(manifest: &Manifest, problems: &mut Problems) {
    let Some(tree) = manifest.tree.as_deref() else { return };
    if !tree.context.is_empty() {
        for place in [
            manifest.waits.contains_key(CONTEXT).then(|| format!("wait {CONTEXT:?}")),
            tree.jobs.contains_key(CONTEXT).then(|| JobNode::place(CONTEXT)),
            tree.hooks.get(CONTEXT).map(|hook| hook.place(CONTEXT)),
        ]
        .into_iter()
        .flatten()
        {
            let text = format!("`$({CONTEXT}.…)` means the `context` block, so no other can have this name");
            problems.push(Problem::new(place, text).with_help("rename it"));
        }
    }
    let mut names: Vec<&str> = manifest.waits.keys().map(String::as_str).collect();
    names.extend(tree.jobs.keys().chain(tree.hooks.keys()).map(String::as_str));
    let jobs = tree.jobs.iter().flat_map(|(name, job)| {
        job.texts().map(move |(attribute, text)| (name, None, JobNode::place(name), attribute, text))
    });
    let hooks = tree.hooks.iter().flat_map(|(name, hook)| {
        hook.texts().map(move |(attribute, text)| (name, Some(hook), hook.place(name), attribute, text))
    });
    for (name, hook, place, attribute, text) in jobs.chain(hooks) {
        let template = match Template::read(text) {
            Ok(template) => template,
            Err(why) => {
                problems.push(Problem::new(place, format!("{attribute} {why}")).with_help(
                    "write `$(name.output)` for the output of a block, and `$$(` where `$(` itself is meant",
                ));
                continue;
            }
        };
        let asker = Asker { name, hook, manifest, tree, names: &names };
        for reference in template.references() {
            if let Err((why, help)) = asker.ask(reference) {
                let problem =
                    Problem::new(place.clone(), format!("{attribute} has `{reference}`, but {why}"));
                problems.push(match help {
                    Some(help) => problem.with_help(help),
                    None => problem,
                });
            }
        }
    }
}

/// A block with references.
struct Asker<'a> {
    name: &'a str,
    /// `None` for a job.
    hook: Option<&'a Hook>,
    manifest: &'a Manifest,
    tree: &'a Tree,
    /// Of all blocks.
    names: &'a [&'a str],
}

/// Why a reference leads nowhere, and what to do about it.
type Refusal = (String, Option<String>);

impl Asker<'_> {
    /// Whether the block can have the value of `reference`.
    fn ask(&self, reference: &Reference) -> Result<(), Refusal> {
        let Reference { node, output } = reference;
        let tree = self.tree;
        if reference.is_context() {
            if tree.context.contains_key(output) {
                return Ok(());
            }
            let near = nearest(output, tree.context.keys().map(String::as_str));
            let help = match near {
                Some(near) => format!("did you mean `$({CONTEXT}.{near})`?"),
                None => format!("write `context {{ {output} = \"…\" }}` into the task's config"),
            };
            return Err((format!("context has no {output:?}"), Some(help)));
        }
        if let Some(hook) = self.hook.filter(|hook| !hook.moment.is_of_run()) {
            let why = format!("{} hooks can take nothing from other blocks", hook.moment.word());
            return Err((why, Some(format!("only `$({CONTEXT}.key)` can stand there"))));
        }
        if self.hook.is_some_and(|hook| hook.once.is_some()) {
            let why = "what runs once for a key takes nothing from other blocks: who comes later may find others there";
            let help = format!("only `$({CONTEXT}.key)` can stand there; let the hook read the value itself");
            return Err((why.to_owned(), Some(help)));
        }
        if *node == self.name {
            return Err(("that is the block itself".to_owned(), None));
        }
        let (built_in, declared, example) = match (tree.jobs.get(node), tree.hooks.get(node)) {
            (Some(job), _) => (JobNode::OUTPUTS, &job.outputs, "service:NAME:port"),
            (None, Some(hook)) if hook.moment.has_outputs() => {
                (Hook::OUTPUTS, &hook.outputs, "variable:PATH#KEY")
            }
            (None, Some(hook)) => return Err(without_outputs(node, hook)),
            (None, None) if self.manifest.waits.contains_key(node) => {
                let help = "only jobs, `hook` blocks and post hooks have outputs";
                return Err((format!("{node} is a wait, which has no outputs"), Some(help.to_owned())));
            }
            (None, None) => {
                let near = nearest(node, self.names.iter().copied());
                let help = near.map(|near| format!("did you mean `$({near}.{output})`?"));
                return Err((format!("no block of this task is called {node:?}"), help));
            }
        };
        if built_in.contains(&output.as_str()) || declared.contains_key(output) {
            return Ok(());
        }
        let known = || built_in.iter().copied().chain(declared.keys().map(String::as_str));
        let help = match nearest(output, known()) {
            Some(near) => format!("did you mean `$({node}.{near})`?"),
            None => format!(
                "it has {}; others are written into its block: `outputs = {{ {output} = \"{example}\" }}`",
                known().collect::<Vec<_>>().join(", ")
            ),
        };
        Err((format!("{node} has no output {output:?}"), Some(help)))
    }
}

/// Why `hook` has no outputs.
fn without_outputs(name: &str, hook: &Hook) -> Refusal {
    let word = hook.moment.word();
    let (why, help) = match hook.moment {
        Moment::Pre => (
            "which do not run where their job is unchanged, and then there is nothing to take",
            "make it a `hook` block that the job depends on",
        ),
        Moment::Post
        | Moment::Alone
        | Moment::PreStop
        | Moment::PostStop
        | Moment::AfterSuccess
        | Moment::AfterFailure => {
            ("which run when nobody asks any more", "only jobs, `hook` blocks and post hooks have outputs")
        }
    };
    (format!("{name} is one of the {word} hooks, {why}"), Some(help.to_owned()))
}

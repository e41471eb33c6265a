//! `dtree graph`: what depends on what.

use std::path::PathBuf;

use super::{
    Drawing, Failure, Outcome, cluster,
    connect::{Connection, block_on},
    file::Source,
    named::is_name,
    print,
    sight::declared,
    status::unknown,
};
use crate::{
    cluster::{JobKey, Namespace},
    show::Graph,
};

/// What is drawn, and how.
#[derive(clap::Args)]
pub(super) struct Options {
    /// NAME.dtree.hcl, NAME.dtree.json, a Nomad jobspec in HCL, or - for stdin; or the name of a tree in Nomad
    #[arg(required_unless_present = "cluster")]
    subject: Option<PathBuf>,
    /// Draw what all tasks of dtree in the namespace declare, with `--namespace '*'` in all; circles are marked
    #[arg(long, conflicts_with = "subject")]
    cluster: bool,
    /// How it is drawn
    #[arg(long, value_enum, default_value_t = Drawing::Text)]
    format: Drawing,
    /// One JSON document
    #[arg(long, conflicts_with = "format")]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Draws what a file, a tree in Nomad, or a whole cluster declares.
pub(super) fn run(options: &Options) -> Outcome {
    let draw = |graph: &Graph| match options.format {
        Drawing::Text => graph.text(),
        Drawing::Dot => graph.dot(),
        Drawing::Mermaid => graph.mermaid(),
        Drawing::Svg => graph.svg(),
    };
    let shown = |graphs: &[Graph]| {
        if options.json {
            let graphs: Vec<_> = graphs.iter().map(Graph::document).collect();
            return print(&format!("{:#}\n", serde_json::json!({ "graphs": graphs })));
        }
        print(&graphs.iter().map(draw).collect::<Vec<_>>().join("\n"))
    };
    let connection = &options.connection;
    let Some(subject) = &options.subject else {
        let namespace = connection.namespace_or_all();
        let graph = block_on(async { cluster::graph(&connection.client().await?, &namespace).await })?;
        return shown(&[graph]);
    };
    let name = subject.to_str().filter(|name| !subject.exists() && is_name(name));
    if let Some(name) = name {
        let namespace = connection.namespace()?.unwrap_or_else(|| Namespace::from("default"));
        let key = JobKey { namespace: namespace.clone(), job: name.into() };
        let plan = block_on(async { declared(&connection.client().await?, &key).await })?;
        let plan = plan.ok_or_else(|| unknown(&namespace, name))?;
        return shown(&[Graph::of(&format!("tree {key}"), &plan)]);
    }
    // Where jobspecs are is of no interest to a picture.
    let source = Source::read(subject)?.with_outside(true);
    let good = source.understand()?;
    if options.format == Drawing::Svg && good.len() > 1 {
        return Err(Failure::cannot(format!(
            "dtree: {} declares {} trees and tasks, and a picture shows one: keep one of them in a file of its own\n",
            source.name(),
            good.len()
        )));
    }
    let graphs: Vec<Graph> = good.iter().map(|good| Graph::of(&good.declared.name, &good.plan)).collect();
    shown(&graphs)
}

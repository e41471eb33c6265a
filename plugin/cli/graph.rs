//! `dtree graph`: what depends on what.

use std::path::Path;

use super::{Drawing, Outcome, file::Source, print};
use crate::show;

/// Draws what a file declares.
pub(super) fn run(file: &Path, drawing: Drawing) -> Outcome {
    let source = Source::read(file)?;
    let text: Vec<String> = source
        .understand()?
        .iter()
        .map(|good| {
            let graph = show::Graph::of(&good.declared.name, &good.plan);
            match drawing {
                Drawing::Text => graph.text(),
                Drawing::Dot => graph.dot(),
                Drawing::Mermaid => graph.mermaid(),
            }
        })
        .collect();
    print(&text.join("\n"))
}

//! `dtree graph`: what depends on what.

use std::path::Path;

use super::{Drawing, Failure, Outcome, file::Source, print};
use crate::show;

/// Draws what a file declares.
pub(super) fn run(file: &Path, drawing: Drawing) -> Outcome {
    let source = Source::read(file)?;
    let good = source.understand()?;
    if drawing == Drawing::Svg && good.len() > 1 {
        return Err(Failure::cannot(format!(
            "dtree: {} declares {} trees and tasks, and a picture shows one: keep one of them in a file of its own\n",
            source.name(),
            good.len()
        )));
    }
    let text: Vec<String> = good
        .iter()
        .map(|good| {
            let graph = show::Graph::of(&good.declared.name, &good.plan);
            match drawing {
                Drawing::Text => graph.text(),
                Drawing::Dot => graph.dot(),
                Drawing::Mermaid => graph.mermaid(),
                Drawing::Svg => graph.svg(),
            }
        })
        .collect();
    print(&text.join("\n"))
}

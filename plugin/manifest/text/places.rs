//! Where things stand in a file.

use std::{collections::BTreeMap, ops::Range};

use super::super::Problem;

/// A problem, and the part of the text that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// What is wrong.
    pub problem: Problem,
    /// Where, in bytes of the text.
    pub span: Range<usize>,
}

/// Where the blocks and attributes of a manifest stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    blocks: BTreeMap<String, Spot>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Spot {
    head: Range<usize>,
    attributes: BTreeMap<String, Range<usize>>,
}

impl Places {
    /// Notes where the block stands that problems call `place`.
    pub(super) fn block(&mut self, place: &str, head: Range<usize>) {
        self.blocks.entry(place.to_owned()).or_default().head = head;
    }

    /// Notes where an attribute of it stands, name and value.
    pub(super) fn attribute(&mut self, place: &str, attribute: &str, span: Range<usize>) {
        self.blocks.entry(place.to_owned()).or_default().attributes.insert(attribute.to_owned(), span);
    }

    /// Moves all of them `by` bytes on.
    pub(super) fn shift(&mut self, by: usize) {
        let spots = self.blocks.values_mut();
        for span in spots.flat_map(|spot| [&mut spot.head].into_iter().chain(spot.attributes.values_mut())) {
            *span = span.start + by..span.end + by;
        }
    }

    /// Finds what `problem` is about: the attribute with which its text begins, if the block has it, else the block.
    pub fn locate(&self, problem: &Problem) -> Located {
        let word =
            problem.text().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        let spot = self.blocks.get(problem.place());
        let span = spot.map_or(0..0, |spot| spot.attributes.get(word).unwrap_or(&spot.head).clone());
        Located { problem: problem.clone(), span }
    }
}

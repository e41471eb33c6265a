//! What a run remembers, laid out in chunks: decided here, written by [`super::Keeper`].
//!
//! ```text
//!   notes ──▶ stage ──▶ a chunk with room, next to be written ──▶ written: the older copies elsewhere may go
//! ```
//!
//! # Invariants
//!
//! * Whatever write is the last that lands, what stands in the chunks is all that was staged up to some note, and
//!   nothing after it: chunks are written in the order in which they were staged, and a chunk that waits for another is
//!   not staged into.
//! * The older copy of a note goes only when the newer one stands elsewhere; the greatest number wins.
//! * A chunk is far below what Nomad takes, so that a write is small.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

/// How much is put together in a chunk, in bytes: what a write costs grows with it.
const ROOM: usize = 16 << 10;
/// How long a text of a note may be. What is longer is an explanation, and is clipped.
const LONGEST_TEXT: usize = 8 << 10;

/// Something that a run remembers, and as what: a later one with the same name takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// As what.
    pub name: String,
    /// What it says.
    pub value: Value,
}

/// Numbered notes by name: what a chunk holds.
pub(super) type Notes = BTreeMap<String, (u64, Value)>;

/// All that a run remembers. Chunks are counted from zero.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    chunks: Vec<Chunk>,
    /// The chunk with the newest copy of each note.
    homes: BTreeMap<String, usize>,
    /// The chunks that are to be written, in this order.
    waiting: VecDeque<usize>,
    /// Copies that may go when a newer one was written.
    outdated: Vec<Outdated>,
    last: u64,
    current: usize,
}

/// A copy of a note that has a newer one.
#[derive(Clone, Debug)]
struct Outdated {
    name: String,
    /// The chunk that it is in.
    place: usize,
    /// The chunk that the newer one is in, and its number.
    newer: (usize, u64),
}

#[derive(Clone, Debug, Default)]
struct Chunk {
    notes: Notes,
    size: usize,
}

impl Chunk {
    fn put(&mut self, name: &str, number: u64, value: Value) {
        self.remove(name);
        self.size += size(name, &value);
        self.notes.insert(name.to_owned(), (number, value));
    }

    fn remove(&mut self, name: &str) {
        if let Some((_, value)) = self.notes.remove(name) {
            self.size -= size(name, &value);
        }
    }
}

/// What a note takes, in bytes, with its number.
fn size(name: &str, value: &Value) -> usize {
    name.len() + value.to_string().len() + 32
}

impl Ledger {
    /// What stands in chunks that another has written.
    pub(super) fn of(chunks: Vec<Notes>) -> Self {
        let mut ledger = Self::default();
        for notes in chunks {
            let n = ledger.chunks.len();
            let mut chunk = Chunk::default();
            for (name, (number, value)) in notes {
                ledger.last = ledger.last.max(number);
                let newest = ledger.homes.get(&name).and_then(|home| ledger.chunks.get(*home));
                if newest.and_then(|chunk| chunk.notes.get(&name)).is_none_or(|(newest, _)| *newest < number)
                {
                    ledger.homes.insert(name.clone(), n);
                }
                chunk.put(&name, number, value);
            }
            ledger.chunks.push(chunk);
        }
        ledger
    }

    /// Forgets everything, but not that there are chunks.
    pub(super) fn clear(&mut self) {
        let chunks = self.chunks.iter().map(|_| Chunk::default()).collect();
        *self = Self { chunks, ..Self::default() };
    }

    /// The newest of each note, in the order in which they were made.
    pub(super) fn notes(&self) -> Vec<Note> {
        let mut newest: Vec<(u64, Note)> = Vec::new();
        for (name, home) in &self.homes {
            if let Some((number, value)) = self.chunks.get(*home).and_then(|chunk| chunk.notes.get(name)) {
                newest.push((*number, Note { name: name.clone(), value: value.clone() }));
            }
        }
        newest.sort_by_key(|(number, _)| *number);
        newest.into_iter().map(|(_, note)| note).collect()
    }

    /// How many chunks there are.
    pub(super) fn n_chunks(&self) -> usize {
        self.chunks.len()
    }

    /// What chunk `n` is to hold.
    pub(super) fn chunk(&self, n: usize) -> Option<&Notes> {
        self.chunks.get(n).map(|chunk| &chunk.notes)
    }

    /// Takes notes in, all in one chunk if they fit.
    pub(super) fn stage(&mut self, notes: Vec<Note>) {
        for note in notes {
            let Note { name, mut value } = note;
            clip(&mut value);
            let n = self.room_for(size(&name, &value));
            self.last += 1;
            if let Some(place) = self.homes.insert(name.clone(), n).filter(|before| *before != n) {
                self.outdated.push(Outdated { name: name.clone(), place, newer: (n, self.last) });
            }
            if let Some(chunk) = self.chunks.get_mut(n) {
                chunk.put(&name, self.last, value);
            }
            if self.waiting.back() != Some(&n) {
                self.waiting.push_back(n);
            }
            self.current = n;
        }
    }

    /// The chunk that is to be written next.
    pub(super) fn next(&self) -> Option<usize> {
        self.waiting.front().copied()
    }

    /// Chunk `n` stands as it is here.
    pub(super) fn written(&mut self, n: usize) {
        if self.waiting.front() == Some(&n) {
            self.waiting.pop_front();
        }
        let chunks = &mut self.chunks;
        self.outdated.retain(|Outdated { name, place, newer }| {
            if newer.0 != n {
                return true;
            }
            if let Some(chunk) = chunks.get_mut(*place)
                && chunk.notes.get(name).is_some_and(|(number, _)| *number < newer.1)
            {
                chunk.remove(name);
            }
            false
        });
    }

    /// Everything is to be written again.
    pub(super) fn rewrite(&mut self) {
        let mut waiting: VecDeque<usize> =
            (0..self.chunks.len()).filter(|n| !self.waiting.contains(n)).collect();
        waiting.append(&mut self.waiting);
        self.waiting = waiting;
    }

    /// A chunk into which so much more may be staged; a new one where there is none.
    fn room_for(&mut self, size: usize) -> usize {
        // Those before the last are written before it, so nothing that is newer may get into them.
        let is_free = |n: &usize| !self.waiting.contains(n) || self.waiting.back() == Some(n);
        let fits =
            |n: &usize| self.chunks.get(*n).is_some_and(|chunk| chunk.size + size <= ROOM) && is_free(n);
        if fits(&self.current) {
            return self.current;
        }
        let emptiest =
            (0..self.chunks.len()).filter(fits).min_by_key(|n| self.chunks.get(*n).map(|it| it.size));
        emptiest.unwrap_or_else(|| {
            self.chunks.push(Chunk::default());
            self.chunks.len() - 1
        })
    }
}

/// Clips the texts that are too long.
fn clip(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > LONGEST_TEXT => {
            text.truncate(text.floor_char_boundary(LONGEST_TEXT));
            text.push_str(" …");
        }
        Value::Array(values) => values.iter_mut().for_each(clip),
        Value::Object(values) => values.values_mut().for_each(clip),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn note(name: u8, value: usize, weight: usize) -> Note {
        Note { name: format!("step{name}"), value: json!({ "n": value, "text": "x".repeat(weight) }) }
    }

    /// What is in chunks that were written.
    fn read(stands: &[Notes]) -> BTreeMap<String, Value> {
        let notes = Ledger::of(stands.to_vec()).notes();
        notes.into_iter().map(|note| (note.name, note.value)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Groups of notes, each written as far as it comes: what stands is always all up to some note.
        #[test]
        fn what_stands_is_a_beginning_of_what_was_staged(
            groups in prop::collection::vec(
                (prop::collection::vec((0_u8..40, 0_usize..6000), 1..12), 0_usize..6), 1..40)
        ) {
            let mut ledger = Ledger::default();
            let mut stands: Vec<Notes> = Vec::new();
            // Everything that was staged so far, after each note.
            let mut history = vec![BTreeMap::new()];
            let mut n = 0;
            for (group, writes) in groups {
                let notes: Vec<Note> = group
                    .iter()
                    .map(|(name, weight)| { n += 1; note(*name, n, *weight) })
                    .collect();
                for note in &notes {
                    let mut after = history.last().unwrap().clone();
                    after.insert(note.name.clone(), note.value.clone());
                    history.push(after);
                }
                ledger.stage(notes);
                for _ in 0..writes {
                    let Some(n) = ledger.next() else { break };
                    stands.resize(ledger.n_chunks(), Notes::new());
                    stands[n] = ledger.chunk(n).unwrap().clone();
                    ledger.written(n);
                    prop_assert!(ledger.chunks.iter().all(|chunk| chunk.size <= 60_000));
                    prop_assert!(history.contains(&read(&stands)), "{:#?}", read(&stands));
                }
            }
            while let Some(n) = ledger.next() {
                stands.resize(ledger.n_chunks(), Notes::new());
                stands[n] = ledger.chunk(n).unwrap().clone();
                ledger.written(n);
            }
            prop_assert_eq!(&read(&stands), history.last().unwrap());
            let again: BTreeMap<_, _> = ledger.notes().into_iter().map(|it| (it.name, it.value)).collect();
            prop_assert_eq!(&again, history.last().unwrap());
        }
    }

    #[test]
    fn a_group_that_fits_is_one_write() {
        let mut ledger = Ledger::default();
        ledger.stage((0..40).map(|n| note(n, 1, 100)).collect());
        assert_eq!((ledger.n_chunks(), ledger.next()), (1, Some(0)));
        ledger.written(0);
        assert_eq!(ledger.next(), None);
    }

    #[test]
    fn a_text_that_explains_too_much_is_clipped() {
        let mut ledger = Ledger::default();
        ledger.stage(vec![Note { name: "a".to_owned(), value: json!({"why": ["é".repeat(50_000)]}) }]);
        let text = ledger.notes()[0].value["why"][0].as_str().unwrap().to_owned();
        assert!(text.len() < 9000 && text.ends_with("é …"), "{}", text.len());
    }
}

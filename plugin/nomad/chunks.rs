//! Bytes as they arrived, in pieces.
//!
//! A list of all allocations, or the stream's line about a large plan, can be megabytes. Put together in one piece it
//! would be the largest block the process ever asks for, which the allocator then keeps; in pieces it is given back.

use std::{
    collections::VecDeque,
    io::{self, BufReader},
};

use bytes::{Buf as _, Bytes};
use serde::de::DeserializeOwned;

/// How many bytes are put together in one piece all the same, to be read several times as fast.
const WHOLE: usize = 64 << 10;

/// Pieces in order. Reading takes them away; a clone shares them.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunks {
    pieces: VecDeque<Bytes>,
    len: usize,
}

impl Chunks {
    pub(super) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// How many bytes are left.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// At most the first `limit` bytes, in one piece.
    pub(super) fn beginning(&self, limit: usize) -> Vec<u8> {
        let mut beginning = Vec::with_capacity(self.len.min(limit));
        for piece in &self.pieces {
            let left = limit - beginning.len();
            beginning.extend_from_slice(piece.get(..left).unwrap_or(piece));
        }
        beginning
    }

    /// What they say as JSON. What is read of many is given back meanwhile.
    pub(super) fn json<T: DeserializeOwned>(self) -> Result<T, serde_json::Error> {
        match self.pieces.as_slices() {
            ([piece], []) => serde_json::from_slice(piece),
            _ if self.len <= WHOLE => serde_json::from_slice(&self.beginning(WHOLE)),
            _ => serde_json::from_reader(BufReader::new(self)),
        }
    }
}

impl io::Read for Chunks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.pieces.front_mut() else { return Ok(0) };
        let taken = piece.len().min(into.len());
        if let Some(into) = into.get_mut(..taken) {
            piece.copy_to_slice(into);
        }
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        self.len -= taken;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn pieces_are_read_in_order_to_the_last_byte() {
        let mut chunks = Chunks::default();
        for piece in ["", "hel", "lo", "", " world"] {
            chunks.push(Bytes::from_static(piece.as_bytes()));
        }
        assert_eq!((chunks.len(), chunks.beginning(4)), (11, b"hell".to_vec()));
        let mut first = [0; 4];
        chunks.read_exact(&mut first).unwrap();
        assert_eq!((&first, chunks.len()), (b"hell", 7));
        let mut rest = String::new();
        chunks.clone().read_to_string(&mut rest).unwrap();
        assert_eq!((rest.as_str(), chunks.len()), ("o world", 7));
        assert_eq!(chunks.beginning(100), b"o world");
    }

    #[test]
    fn json_is_read_from_one_piece_from_few_and_from_many() {
        let long = format!("[\"{}\"]", "x".repeat(2 * WHOLE));
        for (text, size) in [("[\"a\", \"b\"]", 100), ("[\"a\", \"b\"]", 3), (long.as_str(), 1000)] {
            let mut chunks = Chunks::default();
            for piece in text.as_bytes().chunks(size) {
                chunks.push(Bytes::copy_from_slice(piece));
            }
            let expected: Vec<String> = serde_json::from_str(text).unwrap();
            assert_eq!(chunks.clone().json::<Vec<String>>().unwrap(), expected);
            chunks.push(Bytes::from_static(b"]"));
            chunks.json::<Vec<String>>().unwrap_err();
        }
    }
}

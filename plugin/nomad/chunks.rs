//! Bytes as they arrived, in pieces.
//!
//! A list of all allocations, or the stream's line about a large plan, can be megabytes. Put together in one piece it
//! would be the largest block the process ever asks for, which the allocator then keeps; in pieces it is given back.

use std::{collections::VecDeque, io};

use bytes::Bytes;

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
        self.pieces.iter().flatten().copied().take(limit).collect()
    }
}

impl io::Read for Chunks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.pieces.front_mut() else { return Ok(0) };
        let taken = piece.split_to(piece.len().min(into.len()));
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        self.len -= taken.len();
        if let Some(into) = into.get_mut(..taken.len()) {
            into.copy_from_slice(&taken);
        }
        Ok(taken.len())
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
}

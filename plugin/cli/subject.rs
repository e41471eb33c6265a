//! What a word at the command line may name beside a tree or a job: allocations, by the beginning of their ID.
//!
//! A name that a tree or a job has goes first: whoever asks looks for those, too.

use super::{Failure, connect::refused};
use crate::nomad::{Client, Placed};

/// How much of an ID Nomad's own commands print. What is shorter may be a name by chance.
const SHORTEST: usize = 8;
/// Where an ID has its dashes.
const DASHES: [usize; 4] = [8, 13, 18, 23];
/// How long an ID is.
const WHOLE: usize = 36;

/// Whether an allocation's ID may begin with `word`.
fn is_beginning(word: &str) -> bool {
    let is_in_place = |(at, byte)| match byte {
        b'-' => DASHES.contains(&at),
        _ => !DASHES.contains(&at) && matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    };
    (SHORTEST..=WHOLE).contains(&word.len()) && word.bytes().enumerate().all(is_in_place)
}

/// Whether it would be the beginning of an ID if it were longer.
pub(super) fn is_too_short(word: &str) -> bool {
    word.len() < SHORTEST && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The allocations whose IDs begin with `word`, wherever they are.
pub(super) async fn allocations(client: &Client, word: &str) -> Result<Vec<Placed>, Failure> {
    if !is_beginning(word) {
        return Ok(Vec::new());
    }
    // Nomad takes an even number of digits.
    let n_digits = word.bytes().filter(|byte| *byte != b'-').count();
    let asked = if n_digits % 2 == 0 { word } else { word.get(..word.len() - 1).unwrap_or(word) };
    let mut placed = client.placed(asked).await.map_err(|error| refused(&error))?;
    placed.retain(|placed| placed.alloc.as_str().starts_with(word));
    Ok(placed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nomad_prints_of_an_id_is_taken_for_one() {
        for word in ["3f2a9c41", "3f2a9c41-", "3f2a9c41-0d", "3f2a9c41-0d1e-4b7c-9a55-1b2c3d4e5f60"] {
            assert!(is_beginning(word), "{word}");
        }
        for word in
            ["", "db-12", "cafe", "3f2a9c4", "3f2a9c410", "3F2A9C41", "3f2a-9c41", "deadbeef-api", "3f2a9c4g"]
        {
            assert!(!is_beginning(word), "{word}");
        }
        assert!(!is_beginning("3f2a9c41-0d1e-4b7c-9a55-1b2c3d4e5f601"));
    }
}

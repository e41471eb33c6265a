//! A digest of some texts, for names that follow from what they stand for.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// SHA-256 of `parts` in lower-case hex: another division into parts is another digest.
pub fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut sum = Sha256::new();
    for part in parts {
        sum.update(part.len().to_le_bytes());
        sum.update(part);
    }
    let mut hex = String::with_capacity(64);
    for byte in sum.finalize() {
        // Writing to a string cannot fail.
        _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_divided_in_another_way_is_something_else() {
        assert_eq!(digest(["a", "bc"]), digest(["a", "bc"]));
        assert_ne!(digest(["a", "bc"]), digest(["ab", "c"]));
        assert_ne!(digest(["a"]), digest(["a", ""]));
        assert_eq!(digest([]).len(), 64);
    }
}

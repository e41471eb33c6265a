//! The paths of what dtree keeps in Nomad's Variables: all beneath one, which is what a policy has to name.
//!
//! No name of the user's making begins with a tilde in them, so what does is dtree's own.

use std::fmt::Write as _;

use super::digest;

/// Everything is kept beneath this.
pub const VARIABLES: &str = "dtree";
/// The longest path that Nomad takes.
pub const LONGEST_PATH: usize = 128;
/// How long a name made from another is.
const SHORT: usize = 32;

/// `name` in the letters that a path may have; others as `~` and their code. A slash stays.
pub fn path_of(name: &str) -> String {
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'/' => path.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => _ = write!(path, "~{byte:02X}"),
        }
    }
    path
}

/// The same without a slash.
pub fn segment_of(name: &str) -> String {
    path_of(name).replace('/', "~2F")
}

/// A name of 32 letters that follows from `name`.
pub fn short_of(name: &str) -> String {
    let mut short = digest([name]);
    short.truncate(SHORT);
    short
}

/// `path`, or one that follows from it where Nomad would not take it.
pub fn fitting(path: String) -> String {
    if path.len() <= LONGEST_PATH { path } else { format!("{VARIABLES}/~long/{}", short_of(&path)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_names_share_a_path() {
        assert_eq!(path_of("api.v1/ü"), "api~2Ev1/~C3~BC");
        assert_eq!(segment_of("a/b"), "a~2Fb");
        assert_ne!(path_of("a~2E"), path_of("a."));
        let long = "x".repeat(LONGEST_PATH);
        assert_eq!(fitting(long.clone()), long);
        let (one, other) = (fitting(format!("{long}x")), fitting(format!("{long}y")));
        assert!(one != other && one.starts_with("dtree/~long/") && one.len() < LONGEST_PATH, "{one}");
    }
}

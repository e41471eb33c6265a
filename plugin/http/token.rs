//! A secret that is shown to an API.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    path::Path,
};

/// The longest token that is read. A workload identity has some 800 bytes.
const MAX_TOKEN: u64 = 64 << 10;

/// A secret by which an API knows its bearer: an ACL token or a workload identity.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token in `text`, without the white space around it. `None` when nothing is left, or when it could not be
    /// sent in an HTTP header.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let can_be_sent = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        can_be_sent.then(|| Self(text.to_owned()))
    }

    /// The token in a file.
    ///
    /// # Errors
    ///
    /// Also when it holds none. No more than 64 KiB are read.
    pub fn read(mut file: File) -> io::Result<Self> {
        let mut text = String::new();
        file.by_ref().take(MAX_TOKEN).read_to_string(&mut text)?;
        Self::new(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it holds no token"))
    }

    /// The token in a file of the operator's, who may use links.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::read(File::open(path)?)
    }

    /// The secret itself, to be sent and never to be shown.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let token = Token::new(" s3cret\n").unwrap();
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert_eq!(token.secret(), "s3cret");
        assert_eq!(Token::new(" \n"), None);
        assert_eq!(Token::new("a\r\nX-Evil: 1"), None);
    }
}

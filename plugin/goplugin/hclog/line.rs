//! One line of the log, as bytes.

use jiff::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeMap};
use tracing::Level;

/// The host reads lines into 64 KiB; what is longer comes out as unreadable pieces. The rest is room for its own words.
pub(super) const LIMIT: usize = 60 * 1024;

/// How long a single text may be, tried from the left until the line is within [`LIMIT`].
const LENGTHS: [usize; 4] = [48 * 1024, 8 * 1024, 1024, 64];

/// How many pairs a line may have. Only nonsense has more.
const MAX_PAIRS: usize = 64;

/// What a line says.
pub(super) struct Line<'a> {
    pub(super) level: Level,
    pub(super) at: Timestamp,
    pub(super) message: &'a str,
    /// Further pairs. Of two with the same key the first one counts.
    pub(super) pairs: &'a [(String, String)],
}

impl Line<'_> {
    /// The line with its newline.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for longest in LENGTHS {
            // Text in a map always serializes.
            bytes = serde_json::to_vec(&Cut { line: self, longest }).unwrap_or_default();
            if bytes.len() < LIMIT {
                break;
            }
        }
        bytes.push(b'\n');
        bytes
    }
}

/// A line whose texts are at most this many bytes long.
struct Cut<'a> {
    line: &'a Line<'a>,
    longest: usize,
}

impl Serialize for Cut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { line: Line { level, at, message, pairs }, longest } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("@level", level_name(*level))?;
        map.serialize_entry("@message", &shortened(message, *longest))?;
        map.serialize_entry("@timestamp", &at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string())?;
        for (n, (key, value)) in pairs.iter().enumerate().take(MAX_PAIRS) {
            let is_new = pairs.iter().take(n).all(|(earlier, _)| earlier != key);
            if is_new && !key.starts_with('@') {
                map.serialize_entry(key, &shortened(value, *longest))?;
            }
        }
        map.end()
    }
}

/// `text`, or its beginning with a mark that there was more.
fn shortened(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let mut end = longest;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}… ({} bytes)", text.get(..end).unwrap_or_default(), text.len())
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn line(level: Level, message: &str, pairs: &[(&str, &str)]) -> String {
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let at = Timestamp::from_microsecond(1_795_158_842_000_042).unwrap();
        String::from_utf8(Line { level, at, message, pairs: &pairs }.to_bytes()).unwrap()
    }

    #[test]
    fn a_line_is_what_hclog_writes() {
        let text =
            line(Level::INFO, "gate opened", &[("job", "postgres"), ("attempt", "3"), ("job", "outer")]);
        insta::assert_snapshot!(text, @r#"{"@level":"info","@message":"gate opened","@timestamp":"2026-11-20T07:14:02.000042Z","job":"postgres","attempt":"3"}"#);
    }

    #[test]
    fn no_text_breaks_the_line_or_takes_the_place_of_its_own_words() {
        let text = line(Level::WARN, "two\nlines", &[("@level", "loud"), ("why", "a\r\n\"b\"")]);
        insta::assert_snapshot!(text, @r#"{"@level":"warn","@message":"two\nlines","@timestamp":"2026-11-20T07:14:02.000042Z","why":"a\r\n\"b\""}"#);
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let text = line(Level::DEBUG, &"é".repeat(40_000), &[("short", "stays")]);
        assert!(
            text.len() < LIMIT && text.contains("… (80000 bytes)") && text.contains(r#""short":"stays""#)
        );
    }

    proptest! {
        /// Whatever is logged, the host gets one line it can read.
        #[test]
        fn every_line_is_short_json_of_texts(
            message in any::<String>(),
            pairs in proptest::collection::vec(("[@a-z]{0,3}", any::<String>()), 0..80),
            times in 1..300_usize,
        ) {
            let long: Vec<_> = pairs.iter().map(|(key, value)| (key.as_str(), value.repeat(times))).collect();
            let pairs: Vec<_> = long.iter().map(|(key, value)| (*key, value.as_str())).collect();
            let text = line(Level::TRACE, &message.repeat(times), &pairs);
            prop_assert!(text.len() <= LIMIT, "{}", text.len());
            prop_assert_eq!(text.lines().count(), 1);
            let read: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&read["@level"], "trace");
        }
    }
}

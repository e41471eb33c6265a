//! A panic in the log: one line at error, instead of Rust's several lines that the host would log one by one.

use std::{
    any::Any,
    panic::{self, PanicHookInfo},
    thread,
};

use jiff::Timestamp;
use tracing::Level;

use super::line::Line;

/// Hands each panic of this process to `write`, as one line.
pub fn report_panics(write: impl Fn(&[u8]) + Send + Sync + 'static) {
    panic::set_hook(Box::new(move |panic| write(&line_for(panic))));
}

fn line_for(panic: &PanicHookInfo<'_>) -> Vec<u8> {
    let place = panic.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
    let thread = thread::current().name().unwrap_or("unnamed").to_owned();
    let pairs = [
        ("error".to_owned(), text_of(panic.payload()).to_owned()),
        ("place".to_owned(), place),
        ("thread".to_owned(), thread),
    ];
    Line {
        level: Level::ERROR,
        at: Timestamp::now(),
        message: "dtree panicked; this is a bug",
        pairs: &pairs,
    }
    .to_bytes()
}

/// What a panic says, from its payload.
fn text_of(payload: &dyn Any) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("it does not say why")
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        panic::{catch_unwind, set_hook, take_hook},
        sync::{Arc, Mutex},
    };

    use super::*;

    #[test]
    fn a_panic_is_one_line_at_error() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let before = take_hook();
        let written = Arc::clone(&lines);
        report_panics(move |line| written.lock().unwrap().push(line.to_vec()));
        // In a thread with a name, so that panics of other tests in the meantime can be told from this one.
        let thread = thread::Builder::new().name("gate".to_owned());
        let join = thread.spawn(|| catch_unwind(|| panic!("one\ntwo {}", 3)).is_err()).unwrap();
        assert!(join.join().unwrap());
        set_hook(before);

        let lines = lines.lock().unwrap();
        let ours: Vec<_> = lines.iter().filter(|line| line.windows(4).any(|w| w == b"gate")).collect();
        assert_eq!(ours.len(), 1);
        assert_eq!(ours[0].iter().position(|byte| *byte == b'\n'), Some(ours[0].len() - 1));
        let mut pairs: BTreeMap<String, String> = serde_json::from_slice(ours[0]).unwrap();
        assert!(pairs.remove("@timestamp").unwrap().ends_with('Z'));
        assert!(pairs.remove("place").unwrap().starts_with("plugin/goplugin/hclog/panic.rs:"));
        insta::assert_debug_snapshot!(pairs, @r#"
        {
            "@level": "error",
            "@message": "dtree panicked; this is a bug",
            "error": "one\ntwo 3",
            "thread": "gate",
        }
        "#);
    }
}

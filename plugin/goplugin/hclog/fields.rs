//! Collects the fields of an event or a span as text.

use std::{error::Error, fmt, fmt::Write};

use tracing::field::{Field, Visit};

/// The fields in the order they were given.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    /// The sentence of an event.
    pub(super) message: String,
    /// All other fields.
    pub(super) pairs: Vec<(String, String)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: String) {
        if field.name() == "message" {
            self.message = value;
        } else {
            self.pairs.push((field.name().to_owned(), value));
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut chain = value.to_string();
        let mut source = value.source();
        while let Some(error) = source {
            // Writing to a string does not fail.
            write!(chain, ": {error}").ok();
            source = error.source();
        }
        self.add(field, chain);
    }
}

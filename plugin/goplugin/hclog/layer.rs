//! Turns tracing's events into lines.

use jiff::Timestamp;
use tracing::{
    Event, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{layer::Context, registry::LookupSpan};

use super::{fields::Fields, line::Line};

/// Writes each event as one line, with the fields of the spans it happened in. What it is given must write a line whole.
#[derive(Debug)]
pub struct Layer<W>(W);

impl<W: Fn(&[u8]) + 'static> Layer<W> {
    /// Hands each finished line, newline included, to `write`.
    pub fn new(write: W) -> Self {
        Self(write)
    }
}

impl<S, W> tracing_subscriber::Layer<S> for Layer<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn(&[u8]) + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        // From the innermost span outwards: the nearest one to say something is believed.
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.pairs.extend(of_span.pairs.iter().rev().cloned());
            }
        }
        let line = Line {
            level: *event.metadata().level(),
            at: Timestamp::now(),
            message: &fields.message,
            pairs: &fields.pairs,
        };
        (self.0)(&line.to_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{debug, field::Empty, info, info_span, subscriber::with_default};
    use tracing_subscriber::{layer::SubscriberExt, registry};

    use super::*;

    /// What is written while `act` runs, with the times replaced.
    fn log_of(act: impl FnOnce()) -> String {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&lines);
        let layer = Layer::new(move |line: &[u8]| written.lock().unwrap().extend_from_slice(line));
        with_default(registry().with(layer), act);
        let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = text
            .lines()
            .map(|line| {
                let (before, after) = line.split_once(r#""@timestamp":""#).unwrap();
                let (time, after) = after.split_at("2006-01-02T15:04:05.000000Z".len());
                let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
                format!("{before}\"@timestamp\":\"{shape}{after}")
            })
            .collect();
        lines.join("\n")
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot reach Nomad")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn an_event_carries_its_fields_and_those_of_its_spans_once() {
        let text = log_of(|| {
            let _task = info_span!("task", task = "gate", alloc_id = "61d0c2aa", state = Empty).entered();
            let wait = info_span!("wait", job = "postgres").entered();
            wait.record("job", "redis");
            info!(attempt = 3, is_last = false, task = "mine", "gate opened");
            drop(wait);
            let error = Outer(std::io::Error::other("no route"));
            debug!(error = &error as &dyn std::error::Error, "again");
        });
        insta::assert_snapshot!(text, @r#"
        {"@level":"info","@message":"gate opened","@timestamp":"0000-00-00T00:00:00.000000Z","attempt":"3","is_last":"false","task":"mine","job":"redis","alloc_id":"61d0c2aa"}
        {"@level":"debug","@message":"again","@timestamp":"0000-00-00T00:00:00.000000Z","error":"cannot reach Nomad: no route","alloc_id":"61d0c2aa","task":"gate"}
        "#);
    }
}

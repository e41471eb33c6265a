//! What a run shows while it is under way: on a terminal a table that is drawn again and again, elsewhere a line for each
//! thing that happens. All of it is talk, and goes to stderr.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
};

use crate::{
    engine::Status,
    show::{self, Row},
};

/// The size of a terminal that does not say its own.
const USUAL: (usize, usize) = (80, 24);

/// Where a run is shown.
pub(super) struct Screen {
    is_terminal: bool,
    has_colour: bool,
    /// How many lines of the table stand above the cursor.
    drawn: usize,
    last: Vec<Row>,
}

impl Screen {
    /// With a table where there may be one, `has_table`, and a terminal to draw it on.
    pub(super) fn new(has_table: bool) -> Self {
        let is_terminal = has_table && is_drawn_on();
        Self { is_terminal, has_colour: is_terminal && has_colour(), drawn: 0, last: Vec::new() }
    }

    /// Something has happened.
    pub(super) fn line(&mut self, line: &str) {
        if !self.is_terminal {
            write(&format!("    {line}\n"));
        }
    }

    /// Something that the user is to know in any case.
    pub(super) fn say(&mut self, text: &str) {
        self.leave();
        write(text);
    }

    /// Draws the table anew, where there is one.
    pub(super) fn draw(&mut self, status: impl FnOnce() -> Status) {
        if !self.is_terminal {
            return;
        }
        let status = status();
        let (width, height) = size();
        let mut rows = show::table(&status, width, height.saturating_sub(2));
        let notes = status.notes.iter().map(|note| Row {
            before: show::fit(&format!("note: {note}"), width.saturating_sub(1)),
            state: "",
            after: String::new(),
        });
        rows.extend(notes.take(2));
        rows.truncate(height.saturating_sub(1).max(1));
        if rows == self.last && self.drawn > 0 {
            return;
        }
        let mut text = String::new();
        if self.drawn > 0 {
            // Writing into a string cannot fail.
            let _ = write!(text, "\x1b[{}A", self.drawn);
        }
        for row in &rows {
            text.push_str("\x1b[2K");
            text.push_str(&self.coloured(row));
            text.push_str("\r\n");
        }
        // What is left of a longer table.
        text.push_str("\x1b[J");
        self.drawn = rows.len();
        self.last = rows;
        write(&text);
    }

    /// Leaves the table where it is: what comes next comes below it.
    fn leave(&mut self) {
        self.drawn = 0;
        self.last.clear();
    }

    fn coloured(&self, Row { before, state, after }: &Row) -> String {
        let colour = match *state {
            "satisfied" => "32",
            "failed" => "31",
            "working" | "gated" => "33",
            "State" => "1",
            _ => "2",
        };
        if self.has_colour && !state.is_empty() {
            format!("{before}\x1b[{colour}m{state}\x1b[0m{after}")
        } else {
            format!("{before}{state}{after}")
        }
    }
}

/// The columns and lines of the terminal.
fn size() -> (usize, usize) {
    let size = terminal_size::terminal_size_of(io::stderr());
    size.map_or(USUAL, |(width, height)| (usize::from(width.0).max(1), usize::from(height.0).max(4)))
}

/// Talk.
pub(super) fn write(text: &str) {
    // Nobody may be listening any more.
    io::stderr().write_all(text.as_bytes()).ok();
}

/// Whether what is told goes to a terminal that takes more than lines.
fn is_drawn_on() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
}

/// Whether what is told may be coloured.
pub(super) fn has_colour() -> bool {
    is_drawn_on() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
}

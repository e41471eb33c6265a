//! Columns without frames. On a terminal the last of them is cut where the line would be longer than that is wide.

use std::io::{self, IsTerminal as _};

/// The least that is shown of the last column.
const LEAST: usize = 20;

/// Rows of cells.
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// An empty one, with what stands above.
    pub(super) fn new(header: [&str; N]) -> Self {
        Self { rows: vec![header.map(str::to_owned)] }
    }

    /// Adds a row. Line breaks become blanks.
    pub(super) fn add(&mut self, row: [String; N]) {
        self.rows.push(row.map(|cell| cell.split_whitespace().collect::<Vec<_>>().join(" ")));
    }

    /// All of it, for stdout.
    pub(super) fn text(&self) -> String {
        let size = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
        self.within(size.map(|(width, _)| usize::from(width.0)))
    }

    fn within(&self, most: Option<usize>) -> String {
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let before: usize = widths.iter().take(N.saturating_sub(1)).map(|width| width + 2).sum();
        let room = most.map(|most| most.saturating_sub(before).max(LEAST));
        let mut text = String::new();
        for row in &self.rows {
            let mut cells = row.iter().zip(widths).peekable();
            while let Some((cell, width)) = cells.next() {
                if cells.peek().is_some() {
                    text.push_str(cell);
                    text.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count()));
                    continue;
                }
                match room.filter(|room| cell.chars().count() > *room) {
                    Some(room) => text.extend(cell.chars().take(room.saturating_sub(1)).chain(['…'])),
                    None => text.push_str(cell),
                }
            }
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be_and_the_last_gives_way() {
        let mut table = Table::new(["Step", "State", "Detail"]);
        table
            .add(["postgres", "gated", "0 of 1\nhealthy, and more than fits into a line"].map(str::to_owned));
        table.add(["ü", "satisfied", ""].map(str::to_owned));
        insta::assert_snapshot!(table.within(None), @"
        Step      State      Detail
        postgres  gated      0 of 1 healthy, and more than fits into a line
        ü         satisfied
        ");
        insta::assert_snapshot!(table.within(Some(45)), @"
        Step      State      Detail
        postgres  gated      0 of 1 healthy, and mor…
        ü         satisfied
        ");
        assert!(table.within(Some(1)).lines().all(|line| line.chars().count() <= 21 + LEAST));
    }
}

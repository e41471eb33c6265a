//! Pictures and tables of a run: pure text from a [`Status`].
//!
//! The look is that of Nomad's own commands: columns without frames, four spaces, understandable without colour.

mod graph;
mod svg;
mod table;

use std::fmt::Write as _;

pub use self::{
    graph::{Graph, Kind},
    table::{Row, fit, table},
};
use crate::engine::{NodeStatus, Spoken, Status};

/// The steps as a tree: each under the last of what it depends on, with since when it stands as it does, and until
/// when it may.
pub fn tree(status: &Status) -> String {
    let mut text = format!("{}\n", status.task);
    for node in status.nodes.iter().filter(|node| node.depends_on.is_empty()) {
        branch(status, node, &mut Vec::new(), &mut text);
    }
    text
}

fn branch<'a>(status: &'a Status, node: &'a NodeStatus, above: &mut Vec<&'a str>, text: &mut String) {
    let since = Spoken(status.now.since(node.since));
    let until = match node.gives_up {
        Some(at) => format!("; {} in {}", ends(node), Spoken(at.since(status.now))),
        None => String::new(),
    };
    // What is not above it in the picture has to be said.
    let others: Vec<&str> =
        node.depends_on.iter().map(String::as_str).filter(|needed| !above.contains(needed)).collect();
    let after = if others.is_empty() { String::new() } else { format!(" (after {} too)", others.join(", ")) };
    text.push_str(&"    ".repeat(above.len() + 1));
    // Writing into a string cannot fail.
    let _ = writeln!(text, "{}{after}: {} for {since}: {}{until}", node.name, node.state, node.detail);
    above.push(&node.name);
    for next in status.nodes.iter().filter(|next| next.depends_on.last() == Some(&node.name)) {
        branch(status, next, above, text);
    }
    above.pop();
}

/// What happens when a step's time is over.
fn ends(node: &NodeStatus) -> &'static str {
    match node.on_timeout {
        "continue" => "goes on without it",
        "fail" => "gives up",
        // What a guard does.
        word => word,
    }
}

/// For each step that holds the run up: what is awaited, what is seen, since when, until when, what helps.
pub fn why(status: &Status) -> String {
    let mut lines = Vec::new();
    if let Some(ending) = &status.ending {
        lines.push(ending.clone());
    }
    let holding: Vec<&NodeStatus> = status.nodes.iter().filter(|node| node.state != "satisfied").collect();
    if holding.is_empty() && status.ending.is_none() {
        lines.push("nothing is awaited any more".to_owned());
    }
    for node in holding {
        if ["blocked", "skipped"].contains(&node.state) {
            lines.push(format!("{}: {}: {}", node.name, node.state, node.detail));
            continue;
        }
        lines.push(format!("{}: {}", node.name, node.state));
        lines.push(format!("    awaited   {}", node.wanted));
        lines.push(format!("    seen      {}", node.detail));
        lines.extend(node.seen.iter().map(|line| format!("              {line}")));
        lines.push(format!("    since     {} ago", Spoken(status.now.since(node.since))));
        if let Some(gives_up) = node.gives_up {
            let left = Spoken(gives_up.since(status.now));
            lines.push(format!("    until     {left} from now, then {}", node.on_timeout));
        }
        lines.extend(node.hint.iter().map(|hint| format!("    help      {hint}")));
    }
    lines.extend(status.notes.iter().map(|note| format!("note: {note}")));
    lines.push(String::new());
    lines.join("\n")
}

/// All steps in columns.
pub fn status(status: &Status) -> String {
    let header = ["Step", "State", "Since", "Detail"].map(str::to_owned);
    let rows = status.nodes.iter().map(|node| {
        let detail = match node.gives_up {
            Some(gives_up) => {
                format!("{}; until {} from now", node.detail, Spoken(gives_up.since(status.now)))
            }
            None => node.detail.clone(),
        };
        [node.name.clone(), node.state.to_owned(), Spoken(status.now.since(node.since)).to_string(), detail]
    });
    let rows: Vec<[String; 4]> = std::iter::once(header).chain(rows).collect();
    let widths = rows.iter().fold([0; 4], |widths: [usize; 4], row| {
        let mut cells = row.iter().map(|cell| cell.chars().count());
        widths.map(|width| width.max(cells.next().unwrap_or_default()))
    });
    let ending =
        status.ending.as_ref().map_or_else(String::new, |ending| format!("Ended         = {ending}\n"));
    let mut text = format!(
        "Task          = {}\nAllocation    = {}\nElapsed       = {}\n{ending}\n",
        status.task,
        status.alloc,
        Spoken(status.now.since(status.began)),
    );
    for row in &rows {
        let mut cells = row.iter().zip(widths).peekable();
        while let Some((cell, width)) = cells.next() {
            text.push_str(cell);
            if cells.peek().is_some() {
                text.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count()));
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;

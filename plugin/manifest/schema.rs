//! The blocks and attributes of a manifest as data: the one list that Nomad's schema, the reader and the
//! documentation's tables follow.

/// A kind of labelled block that may stand any number of times.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// The word before the label.
    pub name: &'static str,
    /// What the label is, as Nomad's messages call it.
    pub label: &'static str,
    /// What may stand inside.
    pub attributes: &'static [Attribute],
}

/// An attribute of a block. Every one is optional.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it means, in the words of the documentation.
    pub meaning: &'static str,
}

/// What an attribute takes. Durations and percentages are text: Nomad's schema language has no type for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// `true` or `false`.
    Bool,
    /// A list of strings.
    TextList,
}

const fn text(name: &'static str, meaning: &'static str) -> Attribute {
    Attribute { name, kind: Kind::Text, meaning }
}

/// The body of `config {}`.
pub const MANIFEST: &[Block] = &[Block {
    name: "wait",
    label: "name",
    attributes: &[
        text("job", "the job to wait for; the label if absent"),
        text("namespace", "the job's namespace; the task's own if absent"),
        text("group", "only this group of the job"),
        text("task", "a task of the own allocation instead of a job"),
        text("until", "running, healthy, complete, failed, finished, stopped or absent"),
        text("at_least", "how many allocations of each group: \"2\", or \"50%\""),
        Attribute {
            name: "any_version",
            kind: Kind::Bool,
            meaning: "count allocations of older versions of the job too",
        },
        text("timeout", "how long to wait; 5m if absent"),
        text("on_timeout", "fail or continue"),
        text("on_blocked", "wait or fail, while Nomad finds no room for the job"),
        Attribute {
            name: "depends_on",
            kind: Kind::TextList,
            meaning: "other waits that must hold before this one is looked at",
        },
    ],
}];

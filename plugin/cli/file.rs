//! A file that a command is given: read, understood, and what is wrong with it drawn into its text.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, renderer::DecorStyle};

use serde_json::{Value, json};

use super::{Failure, screen};
use crate::{
    cluster::nearest,
    manifest::{
        Problem,
        text::{self, Declared, Format, Import, Located},
    },
    plan::Plan,
};

/// The longest file that is read, in bytes. One with ten thousand jobs has a megabyte.
const MAX_FILE: u64 = 16 << 20;

/// A file's text.
#[derive(Clone, Debug)]
pub(super) struct Source {
    name: String,
    text: String,
    format: Format,
    /// Whether jobspecs may be anywhere on the disk.
    may_leave: bool,
}

/// A declaration that can be carried out.
pub(super) struct Good {
    pub(super) declared: Declared,
    pub(super) plan: Plan,
}

impl Source {
    /// Reads `path`, or stdin for `-`.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let name = if path.as_os_str() == "-" { "stdin".to_owned() } else { path.display().to_string() };
        let cannot = |why: String| Failure::cannot(format!("dtree: cannot read {name}: {why}\n"));
        let mut bytes = Vec::new();
        let read = if path.as_os_str() == "-" {
            io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut bytes)
        } else {
            File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        };
        read.map_err(|error| {
            cannot(match error.kind() {
                io::ErrorKind::IsADirectory => "it is a directory; name the file in it".to_owned(),
                io::ErrorKind::NotFound => absent(path),
                io::ErrorKind::PermissionDenied => "you may not read it".to_owned(),
                _ => error.to_string(),
            })
        })?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(cannot(format!("it is longer than {} MiB", MAX_FILE >> 20)));
        }
        Self::of(name, bytes)
    }

    /// What is in `bytes`, which came from `name`.
    pub(super) fn of(name: String, bytes: Vec<u8>) -> Result<Self, Failure> {
        let cannot = |why: String| Failure::cannot(format!("dtree: cannot read {name}: {why}\n"));
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return Err(cannot("it is UTF-16; save it as UTF-8".to_owned()));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let line =
                error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|b| **b == b'\n');
            cannot(format!("it is no UTF-8 text, in line {}", line.count() + 1))
        })?;
        let text = text.trim_start_matches('\u{feff}').to_owned();
        let is_json = text.trim_start().starts_with('{');
        Ok(Self { name, text, format: if is_json { Format::Json } else { Format::Hcl }, may_leave: false })
    }

    /// The same; `may_leave` says whether jobspecs may be anywhere on the disk.
    pub(super) fn with_outside(self, may_leave: bool) -> Self {
        Self { may_leave, ..self }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// All that it declares, if nothing is wrong with any of it.
    pub(super) fn understand(&self) -> Result<Vec<Good>, Failure> {
        self.judge().map_err(|problems| self.tell(&problems))
    }

    /// The same, or all that is wrong with it.
    pub(super) fn judge(&self) -> Result<Vec<Good>, Vec<Located>> {
        let declared = text::read(&self.text, self.format).map_err(|problem| vec![problem])?;
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for mut declared in declared {
            let mut problems = std::mem::take(&mut declared.problems);
            problems.retain(|problem| !(self.may_leave && problem.leads_out()));
            match Plan::compile(declared.manifest.clone(), problems) {
                Ok(plan) => good.push(Good { declared, plan }),
                Err(problems) => bad.extend(problems.iter().map(|problem| declared.places.locate(problem))),
            }
        }
        if bad.is_empty() { Ok(good) } else { Err(bad) }
    }

    /// Problems for programs, in their order in the text.
    pub(super) fn documents(&self, problems: &[Located]) -> Vec<Value> {
        let mut problems: Vec<&Located> = problems.iter().collect();
        problems.sort_by_key(|located| located.span.start);
        let documents = problems.into_iter().map(|Located { problem, span }| {
            let ((line, column), (end_line, end_column)) = (self.place(span.start), self.place(span.end));
            json!({
                "line": line, "column": column, "end_line": end_line, "end_column": end_column,
                "place": problem.place(), "text": problem.text(), "help": help(problem),
            })
        });
        documents.collect()
    }

    /// The line and the column of a byte of the text; both count from 1, columns in letters.
    fn place(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }

    /// The jobs that a dependency file names, also as hooks, as far as it can be read: nothing is checked.
    pub(super) fn names_of_jobs(&self) -> std::collections::BTreeSet<String> {
        let file: Value = serde_json::from_str(&self.text).unwrap_or_default();
        let units = file.get("dependencies").and_then(Value::as_object);
        let hook = |unit: &Value| unit.pointer("/post/job").and_then(Value::as_str).map(str::to_owned);
        units
            .into_iter()
            .flatten()
            .flat_map(|(name, unit)| hook(unit).into_iter().chain([name.clone()]))
            .collect()
    }

    /// The manifest that an older tool's file comes to.
    pub(super) fn import(&self, import: Import<'_>) -> Result<String, Failure> {
        self.imported(import).map_err(|problems| self.tell(&problems))
    }

    /// The same, or all that is wrong with the file.
    pub(super) fn imported(&self, import: Import<'_>) -> Result<String, Vec<Located>> {
        text::import(&self.text, import)
    }

    /// Draws problems into the text, in its order.
    fn tell(&self, problems: &[Located]) -> Failure {
        let mut problems: Vec<&Located> = problems.iter().collect();
        problems.sort_by_key(|located| located.span.start);
        let renderer = if screen::has_colour() { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let mut said = String::new();
        for Located { problem, span } in &problems {
            let title = format!("{}: {}", problem.place(), problem.text());
            // It is said by where it stands.
            let title = title.trim_start_matches("file: ").trim_start_matches("config: ");
            let snippet = Snippet::source(self.text.as_str())
                .path(self.name.as_str())
                .annotation(AnnotationKind::Primary.span(span.clone()));
            let mut group = Group::with_title(Level::ERROR.primary_title(title)).element(snippet);
            if let Some(help) = help(problem) {
                group = group.element(Level::HELP.message(help));
            }
            said.push_str(&renderer.render(&[group]));
            said.push_str("\n\n");
        }
        let count = match problems.len() {
            1 => "1 problem".to_owned(),
            n => format!("{n} problems"),
        };
        Failure::cannot(format!("{said}{count} in {}\n", self.name))
    }
}

/// What there is in place of a file that is not there.
fn absent(path: &Path) -> String {
    if let Ok(target) = path.read_link() {
        return format!("it is a link to {}, which is not there", target.display());
    }
    let parent =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let others = parent.read_dir().into_iter().flatten().flatten();
    let others: Vec<String> = others.filter_map(|other| other.file_name().into_string().ok()).collect();
    let wanted = path.file_name().unwrap_or_default().to_string_lossy();
    match nearest(&wanted, others.iter().map(String::as_str)) {
        Some(meant) => {
            format!("there is no such file; did you mean {}?", path.with_file_name(meant).display())
        }
        None => "there is no such file".to_owned(),
    }
}

/// What to do about a problem.
fn help(problem: &Problem) -> Option<&str> {
    let outside = "from a shell, `--outside` reads it where it is: check, plan, run, stop, submit, policy and doctor take that";
    problem.help().or_else(|| problem.leads_out().then_some(outside))
}

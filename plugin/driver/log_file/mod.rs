//! A task's own log, written where `nomad alloc logs` reads: `<alloc_dir>/alloc/logs/<task>.stdout.N`.
//!
//! It spares a log collector, a process of its own for each task. Nomad shows the numbered files one after the other.
//!
//! # Invariants
//!
//! * Other tasks of the allocation may write into that directory, and dtree is root. So nothing there is trusted: every
//!   directory on the way and the file itself are opened without following links, and only a regular file that has no
//!   second name is written to ([`beneath`]). Nothing planted there can redirect a write, block it, or fail the gate.
//! * At most two files of [`MAX_SIZE`] are kept. A new process goes on in the file with the highest number.
//! * A line that cannot be written, because the disk is full or the file is refused, is dropped. The reason is returned
//!   once.

mod beneath;
mod names;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
};

use jiff::Timestamp;

use self::{beneath::LogDir, names::Series};

/// How large a file may become. Two of them tell the story of any gate, and 200 gates stay below half a gigabyte.
const MAX_SIZE: u64 = 1024 * 1024;

/// How long one line may be; the rest of it is cut off.
const MAX_LINE: usize = 16 * 1024;

/// The log of one task.
#[derive(Debug)]
pub(super) struct LogFile {
    alloc_dir: PathBuf,
    task: String,
    open: Option<Open>,
    /// Whether the reader of the log's owner knows that something is wrong with it.
    has_complained: bool,
    /// Whether the empty file for standard error has been tried.
    has_stderr: bool,
}

/// The file that is written to now.
#[derive(Debug)]
struct Open {
    file: File,
    number: u32,
    size: u64,
    /// Whether the last line was cut off by a full disk.
    is_torn: bool,
}

impl LogFile {
    /// The log of `task` in the allocation whose directory is `alloc_dir`. Nothing is opened yet.
    pub(super) fn new(alloc_dir: impl Into<PathBuf>, task: impl Into<String>) -> Self {
        let (alloc_dir, task) = (alloc_dir.into(), task.into());
        Self { alloc_dir, task, open: None, has_complained: false, has_stderr: false }
    }

    /// Appends `text`, each line of it with the time `at`.
    ///
    /// # Errors
    ///
    /// Why nothing is written: once, however long it lasts.
    pub(super) fn append(&mut self, at: Timestamp, text: &str) -> io::Result<()> {
        let mut result = Ok(());
        for line in text.lines() {
            let appended = self.append_line(format!("{at:.3} {}\n", shortened(line)).as_bytes());
            result = result.and(appended);
        }
        match result {
            Err(_) if self.has_complained => Ok(()),
            Err(error) => {
                self.has_complained = true;
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }

    fn append_line(&mut self, line: &[u8]) -> io::Result<()> {
        let is_full = |open: &Open| open.size + line.len() as u64 > MAX_SIZE;
        if self.open.as_ref().is_none_or(is_full) {
            let next = self.open.take().map(|open| open.number.saturating_add(1));
            self.open = Some(self.open_file(next, line.len() as u64)?);
        }
        match &mut self.open {
            Some(open) => open.append(line),
            None => Ok(()),
        }
    }

    /// Opens file `number`; without one, the file to go on with, or the next if `room` more bytes do not fit into it.
    fn open_file(&mut self, number: Option<u32>, room: u64) -> io::Result<Open> {
        let dir = LogDir::open(&self.alloc_dir)?;
        let series = Series::stdout_of(&self.task)?;
        if !self.has_stderr {
            self.has_stderr = true;
            dir.open_file(&Series::stderr_of(&self.task)?.name(0))?;
        }
        let numbers = series.numbers_in(dir.names()?);
        let latest = numbers.iter().max().copied().unwrap_or_default();
        let mut number = number.unwrap_or(latest);
        let mut file = dir.open_file(&series.name(number))?;
        if file.metadata()?.len() + room > MAX_SIZE {
            number = series.after(number)?;
            file = dir.open_file(&series.name(number))?;
        }
        for old in numbers.into_iter().filter(|old| old.saturating_add(1) < number) {
            // If it cannot be removed, it only takes up room.
            dir.remove(&series.name(old)).ok();
        }
        let size = file.metadata()?.len();
        Ok(Open { file, number, size, is_torn: false })
    }
}

impl Open {
    /// Appends a line, unless the disk is full.
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let torn = [b"\n", line].concat();
        let bytes = if self.is_torn { &torn } else { line };
        let written = match self.file.write(bytes) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error)
                if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                0
            }
            Err(error) => return Err(error),
        };
        self.size += written as u64;
        if written > 0 {
            self.is_torn = written < bytes.len();
        }
        Ok(())
    }
}

/// The line, or its beginning if it is too long.
fn shortened(line: &str) -> &str {
    let mut end = line.len().min(MAX_LINE);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.get(..end).unwrap_or_default()
}

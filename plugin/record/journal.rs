//! A file to which entries are only ever added.
//!
//! ```text
//!   {"journal":1,"tree":"shop/deploy"}      the header
//!   {…}                                     an entry
//!   {…}                                     an entry
//!   {"no                                    a write that a crash cut off: dropped
//! ```
//!
//! Everything here blocks until the disk has it. Entries are small and few; a caller on an async runtime that cannot
//! spare the milliseconds of a flush moves the journal to a blocking thread.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::beneath::Directory;

/// The version of the format.
const VERSION: u64 = 1;

/// The journal's file.
const NAME: &str = "journal";

/// The file that a new journal is written to before it takes the other's place.
const NEW_NAME: &str = "journal.new";

/// How large a journal may become: what became of a thousand jobs fits many times. Less in tests,
/// which fill it.
const MAX_SIZE: u64 = if cfg!(test) { 1 << 20 } else { 256 << 20 };

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refuses, or what is there is not what dtree made.
    #[error("cannot use the journal `{}`", path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// A later dtree wrote it.
    #[error("the journal `{}` has version {version}, and this dtree knows version {VERSION}: a later dtree began this run, so update the plugin on this client to that one", path.display())]
    Version {
        /// Its path.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
    /// It is another tree's.
    #[error("the journal `{}` is that of tree {found:?}: move it away, and the run begins anew", path.display())]
    OtherTree {
        /// Its path.
        path: PathBuf,
        /// The tree in its header.
        found: String,
    },
    /// It holds what dtree never writes.
    #[error("line {line} of the journal `{}` is damaged, so what this run did is not known: move the file away, and the run begins anew and finds what it submitted by its marks", path.display())]
    Damaged {
        /// Its path.
        path: PathBuf,
        /// Which line; 1 is the first.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct Header {
    journal: u64,
    tree: String,
}

/// The part that every version has.
#[derive(Deserialize)]
struct Versioned {
    journal: u64,
}

/// An open journal. There must be no other of the same task at the same time.
#[derive(Debug)]
pub struct Journal {
    directory: Directory,
    file: File,
    header: String,
    /// How much of the file is whole entries. What is behind it is the rest of a write that failed.
    len: u64,
    /// Whether there may be something behind it.
    is_torn: bool,
}

impl Journal {
    /// Opens the journal of `task` in the allocation whose directory is `alloc_dir`, or begins one for `tree`. Also the
    /// entries that it has, in the order in which they were appended.
    ///
    /// The rest of a write that was cut off by a crash is cut away.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or not be understood. Nothing is changed then.
    pub fn open(alloc_dir: &Path, task: &str, tree: &str) -> Result<(Self, Vec<Value>), Error> {
        let path = alloc_dir.join(task).join("dtree").join(NAME);
        let io = |source| Error::Io { path: path.clone(), source };
        let header = Header { journal: VERSION, tree: tree.to_owned() };
        let mut header = serde_json::to_string(&header).map_err(|error| io(error.into()))?;
        header.push('\n');
        let directory = Directory::open(alloc_dir, task).map_err(io)?;
        let Some(mut file) = directory.file(NAME).map_err(io)? else {
            return Ok((Self::begin(directory, header).map_err(io)?, Vec::new()));
        };
        let mut bytes = Vec::new();
        (&mut file).take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 > MAX_SIZE {
            return Err(io(too_large()));
        }
        if header.as_bytes().starts_with(&bytes) && bytes.len() < header.len() {
            // A crash cut its very beginning off: there was no entry yet.
            return Ok((Self::begin(directory, header).map_err(io)?, Vec::new()));
        }
        let (entries, len) = read(&bytes, tree, &path)?;
        let mut journal = Self { directory, file, header, len, is_torn: len < bytes.len() as u64 };
        journal.cut().map_err(io)?;
        journal.directory.remove(NEW_NAME).map_err(io)?;
        Ok((journal, entries))
    }

    /// Appends `entries` in one write, and has them on the disk.
    ///
    /// # Errors
    ///
    /// When they are not all there. Then none of them is, and the next ones can be appended as if these had never been
    /// tried. Should the machine end at this moment, the first of them may be found afterwards.
    pub fn append(&mut self, entries: &[Value]) -> io::Result<()> {
        self.append_by(entries, |file, bytes, at| {
            file.write_all_at(bytes, at)?;
            file.sync_data()
        })
    }

    /// Like [`Journal::append`], written with `write`.
    pub(super) fn append_by(
        &mut self,
        entries: &[Value],
        write: impl FnOnce(&File, &[u8], u64) -> io::Result<()>,
    ) -> io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let bytes = lines(String::new(), entries);
        let len = self.len + bytes.len() as u64;
        if len > MAX_SIZE {
            return Err(too_large());
        }
        self.cut()?;
        self.is_torn = true;
        match write(&self.file, bytes.as_bytes(), self.len) {
            Ok(()) => {
                self.len = len;
                self.is_torn = false;
                Ok(())
            }
            Err(error) => {
                // Where this fails too, the next append tries it again first.
                self.cut().ok();
                Err(error)
            }
        }
    }

    /// Puts `entries` in the place of all that there is, and has them on the disk. A crash leaves the old or the new.
    ///
    /// # Errors
    ///
    /// When it cannot be written: then the old one is still there. Only when the very last step fails, the flush of the
    /// directory, the new one is there, but may be the old one again after the machine's end.
    pub fn replace(&mut self, entries: &[Value]) -> io::Result<()> {
        let (file, len) = write_new(&self.directory, &self.header, entries)?;
        (self.file, self.len, self.is_torn) = (file, len, false);
        self.directory.flush()
    }

    /// A journal without entries, in the place of what may be there.
    fn begin(directory: Directory, header: String) -> io::Result<Self> {
        let (file, len) = write_new(&directory, &header, &[])?;
        directory.flush()?;
        Ok(Self { directory, file, header, len, is_torn: false })
    }

    /// Cuts away what is no whole entry.
    fn cut(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.len)?;
            self.file.sync_data()?;
            self.is_torn = false;
        }
        Ok(())
    }
}

/// Writes a whole journal and gives it its name. Also its length.
fn write_new(directory: &Directory, header: &str, entries: &[Value]) -> io::Result<(File, u64)> {
    let bytes = lines(header.to_owned(), entries);
    if bytes.len() as u64 > MAX_SIZE {
        return Err(too_large());
    }
    let file = directory.make(NEW_NAME)?;
    let written = file.write_all_at(bytes.as_bytes(), 0).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| directory.rename(NEW_NAME, NAME)) {
        // What is left of it is removed by the next attempt.
        directory.remove(NEW_NAME).ok();
        return Err(error);
    }
    Ok((file, bytes.len() as u64))
}

/// `text`, and a line for each entry. No JSON has a line break of its own.
fn lines(mut text: String, entries: &[Value]) -> String {
    for entry in entries {
        text.push_str(&entry.to_string());
        text.push('\n');
    }
    text
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {} MiB are too many", MAX_SIZE >> 20))
}

/// The entries of a journal of `tree`, and how much of `bytes` is whole.
fn read(bytes: &[u8], tree: &str, path: &Path) -> Result<(Vec<Value>, u64), Error> {
    let damaged = |line, source| Error::Damaged { path: path.to_owned(), line, source };
    let whole = whole_lines(bytes);
    let mut lines = whole.split_inclusive(|byte| *byte == b'\n');
    let header = lines.next().unwrap_or(bytes);
    let Versioned { journal: version } = serde_json::from_slice(header).map_err(|error| damaged(1, error))?;
    if version != VERSION {
        return Err(Error::Version { path: path.to_owned(), version });
    }
    let header: Header = serde_json::from_slice(header).map_err(|error| damaged(1, error))?;
    if header.tree != tree {
        return Err(Error::OtherTree { path: path.to_owned(), found: header.tree });
    }
    let entries: Result<_, _> = lines
        .enumerate()
        .map(|(n, line)| serde_json::from_slice(line).map_err(|error| damaged(n + 2, error)))
        .collect();
    Ok((entries?, whole.len() as u64))
}

/// `bytes` up to the last line that was written whole.
///
/// After a crash some file systems show zeros where data was on its way. No line of a journal has a zero byte.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let through_last_break =
        |bytes: &[u8]| bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let ended = bytes.get(..through_last_break(bytes)).unwrap_or_default();
    let before = ended.get(..ended.len().saturating_sub(1)).unwrap_or_default();
    let last = through_last_break(before);
    match ended.get(last..) {
        Some(line) if line.contains(&0) => ended.get(..last).unwrap_or_default(),
        _ => ended,
    }
}

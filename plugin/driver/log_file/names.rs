//! The names of a task's log files. A sibling may plant any name, so only the exact ones count.

use std::io;

/// The highest number a file can have. Nobody gets there by writing; a planted name can be that high, not higher.
const MAX_NUMBER: u32 = 999_999;

/// The numbered files of one stream of a task.
#[derive(Debug)]
pub(super) struct Series {
    /// What stands before the number.
    stem: String,
}

impl Series {
    /// The files of `task`'s standard output.
    pub(super) fn stdout_of(task: &str) -> io::Result<Self> {
        Self::new(task, "stdout")
    }

    /// The files of `task`'s standard error.
    pub(super) fn stderr_of(task: &str) -> io::Result<Self> {
        Self::new(task, "stderr")
    }

    fn new(task: &str, stream: &str) -> io::Result<Self> {
        if task.is_empty() || task.contains(['/', '\0']) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("no file can be named after {task:?}"),
            ));
        }
        Ok(Self { stem: format!("{task}.{stream}.") })
    }

    /// The file with this number.
    pub(super) fn name(&self, number: u32) -> String {
        format!("{}{number}", self.stem)
    }

    /// The number after `number`.
    ///
    /// # Errors
    ///
    /// When there is none: only a sibling can have brought the numbers so far.
    pub(super) fn after(&self, number: u32) -> io::Result<u32> {
        match number {
            0..MAX_NUMBER => Ok(number + 1),
            _ => Err(io::Error::other(format!("{} has no successor", self.name(number)))),
        }
    }

    /// The numbers of those names that are files of this series.
    pub(super) fn numbers_in(&self, names: Vec<Vec<u8>>) -> Vec<u32> {
        let number_of = |name: Vec<u8>| {
            let digits = name.strip_prefix(self.stem.as_bytes())?;
            let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
            (number <= MAX_NUMBER && self.name(number).as_bytes() == name).then_some(number)
        };
        names.into_iter().filter_map(number_of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_names_have_a_number() {
        let series = Series::stdout_of("gate").unwrap();
        let names = [
            "gate.stdout.0",
            "gate.stdout.12",
            "gate.stdout.999999",
            "gate.stdout.1000000",
            "gate.stdout.18446744073709551616",
            "gate.stdout.01",
            "gate.stdout.+1",
            "gate.stdout.-1",
            "gate.stdout. 1",
            "gate.stdout.",
            "gate.stdout.1.gz",
            "gate.stderr.7",
            "other.stdout.8",
            ".gate.stdout.9",
        ];
        let mut names: Vec<_> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        names.push(b"gate.stdout.\xff".to_vec());
        assert_eq!(series.numbers_in(names), [0, 12, 999_999]);
        assert_eq!(series.after(7).unwrap(), 8);
        series.after(999_999).unwrap_err();
    }

    #[test]
    fn a_task_cannot_name_another_directory() {
        for task in ["", "../../etc/cron.d/x", "a/b", "a\0b"] {
            Series::stdout_of(task).unwrap_err();
        }
    }
}

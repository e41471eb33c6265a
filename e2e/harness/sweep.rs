//! Leaves nothing behind: ends, unmounts and removes whatever an agent has put beneath its directory.
//!
//! A process is the agent's when its program or its working directory is beneath the agent's directory, or when it has
//! inherited the agent's `TMPDIR`, which is there too. Nobody is found by name, and nobody else is touched.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Killed processes are gone, and their mounts free, in a few milliseconds; a busy machine may need longer.
const PATIENCE: Duration = Duration::from_mins(1);
/// `/sys/fs/cgroup/nomad.slice/share.slice/NAME.scope`, or `/sys/fs/cgroup/cpu/nomad/NAME`.
const CGROUP_DEPTH: usize = 3;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// What is still there of an agent.
#[derive(Debug, Default)]
pub(crate) struct Remains {
    processes: Vec<(i32, String)>,
    mounts: Vec<PathBuf>,
    cgroups: Vec<PathBuf>,
    directory: Option<PathBuf>,
}

impl Remains {
    /// Looks, and touches nothing.
    pub(crate) fn of(dir: &Path) -> Self {
        Self {
            processes: processes_of(dir),
            mounts: mounts_of(dir),
            cgroups: cgroups_of(dir),
            directory: dir.exists().then(|| dir.into()),
        }
    }

    /// Without the directory itself: what is in there, or runs from there.
    pub(crate) fn beneath(self) -> Self {
        Self { directory: None, ..self }
    }

    /// Whether nothing is left.
    pub(crate) fn is_none(&self) -> bool {
        self.processes.is_empty()
            && self.mounts.is_empty()
            && self.cgroups.is_empty()
            && self.directory.is_none()
    }
}

impl fmt::Display for Remains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (pid, command) in &self.processes {
            writeln!(f, "process {pid}: {command}")?;
        }
        for mount in &self.mounts {
            writeln!(f, "mount {}", mount.display())?;
        }
        for cgroup in &self.cgroups {
            writeln!(f, "cgroup {}", cgroup.display())?;
        }
        match &self.directory {
            Some(directory) => writeln!(f, "directory {}", directory.display()),
            None => Ok(()),
        }
    }
}

/// Ends, unmounts and removes all that is left of the agent in `dir`.
pub(crate) fn sweep(dir: &Path) -> Result<(), Remains> {
    let began = Instant::now();
    loop {
        for (pid, _) in processes_of(dir) {
            // It may have ended by itself since we looked.
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        if processes_of(dir).is_empty() {
            for mount in mounts_of(dir).iter().rev() {
                let _seen_below = Command::new("umount").arg(mount).output();
            }
            for cgroup in cgroups_of(dir) {
                let _seen_below = fs::remove_dir(cgroup);
            }
            // Not before: what is mounted there may be somebody else's, and its names lead to the cgroups.
            if mounts_of(dir).is_empty() && cgroups_of(dir).is_empty() {
                let _seen_below = fs::remove_dir_all(dir);
            }
        }
        let remains = Remains::of(dir);
        if remains.is_none() {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(remains);
        }
        thread::sleep(PAUSE);
    }
}

fn processes_of(dir: &Path) -> Vec<(i32, String)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if u32::try_from(pid) != Ok(process::id()) && belongs(&entry.path(), dir) == Ok(true) {
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push((pid, String::from_utf8_lossy(&command).replace('\0', " ")));
        }
    }
    found
}

/// An error means that the process has ended meanwhile, or is not ours to look at.
fn belongs(process: &Path, dir: &Path) -> Result<bool, io::ErrorKind> {
    let kind = |error: io::Error| error.kind();
    if fs::read_link(process.join("cwd")).map_err(kind)?.starts_with(dir)
        || fs::read_link(process.join("exe")).map_err(kind)?.starts_with(dir)
    {
        return Ok(true);
    }
    let environment = fs::read(process.join("environ")).map_err(kind)?;
    let mut variables = environment.split(|byte| *byte == 0);
    let tmpdir = variables.find_map(|variable| variable.strip_prefix(b"TMPDIR="));
    Ok(tmpdir.is_some_and(|tmpdir| Path::new(OsStr::from_bytes(tmpdir)).starts_with(dir)))
}

fn mounts_of(dir: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    points.filter(|point| point.starts_with(dir)).collect()
}

/// The cgroups of its tasks are called `<allocation>.<task>`, at a depth that depends on the version of cgroups.
fn cgroups_of(dir: &Path) -> Vec<PathBuf> {
    let names = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let allocations: Vec<OsString> = names(dir)
        .flat_map(|agent| names(&agent.join("data/alloc")).collect::<Vec<_>>())
        .filter_map(|allocation| allocation.file_name().map(ToOwned::to_owned))
        .collect();
    let mut found = Vec::new();
    let mut level = vec![PathBuf::from("/sys/fs/cgroup")];
    for _ in 0..CGROUP_DEPTH {
        level = level.iter().flat_map(|parent| names(parent)).filter(|path| path.is_dir()).collect();
        let is_ours = |path: &&PathBuf| {
            let name = path.file_name().map(OsStr::as_encoded_bytes).unwrap_or_default();
            allocations.iter().any(|allocation| name.starts_with(allocation.as_encoded_bytes()))
        };
        found.extend(level.iter().filter(is_ours).cloned());
    }
    found
}

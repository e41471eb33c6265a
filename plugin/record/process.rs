//! A process that leads a tree from a command line: who it is, and whether it is still there.
//!
//! Only a process on the same machine can tell the latter. It is known by when the machine and the process were started,
//! so that a number that was given to another process in the meantime is not taken for it.

use std::{fs, process};

use crate::cluster::{AllocId, LockId};

/// A process at a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Whose it is.
    pub user: String,
    /// Where it runs.
    pub host: String,
    /// Its number there.
    pub pid: u32,
    /// What tells it from every other process: the machine as it was last started, and the process on it. `None` where
    /// the system does not say.
    identity: Option<Identity>,
}

/// What tells a process from every other.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    /// The machine since it was started, and the name space of its process numbers.
    machine: String,
    /// When the process was started, in the kernel's clock.
    started: String,
}

impl Process {
    /// This process, which is `user`'s.
    pub fn this(user: String) -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname");
        let host = host.ok().map(|host| host.trim().to_owned()).filter(|host| !host.is_empty());
        let pid = process::id();
        let identity = machine().and_then(|machine| Some(Identity { machine, started: started(pid)? }));
        Self { user, host: host.unwrap_or_else(|| "this machine".to_owned()), pid, identity }
    }

    /// By what a record knows it, where it knows a task by its allocation; `at` is now, in milliseconds.
    pub fn alloc(&self, at: u64) -> AllocId {
        let identity = self.identity.as_ref();
        let (machine, started) = identity.map_or(("", ""), |it| (it.machine.as_str(), it.started.as_str()));
        let parts = [&self.host, &self.pid.to_string(), machine, started, &at.to_string()];
        LockId::of(parts.map(|part: &str| part)).as_str().into()
    }

    /// What the lock says of it.
    pub(super) fn items(&self) -> Vec<(&'static str, String)> {
        let identity = self.identity.iter();
        let identity =
            identity.flat_map(|it| [("machine", it.machine.clone()), ("started", it.started.clone())]);
        [("user", self.user.clone()), ("host", self.host.clone()), ("pid", self.pid.to_string())]
            .into_iter()
            .chain(identity)
            .collect()
    }

    /// The process that a lock is of; `None` when it is that of a task.
    pub(super) fn of(items: &super::header::Items) -> Option<Self> {
        let item = |name: &str| items.get(name).cloned();
        let identity = item("machine").zip(item("started"));
        Some(Self {
            user: item("user")?,
            host: item("host")?,
            pid: item("pid")?.parse().ok()?,
            identity: identity.map(|(machine, started)| Identity { machine, started }),
        })
    }

    /// Whether it still runs; `None` where this process cannot tell.
    pub fn is_there(&self) -> Option<bool> {
        let Identity { machine: its, started: at } = self.identity.as_ref()?;
        (machine()? == *its).then(|| started(self.pid).as_ref() == Some(at))
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { user, host, pid, .. } = self;
        write!(f, "{user}'s dtree on {host} (process {pid})")
    }
}

/// This machine since it was started, and the name space of process numbers that this process lives in.
fn machine() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let names = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), names.display()))
}

/// When the process was started; `None` when there is none of this number.
fn started(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in parentheses, may have anything in it.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    // It is dead when nobody has taken its end yet.
    let is_dead = matches!(fields.next()?, "Z" | "X");
    // Field 22 of all.
    fields.nth(18).filter(|_| !is_dead).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::header::Items;

    fn written(process: &Process) -> Items {
        process.items().into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    #[test]
    fn a_process_is_known_again_by_what_its_lock_says() {
        let this = Process::this("eve".to_owned());
        assert_eq!(Process::of(&written(&this)), Some(this.clone()));
        assert_eq!(this.is_there(), Some(true));
        assert_eq!(Process::of(&Items::new()), None);
        assert_ne!(this.alloc(1), this.alloc(2));
        assert_eq!(this.alloc(1).as_str().len(), 36);
    }

    #[test]
    fn a_process_that_has_ended_is_told_from_one_that_got_its_number() {
        let mut child = process::Command::new("sleep").arg("60").spawn().unwrap();
        let identity = Identity { machine: machine().unwrap(), started: started(child.id()).unwrap() };
        let this = Process::this("eve".to_owned());
        let other = Process { pid: child.id(), identity: Some(identity), ..this.clone() };
        assert_eq!(other.is_there(), Some(true));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(other.is_there(), Some(false));
        let identity = Identity { machine: machine().unwrap(), started: "1".to_owned() };
        assert_eq!(Process { identity: Some(identity), ..this.clone() }.is_there(), Some(false));
        let identity = Identity { machine: "another".to_owned(), started: "1".to_owned() };
        assert_eq!(Process { identity: Some(identity), ..this }.is_there(), None);
    }
}

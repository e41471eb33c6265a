//! What goes into a run, and what comes out of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Approved, Deed, Doomed, Entry, HookOutcome, Keepsake, Time};
use crate::{
    cluster::{
        AllocId, JobKey, JobVersion, Marks, Question, RaftIndex, RunId, Sight, Told, TreeName, VersionRecord,
    },
    condition::Attested,
    manifest::Reference,
    plan::Blueprint,
};

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The run begins, or goes on in a new process.
    Started,
    /// This is what is seen of a job now.
    Seen(JobKey, Arc<Sight>),
    /// This is what is answered to a question now.
    Told(Question, Arc<Told>),
    /// The run leads its tree, or may not, or not yet.
    Led(Result<Lead, Trouble>),
    /// Somebody else leads the tree now, in these words: the run ends, and remembers nothing more.
    Lost(String),
    /// The jobspecs of a tree are prepared.
    Prepared {
        /// What each of them says, by node.
        blueprints: BTreeMap<String, Blueprint>,
        /// Whether these are what the run remembers to have begun with. Otherwise it begins anew.
        is_same: bool,
        /// The run that this is: another one where it begins anew.
        run: RunId,
    },
    /// The jobspecs of a tree cannot be prepared.
    Unprepared(Trouble),
    /// This came of an act of this step.
    Acted(String, Result<Report, Trouble>),
    /// What the run must remember cannot be written down, and nothing is done before it can; `None`: it can again.
    Hindered(Option<String>),
    /// A user opens the gate by hand.
    Opened {
        /// Why, in the user's words.
        reason: String,
    },
    /// A user approves a wait, for the rest of the run.
    Approved {
        /// Which.
        name: String,
        /// Who, in the user's words, if they say.
        by: Option<String>,
    },
    /// Nomad stops the task.
    Stopped,
    /// A user wants a run of a tree to end: what is under way comes to its end, and nothing new is begun.
    Drained,
    /// A user leaves: all in the cluster stays as it is, and whoever comes next goes on with the run.
    Left,
    /// Time has passed.
    Tick,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Tell the user in a task event.
    Announce(String),
    /// Write a line into the task's log.
    Log(Line),
    /// Write this down so that a crash does not lose it, before anything that follows is done.
    Remember(Entry),
    /// Take the lead of the tree, as [`Event::Led`]. Nothing of it is looked at or written before.
    Lead,
    /// Have the jobspecs of the tree parsed and checked, as [`Event::Prepared`].
    Prepare,
    /// Show these jobs too, as [`Event::Seen`].
    Watch(BTreeSet<JobKey>),
    /// Ask these too, and go on asking, as [`Event::Told`].
    Ask(BTreeSet<Question>),
    /// Write down what a guard must not forget, in the place of what stands there, before anything that follows is done.
    Keep(Keepsake),
    /// Write down what users have approved for a gate, in the place of what stands there, before anything that follows is done.
    KeepApprovals(BTreeMap<String, Approved>),
    /// Do this to the own allocation, and report it as [`Event::Acted`].
    Do(String, Deed),
    /// Do this for a step, and report it as [`Event::Acted`]. A step has at most one act under way.
    Act(String, Act),
    /// Tell the addresses of the tree's `webhook` blocks how the run ended. Nothing waits for that.
    Notify(Box<Notice>),
    /// The run is over.
    Finish(Outcome),
}

/// A line of the task's log, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A step stands like this now.
    Step {
        /// Its name.
        name: String,
        /// One of the six words; of a guard's wait how that stands.
        state: &'static str,
        /// What is in the way, or in what way it is satisfied.
        detail: String,
    },
    /// Anything else.
    Said(String),
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self::Said(text)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step { name, state, detail } => write!(f, "{name}: {state}: {detail}"),
            Self::Said(text) => f.write_str(text),
        }
    }
}

/// Something that a shell does with Nomad. Each of them can be done again without a second effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Read the versions of a job, and what was attested of it: [`Report::Recalled`].
    Recall {
        /// The job.
        key: JobKey,
    },
    /// Read what the step takes from others, fill it in, and keep what it submits: [`Report::Filled`]. No value is told
    /// to anybody.
    Fill {
        /// The outputs to be read.
        wanted: BTreeSet<Reference>,
        /// What is known already.
        known: BTreeMap<Reference, String>,
    },
    /// Register the step's job unless it is registered like this: [`Report::Submitted`].
    Submit {
        /// The job.
        key: JobKey,
        /// The marks it gets.
        marks: Marks,
        /// Whether a job without marks is taken over.
        may_adopt: bool,
        /// Whether there was no such job when it was looked at: then it is registered without another look, which Nomad
        /// refuses where there is one after all.
        is_new: bool,
    },
    /// Have the step's hook run under this ID unless it does or did: [`Report::Launched`] or [`Report::Spent`].
    Launch {
        /// The ID that is registered; for a hook that dispatches, the token by which it is known.
        key: JobKey,
        /// The marks it gets.
        marks: Marks,
        /// The parameterized job to dispatch, if it is one.
        dispatch: Option<JobKey>,
        /// What the hook may want to know, for the meta of its job.
        about: BTreeMap<&'static str, String>,
    },
    /// Stop a hook's job, finished or not, so that its result is never taken again; `purge` forgets it altogether:
    /// [`Report::Done`].
    Retire {
        /// The job.
        key: JobKey,
        /// Whether Nomad is to forget it.
        purge: bool,
    },
    /// Read which trees wait for a job: [`Report::Holders`].
    Holders {
        /// The job.
        key: JobKey,
    },
    /// Write down that this tree waits for a job: [`Report::Done`].
    Hold {
        /// The job.
        key: JobKey,
    },
    /// Take back that this tree waits for a job: [`Report::Done`].
    LetGo {
        /// The job.
        key: JobKey,
    },
    /// Stop a job of the tree if it is still what it was, or `purge` it when it is stopped: [`Report::Stopped`].
    Stop {
        /// The job.
        key: JobKey,
        /// What it was.
        doomed: Doomed,
        /// Whether Nomad is to forget it, and what is written down of it.
        purge: bool,
    },
    /// Write down that a job was brought into service, its post hooks included: [`Report::Done`].
    Attest {
        /// The job.
        key: JobKey,
        /// Since which registration.
        done: Attested,
        /// What its post hooks came to.
        hooks: BTreeMap<String, HookOutcome>,
    },
    /// Read the record of what runs once: [`Report::Record`].
    ReadOnce {
        /// The path of its variable.
        path: String,
    },
    /// Write the record of what runs once over what it was when it was read: [`Report::Written`].
    WriteOnce {
        /// The path of its variable.
        path: String,
        /// What it is to say.
        items: BTreeMap<String, String>,
        /// The write that it was last seen with; `None`: there was none.
        over: Option<RaftIndex>,
    },
    /// Read the end of a task's output: [`Report::Tail`].
    Tail {
        /// Its job's namespace and ID.
        key: JobKey,
        /// Its allocation.
        alloc: AllocId,
        /// Its name.
        task: String,
        /// Whether it has failed: then what it said last is worth waiting for.
        has_failed: bool,
    },
}

/// What came of an act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// What is known of the job's past.
    Recalled {
        /// The versions that Nomad keeps, newest first.
        versions: Vec<VersionRecord>,
        /// What was attested last.
        done: Option<Attested>,
        /// What its post hooks came to then.
        hooks: BTreeMap<String, HookOutcome>,
    },
    /// What the step submits is filled in, and says this of itself.
    Filled(Box<Blueprint>),
    /// The job is registered like this.
    Submitted(Submission),
    /// The hook runs, or ran, as this job.
    Launched(JobKey),
    /// These trees wait for the job.
    Holders(Vec<Holder>),
    /// The job is stopped: when that was written. Zero where there is no such job any more.
    Stopped(RaftIndex),
    /// A hook's job of this ID was there, and its result was taken before.
    Spent,
    /// The record is this; `None`: there is none.
    Record(Option<Kept>),
    /// The record was written, as this write; `None`: it is not what was expected, and nothing was written.
    Written(Option<RaftIndex>),
    /// It is done.
    Done,
    /// The last lines of a task's output.
    Tail(String),
}

/// A tree that waits for a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its name.
    pub tree: TreeName,
    /// The variable in which it is written down.
    pub path: String,
}

/// The lead of a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lead {
    /// What the run remembers that was led before, by this or another allocation.
    pub entries: Vec<Entry>,
    /// What the user should know about it.
    pub note: Option<String>,
}

/// A record as it stands in Nomad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The last write to it.
    pub index: RaftIndex,
    /// What it says.
    pub items: BTreeMap<String, String>,
}

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What was wanted, what is in the way, what to do.
    pub why: String,
    /// Whether trying again may help.
    pub is_transient: bool,
}

/// A job as it was registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// When the job was first registered since it was last purged.
    pub create_index: RaftIndex,
    /// Its version.
    pub version: JobVersion,
}

/// How a run of a tree ended, for those outside who want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The tree.
    pub tree: TreeName,
    /// The run; `None` when nothing was begun.
    pub run: Option<RunId>,
    /// The task, as users name it: `job/group/task`.
    pub task: String,
    /// Its allocation.
    pub alloc: AllocId,
    /// Whether everything was as it should be.
    pub is_good: bool,
    /// What came of it.
    pub message: String,
    /// When it began.
    pub began: Time,
    /// When it ended.
    pub ended: Time,
    /// Each step and the word of its state, in the order of the plan.
    pub steps: Vec<(String, &'static str)>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is as it should be: the gate opens, the tree is up.
    Done,
    /// The run failed: what was wanted, what stood in the way, what to do.
    Failed(String),
    /// Nomad stopped the task.
    Stopped,
}

/// How long to wait before the next try, after `tries` of them.
pub(super) fn backoff(tries: u32) -> Duration {
    let tenths = 2_u64.saturating_pow(tries.min(7));
    Duration::from_millis(100 * tenths).min(Duration::from_secs(10))
}

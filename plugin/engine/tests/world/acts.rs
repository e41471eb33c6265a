//! What a shell does with the cluster: it looks, and it writes over what it has seen.

use std::collections::BTreeMap;

use super::{Attested, Kept, SECRET, World, Written, blueprint};
use crate::{
    cluster::{JobKey, JobType, JobVersion, RaftIndex},
    condition::{self, Claim},
    engine::{Act, Doomed, Holder, Report, Submission, Trouble},
};

/// The tree whose runs these are.
const TREE: &str = "default/shop";

/// What an act has found when it looked.
#[derive(Clone, Debug)]
pub(in crate::engine::tests) enum Look {
    /// There is nothing to be written.
    Answer(Result<Report, Trouble>),
    /// It is to be written over this: an index, or zero for nothing.
    Write { over: u64 },
}

impl World {
    /// Does what a shell would do with Nomad, all in one moment.
    pub(in crate::engine::tests) fn perform(&mut self, name: &str, act: &Act) -> Result<Report, Trouble> {
        let look = self.look(name, act);
        self.write(name, act, look)
    }

    /// The first moment of an act: what is there.
    pub(in crate::engine::tests) fn look(&self, name: &str, act: &Act) -> Look {
        let over = |over| Look::Write { over };
        let report = match act {
            Act::Recall { key } => {
                let versions = self.jobs.get(key).map_or_else(Vec::new, |job| job.versions.clone());
                let (done, hooks) = match self.attested.get(key).cloned() {
                    Some(Attested { done, hooks, .. }) => (Some(done), hooks),
                    None => (None, BTreeMap::new()),
                };
                Report::Recalled { versions, done, hooks }
            }
            // Nomad refuses to create what is there, and then it is looked at: the same.
            Act::Submit { key, marks, may_adopt, is_new: _ } => {
                let found = self.jobs.get(key).map(|job| job.job(key).job);
                match condition::claim(found.as_ref(), marks, *may_adopt) {
                    Claim::Unchanged => self.submitted(key),
                    Claim::Create | Claim::Update(_) => return over(self.last_change(key)),
                    Claim::Foreign(why) => return Look::Answer(Err(Trouble { why, is_transient: false })),
                }
            }
            Act::Launch { .. } if let Some(why) = self.refused_launch => {
                return Look::Answer(Err(Trouble { why: why.to_owned(), is_transient: false }));
            }
            Act::Launch { key, dispatch: None, .. } => match self.jobs.get(key) {
                Some(job) if job.is_stopped => Report::Spent,
                Some(_) => Report::Launched(key.clone()),
                None => return over(0),
            },
            Act::Attest { key, done, hooks } => match self.attested.get(key) {
                Some(found) if found.done == *done && found.hooks == *hooks => Report::Done,
                found => return over(found.map_or(0, |found| found.index)),
            },
            // The hash follows from the values, which are told to nobody.
            Act::Fill { wanted, known } => {
                let read =
                    |name: &String| self.outputs.get(name).cloned().unwrap_or_else(|| SECRET.to_owned());
                let read = wanted.iter().map(ToString::to_string).map(|name| read(&name));
                let values: Vec<String> = read.chain(known.values().cloned()).collect();
                let values = crate::cluster::digest(values.iter().map(String::as_str));
                let kind = if name.starts_with("hook") { JobType::Batch } else { JobType::Service };
                Report::Filled(Box::new(blueprint(name, kind, &format!("filled-{}", &values[..4]))))
            }
            Act::Holders { key } => {
                let held = self.held.iter().filter(|(job, _)| job == key);
                let holders = held.map(|(job, tree)| Holder {
                    tree: tree.as_str().into(),
                    path: format!("dtree/~held/{job}/{tree}"),
                });
                Report::Holders(holders.collect())
            }
            Act::ReadOnce { path } => Report::Record(self.records.get(path).cloned()),
            Act::Tail { .. } => Report::Tail("connecting\npsql: no route to host\n".to_owned()),
            // Nomad itself looks, by the token, when it dispatches; and retiring needs no look. Of what runs once the
            // engine says over what it is written.
            Act::Launch { .. }
            | Act::Retire { .. }
            | Act::Hold { .. }
            | Act::LetGo { .. }
            | Act::Stop { .. }
            | Act::WriteOnce { .. } => return over(0),
        };
        Look::Answer(Ok(report))
    }

    /// The second moment: the write, if nothing that Nomad looks at has changed since the first.
    pub(in crate::engine::tests) fn write(
        &mut self,
        name: &str,
        act: &Act,
        look: Look,
    ) -> Result<Report, Trouble> {
        let over = match look {
            Look::Answer(answer) => return answer,
            Look::Write { over } => over,
        };
        let conflict = || Err(Trouble { why: "it was changed meanwhile".to_owned(), is_transient: true });
        match act {
            Act::Submit { key, .. } | Act::Launch { key, dispatch: None, .. }
                if self.last_change(key) != over =>
            {
                conflict()
            }
            Act::Attest { key, .. } if self.attested.get(key).map_or(0, |found| found.index) != over => {
                conflict()
            }
            Act::Submit { key, marks, .. } => {
                self.put(key, JobType::Service, Some(marks.clone()));
                self.written.push(Written::Job(name.to_owned()));
                Ok(self.submitted(key))
            }
            Act::Launch { key, marks, dispatch, about: _ } => {
                let key = match dispatch {
                    Some(parent) => JobKey::new("default", format!("{}/dispatch-{}", parent.job, key.job)),
                    None => key.clone(),
                };
                match self.jobs.get(&key) {
                    Some(job) if job.is_stopped => return Ok(Report::Spent),
                    Some(_) => {}
                    None => {
                        self.put(&key, JobType::Batch, Some(marks.clone()));
                        self.written.push(Written::Hook(name.to_owned(), key.job.clone()));
                    }
                }
                Ok(Report::Launched(key))
            }
            Act::Retire { key, purge } => {
                self.stop(key);
                if *purge {
                    self.purge(key);
                }
                Ok(Report::Done)
            }
            Act::Attest { key, done, hooks } => {
                self.index += 1;
                let attested = Attested { index: self.index, done: done.clone(), hooks: hooks.clone() };
                self.attested.insert(key.clone(), attested);
                Ok(Report::Done)
            }
            Act::Hold { key } => {
                self.held.insert((key.clone(), TREE.to_owned()));
                Ok(Report::Done)
            }
            Act::LetGo { key } => {
                self.held.remove(&(key.clone(), TREE.to_owned()));
                Ok(Report::Done)
            }
            Act::Stop { key, doomed, purge } => self.stop_for(name, key, doomed, *purge),
            Act::WriteOnce { path, items, over } => {
                if self.records.get(path).map(|kept| kept.index) != *over {
                    return Ok(Report::Written(None));
                }
                self.index += 1;
                let index = RaftIndex(self.index);
                self.records.insert(path.clone(), Kept { index, items: items.clone() });
                Ok(Report::Written(Some(index)))
            }
            // They write nothing.
            Act::Recall { .. }
            | Act::Fill { .. }
            | Act::Holders { .. }
            | Act::ReadOnce { .. }
            | Act::Tail { .. } => Ok(Report::Done),
        }
    }

    /// Stops a job as a shell would.
    fn stop_for(
        &mut self,
        name: &str,
        key: &JobKey,
        doomed: &Doomed,
        purge: bool,
    ) -> Result<Report, Trouble> {
        let Some(job) = self.jobs.get(key).map(|job| job.job(key).job) else {
            return Ok(Report::Stopped(RaftIndex(0)));
        };
        if let Err(why) = condition::may_stop(&job, &TREE.into(), doomed.create_index, &doomed.spec) {
            return Err(Trouble { why, is_transient: false });
        }
        if !job.is_stopped {
            assert!(!purge, "{name} is purged, and was not stopped");
            self.stop(key);
            self.written.push(Written::Stop(name.to_owned()));
        }
        if purge {
            assert!(!self.runs(key), "{name} is purged while it runs");
            self.purge(key);
            self.attested.remove(key);
            return Ok(Report::Stopped(RaftIndex(0)));
        }
        Ok(Report::Stopped(RaftIndex(self.jobs[key].job_modify_index)))
    }

    /// When a job was last changed; zero for none, as Nomad takes it.
    fn last_change(&self, key: &JobKey) -> u64 {
        self.jobs.get(key).map_or(0, |job| job.job_modify_index)
    }

    fn submitted(&self, key: &JobKey) -> Report {
        let job = &self.jobs[key];
        let (create_index, version) = (RaftIndex(job.create_index), JobVersion(job.version));
        Report::Submitted(Submission { create_index, version })
    }
}

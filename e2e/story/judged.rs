//! What is known of a story when it fails, and what the oracles say at its end.

use std::fmt::Write;
use std::io::Write as _;
use std::sync::PoisonError;

use super::Story;
use crate::harness::{seconds, wait_for};
use crate::oracle;

impl Story {
    /// What the trees have done up to now is judged now, because what follows changes Nomad's records of it.
    #[track_caller]
    pub(crate) fn is_judged_up_to_now(&self) {
        let findings = self.judgement();
        assert!(findings.is_empty(), "the oracle says:\n  {}\n{}", findings.join("\n  "), self.report());
        *self.judged_until.lock().unwrap_or_else(PoisonError::into_inner) =
            jiff::Timestamp::now().as_nanosecond();
    }

    /// What Nomad knows of the story's jobs, and the plugin's words.
    pub(crate) fn report(&self) -> String {
        let mut text = String::new();
        let mut ids: Vec<String> = self.jobs().into_iter().map(|(id, _)| id).collect();
        for (id, namespace) in self.of_trees() {
            if !ids.contains(&id) {
                self.knows([(id.clone(), namespace)]);
                ids.push(id);
            }
        }
        for id in ids {
            for allocation in self.allocations(&id).unwrap_or_default() {
                let _infallible = writeln!(
                    text,
                    "{id} {} v{} {} {} {}",
                    allocation["ID"],
                    allocation["JobVersion"],
                    allocation["DesiredStatus"],
                    allocation["ClientStatus"],
                    allocation["DeploymentStatus"]
                );
                for (task, state) in allocation["TaskStates"].as_object().into_iter().flatten() {
                    let _infallible =
                        writeln!(text, "  {task}: {} failed={}", state["State"], state["Failed"]);
                    for event in state["Events"].as_array().into_iter().flatten() {
                        let _infallible = writeln!(text, "    {} {}", event["Type"], event["DisplayMessage"]);
                    }
                }
            }
        }
        text + &self.cluster.log_tail(40)
    }

    /// What the oracle has to say about the story's jobs.
    fn judgement(&self) -> Vec<String> {
        let excused = self.excused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let judged: Vec<_> = self.jobs().into_iter().filter(|(id, _)| !excused.contains_key(id)).collect();
        // What Nomad's client finds of an allocation's health reaches the records a moment later.
        let gates = wait_for(seconds(20), || {
            let found = match oracle::Record::read(self.cluster.api(), &judged) {
                Ok(mut record) => {
                    record.outside = self.outside.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    oracle::judge(&record)
                }
                Err(why) => vec![format!("the record cannot be read: {why}")],
            };
            if found.is_empty() { Ok(()) } else { Err(found.join("\n  ")) }
        });
        let mut findings: Vec<String> = gates.err().into_iter().collect();
        let since = *self.judged_until.lock().unwrap_or_else(PoisonError::into_inner);
        let trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (id, namespace) in trees.iter().filter(|(id, _)| !excused.contains_key(id)) {
            // What a tree has stopped takes a moment to end.
            let judged = wait_for(seconds(30), || {
                let shells = self.shells.of(&(namespace.clone(), id.clone()));
                let found = match oracle::trees::Record::read_with(self.cluster.api(), namespace, id, shells)
                {
                    Ok(mut record) => {
                        record.jobs.outside =
                            self.outside.lock().unwrap_or_else(PoisonError::into_inner).clone();
                        oracle::trees::judge(&record, since)
                    }
                    Err(why) => vec![format!("the record of {id} cannot be read: {why}")],
                };
                if found.is_empty() { Ok(()) } else { Err(found.join("\n  ")) }
            });
            findings.extend(judged.err());
        }
        findings
    }
}

impl Story {
    /// What the oracle has to say of a story that failed: nothing when it cannot judge any more.
    fn judged_after_a_failure(&self) -> Vec<String> {
        let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.judgement()));
        let mut findings = judged.unwrap_or_default();
        findings.retain(|finding| !finding.contains("cannot be read"));
        findings
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        let findings = if failed { self.judged_after_a_failure() } else { self.judgement() };
        let report = if findings.is_empty() { String::new() } else { self.report() };
        let mut jobs = self.jobs();
        jobs.extend(self.of_trees());
        for (id, namespace) in jobs {
            // The agent may be down, or the job never have been taken.
            let path = format!("/v1/job/{id}?namespace={namespace}&purge=true");
            let _not_there = self.cluster.api().delete(&path);
        }
        let words = format!("the oracle says:\n  {}\n{report}", findings.join("\n  "));
        if failed && !findings.is_empty() {
            // A second panic would end the whole process; the words decide that there is no second try (`e2e/stories`).
            let _unsaid = writeln!(std::io::stderr(), "{words}");
            return;
        }
        assert!(findings.is_empty(), "{words}");
    }
}

//! What the shell does next, as the tape has it: answers, shows, waits, stops, and lets others meddle.

use super::*;

impl Shell<'_> {
    /// Until it ends.
    pub(super) fn run(&mut self) -> Result<(), TestCaseError> {
        self.step(Event::Started)?;
        while self.judge.finishes.is_empty() {
            self.judge.n_steps += 1;
            prop_assert!(self.judge.n_steps < 4000, "it never ends: {:#?}", self.engine.status(self.now));
            if let Some((after, is_own)) = self.case.stop
                && self.judge.n_steps == u32::from(after)
            {
                self.stop(is_own)?;
                continue;
            }
            self.another_moment()?;
            match self.choice() {
                180..=199 if self.case.has_strangers => self.meddle(),
                0..=99 => self.go_on()?,
                100..=149 => self.answer(true, false)?,
                150..=164 => self.answer(true, true)?,
                165..=179 => self.answer(false, true)?,
                180..=199 => {
                    // What is true is shown again, or before its time.
                    let n = usize::from(self.choice());
                    let key = self.watched.iter().nth(n % self.watched.len().max(1)).cloned();
                    if let Some(key) = key {
                        self.show(key)?;
                    }
                }
                200..=209 => {
                    let n = usize::from(self.choice());
                    let key = self.watched.iter().nth(n % self.watched.len().max(1)).cloned();
                    if let Some(key) = key {
                        self.news.insert(key.clone());
                        self.shown.insert(key.clone(), None);
                        self.tell(format!("{} is out of sight", key.job));
                        let away = unseen(Blindness::Unreachable, "away");
                        self.step(Event::Seen(key, Arc::new(away)))?;
                    }
                }
                210..=229 => {
                    let until = self.now + Duration::from_secs(u64::from(self.choice()) % 20);
                    self.pass_time(until)?;
                }
                230..=239 => self.step(Event::Tick)?,
                240..=250 => self.crash(false)?,
                251..=255 => {
                    let may_be_lost = self.case.lands_after.is_none();
                    self.crash(may_be_lost && self.case.tape.len().is_multiple_of(2))?;
                }
            }
        }
        Ok(())
    }

    /// Nomad stops the task: the run ends as soon as it can. If its job was stopped too, that is shown before Nomad's word
    /// to the task, or a while later.
    fn stop(&mut self, is_own: bool) -> Result<(), TestCaseError> {
        self.tell(format!("STOPPED, with its job: {is_own}"));
        let is_late = is_own && self.choice().is_multiple_of(2);
        let own = |is_stopped| {
            let sight = own_job().but(|job| job.is_stopped = is_stopped).seen();
            Event::Seen(place().job, Arc::new(sight))
        };
        self.step(own(is_own && !is_late))?;
        self.until_crash = None;
        let at = self.now;
        if self.judge.finishes.is_empty() {
            self.step(Event::Stopped)?;
        }
        if is_late && self.judge.finishes.is_empty() {
            self.step(own(true))?;
        }
        while self.judge.finishes.is_empty() {
            self.judge.n_steps += 1;
            prop_assert!(self.judge.n_steps < 4000, "it does not stop");
            self.go_on()?;
        }
        prop_assert!(self.now.since(at) <= Duration::from_secs(3), "it stops late");
        Ok(())
    }

    /// Someone else does something to a job of the tree.
    fn meddle(&mut self) {
        let (what, n) = (self.choice(), usize::from(self.choice()));
        let keys: Vec<JobKey> = self.world.jobs.keys().cloned().collect();
        let Some(key) = keys.get(n % keys.len().max(1)) else { return };
        self.tell(format!("SOMEONE does {} to {}", what % 4, key.job));
        match what % 4 {
            0 => self.world.scale(key),
            1 => self.world.purge(key),
            2 => self.world.stop(key),
            _ => self.world.register_by_hand(key.job.as_str()),
        }
        if self.watched.contains(key) {
            self.news.insert(key.clone());
        }
    }

    /// The next thing that must happen some time.
    fn go_on(&mut self) -> Result<(), TestCaseError> {
        if !self.under_way.is_empty() {
            let (name, act) = self.under_way.remove(0);
            return self.report(name, &act, true, false);
        }
        if let Some(key) = self.news.first().cloned() {
            return self.show(key);
        }
        let due = [self.engine.next_timeout(), self.to_come.keys().next().map(|(at, _)| *at)];
        let Some(at) = due.into_iter().flatten().min() else {
            prop_assert!(false, "nothing will ever happen: {:#?}", self.engine.status(self.now));
            return Ok(());
        };
        self.pass_time(at)
    }

    /// Time goes on until `until`; what is due in between happens.
    fn pass_time(&mut self, until: Time) -> Result<(), TestCaseError> {
        while self.judge.finishes.is_empty() {
            let next = self.to_come.keys().next().map(|(at, _)| *at).filter(|at| *at <= until);
            let timeout = self.engine.next_timeout().filter(|at| *at <= until);
            match (next, timeout) {
                (Some(at), timeout) if timeout.is_none_or(|timeout| at <= timeout) => {
                    self.now = self.now.max(at);
                    let ((_, key), fate) = self.to_come.pop_first().unwrap();
                    self.world.fare(&key, fate);
                    if fate == Fate::Good {
                        self.judge.were_ready.insert(key.clone());
                    }
                    if self.watched.contains(&key) {
                        self.news.insert(key);
                    }
                }
                (_, Some(at)) => {
                    prop_assert!(at >= self.now, "a timeout in the past: {at:?} at {:?}", self.now);
                    self.now = at;
                    self.step(Event::Tick)?;
                }
                (_, None) => break,
            }
        }
        self.now = self.now.max(until);
        Ok(())
    }

    fn show(&mut self, key: JobKey) -> Result<(), TestCaseError> {
        self.news.remove(&key);
        let fate = self.world.jobs.get(&key).map(|job| job.fate);
        self.shown.insert(key.clone(), fate);
        if fate == Some(Fate::Good) {
            let hook = self.world.jobs[&key].marks().map(|marks| marks.node.clone());
            if let Some(hook) = hook.filter(|name| self.is_hook(name)) {
                if !self.world.jobs[&key].is_stopped() && !self.is_lost(&hook) {
                    self.judge.counts_for_all.insert(hook.clone());
                }
                self.judge.ended_well.insert(hook);
            }
        }
        self.tell(format!("{} is seen: {fate:?}", key.job));
        let sight = self.world.sight(&key);
        self.step(Event::Seen(key, Arc::new(sight)))
    }

    /// An act is answered: it was done or not, and its answer arrives or is lost.
    fn answer(&mut self, is_done: bool, is_lost: bool) -> Result<(), TestCaseError> {
        let n = usize::from(self.choice());
        if self.under_way.is_empty() {
            return self.go_on();
        }
        let (name, act) = self.under_way.remove(n % self.under_way.len());
        self.report(name, &act, is_done, is_lost)
    }

    fn report(&mut self, name: String, act: &Act, is_done: bool, is_lost: bool) -> Result<(), TestCaseError> {
        let result = if is_done { Some(self.perform(&name, act)?) } else { None };
        if !is_done {
            self.becomes_late(&name, act);
        }
        let lost = Trouble { why: "the answer was lost".to_owned(), is_transient: true };
        let result = match result {
            Some(result) if !is_lost => result,
            _ => Err(lost),
        };
        self.judge.errors += u32::from(is_lost);
        self.tell(format!("{name}: {act:?} comes to {result:?}, done: {is_done}"));
        self.step(Event::Acted(name, result))
    }
}

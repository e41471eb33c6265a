//! When the next result of a check will be there, so that it is asked for right then.
//!
//! A client runs a check each time its interval is over: never sooner, and late by what the check took and a little more.
//! Its result is to be seen a millisecond later. So who has seen when one result came knows when the next will come; the
//! closer he looks then, the better he knows the one after it.
//!
//! # Invariants
//!
//! * This only chooses when to ask. What counts is what is answered, and since when is told by the asking.
//! * Somebody is asked at least every [`SELDOM`], whatever was forecast.
//! * Over time an allocation is asked no more often than once in the pace's time; only a few in a row are closer together.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::cluster::{Check, CheckStatus};

/// How late the next result may be, beyond its check's interval.
const LATE: Duration = Duration::from_millis(4);
/// The least time between two looks for one result.
const STEP: Duration = Duration::from_millis(1);
/// Into how many looks the time is divided in which a result may come.
const STEPS: u32 = 6;
/// How often an allocation is asked at least while the forecasts are close.
const SELDOM: Duration = Duration::from_millis(250);
/// Forecasts that are closer than this are trusted.
const CLOSE: Duration = Duration::from_millis(20);
/// How many looks may be closer together than the pace.
const BURST: u32 = 12;

/// The checks of one allocation.
#[derive(Debug, Default)]
pub(super) struct Phases {
    checks: BTreeMap<(String, String), Phase>,
    /// When the last look began.
    looked: Option<Instant>,
    /// Up to when the looks that were taken would last, had they been taken at the pace.
    paid: Option<Instant>,
}

/// What is known of one check.
#[derive(Debug)]
struct Phase {
    /// What tells one result from the next.
    result: (i64, CheckStatus),
    interval: Duration,
    /// Between which instants its last result came.
    came: Option<(Instant, Instant)>,
}

impl Phase {
    /// Between which instants the next result comes.
    fn forecast(&self) -> Option<(Instant, Instant)> {
        let (from, to) = self.came?;
        (self.interval > Duration::ZERO).then(|| (from + self.interval, to + self.interval + LATE))
    }

    /// Between which instants a result came that was not there at `before` and was at `by`.
    fn comes(&mut self, before: Instant, by: Instant) {
        self.came = match self.forecast() {
            Some((from, to)) if from.max(before) <= to.min(by) => Some((from.max(before), to.min(by))),
            Some(_) | None => Some((before, by)),
        };
    }

    /// When to look for the next result, after a look that ended at `now`.
    fn next(&self, now: Instant, pace: Duration) -> Option<Instant> {
        let (from, to) = self.forecast()?;
        if now < from {
            return Some(from);
        }
        let wide = (to - from) / STEPS;
        // It is overdue: the check itself takes longer than before.
        let overdue = now.saturating_duration_since(to) / 2;
        Some(now + wide.max(STEP).max(overdue).min(pace))
    }

    fn is_close(&self) -> bool {
        self.came.is_some_and(|(from, to)| to - from < CLOSE) && self.interval > Duration::ZERO
    }
}

impl Phases {
    /// Takes the results of a look that took from `began` to `ended`.
    pub(super) fn saw(
        &mut self,
        began: Instant,
        ended: Instant,
        checks: &[Check],
        intervals: &BTreeMap<String, Duration>,
    ) {
        let key = |check: &Check| (check.service.clone(), check.name.clone());
        self.checks.retain(|known, _| checks.iter().any(|check| key(check) == *known));
        for check in checks {
            let result = (check.at, check.status);
            let interval = intervals.get(&check.name).copied().unwrap_or_default();
            match self.checks.get_mut(&key(check)) {
                Some(phase) if phase.result == result => phase.interval = interval,
                Some(phase) => {
                    (phase.result, phase.interval) = (result, interval);
                    phase.comes(self.looked.unwrap_or(began), ended);
                }
                None => {
                    let came = self.looked.map(|before| (before, ended));
                    self.checks.insert(key(check), Phase { result, interval, came });
                }
            }
        }
        self.looked = Some(began);
    }

    /// When to look again after a look that ended at `now`; `pace` apart where nothing is known.
    pub(super) fn next(&self, now: Instant, pace: Duration) -> Instant {
        let is_close = !self.checks.is_empty() && self.checks.values().all(Phase::is_close);
        let at_least = now + if is_close { SELDOM.max(pace) } else { pace };
        let forecast = self.checks.values().filter_map(|phase| phase.next(now, pace)).min();
        let affordable = self.paid.map_or(now, |paid| paid.checked_sub(pace * BURST).unwrap_or(now));
        forecast.map_or(at_least, |forecast| forecast.min(at_least)).max(affordable)
    }

    /// Notes that somebody is asked at `now`.
    pub(super) fn asks(&mut self, now: Instant, pace: Duration) {
        self.paid = Some(self.paid.map_or(now, |paid| paid.max(now)) + pace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Duration = Duration::from_millis(100);

    fn ms(ms: f64) -> Duration {
        Duration::from_secs_f64(ms / 1000.0)
    }

    fn result(name: &str, at: i64) -> Check {
        Check {
            name: name.to_owned(),
            service: "s".to_owned(),
            task: String::new(),
            status: CheckStatus::Failure,
            output: String::new(),
            at,
        }
    }

    /// Looks at checks, each with its first run, its interval and how late each run is: how late each result is seen, in
    /// milliseconds, and when there was a look.
    fn watch(checks: &[(f64, f64, f64)], seconds: u32) -> (Vec<Vec<f64>>, Vec<f64>) {
        let start = Instant::now();
        let intervals: BTreeMap<String, Duration> =
            checks.iter().enumerate().map(|(n, check)| (format!("c{n}"), ms(check.1))).collect();
        let (mut phases, mut now) = (Phases::default(), 0.0);
        let mut seen = vec![vec![]; checks.len()];
        let mut looks = Vec::new();
        while now < f64::from(seconds) * 1000.0 {
            phases.asks(start + ms(now), PACE);
            looks.push(now);
            // An answer shows how it was in the middle of the look.
            let (began, ended) = (now, now + 0.8);
            let mut results = Vec::new();
            for (n, (first, interval, late)) in checks.iter().enumerate() {
                let mut last = None;
                let (mut run, mut at) = (0, *first);
                while at <= began + 0.4 {
                    last = Some((run, at));
                    (run, at) = (run + 1, at + interval + late);
                }
                let Some((run, at)) = last else { continue };
                results.push(result(&format!("c{n}"), run));
                if seen[n].len() <= usize::try_from(run).unwrap() {
                    seen[n].push(ended - at);
                }
            }
            phases.saw(start + ms(began), start + ms(ended), &results, &intervals);
            now = (phases.next(start + ms(ended), PACE) - start).as_secs_f64() * 1000.0;
        }
        (seen, looks)
    }

    #[tokio::test(start_paused = true)]
    async fn after_three_results_the_next_ones_are_seen_as_they_come() {
        for (first, late) in [(730.0, 0.6), (99.0, 1.7), (1.0, 1.0), (555.0, 3.0)] {
            let (seen, looks) = watch(&[(first, 1000.0, late)], 60);
            let settled = &seen[0][3..];
            let mean = settled.iter().sum::<f64>() / f64::from(u32::try_from(settled.len()).unwrap());
            assert!(seen[0].len() > 55, "{}", seen[0].len());
            assert!(
                mean < 2.0 && settled.iter().all(|late| *late < 4.0),
                "{first} {late}: {mean} of {settled:?}"
            );
            assert!(looks.len() <= 612, "{} looks in a minute", looks.len());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn several_checks_have_each_its_own_time() {
        let (seen, looks) = watch(&[(730.0, 1000.0, 1.0), (210.0, 2000.0, 1.5)], 60);
        for seen in &seen {
            let settled = &seen[3..];
            assert!(settled.iter().all(|late| *late < 6.0), "{settled:?}");
        }
        assert!(looks.len() <= 612, "{} looks in a minute", looks.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_takes_longer_or_whose_interval_is_unknown_is_asked_at_the_pace() {
        // It takes 300 ms each time, so that it is never when it was forecast.
        let (seen, looks) = watch(&[(730.0, 1000.0, 300.0)], 60);
        assert!(seen[0].iter().all(|late| *late <= 130.0), "{:?}", seen[0]);
        assert!(looks.len() <= 612, "{} looks in a minute", looks.len());
        let (seen, looks) = watch(&[(730.0, 0.0, 1000.0)], 60);
        assert!(seen[0].iter().all(|late| *late <= 101.0), "{:?}", seen[0]);
        assert!((590..=601).contains(&looks.len()), "{} looks in a minute", looks.len());
    }

    #[tokio::test(start_paused = true)]
    async fn somebody_is_asked_four_times_a_second_at_least() {
        let (_, looks) = watch(&[(730.0, 30_000.0, 1.0)], 120);
        let widest = looks.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
        assert!(widest <= 252.0, "{widest}");
    }
}

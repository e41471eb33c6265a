//! How often each of many looks: often enough to be seldom late by much of the time that was waited, and all together seldom
//! enough to cost little.
//!
//! # Invariants
//!
//! * Between two looks lies a part of the time for which the answer has been the same: a thousandth, and more where more
//!   than [`FEW`] have such an answer for about as long. So who comes new is looked at closely, however many wait already.
//! * All together look [`GAP`] apart at the least, but for those who look seldom, and in the long run [`SHARE`] apart, unless
//!   they are so few that what users ask for is more.
//! * Who looks seldom looks together with others: to wake up costs ten times what a look does.
//! * Nobody looks more often than the user says, but where a host refuses the connection: that costs nobody much.
//!
//! Time is a parameter.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

/// The least time between two looks at one thing.
const CLOSEST: Duration = Duration::from_millis(1);
/// How much closer than the user's interval the looks at what refuses may be.
const CLOSER: u32 = 100;
/// Which part of the time waited lies between two looks, where few look.
const PART: u32 = 1000;
/// So many may look as if each were alone.
const FEW: u32 = 5;
/// The time between two looks of all together.
const GAP: Duration = Duration::from_millis(2);
/// Who looks so many times seldomer than that asks of all takes no turn: it looks together with others.
const SELDOM: u32 = 4;
/// The time between two looks of all together in the long run: 20 a second.
const SHARE: Duration = Duration::from_millis(50);
/// Which part of a pause may be left out, so that those of many end together.
const TOGETHER: u32 = 4;

/// One who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(u64);

#[derive(Clone, Copy, Debug)]
struct Member {
    /// Since when it is answered the same.
    since: Instant,
    /// Whether its next look takes no turn.
    is_seldom: bool,
}

/// All who look.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// When the first of all came.
    zero: Option<Instant>,
    members: BTreeMap<Number, Member>,
    last: u64,
    /// When the next turn is.
    next: Option<Instant>,
}

impl Crowd {
    /// One more looks.
    pub(super) fn join(&mut self, now: Instant) -> Number {
        self.zero.get_or_insert(now);
        self.last += 1;
        let number = Number(self.last);
        self.members.insert(number, Member { since: now, is_seldom: false });
        number
    }

    /// It looks no more.
    pub(super) fn leave(&mut self, number: Number) {
        self.members.remove(&number);
    }

    /// Takes the next turn, and says when it is: in the order of coming.
    pub(super) fn take_turn(&mut self, number: Number, now: Instant) -> Instant {
        if self.members.get(&number).is_some_and(|member| member.is_seldom) {
            return now;
        }
        let turn = self.next.map_or(now, |next| next.max(now));
        self.next = Some(turn + GAP);
        turn
    }

    /// It looked at `at`, and was answered something new.
    pub(super) fn was_told_news(&mut self, number: Number, at: Instant) {
        self.members.insert(number, Member { since: at, is_seldom: false });
    }

    /// When it looks again, which looked `at`.
    pub(super) fn due(&mut self, number: Number, at: Instant, every: Duration, is_refused: bool) -> Instant {
        let pause = self.pause(number, at, every, is_refused);
        let is_seldom = pause > every && pause >= (GAP * SELDOM).saturating_mul(self.all());
        if let Some(member) = self.members.get_mut(&number) {
            member.is_seldom = is_seldom;
        }
        let due = at + pause;
        // Only who looks less often than the user says has any time to spare.
        let spare =
            if pause > every { pause.saturating_sub(every).min(pause / TOGETHER) } else { Duration::ZERO };
        let Some(bits) = u64::try_from(spare.as_millis()).ok().and_then(u64::checked_ilog2) else {
            return due;
        };
        let since_zero = self.zero.map_or(Duration::ZERO, |zero| due.saturating_duration_since(zero));
        // Back to the last multiple of a power of two.
        let past = since_zero.as_nanos() % (1_000_000 << bits);
        due.checked_sub(Duration::from_nanos(u64::try_from(past).unwrap_or_default())).unwrap_or(due)
    }

    fn pause(&self, number: Number, at: Instant, every: Duration, is_refused: bool) -> Duration {
        let waited = |member: &Member| at.saturating_duration_since(member.since);
        let own = self.members.get(&number).map_or(Duration::ZERO, waited);
        let alike = self.members.values().filter(|member| waited(member) <= own * 2).count();
        let alike = u32::try_from(alike).unwrap_or(u32::MAX).max(FEW);
        let closest = if is_refused { (every / CLOSER).max(CLOSEST).min(every) } else { every };
        let longest = SHARE.saturating_mul(self.all()).max(every);
        (own / PART / FEW).saturating_mul(alike).clamp(closest, longest)
    }

    fn all(&self) -> u32 {
        u32::try_from(self.members.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::{cmp::Reverse, collections::BinaryHeap};

    use super::*;

    const EVERY: Duration = Duration::from_millis(100);
    const SECOND: Duration = Duration::from_secs(1);

    /// The looks of some, each of which begins when it says, until `end`; all is as it was at the beginning.
    fn looks(begins: &[Duration], every: Duration, is_refused: bool, end: Duration) -> Vec<Vec<Duration>> {
        let zero = Instant::now();
        let mut crowd = Crowd::default();
        let mut numbers = vec![None; begins.len()];
        let mut seen = vec![Vec::new(); begins.len()];
        let mut due: BinaryHeap<_> =
            begins.iter().enumerate().map(|(n, begin)| Reverse((zero + *begin, n, false))).collect();
        while let Some(Reverse((at, n, has_turn))) = due.pop() {
            if at >= zero + end {
                break;
            }
            let number = *numbers[n].get_or_insert_with(|| crowd.join(at));
            if !has_turn {
                due.push(Reverse((crowd.take_turn(number, at), n, true)));
                continue;
            }
            seen[n].push(at - zero);
            due.push(Reverse((crowd.due(number, at, every, is_refused), n, false)));
        }
        seen
    }

    /// Like `looks`, of `n` that begin together.
    fn together(n: usize, is_refused: bool, end: Duration) -> Vec<Vec<Duration>> {
        looks(&vec![Duration::ZERO; n], EVERY, is_refused, end)
    }

    /// How many looks there are from one instant to another.
    fn between(seen: &[Vec<Duration>], from: u64, to: u64) -> usize {
        let span = Duration::from_secs(from)..Duration::from_secs(to);
        seen.iter().flatten().filter(|at| span.contains(*at)).count()
    }

    /// The longest time between two looks at one thing, from one instant to another.
    fn widest(seen: &[Duration], from: u64, to: u64) -> Duration {
        let span = Duration::from_secs(from)..Duration::from_secs(to);
        let seen: Vec<_> = seen.iter().filter(|at| span.contains(*at)).collect();
        seen.windows(2).map(|pair| pair[1].saturating_sub(*pair[0])).max().expect("there are two looks")
    }

    #[test]
    fn what_refuses_is_looked_at_closely_at_first_and_less_closely_later() {
        for n in [1, 4] {
            for seen in together(n, true, Duration::from_mins(5)) {
                let widest = |from, to| widest(&seen, from, to);
                // Half of it is what a look is late on the average: less than 8 ms in the first eight seconds.
                assert!(widest(0, 2) <= Duration::from_millis(9), "{:?} of {n}", widest(0, 2));
                assert!(widest(2, 8) <= Duration::from_millis(16), "{:?} of {n}", widest(2, 8));
                assert!(widest(8, 20) <= Duration::from_millis(30), "{:?} of {n}", widest(8, 20));
                let end = widest(240, 300);
                let most = EVERY.max(SHARE * u32::try_from(n).unwrap()) + GAP * 4;
                assert!(end >= EVERY && end <= most, "as the user says, or the share: {end:?} of {n}");
            }
        }
    }

    #[test]
    fn what_answers_is_asked_as_often_as_the_user_says() {
        assert_eq!(between(&together(1, false, SECOND * 10), 0, 10), 100);
        let minute = Duration::from_mins(1);
        let seen = looks(&[Duration::ZERO], minute, true, minute);
        assert!(seen[0].len() <= 101, "one that is to be asked seldom: {}", seen[0].len());
        let seen = looks(&[Duration::ZERO; 200], minute, false, minute * 20);
        assert_eq!(between(&seen, 0, 1200), 200 * 20, "never more often than the user says");
    }

    #[test]
    fn hundreds_cost_little_in_the_long_run_and_none_is_forgotten() {
        for is_refused in [true, false] {
            let seen = together(200, is_refused, Duration::from_mins(30));
            assert!(between(&seen, 0, 10) <= 5001, "{}", between(&seen, 0, 10));
            assert!(between(&seen, 60, 120) <= 60 * 110, "{}", between(&seen, 60, 120));
            // From 300 s on, a minute has some 1200 looks, and a few more of those that are sooner than their time.
            for from in (300..1740).step_by(60) {
                assert!(between(&seen, from, from + 60) <= 1700, "{}", between(&seen, from, from + 60));
            }
            // Most of them share a moment.
            let moments: std::collections::BTreeSet<_> =
                seen.iter().flatten().filter(|at| at.as_secs() >= 600).map(Duration::as_millis).collect();
            assert!(moments.len() <= 20 * 60, "{} moments in twenty minutes", moments.len());
            for seen in &seen {
                assert!(widest(seen, 0, 10) <= SECOND, "{:?}", widest(seen, 0, 10));
                assert!(widest(seen, 10, 100) <= SECOND * 5, "{:?}", widest(seen, 10, 100));
                assert!(widest(seen, 0, 1800) <= SECOND * 11, "{:?}", widest(seen, 0, 1800));
            }
        }
    }

    #[test]
    fn who_comes_new_is_looked_at_closely_however_many_wait_already() {
        let mut begins = vec![Duration::ZERO; 200];
        begins.push(Duration::from_mins(5));
        let seen = looks(&begins, EVERY, true, Duration::from_secs(310));
        let newest = seen.last().unwrap();
        assert!(widest(newest, 300, 302) <= Duration::from_millis(6), "{:?}", widest(newest, 300, 302));
        assert!(widest(newest, 300, 310) <= Duration::from_millis(16), "{:?}", widest(newest, 300, 310));
        // Nor does it keep the others from looking.
        for seen in &seen[..200] {
            assert!(widest(seen, 280, 310) <= SECOND * 11, "{:?}", widest(seen, 280, 310));
        }
    }

    #[test]
    fn some_that_come_one_after_the_other_cost_no_more_than_some_that_come_together() {
        let begins: Vec<_> = (0..200).map(|n| SECOND * n).collect();
        let seen = looks(&begins, EVERY, true, Duration::from_mins(30));
        for from in (0..1740).step_by(20) {
            assert!(between(&seen, from, from + 20) <= 12_600, "the turns bound them");
        }
        assert!(between(&seen, 1000, 1060) <= 2600, "{}", between(&seen, 1000, 1060));
    }

    #[test]
    fn an_answer_that_changes_is_looked_at_closely_again() {
        let zero = Instant::now();
        let mut crowd = Crowd::default();
        let numbers: Vec<_> = (0..100).map(|_| crowd.join(zero)).collect();
        let later = zero + SECOND * 600;
        let pause = |crowd: &Crowd| crowd.pause(numbers[0], later, EVERY, true);
        assert_eq!(pause(&crowd), SHARE * 100);
        crowd.was_told_news(numbers[0], later);
        assert_eq!(pause(&crowd), CLOSEST);
        for number in &numbers[1..] {
            crowd.leave(*number);
        }
        crowd.was_told_news(numbers[0], zero);
        assert_eq!(pause(&crowd), EVERY, "the last of them");
    }
}

//! How far a progress bar is, and when its state is worth a line where nothing can be drawn over. Pure.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use lastline_line::Timestamp;

/// A state is shown when none of the job's has been for so long.
const STATE_EVERY: Duration = Duration::from_secs(10);
/// A state is not shown sooner after another one, whatever tenth it has reached: a bar that is done in
/// a moment is shown by its end alone.
const STATES_APART: Duration = Duration::from_secs(1);
/// Of so many bars, the latest of their streams, it is known how far they were shown.
const MAX_BARS: usize = 16;

/// How many tenths are done according to a state: of its first percentage, otherwise of its first
/// `n/m`.
///
/// None where it has neither.
pub(crate) fn tenth_of(state: &[u8]) -> Option<u8> {
    let percent = numbers(state).find(|(_, at)| state.get(at.end) == Some(&b'%'));
    if let Some((percent, _)) = percent {
        return tenth(percent / 100.0);
    }
    let is_slash = |at: Option<usize>| at.and_then(|at| state.get(at)) == Some(&b'/');
    let pairs = numbers(state).zip(numbers(state).skip(1));
    let share = pairs.into_iter().find(|((done, left), (all, right))| {
        // Three of them are a date or a path.
        let alone = !is_slash(left.start.checked_sub(1)) && !is_slash(Some(right.end));
        is_slash(Some(left.end)) && left.end + 1 == right.start && alone && done <= all
    });
    share.and_then(|((done, _), (all, _))| tenth(done / all))
}

/// Whole tenths; a share that came of rounded numbers counts as the tenth that it means.
fn tenth(share: f64) -> Option<u8> {
    let tenths = (share * 10.0 + 1e-9).floor();
    // In range, so nothing is cut off.
    (0.0..=10.0).contains(&tenths).then_some(tenths as u8)
}

/// The decimal numbers in `text`, and where each stands.
fn numbers(text: &[u8]) -> impl Iterator<Item = (f64, Range<usize>)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        at += text[at..].iter().position(u8::is_ascii_digit)?;
        let start = at;
        let is_part = |at: usize| {
            let digit = |at: usize| text.get(at).is_some_and(u8::is_ascii_digit);
            digit(at) || text.get(at) == Some(&b'.') && digit(at + 1)
        };
        while is_part(at) {
            at += 1;
        }
        let number = std::str::from_utf8(&text[start..at]).ok().and_then(|n| n.parse().ok());
        Some((number.unwrap_or(f64::NAN), start..at))
    })
}

/// When states are shown as lines: for the whole job together, once in ten seconds and at each tenth
/// that a bar reaches, wherever it reaches it first.
#[derive(Debug, Default)]
pub(crate) struct StateGate {
    /// When a state was shown last, or the first bar began.
    shown: Option<Timestamp>,
    /// How many tenths of a bar were shown; a bar is known by its number in its stream.
    tenths: BTreeMap<u32, u8>,
}

impl StateGate {
    /// When the state of bar `bar`, that many tenths of which are done, is worth a line; `now` or
    /// later.
    pub(crate) fn due(&mut self, bar: u32, tenth: Option<u8>, now: Timestamp) -> Timestamp {
        let shown = *self.shown.get_or_insert(now);
        // The end is shown in any case.
        let before = self.tenths.get(&bar).copied().unwrap_or(0);
        let news = tenth.is_some_and(|tenth| tenth > before && tenth < 10);
        shown.after(if news { STATES_APART } else { STATE_EVERY }).max(now)
    }

    /// States were shown at `now`, this one among them.
    pub(crate) fn show(&mut self, bar: u32, tenth: Option<u8>, now: Timestamp) {
        self.shown = Some(now);
        let known = self.tenths.entry(bar).or_default();
        *known = tenth.unwrap_or(0).max(*known);
        if self.tenths.len() > MAX_BARS {
            self.tenths.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_state_says_how_far_it_is() {
        let table: [(&str, Option<u8>); 13] = [
            (" 30%|###       | 18/60 [00:01<00:02, 19.8it/s]", Some(3)),
            ("100%|##########|", Some(10)),
            ("0%", Some(0)),
            ("99.9% done", Some(9)),
            ("epoch 3: 57%", Some(5)),
            ("Building [===>   ] 30/120: serde", Some(2)),
            ("3.0/10.0 MB", Some(3)),
            ("60/60", Some(10)),
            ("2024/01/01 started", None),
            ("120%", None),
            ("waiting", None),
            ("0/0", None),
            ("1/ 2", None),
        ];
        for (state, tenth) in table {
            assert_eq!(tenth_of(state.as_bytes()), tenth, "{state}");
        }
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp(millis * 1000)
    }

    #[test]
    fn a_tenth_is_shown_once_for_the_whole_job_and_otherwise_one_state_in_ten_seconds() {
        let mut gate = StateGate::default();
        assert_eq!(gate.due(0, Some(0), at(0)), at(10_000));
        assert_eq!(
            gate.due(0, Some(1), at(500)),
            at(1000),
            "not before the bar has gone on a while"
        );
        assert_eq!(gate.due(0, Some(1), at(2000)), at(2000));
        gate.show(0, Some(1), at(2000));
        assert_eq!(gate.due(0, Some(1), at(2100)), at(12_000), "the others are there, too");
        assert_eq!(gate.due(0, Some(3), at(5000)), at(5000));
        assert_eq!(gate.due(1, Some(1), at(5000)), at(5000), "the next bar begins again");
        assert_eq!(gate.due(0, Some(10), at(6000)), at(12_000), "the end is a line of its own");
        assert_eq!(gate.due(7, None, at(20_000)), at(20_000));
    }

    proptest! {
        /// Whatever bars do: at most one moment in ten seconds, and nine more for each bar.
        #[test]
        fn few_states_are_shown(steps in prop::collection::vec((0..3_u32, 0..11_u8, 0..3000_u64), 0..300)) {
            let (mut gate, mut now, mut shown) = (StateGate::default(), 0, 0);
            for (bar, tenth, millis) in steps {
                now += millis;
                if gate.due(bar, Some(tenth), at(now)) <= at(now) {
                    gate.show(bar, Some(tenth), at(now));
                    shown += 1;
                }
            }
            prop_assert!(shown <= now / 10_000 + 3 * 9);
        }
    }
}

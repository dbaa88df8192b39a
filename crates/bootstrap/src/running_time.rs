//! Time in which this process ran. Pure: what another clock shows is a parameter.
//!
//! A process that is stopped (SIGSTOP), or whose machine sleeps or is paused, does nothing, and the
//! clocks of the system go on. A deadline that counts such time is over when it goes on: ranks that
//! stood with it would be given no grace, a disk that answered at once would be told as hanging. So
//! the other clock is looked at every [`TICK`]; what lies between two looks that are much further
//! apart did not happen here.

use std::time::Duration;

/// How often the other clock is looked at while something waits.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// Looks that are further apart than this had a standstill between them; a busy machine makes them
/// late by less.
pub(crate) const GAP: Duration = Duration::from_millis(500);

/// Counts it.
///
/// # Laws
///
/// 1. It never goes back, and never runs faster than the other clock.
/// 2. Looks that are at most [`GAP`] apart count all that is between them.
/// 3. What lies between two looks that are further apart counts [`TICK`].
/// 4. Between `pause` and `resume` it stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RunningTime {
    ran: Duration,
    seen: Duration,
    paused: bool,
}

impl RunningTime {
    /// The other clock shows `at`: how long this process has run.
    pub(crate) fn saw(&mut self, at: Duration) -> Duration {
        let step = at.saturating_sub(self.seen);
        self.seen = self.seen.max(at);
        if !self.paused {
            self.ran += if step > GAP { TICK } else { step };
        }
        self.ran
    }

    /// Whether it stands.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// It stands from now on, when it does not already.
    pub(crate) fn pause(&mut self, at: Duration) {
        self.saw(at);
        self.paused = true;
    }

    /// It goes on.
    pub(crate) fn resume(&mut self, at: Duration) {
        self.saw(at);
        self.paused = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_standstill_counts_one_tick_and_a_pause_nothing() {
        let mut time = RunningTime::default();
        assert_eq!(time.saw(millis(100)), millis(100));
        assert_eq!(time.saw(millis(600)), millis(600));
        assert_eq!(time.saw(millis(3_600_000)), millis(700));
        time.pause(millis(3_600_050));
        assert_eq!(time.saw(millis(3_600_150)), millis(750));
        time.resume(millis(3_600_250));
        assert_eq!(time.saw(millis(3_600_260)), millis(760));
    }

    proptest! {
        #[test]
        fn it_counts_what_an_observer_adds_up(
            events in prop::collection::vec((0..2_000_u64, 0..8_u8), 0..60),
        ) {
            let (mut time, mut now, mut paused) = (RunningTime::default(), Duration::ZERO, false);
            let mut wanted = Duration::ZERO;
            for (step, event) in events {
                now += millis(step);
                if !paused {
                    wanted += if millis(step) > GAP { TICK } else { millis(step) };
                }
                match event {
                    0 => (paused, ()) = (true, time.pause(now)),
                    1 => (paused, ()) = (false, time.resume(now)),
                    _ => prop_assert_eq!(time.saw(now), wanted),
                }
                prop_assert!(wanted <= now);
            }
        }
    }
}

//! Output at the pace at which it came.

use std::time::{Duration, Instant};

use lastline_line::{ControlSender, Inbox, Listener, Message, Received, Timestamp};

/// How many times as fast output is played as it came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Speed(f64);

impl Default for Speed {
    fn default() -> Self {
        Self(1.0)
    }
}

/// Reads `2`, `0.5` or `10x`.
pub(crate) fn speed(text: &str) -> Result<Speed, String> {
    let number: Option<f64> = text.strip_suffix('x').unwrap_or(text).parse().ok();
    let is_speed = |speed: &f64| speed.is_finite() && *speed > 0.0;
    number.filter(is_speed).map(Speed).ok_or_else(|| {
        format!("`{text}` is no speed (write `2` for twice as fast as it came, `0.5` for half)")
    })
}

/// Gives out what another inbox has when as much time has gone by since the first of it as when it came.
pub(super) struct Paced<I> {
    inbox: I,
    speed: Speed,
    /// When the first of it came, and when it was given out.
    begun: Option<(Timestamp, Instant)>,
    /// Its time has not come.
    held: Option<Message>,
}

impl<I: Inbox> Paced<I> {
    pub(super) fn new(inbox: I, speed: Speed) -> Self {
        Self { inbox, speed, begun: None, held: None }
    }

    /// How long it is until a message is given out.
    fn left(&mut self, message: &Message) -> Duration {
        let Message::Data(chunk) = message else { return Duration::ZERO };
        // Of what has no time it is not known when it came.
        if chunk.time == Timestamp::default() {
            return Duration::ZERO;
        }
        let (came, given) = *self.begun.get_or_insert_with(|| (chunk.time, Instant::now()));
        let after = chunk.time.since(came).as_secs_f64() / self.speed.0;
        let after = Duration::try_from_secs_f64(after).unwrap_or(Duration::MAX);
        after.saturating_sub(given.elapsed())
    }
}

impl<I: Inbox> Inbox for Paced<I> {
    fn next(&mut self, wait: Option<Duration>) -> Received {
        let message = match self.held.take() {
            Some(message) => message,
            None => match self.inbox.next(wait) {
                Received::Message(message) => message,
                other => return other,
            },
        };
        let until = wait.and_then(|wait| Instant::now().checked_add(wait));
        loop {
            let left = self.left(&message);
            if left.is_zero() {
                return Received::Message(message);
            }
            let may = until.map(|until| until.saturating_duration_since(Instant::now()));
            if may.is_some_and(|may| may.is_zero()) {
                self.held = Some(message);
                return Received::TimedOut;
            }
            // It may come back early.
            std::thread::park_timeout(may.map_or(left, |may| may.min(left)));
        }
    }

    fn control_sender(&self) -> ControlSender {
        self.inbox.control_sender()
    }

    fn listen(&mut self, listener: Listener) {
        self.inbox.listen(listener);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use lastline_line::{Chunk, Offset};
    use lastline_testing::stdout;

    use super::*;

    struct Queue(VecDeque<Message>);

    impl Inbox for Queue {
        fn next(&mut self, _wait: Option<Duration>) -> Received {
            self.0.pop_front().map_or(Received::Closed, Received::Message)
        }
    }

    fn came(times: &[u64]) -> Queue {
        let chunk = |time: &u64| {
            let text = bytes::Bytes::from_static(b"x\n");
            Message::Data(Chunk::new(stdout(0), Offset::ZERO, Timestamp(*time), text))
        };
        Queue(times.iter().map(chunk).collect())
    }

    #[test]
    fn what_came_later_is_given_out_as_much_later_by_the_speed() {
        let mut paced = Paced::new(came(&[5_000_000, 5_100_000, 5_200_000]), Speed(2.0));
        let begun = Instant::now();
        while let Received::Message(_) = paced.next(None) {}
        assert!(begun.elapsed() >= Duration::from_millis(100), "{:?}", begun.elapsed());
    }

    #[test]
    fn who_does_not_want_to_wait_is_told_so_and_misses_nothing() {
        let mut paced = Paced::new(came(&[1, 3_600_000_001]), Speed(1.0));
        assert!(matches!(paced.next(Some(Duration::ZERO)), Received::Message(_)));
        assert!(matches!(paced.next(Some(Duration::ZERO)), Received::TimedOut));
        paced.speed = Speed(1e12);
        assert!(matches!(paced.next(None), Received::Message(_)));
        assert!(matches!(paced.next(None), Received::Closed));
    }

    #[test]
    fn a_clock_that_was_set_back_or_is_not_known_keeps_nobody_waiting() {
        let mut paced = Paced::new(came(&[0, 3_600_000_000, 7, 0]), Speed(1.0));
        for _ in 0..4 {
            assert!(matches!(paced.next(Some(Duration::ZERO)), Received::Message(_)));
        }
    }

    #[test]
    fn a_speed_is_a_number_above_zero() {
        for (text, read) in [("2", 2.0), ("0.5", 0.5), ("10x", 10.0)] {
            assert_eq!(speed(text), Ok(Speed(read)));
        }
        for text in ["0", "-1", "fast", "inf", "nan", ""] {
            assert!(speed(text).is_err(), "{text}");
        }
    }
}

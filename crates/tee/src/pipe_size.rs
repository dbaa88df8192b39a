//! When a pipe is worth enlarging, and when not any more. Pure.

/// Full reads in a row after which a pipe is enlarged.
const FULL_READS: u32 = 4;
/// Slack reads in a row after which it is given back.
const SLACK_READS: u32 = 64;

/// What to do about a pipe's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resize {
    /// Enlarge it.
    Grow,
    /// Give it its first size again.
    Shrink,
}

/// Watches how full a pipe is found.
#[derive(Debug)]
pub(crate) struct Load {
    full: u32,
    slack: u32,
    grown: bool,
}

impl Load {
    pub(crate) fn new() -> Self {
        Self { full: 0, slack: 0, grown: false }
    }

    /// A read found `waiting` bytes in a pipe that holds `capacity`.
    pub(crate) fn observe(&mut self, waiting: usize, capacity: usize) -> Option<Resize> {
        // A pipe's pages are seldom filled to the last byte: three quarters is full.
        if waiting >= capacity / 4 * 3 {
            self.full += 1;
            self.slack = 0;
        } else {
            self.full = 0;
            self.slack = if waiting < capacity / 16 { self.slack + 1 } else { 0 };
        }
        if !self.grown && self.full >= FULL_READS {
            self.grown = true;
            return Some(Resize::Grow);
        }
        if self.grown && self.slack >= SLACK_READS {
            self.grown = false;
            return Some(Resize::Shrink);
        }
        None
    }

    /// The pipe could not be resized as asked: it is not grown, and not asked for soon again.
    pub(crate) fn refused(&mut self) {
        self.grown = false;
        self.full = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_grows_under_load_and_is_given_back_after_it() {
        let mut load = Load::new();
        let grown = (0..10).find(|_| load.observe(65536, 65536) == Some(Resize::Grow));
        assert_eq!(grown, Some(FULL_READS - 1));
        assert!((0..100).all(|_| load.observe(700_000, 1 << 20).is_none()));
        let shrunk = (0..100).find(|_| load.observe(80, 1 << 20) == Some(Resize::Shrink));
        assert_eq!(shrunk, Some(SLACK_READS - 1));
    }

    #[test]
    fn one_burst_is_no_load() {
        let mut load = Load::new();
        assert!(
            (0..50).all(|at| load.observe(if at % 3 == 0 { 65536 } else { 10 }, 65536).is_none())
        );
    }
}

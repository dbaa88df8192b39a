//! The last lines of a stream.

/// Keeps the last lines, whole wherever they were cut by reading.
#[derive(Debug)]
pub(crate) struct Recent {
    max_lines: usize,
    max_bytes: usize,
    /// Holds at least what [`Recent::lines`] gives: at most twice as many lines, and a quarter more
    /// bytes.
    text: Vec<u8>,
    /// Newlines in `text`.
    newlines: usize,
}

impl Recent {
    pub(crate) fn new(max_lines: usize, max_bytes: usize) -> Self {
        Self { max_lines, max_bytes, text: Vec::new(), newlines: 0 }
    }

    /// Takes the next bytes of the stream, which hold `newlines` newlines.
    pub(crate) fn push(&mut self, bytes: &[u8], newlines: usize) {
        if newlines > self.max_lines || bytes.len() > self.max_bytes {
            let tail = &bytes[self.tail_of(bytes)..];
            self.text.clear();
            self.make_room(tail.len());
            self.text.extend_from_slice(tail);
            self.newlines = count(tail);
        } else {
            self.make_room(bytes.len());
            self.text.extend_from_slice(bytes);
            self.newlines += newlines;
        }
        if self.newlines > 2 * self.max_lines {
            self.drain_to(self.tail_of(&self.text));
        }
    }

    /// Makes room for so many bytes, `max_bytes` at most, before they are there: a buffer that grew
    /// for a moment would stay that large.
    fn make_room(&mut self, bytes: usize) {
        let bound = self.bound();
        if self.text.len() + bytes > bound {
            // One more than is kept, so that it is seen whether a line is cut.
            let kept = (self.max_bytes + 1).saturating_sub(bytes);
            self.drain_to(self.text.len().saturating_sub(kept));
        }
        let wanted = (self.text.len() + bytes).next_power_of_two().min(bound);
        self.text.reserve_exact(wanted.saturating_sub(self.text.len()));
    }

    fn bound(&self) -> usize {
        self.max_bytes + self.max_bytes / 4 + 1
    }

    fn drain_to(&mut self, at: usize) {
        self.text.drain(..at);
        self.newlines = count(&self.text);
    }

    /// The last lines, oldest first, without their newlines.
    pub(crate) fn lines(&self) -> Vec<Vec<u8>> {
        self.last_lines(self.max_lines)
    }

    /// The last so many of them.
    pub(crate) fn last_lines(&self, max_lines: usize) -> Vec<Vec<u8>> {
        if max_lines == 0 {
            return Vec::new();
        }
        let text = &self.text[self.tail_of(&self.text)..];
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        if self.text.is_empty() {
            return Vec::new();
        }
        let cut = memchr::memrchr_iter(b'\n', text).nth(max_lines - 1);
        let text = &text[cut.map_or(0, |at| at + 1)..];
        text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
    }

    /// The last line, without its newline.
    pub(crate) fn last_line(&self) -> &[u8] {
        let text = self.text.strip_suffix(b"\n").unwrap_or(&self.text);
        memchr::memrchr(b'\n', text).map_or(text, |newline| &text[newline + 1..])
    }

    /// Where the last `max_lines` lines start in `bytes`, or the last `max_bytes`.
    fn tail_of(&self, bytes: &[u8]) -> usize {
        let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let by_lines = memchr::memrchr_iter(b'\n', body).nth(self.max_lines.saturating_sub(1));
        let by_bytes = bytes.len().saturating_sub(self.max_bytes);
        let start = by_lines.map_or(0, |at| at + 1).max(by_bytes);
        if by_bytes < start || by_bytes == 0 {
            return start;
        }
        // The byte bound falls inside a line: start with the next one, if there is one.
        memchr::memchr(b'\n', &body[start..]).map_or(start, |at| start + at + 1)
    }
}

fn count(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However the bytes are cut, the last lines are those of the whole.
        #[test]
        fn last_lines_are_whole_whatever_the_cuts(
            lines in prop::collection::vec("[a-z]{0,9}", 0..60),
            open in any::<bool>(),
            cuts in prop::collection::vec(1_usize..40, 1..30),
        ) {
            let mut text = lines.join("\n").into_bytes();
            if !open && !text.is_empty() {
                text.push(b'\n');
            }
            let mut recent = Recent::new(5, 1000);
            let (mut rest, mut cuts) = (&text[..], cuts.into_iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                recent.push(now, count(now));
                rest = later;
            }
            let whole = text.strip_suffix(b"\n").unwrap_or(&text);
            let all: Vec<&[u8]> = whole.split(|&byte| byte == b'\n').collect();
            let wanted = if text.is_empty() { &[] } else { &all[all.len().saturating_sub(5)..] };
            prop_assert_eq!(recent.last_line(), wanted.last().copied().unwrap_or_default());
            prop_assert_eq!(recent.lines(), wanted);
            prop_assert_eq!(recent.last_lines(2), &wanted[wanted.len().saturating_sub(2)..]);
            prop_assert!(recent.last_lines(0).is_empty());
            prop_assert!(recent.text.capacity() <= recent.bound());
        }
    }

    proptest! {
        /// With lines of any length: what is told are whole lines of the end, or the end of one that is
        /// longer than all that is kept; and memory is bounded.
        #[test]
        fn what_is_kept_is_within_the_bound_and_whole(
            lines in prop::collection::vec("[a-z]{0,60}", 1..60),
            cuts in prop::collection::vec(1_usize..80, 1..30),
        ) {
            let text = lines.join("\n").into_bytes();
            let mut recent = Recent::new(5, 50);
            let (mut rest, mut cuts) = (&text[..], cuts.into_iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                recent.push(now, count(now));
                rest = later;
                prop_assert!(recent.text.capacity() <= recent.bound());
            }
            let whole = text.strip_suffix(b"\n").unwrap_or(&text);
            let all: Vec<&[u8]> = whole.split(|&byte| byte == b'\n').collect();
            // Nothing was said: that is no line, not an empty one.
            let all = if text.is_empty() { Vec::new() } else { all };
            let kept = recent.lines();
            prop_assert!(kept.len() <= 5);
            if let [only] = &kept[..] {
                let last: &[u8] = all.last().unwrap();
                prop_assert!(last.ends_with(only) && (only.len() == last.len() || only.len() >= 49));
            } else {
                prop_assert_eq!(&kept[..], &all[all.len() - kept.len()..]);
            }
            let fits = |count: usize| all[all.len() - count..].join(&b'\n').len() < 40;
            let least = (0..=all.len().min(5)).rev().find(|&count| fits(count)).unwrap();
            prop_assert!(kept.len() >= least.min(all.len()), "{} of {}", kept.len(), least);
        }
    }

    #[test]
    fn a_line_over_the_bound_is_kept_from_its_end() {
        let mut recent = Recent::new(5, 10);
        recent.push(b"short\n", 1);
        recent.push(&[b'x'; 50], 0);
        recent.push(b"end\n", 1);
        assert_eq!(recent.lines(), [b"xxxxxxend".to_vec()]);
    }
}

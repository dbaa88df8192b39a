//! Ranks that write nothing while others go on. Pure.
//!
//! The clock of silence stands while nobody writes, and while this process does: a job that waits as a
//! whole has no silent rank, and neither has one that was stopped. So a rank is named when it has
//! written nothing for a time of which others filled enough: between two of their writes up to half of
//! the time counts.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use lastline_line::{Colours, RankSet, Stream, StreamId, plain_text};

use crate::bar::newest_state;
use crate::canvas::Canvas;

/// Time that passes between two looks at once is time in which this process stood still, if it is
/// longer than this.
const LONGEST_STEP: Duration = Duration::from_secs(3);
/// At most so often is looked for silent ranks, so that those of one moment are named together.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So many notes are made at once.
const MAX_NOTES: usize = 3;
/// So much of a last line is kept, in bytes, and shown, in characters.
const KEPT_BYTES: usize = 512;
const SHOWN_CHARS: usize = 100;
/// A list of ranks that is longer is cut, in characters.
const SHOWN_RANKS_CHARS: usize = 40;

/// What each rank wrote last, and when.
#[derive(Debug)]
pub(crate) struct Silence {
    after: Duration,
    ranks: HashMap<u32, Voice>,
    /// The time of the last look or write, by the caller's clock.
    now: Option<Duration>,
    /// Time in which this process ran.
    ran: Duration,
    /// Time of that in which somebody wrote.
    clock: Duration,
    /// When somebody wrote last, in time that this process ran.
    wrote: Duration,
    /// When silent ranks were looked for last, likewise.
    looked: Duration,
}

#[derive(Debug, Default)]
struct Voice {
    /// When it wrote last, on the clock of silence.
    clock: Duration,
    /// The same in time that this process ran.
    ran: Duration,
    /// It was named since it wrote.
    named: bool,
    last: [Tail; Stream::ALL.len()],
    newest: usize,
}

impl Silence {
    /// Names ranks that are silent for `after`, of those that are known beforehand and those that
    /// write something.
    pub(crate) fn new(after: Duration, ranks: &RankSet) -> Self {
        let ranks = ranks.iter().map(|rank| (rank, Voice::default())).collect();
        let zero = Duration::ZERO;
        Self { after, ranks, now: None, ran: zero, clock: zero, wrote: zero, looked: zero }
    }

    /// A stream has written `bytes`.
    pub(crate) fn wrote(&mut self, stream: StreamId, bytes: &[u8], now: Duration) {
        self.advance(now);
        self.wrote = self.ran;
        let voice = self.ranks.entry(stream.rank).or_default();
        (voice.clock, voice.ran, voice.named) = (self.clock, self.ran, false);
        voice.newest = stream.stream as usize;
        voice.last[voice.newest].push(bytes);
    }

    fn advance(&mut self, now: Duration) {
        let step = now.saturating_sub(self.now.replace(now).unwrap_or(now));
        if step > LONGEST_STEP {
            return;
        }
        self.ran += step;
        if self.ran - self.wrote <= self.after / 2 {
            self.clock += step;
        }
    }

    /// How often silent ranks are looked for.
    pub(crate) fn look_every(&self) -> Duration {
        LOOK_EVERY.min(self.after / 10)
    }

    /// The notes about ranks that have fallen silent; `is_over` says which have ended. To be called
    /// as often as [`look_every`](Self::look_every) says, or more often.
    pub(crate) fn look(&mut self, now: Duration, is_over: impl Fn(u32) -> bool) -> Vec<String> {
        self.advance(now);
        if self.ran - self.looked < self.look_every() {
            return Vec::new();
        }
        self.looked = self.ran;
        let mut silent: Vec<u32> = Vec::new();
        for (rank, voice) in &mut self.ranks {
            if !voice.named && self.clock - voice.clock >= self.after && !is_over(*rank) {
                voice.named = true;
                silent.push(*rank);
            }
        }
        silent.sort_unstable();
        self.notes(&silent)
    }

    /// One for those whose last line is the same but for its digits; bounded.
    fn notes(&self, silent: &[u32]) -> Vec<String> {
        let mut groups: Vec<Group> = Vec::new();
        let mut by_key: BTreeMap<String, usize> = BTreeMap::new();
        for &rank in silent {
            let voice = &self.ranks[&rank];
            let last = voice.last[voice.newest].shown();
            let key = last.replace(|c: char| c.is_ascii_digit(), "0");
            let at = *by_key.entry(key).or_insert_with(|| groups.len().min(MAX_NOTES - 1));
            let silence = self.ran - voice.ran;
            match groups.get_mut(at) {
                Some(group) => {
                    group.silence = group.silence.min(silence);
                    group.ranks.insert(rank);
                }
                None => groups.push(Group { ranks: [rank].into_iter().collect(), silence, last }),
            }
        }
        groups.iter().map(Group::note).collect()
    }
}

struct Group {
    ranks: RankSet,
    /// The shortest silence of one.
    silence: Duration,
    /// The last line of the first.
    last: String,
}

impl Group {
    fn note(&self) -> String {
        let ranks = if self.ranks.len() == 1 { "rank" } else { "ranks" };
        let (who, seconds) = (short(&self.ranks), self.silence.as_secs_f64());
        // Half a second of a minute says nothing.
        let seconds =
            if seconds < 10.0 { format!("{seconds:.1}") } else { format!("{seconds:.0}") };
        let last = match self.last.as_str() {
            "" => String::from("nothing written yet"),
            last => format!("last: {last}"),
        };
        format!("{ranks} {who} silent for {seconds} s; {last}")
    }
}

/// The set as it is written, or its start and how many there are.
fn short(ranks: &RankSet) -> String {
    let all = ranks.to_string();
    if all.len() <= SHOWN_RANKS_CHARS {
        return all;
    }
    let cut = all[..SHOWN_RANKS_CHARS].rfind(',').unwrap_or(SHOWN_RANKS_CHARS);
    format!("{}… ({} ranks)", &all[..cut], ranks.len())
}

/// The last line of a stream that says anything, or its start.
#[derive(Debug, Default)]
struct Tail {
    text: Vec<u8>,
    /// Its newline has not come.
    open: bool,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        let says = |line: &&[u8]| !line.trim_ascii().is_empty();
        let ends = bytes.last() == Some(&b'\n');
        let mut lines = bytes.rsplit(|&byte| byte == b'\n').skip(usize::from(ends));
        let Some(line) = lines.find(says) else {
            self.open &= !bytes.contains(&b'\n');
            return;
        };
        let goes_on = self.open && line.as_ptr() == bytes.as_ptr();
        if !goes_on || line.contains(&b'\r') {
            self.text.clear();
        }
        let room = KEPT_BYTES.saturating_sub(self.text.len());
        // What was drawn last, where it is a bar.
        let line = if line.len() > room { &line[newest_state(line)] } else { line };
        self.text.extend_from_slice(&line[..line.len().min(room)]);
        self.open = bytes.rsplit(|&byte| byte == b'\n').next().is_some_and(|rest| says(&rest));
    }

    /// As it is shown: one line, harmless, shortened.
    fn shown(&self) -> String {
        let mut canvas = Canvas::default();
        canvas.feed(&self.text, &mut |_| {});
        let mut plain = Vec::new();
        let row = canvas.live_rows().last().unwrap_or_default();
        plain_text(row.trim_ascii(), Colours::Drop, &mut plain);
        let text = String::from_utf8_lossy(&plain);
        let short: String = text.chars().take(SHOWN_CHARS).collect();
        if short.len() < text.len() { format!("{short}…") } else { short }
    }
}

#[cfg(test)]
mod tests;

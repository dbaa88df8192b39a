//! Who made the statements of an entry.

use lastline_line::{Member, StreamId};
use rustc_hash::FxHashMap;

use crate::unit::Said;

/// From how many streams on an entry looks them up in a table.
const MANY_STREAMS: usize = 16;

/// The streams of an entry, in the order in which they joined.
///
/// Nearly all entries have one statement of each stream, all of one launch and with as many lines:
/// that takes eight bytes a stream. Only where it is otherwise each is kept in full.
#[derive(Debug, Default)]
pub(crate) struct Speakers {
    /// The rank, and the bytes of its statement; what else there is of it is as in `first`.
    alike: Vec<(u32, u32)>,
    first: Option<Member>,
    /// All of them, once one is otherwise.
    full: Vec<Member>,
    /// Where a stream's member is, once there are many that may say more.
    member_of: FxHashMap<StreamId, usize>,
}

impl Speakers {
    /// Forgets them, keeping the memory.
    pub(crate) fn clear(&mut self) {
        self.alike.clear();
        self.first = None;
        self.full.clear();
        self.member_of.clear();
    }

    /// How many there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.alike.len().max(self.full.len())
    }

    /// How many bytes they take.
    #[inline]
    pub(crate) fn held_bytes(&self) -> usize {
        let full = self.full.capacity() * size_of::<Member>();
        self.alike.capacity() * size_of::<(u32, u32)>() + full
    }

    /// Takes in one that has not spoken before.
    #[inline]
    pub(crate) fn push(&mut self, said: Said<'_>) {
        self.add_member(member(said));
    }

    /// Takes in one with all that it has said, who has not spoken here before.
    #[inline]
    pub(crate) fn add_member(&mut self, member: Member) {
        let first = self.first.get_or_insert(member);
        let stream = StreamId { rank: member.stream.rank, ..first.stream };
        match u32::try_from(member.bytes) {
            Ok(bytes)
                if self.full.is_empty()
                    && (stream, first.lines) == (member.stream, member.lines) =>
            {
                self.alike.push((stream.rank, bytes));
            }
            _ => {
                self.expand();
                self.full.push(member);
            }
        }
    }

    /// Takes in a statement of one that may have spoken before; returns which it is.
    #[inline]
    pub(crate) fn add(&mut self, said: Said<'_>) -> usize {
        self.expand();
        let at = self.find(said.stream());
        match self.full.get_mut(at) {
            Some(known) => {
                let more = member(said);
                known.lines += more.lines;
                known.bytes += more.bytes;
            }
            None => self.full.push(member(said)),
        }
        at
    }

    /// Which one a stream is; one past the last when it is none yet.
    #[inline]
    fn find(&mut self, stream: StreamId) -> usize {
        let next = self.full.len();
        if next < MANY_STREAMS {
            let found = self.full.iter().position(|member| member.stream == stream);
            return found.unwrap_or(next);
        }
        if self.member_of.is_empty() {
            self.member_of = (0..).zip(&self.full).map(|(at, m)| (m.stream, at)).collect();
        }
        *self.member_of.entry(stream).or_insert(next)
    }

    /// Keeps each in full from now on.
    fn expand(&mut self) {
        if !self.alike.is_empty() {
            let mut full = std::mem::take(&mut self.full);
            self.list(&mut full);
            self.full = full;
            self.alike.clear();
        }
    }

    /// Puts all of them into `into`, in place of what is there.
    pub(crate) fn list(&self, into: &mut Vec<Member>) {
        into.clear();
        if let Some(first) = self.first.filter(|_| self.full.is_empty()) {
            into.extend(self.alike.iter().map(|&(rank, bytes)| Member {
                stream: StreamId { rank, ..first.stream },
                lines: first.lines,
                bytes: u64::from(bytes),
            }));
        } else {
            into.extend_from_slice(&self.full);
        }
    }
}

/// What one statement counts.
#[inline]
fn member(said: Said<'_>) -> Member {
    Member {
        stream: said.stream(),
        lines: said.lines.len() as u64,
        bytes: said.lines.iter().map(|meta| meta.bytes).sum(),
    }
}

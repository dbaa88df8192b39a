//! A place in a job's output, as `--format json` tells it of each line.

use std::collections::BTreeMap;
use std::str::FromStr;

use lastline_line::{Offset, RankSet, ReadBack as _, Span, Stream, StreamId};
use lastline_watch::{Archives, AskUntil, Until, lines_from};

use crate::advice;

/// `3.stderr@1234`: a rank, its stream, and an offset in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    rank: u32,
    stream: Stream,
    at: Offset,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}@{}", self.rank, self.stream, self.at)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (whose, at) = text.split_once('@')?;
            let (rank, name) = whose.split_once('.')?;
            let stream = Stream::ALL.into_iter().find(|stream| stream.name() == name)?;
            Some(Self { rank: rank.parse().ok()?, stream, at: Offset(at.parse().ok()?) })
        };
        read().ok_or_else(|| {
            format!(
                "`{text}` is no place in a job's output (write rank, stream and offset, as in `3.stderr@1234`)"
            )
        })
    }
}

impl Place {
    /// Where so many lines stand of which the first one is here: of the last start of the rank that has
    /// come so far.
    pub(super) fn lines(
        self,
        files: &Archives,
        world_size: u32,
        lines: u64,
    ) -> anyhow::Result<(StreamId, Span)> {
        if let Some(why) = advice::no_such_rank(&RankSet::from_iter([self.rank]), world_size) {
            anyhow::bail!(why);
        }
        let is_own = |id: &StreamId| (id.rank, id.stream) == (self.rank, self.stream);
        let starts: Vec<StreamId> = files.streams().into_iter().filter(is_own).collect();
        let reaching = starts.iter().copied().filter(|id| self.at < files.filed(*id));
        let Some(id) = files.begun_last(reaching) else {
            let end = starts.iter().map(|id| files.filed(*id)).max().unwrap_or_default();
            anyhow::bail!(
                "there is nothing at {self}: rank {} has {end} bytes of {}",
                self.rank,
                self.stream
            );
        };
        Ok((id, lines_from(files, id, self.at, lines)?))
    }
}

/// Has these bytes of a stream given out, and nothing else.
pub(super) struct Only(pub(super) StreamId, pub(super) Span);

impl AskUntil for Only {
    fn ask(&mut self, _given: &BTreeMap<StreamId, Offset>) -> Option<Until> {
        Some(Until { offsets: BTreeMap::from([(self.0, self.1.to)]), last: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_as_it_is_written() {
        for text in ["3.stderr@1234", "0.stdout@0"] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
        for text in ["", "3", "3.stderr", "3@5", "x.stdout@1", "1.stdin@1", "1.stdout@-1"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}

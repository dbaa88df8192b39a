//! Choices of streams, and how they are written.

use std::str::FromStr;

use crate::{RankSet, RankSetError, Stream, StreamId};

/// A choice of streams: of some ranks all, of others one. Written as ranks are, behind each range the
/// stream of it that is meant: `0:both,1-7:stderr`. All are where `both` stands there, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamSet {
    /// The ranks of which each stream is chosen.
    ranks: [RankSet; Stream::ALL.len()],
}

impl StreamSet {
    /// Whether this stream of its rank is chosen, whichever start of that wrote it.
    pub fn contains(&self, stream: StreamId) -> bool {
        self.of(stream.stream).contains(stream.rank)
    }

    /// The ranks of which this stream is chosen.
    pub fn of(&self, stream: Stream) -> &RankSet {
        &self.ranks[stream as usize]
    }

    fn add(&mut self, stream: Stream, ranks: &RankSet) {
        for rank in ranks.iter() {
            self.ranks[stream as usize].insert(rank);
        }
    }

    /// The ranks of which any stream is chosen.
    pub fn ranks(&self) -> RankSet {
        self.ranks.iter().flat_map(RankSet::iter).collect()
    }
}

/// All streams of these ranks.
impl From<RankSet> for StreamSet {
    fn from(ranks: RankSet) -> Self {
        Self { ranks: [ranks.clone(), ranks.clone(), ranks] }
    }
}

/// Why a text names no streams.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamSetError {
    /// What stands before the colon.
    #[error(transparent)]
    Ranks(#[from] RankSetError),
    /// What stands behind it.
    #[error(
        "`{name}` is no stream (write `stdout`, `stderr`, `merged` or `both`, as in `0:both,1-7:stderr`)"
    )]
    Stream {
        /// What is there.
        name: String,
    },
}

impl FromStr for StreamSet {
    type Err = StreamSetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut chosen = Self::default();
        for part in text.split(',') {
            let (ranks, name) = part.split_once(':').unwrap_or((part, "both"));
            let is_meant = |stream: Stream| match name.trim() {
                "both" => Ok(true),
                name if Stream::ALL.iter().any(|known| known.name() == name) => {
                    Ok(name == stream.name())
                }
                name => Err(StreamSetError::Stream { name: name.to_owned() }),
            };
            let ranks: RankSet = ranks.parse()?;
            for stream in Stream::ALL {
                if is_meant(stream)? {
                    chosen.add(stream, &ranks);
                }
            }
        }
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(text: &str) -> [String; 3] {
        let set: StreamSet = text.parse().unwrap();
        Stream::ALL.map(|stream| set.of(stream).to_string())
    }

    #[test]
    fn each_range_has_the_stream_that_is_behind_it() {
        let table = [
            ("0-3,8", ["0-3,8", "0-3,8", "0-3,8"]),
            ("0:both,1-7:stderr", ["0", "0-7", "0"]),
            ("1-7:stderr,0", ["0", "0-7", "0"]),
            ("2:stdout, 2:stderr", ["2", "2", ""]),
            ("4 : stdout", ["4", "", ""]),
            ("0,1:merged", ["0", "0", "0,1"]),
        ];
        for (text, streams) in table {
            assert_eq!(chosen(text), streams, "{text}");
        }
        let set: StreamSet = "0,3:stderr".parse().unwrap();
        assert_eq!(set.ranks().to_string(), "0,3");
        let both = StreamSet::from(RankSet::first(2));
        assert_eq!(Ok(both), "0-1:both".parse());
    }

    #[test]
    fn what_names_none_is_refused_with_what_is_wrong() {
        for (text, said) in [
            ("0:err", "`err` is no stream (write `stdout`, `stderr`, `merged` or `both`"),
            ("0:", "`` is no stream"),
            ("0:stdout:stderr", "`stdout:stderr` is no stream"),
            (":stderr", "`` is not a rank or a range of ranks"),
            ("stderr", "`stderr` is not a rank or a range of ranks"),
            ("3-1:stderr", "the range `3-1` ends before it starts"),
        ] {
            let error = text.parse::<StreamSet>().unwrap_err().to_string();
            assert!(error.starts_with(said), "{text}: {error}");
        }
    }
}

//! How files are called.

use lastline_line::Stream;

use crate::Storage;

/// The name of the index.
pub const INDEX_NAME: &str = "index";

/// What stands behind the name of a rotated file that was compressed.
pub(crate) const COMPRESSED: &str = ".zst";
/// What stands behind that while it is being written: it is no file of a job yet.
pub(crate) const UNFINISHED: &str = ".unfinished";

/// Whose file it is: the files of one rank's stream, over all its launches, are one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FamilyId {
    /// The rank.
    pub rank: u32,
    /// Which of its streams.
    pub stream: Stream,
}

impl FamilyId {
    /// The name of the newest file: `rank-3.stdout.log`, or `rank-3.log` where stdout and stderr are one.
    pub fn newest_name(self) -> String {
        format!("{}.log", self.stem())
    }

    /// The name of a file that was rotated away: `rank-3.stdout.0001.log`.
    pub fn rotated_name(self, number: u32) -> String {
        format!("{}.{number:04}.log", self.stem())
    }

    /// The name of one that was compressed after that: `rank-3.stdout.0001.log.zst`.
    pub fn compressed_name(self, number: u32) -> String {
        self.rotated_name(number) + COMPRESSED
    }

    fn stem(self) -> String {
        match self.stream {
            Stream::Merged => format!("rank-{}", self.rank),
            stream => format!("rank-{}.{stream}", self.rank),
        }
    }
}

/// What a file's name says: its family, and its number unless it is the newest, which is never compressed.
pub(crate) fn parse(name: &str) -> Option<(FamilyId, Option<u32>)> {
    match name.strip_suffix(COMPRESSED) {
        Some(plain) => parse_plain(plain).filter(|(_, number)| number.is_some()),
        None => parse_plain(name),
    }
}

fn parse_plain(name: &str) -> Option<(FamilyId, Option<u32>)> {
    let mut parts = name.strip_prefix("rank-")?.strip_suffix(".log")?.split('.').peekable();
    let rank = parts.next()?.parse().ok()?;
    let named = |part: &&str| Stream::ALL.into_iter().find(|known| known.name() == *part);
    let stream = parts.peek().and_then(named);
    if stream.is_some() {
        parts.next();
    }
    let stream = stream.unwrap_or(Stream::Merged);
    let family = FamilyId { rank, stream };
    let number = parts.next().map(str::parse).transpose().ok()?;
    let written = number.map_or_else(|| family.newest_name(), |n| family.rotated_name(n));
    (written == name).then_some((family, number))
}

/// Whether a file of this name is one that an appender makes: the index, a rank's file, or what was to become
/// one.
pub fn is_of_a_run(name: &str) -> bool {
    let unfinished = || name.strip_suffix(UNFINISHED).filter(|name| name.ends_with(COMPRESSED));
    name == INDEX_NAME || parse(name).or_else(|| parse(unfinished()?)).is_some()
}

/// The first of a run's files that a storage holds, by name; none when it cannot list them.
pub(crate) fn of_a_run(storage: &dyn Storage) -> Option<String> {
    let names = storage.names().unwrap_or_default();
    names.into_iter().filter(|name| is_of_a_run(name)).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_as_they_were_written() {
        for rank in [0, 3, 1000] {
            for stream in Stream::ALL {
                let family = FamilyId { rank, stream };
                assert_eq!(parse(&family.newest_name()), Some((family, None)));
                for number in [1, 42, 9999, 10_000] {
                    for name in [family.rotated_name(number), family.compressed_name(number)] {
                        assert_eq!(parse(&name), Some((family, Some(number))), "{name}");
                    }
                }
            }
        }
        let family = FamilyId { rank: 3, stream: Stream::Stdout };
        assert_eq!(family.newest_name(), "rank-3.stdout.log");
        assert_eq!(family.rotated_name(1), "rank-3.stdout.0001.log");
        assert_eq!(family.compressed_name(1), "rank-3.stdout.0001.log.zst");
        let merged = FamilyId { rank: 3, stream: Stream::Merged };
        assert_eq!(
            (merged.newest_name(), merged.rotated_name(1)),
            ("rank-3.log".into(), "rank-3.0001.log".into())
        );
    }

    #[test]
    fn other_names_are_of_no_family() {
        for name in [
            "index",
            "report.json",
            "rank-.stdout.log",
            "rank-03.stdout.log",
            "rank-+3.stdout.log",
            "rank-3.stdin.log",
            "rank-3.stdout.1.log",
            "rank-3.stdout.0001.0002.log",
            "rank-3.stdout",
            "rank-3.merged.log",
            "rank-3.1.log",
            "rank-.log",
            "rank-03.log",
            "rank-3.stdout.log.zst",
            "rank-3.stdout.0001.log.gz",
            "rank-3.stdout.0001.log.zst.zst",
            "rank-3.stdout.0001.log.zst.unfinished",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    #[test]
    fn what_was_not_finished_is_of_a_run() {
        let name = "rank-3.stdout.0001.log.zst.unfinished";
        assert!(is_of_a_run(name) && is_of_a_run("index") && is_of_a_run("rank-3.log"));
        for name in ["rank-3.stdout.0001.log.unfinished", "rank-3.log.zst.unfinished", "index.zst"]
        {
            assert!(!is_of_a_run(name), "{name}");
        }
    }
}

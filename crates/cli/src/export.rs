//! `lastline run --export`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lastline_export::{Exporter, JOURNAL_SOCKET, Journald, NotExported, Outcome, ReadOf};
use lastline_jobs::Report;
use lastline_line::{Launch, RankSet, StreamId};

use crate::args::RunOptions;
use crate::exit::Misused;
use crate::notices;
use crate::summary::{harmless, ranks};
use crate::units::bytes;

/// How long the end may take until it is said that somebody is waited for.
const SILENT_WAIT: Duration = Duration::from_secs(1);
/// What is left at least of the way out, as each of its stages has it.
const LEAST: Duration = Duration::from_millis(500);
/// How many streams are named that were not exported; the others are counted.
const MOST_NAMED: usize = 4;

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Journald(PathBuf),
}

impl Target {
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let (kind, place) =
            text.split_once('=').map_or((text, None), |(kind, at)| (kind, Some(at)));
        match (kind, place) {
            ("journald", None) => Ok(Self::Journald(JOURNAL_SOCKET.into())),
            ("journald", Some(path)) if path.starts_with('/') => Ok(Self::Journald(path.into())),
            ("journald", Some(_)) => Err(String::from("a socket is written as `journald=/run/…`")),
            _ => Err(String::from("lines go to `journald`")),
        }
    }

    fn start(&self, job: &str, dir: &Path) -> std::io::Result<Exporter> {
        let say = Box::new(|words: &str| notices::say(&harmless(words)));
        match self {
            Self::Journald(path) => {
                let name = match path == Path::new(JOURNAL_SOCKET) {
                    true => String::from("journald"),
                    false => format!("journald={}", path.display()),
                };
                Exporter::start(name, dir, Journald::new(job, path), say)
            }
        }
    }
}

/// Whether it can be had with the other options.
pub(crate) fn check(options: &RunOptions) -> anyhow::Result<()> {
    anyhow::ensure!(
        options.export.is_empty() || !options.no_files,
        Misused(
            "--export reads the job's files, where lines wait while nobody takes them: leave out --no-files"
        )
    );
    Ok(())
}

/// The exports of a job.
#[derive(Debug, Default)]
pub(crate) struct Exports(Vec<Exporter>);

impl Exports {
    pub(crate) fn start(
        &mut self,
        targets: &[Target],
        job: &str,
        dir: &Path,
    ) -> anyhow::Result<()> {
        for target in targets {
            let exporter =
                target.start(job, dir).context("--export: the system refuses a thread")?;
            self.0.push(exporter);
        }
        Ok(())
    }

    /// Waits for the last of it, as long as the way out of the job may still take, and says what was not
    /// exported; whether all was.
    pub(crate) fn finish(self, report: &Report, way_out: Duration) -> bool {
        let took: f64 = report.teardown.iter().map(|stage| stage.seconds).sum();
        let took = Duration::try_from_secs_f64(took).unwrap_or_default();
        let left = way_out.saturating_sub(took).max(LEAST);
        self.0.iter().for_each(|exporter| exporter.end_within(left));
        let told_at = Instant::now() + SILENT_WAIT;
        for exporter in &self.0 {
            let silent = told_at.saturating_duration_since(Instant::now());
            if !exporter.is_over_within(silent) {
                let (name, seconds) = (exporter.name(), left.as_secs().max(1));
                notices::say(&harmless(&format!(
                    "waiting up to {seconds} s until {name} has the last lines"
                )));
            }
        }
        let read = read_of(report);
        let mut is_whole = true;
        for exporter in self.0 {
            let name = exporter.name().to_owned();
            let outcome = exporter.finish(&read);
            is_whole &= outcome.is_whole();
            in_words(&name, &outcome).iter().for_each(|words| notices::say(&harmless(words)));
        }
        is_whole
    }
}

/// How much was read of each stream.
fn read_of(report: &Report) -> Vec<ReadOf> {
    let mut read = Vec::new();
    for rank in &report.ranks {
        let launch = rank.launch.as_deref().and_then(|it| u64::from_str_radix(it, 16).ok());
        let Some(launch) = launch.map(Launch) else { continue };
        read.extend(rank.streams.iter().map(|(stream, of)| {
            let stream = StreamId::new(launch, rank.rank, *stream);
            ReadOf { stream, bytes: of.ledger.read_bytes, lines: of.ledger.read_lines }
        }));
    }
    read
}

/// What was not exported, if anything.
fn in_words(name: &str, outcome: &Outcome) -> Vec<String> {
    let mut words = Vec::new();
    let not_exported = &outcome.not_exported;
    if !not_exported.is_empty() {
        let lines: u64 = not_exported.iter().map(|of| of.lines).sum();
        let all: u64 = not_exported.iter().map(|of| of.bytes).sum();
        let set: RankSet = not_exported.iter().map(|of| of.stream.rank).collect();
        let causes: std::collections::BTreeSet<&str> =
            not_exported.iter().flat_map(|of| of.causes.iter().map(String::as_str)).collect();
        let causes: Vec<&str> = causes.into_iter().collect();
        words.push(format!(
            "{} ({}) of {} NOT EXPORTED to {name}: {}; {}",
            count(lines),
            bytes(all),
            ranks(&set),
            causes.join(", "),
            places(not_exported),
        ));
    }
    words.extend(outcome.refused.iter().map(|(why, lines)| {
        format!(
            "{} NOT EXPORTED to {name}, which refused them and did not say which: {why}",
            count(*lines)
        )
    }));
    words
}

fn count(lines: u64) -> String {
    format!("{lines} line{}", if lines == 1 { "" } else { "s" })
}

/// From where each stream is missing.
fn places(not_exported: &[NotExported]) -> String {
    let place = |of: &NotExported| {
        format!("rank {} {} from offset {}", of.stream.rank, of.stream.stream, of.from.0)
    };
    let named: Vec<String> = not_exported.iter().take(MOST_NAMED).map(place).collect();
    let more = match not_exported.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        1 => String::from(", and 1 stream more"),
        more => format!(", and {more} streams more"),
    };
    format!("{}{more}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_and_others_are_refused() {
        assert_eq!(Target::read("journald"), Ok(Target::Journald(JOURNAL_SOCKET.into())));
        assert_eq!(Target::read("journald=/run/x"), Ok(Target::Journald("/run/x".into())));
        for text in ["", "syslog", "journald=", "journald=x", "Journald"] {
            assert!(Target::read(text).is_err(), "{text}");
        }
    }
}

//! `lastline run --export`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lastline_export::{Exporter, JOURNAL_SOCKET, Journald, NotExported, Outcome, ReadOf};
#[cfg(feature = "otlp")]
use lastline_export::{Headers, Otlp, Place};
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
    #[cfg(feature = "otlp")]
    Otlp(Place),
}

/// What [`Target::read`] reads, in words.
const TARGETS: &str = match cfg!(feature = "otlp") {
    true => "lines go to `journald` or `otlp=URL`",
    false => "lines go to `journald`",
};
/// Whose headers are sent to an endpoint: the first that is there.
#[cfg(feature = "otlp")]
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_LOGS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];

#[cfg(feature = "otlp")]
fn headers() -> anyhow::Result<Headers> {
    let list = HEADERS.iter().find_map(|name| std::env::var(name).ok());
    let misused = Misused(
        "OTEL_EXPORTER_OTLP_HEADERS is a list as `name=value,name=value`, with what is special as %20",
    );
    Headers::parse(&list.unwrap_or_default()).map_err(|_| misused.into())
}

impl Target {
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let (kind, place) =
            text.split_once('=').map_or((text, None), |(kind, at)| (kind, Some(at)));
        match (kind, place) {
            ("journald", None) => Ok(Self::Journald(JOURNAL_SOCKET.into())),
            ("journald", Some(path)) if path.starts_with('/') => Ok(Self::Journald(path.into())),
            ("journald", Some(_)) => Err(String::from("a socket is written as `journald=/run/…`")),
            #[cfg(feature = "otlp")]
            ("otlp", Some(url)) => {
                Place::parse(url).map(Self::Otlp).map_err(|error| error.to_string())
            }
            _ => Err(String::from(TARGETS)),
        }
    }

    fn start(&self, job: &str, dir: &Path) -> anyhow::Result<Exporter> {
        let say = Box::new(|words: &str| notices::say(&harmless(words)));
        let started = match self {
            Self::Journald(path) => {
                let name = match path == Path::new(JOURNAL_SOCKET) {
                    true => String::from("journald"),
                    false => format!("journald={}", path.display()),
                };
                Exporter::start(name, dir, Journald::new(job, path), say)
            }
            #[cfg(feature = "otlp")]
            Self::Otlp(place) => {
                let otlp = Otlp::new(job, place.clone(), headers()?);
                Exporter::start(format!("otlp={place}"), dir, otlp, say)
            }
        };
        started.context("--export: the system refuses a thread")
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
    #[cfg(feature = "otlp")]
    if options.export.iter().any(|target| matches!(target, Target::Otlp(_))) {
        headers()?;
    }
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
            self.0.push(target.start(job, dir)?);
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
        #[cfg(feature = "otlp")]
        {
            let place = Place::parse("http://a/v1/logs").unwrap();
            assert_eq!(Target::read("otlp=http://a"), Ok(Target::Otlp(place)));
            assert!(Target::read("otlp=a:4318").is_err());
        }
        for text in ["", "otlp", "syslog", "journald=", "journald=x", "Journald"] {
            assert!(Target::read(text).is_err(), "{text}");
        }
    }
}

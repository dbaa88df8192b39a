//! The options of `logs`.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap::Args;
use lastline_line::{RankSet, StreamSet, Timestamp};
use regex::bytes::{Regex, RegexBuilder};

use super::matching;
use super::paced::{Speed, speed};
use super::place::Place;
use crate::console::LookOptions;
use crate::moments::moment;
use crate::units::duration;
use crate::values::{FoldMode, Streams, lines};
use crate::via::Url;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lastline logs                       the latest job
  lastline logs --rank 3 --tail 20    the last lines of rank 3
  lastline logs ./logs --stream stderr --follow
  lastline logs --grep 'nan|inf' -B 3 -A 1
  lastline logs --around-failure 5s   what all ranks said around the first failure
  lastline logs --at 3.stderr@1234 --lines 20
  lastline logs --replay --speed 10
  lastline logs --via nats://broker:4222 --job train --tail 100")]
pub(crate) struct LogsOptions {
    /// The job's id, or a directory [default: the latest job]
    #[arg(value_name = "JOB")]
    named: Option<OsString>,
    /// The job's id
    #[arg(long, value_name = "ID", conflicts_with = "named")]
    job: Option<OsString>,
    /// Where the job meets its driver: what a broker has of it is printed, wherever its files are
    ///
    /// Nobody who takes part in the job notices. At unix:PATH nothing is kept: the files of this machine are
    /// printed.
    #[arg(long, value_name = "URL")]
    pub(crate) via: Option<Url>,
    /// The ranks to print, as in `0` or `0-3,8`
    #[arg(long, value_name = "SPEC")]
    rank: Option<RankSet>,
    /// The streams to print of each rank, as in `0:both,1-7:stderr`
    #[arg(long, value_name = "SPEC", conflicts_with_all = ["rank", "stream"])]
    show: Option<StreamSet>,
    /// The stream to print
    #[arg(long, value_enum, default_value_t, value_name = "STREAM")]
    pub(crate) stream: Streams,
    /// Only the last N lines
    #[arg(long, value_name = "N", value_parser = lines, allow_negative_numbers = true)]
    pub(crate) tail: Option<u64>,
    /// Only lines that match this regular expression; the exit code is 1 when none does
    ///
    /// Of what was drawn over by a carriage return, as a progress bar is, the last state is looked at.
    #[arg(long, value_name = "REGEX", value_parser = Regex::new, conflicts_with = "tail")]
    grep: Option<Regex>,
    /// Upper and lower case are alike to --grep
    #[arg(short = 'i', long, requires = "grep")]
    ignore_case: bool,
    /// So many lines of the same rank and stream after one that matches, too
    #[arg(
        short = 'A',
        long,
        value_name = "N",
        default_value_t,
        requires = "grep",
        hide_default_value = true
    )]
    after_context: usize,
    /// So many before it
    #[arg(
        short = 'B',
        long,
        value_name = "N",
        default_value_t,
        requires = "grep",
        hide_default_value = true
    )]
    before_context: usize,
    /// Only what came then or later: `10m` ago, `14:05`, `2026-11-27 14:05:30`, or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "via")]
    pub(super) since: Option<Timestamp>,
    /// Only what came before that
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "via")]
    pub(super) until: Option<Timestamp>,
    /// Only what came so long before and after the first failure
    #[arg(long, value_name = "DURATION", value_parser = duration,
          conflicts_with_all = ["via", "since", "until", "follow"])]
    pub(super) around_failure: Option<Duration>,
    /// The line at this offset of a rank's stream, as `--format json` tells it, and those after it
    #[arg(long, value_name = "RANK.STREAM@OFFSET", conflicts_with_all = ["via", "rank", "show", "stream",
          "tail", "since", "until", "around_failure", "follow"])]
    pub(super) at: Option<Place>,
    /// How many lines --at prints
    #[arg(long, value_name = "N", default_value = "10", value_parser = lines, requires = "at",
          allow_negative_numbers = true)]
    pub(super) lines: u64,
    /// Print lines at the pace at which they came
    #[arg(long, conflicts_with = "follow")]
    pub(super) replay: bool,
    /// How many times as fast --replay is, as in `10` or `0.5`
    #[arg(long, value_name = "X", default_value = "1", value_parser = speed, requires = "replay",
          allow_negative_numbers = true)]
    pub(super) speed: Speed,
    /// Go on until the job is over
    #[arg(long)]
    pub(crate) follow: bool,
    /// What becomes of similar lines [default: off]
    #[arg(long, value_enum, value_name = "MODE")]
    pub(crate) fold: Option<FoldMode>,
    #[command(flatten)]
    pub(crate) look: LookOptions,
}

impl LogsOptions {
    /// Which lines are printed, where not all are.
    pub(super) fn matching(&self) -> Option<matching::Wanted> {
        let pattern = self.grep.as_ref()?;
        let pattern = match self.ignore_case {
            // What is well-formed is so in either case.
            true => RegexBuilder::new(pattern.as_str()).case_insensitive(true).build().ok()?,
            false => pattern.clone(),
        };
        let (before, after) = (self.before_context, self.after_context);
        Some(matching::Wanted { pattern, before, after })
    }

    /// Of which ranks streams are printed, and which of them, unless all are. Of these it is the one that
    /// `stream` says, where it says one.
    pub(super) fn chosen(&self) -> Option<StreamSet> {
        self.show.clone().or_else(|| self.rank.clone().map(StreamSet::from))
    }

    /// The job that was named, either way.
    pub(super) fn job(&self) -> Option<&OsStr> {
        self.named.as_deref().or(self.job.as_deref())
    }
}

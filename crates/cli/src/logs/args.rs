//! The options of `logs`.

use std::ffi::{OsStr, OsString};

use clap::Args;
use lastline_line::RankSet;

use crate::console::LookOptions;
use crate::values::{FoldMode, Streams, lines};
use crate::via::Url;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lastline logs                       the latest job
  lastline logs --rank 3 --tail 20    the last lines of rank 3
  lastline logs ./logs --stream stderr --follow
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
    pub(crate) rank: Option<RankSet>,
    /// The stream to print
    #[arg(long, value_enum, default_value_t, value_name = "STREAM")]
    pub(crate) stream: Streams,
    /// Only the last N lines
    #[arg(long, value_name = "N", value_parser = lines, allow_negative_numbers = true)]
    pub(crate) tail: Option<u64>,
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
    /// The job that was named, either way.
    pub(super) fn job(&self) -> Option<&OsStr> {
        self.named.as_deref().or(self.job.as_deref())
    }
}

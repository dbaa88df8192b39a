//! The options of what has ranks at one place and their driver at another.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use lastline_line::StreamSet;

use super::Url;
use crate::console::LookOptions;
use crate::units::duration;
use crate::values::{FoldMode, OnFailure, flag, output_file};

/// The place of a process among those that start the ranks of one job.
#[derive(Debug, Args)]
pub(crate) struct PlaceOptions {
    /// Run these ranks for a driver elsewhere: where to meet it, `unix:PATH` or `nats://HOST:PORT`
    ///
    /// Nothing of the ranks is printed here; `lastline attach --via` shows them, before or after they
    /// have started, and as often as it likes. Which ranks these are is read from the variables of srun,
    /// mpirun, PMI, PMIx or an indexed Job of Kubernetes, or said by the options beside this one.
    #[arg(long, value_name = "URL", env = "LASTLINE_RUN_VIA", requires = "job")]
    pub(crate) via: Option<Url>,
    /// How many processes start ranks of this job, each as many as `-n` says
    #[arg(long, value_name = "M", env = "LASTLINE_RUN_NNODES", requires = "via")]
    pub(crate) nnodes: Option<u32>,
    /// Which of them this is, from 0
    #[arg(long, value_name = "R", env = "LASTLINE_RUN_NODE_RANK", requires = "via")]
    pub(crate) node_rank: Option<u32>,
    /// How many ranks the whole job has
    #[arg(long, value_name = "W", env = "LASTLINE_RUN_WORLD_SIZE", requires = "via")]
    pub(crate) world_size: Option<u32>,
    /// The first rank that is started here
    #[arg(long, value_name = "R", env = "LASTLINE_RUN_RANK", requires = "via")]
    pub(crate) rank: Option<u32>,
    /// Where ranks find rank 0, for MASTER_ADDR [default: what the launcher says]
    #[arg(long, value_name = "ADDRESS", env = "LASTLINE_RUN_MASTER_ADDR", requires = "via")]
    pub(crate) master_addr: Option<String>,
    /// Fold here before sending: what these ranks say alike is sent once
    ///
    /// The driver gets every line, so that what it shows is the same, in fewer messages. At a broker lines are
    /// gathered for 100 ms; barriers are not delayed by that. Files are not touched.
    #[arg(long, env = "LASTLINE_RUN_PRE_FOLD", value_parser = flag(), requires = "via")]
    pub(crate) pre_fold: bool,
}

/// Which output a driver that comes later shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// All of it
    #[default]
    Start,
    /// What is printed from now on
    Now,
    /// What the last one here had not shown
    LastSeen,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lastline attach --via unix:/tmp/job.sock --job sim
  lastline attach --via unix:/tmp/job.sock --job sim --from last-seen --fold ranks

Ctrl-C and SIGTERM stop the job, as they do for `run`. A terminal that goes (SIGHUP) and SIGKILL leave
it running: attach again with --from last-seen.")]
pub(crate) struct AttachOptions {
    /// Where to meet the ranks: unix:PATH or nats://HOST:PORT
    #[arg(long, value_name = "URL")]
    pub(crate) via: Url,
    /// The job's id
    #[arg(long, value_name = "ID")]
    pub(crate) job: String,
    /// Which output is shown of what was printed before
    #[arg(long, value_enum, default_value_t, value_name = "PLACE")]
    pub(crate) from: From,
    /// After how long without a sign of life a host is given up
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub(crate) lost_after: Duration,
    /// What becomes of similar lines [default: `ranks` on a terminal]
    #[arg(long, value_enum, value_name = "MODE")]
    pub(crate) fold: Option<FoldMode>,
    /// How long lines are held to be folded [default: 500ms for ranks, 3s for similar]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) fold_window: Option<Duration>,
    #[command(flatten)]
    pub(crate) look: LookOptions,
    /// The ranks whose lines are printed, as in `0` or `0-3,8`, or their streams, `0:both,1-7:stderr`
    #[arg(long, value_name = "SPEC")]
    pub(crate) show: Option<StreamSet>,
    /// What happens to the others when a rank fails [default: as `run` was told where it failed]
    ///
    /// Ranks at a broker that were told to stop when one fails do so with or without a driver.
    #[arg(long, value_enum, value_name = "ACTION")]
    pub(crate) on_failure: Option<OnFailure>,
    /// Say which ranks have written nothing for so long while others wrote; 0: never
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub(crate) silent_after: Duration,
    /// The whole shutdown; past it the report says what was left
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub(crate) teardown_timeout: Duration,
    /// The deadline of a barrier
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(crate) flush_timeout: Duration,
    /// Exit with 74 when output was lost, or the report not written
    #[arg(long)]
    pub(crate) strict: bool,
    /// Where the files of the job are, and its report goes [default: as for `run`]
    #[arg(long, value_name = "DIR")]
    pub(crate) log_dir: Option<PathBuf>,
    /// Where the report is written, too; `-` is stdout
    #[arg(long, value_name = "FILE", value_parser = output_file())]
    pub(crate) report: Option<PathBuf>,
    /// No summary at the end; why ranks cannot start is said all the same
    #[arg(long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lastline stop 20261123-141503-k3f9
  lastline stop --signal INT sim")]
pub(crate) struct StopOptions {
    /// The job's id [default: the latest job]
    pub(crate) job: Option<String>,
    /// What its ranks are sent first: TERM or INT, or their numbers
    #[arg(long, value_name = "SIGNAL", default_value = "TERM", value_parser = signal)]
    pub(crate) signal: i32,
    /// Where the job meets its driver, which is asked to stop it
    #[arg(long, value_name = "URL")]
    pub(crate) via: Option<Url>,
}

/// One of the signals that a job can be stopped with, by its name or number.
fn signal(text: &str) -> Result<i32, String> {
    let name = text.to_ascii_uppercase();
    match name.strip_prefix("SIG").unwrap_or(&name) {
        "TERM" | "15" => Ok(libc::SIGTERM),
        "INT" | "2" => Ok(libc::SIGINT),
        _ => Err(String::from("a job is stopped with TERM or INT; what ignores them is killed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_go_by_name_and_by_number() {
        for (text, number) in [("TERM", 15), ("SIGINT", 2), ("int", 2), ("15", 15)] {
            assert_eq!(signal(text), Ok(number));
        }
        assert!(signal("KILL").is_err() && signal("99").is_err());
    }
}

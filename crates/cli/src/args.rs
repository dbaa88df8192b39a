//! The command line.

use std::ffi::OsString;
#[cfg(feature = "metrics")]
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use lastline_appender::Fsync;
use lastline_line::StreamSet;

#[cfg(feature = "metrics")]
use crate::address::address;
#[cfg(feature = "export")]
use crate::export::Target;
use crate::filter::FilterOptions;
use crate::logs::LogsOptions;
use crate::serve::ServeOptions;
use crate::units::{age, duration, size};
use crate::values::{
    Compress, FoldMode, Format, OnFailure, Prefix, StdinMode, When, WhenFull, file_size, flag,
    fsync, jobs, output_file, prefix, procs, total_size, variable,
};
use crate::via::Url;
use crate::via::args::{AttachOptions, PlaceOptions, StopOptions};

/// Run a job of N processes and lose no line of what they print.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a command in N processes
    Run(Box<RunOptions>),
    /// Show a job whose ranks run elsewhere, as if they ran here
    Attach(Box<AttachOptions>),
    /// End a running job
    #[command(alias = "kill")]
    Stop(StopOptions),
    /// Print a job's files, merged by the time of arrival, or what a broker has of it
    Logs(Box<LogsOptions>),
    /// Fold lines that another tool has labelled, as `dshbak -c` does and more
    Fold(FilterOptions),
    /// Look at a job in the terminal: its ranks, its folded log, its first failure
    #[command(after_help = "Examples:\n  lastline top\n  lastline top 20261123-141503-k3f9")]
    Top {
        /// The job's id, or a directory [default: the latest job]
        job: Option<String>,
    },
    /// List the jobs that are there
    #[command(aliases = ["ps", "ls"], after_help = "\
Of finished jobs in the default place the newest 100 are kept, for 30 days, up to 10 GiB; what a job with
a --log-dir has is never removed by itself.

Example:
  lastline jobs | tail -5")]
    Jobs,
    /// Wait until everything that a running job has printed before now has arrived
    #[command(after_help = "Example:\n  lastline flush 20261123-141503-k3f9")]
    Flush {
        /// The job's id
        job: String,
        /// Where the job meets its driver, which is asked
        #[arg(long, value_name = "URL")]
        via: Option<Url>,
    },
    /// Print a job's report; of a job that was interrupted, what its files say
    #[command(
        after_help = "Examples:\n  lastline report | jq .ranks[0].streams.stdout\n  lastline report --html job.html"
    )]
    Report {
        /// The job's id, or a directory [default: the latest job]
        job: Option<OsString>,
        /// Write the job as one page, for a browser, to this file
        #[arg(long, value_name = "FILE", value_parser = output_file())]
        html: Option<PathBuf>,
    },
    /// Show jobs in the browser, while they run and afterwards
    Serve(ServeOptions),
    /// Remove finished jobs, oldest first
    ///
    /// Prints the ids of those that are removed. Of a job with a --log-dir of its own only the place on
    /// the list goes, and its files stay; that is said. The exit code is 1 where one cannot be removed.
    Prune(PruneOptions),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  lastline completions bash > ~/.local/share/bash-completion/completions/lastline"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the man page of lastline, or of one of its commands
    #[command(
        after_help = "Examples:\n  lastline man | man -l -\n  lastline man run > lastline-run.1"
    )]
    Man {
        /// The command [default: lastline itself]
        #[arg(value_parser = COMMANDS)]
        command: Option<String>,
    },
}

/// Those that have a man page.
const COMMANDS: [&str; 13] = [
    "run",
    "attach",
    "top",
    "stop",
    "logs",
    "fold",
    "jobs",
    "flush",
    "report",
    "serve",
    "prune",
    "completions",
    "man",
];

const EXAMPLES: &str = "\
Examples:
  lastline run -n 8 -- python train.py
  lastline logs --rank 3 --tail 20
  lastline run --help";

pub(crate) const RUN_EXAMPLES: &str = "\
Examples:
  lastline run -n 4 -- python train.py --epochs 3
  lastline run -n 64 --log-dir logs --on-failure continue -- ./a.out
  lastline run -n 8 --format json -- ./worker | jq .line
  lastline run -n 8 --metrics :9400 --export journald -- ./worker";

/// What there is to know of `run` beside its options.
pub(crate) const RUN_NOTES: &str = "\
Each rank gets RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, NODE_RANK, MASTER_ADDR,
MASTER_PORT, LASTLINE_JOB_ID, LASTLINE_RANK and LASTLINE_RESTART_COUNT.

Every option is also read from LASTLINE_RUN_<OPTION>, as in LASTLINE_RUN_LOG_DIR=logs; a
variable that is empty is as one that is not set. What is typed goes before a variable, also
one that says the opposite, as --log-dir and LASTLINE_RUN_NO_FILES do.

The exit code is 0 when all ranks ended with 0, otherwise that of the rank that failed first
(128 + n for a signal); 130 and 143 when lastline was told to stop; 124 when --timeout was
over; 126 and 127 when the command could not be run; 2 for bad usage; 74 when --report could
not be written, and with --strict when output was lost or not filed.";

#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// Ranks to start on this host
    #[arg(short = 'n', long, value_name = "N", default_value = "1", env = "LASTLINE_RUN_PROCS",
          value_parser = procs, allow_negative_numbers = true)]
    pub(crate) procs: u32,
    /// Where the files go [default: a folder of the job's own in ~/.local/state/lastline/jobs]
    ///
    /// In the default place finished jobs beyond the newest 100, 30 days or 10 GiB are removed when another
    /// starts; what is in a directory that is given here is never removed by itself.
    #[arg(long, value_name = "DIR", env = "LASTLINE_RUN_LOG_DIR")]
    pub(crate) log_dir: Option<PathBuf>,
    /// Use a directory that holds a finished job, and remove that job's files
    #[arg(long, env = "LASTLINE_RUN_OVERWRITE", value_parser = flag())]
    pub(crate) overwrite: bool,
    /// Keep nothing on disk. A line of more than half a MiB may then come in pieces, each marked as one
    #[arg(long, env = "LASTLINE_RUN_NO_FILES", value_parser = flag(),
          conflicts_with = "log_dir")]
    pub(crate) no_files: bool,
    /// The job's id [default: the time and four random letters]
    #[arg(long, value_name = "ID", env = "LASTLINE_RUN_JOB")]
    pub(crate) job: Option<String>,
    #[command(flatten)]
    pub(crate) place: PlaceOptions,
    /// What becomes of similar lines [default: `ranks` on a terminal]
    ///
    /// Off where there is one rank, and where stdout is no terminal.
    #[arg(long, value_enum, value_name = "MODE", env = "LASTLINE_RUN_FOLD")]
    pub(crate) fold: Option<FoldMode>,
    /// How long lines are held to be folded [default: 500ms for ranks, 3s for similar]
    #[arg(long, value_name = "DURATION", value_parser = duration, env = "LASTLINE_RUN_FOLD_WINDOW")]
    pub(crate) fold_window: Option<Duration>,
    /// What stands before each line, as in `{rank}|`, or `never`
    ///
    /// A template with {rank} {local_rank} {host} {pid} {stream} {time} {job}; `auto` is `[{rank}] `,
    /// and nothing for one rank.
    #[arg(long, value_name = "TEMPLATE", default_value = "auto", env = "LASTLINE_RUN_PREFIX",
          value_parser = prefix)]
    pub(crate) prefix: Prefix,
    /// The ranks whose lines are printed, as in `0` or `0-3,8`; files always get all
    ///
    /// Of each range one stream alone, where that is behind it: `0:both,1-7:stderr`.
    #[arg(long, value_name = "SPEC", env = "LASTLINE_RUN_SHOW")]
    pub(crate) show: Option<StreamSet>,
    /// How lines are printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", env = "LASTLINE_RUN_FORMAT")]
    pub(crate) format: Format,
    /// Whether ranks and stderr are told apart by colours
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", env = "LASTLINE_RUN_COLOR")]
    pub(crate) color: When,
    /// Show control sequences of the ranks as `^[[2J` instead of sending them; colours pass
    #[arg(long, env = "LASTLINE_RUN_SANITIZE", value_parser = flag())]
    pub(crate) sanitize: bool,
    /// What happens to the others when a rank fails
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "ACTION",
        env = "LASTLINE_RUN_ON_FAILURE"
    )]
    pub(crate) on_failure: OnFailure,
    /// How often each rank that fails is started again before that counts as a failure
    ///
    /// As soon as what it printed has been read (see --drain), with LASTLINE_RESTART_COUNT set to how often it
    /// was before. The others run on, so that this is for ranks that do without it meanwhile; what it has read
    /// of stdin is gone. Each start has files of its own: `rank-3.stdout.0001.log` that
    /// of the first one, and `rank-3.stdout.log` that of the last.
    #[arg(
        long,
        value_name = "N",
        default_value = "0",
        env = "LASTLINE_RUN_MAX_RESTARTS",
        allow_negative_numbers = true
    )]
    pub(crate) max_restarts: u32,
    /// The time of the whole job; one that takes longer is stopped, and the exit code is 124; 0: no limit
    #[arg(long, value_name = "DURATION", value_parser = duration, env = "LASTLINE_RUN_TIMEOUT")]
    pub(crate) timeout: Option<Duration>,
    /// From SIGTERM to SIGKILL; at most half of the whole shutdown
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration,
          env = "LASTLINE_RUN_GRACE")]
    pub(crate) grace: Duration,
    /// Silence after which an open pipe is given up when its rank has exited
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration,
          env = "LASTLINE_RUN_DRAIN")]
    pub(crate) drain: Duration,
    /// The whole shutdown; past it the report says what was left
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration,
          env = "LASTLINE_RUN_TEARDOWN_TIMEOUT")]
    pub(crate) teardown_timeout: Duration,
    /// Do not end what is left in the ranks' process groups when the job is over
    #[arg(long, env = "LASTLINE_RUN_LEAVE_BACKGROUND", value_parser = flag())]
    pub(crate) leave_background: bool,
    /// Exit with 74 when output was lost or not filed, or the report not written
    #[arg(long, env = "LASTLINE_RUN_STRICT", value_parser = flag())]
    pub(crate) strict: bool,
    /// The deadline of a barrier
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration,
          env = "LASTLINE_RUN_FLUSH_TIMEOUT")]
    pub(crate) flush_timeout: Duration,
    /// Say which ranks have written nothing for so long while others wrote; 0: never
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration,
          env = "LASTLINE_RUN_SILENT_AFTER")]
    pub(crate) silent_after: Duration,
    /// What happens when the console is slower than a rank [default: spool; block with --no-files]
    #[arg(long, value_enum, value_name = "POLICY", env = "LASTLINE_RUN_WHEN_FULL")]
    pub(crate) when_full: Option<WhenFull>,
    /// Memory for output not yet filed or shown, for the whole job
    #[arg(long, value_name = "SIZE", default_value = "8MiB", value_parser = size,
          env = "LASTLINE_RUN_BUFFER")]
    pub(crate) buffer: u64,
    /// Filing stops, declared, when less than this is free on the disk [default: 1GiB, at most 5 %
    /// of the file system]
    #[arg(long, value_name = "SIZE", value_parser = size, env = "LASTLINE_RUN_MIN_FREE")]
    pub(crate) min_free: Option<u64>,
    /// Begin a new file at this size
    #[arg(long, value_name = "SIZE", value_parser = file_size, env = "LASTLINE_RUN_ROTATE")]
    pub(crate) rotate: Option<u64>,
    /// Remove the oldest closed files when the job's files pass this size together. With `--when-full
    /// spool`, what the console has not had yet is kept: once that is half of this, ranks wait. For a
    /// driver elsewhere (`--via`) nothing is kept. The index is not counted, some 40 bytes for each write
    #[arg(long, value_name = "SIZE", value_parser = total_size, env = "LASTLINE_RUN_MAX_SIZE")]
    pub(crate) max_size: Option<u64>,
    /// Compress files that are closed, beside the job: `zstd` makes `rank-3.stdout.0001.log.zst` of them
    ///
    /// With --rotate or --max-size, which close files; the newest of each rank's stays plain, and so do those
    /// whose turn had not come at the end of the job. Everything of lastline reads them as the plain ones, and
    /// so does `zstdcat`. --max-size counts what they take then.
    #[arg(long, value_enum, value_name = "HOW", env = "LASTLINE_RUN_COMPRESS")]
    pub(crate) compress: Option<Compress>,
    /// When file data is forced to disk: `never`, `end`, or every so many seconds
    #[arg(long, value_name = "WHEN", default_value = "never", value_parser = fsync,
          env = "LASTLINE_RUN_FSYNC")]
    pub(crate) fsync: Fsync,
    /// Who reads lastline's own stdin
    #[arg(long, value_enum, default_value_t, value_name = "WHO", env = "LASTLINE_RUN_STDIN")]
    pub(crate) stdin: StdinMode,
    /// Take stdout and stderr of each rank through one pipe, which keeps their order
    ///
    /// They are one stream, `merged`: in files (`rank-3.log`), JSON and the report, and on stdout.
    #[arg(long, env = "LASTLINE_RUN_MERGE", value_parser = flag(), conflicts_with = "pty")]
    pub(crate) merge: bool,
    /// Give each rank a terminal, on which stdout and stderr are one stream
    ///
    /// It is told as stdout, and as wide as what stands before its lines leaves room for. What a rank
    /// leaves in the background gets SIGHUP when it ends. Stdin stays what `--stdin` says; with `--stdin
    /// rank0`, in a terminal, rank 0 is typed into its own. One rank alone then has the whole
    /// terminal: each key, Ctrl-C and Ctrl-Z too, is the rank's. `kill` from elsewhere stops lastline.
    #[arg(long, env = "LASTLINE_RUN_PTY", value_parser = flag())]
    pub(crate) pty: bool,
    /// A variable for every rank
    ///
    /// May be given several times, and once in LASTLINE_RUN_ENV; what is typed goes before that.
    #[arg(long, value_name = "K=V", value_parser = variable(), env = "LASTLINE_RUN_ENV")]
    pub(crate) env: Vec<(OsString, OsString)>,
    /// Where ranks start
    #[arg(long, value_name = "DIR", env = "LASTLINE_RUN_WORKDIR")]
    pub(crate) workdir: Option<PathBuf>,
    /// Do not set PYTHONUNBUFFERED
    #[arg(long, env = "LASTLINE_RUN_BUFFERED", value_parser = flag())]
    pub(crate) buffered: bool,
    /// Where the report is written; `-` is stdout [default: report.json in the log directory]
    #[arg(long, value_name = "FILE", env = "LASTLINE_RUN_REPORT", value_parser = output_file())]
    pub(crate) report: Option<PathBuf>,
    /// Inside a view of the job, as `lastline top` has it; when it is left the job goes on to the
    /// console, or is stopped
    #[arg(long, env = "LASTLINE_RUN_VIEW", value_parser = flag(), conflicts_with = "via")]
    pub(crate) view: bool,
    /// Serve the job's counters in Prometheus' text format at `http://ADDRESS/metrics` while it runs
    ///
    /// An address as `127.0.0.1:9400`, `[::1]:0` or `:9400`, which is this machine alone; port 0 is any that is
    /// free, and is said. Nothing is encrypted, and nobody is asked who they are; no line of a rank is told.
    #[cfg(feature = "metrics")]
    #[arg(long, value_name = "ADDRESS", env = "LASTLINE_RUN_METRICS", value_parser = address,
          conflicts_with = "via")]
    pub(crate) metrics: Option<SocketAddr>,
    /// Send every line elsewhere, too, from the job's files: `journald` or `otlp=URL`
    ///
    /// May be given several times. `otlp=http://127.0.0.1:4318` is an OpenTelemetry endpoint for logs, by HTTP
    /// with JSON; headers are those of OTEL_EXPORTER_OTLP_HEADERS. `journald=PATH` is another socket than that
    /// of the system's journal. Lines wait in the files while nobody takes them; what is left at the end has
    /// what is left of --teardown-timeout, and then it is said which lines were not exported.
    #[cfg(feature = "export")]
    #[arg(long, value_name = "WHERE", env = "LASTLINE_RUN_EXPORT", value_parser = Target::read,
          conflicts_with = "via")]
    pub(crate) export: Vec<Target>,
    /// No summary at the end; why ranks cannot start is said all the same
    #[arg(long, env = "LASTLINE_RUN_QUIET", value_parser = flag())]
    pub(crate) quiet: bool,
    /// The command and its arguments; run directly, not through a shell
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lastline prune --keep 20
  lastline prune --older-than 7d --max-size 1GiB")]
#[group(required = true, multiple = true)]
pub(crate) struct PruneOptions {
    /// Keep the newest N
    #[arg(long, value_name = "N", value_parser = jobs, allow_negative_numbers = true)]
    pub(crate) keep: Option<usize>,
    /// Remove those that started longer ago
    #[arg(long, value_name = "DURATION", value_parser = age, allow_negative_numbers = true)]
    pub(crate) older_than: Option<Duration>,
    /// Keep so much at most
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_size: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(words: &[&str]) -> RunOptions {
        let words = ["lastline", "run"].iter().chain(words);
        match Cli::try_parse_from(words).unwrap().command {
            Command::Run(options) => *options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn what_follows_the_command_belongs_to_it() {
        let options = run(&["-n", "4", "--", "prog", "-n", "7", "--", "--strict"]);
        assert_eq!((options.procs, options.strict), (4, false));
        assert_eq!(options.command, ["prog", "-n", "7", "--", "--strict"]);
        assert_eq!(run(&["prog", "-x"]).command, ["prog", "-x"]);
    }

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let options = run(&["prog"]);
        assert_eq!((options.procs, options.prefix, options.buffer), (1, Prefix::Auto, 8 << 20));
        let seconds =
            [options.grace, options.drain, options.teardown_timeout, options.flush_timeout];
        assert_eq!(seconds.map(|duration| duration.as_secs()), [10, 2, 30, 5]);
        assert_eq!(options.silent_after, Duration::from_secs(60));
        assert_eq!(run(&["--silent-after", "0", "prog"]).silent_after, Duration::ZERO);
        assert_eq!((options.format, options.on_failure), (Format::Text, OnFailure::Stop));
        assert_eq!((options.fsync, options.stdin), (Fsync::Never, StdinMode::Null));
        assert!(!options.pty);
    }

    #[test]
    fn bad_values_are_refused() {
        let table: [&[&str]; 8] = [
            &["-n", "0", "x"],
            &["--prefix", "{rnak}", "x"],
            &["--show", "3-1", "x"],
            &["--grace", "soon", "x"],
            &["--buffer", "big", "x"],
            &["--env", "novalue", "x"],
            &["--fsync", "0", "x"],
            &["-n", "2"],
        ];
        for words in table {
            let words = ["lastline", "run"].iter().chain(words);
            assert!(Cli::try_parse_from(words).is_err());
        }
    }
}

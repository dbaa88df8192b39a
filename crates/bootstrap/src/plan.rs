//! What a job is to be.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lastline_client::{Inherited, Labels, Printer, Silent, Template, TextOptions, TextPrinter};
use lastline_line::{Fold, Off, StreamSet};
use lastline_sender::WhenFull;
use lastline_spawn::{OnEcho, Placement, StdinMode, TerminalSize};

use crate::SpawnError;

/// Whether one rank's failure ends the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// The others are stopped.
    #[default]
    Stop,
    /// They go on.
    Continue,
}

/// Where a job's files go.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Files {
    /// The directory, which exists.
    pub dir: PathBuf,
    /// How they are written.
    pub appender: lastline_appender::Options,
}

impl Files {
    /// Files in `dir`, written as `appender` says.
    pub fn new(dir: PathBuf, appender: lastline_appender::Options) -> Self {
        Self { dir, appender }
    }
}

/// A job: what to run, and every limit and policy around it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Plan {
    /// The command and its arguments; run directly, not through a shell.
    pub command: Vec<OsString>,
    /// How many ranks. Default: 1.
    pub procs: u32,
    /// Which ranks of a job these are that other hosts have a part in; all of them when `None`, the
    /// default. It speaks of as many ranks as `procs`.
    pub placement: Option<Placement>,
    /// The job's id.
    pub job: String,
    /// Where output is filed; nowhere when `None`, the default.
    pub files: Option<Files>,
    /// Variables for every rank.
    pub env: Vec<(OsString, OsString)>,
    /// Where ranks start; here when `None`, the default.
    pub workdir: Option<PathBuf>,
    /// What ranks read. Default: nothing.
    pub stdin: StdinMode,
    /// Stdout and stderr of each rank are one pipe, so that their order is kept: one stream,
    /// [`Stream::Merged`](lastline_line::Stream::Merged). Nothing that `pty` does. Default: false.
    pub merge: bool,
    /// Each rank gets a terminal of its own, which its stdout and its stderr are: one stream, told
    /// as stdout. Default: false.
    ///
    /// The terminal leaves bytes alone and echoes nothing; it has the size `terminal_size`. The rank leads a session with it, so that the kernel sends SIGHUP to
    /// the rank's group when the rank ends, and to the rank when the driver is killed. `stdin` is
    /// not part of it, and nobody types: a rank that reads from `/dev/tty` waits. Only where `stdin`
    /// is [`StdinMode::Rank0`] and this process's own stdin is a terminal, rank 0's terminal is its
    /// stdin too, and what is typed here is typed there.
    pub pty: bool,
    /// How large the ranks' terminals are; `None`, the default, for as large as this process's own,
    /// or 24 rows of 80 columns. [`LoggingMesh::resize`](crate::LoggingMesh::resize) changes it.
    pub terminal_size: Option<TerminalSize>,
    /// A terminal that rank 0 is typed into echoes, for whoever has the own terminal in raw mode.
    /// Default: false, that has shown what was typed.
    pub echo: bool,
    /// Where it does not, is told when rank 0 wants what is typed to be hidden, as a password, and when
    /// no more: it finds a terminal that echoes, and may set it not to. Default: nobody is.
    pub on_echo: Option<OnEcho>,
    /// Do not set `PYTHONUNBUFFERED`. Default: false.
    pub buffered: bool,
    /// Whether the failure of a rank here ends all. Default: it does.
    pub on_failure: OnFailure,
    /// How often each rank that fails by itself is started again before that counts as a failure. A start
    /// that the handle was asked for counts, too; one that cannot be made is not tried again. Default: 0.
    pub max_restarts: u32,
    /// The time of the whole job, from its start; a job that takes longer is stopped
    /// ([`StopCause::Timeout`](crate::StopCause)). Time in which it stands still does not count. Default: none.
    pub timeout: Option<Duration>,
    /// From SIGTERM to SIGKILL; at most half of the whole shutdown. Default: 10 s.
    pub grace: Duration,
    /// Silence after which a pipe is given up whose rank has exited; ten times that in all.
    /// Default: 2 s.
    pub drain: Duration,
    /// The whole shutdown. Default: 30 s.
    pub teardown_timeout: Duration,
    /// Do not end what is left in the ranks' groups. Default: false.
    pub leave_background: bool,
    /// The deadline of a barrier. Default: 5 s.
    pub flush_timeout: Duration,
    /// Ranks that have written nothing for so long while others wrote are named on the console, once;
    /// zero: never. Default: 60 s.
    pub silent_after: Duration,
    /// What happens when the driver is slower than a rank. Default: spool.
    pub when_full: WhenFull,
    /// Memory for output not yet filed or shown. Default: 8 MiB.
    pub buffer_bytes: usize,
    /// The streams whose lines are printed. Default: all.
    pub show: Option<StreamSet>,
    /// Where the report is written too: `report.json` among the files is how the job is known to
    /// be over. Default: nowhere else.
    pub report: Option<PathBuf>,
    /// The Unix socket on which others may ask for a barrier; none when `None`, the default.
    pub control: Option<PathBuf>,
}

impl Plan {
    /// One rank of `command`, in job `job`, with every default.
    pub fn new(job: impl Into<String>, command: Vec<OsString>) -> Self {
        Self {
            command,
            procs: 1,
            placement: None,
            job: job.into(),
            files: None,
            env: Vec::new(),
            workdir: None,
            stdin: StdinMode::Null,
            merge: false,
            pty: false,
            terminal_size: None,
            echo: false,
            on_echo: None,
            buffered: false,
            on_failure: OnFailure::Stop,
            max_restarts: 0,
            timeout: None,
            grace: Duration::from_secs(10),
            drain: Duration::from_secs(2),
            teardown_timeout: Duration::from_secs(30),
            leave_background: false,
            flush_timeout: Duration::from_secs(5),
            silent_after: Duration::from_secs(60),
            when_full: WhenFull::Spool,
            buffer_bytes: 8 << 20,
            show: None,
            report: None,
            control: None,
        }
    }
}

impl Plan {
    /// From SIGTERM to SIGKILL, as the whole shutdown leaves it: half of that at most.
    pub fn effective_grace(&self) -> Duration {
        self.grace.min(self.teardown_timeout / 2)
    }

    /// Which ranks of the whole job these are.
    pub fn effective_placement(&self) -> Placement {
        self.placement.clone().unwrap_or_else(|| Placement::alone(self.procs))
    }

    /// The program that its command means.
    pub(crate) fn find_program(&self) -> Result<OsString, SpawnError> {
        find_program(&self.command, self.workdir.as_deref(), &self.env)
    }
}

pub(crate) fn find_program(
    command: &[OsString],
    workdir: Option<&Path>,
    env: &[(OsString, OsString)],
) -> Result<OsString, SpawnError> {
    if let Some(dir) = workdir.filter(|dir| !dir.is_dir()) {
        return Err(SpawnError::Workdir { dir: dir.to_owned() });
    }
    let env: Vec<_> = env.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
    Ok(lastline_spawn::find_program(command, workdir, &env)?)
}

/// How a job's output is shown.
pub struct Console {
    /// What similar lines become.
    pub fold: Box<dyn Fold>,
    /// Who prints.
    pub printer: Box<dyn Printer>,
    /// Where the printer finds what is known of a rank.
    pub labels: Labels,
    /// A line without its newline is printed at once: for one rank alone, as text.
    pub raw_partials: bool,
}

impl Console {
    /// This process's own outputs: every line, with its rank before it where there are several.
    pub fn inherited(procs: u32) -> Self {
        let labels = Labels::default();
        let mut options = TextOptions::default();
        if procs > 1 {
            options.prefix = Template::rank();
        }
        let (out, err) = (Inherited::stdout(), Inherited::stderr());
        let printer = TextPrinter::new(Box::new(out), Box::new(err), labels.clone(), options);
        Self { fold: Box::new(Off), printer: Box::new(printer), labels, raw_partials: false }
    }

    /// One on which nothing appears: what it is given counts as withheld.
    pub fn silent() -> Self {
        let (labels, printer) = (Labels::default(), Box::new(Silent));
        Self { fold: Box::new(Off), printer, labels, raw_partials: false }
    }
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console").field("raw_partials", &self.raw_partials).finish_non_exhaustive()
    }
}

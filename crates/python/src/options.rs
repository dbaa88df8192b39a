//! What `spawn` is asked for, by the names that the program's options have.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lastline_appender::{Compression, Fsync};
use lastline_bootstrap::{Files, OnFailure, Plan, StdinMode, control_path};
use lastline_client::Template;
use lastline_fold::{Ranks, RanksOptions, Similar, SimilarOptions};
use lastline_line::{Fold, Off, RankSet, StreamSet};
use lastline_sender::WhenFull;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// All that `spawn` takes; durations in seconds, sizes in bytes. The defaults are Python's to say.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct SpawnOptions {
    pub(crate) command: Vec<OsString>,
    pub(crate) procs: u32,
    pub(crate) log_dir: Option<PathBuf>,
    pub(crate) overwrite: bool,
    pub(crate) no_files: bool,
    pub(crate) job: Option<String>,
    pub(crate) fold: String,
    pub(crate) fold_window: Option<f64>,
    pub(crate) prefix: String,
    pub(crate) show: Option<String>,
    pub(crate) console: Py<PyAny>,
    pub(crate) color: String,
    pub(crate) on_failure: String,
    pub(crate) max_restarts: u32,
    pub(crate) timeout: Option<f64>,
    pub(crate) grace: f64,
    pub(crate) drain: f64,
    pub(crate) teardown_timeout: f64,
    pub(crate) leave_background: bool,
    pub(crate) flush_timeout: f64,
    pub(crate) silent_after: f64,
    pub(crate) when_full: Option<String>,
    pub(crate) buffer: usize,
    pub(crate) min_free: Option<u64>,
    pub(crate) rotate: Option<u64>,
    pub(crate) max_size: Option<u64>,
    pub(crate) compress: Option<String>,
    pub(crate) fsync: Py<PyAny>,
    pub(crate) stdin: String,
    pub(crate) pty: bool,
    pub(crate) merge: bool,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) workdir: Option<PathBuf>,
    pub(crate) buffered: bool,
    pub(crate) report: Option<PathBuf>,
    pub(crate) strict: bool,
}

pub(crate) fn wrong(option: &str, value: &str, choice: &str) -> PyErr {
    PyValueError::new_err(format!("{option}={value:?}: write {choice}"))
}

pub(crate) fn duration(option: &str, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| PyValueError::new_err(format!("{option}={seconds}: no number of seconds")))
}

pub(crate) fn streams(option: &str, spec: &str) -> PyResult<StreamSet> {
    spec.parse().map_err(|error| PyValueError::new_err(format!("{option}: {error}")))
}

/// What becomes of the other ranks when one fails.
pub(crate) fn on_failure(action: &str) -> PyResult<OnFailure> {
    match action {
        "stop" => Ok(OnFailure::Stop),
        "continue" => Ok(OnFailure::Continue),
        other => Err(wrong("on_failure", other, "'stop' or 'continue'")),
    }
}

/// What stands before each line, where several ranks share a console or one has it.
pub(crate) fn template(prefix: &str, several: bool) -> PyResult<Template> {
    match prefix {
        "auto" if several => Ok(Template::rank()),
        "auto" | "never" => Ok(Template::empty()),
        text => {
            Template::parse(text).map_err(|error| PyValueError::new_err(format!("prefix: {error}")))
        }
    }
}

/// The fold of this mode over these streams; over those that speak where it is not known which there are.
pub(crate) fn fold(
    mode: &str,
    streams: Option<StreamSet>,
    window: Option<f64>,
) -> PyResult<Box<dyn Fold>> {
    let window = window.map(|window| duration("fold_window", window)).transpose()?;
    Ok(match mode {
        "off" => Box::new(Off),
        "ranks" => {
            let mut options = RanksOptions::default();
            options.window = window.unwrap_or(options.window);
            Box::new(match streams {
                Some(streams) => Ranks::new(streams, options),
                None => Ranks::of_speakers(options),
            })
        }
        "similar" => {
            let mut options = SimilarOptions::default();
            options.window = window.unwrap_or(options.window);
            Box::new(Similar::new(options))
        }
        other => return Err(wrong("fold", other, "'off', 'ranks' or 'similar'")),
    })
}

impl SpawnOptions {
    /// The streams whose lines are printed.
    pub(crate) fn shown(&self) -> PyResult<StreamSet> {
        let all = RankSet::first(self.procs);
        let Some(show) = &self.show else { return Ok(all.into()) };
        let show = streams("show", show)?;
        let ranks = show.ranks();
        if ranks.difference(&all) == ranks {
            return Err(PyValueError::new_err(format!(
                "show: there is no rank {ranks}, so nothing would be shown: ranks are numbered from 0, and procs={}",
                self.procs
            )));
        }
        Ok(show)
    }

    /// Whether ranks wait for a driver that is slower than they are.
    pub(crate) fn when_full(&self) -> PyResult<WhenFull> {
        Ok(match self.when_full.as_deref() {
            None if self.no_files => WhenFull::Block,
            None | Some("spool") => WhenFull::Spool,
            Some("block") => WhenFull::Block,
            Some("drop") => WhenFull::Drop,
            Some(other) => return Err(wrong("when_full", other, "'spool', 'block' or 'drop'")),
        })
    }

    fn compress(&self) -> PyResult<Option<Compression>> {
        match self.compress.as_deref() {
            None => Ok(None),
            Some("zstd") => Ok(Some(Compression::Zstd)),
            Some(other) => Err(wrong("compress", other, "'zstd'")),
        }
    }

    fn fsync(&self, py: Python<'_>) -> PyResult<Fsync> {
        let value = self.fsync.bind(py);
        if let Ok(seconds) = value.extract::<f64>() {
            return match duration("fsync", seconds)? {
                Duration::ZERO => Err(wrong("fsync", "0", "a number of seconds above zero")),
                every => Ok(Fsync::Every(every)),
            };
        }
        match value.extract::<String>()?.as_str() {
            "never" => Ok(Fsync::Never),
            "end" => Ok(Fsync::End),
            other => Err(wrong("fsync", other, "'never', 'end' or a number of seconds")),
        }
    }

    /// The plan of a job of this id, with files in `dir`.
    pub(crate) fn plan(&self, py: Python<'_>, job: &str, dir: Option<PathBuf>) -> PyResult<Plan> {
        let mut plan = Plan::new(job, self.command.clone());
        let mut appender = lastline_appender::Options::default();
        appender.fsync = self.fsync(py)?;
        appender.rotate_bytes = self.rotate;
        appender.max_bytes = self.max_size;
        appender.compress = self.compress()?;
        appender.min_free_bytes = self.min_free;
        plan.files = dir.map(|dir| Files::new(dir, appender));
        plan.control = Some(control_path(job));
        plan.report.clone_from(&self.report);
        plan.procs = self.procs;
        plan.env.clone_from(&self.env);
        plan.workdir.clone_from(&self.workdir);
        (plan.pty, plan.merge, plan.buffered) = (self.pty, self.merge, self.buffered);
        let timeout = self.timeout.map(|seconds| duration("timeout", seconds)).transpose()?;
        // As for the program: no limit.
        plan.timeout = timeout.filter(|timeout| !timeout.is_zero());
        plan.grace = duration("grace", self.grace)?;
        plan.drain = duration("drain", self.drain)?;
        plan.teardown_timeout = duration("teardown_timeout", self.teardown_timeout)?;
        plan.leave_background = self.leave_background;
        plan.flush_timeout = duration("flush_timeout", self.flush_timeout)?;
        plan.silent_after = duration("silent_after", self.silent_after)?;
        plan.when_full = self.when_full()?;
        plan.buffer_bytes = self.buffer;
        plan.show = self.show.is_some().then(|| self.shown()).transpose()?;
        plan.on_failure = on_failure(&self.on_failure)?;
        plan.max_restarts = self.max_restarts;
        plan.stdin = match self.stdin.as_str() {
            "null" => StdinMode::Null,
            "rank0" => StdinMode::Rank0,
            "all" => StdinMode::All,
            other => return Err(wrong("stdin", other, "'null', 'rank0' or 'all'")),
        };
        Ok(plan)
    }
}

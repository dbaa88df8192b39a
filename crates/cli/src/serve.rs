//! `lastline serve`, and `lastline report --html`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use lastline_bootstrap::{control_path_of, request_flush, request_stop};
use lastline_jobs::{FoundJob, JobState, JobsPlace, write_report};
use lastline_serve::{Control, Options, Server};

use crate::address::address;
use crate::{exit, jobs, notices, pages};

/// The most threads that read files, beside the one that answers viewers: each of them has memory of its
/// own from the allocator.
const READERS: usize = 5;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lastline serve                          all jobs, the latest first
  lastline serve logs/ --allow-control    the job in a directory; it may be stopped from the page
  ssh -L 8080:127.0.0.1:8080 node7 lastline serve --listen 127.0.0.1:8080")]
pub(crate) struct ServeOptions {
    /// The job to begin with: its id, or a directory [default: the latest job]
    pub(crate) job: Option<OsString>,
    /// Where to listen; port 0 is any that is free. Nothing is encrypted
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", value_parser = address)]
    pub(crate) listen: SocketAddr,
    /// Let the page flush and stop running jobs
    #[arg(long)]
    pub(crate) allow_control: bool,
}

/// How long a console may take to take a warning.
const WARNING: Duration = Duration::from_secs(1);

/// What the page asks of running jobs, over their control sockets.
struct Asking;

impl Control for Asking {
    fn flush(&self, job: &FoundJob) -> io::Result<String> {
        let answer = request_flush(&control_path_of(job))?;
        let short: String = answer.shortfalls().map(|words| format!("; {words}")).collect();
        Ok(format!("{}{short}", answer.verdict))
    }

    fn stop(&self, job: &FoundJob) -> io::Result<String> {
        let signal = rustix::process::Signal::TERM.as_raw();
        request_stop(&control_path_of(job), signal).map(|()| "stopping".into())
    }
}

/// Serves the page until this process is told to end.
pub(crate) fn serve(options: &ServeOptions) -> anyhow::Result<u8> {
    let place = JobsPlace::of_user()?;
    let mut served = Options::new(place.clone(), exit_code);
    served.job = match &options.job {
        Some(job) => Some(jobs::find(Some(job))?),
        // The list may be empty still.
        None => place.find(None).ok(),
    };
    if options.allow_control {
        served.control = Some(Box::new(Asking));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(READERS)
        .thread_name("lastline-serve")
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let ended = runtime.block_on(async {
        let server = Server::bind(options.listen, served).await;
        let server = server.with_context(|| format!("cannot listen on {}", options.listen))?;
        if !server.address().ip().is_loopback() {
            notices::say(
                "other machines reach this address, and nothing is encrypted: whoever can read the \
                 network sees the token, and all that ranks say",
            );
            // Before anybody has the address.
            notices::finish(WARNING);
        }
        pages::print(format!("{}\n", server.url()).as_bytes())?;
        server.serve().await.context("cannot answer any more")
    });
    runtime.shutdown_background();
    ended.map(|()| exit::SUCCESS)
}

fn exit_code(job: &FoundJob) -> Option<u8> {
    match &job.state {
        JobState::Finished(report) => Some(exit::of_report(report, true, job.info.strict)),
        _ => None,
    }
}

/// Writes a job that is over as one page.
pub(crate) fn picture(job: Option<&OsStr>, file: &Path) -> anyhow::Result<u8> {
    let job = jobs::find(job)?;
    if job.state == JobState::Running {
        anyhow::bail!("the job still runs; `lastline serve` shows it");
    }
    let picture = lastline_serve::picture(&job).context("cannot read the job's files")?;
    let written = write_report(picture.html.as_bytes(), file);
    if let Err(error) = written {
        notices::say(&format!("the page is not in {}: {error}", file.display()));
        return Ok(exit::LOST);
    }
    if let Some(left_out) = picture.left_out {
        notices::say(&left_out);
    }
    Ok(exit::SUCCESS)
}

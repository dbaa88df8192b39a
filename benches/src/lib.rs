//! What the measuring programs share: a job whose console is a writer of theirs, a driver without one,
//! barriers, and percentiles.

use std::error::Error;
use std::ffi::OsString;
use std::future::Future;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use lastline_bootstrap::{Console, DriverBuilder, DriverHandle, LoggingMesh, Plan, Url};
use lastline_client::{BoxWrite, Labels, Template, TextOptions, TextPrinter, Verdicts};
use lastline_line::{Off, Resume};

/// How long a host may be silent for a driver that measures.
const LOST_AFTER: Duration = Duration::from_secs(60);

/// Whatever a measuring program fails with.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Runs `work` on a runtime like that of `lastline run`.
///
/// # Errors
///
/// When there is no runtime, or `work` fails.
pub fn on_runtime<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(work)
}

/// Starts `procs` ranks of `command`, without files, whose prefixed lines `stdout` gets.
///
/// # Errors
///
/// When the job cannot be started.
pub fn start(procs: u32, command: Vec<OsString>, stdout: BoxWrite) -> Result<LoggingMesh, Failure> {
    let mut plan = Plan::new("bench", command);
    plan.procs = procs;
    let labels = Labels::default();
    let mut text = TextOptions::default();
    text.prefix = Template::rank();
    let printer = TextPrinter::new(stdout, Box::new(io::stderr()), labels.clone(), text);
    let printer = Box::new(printer);
    let console = Console { fold: Box::new(Off), printer, labels, raw_partials: false };
    Ok(LoggingMesh::spawn(plan, console)?)
}

/// A driver of the job at a broker that shows nothing of what comes from now on.
///
/// # Errors
///
/// When the broker cannot be used, or there is no thread for the driver.
pub async fn silent_driver(url: &str, job: &str) -> Result<DriverHandle, Failure> {
    let end = url.parse::<Url>()?.driver(job, Resume::Now, LOST_AFTER).await?;
    let mut plan = Plan::new(job, Vec::new());
    plan.silent_after = Duration::ZERO;
    let driver = DriverBuilder::new(plan, Console::silent()).lost_after(LOST_AFTER);
    Ok(driver.start(end.inbox)?.handle())
}

/// How long each of so many barriers takes, one after the other, from when they are over `streams`
/// streams on.
///
/// # Errors
///
/// When one is not reached by all of them.
pub async fn time_barriers(
    times: usize,
    streams: usize,
    flush: impl AsyncFn() -> Verdicts,
) -> Result<Vec<Duration>, Failure> {
    while flush().await.streams.len() < streams {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut taken = Vec::with_capacity(times);
    for _ in 0..times {
        let asked = Instant::now();
        let verdicts = flush().await;
        taken.push(asked.elapsed());
        if !verdicts.all_reached() || verdicts.streams.len() < streams {
            return Err("a barrier was not reached by all streams".into());
        }
    }
    Ok(taken)
}

/// Prints the 50th and the 99th of a hundred, and the greatest, in milliseconds, as a JSON object.
///
/// # Errors
///
/// When there are none, or stdout is gone.
pub fn print_percentiles(mut times: Vec<Duration>) -> Result<(), Failure> {
    times.sort_unstable();
    let last = times.len().checked_sub(1).ok_or("nothing was measured")?;
    let at = |percent: usize| times[last * percent / 100].as_secs_f64() * 1000.0;
    let (p50, p99, max) = (at(50), at(99), at(100));
    let count = times.len();
    writeln!(
        io::stdout(),
        r#"{{"count": {count}, "p50_ms": {p50:.4}, "p99_ms": {p99:.4}, "max_ms": {max:.4}}}"#
    )?;
    Ok(())
}

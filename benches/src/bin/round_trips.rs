//! How long a barrier over a job at a broker takes: `round_trips URL JOB RANKS [TIMES]` is a driver of the
//! job, which runs already, and asks for barriers one after the other.

use std::time::Duration;

use lastline_benches::{Failure, on_runtime, print_percentiles, silent_driver, time_barriers};

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let mut next = |what| args.next().ok_or(what);
    let (url, job) = (next("say where the broker is")?, next("say which job")?);
    let ranks: usize = next("say how many ranks it has")?.parse()?;
    let times: usize = next("").map_or(Ok(500), |times| times.parse())?;
    print_percentiles(on_runtime(measure(&url, &job, ranks, times))?)
}

async fn measure(
    url: &str,
    job: &str,
    ranks: usize,
    times: usize,
) -> Result<Vec<Duration>, Failure> {
    let driver = silent_driver(url, job).await?;
    // Every host is known when a barrier is over all streams.
    time_barriers(times, 2 * ranks, async || driver.flush().await).await
}

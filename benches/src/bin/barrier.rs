//! How long a barrier over idle streams takes: `barrier STREAMS [TIMES]`, two streams a rank.

use std::io;
use std::time::Duration;

use lastline_benches::{Failure, on_runtime, print_percentiles, start, time_barriers};
use lastline_bootstrap::StopCause;

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let streams: u32 = args.next().ok_or("say how many streams")?.parse()?;
    let times: usize = args.next().map_or(Ok(500), |times| times.parse())?;
    print_percentiles(on_runtime(measure(streams / 2, times))?)
}

async fn measure(ranks: u32, times: usize) -> Result<Vec<Duration>, Failure> {
    let job = start(ranks, vec!["sleep".into(), "600".into()], Box::new(io::sink()))?;
    // Every rank has been started when a barrier is over all of their streams.
    let taken = time_barriers(times, 2 * ranks as usize, async || job.flush().await).await?;
    job.stop(StopCause::Owner);
    job.wait().await?;
    Ok(taken)
}

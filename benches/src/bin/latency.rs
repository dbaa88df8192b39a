//! From a rank's write to the console's: `latency [LINES]` starts eight ranks that write the time
//! every 20 ms or so, and looks at the clock when the console's writer is called.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lastline_benches::{Failure, on_runtime, print_percentiles, start};

const RANKS: u32 = 8;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [word, lines] = &args[..]
        && word == "rank"
    {
        return write_times(lines.parse()?);
    }
    let lines = args.first().map_or(Ok(200), |lines| lines.parse::<u32>())?;
    let seen = Arc::<Mutex<Vec<Duration>>>::default();
    on_runtime(measure(lines, Console(Arc::clone(&seen))))?;
    let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    if seen.len() != (RANKS * lines) as usize {
        return Err(format!("{} lines of {} came", seen.len(), RANKS * lines).into());
    }
    print_percentiles(seen)
}

async fn measure(lines: u32, console: Console) -> Result<(), Failure> {
    let own = std::env::current_exe()?.into_os_string();
    let command = vec![own, "rank".into(), lines.to_string().into()];
    start(RANKS, command, Box::new(console))?.wait().await?;
    Ok(())
}

/// A rank: one line with the time, then a pause that differs, so that ranks drift apart.
fn write_times(lines: u32) -> Result<(), Failure> {
    let rank: u64 = std::env::var("RANK")?.parse()?;
    let pause = Duration::from_micros(18_000 + 531 * rank);
    for _ in 0..lines {
        #[expect(clippy::disallowed_methods, reason = "a quiet rank does nothing for a time")]
        std::thread::sleep(pause);
        // One write: stdout of Rust is written at each newline.
        io::stdout().write_all(format!("{}\n", since_epoch().as_nanos()).as_bytes())?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "two processes compare their times")]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The console: what the ranks wrote, and when they said they did.
struct Console(Arc<Mutex<Vec<Duration>>>);

impl Write for Console {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let now = since_epoch();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for line in String::from_utf8_lossy(bytes).lines() {
            let written = line.rsplit(' ').next().and_then(|nanos| nanos.parse().ok());
            let written = written.ok_or(io::ErrorKind::InvalidData)?;
            seen.push(now.saturating_sub(Duration::from_nanos(written)));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

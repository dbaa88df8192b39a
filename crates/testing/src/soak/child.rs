//! The rank of a run: writes what its seed says, and keeps its diary.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use fastrand::Rng;
use lastline_line::Stream;
use rustix::process::{Signal, getpid, kill_process};

use super::content;
use super::diary::Diary;
use super::far;
use super::scenario::{End, RankPlan, Scenario};

/// The file that a run holds a lock of for as long as it lasts.
pub(super) const LEASH: &str = "leash";

struct Writer {
    diary: Diary,
    bytes: [Vec<u8>; 2],
    done: [usize; 2],
    rng: Rng,
    most: u64,
}

/// Writes both streams up to these offsets, a random piece at a time.
impl Writer {
    fn new(dir: &Path, seed: u64, rank: u32, plan: &RankPlan) -> io::Result<Self> {
        let bytes = Stream::SEPARATE.map(|stream| {
            content::bytes(plan.shape, seed, rank, stream, plan.bytes[index(stream)])
        });
        let rng = Rng::with_seed(seed ^ u64::from(rank) << 40);
        let diary = Diary::open(dir, rank)?;
        Ok(Self { diary, bytes, done: [0; 2], rng, most: plan.write_bytes.max(1) })
    }

    fn write_through(&mut self, ends: [usize; 2]) -> io::Result<()> {
        while self.done != ends {
            let stream = Stream::SEPARATE[usize::from(self.rng.bool())];
            let at = index(stream);
            let most = usize::try_from(self.rng.u64(1..=self.most)).unwrap_or(usize::MAX);
            let end = ends[at].min(self.done[at].saturating_add(most));
            self.diary.means(stream, end as u64)?;
            while self.done[at] < end {
                let piece = &self.bytes[at][self.done[at]..end];
                self.done[at] += match stream {
                    Stream::Stderr => rustix::io::write(rustix::stdio::stderr(), piece)?,
                    _ => rustix::io::write(rustix::stdio::stdout(), piece)?,
                };
            }
            self.diary.wrote(stream, end as u64)?;
        }
        Ok(())
    }

    /// The part `part` of `parts` of both streams.
    fn part(&self, part: u64, parts: u64) -> [usize; 2] {
        [0, 1].map(|at| {
            let all = self.bytes[at].len() as u64;
            usize::try_from(all * part / parts).unwrap_or(usize::MAX)
        })
    }
}

fn index(stream: Stream) -> usize {
    usize::from(stream == Stream::Stderr)
}

/// `soak SEED DIR`: a rank of the run of that seed, whose place is DIR.
pub(crate) fn rank(seed: u64, dir: &Path, rank: u32) -> io::Result<u8> {
    carry_out(&Scenario::of(seed).ranks[rank as usize], seed, dir, rank)
}

/// `soak-far SEED DIR`: a rank of a run with several processes.
pub(crate) fn far_rank(seed: u64, dir: &Path, rank: u32) -> io::Result<u8> {
    carry_out(&far::rank_plan(seed, rank), seed, dir, rank)
}

fn carry_out(plan: &RankPlan, seed: u64, dir: &Path, rank: u32) -> io::Result<u8> {
    let mut writer = Writer::new(dir, seed, rank, plan)?;
    if plan.end == End::Stubborn {
        crate::rank::ignore_signals();
    }
    let parts = plan.pauses + 1;
    let own = if plan.end == End::HoldTalking { (parts, 2 * parts) } else { (parts, parts) };
    for part in 1..=own.0 {
        writer.write_through(writer.part(part, own.1))?;
        if part < own.0 {
            std::thread::park_timeout(Duration::from_millis(plan.pause_millis));
        }
    }
    for stream in Stream::SEPARATE {
        writer.diary.leaves(stream, writer.done[index(stream)] as u64)?;
    }
    end(plan.end, seed, dir, rank)
}

fn end(end: End, seed: u64, dir: &Path, rank: u32) -> io::Result<u8> {
    match end {
        End::Exit(code) => return Ok(code),
        End::Signal(signal) => {
            let signal = Signal::from_named_raw(signal).expect("BUG: these signals have names");
            kill_process(getpid(), signal)?;
            crate::rank::wait_for_ever();
        }
        End::Close => {
            #[expect(unsafe_code, reason = "std does not close its outputs")]
            // SAFETY: nothing of this process uses them any more.
            unsafe {
                libc::close(1);
                libc::close(2);
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
        End::HoldQuiet | End::HoldTalking | End::Daemon => hold(seed, dir, rank)?,
        End::Wait | End::Stubborn => crate::rank::wait_for_ever(),
    }
    Ok(0)
}

/// Starts `soak-hold SEED DIR`, which inherits the outputs.
#[expect(clippy::disallowed_methods, reason = "a rank may start what it likes")]
fn hold(seed: u64, dir: &Path, rank: u32) -> io::Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("soak-hold").arg(seed.to_string()).arg(dir).stdin(Stdio::null());
    if Scenario::of(seed).ranks[rank as usize].end == End::Daemon {
        // It is not the rank's any more.
        command.process_group(0);
    }
    command.spawn().map(drop)
}

/// What a rank leaves behind: writes what the rank has left to it, and waits for the run's end.
pub(crate) fn holder(seed: u64, dir: &Path, rank: u32) -> io::Result<u8> {
    let scenario = Scenario::of(seed);
    let plan = &scenario.ranks[rank as usize];
    if plan.end == End::HoldTalking {
        let mut writer = Writer::new(dir, seed, rank, plan)?;
        writer.done = writer.part(1, 2);
        writer.write_through(writer.part(1, 1))?;
    }
    File::open(dir.join(LEASH))?.lock_shared()?;
    Ok(0)
}

/// `soak-copy`: stdin to stdout.
pub(crate) fn copy() -> io::Result<u8> {
    let (mut from, mut to) = (io::stdin().lock(), io::stdout().lock());
    io::copy(&mut from, &mut to)?;
    Ok(0)
}

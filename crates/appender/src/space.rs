//! Keeping a minimum of the disk free, without asking before every write.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::{Reason, Space, Storage};

/// The default minimum: 1 GiB, at most a twentieth of the file system.
pub const DEFAULT_MIN_FREE_BYTES: u64 = 1 << 30;

/// The longest time between two checks: others write to the disk as well.
const CHECK_EVERY: Duration = Duration::from_millis(250);
/// Bounds of what may be written between two checks.
const CHECK_BYTES: std::ops::RangeInclusive<u64> = (64 << 10)..=(64 << 20);

impl Space {
    /// How much must stay free, in bytes: what was asked for
    /// ([`Options::min_free_bytes`](crate::Options::min_free_bytes)), or the default for a file system of
    /// this size.
    pub fn min_free_bytes(self, asked: Option<u64>) -> u64 {
        asked.unwrap_or_else(|| DEFAULT_MIN_FREE_BYTES.min(self.total_bytes / 20))
    }
}

/// How much may be written before the next check beside what `passes` now, all in bytes; `None` when that
/// would leave too little free.
fn allowance(asked: Option<u64>, space: Space, passes: u64) -> Option<u64> {
    let above = space.free_bytes.checked_sub(space.min_free_bytes(asked))?;
    let left = above.checked_sub(passes)?;
    Some((above / 4).clamp(*CHECK_BYTES.start(), *CHECK_BYTES.end()).min(left))
}

/// Stands between the writers and the disk.
#[derive(Debug)]
pub(crate) struct Gate {
    asked: Option<u64>,
    start: Instant,
    /// Bytes that may be written before the next check.
    allowed: AtomicI64,
    /// Bytes that were let pass, and of which the disk may not know yet.
    passing: AtomicU64,
    /// When to check at the latest, in milliseconds after the start.
    check_at_ms: AtomicU64,
}

impl Gate {
    pub(crate) fn new(asked: Option<u64>, start: Instant) -> Self {
        Self {
            asked,
            start,
            allowed: AtomicI64::new(0),
            passing: AtomicU64::new(0),
            check_at_ms: AtomicU64::new(0),
        }
    }

    /// Whether so many bytes may be written now; they have been once what it gives is dropped. Asks the storage
    /// now and then.
    pub(crate) fn pass(
        &self,
        storage: &dyn Storage,
        bytes: u64,
        now: Instant,
    ) -> Result<Passing<'_>, Reason> {
        let passing = Passing::new(self, bytes);
        if self.asked == Some(0) {
            return Ok(passing);
        }
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let now_ms = self.milliseconds(now);
        let left = self.allowed.fetch_sub(bytes, Ordering::Relaxed);
        if left >= bytes && now_ms < self.check_at_ms.load(Ordering::Relaxed) {
            return Ok(passing);
        }
        // A storage that cannot tell is not a full one.
        let passes = self.passing.load(Ordering::Relaxed);
        let allowed = match storage.space() {
            Ok(Some(space)) => allowance(self.asked, space, passes),
            Ok(None) | Err(_) => Some(*CHECK_BYTES.end()),
        };
        let next = allowed.map_or(0, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        self.allowed.store(next, Ordering::Relaxed);
        self.check_at_ms.store(self.milliseconds(now + CHECK_EVERY), Ordering::Relaxed);
        allowed.map(|_| passing).ok_or(Reason::MinFree)
    }

    fn milliseconds(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Bytes on their way to the disk, until it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Passing<'a> {
    gate: &'a Gate,
    bytes: u64,
}

impl<'a> Passing<'a> {
    fn new(gate: &'a Gate, bytes: u64) -> Self {
        gate.passing.fetch_add(bytes, Ordering::Relaxed);
        Self { gate, bytes }
    }
}

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        self.gate.passing.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;
    use crate::Append;

    const GIB: u64 = 1 << 30;

    #[test]
    fn the_default_is_a_gib_or_a_twentieth() {
        let table = [
            (None, 100 * GIB, GIB),
            (None, 20 * GIB, GIB),
            (None, 10 * GIB, GIB / 2),
            (None, 0, 0),
            (Some(7), 100 * GIB, 7),
            (Some(10 * GIB), 5 * GIB, 10 * GIB),
        ];
        for (asked, total, expected) in table {
            let space = Space { free_bytes: 0, total_bytes: total };
            assert_eq!(space.min_free_bytes(asked), expected, "{asked:?} of {total}");
        }
    }

    #[test]
    fn the_next_look_comes_before_the_room_is_used_up() {
        let space = |free_bytes| Space { free_bytes, total_bytes: 100 * GIB };
        assert_eq!(allowance(None, space(GIB - 1), 0), None);
        assert_eq!(allowance(None, space(GIB), 1), None);
        assert_eq!(allowance(None, space(GIB + 7), 7), Some(0));
        assert_eq!(allowance(None, space(GIB + (100 << 10)), 1 << 10), Some(64 << 10));
        assert_eq!(allowance(None, space(GIB + (70 << 10)), 10 << 10), Some(60 << 10));
        assert_eq!(allowance(None, space(GIB + (40 << 20)), 0), Some(10 << 20));
        assert_eq!(allowance(None, space(90 * GIB), 1 << 20), Some(64 << 20));
    }

    /// A disk that is filled by what passes the gate, some time after it has passed.
    struct Disk(AtomicU64);

    impl Storage for Disk {
        fn create(&self, _: &str) -> io::Result<Arc<dyn Append>> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn open(&self, _: &str) -> io::Result<Arc<dyn Append>> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn rename(&self, _: &str, _: &str) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn space(&self) -> io::Result<Option<Space>> {
            let free_bytes = self.0.load(Ordering::Relaxed);
            Ok(Some(Space { free_bytes, total_bytes: 2_000_000 }))
        }
    }

    #[test]
    fn several_writers_at_once_leave_the_minimum_free() {
        let (disk, now) = (Disk(AtomicU64::new(2_000_000)), Instant::now());
        let gate = Gate::new(None, now);
        // Each of four writers has passed before the first has written.
        while let Ok(first) = gate.pass(&disk, 70_000, now) {
            let others: Vec<_> = (0..3).map_while(|_| gate.pass(&disk, 70_000, now).ok()).collect();
            disk.0.fetch_sub((1 + others.len() as u64) * 70_000, Ordering::Relaxed);
            drop((first, others));
        }
        let free = disk.0.into_inner();
        assert!((100_000..300_000).contains(&free), "{free} B are free");
    }
}

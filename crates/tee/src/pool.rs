//! Read buffers that come back.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use lastline_line::{Budget, Lease};

use crate::on_its_way::{Counted, OnItsWay};

/// Below this a buffer is made to measure and not kept: a quiet stream pins no more than it said.
const SMALLEST_KEPT: usize = 4 << 10;
/// The classes of kept buffers: 4, 16, 64, 256 KiB and 1 MiB.
const CLASSES: usize = 5;
/// How many free bytes a class keeps.
const KEPT_BYTES_PER_CLASS: usize = 4 << 20;

/// Buffers for reading, bounded in bytes by a [`Budget`], used again when the last sink has
/// released them. Clones share them.
///
/// Taking a buffer waits while the budget is exhausted. That is the only back-pressure that a
/// pipeline needs: what was read and is neither filed nor shown holds its buffer, and who holds
/// all of them stops the reading, not the memory.
#[derive(Clone, Debug)]
pub struct Pool {
    shared: Arc<PoolState>,
}

#[derive(Debug)]
struct PoolState {
    budget: Budget,
    free: [Mutex<Vec<Vec<u8>>>; CLASSES],
}

impl Pool {
    /// A pool whose buffers hold at most what `budget` grants.
    pub fn new(budget: Budget) -> Self {
        Self { shared: Arc::new(PoolState { budget, free: Default::default() }) }
    }

    /// The bound.
    pub fn budget(&self) -> &Budget {
        &self.shared.budget
    }

    /// An empty buffer with room for at least `bytes`. Cancel-safe.
    pub(crate) async fn take(&self, bytes: usize) -> Buffer {
        let lease = self.shared.budget.acquire(capacity_for(bytes)).await;
        Buffer::new(&self.shared, bytes, lease)
    }

    /// The same, where it is to be had without waiting.
    pub(crate) fn try_take(&self, bytes: usize) -> Option<Buffer> {
        let lease = self.shared.budget.try_acquire(capacity_for(bytes))?;
        Some(Buffer::new(&self.shared, bytes, lease))
    }
}

impl PoolState {
    fn free(&self, class: usize) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.free[class].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How big a buffer to take when `waiting` bytes follow `carried` ones. A class serves up to twice
/// its size, since what is left over is read next, and half-empty buffers would use up the budget.
pub(crate) fn room_for(carried: usize, waiting: usize, chunk_bytes: usize) -> usize {
    let wanted = (carried + waiting.max(1)).min(chunk_bytes);
    let below = (0..CLASSES).rev().map(class_bytes).find(|&class| class <= wanted);
    match below {
        Some(class) if wanted < 2 * class && carried < class / 2 => class,
        _ => wanted,
    }
}

/// The class for a buffer of `bytes`; `None` for one that is made to measure.
fn class_of(bytes: usize) -> Option<usize> {
    if bytes < SMALLEST_KEPT {
        return None;
    }
    (0..CLASSES).find(|&class| bytes <= class_bytes(class))
}

/// What a buffer with room for `bytes` takes.
fn capacity_for(bytes: usize) -> usize {
    class_of(bytes).map_or(bytes, class_bytes)
}

const fn class_bytes(class: usize) -> usize {
    SMALLEST_KEPT << (2 * class)
}

/// A buffer on loan.
#[derive(Debug)]
pub(crate) struct Buffer {
    pub(crate) bytes: Vec<u8>,
    pool: Arc<PoolState>,
    lease: Lease,
}

impl Buffer {
    /// With room for `bytes`, for which there is this lease.
    fn new(pool: &Arc<PoolState>, bytes: usize, lease: Lease) -> Self {
        let kept = class_of(bytes).and_then(|class| pool.free(class).pop());
        let bytes = kept.unwrap_or_else(|| Vec::with_capacity(capacity_for(bytes)));
        Self { bytes, pool: Arc::clone(pool), lease }
    }

    /// Shares what it holds; the buffer comes back when the last share is dropped.
    /// Until then its bytes are on their way, and count as such.
    pub(crate) fn freeze(mut self, on_its_way: &OnItsWay) -> Bytes {
        self.fit();
        let counted = on_its_way.count(self.bytes.len());
        Bytes::from_owner(Shared { buffer: self, _counted: counted })
    }

    /// One that is more than half empty is cut to size: whoever holds the bytes would hold the rest
    /// of it, too, and bounds that count bytes would not bound memory.
    pub(crate) fn fit(&mut self) {
        if self.bytes.len() < self.bytes.capacity() / 2 {
            self.cut_to_size();
        }
    }

    fn cut_to_size(&mut self) {
        self.bytes.shrink_to_fit();
        self.lease.shrink_to(self.bytes.capacity());
    }

    /// Moves what lies behind `at` into a buffer of its own. Never waits: where memory is short, this
    /// one gives what it has no use for.
    pub(crate) fn split_off(&mut self, at: usize) -> Self {
        let pool = Pool { shared: Arc::clone(&self.pool) };
        let bytes = self.bytes.len() - at;
        let mut rest = pool.try_take(bytes).unwrap_or_else(|| Self {
            bytes: Vec::with_capacity(bytes),
            pool: Arc::clone(&self.pool),
            lease: self.lease.split(bytes),
        });
        rest.bytes.extend_from_slice(&self.bytes[at..]);
        self.bytes.truncate(at);
        if self.lease.bytes() < self.bytes.capacity() {
            self.cut_to_size();
        }
        rest
    }
}

/// A buffer whose bytes are on their way.
struct Shared {
    buffer: Buffer,
    _counted: Counted,
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.buffer.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        let Some(class) = class_of(bytes.capacity()) else {
            return;
        };
        // A buffer that outgrew its class is not kept: its capacity would lie about it.
        if bytes.capacity() != class_bytes(class) {
            return;
        }
        let mut free = self.pool.free(class);
        if (free.len() + 1) * class_bytes(class) <= KEPT_BYTES_PER_CLASS {
            bytes.clear();
            free.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_buffer_comes_back_when_its_last_share_is_dropped() {
        let pool = Pool::new(Budget::new(1 << 20));
        let mut buffer = pool.take(5000).await;
        assert_eq!(buffer.bytes.capacity(), 16 << 10);
        buffer.bytes.extend_from_slice(&[b'x'; 9000]);
        let place = buffer.bytes.as_ptr();
        let (whole, part) = {
            let whole = buffer.freeze(&OnItsWay::new(usize::MAX));
            let part = whole.slice(1..);
            (whole, part)
        };
        drop(whole);
        assert_eq!(pool.budget().held_bytes(), 16 << 10);
        drop(part);
        assert_eq!(pool.budget().held_bytes(), 0);
        let again = pool.take(16 << 10).await;
        assert_eq!((again.bytes.as_ptr(), again.bytes.len()), (place, 0));
    }

    #[tokio::test]
    async fn what_is_shared_holds_at_most_twice_its_size() {
        let pool = Pool::new(Budget::new(1 << 20));
        let mut buffer = pool.take(64 << 10).await;
        buffer.bytes.extend_from_slice(b"the end of a long line\n");
        let shared = buffer.freeze(&OnItsWay::new(usize::MAX));
        assert!(pool.budget().held_bytes() <= 2 * shared.len());
        drop(shared);
        assert_eq!(pool.budget().held_bytes(), 0);
    }

    #[tokio::test]
    async fn what_is_split_off_is_leased_also_where_there_is_no_memory_left() {
        for spare_bytes in [0, 16 << 10] {
            let pool = Pool::new(Budget::new((64 << 10) + spare_bytes));
            let mut buffer = pool.take(64 << 10).await;
            buffer.bytes.extend((0..60_000_u32).map(|at| at.to_le_bytes()[0]));
            let whole = buffer.bytes.clone();
            let rest = buffer.split_off(50_000);
            assert_eq!([&buffer.bytes[..], &rest.bytes[..]].concat(), whole);
            let capacity = buffer.bytes.capacity() + rest.bytes.capacity();
            assert_eq!(pool.budget().held_bytes(), capacity);
            drop(buffer);
            assert_eq!(pool.budget().held_bytes(), rest.bytes.capacity());
            drop(rest);
            assert_eq!(pool.budget().held_bytes(), 0);
        }
    }

    #[tokio::test]
    async fn a_short_line_holds_no_more_than_itself() {
        let pool = Pool::new(Budget::new(1 << 20));
        let _buffer = pool.take(30).await;
        assert_eq!(pool.budget().held_bytes(), 30);
    }
}

//! What a tee can be told.

use std::time::Duration;

use lastline_line::Budget;

use crate::Pool;

/// How a tee reads.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Where read buffers come from, and the bound on all that is read and not yet released by
    /// every sink. Default: a pool of its own with 8 MiB.
    pub pool: Pool,
    /// The longest chunk, in bytes. Default: 256 KiB.
    pub chunk_bytes: usize,
    /// How many bytes of the stream may be on their way, which are those sent and not yet released by
    /// every sink. When there are as many, the next read waits for some to be released, so that a stream
    /// that is faster than others does not take the room of all; after 200 ms in vain, for twice as many,
    /// and so on. Default: no bound but the pool's.
    pub share_bytes: usize,
    /// How long the start of a line waits for its newline before it goes as an unterminated
    /// chunk. Default: 100 ms.
    pub partial_after: Duration,
    /// How many last lines are kept. Default: 200, as a whole backtrace of a program may have.
    pub recent_lines: usize,
    /// How many bytes of last lines are kept at most; a longer line is kept from its end.
    /// Default: 32 KiB, and up to twice that in memory.
    pub recent_bytes: usize,
    /// What pipes may be enlarged by while they are under load, in bytes, for all tees that share
    /// it. Default: 4 MiB.
    pub pipe_budget: Budget,
    /// The size that a pipe under load is given, in bytes. Default: 256 KiB, as long as a chunk: so
    /// much at a time is still in the processor's cache when it is read. Linux grants up to 1 MiB
    /// without privileges.
    pub pipe_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pool: Pool::new(Budget::new(8 << 20)),
            chunk_bytes: 256 << 10,
            share_bytes: usize::MAX,
            partial_after: Duration::from_millis(100),
            recent_lines: 200,
            recent_bytes: 32 << 10,
            pipe_budget: Budget::new(4 << 20),
            pipe_bytes: 256 << 10,
        }
    }
}

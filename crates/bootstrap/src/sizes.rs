//! How the memory that a job is given is shared out, and how many files it has open.

use lastline_appender::OPEN_ROTATED;

/// The pipes of a job may hold this many bytes together when they are made: a quarter of what
/// Linux lets one user have for all processes.
const PIPES_BYTES: usize = 16 << 20;
/// The size that Linux gives a new pipe, in bytes.
pub(crate) const PIPE_BYTES: usize = 64 << 10;
/// The smallest size that a pipe is given, in bytes.
const MIN_PIPE_BYTES: usize = 4 << 10;
/// What pipes under load may be enlarged by together, in bytes.
pub(crate) const PIPE_GROWTH_BYTES: usize = 8 << 20;
/// The least memory that a job is given for output, in bytes: with less, one chunk on its way would
/// be all of it.
const MIN_BUFFER_BYTES: usize = 256 << 10;
/// The least that a stream may have on its way, in bytes, however many there are.
const MIN_SHARE_BYTES: usize = 32 << 10;
/// What open lines may hold in memory together, in bytes.
const OPEN_LINES_BYTES: usize = 8 << 20;

/// Descriptors that a rank takes here: two pipes or the two ends of a terminal, two files, one for
/// its exit.
const FILES_PER_RANK: u64 = 5;
/// Descriptors that a job of any size takes beside its rotated files. It has 20 while its ranks run
/// (reactor, signals, control socket, guardian, index, lock, directories, outputs); the others are for
/// what comes and goes: a rank that is being started, a file that is read back, a report, a look into
/// `/proc`, who asks for a barrier.
const OWN_FILES: u64 = 48;

/// How many open files so many ranks need.
pub(crate) fn files_needed(procs: u32) -> u64 {
    u64::from(procs) * FILES_PER_RANK + OWN_FILES + OPEN_ROTATED as u64
}

/// Memory for output, of which the others are shares. What is on its way and what waits before it
/// pin at most twice their bytes, so that a console that takes nothing leaves memory for reading
/// and filing.
pub(crate) fn memory(buffer_bytes: usize) -> usize {
    buffer_bytes.max(MIN_BUFFER_BYTES)
}

/// How many bytes of output a transport may hold of a host whose plan has so many
/// [`buffer_bytes`](crate::Plan::buffer_bytes): a quarter, of 256 KiB at least. It is what ranks' output
/// is read into; a transport that held all of it while its far side is away would stop the reading.
pub fn transport_bytes(buffer_bytes: usize) -> usize {
    memory(buffer_bytes) / 4
}

/// What a stream may have on its way, where ranks wait for a driver, before it waits for some of that to
/// be released: an eighth of the memory for one stream of each rank.
pub(crate) fn share_bytes(buffer_bytes: usize, procs: u32) -> usize {
    (memory(buffer_bytes) / 8 / procs.max(1) as usize).max(MIN_SHARE_BYTES)
}

/// What may wait before that in memory.
pub(crate) fn held_bytes(buffer_bytes: usize) -> usize {
    memory(buffer_bytes) / 8
}

/// What the client keeps back of streams that are ahead of others, in memory of its own.
pub(crate) fn kept_back_bytes(buffer_bytes: usize) -> usize {
    memory(buffer_bytes) / 2
}

/// What the client holds of one open line.
pub(crate) fn held_line_bytes(procs: u32) -> usize {
    per_stream(OPEN_LINES_BYTES, procs, 16 << 10, 256 << 10)
}

/// The size of a rank's pipes; the system's own when `None`.
pub(crate) fn pipe_bytes(procs: u32) -> Option<usize> {
    let bytes = per_stream(PIPES_BYTES, procs, MIN_PIPE_BYTES, PIPE_BYTES);
    (bytes < PIPE_BYTES).then_some(bytes)
}

/// A stream's share of `bytes`, a power of two within bounds.
fn per_stream(bytes: usize, procs: u32, least: usize, most: usize) -> usize {
    let share = bytes / (2 * procs.max(1) as usize);
    let power = if share == 0 { 0 } else { 1 << share.ilog2() };
    power.clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transport_leaves_memory_to_read_into() {
        assert_eq!([1, 1 << 20, 8 << 20].map(transport_bytes), [64 << 10, 256 << 10, 2 << 20]);
    }

    #[test]
    fn a_thousand_ranks_take_a_quarter_of_the_users_pipes() {
        assert_eq!([1, 64, 128].map(pipe_bytes), [None; 3]);
        assert_eq!(pipe_bytes(1000), Some(8 << 10));
        assert_eq!(pipe_bytes(1_000_000), Some(MIN_PIPE_BYTES));
        assert!(2 * 1000 * pipe_bytes(1000).unwrap() <= PIPES_BYTES);
    }
}

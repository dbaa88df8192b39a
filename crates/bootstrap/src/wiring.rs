//! The concrete components of a job, wired: the one place that knows them all.

use std::sync::Arc;
use std::time::Duration;

use lastline_appender::{Appender, DirStorage};
use lastline_client::Client;
use lastline_line::{Budget, StreamId};
use lastline_sender::{ChannelTransport, Sender, WhenFull, channel};
use lastline_tee::{BoxSink, Pool};

use crate::SpawnError;
use crate::plan::{Console, Plan};

/// The pipes of a job may hold this many bytes together when they are made: a quarter of what
/// Linux lets one user have for all processes.
const PIPES_BYTES: usize = 16 << 20;
/// The size that Linux gives a new pipe, in bytes.
const PIPE_BYTES: usize = 64 << 10;
/// The smallest size that a pipe is given, in bytes.
const MIN_PIPE_BYTES: usize = 4 << 10;
/// What pipes under load may be enlarged by together, in bytes.
const PIPE_GROWTH_BYTES: usize = 8 << 20;
/// The least memory that a job is given for output, in bytes: with less, one chunk on its way would
/// be all of it.
const MIN_BUFFER_BYTES: usize = 256 << 10;
/// What open lines may hold in memory together, in bytes.
const OPEN_LINES_BYTES: usize = 8 << 20;

/// Everything between the ranks' pipes and the console.
pub(crate) struct Wiring {
    pub(crate) appender: Option<Arc<Appender>>,
    pub(crate) tee_options: lastline_tee::Options,
    pub(crate) pipe_bytes: Option<usize>,
}

/// The parts that the handle of the mesh shares.
pub(crate) struct Ends {
    pub(crate) client: Client,
    pub(crate) sender: Sender,
    /// Another way into the client's inbox, for what must not wait behind the backlog.
    pub(crate) direct: ChannelTransport,
}

pub(crate) fn wire(plan: &Plan, console: Console) -> Result<(Wiring, Ends), SpawnError> {
    let appender = plan.files.as_ref().map(|files| {
        let storage = DirStorage::existing(&files.dir)?;
        Ok::<_, SpawnError>(Arc::new(Appender::start(Arc::new(storage), files.appender.clone())))
    });
    let appender = appender.transpose()?;
    let read_back = appender.as_ref().map(|appender| appender.read_back());
    let memory = plan.buffer_bytes.max(MIN_BUFFER_BYTES);
    // What is on its way and what waits before it pin at most twice their bytes, so that a console
    // that takes nothing leaves memory for reading and filing.
    let (share, held) = (memory / 4, memory / 8);
    let (direct, inbox) = channel(share);

    let mut options = lastline_client::Options::default();
    options.show = plan.show.clone();
    options.raw_partials = console.raw_partials;
    options.held_line_bytes = per_stream(OPEN_LINES_BYTES, plan.procs, 16 << 10, 256 << 10);
    options.read_back = read_back.clone();
    let client = Client::start(inbox, console.fold, console.printer, options);
    let client = client.map_err(|source| SpawnError::Thread { source })?;

    let mut options = lastline_sender::Options::default();
    options.held_bytes = held;
    options.when_full = match plan.when_full {
        WhenFull::Spool if read_back.is_none() => WhenFull::Block,
        policy => policy,
    };
    options.read_back = read_back;
    let sender = Sender::with_detour(direct.clone(), Some(Box::new(direct.clone())), options);

    let mut tee_options = lastline_tee::Options::default();
    tee_options.pool = Pool::new(Budget::new(memory));
    tee_options.chunk_bytes = (memory / 32).clamp(4 << 10, 256 << 10);
    tee_options.pipe_budget = Budget::new(PIPE_GROWTH_BYTES);
    let pipe_bytes = per_stream(PIPES_BYTES, plan.procs, MIN_PIPE_BYTES, PIPE_BYTES);
    let pipe_bytes = (pipe_bytes < PIPE_BYTES).then_some(pipe_bytes);
    Ok((Wiring { appender, tee_options, pipe_bytes }, Ends { client, sender, direct }))
}

/// A stream's share of `bytes`, a power of two within bounds.
fn per_stream(bytes: usize, procs: u32, least: usize, most: usize) -> usize {
    let share = bytes / (2 * procs.max(1) as usize);
    let power = if share == 0 { 0 } else { 1 << share.ilog2() };
    power.clamp(least, most)
}

impl Wiring {
    /// What the tee of a stream feeds.
    pub(crate) fn sinks(&self, stream: StreamId, sender: &Sender) -> Vec<BoxSink> {
        let mut sinks: Vec<BoxSink> = Vec::with_capacity(2);
        if let Some(appender) = &self.appender {
            sinks.push(Box::new(appender.sink(stream)));
        }
        sinks.push(Box::new(sender.sink()));
        sinks
    }

    /// Empties and closes the files; what became of every stream. Blocks.
    pub(crate) async fn close_files(&self, within: Duration) -> Option<lastline_appender::Written> {
        let appender = Arc::clone(self.appender.as_ref()?);
        tokio::task::spawn_blocking(move || appender.close(within)).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_ranks_take_a_quarter_of_the_users_pipes() {
        let bytes = |procs| per_stream(PIPES_BYTES, procs, MIN_PIPE_BYTES, PIPE_BYTES);
        assert_eq!((bytes(1), bytes(64), bytes(128)), (PIPE_BYTES, PIPE_BYTES, PIPE_BYTES));
        assert_eq!((bytes(1000), bytes(1_000_000)), (8 << 10, MIN_PIPE_BYTES));
        assert!(2 * 1000 * bytes(1000) <= PIPES_BYTES);
    }
}

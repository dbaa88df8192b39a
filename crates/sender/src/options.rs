//! How a sender sends.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lastline_line::{Control, HostId, ReadBack};

use crate::transport::Closed;

/// What happens to output when the client is slower than a rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// Memory is released, and read back from the file later. Without files, and where they are
    /// bounded and have no room to keep more, as `Block`.
    #[default]
    Spool,
    /// The rank waits: what is not sent stays in memory, and whoever made the chunks bounds that.
    /// A tee does, by its pool of read buffers.
    Block,
    /// It is not sent, and declared lost.
    Drop,
}

/// Gets what the driver asks of a host, or that the driver is gone.
pub type ControlHandler = Arc<dyn Fn(Result<Control, Closed>) + Send + Sync>;

/// How a sender sends.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// Which host sends. Default: the one in the driver's own process.
    pub host: HostId,
    /// What happens when the client is slower than a rank. Default: spool.
    pub when_full: WhenFull,
    /// How many bytes of chunks wait in memory before that happens. Default: 2 MiB.
    pub held_bytes: usize,
    /// How long a chunk waits, with too much held, before it is spilled: its memory is released, and
    /// it is read back from its file later; half as long while the client takes nothing at all. A
    /// client that is behind for a moment is not worth a file's reading; until then ranks may wait;
    /// zero spills at once. Default: 50 ms.
    pub spill_after: Duration,
    /// Where to read again what was spilled. Default: nowhere.
    pub read_back: Option<Arc<dyn ReadBack>>,
    /// Whether what was spilled is to be [kept](ReadBack::keep) until it is read back: what files have
    /// no room to keep stays in memory, so that ranks wait. Otherwise it may be removed, and is
    /// declared then: for a far side that may be away as long as it likes. Default: yes.
    pub keep_spilled: bool,
    /// How often the host sends a heartbeat. Default: every second.
    pub heartbeat: Duration,
    /// Gets what the driver asks of the host, beside mode and acknowledgements, which the sender
    /// sees to; and once that the far side is gone. Must not block. Default: nobody is.
    pub on_control: Option<ControlHandler>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            host: HostId::HERE,
            when_full: WhenFull::Spool,
            held_bytes: 2 << 20,
            spill_after: Duration::from_millis(50),
            read_back: None,
            keep_spilled: true,
            heartbeat: Duration::from_secs(1),
            on_control: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("host", &self.host)
            .field("when_full", &self.when_full)
            .field("held_bytes", &self.held_bytes)
            .field("spill_after", &self.spill_after)
            .field("keep_spilled", &self.keep_spilled)
            .field("heartbeat", &self.heartbeat)
            .finish_non_exhaustive()
    }
}

//! How a client presents.

use std::sync::Arc;
use std::time::Duration;

use lastline_line::{RankSet, ReadBack, StreamId, StreamSet};

use crate::starts::Starts;

/// How a client presents what it receives.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// The streams whose lines are printed. Default: all.
    pub show: Option<StreamSet>,
    /// One rank alone has the console: what it printed of a line is printed without waiting for
    /// the rest. Default: false, a line is held until its newline, a barrier or its stream's end.
    pub raw_partials: bool,
    /// How many bytes of an open line are held in memory, per stream. Beyond it they are read
    /// back from the file when the line ends, or, without files, printed in pieces.
    /// Default: 256 KiB.
    pub held_line_bytes: usize,
    /// The longest line that is printed whole, in bytes; a longer one is printed in pieces.
    /// Default: 16 MiB.
    pub whole_line_bytes: usize,
    /// How many bytes are kept back, for half a second at most, of streams that are
    /// [ahead](lastline_line::Fold::ahead) of others. Default: 4 MiB.
    pub kept_back_bytes: usize,
    /// Where to read back from. Default: nowhere.
    pub read_back: Option<Arc<dyn ReadBack>>,
    /// How long all that is printed waits for the start of a line that is read back, where its disk
    /// does not answer; then that is declared lost, and so is every other one until the disk answers
    /// again. Time in which this process stands still does not count. Default: 5 s.
    pub read_back_timeout: Duration,
    /// Says when ranks have written nothing for so long while others wrote; zero, the default: never.
    pub silent_after: Duration,
    /// The ranks that are known beforehand: of these it is said, too, when they write nothing at all.
    /// Default: none.
    pub ranks: RankSet,
    /// Who tells which start of a rank is its last one. Default: nobody, each rank writes two streams.
    pub starts: Starts,
    /// There is nothing to be done beside printing: once an output takes no more, nothing more is
    /// received, and [`Client::join`](crate::Client::join) says why. Default: false, that is said
    /// by a note, and all that comes is received and counted.
    pub print_only: bool,
    /// Bytes that are missing are told where they would stand, by
    /// [`Printer::missing`](crate::Printer::missing). Default: false, they are counted.
    pub tell_missing: bool,
    /// Newlines are counted as they come ([`Account::received_lines`](crate::Account::received_lines)), which takes
    /// a look at every byte. Default: false, whoever reads the streams has counted them.
    pub count_lines: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            show: None,
            raw_partials: false,
            held_line_bytes: 256 << 10,
            whole_line_bytes: 16 << 20,
            kept_back_bytes: 4 << 20,
            read_back: None,
            read_back_timeout: Duration::from_secs(5),
            silent_after: Duration::ZERO,
            ranks: RankSet::new(),
            starts: Starts::default(),
            print_only: false,
            tell_missing: false,
            count_lines: false,
        }
    }
}

impl Options {
    /// Whether lines of `stream` are printed.
    pub(crate) fn shows(&self, stream: StreamId) -> bool {
        self.show.as_ref().is_none_or(|show| show.contains(stream))
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("show", &self.show)
            .field("raw_partials", &self.raw_partials)
            .field("held_line_bytes", &self.held_line_bytes)
            .field("whole_line_bytes", &self.whole_line_bytes)
            .field("kept_back_bytes", &self.kept_back_bytes)
            .field("silent_after", &self.silent_after)
            .field("print_only", &self.print_only)
            .field("tell_missing", &self.tell_missing)
            .field("count_lines", &self.count_lines)
            .finish_non_exhaustive()
    }
}

//! `lastline run --view`: the job inside a view of it, and the console when that is left.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lastline_bootstrap::LoggingMesh;
use lastline_client::{Block, Missing, OpenLines, Output, PrintError, Printer};
use lastline_line::{Entry, StopCause, Stream};
use lastline_top::Leaving;
use tokio::sync::oneshot;

use crate::args::RunOptions;
use crate::exit::Misused;
use crate::values::{Format, StdinMode};
use crate::{notices, top};

/// Whether a view has the terminal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Up(Arc<AtomicBool>);

impl Up {
    fn is(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self, up: bool) {
        self.0.store(up, Ordering::Release);
    }
}

/// A printer that prints nothing while a view is up. What it is given then counts as withheld: the view is
/// told as any watcher is, which may be less.
pub(crate) struct BehindView<P> {
    printer: P,
    up: Up,
    /// Something was not printed since the last flush, or before it since the one before.
    unprinted: bool,
    unprinted_before: bool,
}

impl<P: Printer> BehindView<P> {
    pub(crate) fn new(printer: P, up: Up) -> Self {
        Self { printer, up, unprinted: false, unprinted_before: false }
    }

    /// Has it print something unless a view is up.
    fn unless_up(
        &mut self,
        print: impl FnOnce(&mut P) -> Result<(), PrintError>,
    ) -> Result<(), PrintError> {
        if self.up.is() {
            self.unprinted = true;
            return Ok(());
        }
        print(&mut self.printer)
    }
}

impl<P: Printer> Printer for BehindView<P> {
    fn print(&mut self, entry: &Entry<'_>) -> Result<(), PrintError> {
        self.unless_up(|printer| printer.print(entry))
    }

    fn flush(&mut self) -> Result<(), PrintError> {
        self.unprinted_before = std::mem::take(&mut self.unprinted);
        if self.up.is() { Ok(()) } else { self.printer.flush() }
    }

    fn print_block(&mut self, block: &Block<'_>) -> Result<(), PrintError> {
        self.unless_up(|printer| printer.print_block(block))
    }

    fn note(&mut self, text: &str) -> Result<(), PrintError> {
        self.unless_up(|printer| printer.note(text))
    }

    fn missing(&mut self, missing: &Missing<'_>) -> Result<(), PrintError> {
        self.unless_up(|printer| printer.missing(missing))
    }

    /// What is drawn below lines would be drawn over the view.
    fn open_lines(&self) -> OpenLines {
        OpenLines::Announced
    }

    fn output_of(&self, stream: Stream) -> Output {
        self.printer.output_of(stream)
    }

    fn shows(&self) -> bool {
        !self.unprinted_before && self.printer.shows()
    }
}

/// Whether `--view` can be had with the other options; a view that is up for it.
pub(crate) fn wanted(options: &RunOptions) -> anyhow::Result<Option<Up>> {
    if !options.view {
        return Ok(None);
    }
    anyhow::ensure!(
        io::stdout().is_terminal() && io::stdin().is_terminal(),
        Misused(
            "--view needs a terminal: leave it out, and look at the job with `lastline top` from another one"
        )
    );
    anyhow::ensure!(
        options.stdin == StdinMode::Null,
        Misused(
            "--view takes all that is typed: leave out --stdin, or look with `lastline top` from another terminal"
        )
    );
    anyhow::ensure!(
        options.format == Format::Text,
        Misused(
            "--view shows text: leave out --format json, or look with `lastline top` from another terminal"
        )
    );
    let up = Up::default();
    up.set(true);
    Ok(Some(up))
}

/// Gives the console back when it is dropped.
struct GiveBack(Up);

impl Drop for GiveBack {
    fn drop(&mut self) {
        self.0.set(false);
        notices::release();
    }
}

/// Shows a job that runs here until whoever looks leaves; on a thread of its own, which then lets the
/// receiver know.
pub(crate) fn show(job: String, mesh: LoggingMesh, up: Up) -> io::Result<oneshot::Receiver<()>> {
    notices::hold();
    let (done, is_done) = oneshot::channel();
    let shown = std::thread::Builder::new().name("lastline-view".into()).spawn(move || {
        let left = {
            // Also when the view panics.
            let _console = GiveBack(up);
            top::inside(&job)
        };
        match left {
            Ok(Leaving::StopJob) => mesh.stop(StopCause::Signal(libc::SIGINT)),
            Ok(Leaving::GoOn) => {}
            Err(error) => notices::say(&format!("the view is over: {error:#}")),
        }
        // The job may be over, and nobody wait.
        done.send(()).unwrap_or_default();
    });
    match shown {
        Ok(_) => Ok(is_done),
        Err(error) => {
            notices::release();
            Err(error)
        }
    }
}

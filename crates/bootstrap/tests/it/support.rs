//! A mesh of our own child program, and a printer that counts.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use lastline_bootstrap::{Console, LoggingMesh, Plan};
use lastline_client::{Labels, PrintError, Printer};
use lastline_line::{Entry, Off};
use tempfile::TempDir;

/// One of this crate's examples.
pub(crate) fn example(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let built = own.ancestors().nth(2).expect("a directory of the build");
    let program = built.join("examples").join(name);
    assert!(program.exists(), "{} is missing: build the examples too", program.display());
    program
}

/// A plan for ranks of the child program.
pub(crate) fn plan(behaviour: &[&str]) -> Plan {
    let mut command = vec![example("mesh_rank").into_os_string()];
    command.extend(behaviour.iter().map(Into::into));
    Plan::new("test", command)
}

pub(crate) fn console(printer: impl Printer + 'static) -> Console {
    let labels = Labels::default();
    Console { fold: Box::new(Off), printer: Box::new(printer), labels, raw_partials: false }
}

/// A printer that keeps, for each rank, how many lines it has flushed. Clones are handles.
#[derive(Clone, Default)]
pub(crate) struct Counter {
    printed: HashMap<u32, u64>,
    flushed: Arc<Mutex<HashMap<u32, u64>>>,
}

impl Counter {
    /// How many lines of `rank` have been shown.
    pub(crate) fn shown(&self, rank: u32) -> u64 {
        self.flushed.lock().unwrap().get(&rank).copied().unwrap_or(0)
    }
}

impl Printer for Counter {
    fn print(&mut self, entry: &Entry<'_>) -> Result<(), PrintError> {
        if let Entry::Line(line) = entry {
            *self.printed.entry(line.stream.rank).or_default() += 1;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), PrintError> {
        self.flushed.lock().unwrap().clone_from(&self.printed);
        Ok(())
    }
}

/// The other end of a rank that prints on command.
pub(crate) struct Commander {
    _dir: TempDir,
    listener: UnixListener,
}

impl Commander {
    /// The commander, and the rank's plan.
    pub(crate) fn new() -> (Self, Plan) {
        let dir = tempfile::Builder::new().prefix("ll").tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let plan = plan(&["on-command", text(&path)]);
        (Self { _dir: dir, listener }, plan)
    }

    /// Waits for the rank, on this thread.
    pub(crate) fn connect(&self) -> Commands {
        let (socket, _) = self.listener.accept().unwrap();
        socket.set_read_timeout(Some(lastline_testing::PATIENCE)).unwrap();
        Commands { socket }
    }
}

pub(crate) struct Commands {
    socket: UnixStream,
}

impl Commands {
    /// Has one line printed; it has been written when this returns. Nothing else of this thread's
    /// runtime runs meanwhile.
    pub(crate) fn print(&mut self) {
        self.socket.write_all(b"p").unwrap();
        self.socket.read_exact(&mut [0]).expect("the rank answers");
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Starts a mesh whose rank 0 prints on command.
pub(crate) fn spawn(plan: Plan, printer: impl Printer + 'static) -> LoggingMesh {
    LoggingMesh::spawn(plan, console(printer)).unwrap()
}

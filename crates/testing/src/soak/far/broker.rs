//! A broker of a run's own.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long it may take to listen.
const STARTING: Duration = Duration::from_secs(20);

/// Whether there is a `nats-server` to be run.
pub fn is_there() -> bool {
    let mut command = Command::new("nats-server");
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    #[expect(clippy::disallowed_methods, reason = "the runner looks for its broker")]
    let status = command.status();
    status.is_ok_and(|status| status.success())
}

/// Where a disk that others keep busy is not waited for: a broker may answer late, but not for longer than
/// a host that ends waits for it.
const MEMORY: &str = "/dev/shm";

/// A server with its stream's files in memory, where there is such a place. It ends with this.
pub(super) struct Broker {
    port: u16,
    files: TempDir,
    child: Option<Child>,
}

impl Broker {
    pub(super) fn start() -> io::Result<Self> {
        let place = Path::new(MEMORY);
        let files = if place.is_dir() { tempfile::tempdir_in(place) } else { tempfile::tempdir() }?;
        let free = TcpListener::bind("127.0.0.1:0")?;
        let port = free.local_addr()?.port();
        drop(free);
        let mut broker = Self { port, files, child: None };
        broker.come()?;
        Ok(broker)
    }

    pub(super) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts it, again where it was killed, and waits until it listens.
    pub(super) fn come(&mut self) -> io::Result<()> {
        let mut command = Command::new("nats-server");
        command.args(["-js", "-a", "127.0.0.1", "-p", &self.port.to_string(), "-sd"]);
        command
            .arg(self.files.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        #[expect(clippy::disallowed_methods, reason = "the runner starts its broker")]
        let mut child = command.spawn()?;
        let deadline = Instant::now() + STARTING;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if let Some(status) = child.try_wait()? {
                return Err(io::Error::other(format!("nats-server ends with {status}")));
            }
            if Instant::now() >= deadline {
                child.kill()?;
                child.wait()?;
                return Err(io::Error::new(io::ErrorKind::TimedOut, "nats-server does not listen"));
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        self.child = Some(child);
        Ok(())
    }

    pub(super) fn die(&mut self) -> io::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Err(error) = self.die() {
            tracing::warn!(%error, "a broker is left");
        }
    }
}

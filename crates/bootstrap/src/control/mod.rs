//! The socket on which another terminal may ask a running job for a barrier, or to end, or to be
//! told of it.
//!
//! What is said there is [`lastline_watch::protocol`]: one request a connection, which is one line. The
//! other side, which asks, is in that crate, too.

mod entries;
mod requests;
mod slow;
mod watching;

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::geteuid;
use tokio::net::UnixListener;
use tokio::sync::Notify;

use self::watching::Watching;
use crate::driver::DriverHandle;

/// How long to wait when the system has no descriptor for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers requests while a job runs. Removes its socket when the job is over, or when this is closed or
/// dropped before.
#[derive(Debug)]
pub struct ControlSocket {
    place: Arc<Place>,
    closed: Arc<Notify>,
}

/// Where one listens.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    is_left: AtomicBool,
}

impl Place {
    /// Removes the socket, once: later another job may listen there.
    fn leave(&self) {
        if self.is_left.swap(true, Ordering::AcqRel) {
            return;
        }
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::debug!(%error, path = %self.path.display(), "the control socket is left");
            }
            _ => {}
        }
    }
}

impl ControlSocket {
    /// Listens on `path`; none, and a warning, where that cannot be.
    pub fn open(path: &Path, driver: DriverHandle) -> Option<Self> {
        match listen(path) {
            Ok(listener) => {
                let closed = Arc::new(Notify::new());
                let place = Place { path: path.to_owned(), is_left: AtomicBool::new(false) };
                let place = Arc::new(place);
                let (left, at_close) = (Arc::clone(&place), Arc::clone(&closed));
                tokio::spawn(async move {
                    serve(listener, driver, at_close).await;
                    left.leave();
                });
                Some(Self { place, closed })
            }
            Err(error) => {
                let place = path.display();
                if error.kind() == io::ErrorKind::AddrInUse {
                    tracing::warn!(
                        "another job of this id, or driver of this job, is on this machine: `lastline flush`, `stop` \
                         and `top` reach that one ({place})"
                    );
                } else {
                    tracing::warn!(
                        "`lastline flush`, `stop` and `top` will not reach this job: {error} ({place})"
                    );
                }
                None
            }
        }
    }

    /// Answers no more requests, and removes the socket.
    pub fn close(&self) {
        self.closed.notify_one();
        self.place.leave();
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.close();
    }
}

/// Listens on `path`, whose folder is made for this user alone. A socket that a dead job left is
/// replaced.
fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Some(dir) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let found = std::fs::symlink_metadata(dir)?;
        let own = std::os::unix::fs::MetadataExt::uid(&found) == geteuid().as_raw();
        if !own || !found.is_dir() {
            return Err(io::Error::other(format!("{} is somebody else's", dir.display())));
        }
    }
    if std::os::unix::net::UnixStream::connect(path).is_err() {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    UnixListener::bind(path)
}

/// Answers until the socket is closed, or the job is over.
async fn serve(listener: UnixListener, driver: DriverHandle, closed: Arc<Notify>) {
    let watching = Arc::new(Watching::new(driver.clone()));
    let asked = driver.clone();
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((socket, _)) => {
                    let (driver, watching) = (asked.clone(), Arc::clone(&watching));
                    tokio::spawn(async move {
                        if let Err(error) = requests::answer(socket, &driver, &watching).await {
                            tracing::debug!(%error, "a request was not answered");
                        }
                    });
                }
                // There may be a descriptor for the next one.
                Err(error) => {
                    tracing::debug!(%error, "a request was not taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accept => {}
        () = closed.notified() => {}
        () = driver.ended() => {}
    }
}

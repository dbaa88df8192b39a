//! The server.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use lastline_jobs::{FoundJob, JobsPlace};
use tokio::net::TcpListener;

use crate::guard::Guard;
use crate::listen::Viewers;
use crate::routes::routes;
use crate::state::Shared;

/// What may be asked of a running job, by its id. Both may block until the job has answered.
pub trait Control: Send + Sync {
    /// Waits until everything printed before has arrived; what came of it, in words.
    fn flush(&self, job: &FoundJob) -> io::Result<String>;
    /// Tells it to end; what came of it, in words.
    fn stop(&self, job: &FoundJob) -> io::Result<String>;
}

/// What is served.
#[non_exhaustive]
pub struct Options {
    /// Where the jobs are that can be seen.
    pub place: JobsPlace,
    /// The job that is seen first, which may be elsewhere. Default: none, and the list is.
    pub job: Option<FoundJob>,
    /// How running jobs are asked for something. Default: not at all.
    pub control: Option<Box<dyn Control>>,
    /// The exit code of a job that is over and has a report.
    pub exit_code: fn(&FoundJob) -> Option<u8>,
}

impl Options {
    /// The jobs of this place; `exit_code` as in [`exit_code`](Self::exit_code).
    pub fn new(place: JobsPlace, exit_code: fn(&FoundJob) -> Option<u8>) -> Self {
        Self { place, job: None, control: None, exit_code }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Answers viewers.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    guard: Arc<Guard>,
    shared: Arc<Shared>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    /// Listens on an address; port 0 is any that is free.
    ///
    /// # Errors
    ///
    /// When the system does not let it.
    pub async fn bind(address: SocketAddr, options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let guard = Arc::new(Guard::new(address)?);
        Ok(Self { listener, address, guard, shared: Arc::new(Shared::new(options)) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address to open, with the token in it: who has it sees everything.
    pub fn url(&self) -> String {
        format!("http://{}/?token={}", self.address, self.guard.token.reveal())
    }

    /// Answers for ever. Dropping the future ends it, and every viewer's connection with the runtime.
    ///
    /// # Errors
    ///
    /// When it cannot accept connections any more.
    pub async fn serve(self) -> io::Result<()> {
        axum::serve(Viewers(self.listener), routes(self.shared, self.guard)).await
    }
}

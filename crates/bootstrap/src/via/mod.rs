//! Where hosts and drivers of a job meet that are in several processes, by what it is called.

mod host;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "nats")]
mod stored;
#[cfg(feature = "nats")]
mod trimmed;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lastline_line::{Inbox, Resume};
use lastline_sender::framed::{LocalError, LocalListener, shared_inbox};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use self::host::{Claim, HostEnd, HostWay};
#[cfg(feature = "nats")]
pub use self::stored::{Reading, StoredInbox, StoredJob};

/// How much output of one host waits for the driver, in bytes.
const WINDOW_BYTES: usize = 1 << 20;

/// `sun_path` of unix(7) has 108, the last of which is zero.
const MAX_PATH_BYTES: usize = 107;

/// Where the two sides of a job meet: `unix:PATH`, `nats://HOST:PORT`, `tls://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Url {
    /// A Unix socket of one machine, by its absolute path.
    Unix(PathBuf),
    /// A NATS server with JetStream. Who this is, is read from the URL (`nats://user:password@HOST`,
    /// `nats://token@HOST`), or from the variables
    /// `LASTLINE_NATS_CREDENTIALS`, `LASTLINE_NATS_NKEY` (paths of files) or `LASTLINE_NATS_TOKEN`, and who
    /// vouches for the server from `LASTLINE_NATS_CA`. Used with the feature `nats` alone.
    Nats(String),
}

/// Why a text is no place to meet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It names no kind of place.
    #[error("a place to meet is `unix:PATH` or `nats://HOST:PORT`")]
    Unknown,
    /// There is no path.
    #[error("`unix:` needs a path, as in unix:/tmp/job.sock")]
    NoPath,
    /// The path is longer than a socket's may be.
    #[error(
        "the path of a socket has {MAX_PATH_BYTES} bytes at most, and {} has {}: take a shorter one, as in \
         unix:/tmp/job.sock",
        path.display(),
        path.as_os_str().len()
    )]
    TooLong {
        /// The path.
        path: PathBuf,
    },
    /// The path cannot be made absolute.
    #[error("the path of `unix:` cannot be used")]
    Path {
        /// Why.
        source: std::io::Error,
    },
}

/// Why two sides of a job do not meet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViaError {
    /// The socket cannot be listened on.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The broker cannot be used.
    #[cfg(feature = "nats")]
    #[error(transparent)]
    Broker(lastline_nats::NatsError),
    /// The broker does not let this client in.
    #[cfg(feature = "nats")]
    #[error(
        "{0}; who this is stands in the URL, `nats://user:password@HOST:PORT` or `nats://token@HOST:PORT`, or in a \
         variable, LASTLINE_NATS_CREDENTIALS, LASTLINE_NATS_NKEY or LASTLINE_NATS_TOKEN"
    )]
    NotLetIn(lastline_nats::NatsError),
    /// Another host has these ranks, or says otherwise of the job.
    #[cfg(feature = "nats")]
    #[error(transparent)]
    Refused(lastline_nats::ClaimError),
    /// The broker has nothing of a job that was to be read.
    #[cfg(feature = "nats")]
    #[error("the broker has no job `{job}`")]
    NoSuchJob {
        /// Its id.
        job: String,
    },
    /// A broker was asked for.
    #[error("this was built without NATS (the feature `nats`)")]
    WithoutNats,
}

#[cfg(feature = "nats")]
impl From<lastline_nats::NatsError> for ViaError {
    fn from(error: lastline_nats::NatsError) -> Self {
        match error {
            refused @ lastline_nats::NatsError::NotLetIn { .. } => Self::NotLetIn(refused),
            other => Self::Broker(other),
        }
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.starts_with("nats://") || text.starts_with("tls://") {
            return Ok(Self::Nats(text.to_owned()));
        }
        match text.strip_prefix("unix:") {
            Some("") => Err(UrlError::NoPath),
            // Ranks may start elsewhere; the place stays the same.
            Some(path) => {
                let path = std::path::absolute(path).map_err(|source| UrlError::Path { source })?;
                if path.as_os_str().len() > MAX_PATH_BYTES {
                    return Err(UrlError::TooLong { path });
                }
                Ok(Self::Unix(path))
            }
            None => Err(UrlError::Unknown),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            // It is shown, logged and typed again: not who this is.
            #[cfg(feature = "nats")]
            Self::Nats(url) => f.write_str(&lastline_nats::without_user(url)),
            #[cfg(not(feature = "nats"))]
            Self::Nats(url) => f.write_str(url),
        }
    }
}

/// A socket on which hosts are met, as long as this lives.
#[derive(Debug)]
pub struct Listening {
    owner: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Listening {
    /// Meets nobody any more; the socket is gone when this returns.
    pub async fn close(self) {
        drop(self.owner);
        if let Err(error) = self.task.await {
            tracing::debug!("hosts were not met any more: {error}");
        }
    }
}

/// The driver's side. Whoever drops or closes `listens` is met by nobody any more.
pub struct DriverEnd {
    /// What hosts send; for [`DriverBuilder::start`](crate::DriverBuilder::start).
    pub inbox: Box<dyn Inbox>,
    /// The socket; none at a broker.
    pub listens: Option<Listening>,
    /// Whether hosts were to be told to stop, and cannot have heard it: the broker was away.
    pub stop_is_pending: Box<dyn Fn() -> bool + Send + Sync>,
    /// Whether the job was over before: the broker has kept it.
    pub was_over: bool,
}

impl fmt::Debug for DriverEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriverEnd").field("listens", &self.listens).finish_non_exhaustive()
    }
}

impl Url {
    /// Meets the hosts of `job` from now on, whose output is wanted from there; those of a broker of
    /// which nothing is heard for so long are lost. Must be called on a tokio runtime.
    ///
    /// # Errors
    ///
    /// When another driver listens there, or the place cannot be used.
    pub async fn driver(
        &self,
        job: &str,
        resume: Resume,
        lost_after: Duration,
    ) -> Result<DriverEnd, ViaError> {
        match self {
            Self::Unix(path) => {
                let listener = LocalListener::bind(path)?;
                let (handle, inbox) = shared_inbox(WINDOW_BYTES);
                handle.of_job(job);
                handle.resume_from(resume);
                let (owner, until) = oneshot::channel::<()>();
                let task = tokio::spawn(async move {
                    tokio::select! {
                        () = listener.serve(handle) => {}
                        // Its owner is gone.
                        _ = until => {}
                    }
                });
                let listens = Some(Listening { owner, task });
                let stop_is_pending = Box::new(|| false);
                let inbox = Box::new(inbox);
                Ok(DriverEnd { inbox, listens, stop_is_pending, was_over: false })
            }
            #[cfg(feature = "nats")]
            Self::Nats(url) => nats::driver(url, job, resume, lost_after).await,
            #[cfg(not(feature = "nats"))]
            Self::Nats(_) => {
                drop((job, resume, lost_after));
                Err(ViaError::WithoutNats)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_and_shown() {
        let url: Url = "unix:/run/job.sock".parse().unwrap();
        assert_eq!(url, Url::Unix("/run/job.sock".into()));
        assert_eq!(url.to_string(), "unix:/run/job.sock");
        let broker: Url = "nats://broker:4222".parse().unwrap();
        assert_eq!(broker.to_string(), "nats://broker:4222");
        let here: Url = "unix:job.sock".parse().unwrap();
        assert_eq!(here, Url::Unix(std::env::current_dir().unwrap().join("job.sock")));
        for bad in ["", "unix:", "/run/job.sock", "tcp://host:1"] {
            assert!(bad.parse::<Url>().is_err(), "{bad}");
        }
        let path = |bytes: usize| format!("unix:/{}", "x".repeat(bytes - 1));
        assert!(path(107).parse::<Url>().is_ok());
        assert!(matches!(path(108).parse::<Url>(), Err(UrlError::TooLong { .. })));
    }
}

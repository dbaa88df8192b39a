//! Where hosts and drivers of a job meet.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use lastline_line::{Inbox, ReadBack, Resume};
use lastline_sender::Transport;
use lastline_sender::framed::{
    LocalListener, ReconnectingOptions, connect_local, reconnecting, shared_inbox,
};
use tokio::sync::oneshot;

/// How much output of one host waits for the driver, in bytes.
const WINDOW_BYTES: usize = 1 << 20;

/// Where the two sides meet: `--via`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Url {
    /// A Unix socket of one machine.
    Unix(PathBuf),
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => {
                Err(String::from("`unix:` needs the path of a socket, as in unix:/tmp/job.sock"))
            }
            // Ranks may start elsewhere; the place stays the same.
            Some(path) => std::path::absolute(path).map(Self::Unix).map_err(|e| e.to_string()),
            None => Err(String::from("a place to meet is `unix:PATH`, as in unix:/tmp/job.sock")),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The way of a host to whoever drives it, and what waits until that has delivered all.
pub(crate) struct HostEnd {
    pub(crate) transport: Box<dyn Transport>,
    pub(crate) ended: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// The driver's side. Whoever drops `listens` is met by nobody any more.
pub(crate) struct DriverEnd {
    pub(crate) inbox: Box<dyn Inbox>,
    pub(crate) listens: oneshot::Sender<()>,
}

impl Url {
    /// The way to whoever drives. Must be called on a runtime.
    pub(crate) fn host(&self, read_back: Option<Arc<dyn ReadBack>>) -> HostEnd {
        match self {
            Self::Unix(path) => {
                let mut options = ReconnectingOptions::default();
                options.window = WINDOW_BYTES;
                options.read_back = read_back;
                let path = path.clone();
                let transport = reconnecting(move || connect_local(path.clone()), options);
                let ended = Box::pin(transport.ended());
                HostEnd { transport: Box::new(transport), ended }
            }
        }
    }

    /// How long a host waits for a driver at its end, when there is none.
    pub(crate) fn linger() -> Duration {
        ReconnectingOptions::default().linger
    }

    /// Meets hosts from now on, whose output is wanted from there. Must be called on a runtime.
    pub(crate) fn driver(&self, resume: Resume) -> anyhow::Result<DriverEnd> {
        match self {
            Self::Unix(path) => {
                let listener = LocalListener::bind(path)?;
                let (handle, inbox) = shared_inbox(WINDOW_BYTES);
                handle.resume_from(resume);
                let (listens, until) = oneshot::channel::<()>();
                tokio::spawn(async move {
                    tokio::select! {
                        () = listener.serve(handle) => {}
                        // Its owner is gone.
                        _ = until => {}
                    }
                });
                Ok(DriverEnd { inbox: Box::new(inbox), listens })
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
        let here: Url = "unix:job.sock".parse().unwrap();
        assert_eq!(here, Url::Unix(std::env::current_dir().unwrap().join("job.sock")));
        for bad in ["", "unix:", "/run/job.sock", "tcp://host:1"] {
            assert!(bad.parse::<Url>().is_err(), "{bad}");
        }
    }
}

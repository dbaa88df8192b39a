//! Where hosts and drivers of a job meet.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use lastline_bootstrap::Placement;
use lastline_line::{HostId, Inbox, ReadBack, Resume};
use lastline_nats::{Auth, ClaimError, HostClaim, NatsOptions, NatsTransport};
use lastline_sender::Transport;
use lastline_sender::framed::{
    LocalListener, ReconnectingOptions, connect_local, reconnecting, shared_inbox,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::trimmed::Trimmed;

/// How much output of one host waits for the driver, in bytes.
const WINDOW_BYTES: usize = 1 << 20;

/// Where the two sides meet: `--via`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Url {
    /// A Unix socket of one machine.
    Unix(PathBuf),
    /// A NATS server with JetStream.
    Nats(String),
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("nats://") || text.starts_with("tls://") {
            return Ok(Self::Nats(text.to_owned()));
        }
        match text.strip_prefix("unix:") {
            Some("") => Err(String::from("`unix:` needs a path, as in unix:/tmp/job.sock")),
            // Ranks may start elsewhere; the place stays the same.
            Some(path) => std::path::absolute(path).map(Self::Unix).map_err(|e| e.to_string()),
            None => Err(String::from("a place to meet is `unix:PATH` or `nats://HOST:PORT`")),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Nats(url) => f.write_str(url),
        }
    }
}

/// What a host says of itself where others may claim its ranks.
pub(crate) struct Claim<'a> {
    pub(crate) id: HostId,
    pub(crate) job: &'a str,
    pub(crate) placement: &'a Placement,
    /// One that fails stops all others, also where no driver does.
    pub(crate) stop_others: bool,
    /// How much output may be on the way.
    pub(crate) window_bytes: usize,
}

/// A host's place, before it has files.
pub(crate) enum HostWay {
    Unix { path: PathBuf, window_bytes: usize },
    Nats(Box<NatsTransport>),
}

/// The way of a host to whoever drives it, and what waits until that has delivered all.
pub(crate) struct HostEnd {
    pub(crate) transport: Box<dyn Transport>,
    pub(crate) ended: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// A socket on which hosts are met, as long as this lives.
#[derive(Debug)]
pub(crate) struct Listening {
    owner: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Listening {
    /// Meets nobody any more; the socket is gone when this returns.
    pub(crate) async fn close(self) {
        drop(self.owner);
        if let Err(error) = self.task.await {
            tracing::debug!("hosts were not met any more: {error}");
        }
    }
}

/// The driver's side. Whoever drops or closes `listens` is met by nobody any more.
pub(crate) struct DriverEnd {
    pub(crate) inbox: Box<dyn Inbox>,
    pub(crate) listens: Option<Listening>,
}

impl HostWay {
    /// The way itself. Must be called on a runtime.
    pub(crate) fn open(self, read_back: Option<Arc<dyn ReadBack>>) -> HostEnd {
        match self {
            Self::Unix { path, window_bytes } => {
                let mut options = ReconnectingOptions::default();
                options.window = window_bytes;
                options.read_back = read_back;
                let transport = reconnecting(move || connect_local(path.clone()), options);
                let ended = Box::pin(transport.ended());
                HostEnd { transport: Box::new(transport), ended }
            }
            Self::Nats(transport) => HostEnd { ended: Box::pin(transport.ended()), transport },
        }
    }
}

impl Url {
    /// Takes a host's place there, where places are given: in a job of a broker.
    pub(crate) async fn reach(&self, claim: &Claim<'_>) -> Result<HostWay, ClaimError> {
        match self {
            Self::Unix(path) => {
                let window_bytes = claim.window_bytes.min(WINDOW_BYTES);
                Ok(HostWay::Unix { path: path.clone(), window_bytes })
            }
            Self::Nats(url) => {
                let mut options = nats_options(url, claim.job);
                options.stop_others_on_failure = claim.stop_others;
                options.window_bytes = claim.window_bytes;
                options.max_message_bytes = options.max_message_bytes.min(claim.window_bytes);
                let Placement { first_rank, procs, world_size, .. } = *claim.placement;
                let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
                let ranks = first_rank..first_rank + procs;
                let mut host = HostClaim::new(ranks, world_size, name);
                host.id = claim.id;
                let transport = lastline_nats::connect(options).await?.host(host).await?;
                Ok(HostWay::Nats(Box::new(transport)))
            }
        }
    }

    /// How long a host waits for its end to be taken, beside its own deadlines.
    pub(crate) fn linger(&self) -> Duration {
        match self {
            Self::Unix(_) => ReconnectingOptions::default().linger,
            Self::Nats(url) => nats_options(url, "").linger,
        }
    }

    /// Meets hosts from now on, whose output is wanted from there; those of which nothing is heard for so
    /// long are lost. Must be called on a runtime.
    pub(crate) async fn driver(
        &self,
        job: &str,
        resume: Resume,
        lost_after: Duration,
    ) -> anyhow::Result<DriverEnd> {
        match self {
            Self::Unix(path) => {
                let listener = LocalListener::bind(path)?;
                let (handle, inbox) = shared_inbox(WINDOW_BYTES);
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
                Ok(DriverEnd { inbox: Box::new(inbox), listens })
            }
            Self::Nats(url) => {
                let mut options = nats_options(url, job);
                options.lost_after = Some(lost_after);
                let from = match &resume {
                    Resume::Now => lastline_nats::From::Now,
                    _ => lastline_nats::From::Start,
                };
                let inbox = lastline_nats::connect(options).await?.driver(from).await?;
                let inbox = Trimmed::new(inbox, resume);
                Ok(DriverEnd { inbox: Box::new(inbox), listens: None })
            }
        }
    }
}

/// A broker's options: the URL, and who this is, from variables.
fn nats_options(url: &str, job: &str) -> NatsOptions {
    let mut options = NatsOptions::new(url, job);
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(file) = set("LASTLINE_NATS_CREDENTIALS") {
        options.auth = Auth::CredentialsFile(file.into());
    } else if let Some(file) = set("LASTLINE_NATS_NKEY") {
        options.auth = Auth::NkeySeedFile(file.into());
    } else if let Some(token) = set("LASTLINE_NATS_TOKEN") {
        options.auth = Auth::Token(token.to_string_lossy().into_owned());
    }
    options.tls.ca = set("LASTLINE_NATS_CA").map(PathBuf::from);
    options
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
    }
}

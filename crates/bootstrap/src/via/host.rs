//! A host's side of where it meets its driver.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lastline_line::{HostId, ReadBack};
use lastline_sender::Transport;
use lastline_sender::framed::{ReconnectingOptions, connect_local, reconnecting};

use super::{Url, ViaError, WINDOW_BYTES};
use crate::Placement;

/// What a host says of itself where others may claim its ranks.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Which host it is.
    pub id: HostId,
    /// The job's id.
    pub job: &'a str,
    /// Its ranks.
    pub placement: &'a Placement,
    /// One that fails stops all others, also where no driver does.
    pub stop_others: bool,
    /// Say once what its ranks say alike; whoever drives gets all of it. At a broker their output is
    /// gathered for 100 ms for that.
    pub pre_fold: bool,
    /// Where a broker still has a job of this id that is over, it begins anew; otherwise the host is refused.
    pub overwrite: bool,
    /// How many bytes of output may be on the way at most:
    /// [`transport_bytes`](crate::transport_bytes) of what the host has.
    pub window_bytes: usize,
}

/// A host's place, before it has files.
#[derive(Debug)]
pub struct HostWay(Way);

#[derive(Debug)]
enum Way {
    Unix {
        path: PathBuf,
        job: String,
        window_bytes: usize,
        pre_fold: bool,
    },
    #[cfg(feature = "nats")]
    Nats(Box<lastline_nats::NatsTransport>),
}

/// The way of a host to whoever drives it.
pub struct HostEnd {
    /// For [`MeshBuilder::link_with`](crate::MeshBuilder::link_with).
    pub transport: Box<dyn Transport>,
    /// Ready when it has delivered all, after it was dropped.
    pub ended: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl fmt::Debug for HostEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostEnd").finish_non_exhaustive()
    }
}

impl HostWay {
    /// The way itself; what drivers that come later want is read back from `read_back`. Must be called
    /// on a tokio runtime.
    pub fn open(self, read_back: Option<Arc<dyn ReadBack>>) -> HostEnd {
        match self.0 {
            Way::Unix { path, job, window_bytes, pre_fold } => {
                let mut options = ReconnectingOptions::default();
                options.window = window_bytes;
                options.read_back = read_back;
                options.job = Some(job);
                options.fold = pre_fold;
                let transport = reconnecting(move || connect_local(path.clone()), options);
                let ended = Box::pin(transport.ended());
                HostEnd { transport: Box::new(transport), ended }
            }
            #[cfg(feature = "nats")]
            Way::Nats(transport) => HostEnd { ended: Box::pin(transport.ended()), transport },
        }
    }
}

impl Url {
    /// Takes a host's place there, where places are given: in a job of a broker.
    ///
    /// # Errors
    ///
    /// When the broker cannot be used, or another host has these ranks.
    #[cfg_attr(not(feature = "nats"), expect(clippy::unused_async, reason = "brokers are asked"))]
    pub async fn reach(&self, claim: &Claim<'_>) -> Result<HostWay, ViaError> {
        match self {
            Self::Unix(path) => {
                let window_bytes = claim.window_bytes.min(WINDOW_BYTES);
                if let Some(dir) = path.parent().filter(|dir| !dir.is_dir()) {
                    tracing::warn!(
                        "no driver can be met at {}: there is no directory {}",
                        path.display(),
                        dir.display()
                    );
                }
                let (path, job) = (path.clone(), claim.job.to_owned());
                Ok(HostWay(Way::Unix { path, job, window_bytes, pre_fold: claim.pre_fold }))
            }
            #[cfg(feature = "nats")]
            Self::Nats(url) => {
                Ok(HostWay(Way::Nats(Box::new(super::nats::reach(url, claim).await?))))
            }
            #[cfg(not(feature = "nats"))]
            Self::Nats(_) => Err(ViaError::WithoutNats),
        }
    }

    /// How long a host waits for its end to be taken, beside its own deadlines.
    pub fn linger(&self) -> Duration {
        match self {
            Self::Unix(_) => ReconnectingOptions::default().linger,
            #[cfg(feature = "nats")]
            Self::Nats(url) => super::nats::linger(url),
            #[cfg(not(feature = "nats"))]
            Self::Nats(_) => Duration::ZERO,
        }
    }
}

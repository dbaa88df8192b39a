//! Meeting at a broker.

use std::path::PathBuf;
use std::time::Duration;

use lastline_line::Resume;
use lastline_nats::{
    Auth, Broker, ClaimError, HostClaim, NatsError, NatsOptions, NatsTransport, WhenOver,
};

use super::trimmed::Trimmed;
use super::{Claim, DriverEnd, ViaError};
use crate::Placement;

/// How long the output of a host's ranks is gathered to be folded: short beside the windows in which
/// drivers fold, and long enough for ranks in step.
const FOLD_AFTER: Duration = Duration::from_millis(100);

pub(super) async fn driver(
    url: &str,
    job: &str,
    resume: Resume,
    lost_after: Duration,
) -> Result<DriverEnd, ViaError> {
    let mut options = options(url, job);
    options.lost_after = Some(lost_after);
    let from = match &resume {
        Resume::Now => lastline_nats::From::Now,
        _ => lastline_nats::From::Start,
    };
    let inbox = lastline_nats::connect(options).await?.driver(from).await?;
    let stop = inbox.pending_stop();
    let was_over = inbox.was_over();
    let inbox = Box::new(Trimmed::new(inbox, resume));
    Ok(DriverEnd { inbox, listens: None, stop_is_pending: Box::new(move || stop.get()), was_over })
}

/// A job that the broker has; none is made there.
pub(super) async fn without_making_one(url: &str, job: &str) -> Result<Broker, NatsError> {
    let mut options = options(url, job);
    options.create_stream = false;
    lastline_nats::connect(options).await
}

/// Takes a host's place in a job of a broker.
pub(super) async fn reach(url: &str, claim: &Claim<'_>) -> Result<NatsTransport, ViaError> {
    let mut options = options(url, claim.job);
    options.stop_others_on_failure = claim.stop_others;
    options.fold_after = claim.pre_fold.then_some(FOLD_AFTER);
    options.window_bytes = claim.window_bytes;
    options.max_message_bytes = options.max_message_bytes.min(claim.window_bytes);
    let Placement { first_rank, procs, world_size, .. } = *claim.placement;
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut host = HostClaim::new(first_rank..first_rank + procs, world_size, name);
    host.id = claim.id;
    host.when_over = if claim.overwrite { WhenOver::BeginAnew } else { WhenOver::Refuse };
    match lastline_nats::connect(options).await?.host(host).await {
        Ok(transport) => Ok(transport),
        Err(ClaimError::Broker(error)) => Err(error.into()),
        Err(refused) => Err(ViaError::Refused(refused)),
    }
}

/// How long a host waits for its end to be taken.
pub(super) fn linger(url: &str) -> Duration {
    options(url, "").linger
}

/// A broker's options: the URL, and who this is, from there or from variables.
fn options(url: &str, job: &str) -> NatsOptions {
    let mut options = NatsOptions::new(url, job);
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(auth) = auth_in(url) {
        options.auth = auth;
    } else if let Some(file) = set("LASTLINE_NATS_CREDENTIALS") {
        options.auth = Auth::CredentialsFile(file.into());
    } else if let Some(file) = set("LASTLINE_NATS_NKEY") {
        options.auth = Auth::NkeySeedFile(file.into());
    } else if let Some(token) = set("LASTLINE_NATS_TOKEN") {
        options.auth = Auth::Token(token.to_string_lossy().into_owned());
    }
    options.tls.ca = set("LASTLINE_NATS_CA").map(PathBuf::from);
    options
}

/// Who this is, where the URL says so: `nats://user:password@host`, or `nats://token@host`.
fn auth_in(url: &str) -> Option<Auth> {
    let (_, address) = url.split(',').next()?.split_once("://")?;
    let (user, _) = address.rsplit_once('@')?;
    Some(match user.split_once(':') {
        Some((user, password)) => {
            Auth::UserAndPassword { user: user.to_owned(), password: password.to_owned() }
        }
        None => Auth::Token(user.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_this_is_may_stand_in_the_url() {
        let said = |url| format!("{:?}", auth_in(url));
        assert_eq!(said("nats://host:1"), "None");
        assert_eq!(
            said("nats://ann:p@w@host:1,other"),
            format!(
                "{:?}",
                Some(Auth::UserAndPassword { user: "ann".into(), password: "p@w".into() })
            )
        );
        assert_eq!(said("tls://t0ken@host"), format!("{:?}", Some(Auth::Token("t0ken".into()))));
    }
}

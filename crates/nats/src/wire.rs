//! One connection to the broker.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::Context;
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, HeaderMap, ServerAddr};
use lastline_line::HostId;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::NatsError;
use crate::names::{Names, parse_id};
use crate::options::{Auth, NatsOptions};

/// How long to wait between two tries to reach the broker, at most; the first are faster.
const RECONNECT_AFTER: Duration = Duration::from_secs(1);
const FIRST_RECONNECT_AFTER: Duration = Duration::from_millis(50);

/// How often to look whether the connection stands, beside waiting to be told.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After so long without a broker it is said that one is looked for.
const TELL_AFTER: Duration = Duration::from_secs(2);

/// Headers that Lastline puts on messages.
pub(crate) mod header {
    /// The host that a message is from, as 16 hexadecimal digits.
    pub(crate) const HOST: &str = "Lastline-Host";
    /// The event that comes before this output: its sequence in the stream.
    pub(crate) const AFTER: &str = "Lastline-After";
    /// The event goes on in the host's next message.
    pub(crate) const MORE: &str = "Lastline-More";
    /// Ends of streams that are stored, as JSON, and no events.
    pub(crate) const ENDED: &str = "Lastline-Ended";
    /// The host has left; its last output's sequence in the stream.
    pub(crate) const LEFT: &str = "Lastline-Left";
    /// The number of a control, so that one which comes twice is known.
    pub(crate) const CONTROL: &str = "Lastline-Control";
}

/// A number in a header.
pub(crate) fn number_in(headers: Option<&HeaderMap>, name: &str) -> Option<u64> {
    headers?.get(name)?.as_str().parse().ok()
}

/// The host in a message's headers.
pub(crate) fn host_in(headers: Option<&HeaderMap>) -> Option<HostId> {
    parse_id(headers?.get(header::HOST)?.as_str())
}

/// Whether a connection stands, and how often it has been made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) up: bool,
    pub(crate) times: u64,
}

/// A connection that is made again whenever it breaks.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    pub(crate) client: Client,
    pub(crate) context: Context,
    pub(crate) link: watch::Receiver<Link>,
    complaints: Arc<Mutex<Complaints>>,
}

/// What the broker has complained of.
#[derive(Debug, Default)]
struct Complaints {
    count: u64,
    last: Option<String>,
}

impl Wire {
    pub(crate) async fn connect(options: &NatsOptions, names: &Names) -> Result<Self, NatsError> {
        let (link_in, link) = watch::channel(Link::default());
        let complaints = Arc::new(Mutex::new(Complaints::default()));
        let noted = Arc::clone(&complaints);
        let link_in = Arc::new(link_in);
        let settings = settings(options, names).await?.event_callback(move |event| {
            note(&link_in, &noted, &event);
            std::future::ready(())
        });
        let client = first_connection(options, settings).await?;
        let mut context = async_nats::jetstream::new(client.clone());
        context.set_timeout(options.answer_timeout);
        Ok(Self { client, context, link, complaints })
    }

    /// What the broker has complained of last, if that may be why something failed.
    pub(crate) fn words_for(&self, error: &dyn std::fmt::Display) -> String {
        let complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        match &complaints.last {
            Some(complaint) => format!("{error}; the broker says: {complaint}"),
            None => error.to_string(),
        }
    }

    /// How often the broker has complained: who is refused something hears that beside the answer, which
    /// never comes.
    pub(crate) fn complaints(&self) -> u64 {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    /// Waits until the connection stands. Cancel-safe. Returns how often it has been made; `None`
    /// when it will not be made again.
    pub(crate) async fn up(&self) -> Option<u64> {
        let mut link = self.link.clone();
        loop {
            let up = tokio::time::timeout(LOOK_EVERY, link.wait_for(|link| link.up));
            match up.await {
                Ok(link) => return Some(link.ok()?.times),
                // Many words of the broker's at once may crowd out that it is there.
                Err(_) if self.client.connection_state() == State::Connected => break,
                Err(_) => {}
            }
        }
        Some(self.link.borrow().times)
    }

    /// Waits until the connection was made again after the given time. Cancel-safe.
    pub(crate) async fn made_again(&self, times: u64) {
        let mut link = self.link.clone();
        if link.wait_for(|link| link.times > times).await.is_err() {
            std::future::pending().await
        }
    }
}

fn note(link: &watch::Sender<Link>, complaints: &Mutex<Complaints>, event: &Event) {
    match event {
        Event::Connected => link.send_modify(|link| {
            *link = Link { up: true, times: link.times + 1 };
        }),
        Event::Disconnected => {
            tracing::debug!("the connection to the broker is lost; it is tried again");
            link.send_modify(|link| link.up = false);
        }
        Event::Closed => link.send_modify(|link| link.up = false),
        Event::ServerError(error) => {
            tracing::debug!("the broker says: {error}");
            let mut complaints = complaints.lock().unwrap_or_else(PoisonError::into_inner);
            complaints.count += 1;
            complaints.last = Some(error.to_string());
        }
        other => tracing::debug!("the connection to the broker: {other}"),
    }
}

async fn settings(options: &NatsOptions, names: &Names) -> Result<ConnectOptions, NatsError> {
    let mut settings = ConnectOptions::new()
        .name(format!("lastline {}", options.job))
        .custom_inbox_prefix(names.inbox())
        .ping_interval(Duration::from_secs(5))
        .request_timeout(Some(options.answer_timeout))
        .reconnect_delay_callback(reconnect_after);
    settings = match &options.auth {
        Auth::None => settings,
        Auth::Token(token) => settings.token(token.clone()),
        Auth::UserAndPassword { user, password } => {
            settings.user_and_password(user.clone(), password.clone())
        }
        Auth::NkeySeedFile(path) => settings.nkey(read_seed(path)?),
        Auth::CredentialsFile(path) => {
            settings.credentials_file(path).await.map_err(|source| secret(path, source))?
        }
    };
    let tls = &options.tls;
    if let Some(ca) = &tls.ca {
        // Otherwise nobody says which file it is.
        std::fs::File::open(ca).map_err(|source| secret(ca, source))?;
    }
    if tls.required {
        settings = settings.require_tls(true);
    }
    if let Some(ca) = &tls.ca {
        settings = settings.add_root_certificates(ca.clone());
    }
    if let Some((certificate, key)) = &tls.certificate_and_key {
        settings = settings.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(settings)
}

/// The first try is at once, the others after longer and longer times.
fn reconnect_after(tries: usize) -> Duration {
    let doublings = match u32::try_from(tries).unwrap_or(u32::MAX) {
        0 | 1 => return Duration::ZERO,
        tries => (tries - 2).min(8),
    };
    (FIRST_RECONNECT_AFTER * (1 << doublings)).min(RECONNECT_AFTER)
}

fn secret(path: &Path, source: std::io::Error) -> NatsError {
    NatsError::Secret { path: path.display().to_string(), source }
}

/// The seed in the first line that has one; others may be comments.
fn read_seed(path: &Path) -> Result<String, NatsError> {
    let text = std::fs::read_to_string(path).map_err(|source| secret(path, source))?;
    let mut lines = text.lines().map(str::trim);
    let seed = lines.find(|line| line.starts_with('S')).map(str::to_owned);
    seed.ok_or_else(|| {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, "it has no nkey seed");
        secret(path, source)
    })
}

/// Tries until the broker is there, or time is up. Who is not let in does not try again.
async fn first_connection(
    options: &NatsOptions,
    settings: ConnectOptions,
) -> Result<Client, NatsError> {
    use ConnectErrorKind::{Authentication, AuthorizationViolation, Dns, Io, TimedOut};
    let (began, url) = (Instant::now(), without_user(&options.url));
    let failed = |why: String| NatsError::Connect { url: url.clone(), why };
    let servers = addresses(&options.url).map_err(|error| failed(error.to_string()))?;
    let mut told = false;
    loop {
        match settings.clone().connect(servers.clone()).await {
            Ok(client) => return Ok(client),
            Err(error)
                if matches!(error.kind(), Dns | Io | TimedOut)
                    && began.elapsed() < options.connect_timeout =>
            {
                if began.elapsed() >= TELL_AFTER && !told {
                    let seconds = options.connect_timeout.as_secs();
                    tracing::warn!(
                        "the broker at {url} is not there yet ({error}); trying for {seconds} s"
                    );
                    told = true;
                }
                tokio::time::sleep(RECONNECT_AFTER / 4).await;
            }
            Err(error) if matches!(error.kind(), Authentication | AuthorizationViolation) => {
                return Err(NatsError::NotLetIn { url, why: error.to_string() });
            }
            Err(error) => return Err(failed(error.to_string())),
        }
    }
}

fn addresses(url: &str) -> std::io::Result<Vec<ServerAddr>> {
    url.split(',').map(|address| address.trim().parse()).collect()
}

/// The URL without what is secret in it.
pub fn without_user(url: &str) -> String {
    let bare = |address: &str| match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        (_, None) => address.to_owned(),
    };
    url.split(',').map(bare).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_is_tried_at_once_and_then_ever_less_often() {
        let after = [0, 1, 2, 3, 4, 100].map(|tries| reconnect_after(tries).as_millis());
        assert_eq!(after, [0, 0, 50, 100, 200, 1000]);
    }

    #[test]
    fn a_password_in_a_url_is_not_told() {
        assert_eq!(without_user("nats://ann:pw@host:1"), "nats://host:1");
        assert_eq!(without_user("nats://host:1,ann:pw@other"), "nats://host:1,other");
    }
}

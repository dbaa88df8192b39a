//! How to reach a broker, and what it keeps of a job.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Who a client is for the broker.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Auth {
    /// Nobody; or what stands in the URL.
    #[default]
    None,
    /// A token.
    Token(String),
    /// A user with a password.
    UserAndPassword {
        /// The user's name.
        user: String,
        /// The password.
        password: String,
    },
    /// A file with the seed of an nkey (`SU…`) in its first line.
    NkeySeedFile(PathBuf),
    /// A credentials file, as `nsc` makes them: a JWT and the seed of its nkey.
    CredentialsFile(PathBuf),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Secrets stay out of logs.
        match self {
            Self::None => f.write_str("None"),
            Self::Token(_) => f.write_str("Token"),
            Self::UserAndPassword { user, .. } => write!(f, "UserAndPassword({user})"),
            Self::NkeySeedFile(path) => write!(f, "NkeySeedFile({})", path.display()),
            Self::CredentialsFile(path) => write!(f, "CredentialsFile({})", path.display()),
        }
    }
}

/// How the connection is encrypted.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Tls {
    /// Refuse a broker that does not encrypt. Default: no; a `tls://` URL says the same.
    pub required: bool,
    /// Certificates of authorities that are trusted, PEM. Default: those of the system alone.
    pub ca: Option<PathBuf>,
    /// The client's own certificate and its key, PEM, for a broker that asks for one. Default: none.
    pub certificate_and_key: Option<(PathBuf, PathBuf)>,
}

/// Where the broker keeps a job's stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// In files: it outlives a restart of the broker.
    #[default]
    File,
    /// In memory: faster, and gone with the broker's process.
    Memory,
}

/// How to reach a broker, and what it keeps of a job.
///
/// The options from `storage` on are those of the stream, and count for whoever makes it: the first
/// one who comes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NatsOptions {
    /// Where the broker is: `nats://HOST:PORT`, `tls://HOST:PORT`, or several with commas between.
    pub url: String,
    /// The id of the job; any text that is not empty.
    pub job: String,
    /// Who this client is. Default: nobody.
    pub auth: Auth,
    /// How the connection is encrypted. Default: as the broker wants it.
    pub tls: Tls,
    /// How long to try to reach the broker at first. Later it is tried for ever. Default: 10 s.
    pub connect_timeout: Duration,
    /// How long to wait for an answer of the broker's before asking again. Default: 5 s.
    pub answer_timeout: Duration,
    /// How long a broker that was reached and does not answer, as one whose disk is busy, is asked again
    /// what a client must know to take part. Default: 60 s.
    pub busy_timeout: Duration,
    /// Output that was taken and is not acknowledged by the broker, of all streams together, in
    /// bytes. One message above it passes alone. Default: 8 MiB.
    pub window_bytes: usize,
    /// Up to how many bytes what waits of a stream is joined into one message; never more than the
    /// broker takes. Default: 512 KiB.
    pub max_message_bytes: usize,
    /// Output that a driver has received and not looked at yet, in bytes. Default: 8 MiB.
    pub inbox_bytes: usize,
    /// How long a claimed rank's host may be silent until somebody else may have the rank.
    /// Default: 5 s.
    pub claim_patience: Duration,
    /// How long nothing may be heard of a host until its driver holds it for lost; `None` leaves that
    /// to others. Default: 60 s.
    pub lost_after: Option<Duration>,
    /// A rank that fails by itself stops all other hosts' ranks, driver or not. Default: no.
    pub stop_others_on_failure: bool,
    /// Gather what all ranks of a host write for so long, and store what is alike in it once; drivers get
    /// all of it. Barriers and ends are not waited for. Default: each rank's output is stored as it comes.
    pub fold_after: Option<Duration>,
    /// How long a host that ends tries to deliver what the broker has not acknowledged.
    /// Default: 10 s.
    pub linger: Duration,
    /// Make the job's stream when there is none. Otherwise somebody must have made it, with the
    /// subjects of [`Names::stored`](crate::Names::stored). Default: yes.
    pub create_stream: bool,
    /// Where the stream is kept. Default: in files.
    pub storage: Storage,
    /// How many servers of a cluster keep it: 1, 3 or 5. Default: 1.
    pub replicas: usize,
    /// How much of a job is kept, in bytes. When that is reached nothing new is taken: hosts keep
    /// what they have in their files and try again. Default: as much as the broker allows.
    pub max_bytes: Option<u64>,
    /// How long a job's messages are kept. Default: 7 days.
    pub max_age: Duration,
}

impl NatsOptions {
    /// The defaults, for one job at one broker.
    pub fn new(url: impl Into<String>, job: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            job: job.into(),
            auth: Auth::default(),
            tls: Tls::default(),
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(5),
            busy_timeout: Duration::from_secs(60),
            window_bytes: 8 << 20,
            max_message_bytes: 512 << 10,
            inbox_bytes: 8 << 20,
            claim_patience: Duration::from_secs(5),
            lost_after: Some(Duration::from_secs(60)),
            stop_others_on_failure: false,
            fold_after: None,
            linger: Duration::from_secs(10),
            create_stream: true,
            storage: Storage::default(),
            replicas: 1,
            max_bytes: None,
            max_age: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_that_are_documented() {
        let options = NatsOptions::new("nats://broker:4222", "job");
        assert_eq!((options.url.as_str(), options.job.as_str()), ("nats://broker:4222", "job"));
        assert!(matches!(options.auth, Auth::None));
        assert!(!options.tls.required && options.tls.ca.is_none());
        assert_eq!(options.connect_timeout.as_secs(), 10);
        assert_eq!((options.answer_timeout.as_secs(), options.busy_timeout.as_secs()), (5, 60));
        assert_eq!((options.window_bytes, options.inbox_bytes), (8 << 20, 8 << 20));
        assert_eq!(options.max_message_bytes, 512 << 10);
        assert_eq!(options.claim_patience.as_secs(), 5);
        assert_eq!(options.lost_after, Some(Duration::from_secs(60)));
        assert_eq!(options.linger.as_secs(), 10);
        assert!(options.create_stream && !options.stop_others_on_failure);
        assert_eq!(options.fold_after, None);
        assert_eq!((options.storage, options.replicas), (Storage::File, 1));
        assert_eq!(options.max_bytes, None);
        assert_eq!(options.max_age.as_secs(), 604_800);
    }

    #[test]
    fn secrets_are_not_printed() {
        let auth = Auth::UserAndPassword { user: "ann".into(), password: "secret".into() };
        assert_eq!(format!("{auth:?}"), "UserAndPassword(ann)");
        assert_eq!(format!("{:?}", Auth::Token("secret".into())), "Token");
    }
}

//! An OpenTelemetry endpoint for logs, by OTLP over HTTP with JSON
//! (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>).

mod body;
mod place;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::http::{HeaderMap, StatusCode, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Proxy};

pub use self::place::{BadPlace, Headers, Place};
use crate::destination::{Destination, ExportError, Refused};
use crate::record::Record;

/// The most that is read of an answer, in bytes.
const MAX_ANSWER_BYTES: u64 = 64 << 10;
/// How much of the words of an answer is repeated.
const MAX_WORDS: usize = 200;

/// Sends lines to an endpoint as log records.
///
/// A record has the time at which the line was read, its text as `body` (`bytesValue` where it is not UTF-8),
/// and the attributes `log.iostream` (`stdout`, `stderr` or `merged`), `lastline.rank`, `lastline.launch`,
/// `lastline.offset`, and `lastline.partial` where no newline ends it. The resource has `service.name`
/// (`lastline`), `host.name` and `lastline.job`. No severity is guessed.
///
/// An answer of 429, 502, 503 or 504, or none at all, is tried again, not before `Retry-After` where it has
/// that in seconds; a batch that is too large (413) goes in halves. Anything else is refused for good, as the
/// specification wants it.
#[derive(Debug)]
pub struct Otlp {
    agent: Agent,
    place: Place,
    headers: Headers,
    resource: Value,
}

impl Otlp {
    /// Sends lines of this job there, with these headers.
    pub fn new(job: &str, place: Place, headers: Headers) -> Self {
        let proxy = Proxy::try_from_env().filter(|_| !place.is_here());
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("lastline/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls(&place))
            .proxy(proxy)
            .build();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let resource = body::resource(job, &host);
        Self { agent: config.into(), place, headers, resource }
    }

    fn post(&self, batch: &[Record], until: Instant) -> Result<Refused, ExportError> {
        let within = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let body = body::request(&self.resource, batch).to_string();
        let mut request = self.agent.post(self.place.url());
        for (name, value) in self.headers.iter() {
            request = request.header(name, value);
        }
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let request = request.config().timeout_global(Some(within)).build();
        let sent = request.send(body);
        let mut answer = sent.map_err(|error| later(None, error.to_string()))?;
        let status = answer.status();
        let after = retry_after(answer.headers());
        let words = answer.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec();
        let words = words.unwrap_or_default();
        match status {
            _ if status.is_success() => Ok(refused(&words)),
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Err(later(after, said(status, &words))),
            StatusCode::PAYLOAD_TOO_LARGE => {
                Err(ExportError::TooLarge { why: said(status, &words) })
            }
            _ => {
                let (refused, why) = (batch.len(), said(status, &words));
                Err(ExportError::Never { taken: 0, refused, why })
            }
        }
    }
}

impl Destination for Otlp {
    fn export(&mut self, batch: &[Record], within: Duration) -> Result<Refused, ExportError> {
        self.post(batch, Instant::now() + within)
    }
}

/// Trusts whom the system trusts (`SSL_CERT_FILE` where that is set), and Mozilla's list where it has none.
fn tls(place: &Place) -> TlsConfig {
    if !place.is_encrypted() {
        return TlsConfig::default();
    }
    let found = rustls_native_certs::load_native_certs().certs.into_iter();
    let found: Vec<_> = found.map(|it| Certificate::from_der(it.as_ref()).to_owned()).collect();
    let roots = match found.is_empty() {
        true => RootCerts::WebPki,
        false => RootCerts::Specific(Arc::new(found)),
    };
    TlsConfig::builder().root_certs(roots).build()
}

fn later(after: Option<Duration>, why: String) -> ExportError {
    ExportError::Later { taken: 0, after, why }
}

/// In seconds; a date is not read, and then the pause is the exporter's own.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// What an answer that is a success says it refused, in `partialSuccess`.
fn refused(words: &[u8]) -> Refused {
    let answer: Value = serde_json::from_slice(words).unwrap_or_default();
    let partial = &answer["partialSuccess"];
    let lines = &partial["rejectedLogRecords"];
    // As JSON has numbers of 64 bits, and as some write them.
    let lines = lines.as_u64().or_else(|| lines.as_str()?.parse().ok()).unwrap_or_default();
    let why = partial["errorMessage"].as_str().filter(|why| !why.is_empty());
    Refused { lines, why: shortened(why.unwrap_or("it does not say why")) }
}

/// A status, and what it says of it.
fn said(status: StatusCode, words: &[u8]) -> String {
    let answer: Value = serde_json::from_slice(words).unwrap_or_default();
    let message = answer["message"].as_str().map(str::to_owned);
    let message = message.unwrap_or_else(|| String::from_utf8_lossy(words).into_owned());
    match message.trim() {
        "" => format!("HTTP status {status}"),
        message => format!("HTTP status {status}: {}", shortened(message)),
    }
}

fn shortened(words: &str) -> String {
    match words.char_indices().nth(MAX_WORDS) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_success_is_read_as_either_kind_of_number() {
        let of = |words: &str| refused(words.as_bytes());
        assert_eq!(of("").lines, 0);
        assert_eq!(of("{}").lines, 0);
        assert_eq!(of(r#"{"partialSuccess":{"errorMessage":"slow"}}"#).lines, 0);
        let both = [
            r#"{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"old"}}"#,
            r#"{"partialSuccess":{"rejectedLogRecords":3,"errorMessage":"old"}}"#,
        ];
        for words in both {
            assert_eq!(of(words), Refused { lines: 3, why: "old".into() });
        }
    }

    #[test]
    fn what_is_said_of_a_status_is_repeated_and_not_all_of_it() {
        let status = StatusCode::BAD_REQUEST;
        assert_eq!(said(status, b""), "HTTP status 400 Bad Request");
        assert_eq!(
            said(status, br#"{"code":3,"message":"no"}"#),
            "HTTP status 400 Bad Request: no"
        );
        let long = said(status, "é".repeat(1000).as_bytes());
        assert_eq!(long.chars().filter(|letter| *letter == 'é').count(), MAX_WORDS);
    }
}

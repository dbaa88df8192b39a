//! Where an endpoint is, and what is sent to it in headers.

use std::fmt;
use std::net::IpAddr;

use ureq::http::uri::{Scheme, Uri};

/// The path of logs, where an address has none.
const LOGS_PATH: &str = "/v1/logs";

/// The address of an endpoint. Shown without what may be a secret in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(Uri);

/// Why an address or a header is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadPlace {
    /// It is no address of HTTP.
    #[error("an endpoint is written as `http://127.0.0.1:4318` or `https://logs.example/v1/logs`")]
    Url,
    /// It has a user in it, or a password.
    #[error("credentials belong into headers, not into the address")]
    Credentials,
    /// A list of headers is no such list.
    #[error("headers are written as `name=value,name=value`, with what is special as %20")]
    Headers,
}

impl Place {
    /// Reads an address: `http` or `https`, a host, and a path; `/v1/logs` where it has none.
    ///
    /// # Errors
    ///
    /// When it is none, or there are credentials in it.
    pub fn parse(url: &str) -> Result<Self, BadPlace> {
        let uri: Uri = url.parse().map_err(|_| BadPlace::Url)?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let authority = uri.authority().filter(|it| is_http && !it.host().is_empty());
        let authority = authority.ok_or(BadPlace::Url)?;
        if authority.as_str().contains('@') {
            return Err(BadPlace::Credentials);
        }
        if !matches!(uri.path(), "" | "/") {
            return Ok(Self(uri));
        }
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut parts = uri.into_parts();
        let path = format!("{LOGS_PATH}{query}").parse().map_err(|_| BadPlace::Url)?;
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).map(Self).map_err(|_| BadPlace::Url)
    }

    pub(super) fn url(&self) -> &Uri {
        &self.0
    }

    /// Whether it is on this machine, where no proxy is asked.
    pub(super) fn is_here(&self) -> bool {
        let host = self.0.host().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.0.scheme() == Some(&Scheme::HTTPS)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.scheme_str().unwrap_or_default();
        let authority = self.0.authority().map_or("", |it| it.as_str());
        write!(f, "{scheme}://{authority}{}", self.0.path())
    }
}

/// Headers that are sent with every batch. Shown by their names alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Reads a list as `OTEL_EXPORTER_OTLP_HEADERS` has it: `name=value,name=value`, with values in which what
    /// is special is written as `%20`
    /// (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>).
    ///
    /// # Errors
    ///
    /// When it is no such list.
    pub fn parse(list: &str) -> Result<Self, BadPlace> {
        let pairs = list.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').ok_or(BadPlace::Headers)?;
            let name = name.trim().to_owned();
            let value = decoded(value.trim()).ok_or(BadPlace::Headers)?;
            let is_name = ureq::http::HeaderName::try_from(name.as_str()).is_ok();
            let is_value = ureq::http::HeaderValue::try_from(value.as_str()).is_ok();
            if is_name && is_value { Ok((name, value)) } else { Err(BadPlace::Headers) }
        };
        pairs.map(pair).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// A value with `%20` and the like.
fn decoded(value: &str) -> Option<String> {
    let mut parts = value.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_have_a_path() {
        let table = [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/logs"),
            ("https://logs.example/", "https://logs.example/v1/logs"),
            ("http://[::1]:4318/otlp/v1/logs", "http://[::1]:4318/otlp/v1/logs"),
            ("http://a?key=b", "http://a/v1/logs"),
        ];
        for (text, shown) in table {
            assert_eq!(Place::parse(text).unwrap().to_string(), shown, "{text}");
        }
        assert_eq!(Place::parse("http://a?key=b").unwrap().url(), "http://a/v1/logs?key=b");
        let is_here = |text| Place::parse(text).unwrap().is_here();
        assert!(
            ["http://localhost", "http://127.0.0.2:1", "https://[::1]"].into_iter().all(is_here)
        );
        assert!(!["http://localhost.example", "http://10.0.0.1"].into_iter().any(is_here));
        for text in ["", "a:4318", "127.0.0.1:4318", "ftp://a", "http://", "/v1/logs"] {
            assert_eq!(Place::parse(text), Err(BadPlace::Url), "{text}");
        }
        assert_eq!(Place::parse("http://me:pw@a"), Err(BadPlace::Credentials));
    }

    #[test]
    fn headers_are_read_and_not_shown() {
        let headers = Headers::parse(" api-key=a%20b%3D , x=1=2,").unwrap();
        let pairs: Vec<_> = headers.iter().collect();
        assert_eq!(pairs, [("api-key", "a b="), ("x", "1=2")]);
        assert_eq!(format!("{headers:?}"), r#"["api-key", "x"]"#);
        assert_eq!(Headers::parse(""), Ok(Headers::default()));
        for list in ["a", "a=%2", "a=%+1", "a b=c", "a=%0a", "=b"] {
            assert_eq!(Headers::parse(list), Err(BadPlace::Headers), "{list}");
        }
    }
}

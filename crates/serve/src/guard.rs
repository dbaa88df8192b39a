//! Who may see anything: whoever has the token, or the cookie that it is exchanged for, and comes to an
//! address of this server from no page but its own.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, ORIGIN, REFERRER_POLICY,
    SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::token::Token;

/// Nothing but what this server itself has, no frame around it, no form that leads elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// The page that takes the token out of the address. It leads on by itself: a redirection would be part
/// of the navigation that brought the viewer here, and where a link on another page did, the new cookie
/// would not be sent with it.
const EXCHANGED: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
                         <meta http-equiv=\"refresh\" content=\"0;url=/\"><title>Lastline</title>\
                         <p><a href=\"/\">Lastline</a>";
/// A header that only a page's own script can set, and not a form; asked of whatever changes something.
pub(crate) const ASKED: HeaderName = HeaderName::from_static("x-lastline");

/// What a request is held against.
#[derive(Debug)]
pub(crate) struct Guard {
    /// In the address that is printed.
    pub(crate) token: Token,
    /// In the cookie: the token may be seen in a terminal or a list of addresses, this may not.
    session: Token,
    cookie: String,
    /// Only this machine reaches the server.
    loopback: bool,
    /// What this machine calls itself.
    name: String,
}

impl Guard {
    /// A guard of a server that listens at this address.
    pub(crate) fn new(address: SocketAddr) -> std::io::Result<Self> {
        let name = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
        Ok(Self {
            token: Token::new()?,
            session: Token::new()?,
            // Cookies do not tell ports apart, and there may be another such server.
            cookie: format!("lastline-{}", address.port()),
            loopback: address.ip().is_loopback(),
            name,
        })
    }

    /// Whether a `Host` may be this server's. A page elsewhere can have its own name lead here, but
    /// neither an address nor `localhost`; another port may be that of a tunnel.
    fn is_own_host(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host().trim_matches(['[', ']']).to_ascii_lowercase();
        if host.contains('@') {
            return false;
        }
        match name.parse::<IpAddr>() {
            Ok(address) => !self.loopback || address.is_loopback(),
            Err(_) => name == "localhost" || !self.loopback && name == self.name,
        }
    }

    fn has_cookie(&self, headers: &HeaderMap) -> bool {
        let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|p| p.split_once('='));
        pairs.any(|(name, value)| name.trim() == self.cookie && self.session.is(value.trim()))
    }

    /// Why a request is not answered.
    fn refuses(&self, method: &Method, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
        let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        let host = text(HOST).unwrap_or_default();
        if headers.get_all(HOST).iter().count() != 1 || !self.is_own_host(host) {
            return Some((StatusCode::MISDIRECTED_REQUEST, "this server has no such name"));
        }
        let changes = method != Method::GET && method != Method::HEAD;
        let foreign = match text(ORIGIN) {
            Some(origin) => origin.strip_prefix("http://") != Some(host),
            None => changes,
        };
        let site = text(HeaderName::from_static("sec-fetch-site"));
        let mode = text(HeaderName::from_static("sec-fetch-mode"));
        // A link elsewhere may lead here; a script elsewhere may not ask.
        let from_elsewhere = site.is_some_and(|site| site != "same-origin" && site != "none");
        if foreign || from_elsewhere && mode != Some("navigate") {
            return Some((StatusCode::FORBIDDEN, "only this server's own page may ask"));
        }
        if changes && !headers.contains_key(ASKED) {
            return Some((StatusCode::FORBIDDEN, "only this server's own page may ask"));
        }
        None
    }

    fn exchange(&self) -> Response {
        let cookie =
            format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie, self.session.reveal());
        ([(SET_COOKIE, cookie), (CONTENT_TYPE, "text/html; charset=utf-8".into())], EXCHANGED)
            .into_response()
    }
}

/// The token in a request's address, when it has one.
fn token_of(request: &Request) -> Option<&str> {
    let query = request.uri().query()?;
    query.split('&').find_map(|pair| pair.strip_prefix("token="))
}

/// Lets a request through, or answers it with a refusal; puts on every answer what keeps its text text.
pub(crate) async fn guard(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let refusal = guard.refuses(request.method(), request.headers());
    let mut response = match (refusal, token_of(&request)) {
        (Some(refusal), _) => refusal.into_response(),
        (None, Some(said)) if guard.token.is(said) && request.uri().path() == "/" => {
            guard.exchange()
        }
        (None, None) if guard.has_cookie(request.headers()) => next.run(request).await,
        _ => unknown().into_response(),
    };
    let headers = response.headers_mut();
    let set = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in set {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn unknown() -> (StatusCode, Body) {
    let words = "Open the address that `lastline serve` has printed, with its token.\n";
    (StatusCode::UNAUTHORIZED, Body::from(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> Guard {
        Guard { name: "node7".into(), ..Guard::new(address.parse().unwrap()).unwrap() }
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn names_that_somebody_else_can_give_are_refused() {
        let here = at("127.0.0.1:80");
        for host in ["127.0.0.1:80", "localhost:80", "LOCALHOST", "[::1]:80", "127.0.0.1:9000"] {
            assert!(here.is_own_host(host), "{host}");
        }
        for host in [
            "",
            "evil.example:80",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evil.example@127.0.0.1",
            "10.0.0.1:80",
            "node7:80",
            "127.0.0.1:80/x",
        ] {
            assert!(!here.is_own_host(host), "{host}");
        }
        let open = at("0.0.0.0:80");
        for host in ["10.0.0.1:80", "node7:80", "NODE7", "localhost"] {
            assert!(open.is_own_host(host), "{host}");
        }
        assert!(!open.is_own_host("evil.example:80"));
    }

    #[test]
    fn only_the_page_itself_asks_and_only_its_script_changes_anything() {
        let guard = at("127.0.0.1:80");
        let refused = |method: &Method, pairs: &[(&str, &str)]| {
            let mut all = headers(&[("host", "127.0.0.1:80")]);
            all.extend(headers(pairs));
            guard.refuses(method, &all).map(|(status, _)| status.as_u16())
        };
        let own = ("origin", "http://127.0.0.1:80");
        let asked = ("x-lastline", "1");
        assert_eq!(refused(&Method::GET, &[]), None);
        assert_eq!(refused(&Method::GET, &[own]), None);
        assert_eq!(refused(&Method::POST, &[own, asked]), None);
        for origin in ["null", "http://evil.example", "http://127.0.0.1:81", "https://127.0.0.1:80"]
        {
            assert_eq!(refused(&Method::GET, &[("origin", origin)]), Some(403), "{origin}");
        }
        assert_eq!(refused(&Method::POST, &[asked]), Some(403));
        assert_eq!(refused(&Method::POST, &[own]), Some(403));
        let elsewhere = ("sec-fetch-site", "cross-site");
        assert_eq!(refused(&Method::GET, &[elsewhere, ("sec-fetch-mode", "no-cors")]), Some(403));
        assert_eq!(refused(&Method::GET, &[elsewhere, ("sec-fetch-mode", "navigate")]), None);
        let another = ("sec-fetch-site", "same-site");
        assert_eq!(refused(&Method::GET, &[another, ("sec-fetch-mode", "cors")]), Some(403));
        assert!(guard.refuses(&Method::GET, &HeaderMap::new()).is_some());
        let mut twice = headers(&[("host", "127.0.0.1:80")]);
        twice.append(HOST, HeaderValue::from_static("127.0.0.1:80"));
        assert!(guard.refuses(&Method::GET, &twice).is_some());
    }

    #[test]
    fn the_cookie_is_the_session_and_never_the_token() {
        let guard = at("127.0.0.1:80");
        let session = guard.session.reveal();
        let has = |value: &str| guard.has_cookie(&headers(&[("cookie", value)]));
        assert!(has(&format!("other=1; lastline-80={session}")));
        assert!(!has(&format!("lastline-81={session}")));
        assert!(!has(&format!("lastline-80={}", guard.token.reveal())));
        assert!(!has("lastline-80="));
    }
}

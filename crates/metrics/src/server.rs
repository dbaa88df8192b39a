//! The server, and the text that it has ready.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE as CONTENT_TYPE_HEADER;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;

use crate::listen::Scrapers;

/// What the text is called in HTTP.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// How old a text may be that is given to one who asks.
const FRESH: Duration = Duration::from_millis(250);
/// Making texts takes at most one part in so many of a core's time.
const SHARE: u32 = 20;

/// Answers scrapers.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Listens on an address; port 0 is any that is free. Nobody is answered before
    /// [`start`](Self::start).
    ///
    /// # Errors
    ///
    /// When the system does not let it: somebody else listens there, or the address is not this machine's.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers `GET /metrics` with what `text` gives, on a thread of its own, as long as the process lives;
    /// while that gives none, with status 503. `text` is called on that thread, at most every 250 ms, and
    /// more seldom where it takes more than a twentieth of that.
    ///
    /// # Errors
    ///
    /// When there is no thread to be had.
    pub fn start(
        self,
        text: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let ready = Arc::new(Ready { text: Box::new(text), made: Mutex::default() });
        let routes = Router::new().route("/metrics", get(metrics)).with_state(ready);
        let thread = std::thread::Builder::new().name("lastline-metrics".into());
        thread.spawn(move || {
            let served = runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(self.listener)?;
                axum::serve(Scrapers::new(listener), routes).await
            });
            if let Err(error) = served {
                tracing::warn!("no metrics any more: {error}");
            }
        })?;
        Ok(())
    }
}

async fn metrics(State(ready): State<Arc<Ready>>) -> Response {
    match ready.get(Instant::now) {
        Some(text) => ([(CONTENT_TYPE_HEADER, CONTENT_TYPE)], text).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the job has not started yet\n").into_response(),
    }
}

/// Makes the text, and has the last one.
struct Ready {
    text: Box<dyn Fn() -> Option<String> + Send + Sync>,
    made: Mutex<Option<Made>>,
}

struct Made {
    text: Bytes,
    until: Instant,
}

impl Ready {
    fn get(&self, now: impl Fn() -> Instant) -> Option<Bytes> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let began = now();
        if let Some(made) = made.as_ref().filter(|made| began < made.until) {
            return Some(made.text.clone());
        }
        let text = Bytes::from((self.text)()?);
        let ended = now();
        let until = ended + FRESH.max((ended - began) * SHARE);
        *made = Some(Made { text: text.clone(), until });
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_text_is_made_again_when_it_is_old_and_less_often_when_that_takes_long() {
        let start = Instant::now();
        let time = Arc::new(AtomicU64::new(0));
        let (clock, made) = (Arc::clone(&time), AtomicU64::new(0));
        let text = move || {
            clock.fetch_add(100, Ordering::Relaxed);
            Some(made.fetch_add(1, Ordering::Relaxed).to_string())
        };
        let ready = Ready { text: Box::new(text), made: Mutex::default() };
        let get = || {
            let now = || start + Duration::from_millis(time.load(Ordering::Relaxed));
            String::from_utf8(ready.get(now).unwrap().to_vec()).unwrap()
        };
        assert_eq!(get(), "0");
        // It took 100 ms, and so it is good for 2 s.
        time.fetch_add(1999, Ordering::Relaxed);
        assert_eq!(get(), "0");
        time.fetch_add(1, Ordering::Relaxed);
        assert_eq!(get(), "1");
    }

    #[test]
    fn two_do_not_listen_at_one_address() {
        let first = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = Server::bind(first.address()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}

//! A connection that breaks when the broker has what was sent, and before it can say so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Passes connections on to a server, and cuts each after so many bytes from the client: what was
/// passed on reaches the server, what the server says then does not come back.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    cuts: Arc<AtomicUsize>,
}

impl Proxy {
    /// Cuts until it has done so `cuts` times.
    pub(crate) async fn start(server: u16, after_bytes: usize, cuts: usize) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let made = Arc::new(AtomicUsize::new(0));
        let proxy = Self { port, cuts: Arc::clone(&made) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let made = Arc::clone(&made);
                tokio::spawn(async move {
                    let server = TcpStream::connect(("127.0.0.1", server)).await;
                    let server = server.expect("the server is there");
                    pass(client, server, after_bytes, cuts, &made).await;
                });
            }
        });
        proxy
    }

    /// How often it has cut.
    pub(crate) fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

async fn pass(
    client: TcpStream,
    server: TcpStream,
    after_bytes: usize,
    cuts: usize,
    made: &AtomicUsize,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let back = async {
        // Ends with the connection, whoever ends it.
        drop(tokio::io::copy(&mut from_server, &mut to_client).await);
    };
    let there = async {
        let (mut passed, mut buffer) = (0, vec![0; 64 << 10]);
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            if to_server.write_all(&buffer[..read]).await.is_err() {
                return;
            }
            passed += read;
            if passed >= after_bytes && made.fetch_add(1, Ordering::SeqCst) < cuts {
                return;
            }
        }
    };
    tokio::select! {
        () = back => {}
        () = there => {}
    }
}

/// Passes connections on, and cuts all of them when it is shut, until it is opened.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) port: u16,
    open: tokio::sync::watch::Sender<bool>,
}

impl Gate {
    pub(crate) async fn start(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let open = tokio::sync::watch::Sender::new(true);
        let mut is_open = open.subscribe();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                if !*is_open.borrow_and_update() {
                    continue;
                }
                let mut is_open = is_open.clone();
                tokio::spawn(async move {
                    let server = TcpStream::connect(("127.0.0.1", server)).await;
                    let mut server = server.expect("the server is there");
                    let passed = tokio::io::copy_bidirectional(&mut client, &mut server);
                    tokio::select! {
                        passed = passed => drop(passed),
                        shut = is_open.wait_for(|open| !open) => drop(shut),
                    }
                });
            }
        });
        Self { port, open }
    }

    pub(crate) fn shut(&self) {
        self.open.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }
}

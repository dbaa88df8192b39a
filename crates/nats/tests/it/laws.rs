//! The laws of a transport and an inbox, between which there is a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lastline_line::{ControlSender, Inbox, Listener, Received};
use lastline_nats::{From, HostClaim, NatsInbox, NatsTransport, Storage, connect};
use lastline_testing::laws;
use tokio::runtime::Handle;

use crate::server::{Server, is_there};

/// The far side of a transport through a broker is the broker: dropped, it takes the job's stream
/// away. What the inbox says is said by the inbox.
struct FarSide {
    inbox: Option<NatsInbox>,
    stream: String,
    admin: async_nats::jetstream::Context,
    runtime: Handle,
}

impl FarSide {
    fn inbox(&mut self) -> &mut NatsInbox {
        self.inbox.as_mut().expect("BUG: it is there until the end")
    }
}

impl Inbox for FarSide {
    fn next(&mut self, wait: Option<Duration>) -> Received {
        self.inbox().next(wait)
    }
    fn control_sender(&self) -> ControlSender {
        self.inbox.as_ref().expect("BUG: it is there until the end").control_sender()
    }
    fn listen(&mut self, listener: Listener) {
        self.inbox().listen(listener);
    }
}

impl Drop for FarSide {
    fn drop(&mut self) {
        self.inbox = None;
        let deleted = self.admin.delete_stream(&self.stream);
        self.runtime.block_on(deleted).expect("the stream was there");
    }
}

fn make(
    server: &Server,
    (storage, fold_after): (Storage, Option<Duration>),
    runtime: &Handle,
) -> (NatsTransport, FarSide) {
    static JOBS: AtomicU32 = AtomicU32::new(0);
    let job = format!("law-{}", JOBS.fetch_add(1, Ordering::Relaxed));
    let mut options = server.options(&job);
    (options.window_bytes, options.inbox_bytes) = (4 << 10, 4 << 10);
    (options.max_message_bytes, options.storage) = (2 << 10, storage);
    options.fold_after = fold_after;
    let url = options.url.clone();
    runtime.block_on(async {
        let broker = connect(options).await.expect("the server is there");
        let inbox = broker.driver(From::Start).await.expect("an inbox");
        let transport = broker.host(HostClaim::new(0..3, 3, "here")).await.expect("nobody else");
        let admin = async_nats::connect(url).await.expect("the server is there");
        let far = FarSide {
            inbox: Some(inbox),
            stream: format!("LASTLINE_{job}"),
            admin: async_nats::jetstream::new(admin),
            runtime: runtime.clone(),
        };
        (transport, far)
    })
}

fn the_laws_hold_with(storage: Storage, fold_after: Option<Duration>) {
    if !is_there() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let server = Arc::new(Server::start());
    laws::transport::all(|| make(&server, (storage, fold_after), runtime.handle()));
}

#[test]
fn the_laws_hold_with_files() {
    the_laws_hold_with(Storage::File, None);
}

#[test]
fn the_laws_hold_with_memory() {
    the_laws_hold_with(Storage::Memory, None);
}

#[test]
fn the_laws_hold_where_output_is_folded() {
    the_laws_hold_with(Storage::Memory, Some(Duration::from_millis(20)));
}

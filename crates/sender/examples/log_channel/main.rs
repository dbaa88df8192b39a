//! The forwarder lives in a child: the parent's tee and sender feed it over the socket that
//! `LASTLINE_LOG_CHANNEL` names, and it relays to the driver.
//!
//! ```text
//! parent: tee ─► sender ──LASTLINE_LOG_CHANNEL──► child: relay ──► driver: client ─► console
//!                   └──────────────── detour, when the child is gone ───────┘
//! ```
//!
//! `cargo run --example log_channel` shows normal operation, `cargo run --example log_channel kill`
//! the child killed with SIGKILL: the sender says at debug level that it sends no more, teardown
//! goes on, and the ledger shows the range that had no route.
#![expect(clippy::print_stdout, reason = "an example shows what happened")]

mod topology;

use std::io;
use std::process::Command;

use lastline_client::{Labels, Template, TextOptions, TextPrinter};

fn main() -> io::Result<()> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(io::stderr).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let role = std::env::args().nth(1);
    if role.as_deref() == Some("child") {
        return runtime.block_on(topology::serve_channel());
    }
    let mut child = Command::new(std::env::current_exe()?);
    child.arg("child");
    let mut options = TextOptions::default();
    options.prefix = Template::rank();
    let (out, err) = (Box::new(io::stdout()), Box::new(io::stderr()));
    let printer = TextPrinter::new(out, err, Labels::default(), options);
    let kill = role.as_deref() == Some("kill");
    let ledger = runtime.block_on(topology::run(child, kill, Box::new(printer)))?;
    println!("barrier while the child lived: {}", ledger.before.summary());
    println!("barrier at the end:            {}", ledger.after.summary());
    println!("read {} bytes, shown {}", ledger.read_bytes, ledger.account.shown_bytes);
    for gap in ledger.account.lost.as_slice() {
        println!("lost {}: {}", gap.span, gap.cause);
    }
    for gap in ledger.sent.no_route.as_slice() {
        println!("not acknowledged {}: {}", gap.span, gap.cause);
    }
    Ok(())
}

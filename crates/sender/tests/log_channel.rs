//! The forwarder in a child, with real processes: normal operation, and the child killed.

#[path = "../examples/log_channel/topology.rs"]
mod topology;

use std::process::Command;

use lastline_client::Verdict;
use lastline_line::{Offset, Span};
use lastline_testing::{PrintRecorder, Screen};

/// The child's role: this test program, started again.
#[test]
fn as_a_child_it_serves_the_channel() {
    if std::env::var_os("LASTLINE_LOG_CHANNEL").is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(topology::serve_channel()).unwrap();
    }
}

fn child() -> Command {
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    child.args(["--exact", "as_a_child_it_serves_the_channel"]);
    child
}

#[tokio::test]
async fn a_child_relays_everything_and_its_answers() {
    let printer = PrintRecorder::new();
    let ledger = topology::run(child(), false, Box::new(printer.clone())).await.unwrap();
    assert!(ledger.before.all_reached() && ledger.after.all_reached());
    assert_eq!(printer.lines(), ["0:printed while the child lived", "0:printed after that"]);
    assert_eq!(ledger.sent.stored.get(), Offset(ledger.read_bytes));
    assert!(ledger.sent.no_route.is_empty() && ledger.account.lost.is_empty());
}

#[tokio::test]
async fn a_child_that_is_killed_leaves_a_range_without_a_route() {
    let (printer, words) = (PrintRecorder::new(), Screen::new());
    let writer = words.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _told = tracing::subscriber::set_default(subscriber);
    let ledger = topology::run(child(), true, Box::new(printer.clone())).await.unwrap();
    let lost = Span::new(Offset(30), Offset(ledger.read_bytes));
    assert!(ledger.before.all_reached());
    let after = &ledger.after.streams[0].1;
    assert!(matches!(after, Verdict::Lost { span, .. } if *span == lost), "{after:?}");
    assert_eq!(printer.lines(), ["0:printed while the child lived"]);
    let no_route = "no route: the far side of the transport is gone";
    let gaps = ledger.account.lost.as_slice();
    assert_eq!((gaps.len(), gaps[0].span, &*gaps[0].cause), (1, lost, no_route));
    // The child may have died before it handed back that the first line had arrived.
    let gaps = ledger.sent.no_route.as_slice();
    let unacknowledged = Span::new(ledger.sent.stored.get(), lost.to);
    assert_eq!((gaps.len(), gaps[0].span, &*gaps[0].cause), (1, unacknowledged, no_route));
    assert!(unacknowledged.from == lost.from || unacknowledged.from == Offset::ZERO);
    assert_eq!(ledger.account.shown_bytes + ledger.account.lost.bytes(), ledger.read_bytes);
    let log = words.text();
    let said = |line: &str| line.contains("DEBUG") && line.contains("nothing more is sent");
    assert_eq!(log.lines().filter(|line| said(line)).count(), 1, "{log}");
}

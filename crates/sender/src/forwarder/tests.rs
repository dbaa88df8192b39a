use std::time::Duration;

use lastline_line::Timestamp;
use lastline_testing::{Files, chunk, stdout};

use super::*;
use crate::channel;

/// A file answers when nobody wants to know any more: after the end, or after the route's.
#[test]
fn what_is_read_back_too_late_changes_nothing() {
    for route_ends_first in [false, true] {
        let (transport, _inbox) = channel(1);
        let mut forwarder = Forwarder::new(Box::new(transport), None, Options::default());
        for at in 0..4 {
            let message = Message::Data(chunk(stdout(0), at * 10, b"123456789\n"));
            assert_eq!(forwarder.accept(&message, Moment::ZERO).0, Accept::Taken);
        }
        forwarder.backlog.release(stdout(0), |span| span.to <= Offset(40));
        let Step::ReadBack(stream, span) = forwarder.step(true) else {
            panic!("the rest is in the file");
        };
        if route_ends_first {
            forwarder.lose_route();
        } else {
            forwarder.settle("late");
        }
        forwarder.read_back(stream, span.from, Some(Ok(b"123456789\n".to_vec())));
        assert_eq!(forwarder.step(true), Step::Idle);
        assert_eq!(forwarder.backlog.held_bytes(), 0);
    }
}

/// Whatever the time of day that was read with a chunk: how long it waits is another clock's.
#[test]
fn a_chunk_from_a_later_day_is_spilled_as_soon_as_any_other() {
    let files = Files::new();
    let (transport, _inbox) = channel(1);
    let options = Options {
        held_bytes: 0,
        spill_after: Duration::from_millis(50),
        read_back: Some(Arc::new(files.clone())),
        ..Options::default()
    };
    let mut forwarder = Forwarder::new(Box::new(transport), None, options);
    for at in 0..4 {
        let mut chunk = chunk(stdout(0), at * 10, b"123456789\n");
        chunk.time = Timestamp(chunk.time.0 + 3_600_000_000 * (4 - at));
        let message = Message::Data(chunk);
        files.file(&message);
        let taken = forwarder.accept(&message, Duration::from_millis(at));
        assert_eq!(taken.0, Accept::Taken);
    }
    forwarder.step(true);
    forwarder.spill(Duration::from_millis(10));
    assert!(forwarder.is_over(), "not while the client is behind for a moment");
    forwarder.spill(Duration::from_millis(60));
    assert!(!forwarder.is_over());
}

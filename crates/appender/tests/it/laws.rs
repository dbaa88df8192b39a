//! The laws of storages and of the sink.

use std::sync::Arc;

use lastline_appender::{Appender, DirStorage, Options};
use lastline_line::Stream;
use lastline_testing::laws;
use lastline_testing::laws::sink::Subject;
use lastline_testing::storage::MemoryStorage;

use crate::support::{DEADLINE, close};

#[test]
fn a_storage_in_memory_keeps_the_laws() {
    laws::storage::all(MemoryStorage::new);
}

#[test]
fn a_directory_keeps_the_laws() {
    let root = tempfile::tempdir().unwrap();
    let mut count = 0;
    laws::storage::all(|| {
        count += 1;
        DirStorage::new(root.path().join(count.to_string())).unwrap()
    });
}

fn subject(queue_bytes: usize) -> Subject {
    let storage = MemoryStorage::new();
    storage.hang();
    let mut options = Options::default();
    options.queue_bytes = queue_bytes;
    options.min_free_bytes = Some(0);
    let appender = Arc::new(Appender::start(Arc::new(storage.clone()), options).unwrap());
    let (released, received) = (storage.clone(), storage);
    let (closed, cut) = (Arc::clone(&appender), Arc::clone(&appender));
    Subject {
        sink: Box::new(appender.sink(lastline_testing::stdout(0))),
        release: Box::new(move || released.release()),
        received: Box::new(move |stream| {
            assert_eq!(stream.stream, Stream::Stdout);
            close(&closed);
            received.bytes(&format!("rank-{}.stdout.log", stream.rank)).unwrap_or_default()
        }),
        cut: Box::new(move || {
            drop(cut.close(DEADLINE / 100));
        }),
    }
}

#[test]
fn the_sink_keeps_the_laws_whatever_its_queue() {
    for queue_bytes in [1, 20_000, 100_000, 64 << 20] {
        laws::sink::all(|| subject(queue_bytes));
    }
}

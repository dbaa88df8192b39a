//! Files the output of two ranks on a disk that is full for a while, and reads it back in the
//! order in which it came.
//!
//! `cargo run -p lastline-appender --example two_ranks`

use std::io::{Write, stdout};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lastline_appender::{Appender, Archive, Options};
use lastline_line::{Accept, Chunk, Message, Offset, ReadBack, ReadOutcome, Sink, Timestamp};
use lastline_testing::storage::{MemoryStorage, NO_SPACE};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let storage = MemoryStorage::new();
    let notes = |note| drop(writeln!(stdout(), "note: {note}"));
    let mut options = Options::default().on_note(notes);
    options.min_free_bytes = Some(0);
    options.retry_after = Duration::ZERO;
    let appender = Appender::start(Arc::new(storage.clone()), options)?;
    let filed = appender.read_back();
    let mut sinks = [0, 1].map(|rank| (lastline_testing::stdout(rank), Offset(0)));
    for step in 1..=6 {
        storage.fail((3..=4).contains(&step).then_some(NO_SPACE));
        for (stream, at) in &mut sinks {
            let line = Bytes::from(format!("step {step} of {stream}\n"));
            let chunk = Chunk::new(*stream, *at, Timestamp(step * 5000 + at.0), line);
            *at = chunk.end();
            assert_eq!(appender.sink(*stream).accept(&Message::Data(chunk)), Accept::Taken);
            while filed.filed(*stream) < *at {
                std::thread::yield_now();
            }
        }
    }
    let written = appender.close(Duration::from_secs(10));

    let archive = Archive::new(Arc::new(storage))?;
    for extent in archive.extents() {
        let mut bytes = vec![0; usize::try_from(extent.span.len())?];
        if let ReadOutcome::Read(read) =
            archive.read_back(extent.stream, extent.span.from, &mut bytes)?
        {
            stdout().write_all(&bytes[..read])?;
        }
    }
    for (stream, written) in written.streams {
        for gap in written.not_filed.as_slice() {
            writeln!(stdout(), "{stream}: bytes {} are not filed: {}", gap.span, gap.cause)?;
        }
    }
    Ok(())
}

//! What the fuzz targets do with their input. Each function panics when a promise is broken.
//!
//! With libFuzzer: `cargo +nightly fuzz run wire`, or `RUSTC_BOOTSTRAP=1 cargo fuzz run -s none
//! wire` with a stable toolchain. The tests of this crate run the same functions on some thousand
//! made inputs: `cargo test --no-default-features`.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use lastline_appender::{Archive, INDEX_NAME, Storage};
use lastline_fold::{
    EditDistance, EditDistanceOptions, Ranks, RanksOptions, Similar, SimilarOptions,
};
use lastline_line::wire::{
    Frame, MAX_FOLDED_BYTES, decode, encode_control, encode_credit, encode_folded, encode_message,
    window_bytes,
};
use lastline_line::{
    Chunk, Entry, Fold, Launch, Line, Message, Offset, RankSet, Stream, StreamId, Timestamp,
};
use lastline_sender::{Transport, channel};
use lastline_testing::{PrintRecorder, storage::MemoryStorage};

/// Frames from anybody: an error or a message, and a message is the same after a round.
pub fn wire(input: &[u8]) {
    let mut input = BytesMut::from(input);
    while let Ok(Some(frame)) = decode(&mut input) {
        let mut again = BytesMut::new();
        match &frame {
            Frame::Message(message) => encode_message(message, &mut again),
            Frame::Control(control) => encode_control(control, &mut again),
            Frame::Credit { bytes } => encode_credit(*bytes, &mut again),
            // A short frame may have much to say.
            Frame::Folded(chunks) => {
                let taken = chunks.iter().map(|chunk| window_bytes(&Message::Data(chunk.clone())));
                if taken.sum::<usize>() > MAX_FOLDED_BYTES {
                    continue;
                }
                encode_folded(chunks, &mut again);
            }
            other => panic!("no way back for {other:?}"),
        }
        assert_eq!(decode(&mut again), Ok(Some(frame)));
        assert!(again.is_empty());
    }
}

fn id(rank: u32) -> StreamId {
    StreamId::new(Launch(1), rank, Stream::Stdout)
}

/// A stream in chunks of any size, with marks between them: every byte is shown or drawn over.
pub fn lines(input: &[u8]) {
    let Some((&cut, bytes)) = input.split_first() else {
        return;
    };
    let (mut way, inbox) = channel(64 << 20);
    let mut options = lastline_client::Options::default();
    options.raw_partials = cut & 1 == 1;
    options.held_line_bytes = 1 + usize::from(cut);
    let printer = Box::new(PrintRecorder::new());
    let client =
        lastline_client::Client::start(inbox, Box::new(lastline_line::Off), printer, options);
    let client = client.expect("a thread");
    let mut at = 0;
    for piece in bytes.chunks(1 + usize::from(cut >> 1)) {
        let mut chunk = Chunk::new(id(0), Offset(at), Timestamp(at), Bytes::copy_from_slice(piece));
        chunk.unterminated = piece.last() != Some(&b'\n');
        at += piece.len() as u64;
        assert!(way.try_send(Message::Data(chunk)).is_ok());
        if piece[0] & 7 == 0 {
            let version = lastline_line::Version(at);
            let mark = Message::Flush { stream: id(0), version, mark: Offset(at) };
            assert!(way.try_send(mark).is_ok());
        }
    }
    assert!(way.try_send(Message::End { stream: id(0), at: Offset(at) }).is_ok());
    drop(way);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let finished = client.finished(std::time::Duration::from_secs(60));
    assert!(runtime.expect("a runtime").block_on(finished), "the client does not end");
    let accounts = client.accounts();
    let (_, account) = &accounts[0];
    assert_eq!(account.shown_bytes + account.withheld.total(), at);
    assert!(account.lost.is_empty());
    // A thread that is not quite gone looks like a leak.
    client.join().expect("BUG: nothing is printed that could fail");
}

/// Any lines of a few ranks: each is given out alone or counted, stream by stream.
pub fn fold(input: &[u8]) {
    conserves(&mut Similar::new(SimilarOptions::default()), input);
    conserves(&mut Ranks::new(RankSet::first(4), RanksOptions::default()), input);
    conserves(&mut EditDistance::new(EditDistanceOptions::default()), input);
}

type Count = BTreeMap<StreamId, (u64, u64)>;

fn count(counts: &mut Count, stream: StreamId, lines: u64, bytes: u64) {
    let count = counts.entry(stream).or_default();
    *count = (count.0 + lines, count.1 + bytes);
}

fn take(given: &mut Count, entry: Entry<'_>) {
    match entry {
        Entry::Line(line) => count(given, line.stream, 1, line.bytes),
        Entry::Folded(folded) => {
            for member in folded.members {
                count(given, member.stream, member.lines, member.bytes);
            }
        }
    }
}

fn conserves(fold: &mut dyn Fold, input: &[u8]) {
    let (mut told, mut given, mut at) = (Count::new(), Count::new(), 0);
    for text in input.split(|byte| *byte == b'\n') {
        let first = text.first().copied().unwrap_or_default();
        let stream = id(u32::from(first & 3));
        let bytes = text.len() as u64 + 1;
        let time = Timestamp(at * 10_000);
        let (start, partial) = (Offset(at), first == 0xff);
        let line = Line {
            stream,
            start,
            bytes,
            time,
            text,
            continuation: first == 0xfe,
            partial,
            redrawn: first == 0xfb,
        };
        count(&mut told, stream, 1, bytes);
        fold.push(&line, time, &mut |entry| take(&mut given, entry));
        if first & 0x10 != 0 {
            fold.due(time, &mut |entry| take(&mut given, entry));
        }
        at += bytes;
    }
    fold.finish(&mut |entry| take(&mut given, entry));
    assert_eq!(told, given);
}

/// A report from anybody, and an index from anybody beside files: an error or an answer.
pub fn report(input: &[u8]) {
    if let Ok(report) = serde_json::from_slice::<lastline_jobs::Report>(input) {
        let _totals = report.totals();
        let _signal = report.told_to_stop();
    }
    let storage = MemoryStorage::new();
    let file = storage.create(INDEX_NAME).expect("memory");
    let mut rest = input;
    while !rest.is_empty() {
        rest = &rest[file.append(rest).expect("memory")..];
    }
    let Ok(archive) = Archive::new(Arc::new(storage)) else {
        return;
    };
    for stream in archive.streams() {
        let (_filed, _gaps) = (archive.filed_bytes(stream), archive.gaps(stream));
    }
    let _extents = archive.extents();
}

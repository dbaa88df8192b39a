//! Reading a job without the appender that wrote it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lastline_appender::{Append, AppenderError, Archive, DirStorage, IndexState, Options, Storage};
use lastline_line::{Launch, Offset, ReadBack, ReadOutcome, StreamId};
use lastline_testing::stdout;
use lastline_testing::storage::MemoryStorage;

use crate::support::{Feed, appender, close, eager, read_whole, until};

const LINE: usize = 10;

/// Two ranks that write a line each in turn, each 10,000 µs after the other.
fn job(dir: &Path, options: Options) -> [Vec<u8>; 2] {
    let appender = appender(DirStorage::new(dir).unwrap(), options);
    let mut feeds = [0, 1].map(|rank| (appender.sink(stdout(rank)), Vec::new()));
    for step in 0..40_u64 {
        let rank = (step % 2) as usize;
        let (sink, all) = &mut feeds[rank];
        let line = format!("{step:>9}\n");
        let mut chunk =
            lastline_testing::chunk(stdout(rank as u32), all.len() as u64, line.as_bytes());
        chunk.time = lastline_line::Timestamp(1 + step * 10_000);
        lastline_testing::laws::sink::offer(sink, &lastline_line::Message::Data(chunk));
        all.extend_from_slice(line.as_bytes());
    }
    close(&appender);
    feeds.map(|(_, all)| all)
}

fn rotating() -> Options {
    let mut options = eager();
    options.rotate_bytes = Some(3 * LINE as u64);
    options
}

#[test]
fn extents_come_in_the_order_of_arrival() {
    for options in [eager(), rotating()] {
        let dir = tempfile::tempdir().unwrap();
        let expected = job(dir.path(), options);
        let archive = Archive::open(dir.path()).unwrap();
        assert_eq!(archive.index_state(), IndexState::Whole);
        assert_eq!(archive.streams(), [stdout(0), stdout(1)]);
        let extents = archive.extents();
        assert_eq!(extents.len(), 40);
        for (step, extent) in extents.iter().enumerate() {
            assert_eq!(extent.stream, stdout((step % 2) as u32));
            assert_eq!(extent.time.unwrap().0, 1 + step as u64 * 10_000);
            let mut line = [0; LINE];
            let read = archive.read_back(extent.stream, extent.span.from, &mut line).unwrap();
            assert_eq!(read, ReadOutcome::Read(LINE));
            assert_eq!(line, format!("{step:>9}\n").as_bytes());
        }
        for (rank, expected) in (0..).zip(&expected) {
            assert_eq!(read_whole(&archive, stdout(rank)), *expected);
            assert_eq!(archive.filed(stdout(rank)), Offset(expected.len() as u64));
            assert!(archive.gaps(stdout(rank)).is_empty());
        }
        let from = BTreeMap::from([(stdout(0), Offset(195)), (stdout(1), Offset(200))]);
        let rest = archive.extents_after(&from);
        assert_eq!(rest.len(), 1);
        assert_eq!((rest[0].span.from, rest[0].span.len()), (Offset(195), 5));
    }
}

#[test]
fn without_an_index_a_stream_is_the_bytes_of_its_files() {
    for options in [eager(), rotating()] {
        let dir = tempfile::tempdir().unwrap();
        let expected = job(dir.path(), options);
        fs::remove_file(dir.path().join("index")).unwrap();
        let archive = Archive::open(dir.path()).unwrap();
        assert_eq!(archive.index_state(), IndexState::Missing);
        for (rank, expected) in (0..).zip(&expected) {
            let stream = StreamId { launch: Launch(0), ..stdout(rank) };
            assert_eq!(read_whole(&archive, stream), *expected);
            let extents = archive.extents();
            assert!(extents.iter().all(|extent| extent.time.is_none()));
        }
    }
}

/// Whatever is left of the index: every byte is read, those with a record with their time.
#[test]
fn a_torn_index_tells_what_it_can() {
    for options in [eager(), rotating()] {
        let dir = tempfile::tempdir().unwrap();
        let expected = job(dir.path(), options);
        let path = dir.path().join("index");
        let index = fs::read(&path).unwrap();
        for left in (0..index.len()).rev().step_by(7) {
            fs::write(&path, &index[..left]).unwrap();
            let archive = Archive::open(dir.path()).unwrap();
            let torn = left < 16 || (left - 16) % 40 != 0;
            assert_eq!(archive.index_state() == IndexState::Torn, torn, "{left}");
            let mut streams = archive.streams();
            streams.sort_by_key(|stream| stream.rank);
            assert_eq!(streams.len(), 2, "{left}");
            for (stream, expected) in streams.iter().zip(&expected) {
                assert_eq!(read_whole(&archive, *stream), *expected, "{left}");
            }
        }
        // A block of zeros, as a crash of the machine leaves it.
        let mut zeroed = index.clone();
        let half = index.len() / 2;
        zeroed[half..].fill(0);
        fs::write(&path, &zeroed).unwrap();
        let archive = Archive::open(dir.path()).unwrap();
        assert_eq!(archive.index_state(), IndexState::Torn);
        let mut streams = archive.streams();
        streams.sort_by_key(|stream| stream.rank);
        assert_eq!(read_whole(&archive, streams[1]), expected[1]);
    }
}

#[test]
fn what_is_no_index_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let expected = job(dir.path(), eager());
    let path = dir.path().join("index");
    let mut index = fs::read(&path).unwrap();
    index[15] += 1;
    fs::write(&path, &index).unwrap();
    let archive = Archive::open(dir.path()).unwrap();
    assert_eq!(archive.index_state(), IndexState::Foreign);
    assert_eq!(read_whole(&archive, archive.streams()[0]), expected[0]);
}

/// How what was written since is taken in.
type Refresh = fn(&Archive) -> Result<(), AppenderError>;

#[test]
fn a_job_is_followed_while_it_runs_and_rotates() {
    let ways: [Refresh; 2] = [Archive::refresh, Archive::refresh_recorded];
    for refresh in ways {
        follow(refresh);
    }
}

fn follow(refresh: Refresh) {
    let storage = MemoryStorage::new();
    let appender = appender(storage.clone(), rotating());
    let archive = Archive::new(Arc::new(storage)).unwrap();
    let mut feed = Feed::new(&appender, stdout(0));
    let (mut shown, mut expected) = (Vec::new(), Vec::new());
    let mut buffer = [0; 7];
    for step in 0..100 {
        let line = format!("{step:>9}\n");
        feed.push(line.as_bytes());
        expected.extend_from_slice(line.as_bytes());
        until("the line is seen", || {
            refresh(&archive).unwrap();
            for stream in archive.streams() {
                while let ReadOutcome::Read(bytes) =
                    archive.read_back(stream, Offset(shown.len() as u64), &mut buffer).unwrap()
                {
                    shown.extend_from_slice(&buffer[..bytes]);
                }
            }
            shown.len() == expected.len()
        });
        assert_eq!(shown, expected);
    }
    close(&appender);
}

/// A directory, and how often a file of it was opened.
struct Opens(DirStorage, Arc<AtomicUsize>);

impl Storage for Opens {
    fn create(&self, name: &str) -> io::Result<Arc<dyn Append>> {
        self.0.create(name)
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn Append>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.open(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn names(&self) -> io::Result<Vec<String>> {
        self.0.names()
    }
}

#[test]
fn to_take_in_what_the_index_says_opens_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let appender = appender(DirStorage::new(dir.path()).unwrap(), eager());
    let mut feeds: Vec<Feed> = (0..200).map(|rank| Feed::new(&appender, stdout(rank))).collect();
    feeds.iter_mut().for_each(|feed| feed.push(b"one\n"));
    let opened = Arc::new(AtomicUsize::new(0));
    let storage = Opens(DirStorage::existing(dir.path()).unwrap(), Arc::clone(&opened));
    let archive = Archive::new(Arc::new(storage)).unwrap();
    let is_filed = |bytes| (0..200).all(|rank| archive.filed_bytes(stdout(rank)) == bytes);
    until("all is in the index", || {
        archive.refresh_recorded().unwrap();
        is_filed(4)
    });
    let before = opened.load(Ordering::Relaxed);
    feeds.iter_mut().for_each(|feed| feed.push(b"two\n"));
    until("all is in the index again", || {
        archive.refresh_recorded().unwrap();
        is_filed(8)
    });
    assert_eq!(opened.load(Ordering::Relaxed), before);
    close(&appender);
}

#[test]
fn a_removed_file_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    job(dir.path(), rotating());
    let archive = Archive::open(dir.path()).unwrap();
    fs::remove_file(dir.path().join("rank-0.stdout.0002.log")).unwrap();
    let mut buffer = [0; 100];
    let gone = archive.read_back(stdout(0), Offset(35), &mut buffer).unwrap();
    assert_eq!(gone, ReadOutcome::Gone { to: Offset(60), cause: "the file was removed".into() });
    assert_eq!(
        archive.read_back(stdout(0), Offset(60), &mut buffer).unwrap(),
        ReadOutcome::Read(30)
    );
}

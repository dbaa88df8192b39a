//! Hung disks, removed and cut files, files that cannot be rotated, a full file system.

use std::fs;
use std::time::{Duration, Instant};

use lastline_appender::{Appender, Archive, DirStorage, Note, Reason, Storage};
use lastline_line::{Accept, Launch, Message, Offset, Sink, Stream, StreamId};
use lastline_testing::stdout;
use lastline_testing::storage::{MemoryStorage, NO_SPACE};

use crate::support::{DEADLINE, Feed, Notes, appender, close, eager, read_all, read_whole, until};

#[test]
fn a_writer_that_hangs_is_abandoned_at_the_deadline_and_that_is_declared() {
    let storage = MemoryStorage::new();
    let notes = Notes::default();
    let appender = appender(storage.clone(), notes.of(eager()));
    let reader = appender.read_back();
    let mut feed = Feed::new(&appender, stdout(0));
    feed.push(b"filed\n");
    until("the first line is filed", || reader.filed(stdout(0)) == Offset(6));
    storage.hang();
    feed.push(b"hangs\n");
    storage.wait_until_hanging(1);
    feed.push(b"waits behind it\n");
    let begin = Instant::now();
    let written = appender.close(Duration::from_millis(50));
    assert!(begin.elapsed() < DEADLINE);
    assert_eq!(written.abandoned_threads, 1);
    let stream = &written.streams[&stdout(0)];
    assert_eq!(stream.filed_bytes, 6);
    assert_eq!(stream.not_filed.as_slice().len(), 1);
    assert_eq!(stream.not_filed.bytes(), 22);
    assert_eq!(stream.not_filed.as_slice()[0].cause, Reason::Abandoned.words());
    assert!(notes.all().contains(&Note::Abandoned { threads: 1 }));
    // Who comes late is not held up, and what was declared stays so whatever the disk does.
    feed.push(b"late\n");
    storage.release();
    assert_eq!(appender.written().streams[&stdout(0)].not_filed.bytes(), 27);
    assert_eq!(reader.filed(stdout(0)), Offset(33));
    assert_eq!(read_all(&*reader, stdout(0), 64).iter().flatten().count(), 6);
    assert_eq!(appender.close(DEADLINE).abandoned_threads, 1);
}

#[test]
fn a_drop_does_not_wait_for_ever() {
    let storage = MemoryStorage::new();
    storage.hang();
    let appender = appender(storage.clone(), eager());
    Feed::new(&appender, stdout(0)).push(b"hangs\n");
    storage.wait_until_hanging(1);
    let begin = Instant::now();
    drop(appender);
    assert!(begin.elapsed() < DEADLINE);
    storage.release();
}

/// The stream of a rank, of which one line is in a file.
fn first_line_filed(appender: &Appender, line: &[u8]) -> Feed {
    let reader = appender.read_back();
    let mut feed = Feed::new(appender, stdout(0));
    feed.push(line);
    until("it is filed", || reader.filed(stdout(0)) == Offset(line.len() as u64));
    feed
}

#[test]
fn a_file_that_was_removed_is_declared_and_another_one_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rank-0.stdout.log");
    let notes = Notes::default();
    let appender = appender(DirStorage::new(dir.path()).unwrap(), notes.of(eager()));
    let mut feed = first_line_filed(&appender, b"removed\n");
    fs::remove_file(&path).unwrap();
    until("another one is made", || {
        feed.push(b"x");
        path.exists()
    });
    feed.push(b"after\n");
    let written = close(&appender);
    let stream = &written.streams[&stdout(0)];
    assert_eq!(stream.filed_bytes + stream.not_filed.bytes(), feed.at);
    assert!(stream.not_filed.bytes() >= 8);
    assert_eq!(stream.not_filed.as_slice()[0].cause, "the file was removed");
    assert_eq!(fs::metadata(&path).unwrap().len(), stream.filed_bytes);
    assert!(fs::read(&path).unwrap().ends_with(b"after\n"));
    let stopped = |note: &&Note| matches!(note, Note::Stopped { .. });
    assert_eq!(notes.all().iter().filter(stopped).count(), 1);
}

#[test]
fn a_directory_that_was_removed_is_declared_and_used_again_when_it_is_there() {
    let root = tempfile::tempdir().unwrap();
    let job = root.path().join("job");
    let notes = Notes::default();
    let appender = appender(DirStorage::new(&job).unwrap(), notes.of(eager()));
    let mut feed = first_line_filed(&appender, b"removed\n");
    // Removing a directory fails when a file is made in it meanwhile.
    until("the index is there", || job.join("index").exists());
    fs::remove_dir_all(&job).unwrap();
    // The index may see it first.
    let stopped = || {
        let notes = notes.all();
        notes.iter().filter(|note| matches!(note, Note::Stopped { .. })).count()
    };
    until("it is seen", || {
        feed.push(b"x");
        stopped() >= 2
    });
    fs::create_dir(&job).unwrap();
    let path = job.join("rank-0.stdout.log");
    until("it is used", || {
        feed.push(b"y");
        path.exists()
    });
    feed.push(b"after\n");
    let written = close(&appender);
    let stream = &written.streams[&stdout(0)];
    assert_eq!(stream.filed_bytes + stream.not_filed.bytes(), feed.at);
    assert_eq!(fs::metadata(&path).unwrap().len(), stream.filed_bytes);
    let causes: Vec<&str> =
        stream.not_filed.as_slice().iter().map(|gap| gap.cause.as_str()).collect();
    assert_eq!(causes, ["the file was removed", "no such file or directory"]);
    let archive = Archive::open(&job).unwrap();
    assert_eq!(read_all(&archive, stdout(0), 99), read_all(&*appender.read_back(), stdout(0), 100));
    assert_eq!(stopped(), 2, "{:?}", notes.all());
}

#[test]
fn a_file_that_was_removed_at_the_very_end_is_declared() {
    let storage = MemoryStorage::new();
    let appender = appender(storage.clone(), eager());
    let reader = appender.read_back();
    Feed::new(&appender, stdout(0)).push(b"removed\n");
    until("it is filed", || reader.filed(stdout(0)) == Offset(8));
    storage.remove("rank-0.stdout.log").unwrap();
    let written = close(&appender);
    assert_eq!(written.streams[&stdout(0)].filed_bytes, 0);
    assert_eq!(written.streams[&stdout(0)].not_filed.bytes(), 8);
}

#[test]
fn a_file_that_was_cut_is_declared_and_left_under_its_number() {
    let storage = MemoryStorage::new();
    let appender = appender(storage.clone(), eager());
    let reader = appender.read_back();
    let mut feed = Feed::new(&appender, stdout(0));
    feed.push(b"cut\n");
    until("it is filed", || reader.filed(stdout(0)) == Offset(4));
    storage.truncate("rank-0.stdout.log", 2);
    until("another one is made", || {
        feed.push(b"x");
        storage.bytes("rank-0.stdout.0001.log").is_some()
    });
    let written = close(&appender);
    let stream = &written.streams[&stdout(0)];
    assert_eq!(stream.not_filed.as_slice()[0].cause, "the file was cut");
    assert_eq!(stream.filed_bytes + stream.not_filed.bytes(), feed.at);
    assert_eq!(storage.bytes("rank-0.stdout.log").unwrap().len() as u64, stream.filed_bytes);
}

/// The next write makes a file that was cut as long as before, with a hole where it was cut.
#[test]
fn a_file_that_was_cut_between_two_writes_is_declared() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rank-0.stdout.log");
    let appender = appender(DirStorage::new(dir.path()).unwrap(), eager());
    let reader = appender.read_back();
    let mut feed = Feed::new(&appender, stdout(0));
    feed.push(b"cut\n");
    until("it is filed", || reader.filed(stdout(0)) == Offset(4));
    fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    feed.push(b"after\n");
    let written = close(&appender);
    let stream = &written.streams[&stdout(0)];
    let gaps = stream.not_filed.as_slice();
    assert_eq!((gaps[0].span.len(), &*gaps[0].cause), (4, "the file was cut"));
    assert_eq!((gaps.len(), stream.filed_bytes), (1, 6));
    assert_eq!(fs::read(&path).unwrap(), b"after\n");
    assert_eq!(fs::read(dir.path().join("rank-0.stdout.0001.log")).unwrap(), b"");
}

#[test]
fn a_file_that_was_renamed_is_declared_and_another_one_made() {
    let dir = tempfile::tempdir().unwrap();
    let (path, other) = (dir.path().join("rank-0.stdout.log"), dir.path().join("other"));
    let appender = appender(DirStorage::new(dir.path()).unwrap(), eager());
    let mut feed = first_line_filed(&appender, b"renamed\n");
    fs::rename(&path, &other).unwrap();
    until("another one is made", || {
        feed.push(b"x");
        path.exists()
    });
    feed.push(b"after\n");
    let written = close(&appender);
    let stream = &written.streams[&stdout(0)];
    let gaps = stream.not_filed.as_slice();
    assert_eq!(gaps.len(), 1);
    assert!(gaps[0].cause.starts_with("the file was renamed"), "{}", gaps[0].cause);
    assert_eq!(fs::metadata(&other).unwrap().len(), gaps[0].span.len());
    assert_eq!(fs::metadata(&path).unwrap().len(), stream.filed_bytes);
    assert_eq!(stream.filed_bytes + gaps[0].span.len(), feed.at);
    let archive = Archive::open(dir.path()).unwrap();
    assert_eq!(read_all(&archive, stdout(0), 99), read_all(&*appender.read_back(), stdout(0), 100));
}

#[test]
fn a_file_whose_name_another_one_has_at_the_end_is_declared() {
    let storage = MemoryStorage::new();
    let appender = appender(storage.clone(), eager());
    let reader = appender.read_back();
    Feed::new(&appender, stdout(0)).push(b"renamed\n");
    until("it is filed", || reader.filed(stdout(0)) == Offset(8));
    storage.rename("rank-0.stdout.log", "other").unwrap();
    storage.create("rank-0.stdout.log").unwrap();
    let written = close(&appender);
    let stream = &written.streams[&stdout(0)];
    assert_eq!((stream.filed_bytes, stream.not_filed.bytes()), (0, 8));
}

/// Two launches of a rank share a family: that the later one rotates the earlier one's file is no
/// renaming by somebody.
#[test]
fn a_file_that_another_launch_rotated_is_not_renamed() {
    let storage = MemoryStorage::new();
    let appender = appender(storage.clone(), eager());
    let [mut first, mut second] =
        [1, 2].map(|launch| Feed::new(&appender, StreamId::new(Launch(launch), 0, Stream::Stdout)));
    let reader = appender.read_back();
    first.push(b"first\n");
    until("it is filed", || reader.filed(first.stream) == Offset(6));
    second.push(b"second\n");
    let (first, second) = (first.stream, second.stream);
    let written = close(&appender);
    assert_eq!([first, second].map(|id| written.streams[&id].not_filed.bytes()), [0, 0]);
    assert!(storage.bytes("rank-0.stdout.0001.log").is_some());
}

#[test]
fn a_file_that_cannot_be_renamed_grows_on() {
    let storage = MemoryStorage::new();
    storage.fail_renames(Some(NO_SPACE));
    let notes = Notes::default();
    let mut options = notes.of(eager());
    options.rotate_bytes = Some(10);
    let appender = appender(storage.clone(), options);
    let mut feed = Feed::new(&appender, stdout(0));
    (0..20).for_each(|_| feed.push(b"12345678\n"));
    let reader = appender.read_back();
    close(&appender);
    assert_eq!(storage.bytes("rank-0.stdout.log").unwrap().len(), 180);
    assert_eq!(read_whole(&*reader, stdout(0)).len(), 180);
    let reason = Reason::Os(NO_SPACE);
    assert_eq!(notes.all(), [Note::NotRotated { stream: stdout(0), reason }]);
}

#[test]
fn bytes_that_were_never_offered_are_a_gap() {
    let appender = appender(MemoryStorage::new(), eager());
    let mut feed = Feed::new(&appender, stdout(0));
    feed.push(b"one\n");
    feed.at += 100;
    feed.push(b"two\n");
    feed.at += 10;
    feed.end();
    let reader = appender.read_back();
    let written = close(&appender);
    let stream = &written.streams[&stdout(0)];
    assert_eq!((stream.filed_bytes, stream.not_filed.bytes()), (8, 110));
    assert_eq!(read_all(&*reader, stdout(0), 3).len(), 118);
}

#[test]
fn bytes_that_are_offered_twice_are_filed_once() {
    let storage = MemoryStorage::new();
    let appender = appender(storage.clone(), eager());
    let mut feed = Feed::new(&appender, stdout(0));
    feed.push(b"one two");
    feed.at = 4;
    feed.push(b"two three");
    close(&appender);
    assert_eq!(storage.bytes("rank-0.stdout.log").unwrap(), b"one two three");
}

#[test]
fn a_closed_appender_takes_everything_and_declares_it() {
    let appender = appender(MemoryStorage::new(), eager());
    let mut sink = appender.sink(stdout(0));
    close(&appender);
    let message = Message::Data(lastline_testing::chunk(stdout(0), 0, b"late\n"));
    assert_eq!(sink.accept(&message), Accept::Taken);
    let written = appender.written();
    let gap = &written.streams[&stdout(0)].not_filed.as_slice()[0];
    assert_eq!((gap.span.len(), &*gap.cause), (5, "came after the files were closed"));
}

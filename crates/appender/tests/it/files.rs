//! Real files in a directory.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use std::sync::Arc;
use std::time::Duration;

use lastline_appender::{
    Appender, AppenderError, Archive, DirStorage, Fsync, Note, Reason, Storage,
};
use lastline_line::{Launch, Message, Offset, Span, Stream, StreamId, Timestamp};
use lastline_testing::laws::sink::offer;
use lastline_testing::stdout;
use lastline_testing::storage::{BAD_DISK, MemoryStorage};

use crate::support::{Feed, Notes, appender, close, eager, read_whole, until};

#[test]
fn files_hold_what_was_written_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let appender = appender(DirStorage::new(dir.path()).unwrap(), eager());
    let out = stdout(3);
    let err = StreamId::new(out.launch, 3, Stream::Stderr);
    let pieces = [&b"a\0b\xff\n"[..], b"no end", b"\r\n\n\n", &[0xff; 300_000]];
    let mut feeds = [Feed::new(&appender, out), Feed::new(&appender, err)];
    for piece in pieces {
        feeds.iter_mut().for_each(|feed| feed.push(piece));
    }
    feeds.into_iter().for_each(Feed::end);
    let reader = appender.read_back();
    let written = close(&appender);
    let expected = pieces.concat();
    for (stream, name) in [(out, "rank-3.stdout.log"), (err, "rank-3.stderr.log")] {
        let path = dir.path().join(name);
        assert_eq!(fs::read(&path).unwrap(), expected);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(written.streams[&stream].filed_bytes, expected.len() as u64);
        assert!(written.streams[&stream].not_filed.is_empty());
        assert_eq!(read_whole(&*reader, stream), expected);
    }
}

#[test]
fn a_job_that_prints_nothing_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let appender = appender(DirStorage::new(dir.path()).unwrap(), eager());
    Feed::new(&appender, stdout(0)).end();
    let written = close(&appender);
    assert_eq!(written.streams[&stdout(0)].filed_bytes, 0);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_directory_is_made_for_its_owner_alone() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("jobs/one");
    DirStorage::new(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    let error = DirStorage::existing(root.path().join("jobs/two")).unwrap_err();
    assert!(error.to_string().ends_with("jobs/two"), "{error}");
}

#[test]
fn what_is_planted_is_neither_followed_nor_changed() {
    let dir = tempfile::tempdir().unwrap();
    let victim = dir.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let job = dir.path().join("job");
    let storage = Arc::new(DirStorage::new(&job).unwrap());
    let appender = appender(Arc::clone(&storage), eager());
    symlink(&victim, job.join("rank-0.stdout.log")).unwrap();
    symlink(&victim, job.join("index")).unwrap();
    fs::hard_link(&victim, job.join("rank-1.stdout.log")).unwrap();
    for name in ["../victim", "a/b", "..", ""] {
        assert!(storage.create(name).is_err() && storage.open(name).is_err(), "{name}");
        assert!(storage.remove(name).is_err() && storage.rename(name, "x").is_err(), "{name}");
    }
    assert!(storage.open("rank-0.stdout.log").is_err());
    for rank in 0..3 {
        let mut feed = Feed::new(&appender, stdout(rank));
        feed.push(b"overwritten\n");
        feed.end();
    }
    let written = close(&appender);
    for rank in 0..2 {
        let not_filed = &written.streams[&stdout(rank)].not_filed;
        assert_eq!(not_filed.as_slice()[0].cause, "file exists");
        assert_eq!(not_filed.bytes(), 12);
    }
    assert_eq!(written.streams[&stdout(2)].filed_bytes, 12);
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

#[test]
fn rotated_files_have_numbers_and_read_back_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = eager();
    options.rotate_bytes = Some(100);
    options.fsync = Fsync::End;
    let appender = appender(DirStorage::new(dir.path()).unwrap(), options);
    let mut feed = Feed::new(&appender, stdout(3));
    let mut expected = Vec::new();
    for step in 0..40 {
        let line = format!("step {step} of the job\n");
        feed.push(line.as_bytes());
        expected.extend_from_slice(line.as_bytes());
    }
    feed.end();
    let reader = appender.read_back();
    close(&appender);
    assert_eq!(read_whole(&*reader, stdout(3)), expected);
    let mut names: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "index")
        .collect();
    names.sort();
    assert_eq!(names[..2], ["rank-3.stdout.0001.log", "rank-3.stdout.0002.log"]);
    assert_eq!(names.last().unwrap(), "rank-3.stdout.log");
    let mut joined = Vec::new();
    for name in names {
        let bytes = fs::read(dir.path().join(name)).unwrap();
        assert!(bytes.len() <= 100 && bytes.ends_with(b"\n"));
        joined.extend(bytes);
    }
    assert_eq!(joined, expected);
}

#[test]
fn the_oldest_rotated_files_go_when_all_are_too_big() {
    let dir = tempfile::tempdir().unwrap();
    let notes = Notes::default();
    let mut options = notes.of(eager());
    options.max_bytes = Some(800);
    let appender = appender(DirStorage::new(dir.path()).unwrap(), options);
    let mut feed = Feed::new(&appender, stdout(0));
    (0..50).for_each(|step| feed.push(format!("{step:>49}\n").as_bytes()));
    feed.end();
    let written = close(&appender);
    let written = &written.streams[&stdout(0)];
    assert_eq!(written.filed_bytes, 2500);
    assert!(written.not_filed.is_empty());
    assert_eq!(written.pruned.bytes(), 1700);
    let [Note::Pruned { name, .. }, Note::PrunedInAll { files: 17, bytes: 1700 }] =
        &notes.all()[..]
    else {
        panic!("once, and in all: {:?}", notes.all());
    };
    assert_eq!(name, "rank-0.stdout.0001.log");
    let files = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
    assert_eq!(files.map(|file| file.len()).filter(|bytes| *bytes == 100).count(), 8);
}

/// Its reader is behind: what it wants stays, whatever is newer goes instead, and it may want half.
#[test]
fn what_is_kept_is_not_removed_before_it_is_let_go_of() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = eager();
    options.max_bytes = Some(800);
    let appender = appender(DirStorage::new(dir.path()).unwrap(), options);
    let reader = appender.read_back();
    let (mut feed, line) = (Feed::new(&appender, stdout(0)), [b'x'; 50]);
    (0..4).for_each(|_| feed.push(&line));
    let span = |from, to| Span::new(Offset(from), Offset(to));
    until("it is filed", || reader.filed(stdout(0)) == Offset(200));
    assert!(reader.keep(stdout(0), span(120, 200)));
    assert!(!reader.keep(stdout(0), span(120, 201)), "it is not all there");
    (0..40).for_each(|_| feed.push(&line));
    until("newer ones are removed instead", || {
        reader.filed(stdout(0)) == Offset(2200) && !reader.holds(stdout(0), span(1400, 1401))
    });
    assert!(!reader.holds(stdout(0), span(0, 1)));
    assert!(reader.holds(stdout(0), span(100, 200)));
    // With all that lies between it would be more than half of what all files may have.
    assert!(!reader.keep(stdout(0), span(2100, 2200)));
    reader.let_go(stdout(0), Offset(200));
    assert!(reader.keep(stdout(0), span(2100, 2200)));
    feed.push(&[b'x'; 100]);
    until("it is removed", || !reader.holds(stdout(0), span(100, 200)));
    feed.end();
    let written = close(&appender);
    assert!(written.streams[&stdout(0)].not_filed.is_empty());
}

#[test]
fn a_rank_started_again_leaves_the_files_of_its_first_launch() {
    let dir = tempfile::tempdir().unwrap();
    let appender = appender(DirStorage::new(dir.path()).unwrap(), eager());
    let first = stdout(0);
    let second = StreamId { launch: Launch(2), ..first };
    let mut feed = Feed::new(&appender, first);
    feed.push(b"first\n");
    let mut again = Feed::new(&appender, second);
    again.push(b"second\n");
    let reader = appender.read_back();
    feed.push(b"still there\n");
    close(&appender);
    let mut files = ["rank-0.stdout.0001.log", "rank-0.stdout.log"]
        .map(|name| fs::read(dir.path().join(name)).unwrap());
    files.sort();
    assert_eq!(files, [b"first\nstill there\n".to_vec(), b"second\n".to_vec()]);
    assert_eq!(read_whole(&*reader, first), b"first\nstill there\n");
    assert_eq!(read_whole(&*reader, second), b"second\n");
}

#[test]
fn a_thousand_streams_are_fine() {
    let dir = tempfile::tempdir().unwrap();
    let appender = appender(DirStorage::new(dir.path()).unwrap(), eager());
    let mut feeds: Vec<Feed> = (0..1000).map(|rank| Feed::new(&appender, stdout(rank))).collect();
    for round in 0..3 {
        for feed in &mut feeds {
            feed.push(format!("round {round} of {}\n", feed.stream).as_bytes());
        }
    }
    feeds.into_iter().for_each(Feed::end);
    let written = close(&appender);
    assert_eq!(written.streams.len(), 1000);
    for rank in [0, 1, 999] {
        let expected: String =
            (0..3).map(|n| format!("round {n} of rank {rank} stdout\n")).collect();
        let file = fs::read_to_string(dir.path().join(format!("rank-{rank}.stdout.log")));
        assert_eq!(file.unwrap(), expected);
    }
    assert!(written.streams.values().all(|stream| stream.not_filed.is_empty()));
}

#[test]
fn a_drop_empties_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let appender = appender(DirStorage::new(dir.path()).unwrap(), eager());
    let mut feed = Feed::new(&appender, stdout(0));
    (0..1000).for_each(|step| feed.push(format!("{step:>99}\n").as_bytes()));
    drop(appender);
    let bytes = fs::metadata(dir.path().join("rank-0.stdout.log")).unwrap().len();
    assert_eq!(bytes, 100_000);
}

#[test]
fn files_of_another_run_are_told_at_the_start_and_left_alone() {
    for name in ["index", "rank-0.stdout.log", "rank-12.stderr.0003.log"] {
        let dir = tempfile::tempdir().unwrap();
        [name, "rank-99.stdout.log"]
            .iter()
            .for_each(|name| fs::write(dir.path().join(name), "of another run").unwrap());
        let storage = Arc::new(DirStorage::existing(dir.path()).unwrap());
        let start = || Appender::start(Arc::clone(&storage) as Arc<dyn Storage>, eager());
        match start().map(drop) {
            Err(AppenderError::Occupied { name: told }) => assert_eq!(told, name),
            other => panic!("{other:?}"),
        }
        assert_eq!(fs::read(dir.path().join(name)).unwrap(), b"of another run");
        assert_eq!(storage.clear().unwrap(), 2);
        assert!(start().is_ok());
    }
}

#[test]
fn what_is_no_file_of_a_run_is_in_nobody_s_way() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["report.json", "mine.log", "rank-x.stdout.log", "index.old"];
    names.iter().for_each(|name| fs::write(dir.path().join(name), "x").unwrap());
    assert!(Appender::start(Arc::new(DirStorage::new(dir.path()).unwrap()), eager()).is_ok());
}

#[test]
fn a_second_run_in_a_storage_is_refused_once_the_first_has_made_a_file() {
    let storage = MemoryStorage::new();
    let start = || Appender::start(Arc::new(storage.clone()), eager());
    let (first, idle) = (start().unwrap(), start());
    assert!(idle.is_ok(), "nothing is made before the first chunk");
    Feed::new(&first, stdout(0)).push(b"first\n");
    close(&first);
    assert!(matches!(start().map(drop), Err(AppenderError::Occupied { .. })));
}

#[test]
fn clearing_removes_a_job_s_files_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["index", "rank-0.stdout.log", "rank-0.stdout.0001.log", "report.json", "mine.log"];
    names.iter().for_each(|name| fs::write(dir.path().join(name), "x").unwrap());
    let storage = DirStorage::new(dir.path()).unwrap();
    assert_eq!(storage.clear().unwrap(), 3);
    let mut left = storage.names().unwrap();
    left.sort();
    assert_eq!(left, ["mine.log", "report.json"]);
}

#[test]
fn a_directory_that_was_removed_and_made_again_is_used() {
    let root = tempfile::tempdir().unwrap();
    let job = root.path().join("job");
    let storage = DirStorage::new(&job).unwrap();
    fs::remove_dir_all(&job).unwrap();
    let error = storage.create("a").map(drop).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    fs::create_dir(&job).unwrap();
    storage.create("a").unwrap().append(b"x").unwrap();
    assert_eq!(fs::read(job.join("a")).unwrap(), b"x");
}

#[test]
fn data_is_forced_to_disk_when_that_is_wanted() {
    for (fsync, least) in [(Fsync::Never, 0), (Fsync::End, 3), (Fsync::Every(Duration::ZERO), 4)] {
        let storage = MemoryStorage::new();
        let mut options = eager();
        options.fsync = fsync;
        let appender = appender(storage.clone(), options);
        let mut feed = Feed::new(&appender, stdout(0));
        feed.push(b"one\n");
        if fsync == Fsync::Every(Duration::ZERO) {
            until("it is synced while it runs", || storage.syncs() >= 3);
            feed.push(b"two\n");
        }
        close(&appender);
        assert!(storage.syncs() >= least, "{fsync:?}: {}", storage.syncs());
        assert_eq!(storage.syncs() == 0, fsync == Fsync::Never);
    }
}

#[test]
fn what_cannot_be_forced_to_disk_is_told_once_and_said_of_every_byte() {
    let storage = MemoryStorage::new();
    let notes = Notes::default();
    let mut options = notes.of(eager());
    options.fsync = Fsync::Every(Duration::ZERO);
    let appender = appender(storage.clone(), options);
    let mut feeds = [Feed::new(&appender, stdout(0)), Feed::new(&appender, stdout(1))];
    feeds[0].push(b"on disk\n");
    until("it is synced", || storage.syncs() >= 3);
    storage.fail_syncs(Some(BAD_DISK));
    feeds.iter_mut().for_each(|feed| feed.push(b"perhaps\n"));
    let notes = || notes.all();
    until("it is told", || !notes().is_empty());
    until("all was tried", || {
        let written = appender.written();
        let bytes = written.streams.values().map(|stream| stream.not_synced.bytes());
        bytes.sum::<u64>() == 16 && written.directory_not_synced.is_some()
    });
    storage.fail_syncs(None);
    feeds[0].push(b"on disk\n");
    let written = close(&appender);
    let of = |rank| &written.streams[&stdout(rank)];
    let [gap] = of(0).not_synced.as_slice() else { panic!("{:?}", of(0)) };
    assert_eq!((gap.span.from, gap.span.to), (Offset(8), Offset(16)));
    assert_eq!(gap.cause, "input/output error");
    assert_eq!((of(0).filed_bytes, of(1).filed_bytes), (24, 8), "filed all the same");
    assert_eq!(of(1).not_synced.bytes(), 8);
    assert_eq!(written.directory_not_synced, Some(Reason::Os(BAD_DISK)));
    assert_eq!(notes(), [Note::NotSynced { reason: Reason::Os(BAD_DISK) }]);
}

#[test]
fn what_an_abandoned_writer_did_not_force_to_disk_is_said() {
    for (fsync, not_synced) in [(Fsync::Never, 0), (Fsync::End, 6)] {
        let storage = MemoryStorage::new();
        let mut options = eager();
        options.fsync = fsync;
        let appender = appender(storage.clone(), options);
        let reader = appender.read_back();
        let mut feed = Feed::new(&appender, stdout(0));
        feed.push(b"filed\n");
        until("it is filed", || reader.filed(stdout(0)) == Offset(6));
        storage.hang();
        feed.push(b"hangs\n");
        storage.wait_until_hanging(1);
        let stream = appender.close(Duration::from_millis(20)).streams[&stdout(0)].clone();
        assert_eq!((stream.not_filed.bytes(), stream.not_synced.bytes()), (6, not_synced));
        storage.release();
    }
}

#[test]
fn a_flood_has_few_records_and_a_quiet_stream_one_for_each_chunk() {
    for (every_us, most, least) in [(10, 250, 1), (1001, 1000, 1000)] {
        let storage = MemoryStorage::new();
        let appender = appender(storage.clone(), eager());
        let mut sink = appender.sink(stdout(0));
        for step in 0..1000 {
            let mut chunk = lastline_testing::chunk(stdout(0), step * 4, b"abc\n");
            chunk.time = Timestamp(1 + step * every_us);
            offer(&mut sink, &Message::Data(chunk));
        }
        close(&appender);
        let archive = Archive::new(Arc::new(storage)).unwrap();
        let extents = archive.extents().len();
        assert!((least..=most).contains(&extents), "{extents} records");
        assert_eq!(read_whole(&archive, stdout(0)), b"abc\n".repeat(1000));
    }
}

//! Rotated files that are compressed while the job runs.

mod bystanders;
mod faults;
mod model;
mod picky;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use lastline_appender::{
    Appender, AppenderError, Archive, Compression, DirStorage, Fsync, Options, Storage,
};
use lastline_line::{Launch, Offset, ReadBack, StreamId};
use lastline_testing::stdout;

use crate::support::{Feed, appender, close, eager, read_whole, until};

/// Options of a job whose files are compressed once they have so many bytes.
pub(super) fn compressing(rotate_bytes: u64) -> Options {
    let mut options = eager();
    options.rotate_bytes = Some(rotate_bytes);
    options.compress = Some(Compression::Zstd);
    options
}

/// So many bytes of lines, which compress well, from this place of a stream on.
pub(super) fn lines(from: usize, bytes: usize) -> Vec<u8> {
    let byte = |at: usize| if at % 20 == 19 { b'\n' } else { b'a' + (at / 20 % 23) as u8 };
    (from..from + bytes).map(byte).collect()
}

/// The names of all files but the index, in order.
pub(super) fn names(storage: &dyn Storage) -> Vec<String> {
    let mut names = storage.names().unwrap();
    names.retain(|name| name != "index");
    names.sort();
    names
}

/// Waits until every file but the newest is compressed; how many those are.
pub(super) fn until_compressed(storage: &dyn Storage, newest: &str) -> usize {
    let is_done = |name: &String| name == newest || name.ends_with(".log.zst");
    until("all are compressed", || names(storage).iter().all(is_done));
    names(storage).len() - 1
}

const NEWEST: &str = "rank-0.stdout.log";
const BYTES: usize = 2_000_000;

/// Files a rank's output in `dir`; what it is.
fn job(dir: &Path, options: Options) -> Vec<u8> {
    let is_compressed = options.compress.is_some();
    let storage = Arc::new(DirStorage::new(dir).unwrap());
    let appender = appender(Arc::clone(&storage), options);
    let mut feed = Feed::new(&appender, stdout(0));
    let all = lines(0, BYTES);
    all.chunks(10_000).for_each(|piece| feed.push(piece));
    feed.end();
    until("all is filed", || appender.read_back().filed(stdout(0)).0 == BYTES as u64);
    if is_compressed {
        assert!(until_compressed(&*storage, NEWEST) >= 3);
        let reader = appender.read_back();
        assert!(read_whole(&*reader, stdout(0)) == all);
    }
    close(&appender);
    all
}

/// Who reads the files reads this, with the index and without.
fn reads_as(dir: &Path, expected: &[u8]) {
    let archive = Archive::open(dir).unwrap();
    assert!(read_whole(&archive, stdout(0)) == expected, "{}", dir.display());
    assert!(archive.gaps(stdout(0)).is_empty());
    fs::rename(dir.join("index"), dir.join("away")).unwrap();
    let archive = Archive::open(dir).unwrap();
    let stream = StreamId { launch: Launch(0), ..stdout(0) };
    assert!(read_whole(&archive, stream) == expected, "without an index: {}", dir.display());
    fs::rename(dir.join("away"), dir.join("index")).unwrap();
}

#[test]
fn rotated_files_are_compressed_and_read_as_if_they_were_not() {
    for fsync in [Fsync::Never, Fsync::End] {
        let dir = tempfile::tempdir().unwrap();
        let mut options = compressing(300_000);
        options.fsync = fsync;
        let all = job(dir.path(), options);
        reads_as(dir.path(), &all);
        let mut found = Vec::new();
        let storage = DirStorage::existing(dir.path()).unwrap();
        for name in names(&storage) {
            let bytes = fs::read(dir.path().join(&name)).unwrap();
            let is_compressed = name.ends_with(".zst");
            // What any program reads of zstd's format.
            found.extend(if is_compressed { zstd::decode_all(&bytes[..]).unwrap() } else { bytes });
        }
        assert!(found == all);
        assert_eq!(storage.clear().unwrap(), BYTES.div_ceil(300_000) + 1);
    }
}

#[test]
fn what_a_killed_job_leaves_reads_as_it_was() {
    let (plain, packed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut options = eager();
    options.rotate_bytes = Some(300_000);
    let all = job(plain.path(), options);
    assert!(job(packed.path(), compressing(300_000)) == all);
    let name = |number: u32, end: &str| format!("rank-0.stdout.{number:04}.log{end}");
    // Killed before the plain one went, in the middle of writing the compressed one, and after it.
    let zst = name(1, ".zst");
    fs::copy(packed.path().join(&zst), plain.path().join(&zst)).unwrap();
    reads_as(plain.path(), &all);
    let half = fs::read(packed.path().join(name(2, ".zst"))).unwrap();
    let half = &half[..half.len() / 2];
    fs::write(plain.path().join(name(2, ".zst.unfinished")), half).unwrap();
    reads_as(plain.path(), &all);
    fs::remove_file(plain.path().join(name(1, ""))).unwrap();
    reads_as(plain.path(), &all);
    // They are a run's, and go with it.
    let storage = Arc::new(DirStorage::existing(plain.path()).unwrap());
    for kept in [zst, name(2, ".zst.unfinished")] {
        let other = tempfile::tempdir().unwrap();
        fs::copy(plain.path().join(&kept), other.path().join(&kept)).unwrap();
        let storage = Arc::new(DirStorage::existing(other.path()).unwrap());
        let refused = Appender::start(storage, eager()).unwrap_err();
        assert!(matches!(refused, AppenderError::Occupied { name } if name == kept));
    }
    storage.clear().unwrap();
    assert_eq!(names(&*storage), [""; 0]);
}

#[test]
fn damaged_files_are_errors_that_name_them() {
    let dir = tempfile::tempdir().unwrap();
    let all = job(dir.path(), compressing(600_000));
    let path = dir.path().join("rank-0.stdout.0001.log.zst");
    let whole = fs::read(&path).unwrap();
    let archive = Archive::open(dir.path()).unwrap();
    // In its second frame.
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    fs::write(&path, &damaged).unwrap();
    let mut buffer = [0; 100];
    let error = archive.read_back(stdout(0), Offset(300_000), &mut buffer).unwrap_err();
    assert!(error.to_string().starts_with("rank-0.stdout.0001.log.zst is damaged: "), "{error}");
    archive.read_back(stdout(0), Offset(0), &mut buffer).unwrap();
    assert_eq!(buffer, all[..100]);
    archive.read_back(stdout(0), Offset(600_000), &mut buffer).unwrap();
    assert_eq!(buffer, all[600_000..][..100]);
    // One that was cut has no table. With an index others are read; without one nobody knows where.
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let archive = Archive::open(dir.path()).unwrap();
    archive.read_back(stdout(0), Offset(0), &mut buffer).unwrap_err();
    archive.read_back(stdout(0), Offset(600_000), &mut buffer).unwrap();
    fs::remove_file(dir.path().join("index")).unwrap();
    let error = Archive::open(dir.path()).unwrap_err();
    assert!(matches!(error, AppenderError::List { .. }), "{error:?}");
}

//! What an exporter makes of a job's files and of a destination that does not always take them.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as the test itself does")]

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use lastline_appender::{Appender, DirStorage, FileSink, Options};
use lastline_export::{Destination, ExportError, Exporter, Outcome, ReadOf, Record, Refused};
use lastline_jobs::{JobDir, JobInfo};
use lastline_line::{
    Accept, Chunk, Launch, Message, Offset, Sink as _, Stream, StreamId, Timestamp,
};
use tempfile::TempDir;

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A job that runs here, of one rank.
struct Job {
    _place: TempDir,
    dir: JobDir,
    files: Appender,
    sink: FileSink,
    read: ReadOf,
}

impl Job {
    fn start(options: Options) -> Self {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("job");
        let dir = JobDir::create(&path, false, &JobInfo::new("j", vec![], 1)).unwrap();
        let storage = DirStorage::existing(dir.path()).unwrap();
        let files = Appender::start(Arc::new(storage), options).unwrap();
        let stream = StreamId::new(Launch(1), 0, Stream::Stdout);
        let sink = files.sink(stream);
        Self { _place: place, dir, files, sink, read: ReadOf { stream, bytes: 0, lines: 0 } }
    }

    fn say(&mut self, text: &str) {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let chunk = Chunk::new(self.read.stream, Offset(self.read.bytes), Timestamp(1), bytes);
        assert_eq!(self.sink.accept(&Message::Data(chunk)), Accept::Taken);
        self.read.bytes += text.len() as u64;
        self.read.lines += text.lines().count() as u64;
    }

    fn export(&self, destination: impl Destination + 'static) -> (Exporter, Receiver<String>) {
        let (told, words) = channel();
        let say = Box::new(move |words: &str| told.send(words.to_owned()).unwrap_or_default());
        (Exporter::start("there", self.dir.path(), destination, say).unwrap(), words)
    }

    fn finish(&self, exporter: Exporter, within: Duration) -> Outcome {
        self.files.close(PATIENCE);
        exporter.end_within(within);
        exporter.finish(&[self.read])
    }
}

/// Answers as it is told, and takes everything then.
#[derive(Clone)]
struct Scripted {
    answers: Arc<Mutex<VecDeque<Result<Refused, ExportError>>>>,
    taken: Sender<Record>,
}

impl Scripted {
    fn new(
        answers: impl IntoIterator<Item = Result<Refused, ExportError>>,
    ) -> (Self, Receiver<Record>) {
        let (taken, records) = channel();
        let answers = Arc::new(Mutex::new(answers.into_iter().collect()));
        (Self { answers, taken }, records)
    }
}

impl Destination for Scripted {
    fn export(&mut self, batch: &[Record], _: Duration) -> Result<Refused, ExportError> {
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Ok(Refused::default()));
        let taken = match &answer {
            Ok(_) => batch.len(),
            Err(ExportError::Later { taken, .. } | ExportError::Never { taken, .. }) => *taken,
            Err(_) => 0,
        };
        batch[..taken].iter().for_each(|it| self.taken.send(it.clone()).unwrap_or_default());
        answer
    }
}

fn later(taken: usize) -> Result<Refused, ExportError> {
    Err(ExportError::Later { taken, after: None, why: "down".into() })
}

fn text(record: &Record) -> &str {
    std::str::from_utf8(&record.text).unwrap()
}

#[test]
fn every_line_comes_once_and_in_order_although_the_destination_was_down() {
    let mut job = Job::start(Options::default());
    job.say("one\ntwo\nthree\n");
    let (destination, records) = Scripted::new([later(0), later(1), later(0)]);
    let (exporter, words) = job.export(destination);
    // They come while the job runs.
    for expected in ["one", "two", "three"] {
        assert_eq!(text(&records.recv_timeout(PATIENCE).unwrap()), expected);
    }
    job.say("four\nfi");
    job.say("ve");
    let outcome = job.finish(exporter, PATIENCE);
    assert!(outcome.is_whole(), "{outcome:?}");
    let rest: Vec<Record> = records.try_iter().collect();
    let texts: Vec<(&str, bool)> = rest.iter().map(|it| (text(it), it.partial)).collect();
    assert_eq!(texts, [("four", false), ("five", true)]);
    assert_eq!(rest[1].span.from, Offset(19));
    let down = "there takes nothing: down; lines wait in the job's files, and it is tried again";
    let words: Vec<String> = words.try_iter().collect();
    assert_eq!(&words[..2], [down, "there takes lines again"]);
}

#[test]
fn what_is_never_taken_is_told_when_the_time_is_over() {
    let mut job = Job::start(Options::default());
    job.say("one\ntwo\nthree");
    let (destination, records) =
        Scripted::new([later(1)].into_iter().chain((0..1000).map(|_| later(0))));
    let (exporter, _words) = job.export(destination);
    assert_eq!(text(&records.recv_timeout(PATIENCE).unwrap()), "one");
    let outcome = job.finish(exporter, Duration::from_millis(300));
    let [of] = &outcome.not_exported[..] else { panic!("{outcome:?}") };
    assert_eq!((of.from, of.bytes, of.lines), (Offset(4), 9, 2));
    assert!(of.causes.iter().eq(["down"]), "{of:?}");
}

/// Does not come back until it is let go.
struct Hangs(Receiver<()>);

impl Destination for Hangs {
    fn export(&mut self, _: &[Record], _: Duration) -> Result<Refused, ExportError> {
        self.0.recv().unwrap_or_default();
        Ok(Refused::default())
    }
}

#[test]
fn a_destination_that_hangs_keeps_nobody() {
    let mut job = Job::start(Options::default());
    job.say("one\n");
    let (let_go, waits) = channel();
    let (exporter, _words) = job.export(Hangs(waits));
    let outcome = job.finish(exporter, Duration::from_millis(100));
    assert_eq!(outcome.lines(), 1);
    drop(let_go);
}

#[test]
fn what_is_refused_for_good_is_told_and_the_rest_goes_on() {
    let mut job = Job::start(Options::default());
    job.say("one\ntwo\nthree\n");
    job.files.close(PATIENCE);
    let never = ExportError::Never { taken: 1, refused: 1, why: "too long".into() };
    let (destination, records) = Scripted::new([Err(never)]);
    let (exporter, _words) = job.export(destination);
    let outcome = job.finish(exporter, PATIENCE);
    let [of] = &outcome.not_exported[..] else { panic!("{outcome:?}") };
    assert_eq!((of.from, of.bytes, of.lines), (Offset(4), 4, 1));
    let taken: Vec<Record> = records.try_iter().collect();
    assert_eq!(taken.iter().map(text).collect::<Vec<_>>(), ["one", "three"]);
}

#[test]
fn a_batch_that_is_too_large_goes_in_parts_and_a_line_that_is_alone_is_refused() {
    let mut job = Job::start(Options::default());
    job.say("one\ntwo\nthree\nfour\n");
    job.files.close(PATIENCE);
    let too_large = || Err(ExportError::TooLarge { why: "too large".into() });
    // Of four, of two, of one; then each line is alone.
    let (destination, records) = Scripted::new([too_large(), too_large(), too_large()]);
    let (exporter, _words) = job.export(destination);
    let outcome = job.finish(exporter, PATIENCE);
    let [of] = &outcome.not_exported[..] else { panic!("{outcome:?}") };
    assert_eq!((of.from, of.bytes, of.lines), (Offset(0), 4, 1));
    let taken: Vec<Record> = records.try_iter().collect();
    assert_eq!(taken.iter().map(text).collect::<Vec<_>>(), ["two", "three", "four"]);
}

#[test]
fn what_was_removed_before_it_was_exported_is_told_with_its_cause() {
    let mut options = Options::default();
    (options.rotate_bytes, options.max_bytes) = (Some(8 << 10), Some(32 << 10));
    let mut job = Job::start(options);
    for _ in 0..100 {
        job.say(&"0123456789abcde\n".repeat(64));
    }
    job.files.close(PATIENCE);
    let (destination, records) = Scripted::new([]);
    let (exporter, _words) = job.export(destination);
    let outcome = job.finish(exporter, PATIENCE);
    let [of] = &outcome.not_exported[..] else { panic!("{outcome:?}") };
    let taken = records.try_iter().count() as u64;
    assert_eq!((of.from, of.lines), (Offset(0), job.read.lines - taken));
    assert_eq!(of.bytes, of.lines * 16);
    assert!(taken > 0 && of.causes.iter().all(|cause| cause.contains("removed")), "{of:?}");
}

#[test]
fn files_that_cannot_be_read_for_a_while_are_looked_at_again() {
    let mut job = Job::start(Options::default());
    let (destination, records) = Scripted::new([]);
    // Nothing is there that tells of a job.
    let (told, hidden) = (job.dir.path().join("job.json"), job.dir.path().join("hidden"));
    std::fs::rename(&told, &hidden).unwrap();
    let (exporter, words) = job.export(destination);
    let said = words.recv_timeout(PATIENCE).unwrap();
    assert!(said.contains("the job's files cannot be read"), "{said}");
    std::fs::rename(&hidden, &told).unwrap();
    job.say("one\n");
    assert_eq!(text(&records.recv_timeout(PATIENCE).unwrap()), "one");
    assert!(job.finish(exporter, PATIENCE).is_whole());
}

//! What whoever looks at a job is told: over its control socket while it runs, from its files
//! afterwards, each time of a real one.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lastline_fold::{Ranks, RanksOptions};
use lastline_jobs::FoundJob;
use lastline_line::{Exit, Fold, Off, Offset, RankSet, ReadBack as _};
use lastline_watch::{
    Archives, Change, Entry, EntrySource, LeftOut, Next, NextEntry, RankState, RankView, Snapshot,
    Source, snapshot_of,
};
use serde_json::Value;

use crate::support::{PATIENCE, Place, Running, wait_until};

const COLUMNS: usize = 64;

fn socket(place: &Place, job: &str) -> PathBuf {
    place.control(job)
}

/// The job as it is found while it runs.
fn open(place: &Place, job: &str) -> Source {
    wait_until("the job is there", || {
        socket(place, job).exists() && FoundJob::open(&place.job(job)).is_ok()
    });
    let found = FoundJob::open(&place.job(job)).unwrap();
    let mut source = Source::with_socket(found, &socket(place, job), COLUMNS).unwrap();
    // A job that does not answer at once, as on a busy machine, is seen from its files until it does.
    let deadline = Instant::now() + PATIENCE;
    while source.is_live() && !source.is_told() {
        assert!(Instant::now() < deadline, "it does not answer");
        source.next(Duration::from_millis(200)).unwrap();
    }
    source
}

/// Follows a job until `predicate` holds of it, or it is over; what happened meanwhile.
#[track_caller]
fn follow(source: &mut Source, predicate: impl Fn(&Snapshot) -> bool) -> Vec<Change> {
    let deadline = Instant::now() + PATIENCE;
    let mut all = Vec::new();
    while !predicate(source.snapshot()) {
        assert!(Instant::now() < deadline, "not in time: {:#?}", source.snapshot());
        match source.next(Duration::from_millis(200)).unwrap() {
            Next::Changed(changes) => all.extend(changes),
            Next::TimedOut => {}
            Next::Over => break,
        }
    }
    all
}

fn of_files(place: &Place, job: &str) -> Snapshot {
    let found = FoundJob::open(&place.job(job)).unwrap();
    snapshot_of(&found, &Archives::open(&found).unwrap()).unwrap()
}

/// Each rank's columns add up to its bytes.
#[track_caller]
fn check_activity(source: &Source) {
    for view in &source.snapshot().ranks {
        let row = source.activity().row(view.rank).expect("a row for each rank");
        assert_eq!(row.bytes.iter().sum::<u64>(), view.bytes, "rank {}: {row:?}", view.rank);
    }
}

/// Says something, waits for a file, says something more; rank 1 fails then.
const SCRIPT: &str = "echo ready; until [ -e go ]; do sleep 0.05; done; echo bye
[ $LASTLINE_RANK != 1 ] || { echo boom >&2; exit 3; }";

#[test]
fn a_job_is_followed_from_its_start_to_its_end() {
    let place = Place::new();
    let args =
        ["run", "--job", "j", "-n", "3", "--on-failure", "continue", "--", "sh", "-c", SCRIPT];
    let run = place.start(&args);
    let mut source = open(&place, "j");
    assert!(source.is_told(), "it runs");
    // Bytes are counted a moment before their line is the last one.
    let has_said = |view: &RankView| view.bytes == 6 && !view.last_line.is_empty();
    let says =
        |snapshot: &Snapshot| snapshot.ranks.len() == 3 && snapshot.ranks.iter().all(has_said);
    follow(&mut source, says);
    let seen = source.snapshot();
    assert_eq!((seen.job.id.as_str(), seen.job.world_size), ("j", 3));
    assert_eq!(seen.job.log_dir, Some(place.job("j")));
    for view in &seen.ranks {
        assert_eq!((&view.state, view.lines, &*view.last_line), (&RankState::Running, 1, "ready"));
        assert!(view.pid.is_some() && view.launch.is_some() && view.last_output.is_some());
    }
    check_activity(&source);
    fs::write(place.path("go"), "").unwrap();
    let changes = follow(&mut source, |_| false);
    run.wait().expect(3);
    let exited =
        |change: &&Change| matches!(change, Change::Exited { rank: 1, exit: Exit::Code(3), .. });
    assert_eq!(changes.iter().filter(exited).count(), 1, "{changes:#?}");
    let said: u64 = changes
        .iter()
        .filter_map(|change| match change {
            Change::Output(outputs) => Some(outputs.iter().map(|said| said.bytes).sum::<u64>()),
            _ => None,
        })
        .sum();
    assert_eq!(said, 3 * 4 + 5, "{changes:#?}");
    assert!(matches!(changes.last(), Some(Change::Ended(_))), "nothing follows: {changes:#?}");
    let failure = source.snapshot().first_failure.clone().expect("a failure");
    assert_eq!(
        (failure.failure.rank, &failure.failure.last_lines[..]),
        (1, &["boom".to_owned()][..])
    );
    assert!(failure.time.is_some());
    check_activity(&source);
    // Its files say the same.
    let mut files = of_files(&place, "j");
    assert_eq!(files.job.fold.take(), None, "no file says how it was folded");
    let mut told = source.snapshot().clone();
    told.job.fold = None;
    for (told, filed) in told.ranks.iter_mut().zip(&mut files.ranks) {
        let apart = told.last_output.unwrap().0.abs_diff(filed.last_output.unwrap().0);
        assert!(apart < 1_000_000, "{told:?} {filed:?}");
        told.last_output = filed.last_output;
    }
    assert_eq!(told, files);
    assert!(!source.is_live());
    assert_eq!(source.next(Duration::ZERO).unwrap(), Next::Over);
}

#[test]
fn a_finished_and_a_broken_job_are_seen_from_their_files() {
    let place = Place::new();
    place.lastline(&["run", "--job", "done", "-n", "2", "--", "echo", "x"]).expect(0);
    let source = Source::with_socket(
        FoundJob::open(&place.job("done")).unwrap(),
        &socket(&place, "done"),
        COLUMNS,
    )
    .unwrap();
    assert!(!source.is_live());
    let seen = source.snapshot();
    assert!(seen.ended.as_ref().is_some_and(|end| end.balanced && !end.broken_off), "{seen:#?}");
    assert!(seen.ranks.iter().all(|view| view.state == RankState::Exited(Exit::Code(0))));
    assert_eq!(seen.ledger.shown_bytes, 4);
    check_activity(&source);

    let run =
        place.start(&["run", "--job", "broken", "-n", "2", "--", "sh", "-c", "echo x; sleep 100"]);
    let mut source = open(&place, "broken");
    follow(&mut source, |seen| seen.ledger.read_bytes == 4);
    wait_until("it is filed", || {
        let found = FoundJob::open(&place.job("broken")).unwrap();
        let archives = Archives::open(&found).unwrap();
        archives.streams().into_iter().map(|id| archives.filed(id).0).sum::<u64>() == 4
    });
    run.signal(rustix::process::Signal::KILL);
    follow(&mut source, |_| false);
    let seen = source.snapshot();
    assert!(seen.ended.as_ref().is_some_and(|end| end.broken_off), "{seen:#?}");
    assert!(
        seen.ranks.iter().all(|view| matches!(view.state, RankState::Lost(_)) && view.lines == 1)
    );
    assert_eq!(seen.ranks[0].last_line, "x");
    check_activity(&source);
}

#[test]
fn a_job_that_does_not_answer_is_seen_from_its_files_while_it_runs() {
    let place = Place::new();
    let run = place.start(&["run", "--job", "j", "-n", "2", "--", "sh", "-c", SCRIPT]);
    drop(open(&place, "j"));
    let found = FoundJob::open(&place.job("j")).unwrap();
    let mut source = Source::with_socket(found, &place.path("none"), COLUMNS).unwrap();
    assert!(source.is_live() && !source.is_told());
    follow(&mut source, |seen| seen.ranks.iter().all(|view| view.bytes == 6));
    fs::write(place.path("go"), "").unwrap();
    follow(&mut source, |_| false);
    run.wait().expect(3);
    let seen = source.snapshot();
    assert_eq!(seen.ranks[1].state, RankState::Exited(Exit::Code(3)));
    check_activity(&source);
}

#[test]
fn a_job_that_answers_late_tells_what_happens_from_then_on() {
    let place = Place::new();
    let run = place.start(&["run", "--job", "j", "-n", "2", "--", "sh", "-c", SCRIPT]);
    drop(open(&place, "j"));
    let found = FoundJob::open(&place.job("j")).unwrap();
    let mut source = Source::with_socket(found, &place.path("late"), COLUMNS).unwrap();
    follow(&mut source, |seen| seen.ranks.iter().all(|view| view.bytes == 6));
    assert!(!source.is_told());
    std::os::unix::fs::symlink(socket(&place, "j"), place.path("late")).unwrap();
    follow(&mut source, |seen| seen.ledger.shown_bytes == 12);
    assert!(source.is_told());
    fs::write(place.path("go"), "").unwrap();
    follow(&mut source, |_| false);
    run.wait().expect(3);
    assert_eq!(source.snapshot().ranks[1].state, RankState::Exited(Exit::Code(3)));
    check_activity(&source);
}

/// The lines of an answer.
fn ask(place: &Place, job: &str, request: &str) -> BufReader<UnixStream> {
    let path = socket(place, job);
    wait_until("it listens", || UnixStream::connect(&path).is_ok());
    let mut socket = UnixStream::connect(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(format!("{request}\n").as_bytes()).unwrap();
    BufReader::new(socket)
}

fn line(answer: &mut impl std::io::BufRead) -> Value {
    let mut line = String::new();
    answer.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn what_is_not_understood_is_refused_in_words() {
    let place = Place::new();
    let run = place.start(&["run", "--job", "j", "--", "sh", "-c", "echo x; sleep 100"]);
    let table = [
        ("watch 2", "version 2 is not spoken here, only 1"),
        ("watch", "version  is not spoken here, only 1"),
        ("watch 1 please", "unknown argument `please`"),
        ("dance", "unknown request `dance`"),
    ];
    for (request, why) in table {
        let mut answer = ask(&place, "j", request);
        let refused = &line(&mut answer)["refused"];
        assert_eq!(
            (refused["why"].as_str().unwrap(), &refused["versions"]),
            (why, &serde_json::json!([1]))
        );
        assert_eq!(answer.read_to_end(&mut Vec::new()).unwrap(), 0, "the connection ends");
    }
    let mut answer = ask(&place, "j", "watch 1");
    assert_eq!(line(&mut answer)["hello"], serde_json::json!({"version": 1, "job": "j"}));
    assert_eq!(line(&mut answer)["snapshot"]["job"]["id"], "j");
    run.signal(rustix::process::Signal::TERM);
    run.wait();
}

/// All that is shown of a job, until it is over.
#[track_caller]
fn all_entries(mut source: EntrySource) -> Vec<Entry> {
    let deadline = Instant::now() + PATIENCE;
    let mut all = Vec::new();
    loop {
        assert!(Instant::now() < deadline, "not in time, after {} entries", all.len());
        match source.next(Duration::from_millis(200)).unwrap() {
            NextEntry::Entry(entry) => all.push(*entry),
            NextEntry::Over { complete } => {
                assert!(complete, "cut off after {} entries", all.len());
                return all;
            }
            NextEntry::TimedOut => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Two thousand lines at once, and as many again slowly enough that somebody comes meanwhile.
const TALK: &str =
    "seq 1 2000; i=2000; until [ -e go ]; do i=$((i + 1)); echo $i; sleep 0.002; done
echo $i > last-$LASTLINE_RANK";

fn last(place: &Place, rank: u32) -> u64 {
    fs::read_to_string(place.path(&format!("last-{rank}"))).unwrap().trim().parse().unwrap()
}

/// A line of the past is folded from the files, a later one is told: each is there once, whenever
/// somebody comes, and whatever is folded how.
#[test]
fn entries_from_the_start_have_every_line_once() {
    for (mode, folded) in [("off", false), ("ranks", true)] {
        let place = Place::new();
        let args = ["run", "--job", "j", "-n", "4", "--fold", mode, "--", "sh", "-c", TALK];
        let run = place.start(&args);
        let mut source = open(&place, "j");
        follow(&mut source, |seen| seen.ledger.shown_bytes > 4 * 8893);
        let fold = move || -> Box<dyn Fold> {
            match folded {
                true => Box::new(Ranks::new(RankSet::first(4), RanksOptions::default())),
                false => Box::new(Off),
            }
        };
        let open = || {
            let found = FoundJob::open(&place.job("j")).unwrap();
            EntrySource::open(found, &socket(&place, "j"), true, Box::new(fold)).unwrap()
        };
        let sources: Vec<EntrySource> = (0..4).map(|_| open()).collect();
        // It has read what was there, and is told the rest.
        let shown = source.snapshot().ledger.shown_bytes;
        follow(&mut source, |seen| seen.ledger.shown_bytes > shown + 4000);
        fs::write(place.path("go"), "").unwrap();
        for source in sources {
            check_entries(&place, &all_entries(source), folded);
        }
        run.wait().expect(0);
        // And of the finished job.
        check_entries(&place, &all_entries(open()), folded);
    }
}

#[track_caller]
fn check_entries(place: &Place, entries: &[Entry], folded: bool) {
    let mut lines: BTreeMap<u32, u64> = BTreeMap::new();
    let mut ends: BTreeMap<u32, Offset> = BTreeMap::new();
    for entry in entries {
        for member in &entry.members {
            let seen = lines.entry(member.stream.rank).or_default();
            *seen += member.lines;
            let end = ends.entry(member.stream.rank).or_default();
            let span = member.span.expect("the order is kept");
            assert_eq!(span.from, *end, "rank {}", member.stream.rank);
            assert_eq!(span.len(), member.bytes);
            *end = span.to;
            if !folded {
                assert_eq!(entry.text, seen.to_string(), "rank {}", member.stream.rank);
            }
        }
    }
    let wanted: BTreeMap<u32, u64> = (0..4).map(|rank| (rank, last(place, rank))).collect();
    assert_eq!(lines, wanted);
    assert_eq!(entries.iter().any(|entry| entry.folded && entry.ranks.len() == 4), folded);
}

/// Resident memory at its highest, in bytes.
fn peak_memory(run: &Running) -> u64 {
    let status =
        fs::read_to_string(format!("/proc/{}/status", run.pid().as_raw_nonzero())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() << 10
}

/// Floods, says that it has, and waits.
const FLOOD: &str = "seq 1 100000; touch done-$LASTLINE_RANK; until [ -e go ]; do sleep 0.05; done";
const FLOOD_LINES: u64 = 8 * 100_000;
const FLOOD_BYTES: u64 = 8 * 588_895;

/// How long a job keeps a watcher that takes nothing.
const KEPT: Duration = Duration::from_secs(30);

/// The answer to somebody who reads nothing of it for a while.
struct Unread {
    answer: BufReader<UnixStream>,
    since: Instant,
}

impl Unread {
    /// The next message; none where nothing was read for so long that the job has let go of it, which
    /// cuts whatever line is on its way.
    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        // What is left unread when a connection is cut may be taken back.
        let cut = self.answer.read_line(&mut line).is_err() || !line.ends_with('\n');
        if cut {
            assert!(self.since.elapsed() >= KEPT, "it ended before its time: {line}");
            return None;
        }
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
    }

    /// What a watcher that has missed it all is told of the job, up to its end.
    fn check_watch(mut self) {
        let Some(first) = self.next() else { return };
        let mut seen: Snapshot = serde_json::from_value(first["snapshot"].clone()).unwrap();
        let mut events = 0;
        while !has_everything(&seen) {
            let Some(event) = self.next() else { return };
            seen.apply(serde_json::from_value(event["event"].clone()).unwrap());
            events += 1;
        }
        assert!(events < 1000, "what happened meanwhile is one change: {events}");
    }

    /// The same of its entries.
    fn check_entries(mut self) {
        let Some(from) = self.next() else { return };
        assert!(from["from"].is_array(), "{from}");
        let (mut lines, mut left_out) = (0, 0);
        while lines + left_out < FLOOD_LINES {
            let Some(message) = self.next() else { return };
            lines += message["entry"]["lines"].as_u64().unwrap_or_default();
            if let Ok(missed) = serde_json::from_value::<LeftOut>(message["left_out"].clone()) {
                left_out += missed.lines;
                assert!(missed.to_string().ends_with("lines) left out"), "{missed}");
                assert!(missed.entries > 0 && missed.entries <= missed.lines, "{missed}");
            }
        }
        assert_eq!(lines + left_out, FLOOD_LINES);
        assert!(left_out > FLOOD_LINES / 2, "only {left_out} were left out");
    }
}

fn has_everything(snapshot: &Snapshot) -> bool {
    snapshot.ledger.shown_bytes == FLOOD_BYTES
}

/// Eight ranks that flood, and this many that watch and read nothing. Gives the job, and the two
/// answers of each.
fn flood(place: &Place, stuck: usize) -> (Running, Vec<Unread>) {
    let script = format!("until [ -e begin ]; do sleep 0.01; done; {FLOOD}");
    let args = ["run", "--job", "j", "-n", "8", "--fold", "off", "--", "sh", "-c", &script];
    let run = place.start(&args);
    let answers = ["watch 1", "entries 1"].repeat(stuck).into_iter();
    let mut answers: Vec<_> = answers.map(|request| ask(place, "j", request)).collect();
    // The first words; nothing is read from now on.
    answers.iter_mut().for_each(|answer| drop(line(answer)));
    let since = Instant::now();
    let answers = answers.into_iter().map(|answer| Unread { answer, since }).collect();
    fs::write(place.path("begin"), "").unwrap();
    wait_until("they have flooded", || {
        (0..8).all(|rank| place.path(&format!("done-{rank}")).exists())
    });
    (run, answers)
}

/// A watcher that reads nothing keeps nobody waiting and costs little; it is told in numbers what it
/// missed, and then how things stand.
#[test]
fn a_watcher_that_never_reads_holds_up_nothing() {
    const STUCK: usize = 10;
    let place = Place::new();
    let (run, answers) = flood(&place, STUCK);
    let with = peak_memory(&run);
    let mut watching = open(&place, "j");
    follow(&mut watching, has_everything);
    // All at once: none is unread while others are read.
    std::thread::scope(|threads| {
        for (answer, check) in
            answers.into_iter().zip([Unread::check_watch, Unread::check_entries].repeat(STUCK))
        {
            threads.spawn(move || check(answer));
        }
    });
    fs::write(place.path("go"), "").unwrap();
    run.wait().expect(0);

    let alone = Place::new();
    let (run, _) = flood(&alone, 0);
    let without = peak_memory(&run);
    fs::write(alone.path("go"), "").unwrap();
    run.wait().expect(0);
    let each = with.saturating_sub(without) / STUCK as u64;
    assert!(each < 4 << 20, "{each} bytes for each: {without} without, {with} with");
}

//! What whoever looks at a job is told: over its control socket while it runs, from its files
//! afterwards, each time of a real one.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lastline_jobs::FoundJob;
use lastline_line::Exit;
use lastline_watch::{Archives, Change, Next, RankState, Snapshot, Source, snapshot_of};
use serde_json::Value;

use crate::support::{PATIENCE, Place, wait_until};

const COLUMNS: usize = 64;

fn socket(place: &Place, job: &str) -> PathBuf {
    place.path("run/lastline").join(format!("{job}.sock"))
}

/// The job as it is found while it runs.
fn open(place: &Place, job: &str) -> Source {
    wait_until("the job is there", || {
        socket(place, job).exists() && FoundJob::open(&place.job(job)).is_ok()
    });
    let found = FoundJob::open(&place.job(job)).unwrap();
    Source::with_socket(found, &socket(place, job), COLUMNS).unwrap()
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
    let says = |snapshot: &Snapshot| {
        snapshot.ranks.len() == 3 && snapshot.ranks.iter().all(|view| view.bytes == 6)
    };
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

//! The first failure as it is told: found once, and again when it may be another.

use super::*;

fn last_lines(rank: u32, line: &str) -> HostEvent {
    let stream = StreamId::new(Launch(rank.into()), rank, Stream::Stderr);
    HostEvent::LastLines { stream, lines: vec![line.to_owned()] }
}

fn ended(rank: u32) -> HostEvent {
    HostEvent::StreamEnded {
        stream: StreamId::new(Launch(rank.into()), rank, Stream::Stderr),
        end: StreamEnd::Eof,
        read_bytes: 4,
        read_lines: 1,
        error: None,
        leaked_to: Vec::new(),
    }
}

/// Where it is kept: another place when it was found anew.
fn place(record: &Record) -> *const String {
    first_failure(record).expect("one has failed").failure.last_lines.as_ptr()
}

#[test]
fn it_is_found_once_until_something_of_a_failure_is_said() {
    let mut record = Record::new(Expected::Hosts(1));
    said(&mut record, up(2));
    (0..2).for_each(|rank| drop(said(&mut record, started(rank))));
    said(&mut record, exited(0, 1, false));
    said(&mut record, last_lines(0, "Error: out of luck"));
    let found = place(&record);
    said(&mut record, ended(1));
    said(&mut record, HostEvent::Stopping { cause: StopCause::Failure });
    record.beat(&beat(0), None, NOW);
    assert_eq!(place(&record), found, "the same one is told");
    let told = |record: &Record| first_failure(record).unwrap().failure.clone();
    said(&mut record, last_lines(0, "Error: no luck"));
    assert_eq!(told(&record).last_lines, ["Error: no luck"]);
    said(&mut record, exited(1, 1, false));
    said(&mut record, last_lines(1, "Error: no luck"));
    assert_eq!(told(&record).same_text, [1]);
    said(&mut record, HostEvent::MemoryKills { cgroups: Vec::new(), ranks: vec![0] });
    assert!(told(&record).killed_for_memory);
}

#[test]
fn clocks_and_hosts_that_are_forgotten_change_it() {
    let mut record = Record::new(Expected::EveryRank);
    for (host, rank) in [(1, 0), (2, 1)] {
        said_by(&mut record, host, part("a", 2, rank, 1));
        said_by(&mut record, host, started(rank));
        said_by(&mut record, host, exited_at(rank, 1, false, 7 + u64::from(rank)));
    }
    let told = |record: &Record| first_failure(record).map(|view| view.failure.rank);
    assert_eq!(told(&record), Some(0));
    record.beat(&beat(1), clock(-1_000_000, 1), NOW);
    record.beat(&beat(2), clock(0, 1), NOW);
    assert_eq!(told(&record), Some(1), "its clock was late");
    said_by(&mut record, 2, HostEvent::Refused { why: "it is of another job".into() });
    assert_eq!(told(&record), Some(0));
}

use lastline_line::{
    Capture, Exit, Gaps, Heartbeat, MemoryKills, Offset, PingId, Span, Stage, Stream, StreamEnd,
};
use proptest::prelude::*;

use super::*;
use crate::driver::failure::{find, first_failure};
use crate::driver::trips::ClockOffset;
use lastline_line::{Launch, StreamId};

const NOW: Duration = Duration::ZERO;

fn said_by(record: &mut Record, host: u64, event: HostEvent) -> Consequence {
    // Somebody looks at the job after each event.
    first_failure(record);
    let consequence = record.apply(HostMessage { host: HostId(host), event }, NOW);
    assert_eq!(first_failure(record), find(record).as_ref(), "it is told as it is");
    consequence
}

mod failure;
mod starts;
mod stop;

fn said(record: &mut Record, event: HostEvent) -> Consequence {
    said_by(record, 0, event)
}

/// A host with so many of the job's ranks.
fn part(host: &str, world_size: u32, first_rank: u32, procs: u32) -> HostEvent {
    HostEvent::Up {
        host: host.into(),
        pid: 1,
        job: "j".into(),
        command: vec!["x".into()],
        world_size,
        first_rank,
        procs,
        node_rank: 0,
        local_first: 0,
        local_world_size: procs,
        stops_all: true,
        time: Timestamp(5),
    }
}

fn up(procs: u32) -> HostEvent {
    part("here", procs, 0, procs)
}

fn started(rank: u32) -> HostEvent {
    started_at(rank, u64::from(rank), 6)
}

fn started_at(rank: u32, launch: u64, time: u64) -> HostEvent {
    HostEvent::Started {
        rank,
        launch: Launch(launch),
        pid: Some(9),
        capture: Capture::Pipes,
        time: Timestamp(time),
    }
}

fn exited(rank: u32, code: i32, stopped: bool) -> HostEvent {
    exited_at(rank, code, stopped, 7)
}

fn exited_at(rank: u32, code: i32, stopped: bool, time: u64) -> HostEvent {
    let (launch, exit) = (Launch(rank.into()), Exit::Code(code));
    HostEvent::Exited { rank, launch, exit, stopped, starts_again: false, time: Timestamp(time) }
}

fn lost(why: &str) -> HostEvent {
    HostEvent::Lost { why: why.into() }
}

fn beat(host: u64) -> Heartbeat {
    Heartbeat { host: HostId(host), time: Timestamp(0), answers: Some(PingId(1)) }
}

fn clock(offset_micros: i64, micros: u64) -> Option<ClockOffset> {
    Some(ClockOffset { offset_micros, uncertainty: Duration::from_micros(micros) })
}

fn refusal(consequence: Consequence) -> String {
    match consequence {
        Consequence::Refused(refusal) => refusal.why,
        other => panic!("{other:?}"),
    }
}

fn first(record: &Record) -> Option<u32> {
    record.first_failure().map(|first| first.run.rank)
}

#[test]
fn a_job_is_over_when_every_rank_of_every_host_is() {
    let mut record = Record::new(Expected::Hosts(1));
    assert!(!record.ranks_are_over());
    said(&mut record, up(2));
    assert!(!record.ranks_are_over());
    for rank in 0..2 {
        said(&mut record, started(rank));
        said(&mut record, exited(rank, 0, false));
    }
    assert!(record.ranks_are_over());
    assert!(record.first_failure().is_none());
}

#[test]
fn a_job_of_several_hosts_is_over_when_every_rank_of_the_world_is() {
    let mut record = Record::new(Expected::EveryRank);
    said_by(&mut record, 1, part("a", 2, 0, 1));
    said_by(&mut record, 1, started(0));
    said_by(&mut record, 1, exited(0, 0, false));
    assert!(!record.ranks_are_over(), "rank 1 has not come");
    assert_eq!(record.open_barrier(Version(1)).0, 2, "and its host is waited for");
    said_by(&mut record, 2, part("b", 2, 1, 1));
    assert!(!record.ranks_are_over());
    said_by(&mut record, 2, lost("gone"));
    assert!(record.ranks_are_over());
}

#[test]
fn hosts_that_have_not_come_are_not_waited_for_when_the_job_is_stopped() {
    let mut record = Record::new(Expected::EveryRank);
    said_by(&mut record, 1, part("a", 2, 0, 1));
    said_by(&mut record, 1, started(0));
    said_by(&mut record, 1, exited(0, 143, true));
    record.expect_no_more();
    assert!(record.ranks_are_over());
    assert_eq!(record.open_barrier(Version(1)).0, 1);
}

#[test]
fn a_host_that_is_never_heard_of_is_lost_when_nobody_will_be() {
    let mut record = Record::new(Expected::Hosts(1));
    assert_eq!(record.open_barrier(Version(1)).0, 1, "it is waited for");
    assert_eq!(record.close(), [HostId::HERE]);
    assert!(record.ranks_are_over() && !record.is_gone());
    said(&mut record, lost("nobody came"));
    assert!(record.is_gone());
}

#[test]
fn a_host_that_goes_leaves_no_rank_that_is_waited_for() {
    let mut record = Record::new(Expected::Hosts(1));
    said(&mut record, up(2));
    said(&mut record, started(0));
    said(&mut record, HostEvent::Down);
    assert!(record.ranks_are_over() && record.is_gone());
}

#[test]
fn the_first_failure_is_the_first_that_was_not_stopped() {
    let mut record = Record::new(Expected::Hosts(1));
    said(&mut record, up(3));
    (0..3).for_each(|rank| drop(said(&mut record, started(rank))));
    said(&mut record, exited(2, 143, true));
    said(&mut record, exited(1, 3, false));
    said(&mut record, exited(0, 4, false));
    assert_eq!(first(&record), Some(1));
}

#[test]
fn each_host_answers_a_barrier_once() {
    let mut record = Record::new(Expected::EveryRank);
    for rank in 0..3 {
        said_by(&mut record, u64::from(rank) + 1, part("a", 3, rank, 1));
        said_by(&mut record, u64::from(rank) + 1, started(rank));
    }
    said_by(&mut record, 1, HostEvent::Down);
    let version = Version(1);
    let (hosts, gone) = record.open_barrier(version);
    assert_eq!((hosts, gone.len()), (3, 1));
    let mut answer =
        |host| said_by(&mut record, host, HostEvent::Barrier { version, streams: Vec::new() });
    let counts = Consequence::Barrier(version, Vec::new());
    assert_eq!(answer(1), Consequence::None, "its streams were listed when it was opened");
    assert_eq!(answer(2), counts);
    assert_eq!(answer(2), Consequence::None, "it comes twice");
    assert_eq!(answer(3), counts);
    let Consequence::Gone(versions, _) = said_by(&mut record, 2, HostEvent::Down) else { panic!() };
    assert_eq!(versions, [], "it has answered");
}

#[test]
fn a_lost_host_answers_barriers_with_what_is_known_of_it() {
    let mut record = Record::new(Expected::Hosts(1));
    said(&mut record, up(1));
    said(&mut record, started(0));
    assert_eq!(record.open_barrier(Version(1)), (1, vec![]));
    let ids: Vec<StreamId> = Capture::Pipes
        .streams()
        .iter()
        .map(|stream| StreamId::new(Launch(0), 0, *stream))
        .collect();
    let gone = said(&mut record, lost("gone"));
    let streams = GoneStreams { streams: ids.clone(), lost: Some("gone".into()) };
    assert_eq!(gone, Consequence::Gone(vec![Version(1)], streams));
    assert!(record.ranks_are_over() && record.is_gone());
    assert_eq!(record.open_barrier(Version(2)), (1, vec![ids]));
    assert_eq!(said(&mut record, lost("again")), Consequence::None);
}

#[test]
fn a_host_that_claims_what_another_has_is_refused_and_nothing_of_it_counts() {
    let mut record = Record::new(Expected::EveryRank);
    said_by(&mut record, 1, part("a", 4, 0, 2));
    let why = refusal(said_by(&mut record, 2, part("b", 4, 1, 2)));
    assert_eq!(why, "rank 1 runs on a (process 1) already, and b (process 1) claims it, too");
    let why = refusal(said_by(&mut record, 3, part("c", 8, 2, 2)));
    assert!(why.starts_with("the job has 4 ranks in all, as a (process 1) says, and c"), "{why}");
    let why = refusal(said_by(&mut record, 4, part("d", 4, 3, 2)));
    assert_eq!(why, "d (process 1) has ranks 3 to 4, and says that the job has 4");
    let why = refusal(said_by(&mut Record::new(Expected::EveryRank), 1, part("f", 1 << 21, 0, 1)));
    assert_eq!(why, "f (process 1) has a job of 2097152 ranks, and 1048576 is the most");
    let HostEvent::Up { host, pid, command, time, .. } = part("e", 4, 2, 2) else { unreachable!() };
    let other = HostEvent::Up {
        job: "k".into(),
        host,
        pid,
        command,
        time,
        world_size: 4,
        first_rank: 2,
        procs: 2,
        node_rank: 0,
        local_first: 0,
        local_world_size: 2,
        stops_all: true,
    };
    match said_by(&mut record, 5, other) {
        // It is no part of this job, and goes on in its own.
        Consequence::Refused(Refusal { knows: true, again: false, why, .. }) => {
            assert_eq!(why, "this driver is for job j, and e (process 1) is of job k");
        }
        other => panic!("{other:?}"),
    }
    // What it says and does is not the job's.
    assert_eq!(said_by(&mut record, 2, started(1)), Consequence::Foreign(Launch(1)));
    assert_eq!(said_by(&mut record, 2, exited(1, 3, false)), Consequence::None);
    assert_eq!(said_by(&mut record, 2, HostEvent::Down), Consequence::ForeignDown);
    assert_eq!((record.hosts.len(), record.runs.in_order().len()), (1, 2));
    assert_eq!(first(&record), None);
    let told = &record.refused[&HostId(2)];
    assert_eq!(told.host, Some(("b".into(), 1)));
    assert!(told.why.starts_with("rank 1 runs on a"), "{told:?}");
    // It may not have heard of it, and comes again.
    match said_by(&mut record, 2, part("b", 4, 1, 2)) {
        Consequence::Refused(Refusal { again: true, knows: false, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn ranks_whose_host_is_gone_may_come_from_another() {
    let mut record = Record::new(Expected::EveryRank);
    said_by(&mut record, 1, part("a", 2, 0, 2));
    said_by(&mut record, 1, started(0));
    said_by(&mut record, 1, lost("gone"));
    assert_eq!(said_by(&mut record, 2, part("b", 2, 0, 2)), Consequence::Came);
    assert!(!record.ranks_are_over());
    said_by(&mut record, 2, started_at(0, 70, 9));
    let hosts: Vec<HostId> = record.runs.last().map(|run| run.host).collect();
    assert_eq!(hosts, [HostId(2); 2]);
    // The lost ones stay in the account.
    assert_eq!(record.runs.in_order().len(), 4);
}

#[test]
fn a_host_that_others_refused_leaves_nothing() {
    let mut record = Record::new(Expected::EveryRank);
    said_by(&mut record, 1, part("a", 2, 0, 1));
    said_by(&mut record, 2, part("b", 2, 1, 1));
    said_by(&mut record, 1, started(0));
    said_by(&mut record, 2, started(1));
    said_by(&mut record, 2, exited(1, 3, false));
    record.open_barrier(Version(1));
    match said_by(&mut record, 2, HostEvent::Refused { why: "taken".into() }) {
        Consequence::Refused(refusal) => {
            assert!(refusal.knows);
            assert_eq!((refusal.launches, refusal.streams.len()), (vec![Launch(1)], 2));
            assert_eq!(refusal.barriers, [Version(1)]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(first(&record), None);
    assert_eq!(record.runs.in_order().len(), 1);
    assert_eq!(said_by(&mut record, 1, exited(0, 4, false)), Consequence::None);
    assert_eq!(first(&record), Some(0));
    assert_eq!(said_by(&mut record, 3, part("c", 2, 1, 1)), Consequence::Came);
}

#[test]
fn who_is_silent_is_given_up_and_stays_lost() {
    let mut record = Record::new(Expected::EveryRank);
    let at = Duration::from_secs;
    said_by(&mut record, 1, part("a", 2, 0, 1));
    said_by(&mut record, 2, part("b", 2, 1, 1));
    said_by(&mut record, 2, started(1));
    record.beat(&beat(1), None, at(50));
    record.apply(HostMessage { host: HostId(2), event: started(1) }, at(1));
    assert_eq!(record.silent(at(60), at(60)), []);
    assert_eq!(record.silent(at(61), at(60)), [(HostId(2), at(60))]);
    let unreachable = record.unreachable(at(61), at(6));
    let silent: Vec<_> = unreachable.iter().map(|host| (&host.host[..], host.silent_for)).collect();
    assert_eq!(silent, [("a", at(11)), ("b", at(60))]);
    let Consequence::Gone(_, gone) = record.give_up(HostId(2), at(60)) else { panic!("it stays") };
    assert_eq!(gone.lost.as_deref(), Some("silent for 60 s"));
    assert_eq!(record.silent(at(99), at(60)), [], "the other one would be");
    // The inbox may find so, too, which is no word of the host's.
    assert_eq!(said_by(&mut record, 2, lost("silent for 60 s")), Consequence::None);
    match record.beat(&beat(2), None, at(70)) {
        Consequence::SpokeAgain { host, launches } => {
            assert_eq!((&host[..], launches), ("b (process 1)", vec![Launch(1)]));
        }
        other => panic!("{other:?}"),
    }
    // Once, and it comes to nothing.
    assert_eq!(record.beat(&beat(2), None, at(71)), Consequence::None);
    assert_eq!(said_by(&mut record, 2, exited(1, 0, false)), Consequence::None);
    assert!(matches!(record.runs.last().nth(1).unwrap().state, RunState::Lost(_)));
}

#[test]
fn nobody_is_given_up_for_a_silence_in_which_nobody_could_be_heard() {
    let mut record = Record::new(Expected::EveryRank);
    let at = Duration::from_secs;
    said_by(&mut record, 1, part("a", 1, 0, 1));
    record.excuse(at(50));
    assert_eq!(record.silent(at(109), at(60)), []);
    // A barrier need not wait for it all the same.
    assert_eq!(record.unreachable(at(50), at(6))[0].silent_for, at(50));
    assert_eq!(record.silent(at(110), at(60)), [(HostId(1), at(60))]);
}

#[test]
fn ranks_that_nobody_hears_of_are_given_up_when_all_others_are_gone_for_long() {
    let mut record = Record::new(Expected::EveryRank);
    let at = Duration::from_secs;
    assert!(!record.give_up_missing(at(99), at(60)), "the first host is waited for");
    said_by(&mut record, 1, part("a", 4, 2, 1));
    said_by(&mut record, 1, started(2));
    said_by(&mut record, 1, exited(2, 0, false));
    assert!(!record.give_up_missing(at(99), at(60)), "one is there");
    record.apply(HostMessage { host: HostId(1), event: HostEvent::Down }, at(100));
    record.excuse(at(110));
    assert!(!record.give_up_missing(at(169), at(60)) && !record.ranks_are_over());
    assert!(record.give_up_missing(at(170), at(60)) && record.ranks_are_over());
    assert_eq!(record.not_heard_of(), [0, 1, 3]);
    assert!(Record::new(Expected::Hosts(1)).not_heard_of().is_empty());
}

#[test]
fn between_hosts_it_is_their_time_less_what_their_clocks_are_ahead() {
    let hour = 3_600_000_000_i64;
    let mut record = Record::new(Expected::EveryRank);
    said_by(&mut record, 1, part("a", 2, 0, 1));
    said_by(&mut record, 2, part("b", 2, 1, 1));
    let day = 1_000_000_000_000_u64;
    said_by(&mut record, 1, started_at(0, 0, day));
    said_by(&mut record, 2, started_at(1, 1, day + hour.unsigned_abs()));
    // Heard first, and a millisecond later.
    said_by(&mut record, 1, exited_at(0, 3, false, day + 5_000));
    said_by(&mut record, 2, exited_at(1, 4, false, day + hour.unsigned_abs() + 4_000));
    assert_eq!(first(&record), Some(0), "nobody knows of the clocks yet");
    assert!(record.first_failure().unwrap().unmeasured);
    record.beat(&beat(1), clock(0, 100), NOW);
    record.beat(&beat(2), clock(hour, 200), NOW);
    // A longer trip says nothing more.
    record.beat(&beat(2), clock(0, 5_000), NOW);
    let found = record.first_failure().unwrap();
    assert_eq!((found.run.rank, found.uncertainty, found.unmeasured), (1, None, false));
    let mut doubtful = Record::new(Expected::EveryRank);
    std::mem::swap(&mut doubtful, &mut record);
    for host in doubtful.hosts.values_mut() {
        host.clock.as_mut().unwrap().uncertainty = Duration::from_micros(600);
    }
    let found = doubtful.first_failure().unwrap();
    let both = Duration::from_micros(1200);
    assert_eq!((found.run.rank, found.uncertainty), (1, Some(both)));
}

#[test]
fn what_may_be_an_error_of_the_measurement_changes_no_order() {
    let mut record = Record::new(Expected::EveryRank);
    said_by(&mut record, 1, part("a", 2, 0, 1));
    said_by(&mut record, 2, part("b", 2, 1, 1));
    said_by(&mut record, 1, started_at(0, 0, 1_000_000));
    said_by(&mut record, 2, started_at(1, 1, 1_000_000));
    said_by(&mut record, 1, exited_at(0, 3, false, 2_000_000));
    said_by(&mut record, 2, exited_at(1, 4, false, 2_000_020));
    record.beat(&beat(1), clock(-30, 400), NOW);
    record.beat(&beat(2), clock(300, 400), NOW);
    let found = record.first_failure().unwrap();
    assert_eq!((found.run.rank, found.uncertainty), (0, Some(Duration::from_micros(800))));
    // One that is surely ahead is taken for that.
    record.beat(&beat(2), clock(300, 100), NOW);
    assert_eq!(first(&record), Some(1));
}

/// All that a host says of a job, in its order: whatever becomes of its ranks.
fn life(host: u64, first_rank: u32, codes: Vec<i32>, end: bool) -> Vec<HostEvent> {
    let name = format!("host {host}");
    let procs = u32::try_from(codes.len()).unwrap();
    let mut all = vec![part(&name, 6, first_rank, procs)];
    let ranks = first_rank..first_rank + procs;
    all.extend(ranks.clone().map(started));
    for (rank, code) in ranks.zip(codes) {
        let stream = StreamId::new(Launch(rank.into()), rank, Stream::Stderr);
        all.push(exited_at(rank, code, false, 100 + host * 10 + u64::from(rank % 3)));
        all.push(HostEvent::StreamEnded {
            stream,
            end: StreamEnd::Eof,
            read_bytes: 9,
            read_lines: 1,
            error: None,
            leaked_to: Vec::new(),
        });
        all.push(HostEvent::LastLines { stream, lines: vec![format!("rank {rank}")] });
        let mut not_filed = Gaps::default();
        not_filed.declare(Span::new(Offset(8), Offset(9)), "full");
        let not_synced = Gaps::default();
        all.push(HostEvent::Filed { stream, filed_bytes: 8, not_filed, not_synced });
    }
    let kills = MemoryKills::new(format!("/{host}"), 1, vec![first_rank]);
    all.push(HostEvent::MemoryKills { cgroups: vec![kills], ranks: vec![first_rank] });
    all.push(HostEvent::Stage(StageReport::new(Stage::Eof, Duration::from_millis(host), false)));
    all.push(if end { HostEvent::Down } else { lost("gone") });
    all
}

/// What is told of a record at the end.
fn told(record: &Record) -> String {
    let runs = record.runs.in_order();
    let first = first(record);
    let Record { job, command, world_size, started, not_synced, .. } = record;
    let mut hosts = record.hosts.clone();
    // Whether it has repeated itself after it was lost.
    hosts.values_mut().for_each(|host| host.spoke_again = false);
    let over = (record.ranks_are_over(), record.is_read(), record.is_gone());
    format!(
        "{job} {command:?} {world_size} {started:?} {hosts:?} {not_synced:?} {runs:?} {first:?} {over:?} {:?}",
        record.stages()
    )
}

proptest! {
    /// In whatever order hosts' events come among each other, and however often a host begins to say
    /// all of it again.
    #[test]
    fn hosts_are_told_alike_in_any_order(
        codes in prop::collection::vec(0..3_i32, 6),
        ends in any::<[bool; 3]>(),
        picks in prop::collection::vec((0..3_usize, 0..20_usize), 0..200),
    ) {
        let lives: Vec<Vec<HostEvent>> = (0..3)
            .map(|host: usize| {
                let (id, codes) = (host as u64 + 1, codes[2 * host..2 * host + 2].to_vec());
                life(id, 2 * u32::try_from(host).unwrap(), codes, ends[host])
            })
            .collect();
        let mut one_by_one = Record::new(Expected::EveryRank);
        for (host, events) in lives.iter().enumerate() {
            for event in events {
                said_by(&mut one_by_one, host as u64 + 1, event.clone());
            }
        }
        let mut mixed = Record::new(Expected::EveryRank);
        let mut next = [0; 3];
        for (host, back) in picks {
            // Now and then a host that was cut off says again what it has said last.
            next[host] = if back == 0 { 0 } else { next[host] };
            if let Some(event) = lives[host].get(next[host]) {
                said_by(&mut mixed, host as u64 + 1, event.clone());
                next[host] += 1;
            }
        }
        for host in 0..3 {
            for event in &lives[host][next[host].min(lives[host].len())..] {
                said_by(&mut mixed, host as u64 + 1, event.clone());
            }
        }
        prop_assert_eq!(told(&mixed), told(&one_by_one));
    }
}

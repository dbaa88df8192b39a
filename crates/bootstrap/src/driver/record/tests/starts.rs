//! Ranks that are started again.

use super::*;

#[test]
fn a_rank_that_is_started_again_has_a_record_of_each_start() {
    let mut record = Record::new(Expected::Hosts(1));
    said(&mut record, up(1));
    said(&mut record, started(0));
    said(&mut record, exited(0, 1, false));
    let HostEvent::Started { rank, capture, time, .. } = started(0) else { unreachable!() };
    let again = HostEvent::Started { rank, launch: Launch(7), pid: Some(10), capture, time };
    said(&mut record, again);
    assert_eq!(record.runs.in_order().len(), 2);
    assert_eq!(record.runs.last().map(|run| run.pid).collect::<Vec<_>>(), [Some(10)]);
    assert!(!record.ranks_are_over());
}

#[test]
fn a_failure_that_its_host_starts_again_is_none_and_the_rank_is_waited_for() {
    let mut record = Record::new(Expected::Hosts(1));
    said(&mut record, up(1));
    said(&mut record, started(0));
    let HostEvent::Exited { rank, launch, exit, stopped, time, .. } = exited(0, 1, false) else {
        unreachable!()
    };
    let fails = HostEvent::Exited { rank, launch, exit, stopped, starts_again: true, time };
    for _ in 0..2 {
        said(&mut record, fails.clone());
        assert!(!record.ranks_are_over(), "there is nothing that runs now");
        assert_eq!(record.runs.in_order().len(), 2, "what is said twice counts once");
    }
    assert_eq!((first(&record), record.stop_cause(None)), (None, None));
    let started =
        |launch| HostEvent::Started { rank, launch, pid: None, capture: Capture::Pipes, time };
    said(&mut record, started(Launch(7)));
    let exit = Exit::Code(3);
    let launch = Launch(7);
    said(&mut record, HostEvent::Exited { rank, launch, exit, stopped, starts_again: false, time });
    assert!(record.ranks_are_over());
    assert_eq!(record.first_failure().and_then(|first| first.run.exit_code()), Some(3));
}

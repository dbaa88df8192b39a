//! When the ranks of all hosts are stopped.

use super::*;
use crate::plan::OnFailure;

/// Two hosts of two ranks, the first of which was told to go on when one fails.
fn two() -> Record {
    let mut record = Record::new(Expected::EveryRank);
    let mut first = part("a", 4, 0, 2);
    let HostEvent::Up { stops_all, .. } = &mut first else { unreachable!() };
    *stops_all = false;
    said_by(&mut record, 1, first);
    said_by(&mut record, 2, part("b", 4, 2, 2));
    for (host, rank) in [(1, 0), (1, 1), (2, 2), (2, 3)] {
        said_by(&mut record, host, started(rank));
    }
    record
}

fn causes(record: &Record) -> [Option<StopCause>; 3] {
    [None, Some(OnFailure::Stop), Some(OnFailure::Continue)].map(|told| record.stop_cause(told))
}

#[test]
fn a_failure_stops_all_where_its_host_or_the_driver_was_told_so() {
    let (failure, none) = (Some(StopCause::Failure), None);
    let mut record = two();
    assert_eq!(causes(&record), [none; 3]);
    said_by(&mut record, 1, exited(0, 3, false));
    assert_eq!(causes(&record), [none, failure, none], "its host goes on");
    said_by(&mut record, 2, exited(2, 3, false));
    assert_eq!(causes(&record), [failure, failure, none]);
    said_by(&mut record, 2, HostEvent::Stopping { cause: StopCause::Failure });
    assert_eq!(causes(&record), [failure, failure, none], "it has stopped its own");
    said_by(&mut record, 2, HostEvent::Stopping { cause: StopCause::Owner });
    assert_eq!(causes(&record), [failure, failure, none], "the first cause counts");
}

#[test]
fn a_host_that_is_lost_has_failed_and_one_that_is_asked_to_stop_asks_all() {
    let (failure, none) = (Some(StopCause::Failure), None);
    let mut record = two();
    said_by(&mut record, 1, lost("gone"));
    assert_eq!(causes(&record), [none, failure, none]);
    said_by(&mut record, 2, lost("gone"));
    assert_eq!(causes(&record), [failure, failure, none]);
    let mut record = two();
    said_by(&mut record, 1, HostEvent::Stopping { cause: StopCause::Owner });
    assert_eq!(causes(&record), [Some(StopCause::Owner); 3]);
}

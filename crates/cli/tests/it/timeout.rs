//! The time of the whole job.

use crate::support::{Place, report};

#[test]
fn a_job_that_takes_longer_is_stopped_and_loses_nothing() {
    let place = Place::new();
    let script = "echo begun; [ $RANK != 1 ] || exit 0; exec sleep 60";
    let args = ["run", "-n", "3", "--job", "j", "--timeout", "5s", "--", "sh", "-c", script];
    let done = place.lastline(&args).expect(124);
    assert_eq!(done.sorted(), ["[0] begun", "[1] begun", "[2] begun"]);
    let err = done.err();
    assert!(err.contains("lastline: the job's 5 s are over: ranks 0,2 are stopped\n"), "{err}");
    assert!(err.contains("lastline: stopped by timeout; 3 ranks"), "{err}");
    let report = report(&place.job("j"));
    assert_eq!(report["stopped_by"], "timeout");
    assert_eq!(report["first_failure"], serde_json::Value::Null);
    for (rank, stopped) in [(0, true), (1, false), (2, true)] {
        assert_eq!(report["ranks"][rank]["stopped_by_lastline"], stopped, "{rank}");
    }
}

#[test]
fn a_job_that_ends_in_time_is_as_any_other() {
    for time in ["1h", "0"] {
        let place = Place::new();
        let args = ["run", "-n", "2", "--job", "j", "--timeout", time, "--", "true"];
        let done = place.lastline(&args).expect(0);
        assert!(!done.err().contains("stopped"), "{}", done.err());
        assert_eq!(report(&place.job("j"))["stopped_by"], serde_json::Value::Null);
    }
}

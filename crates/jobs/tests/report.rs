//! The report's JSON.

use lastline_jobs::{
    BarrierReport, FirstFailure, HostReport, LeftOut, OtherFailure, RankReport, RefusedHost, Report,
};
use lastline_line::{BarrierOutcome, Exit, Stage, StopCause, Stream};
use serde_json::Value;

/// As it was written when every word of it was a string.
const WRITTEN: &str = include_str!("data/report.json");

fn replaced(from: &str, to: &str) -> Report {
    let text = WRITTEN.replace(from, to);
    assert_ne!(text, WRITTEN);
    serde_json::from_str(&text).expect("a report")
}

#[test]
fn a_report_is_written_as_it_was_read() {
    let report: Report = serde_json::from_str(WRITTEN).unwrap();
    assert_eq!(serde_json::to_string_pretty(&report).unwrap() + "\n", WRITTEN);
    assert_eq!(report.stopped_by, Some(StopCause::Signal(2)));
    assert_eq!(report.told_to_stop(), Some(2));
    assert_eq!(report.barriers_left_out[&BarrierOutcome::Lost], 2);
    assert_eq!(report.teardown[1].stage, Stage::Print);
}

#[test]
fn words_of_other_versions_are_left_out_and_the_rest_counts() {
    let report = replaced("signal 2 (SIGINT)", "the tide");
    assert_eq!((report.stopped_by, report.told_to_stop()), (None, None));
    assert_eq!(replaced("\"signal\",\n", "\"sing\",\n").teardown.len(), 1);
    let report = replaced("timed out", "postponed");
    let version = |barrier: &BarrierReport| barrier.version;
    assert_eq!(report.barriers.iter().map(version).collect::<Vec<_>>(), [1]);
    assert_eq!(report.barriers_left_out.len(), 2);
}

#[test]
fn a_failure_is_read_back_whatever_version_told_it() {
    let mut failure = FirstFailure::new(3, "a");
    failure.last_lines = vec!["ValueError: bad shard 3".into()];
    failure.others = vec![OtherFailure::new(vec![5], vec!["out of memory".into()])];
    let mut older = serde_json::to_value(&failure).unwrap();
    for field in ["last_lines_of", "left_out", "same_text_but_for"] {
        assert_eq!(older.get(field), None, "{field}");
    }
    older["others"][0].as_object_mut().unwrap().remove("statement");
    let read: FirstFailure = serde_json::from_value(older).unwrap();
    assert_eq!((read.last_lines_of, read.others[0].statement.as_str()), (None, ""));
    failure.last_lines_of = Some(Stream::Stderr);
    failure.left_out = Some(LeftOut::new(1, 31));
    failure.same_text_but_for = Some("ValueError: bad shard {3..7}".into());
    let written = serde_json::to_value(&failure).unwrap();
    assert_eq!(written["last_lines_of"], "stderr");
    assert_eq!(written["left_out"], serde_json::json!({ "after": 1, "lines": 31 }));
    assert_eq!(serde_json::from_value::<FirstFailure>(written).unwrap(), failure);
}

#[test]
fn hosts_are_told_where_there_is_something_to_tell() {
    let mut report = Report::new("j", Vec::new(), 1);
    assert_eq!(serde_json::to_value(&report).unwrap().get("hosts"), None);
    report.hosts = vec![HostReport::new(0, "a"), HostReport::new(1, "b")];
    let lost = &mut report.hosts[1];
    lost.lost = Some("silent for 60 s".into());
    (lost.pid, lost.first_rank, lost.procs) = (Some(7), 4, 2);
    (lost.heartbeat_lost, lost.silent_seconds) = (true, Some(60.25));
    lost.clock_offset_seconds = Some(-3600.5);
    lost.clock_offset_uncertainty_seconds = Some(0.125);
    let written = serde_json::to_value(&report).unwrap();
    let hosts = r#"[
        {"node_rank": 0, "host": "a", "first_rank": 0, "procs": 0, "heartbeat_lost": false},
        {"node_rank": 1, "host": "b", "pid": 7, "first_rank": 4, "procs": 2,
         "lost": "silent for 60 s", "heartbeat_lost": true, "silent_seconds": 60.25,
         "clock_offset_seconds": -3600.5, "clock_offset_uncertainty_seconds": 0.125}
    ]"#;
    assert_eq!(written["hosts"], serde_json::from_str::<Value>(hosts).unwrap());
    assert_eq!(serde_json::from_value::<Report>(written).unwrap(), report);
    // As it was written before those were told.
    let older = r#"{"node_rank":1,"host":"b","lost":"silent for 60 s"}"#;
    let read: HostReport = serde_json::from_str(older).unwrap();
    assert_eq!((read.pid, read.procs, read.clock_offset_seconds), (None, 0, None));
}

#[test]
fn hosts_that_were_refused_are_told_as_far_as_they_are_known() {
    let mut report = Report::new("j", Vec::new(), 1);
    assert_eq!(serde_json::to_value(&report).unwrap().get("refused"), None);
    let mut known = RefusedHost::new("rank 0 is taken");
    (known.host, known.pid) = (Some("a".into()), Some(7));
    report.refused = vec![RefusedHost::new("b, process 8: rank 0 is taken"), known];
    let written = serde_json::to_value(&report).unwrap();
    let refused = r#"[
        {"why": "b, process 8: rank 0 is taken"},
        {"host": "a", "pid": 7, "why": "rank 0 is taken"}
    ]"#;
    assert_eq!(written["refused"], serde_json::from_str::<Value>(refused).unwrap());
    assert_eq!(serde_json::from_value::<Report>(written).unwrap(), report);
}

#[test]
fn how_a_rank_ended_may_be_unknown_and_is_no_failure_then() {
    let mut rank = RankReport::new(3, "a");
    assert_eq!((rank.exit(), rank.how().as_str()), (None, "did not end"));
    let ends = [Exit::Code(0), Exit::Code(3), Exit::Signal(9), Exit::Unknown];
    for (exit, failed) in ends.into_iter().zip([false, true, true, false]) {
        rank.set_exit(exit);
        let written = serde_json::to_value(&rank).unwrap();
        let told = written.get("exit_unknown");
        assert_eq!(told, (exit == Exit::Unknown).then_some(&Value::Bool(true)), "{exit:?}");
        let read: RankReport = serde_json::from_value(written).unwrap();
        assert_eq!((read.exit(), read.failed()), (Some(exit), failed));
    }
    assert_eq!((rank.succeeded(), rank.code, rank.signal), (false, None, None));
}

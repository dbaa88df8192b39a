//! The laws of snapshots and changes, and that both travel whole.

use std::collections::BTreeMap;
use std::time::Duration;

use lastline_line::{
    BarrierOutcome, Exit, Launch, Offset, Span, Stage, StopCause, Stream, StreamId, Timestamp,
    Version,
};
use lastline_watch::protocol::Message;
use lastline_watch::{
    BarrierReport, BarriersView, Change, EndView, FailureView, FirstFailure, GapSide, GapView,
    RankState, RankView, Snapshot, StageView,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

/// Of so few values that two of them are often the same.
fn time() -> impl Strategy<Value = Option<Timestamp>> {
    option::of((0..4_u64).prop_map(Timestamp))
}

fn text() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "a", "\u{1b}[31mé\"\n", "</script>"]).prop_map(String::from)
}

fn state() -> impl Strategy<Value = RankState> {
    let exit = prop_oneof![
        (0..3).prop_map(Exit::Code),
        (8..10).prop_map(Exit::Signal),
        Just(Exit::Unknown)
    ];
    prop_oneof![
        Just(RankState::Waiting),
        Just(RankState::Running),
        exit.prop_map(RankState::Exited),
        text().prop_map(RankState::NotStarted),
        text().prop_map(RankState::Lost),
    ]
}

fn view() -> impl Strategy<Value = RankView> {
    let who = (text(), option::of((0..3_u64).prop_map(|n| Launch(n << 62))), option::of(0..3_u32));
    let said = (0..3_u64, 0..3_u64, 0..3_u64, time(), text());
    (who, state(), (time(), time(), time()), any::<bool>(), said).prop_map(
        |((host, launch, pid), state, (started, ended, silent_since), stopped, said)| {
            let mut view = RankView::waiting(0);
            (view.host, view.launch, view.pid, view.state) = (host, launch, pid, state);
            (view.started, view.ended, view.silent_since) = (started, ended, silent_since);
            view.stopped = stopped;
            (view.bytes, view.lines, view.shown_bytes, view.last_output, view.last_line) = said;
            view
        },
    )
}

fn ranks() -> impl Strategy<Value = Vec<RankView>> {
    btree_map(0..6_u32, view(), 0..6).prop_map(|views: BTreeMap<u32, RankView>| {
        let with_rank = |(rank, mut view): (u32, RankView)| {
            view.rank = rank;
            view
        };
        views.into_iter().map(with_rank).collect()
    })
}

fn gaps() -> impl Strategy<Value = Vec<GapView>> {
    vec((0..2_u32, any::<bool>(), 0..3_u64, 0..3_u64, text()), 0..5).prop_map(|gaps| {
        let gap = |(rank, lost, from, len, cause)| {
            let stream = StreamId::new(Launch(u64::MAX), rank, Stream::Stderr);
            let side = if lost { GapSide::Lost } else { GapSide::NotFiled };
            let span = Span::new(Offset(from), Offset(from + len));
            let gap = GapView::new(stream, side, span, cause);
            (gap.key(), gap)
        };
        gaps.into_iter().map(gap).collect::<BTreeMap<_, _>>().into_values().collect()
    })
}

fn stages() -> impl Strategy<Value = Vec<StageView>> {
    let stage = (0..Stage::ALL.len(), any::<bool>(), any::<bool>(), 0..3_u8);
    vec(stage, 0..4).prop_map(|stages| {
        let stage = |(at, over, timed_out, quarters)| {
            let (stage, seconds): (Stage, f64) = (Stage::ALL[at], f64::from(quarters) / 4.0);
            let running = StageView::running(stage, Timestamp(u64::from(quarters)));
            (stage, if over { StageView::over(stage, seconds, timed_out) } else { running })
        };
        stages.into_iter().map(stage).collect::<BTreeMap<_, _>>().into_values().collect()
    })
}

fn failure() -> impl Strategy<Value = Option<FailureView>> {
    let failure = (time(), 0..3_u32, text(), vec(text(), 0..3));
    option::of(failure.prop_map(|(time, rank, host, lines)| {
        let mut failure = FirstFailure::new(rank, host);
        (failure.code, failure.last_lines) = (Some(1), lines);
        FailureView::new(time, failure)
    }))
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    let job = (text(), vec(text(), 0..3), 0..3_u32, time(), option::of(Just(StopCause::Signal(2))));
    let barrier = option::of(0..3_u64);
    let ended = option::of((time(), any::<bool>()));
    let rest = (barrier, stages(), gaps(), 0..3_u64, 0..3_u64, ended);
    (job, ranks(), failure(), rest).prop_map(|(job, ranks, failure, rest)| {
        let mut snapshot = Snapshot::default();
        (snapshot.ranks, snapshot.first_failure) = (ranks, failure);
        let (barrier, stages, gaps, left_out, lost_bytes, ended) = rest;
        let of = &mut snapshot.job;
        (of.id, of.command, of.world_size, of.started, of.stopped_by) = job;
        let report = |version| {
            BarrierReport::new(
                Version(version),
                Duration::from_millis(250),
                BarrierOutcome::Reached,
            )
        };
        snapshot.barriers = BarriersView::new(barrier.unwrap_or(0), barrier.map(report));
        (snapshot.stages, snapshot.gaps, snapshot.gaps_left_out) = (stages, gaps, left_out);
        snapshot.ledger.lost_bytes = lost_bytes;
        snapshot.ended = ended.map(|(time, balanced)| {
            let mut end = EndView::default();
            (end.time, end.balanced) = (time, balanced);
            end
        });
        snapshot
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn changes_make_of_one_snapshot_the_other(a in snapshot(), b in snapshot()) {
        let changes = a.changes_to(&b);
        let mut seen = a.clone();
        seen.apply_all(changes);
        prop_assert_eq!(&seen, &b);
        prop_assert_eq!(b.changes_to(&b), Vec::new());
    }

    #[test]
    fn what_is_told_travels_whole(a in snapshot(), b in snapshot()) {
        let told = Message::Snapshot(Box::new(a.clone()));
        let events = a.changes_to(&b).into_iter().map(Message::Event);
        for message in [told].into_iter().chain(events) {
            let line = String::from_utf8(message.to_line()).unwrap();
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert_eq!(Message::parse(&line).unwrap(), Some(message));
        }
    }
}

/// What a rank does is told as that, and not as another view of it.
#[test]
fn what_happens_to_a_rank_has_a_name() {
    let mut before = Snapshot::default();
    before.ranks.push(RankView::waiting(0));
    let mut after = before.clone();
    let view = &mut after.ranks[0];
    (view.state, view.launch, view.started) =
        (RankState::Running, Some(Launch(7)), Some(Timestamp(1)));
    (view.bytes, view.last_output, view.last_line) = (9, Some(Timestamp(2)), "hi".into());
    let told = before.changes_to(&after);
    assert!(
        matches!(&told[..], [Change::Started { rank: 0, .. }, Change::Output(said)] if said[0].bytes == 9),
        "{told:?}"
    );
    before = after.clone();
    let view = &mut after.ranks[0];
    (view.state, view.ended) = (RankState::Exited(Exit::Code(3)), Some(Timestamp(3)));
    view.bytes = 12;
    let told = before.changes_to(&after);
    assert!(
        matches!(&told[..], [Change::Output(said), Change::Exited { exit: Exit::Code(3), .. }] if said[0].bytes == 3),
        "{told:?}"
    );
    let mut silent = before.clone();
    silent.ranks[0].silent_since = Some(Timestamp(2));
    let told = before.changes_to(&silent);
    assert!(matches!(&told[..], [Change::Silent { rank: 0, since: Some(_) }]), "{told:?}");
}

#[test]
fn what_a_later_version_adds_is_skipped_and_what_is_no_json_is_told() {
    let added = r#"{"event":{"moved":{"rank":1}}}"#;
    assert_eq!(Message::parse(added).unwrap(), None);
    let field = r#"{"hello":{"version":1,"job":"j","colour":"red"}}"#;
    assert!(
        matches!(Message::parse(field).unwrap(), Some(Message::Hello(hello)) if hello.job == "j")
    );
    Message::parse(r#"{"event":"#).unwrap_err();
}

//! Who said how much when.

use std::time::Duration;

use lastline_line::{Exit, Launch, Timestamp};
use lastline_watch::{Activity, Cell, Change, RankState, RankView, Snapshot};
use proptest::prelude::*;

fn at(millis: u64) -> Timestamp {
    Timestamp(1_000_000_000).after(Duration::from_millis(millis))
}

proptest! {
    /// Whatever was said when: nothing is lost, there are never more columns than asked for, and
    /// each byte stands in the column of its time.
    #[test]
    fn columns_are_bounded_and_add_up(
        said in prop::collection::vec((0..4_u32, 0..200_000_u64, 0..50_u64), 0..60),
        columns in 2..20_usize,
    ) {
        let mut activity = Activity::new(at(0), columns);
        for (rank, time, bytes) in &said {
            activity.add(*rank, at(*time), *bytes);
            prop_assert!(activity.columns() <= columns);
        }
        for (rank, row) in activity.rows() {
            let mut wanted = vec![0; row.bytes.len()];
            for (_, time, bytes) in said.iter().filter(|it| it.0 == rank && it.2 > 0) {
                let width = activity.column().as_micros() as u64;
                wanted[(time * 1000 / width) as usize] += bytes;
            }
            prop_assert_eq!(&row.bytes, &wanted);
        }
        let widths = activity.column().as_micros() / 250_000;
        prop_assert!(widths.is_power_of_two());
    }
}

fn view(bytes: u64, launch: Option<u64>, state: RankState) -> RankView {
    let mut view = RankView::waiting(0);
    (view.bytes, view.launch, view.state) = (bytes, launch.map(Launch), state);
    view.started = Some(at(1_000));
    view
}

#[test]
fn a_cell_says_what_a_rank_did() {
    let mut activity = Activity::new(at(0), 120);
    let mut seen = Snapshot::default();
    let mut tell = |activity: &mut Activity, change: Change, millis| {
        seen.apply(change.clone());
        activity.take(&change, &seen, at(millis));
    };
    tell(&mut activity, Change::Rank(view(7, Some(1), RankState::Running)), 1_100);
    let exit = Exit::Code(3);
    tell(
        &mut activity,
        Change::Exited { rank: 0, exit, stopped: false, time: Some(at(20_100)) },
        20_200,
    );
    activity.reach(at(22_000));
    let cell = |millis: usize| activity.cell(0, millis / 250);
    assert_eq!(cell(500), Cell::NotYet);
    assert_eq!(cell(1_000), Cell::Bytes(7));
    assert_eq!(cell(5_000), Cell::Quiet);
    assert_eq!(cell(15_000), Cell::Silent);
    assert_eq!(cell(20_000), Cell::Ended { bytes: 0, failed: true });
    assert_eq!(cell(21_000), Cell::Over);
    assert_eq!(activity.cell(9, 4), Cell::NotYet);
}

/// Whatever tells it, a byte counts once; another start counts from its beginning.
#[test]
fn what_was_told_counts_once() {
    let states = [
        view(6, None, RankState::Running),
        view(9, Some(1), RankState::Running),
        view(10, Some(1), RankState::Exited(Exit::Code(0))),
        // As a report that was rebuilt has it.
        view(10, None, RankState::Lost(String::new())),
        view(10, Some(1), RankState::Lost(String::new())),
        view(4, Some(2), RankState::Running),
    ];
    let mut activity = Activity::new(at(0), 120);
    let mut seen = Snapshot::default();
    for state in states {
        let mut later = seen.clone();
        later.apply(Change::Rank(state));
        for change in seen.changes_to(&later) {
            seen.apply(change.clone());
            activity.take(&change, &seen, at(2_000));
        }
    }
    assert_eq!(activity.row(0).unwrap().bytes.iter().sum::<u64>(), 14);
}

//! Who is named, and when.

use lastline_line::Launch;
use proptest::prelude::*;

use super::*;

const AFTER: Duration = Duration::from_secs(60);

fn id(rank: u32) -> StreamId {
    StreamId::new(Launch(1), rank, Stream::Stdout)
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What is said of `ranks` ranks from second `from` to `to`, when `writes` says who writes in which
/// second.
fn run(
    silence: &mut Silence,
    ranks: u32,
    seconds: std::ops::Range<u64>,
    writes: impl Fn(u32, u64) -> bool,
) -> Vec<(u64, String)> {
    let mut said = Vec::new();
    for second in seconds {
        for rank in (0..ranks).filter(|rank| writes(*rank, second)) {
            let line = format!("step {second} of rank {rank}\n");
            silence.wrote(id(rank), line.as_bytes(), at(second));
        }
        said.extend(silence.look(at(second), |_| false).into_iter().map(|note| (second, note)));
    }
    said
}

fn job(ranks: u32) -> Silence {
    Silence::new(AFTER, &RankSet::first(ranks))
}

#[test]
fn who_is_silent_while_others_write_is_named_once_with_its_last_line() {
    let mut silence = job(8);
    let said = run(&mut silence, 8, 0..300, |rank, second| ![2, 5].contains(&rank) || second < 10);
    let note = "ranks 2,5 silent for 60 s; last: step 9 of rank 2";
    assert_eq!(said, [(69, note.to_owned())]);
}

#[test]
fn who_speaks_and_falls_silent_again_is_named_again() {
    let mut silence = job(3);
    let said = run(&mut silence, 3, 0..400, |rank, second| rank != 1 || second % 200 == 0);
    let seconds: Vec<u64> = said.iter().map(|(second, _)| *second).collect();
    assert_eq!(seconds, [60, 260]);
}

#[test]
fn who_never_wrote_is_named_too_and_who_has_ended_is_not() {
    let mut silence = job(3);
    let said = run(&mut silence, 3, 0..100, |rank, _| rank == 0);
    assert_eq!(said, [(60, "ranks 1,2 silent for 60 s; nothing written yet".to_owned())]);
    let mut silence = job(3);
    for second in 0..200 {
        silence.wrote(id(0), b"on\n", at(second));
        assert_eq!(silence.look(at(second), |rank| rank > 0), [""; 0]);
    }
}

#[test]
fn when_all_are_silent_nobody_is_named() {
    let mut silence = job(8);
    // They do not stop in the same second.
    let said = run(&mut silence, 8, 0..1000, |rank, second| second < 20 + u64::from(rank));
    assert_eq!(said, []);
}

#[test]
fn a_job_that_writes_seldom_has_no_silent_rank() {
    let mut silence = job(8);
    // Every hundred seconds, each a little later than the one before.
    let said = run(&mut silence, 8, 0..1000, |rank, second| second % 100 == u64::from(rank));
    assert_eq!(said, []);
}

#[test]
fn time_in_which_this_process_stood_still_does_not_count() {
    let mut silence = job(2);
    assert_eq!(run(&mut silence, 2, 0..30, |rank, second| rank == 0 || second < 10), []);
    silence.wrote(id(0), b"back\n", at(5000));
    assert_eq!(silence.look(at(5000), |_| false), [""; 0]);
    let said = run(&mut silence, 2, 5001..5100, |rank, _| rank == 0);
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].0, 5040, "twenty seconds before, forty after");
}

#[test]
fn notes_are_few_and_short() {
    let mut silence = job(200);
    for rank in 1..200 {
        let line = format!(
            "{} {}\n",
            ["alpha", "beta", "gamma", "delta"][rank as usize % 4],
            "x".repeat(300)
        );
        silence.wrote(id(rank), line.as_bytes(), at(0));
    }
    let said = run(&mut silence, 1, 1..100, |_, _| true);
    assert_eq!(said.len(), 3);
    assert!(said.iter().all(|(_, note)| note.chars().count() < 220), "{said:?}");
    assert!(
        said[0].1.starts_with("ranks 1,5,9,13,17,21,25,29,33,37,41,45,49,53… (50 ranks) silent"),
        "{said:?}"
    );
}

#[test]
fn the_last_line_is_the_last_that_says_anything() {
    let last = |pieces: &[&str]| {
        let mut tail = Tail::default();
        pieces.iter().for_each(|piece| tail.push(piece.as_bytes()));
        tail.shown()
    };
    assert_eq!(last(&["one\ntwo\n", "\n \n"]), "two");
    assert_eq!(last(&["one\nwaiting ", "for lock"]), "waiting for lock");
    assert_eq!(last(&["half ", "and half\n", "next"]), "next");
    assert_eq!(last(&["\r 10%", "\r 20%"]), "20%");
    assert_eq!(last(&["\x1b[31mred\x1b[0m\x1b[K\x07\n"]), "red");
    assert_eq!(last(&[&"x".repeat(2000)]).chars().count(), SHOWN_CHARS + 1);
}

proptest! {
    /// Against the obvious: at each second, a rank is silent if it wrote nothing in the last sixty
    /// while somebody else wrote in each of them.
    #[test]
    fn named_are_the_silent_and_nobody_else(
        pauses in prop::collection::vec((0..200_u64, 0..150_u64), 1..6),
    ) {
        let ranks = pauses.len() as u32 + 1;
        let writes = |rank: u32, second: u64| match rank.checked_sub(1) {
            None => true,
            Some(other) => {
                let (from, long) = pauses[other as usize];
                !(from..from + long).contains(&second)
            }
        };
        let mut silence = job(ranks);
        let said = run(&mut silence, ranks, 0..400, writes);
        let mut named = vec![0; pauses.len()];
        for (second, note) in &said {
            let set: RankSet = note.split(' ').nth(1).unwrap().parse().unwrap();
            for rank in set.iter() {
                named[rank as usize - 1] += 1;
                let quiet = (second - 59..=*second).all(|second| !writes(rank, second));
                prop_assert!(quiet, "rank {} was named at {}", rank, second);
            }
        }
        for (at, (_, long)) in pauses.iter().enumerate() {
            // A rank that never spoke begins at zero, one that did a second earlier.
            prop_assert!(named[at] == u32::from(*long >= 61) || *long == 60, "{:?}", said);
        }
    }
}

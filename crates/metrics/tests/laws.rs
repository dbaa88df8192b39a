//! The laws of the text, by reading it as a scraper does.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as the test itself does")]

use std::collections::{BTreeMap, BTreeSet};

use lastline_line::{Exit, Stream, Timestamp};
use lastline_metrics::render;
use lastline_watch::{Change, FiledTally, Snapshot, Tally};
use proptest::prelude::*;

/// A text as it is read: for each sample its family's kind and its value, by name and labels.
type Read = BTreeMap<(String, BTreeMap<String, String>), (String, f64)>;

/// Reads a text, and checks that it keeps to the format.
fn read(text: &str) -> Read {
    let (mut seen, mut samples) = (BTreeSet::new(), Read::new());
    let (mut helped, mut family, mut kind) = (String::new(), String::new(), String::new());
    for line in text.strip_suffix('\n').expect("a last newline").split('\n') {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            rest.split(' ').next().unwrap().clone_into(&mut helped);
            assert!(seen.insert(helped.clone()), "{helped} twice");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, of) = rest.split_once(' ').unwrap();
            assert_eq!(name, helped, "its help stands before it");
            assert_eq!(of == "counter", name.ends_with("_total"), "{name}");
            (family, kind) = (name.to_owned(), of.to_owned());
        } else {
            let (name, labels, value) = sample(line);
            assert_eq!(name, family, "a sample outside of its family");
            let value = value.parse().expect("a number");
            let again = samples.insert((name, labels), (kind.clone(), value));
            assert!(again.is_none(), "the same sample twice: {line}");
        }
    }
    samples
}

/// The name, the labels and the value of a sample.
fn sample(line: &str) -> (String, BTreeMap<String, String>, &str) {
    let (name, mut rest) = line.split_once('{').expect("labels");
    let mut labels = BTreeMap::new();
    loop {
        let (label, quoted) = rest.split_once("=\"").expect("a label");
        let mut value = String::new();
        let mut letters = quoted.char_indices();
        let end = loop {
            match letters.next().expect("a closing quote") {
                (at, '"') => break at + 1,
                (_, '\\') => value.push(match letters.next().unwrap().1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, letter) => value.push(letter),
            }
        };
        assert!(labels.insert(label.to_owned(), value).is_none(), "a label twice: {line}");
        match quoted[end..].strip_prefix(',') {
            Some(more) => rest = more,
            None => return (name.to_owned(), labels, quoted[end..].strip_prefix("} ").unwrap()),
        }
    }
}

fn started(rank: u32, host: &str) -> Change {
    Change::Started { rank, host: host.into(), launch: None, pid: None, time: Some(Timestamp(1)) }
}

#[test]
fn a_job_of_which_nothing_is_known_has_a_text() {
    let samples = read(&render(&Snapshot::default(), &Tally::default(), Timestamp(0)));
    assert!(samples.keys().all(|(name, _)| name.starts_with("lastline_job_")), "{samples:?}");
}

#[test]
fn ranks_are_counted_by_where_they_stand() {
    let mut seen = Snapshot::default();
    (0..4).for_each(|rank| seen.apply(started(rank, "a")));
    let exits = [(1, Exit::Code(3), false), (2, Exit::Signal(9), true), (3, Exit::Code(0), false)];
    for (rank, exit, stopped) in exits {
        seen.apply(Change::Exited { rank, exit, stopped, time: None });
    }
    let samples = read(&render(&seen, &Tally::default(), Timestamp(0)));
    let states = samples.iter().filter(|((name, _), _)| name == "lastline_job_ranks");
    let states: Vec<(&str, f64)> =
        states.map(|((_, labels), (_, value))| (labels["state"].as_str(), *value)).collect();
    let expected = [
        ("failed", 1.0),
        ("lost", 0.0),
        ("not_started", 0.0),
        ("running", 1.0),
        ("stopped", 1.0),
        ("succeeded", 1.0),
        ("waiting", 0.0),
    ];
    assert_eq!(states, expected);
    let codes = samples.iter().filter(|((name, _), _)| name == "lastline_rank_exit_code");
    let codes: Vec<f64> = codes.map(|(_, (_, value))| *value).collect();
    assert_eq!(codes, [3.0, 137.0, 0.0]);
}

#[test]
fn streams_without_files_have_no_samples_of_files() {
    let mut tally = Tally::default();
    tally.streams.entry((0, Stream::Merged)).or_default().read_bytes = 7;
    let text = |tally: &Tally| render(&Snapshot::default(), tally, Timestamp(0));
    let names = |text: &str| {
        let samples = read(text).into_keys();
        samples.filter(|(name, _)| name.contains("filed")).count()
    };
    assert_eq!(names(&text(&tally)), 0);
    tally.streams.entry((0, Stream::Merged)).or_default().filed = Some(FiledTally::new(7, 0));
    assert_eq!(names(&text(&tally)), 2);
}

#[test]
fn a_rank_takes_some_room_and_not_more() {
    let mut seen = Snapshot::default();
    let mut tally = Tally::default();
    let bytes_without = render(&seen, &tally, Timestamp(0)).len();
    let (ranks, host) = (1000, "a-machine-with-a-name-of-32-bytes");
    seen.job.id = "20261127-120000-abcd".into();
    for rank in 0..ranks {
        seen.apply(started(rank, host));
        tally.ranks.entry(rank).or_default().starts = 1;
        for stream in Stream::SEPARATE {
            let counted = tally.streams.entry((rank, stream)).or_default();
            (counted.read_bytes, counted.filed) = (1 << 40, Some(FiledTally::new(1 << 40, 0)));
        }
    }
    let bytes = render(&seen, &tally, Timestamp(0)).len() - bytes_without;
    assert!(bytes < ranks as usize * 2500, "{bytes}");
}

/// What happens to a rank.
fn growth() -> impl Strategy<Value = (u32, bool, [u64; 5])> {
    (0..3_u32, any::<bool>(), any::<[u32; 5]>())
        .prop_map(|(rank, is_stdout, by)| (rank, is_stdout, by.map(u64::from)))
}

fn grow(tally: &mut Tally, (rank, is_stdout, by): (u32, bool, [u64; 5])) {
    let stream = if is_stdout { Stream::Stdout } else { Stream::Stderr };
    let ends = tally.ranks.entry(rank).or_default();
    ends.starts += by[0];
    ends.failures += by[1];
    let counted = tally.streams.entry((rank, stream)).or_default();
    counted.read_bytes += by[0];
    counted.read_lines += by[1];
    counted.shown_bytes += by[2];
    let filed = counted.filed.get_or_insert_default();
    filed.filed_bytes += by[3];
    filed.not_filed_bytes += by[4];
}

proptest! {
    #[test]
    fn any_text_is_a_label(job in ".*", host in "(.|[\\\\\"\n])*") {
        let mut seen = Snapshot::default();
        seen.job.id = job.clone();
        seen.apply(started(5, &host));
        let samples = read(&render(&seen, &Tally::default(), Timestamp(0)));
        for (_, labels) in samples.keys() {
            prop_assert_eq!(&labels["job"], &job);
            prop_assert_eq!(labels.get("host").unwrap_or(&host), &host);
        }
    }

    #[test]
    fn counters_never_decrease(growths in proptest::collection::vec(growth(), 1..20)) {
        let (mut seen, mut tally) = (Snapshot::default(), Tally::default());
        let mut before = Read::new();
        for growth in growths {
            // The rank begins anew; its counters do not.
            seen.apply(started(growth.0, "a"));
            let rank = growth.0;
            grow(&mut tally, growth);
            let now = read(&render(&seen, &tally, Timestamp(0)));
            for (sample, (kind, value)) in &before {
                if kind == "counter" && sample.1.get("host").is_none_or(|host| host == "a") {
                    prop_assert!(now[sample].1 >= *value, "{sample:?} after rank {rank}");
                }
            }
            before = now;
        }
    }
}

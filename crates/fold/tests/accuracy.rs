//! How well the miner groups lines by statement.
//!
//! The measure is that of the published comparisons: the share of lines whose group holds exactly
//! the lines of their true group.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use lastline_fold::Miner;

/// How a set of lines is grouped, as shares of its lines.
struct Score {
    /// Lines whose group holds exactly the lines of their true group.
    right: f64,
    /// Lines whose group holds lines of another true group, too.
    mixed: f64,
}

/// Scores the groups of `(true group, line)`s.
fn score(lines: &[(String, String)]) -> Score {
    let mut miner = Miner::default();
    let groups: Vec<_> = lines.iter().map(|(_, line)| miner.group(line.as_bytes())).collect();
    let mut found: HashMap<_, Vec<usize>> = HashMap::new();
    let mut wanted: HashMap<&str, usize> = HashMap::new();
    for (at, ((truth, _), group)) in lines.iter().zip(groups).enumerate() {
        found.entry(miner.resolve(group)).or_default().push(at);
        *wanted.entry(truth).or_default() += 1;
    }
    let (mut right, mut mixed) = (0, 0);
    for group in found.values() {
        let truths: HashSet<&str> = group.iter().map(|&at| lines[at].0.as_str()).collect();
        if truths.len() > 1 {
            mixed += group.len();
        } else if truths.iter().all(|truth| wanted[truth] == group.len()) {
            right += group.len();
        }
    }
    let share = |part: usize| part as f64 / lines.len() as f64;
    Score { right: share(right), mixed: share(mixed) }
}

#[test]
fn our_own_lines_are_grouped_right() {
    let lines: Vec<_> = include_str!("data/statements.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once('|').unwrap())
        .map(|(group, line)| (group.to_owned(), line.to_owned()))
        .collect();
    let mut miner = Miner::default();
    let groups: Vec<_> = lines.iter().map(|(_, line)| miner.group(line.as_bytes())).collect();
    let groups: Vec<_> = groups.into_iter().map(|group| miner.resolve(group)).collect();
    for (left, (truth, line)) in groups.iter().zip(&lines) {
        for (right, (other_truth, other)) in groups.iter().zip(&lines) {
            assert_eq!(left == right, truth == other_truth, "\n{line}\n{other}");
        }
    }
}

/// The records of a file of comma-separated values with quotes.
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut characters = text.chars().filter(|&character| character != '\r').peekable();
    while let Some(character) = characters.next() {
        match character {
            // Two quotes stand for one.
            '"' if quoted && characters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            _ => field.push(character),
        }
    }
    if !record.is_empty() {
        record.push(field);
        records.push(record);
    }
    records
}

/// The column `name` of `records`, the first of which names the columns.
fn column(records: &[Vec<String>], name: &str) -> Vec<String> {
    let at = records[0].iter().position(|column| column == name).expect("a column");
    records[1..].iter().map(|record| record[at].clone()).collect()
}

fn folder(variable: &str, name: &str) -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    std::env::var_os(variable).map_or(beside, PathBuf::from)
}

/// The files of both collections of real logs, with the names of the sets.
fn sets() -> Vec<(&'static str, PathBuf)> {
    let loghub = folder("LASTLINE_LOGHUB", "loghub");
    let sites = folder("LASTLINE_SITES", "sites");
    let by_hand =
        LOGHUB.map(|set| (set, loghub.join(set).join(format!("{set}_2k.log_structured.csv"))));
    let by_site = SITES.map(|set| (set, sites.join(format!("{set}.csv"))));
    by_hand.into_iter().chain(by_site).collect()
}

/// Sets with labels made by hand.
const LOGHUB: [&str; 13] = [
    "Apache",
    "BGL",
    "HDFS",
    "HPC",
    "Hadoop",
    "Linux",
    "Mac",
    "OpenSSH",
    "OpenStack",
    "Proxifier",
    "Spark",
    "Thunderbird",
    "Zookeeper",
];
/// The sets of which most lines are grouped right by the simplest rules.
const FIRST: [&str; 8] = ["Apache", "BGL", "HDFS", "HPC", "Hadoop", "Linux", "OpenSSH", "Spark"];
/// Sets labelled by the place in the program that wrote the line.
const SITES: [&str; 6] = ["celery", "dask", "etcd", "pip", "ray", "ucx"];

#[test]
fn real_logs_are_grouped_right() {
    let (mut right, mut mixed, mut first) = (0.0, 0.0, 0.0);
    let sets = sets();
    for (set, path) in &sets {
        let Ok(bytes) = std::fs::read(path) else {
            println!(
                "no real logs at {}: nothing is measured (LASTLINE_LOGHUB, LASTLINE_SITES)",
                path.display()
            );
            return;
        };
        let records = records(&String::from_utf8_lossy(&bytes));
        let lines = column(&records, "EventId").into_iter().zip(column(&records, "Content"));
        let score = score(&lines.collect::<Vec<_>>());
        println!("{set}: right {:.4}, mixed {:.4}", score.right, score.mixed);
        assert!(score.right >= 0.81, "{set}: {}", score.right);
        assert!(score.mixed <= 0.08, "{set}: {}", score.mixed);
        right += score.right;
        mixed += score.mixed;
        first += if FIRST.contains(set) { score.right } else { 0.0 };
    }
    let first = first / FIRST.len() as f64;
    assert!(first >= 0.99, "mean of the first eight: {first}");
    let (right, mixed) = (right / sets.len() as f64, mixed / sets.len() as f64);
    println!("mean: right {right:.4}, mixed {mixed:.4}");
    assert!(right >= 0.96, "mean: {right}");
    assert!(mixed <= 0.01, "mean: {mixed}");
}

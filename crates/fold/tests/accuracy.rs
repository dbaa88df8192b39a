//! How well the miner groups lines by statement.
//!
//! The measure is that of the published comparisons: the share of lines whose group holds exactly
//! the lines of their true group.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use lastline_fold::Miner;

/// The share of `(true group, line)`s that are grouped right.
fn accuracy(lines: &[(String, String)]) -> f64 {
    let mut miner = Miner::default();
    let groups: Vec<_> = lines.iter().map(|(_, line)| miner.group(line.as_bytes())).collect();
    let mut found: HashMap<_, HashSet<usize>> = HashMap::new();
    let mut wanted: HashMap<_, HashSet<usize>> = HashMap::new();
    for (at, ((truth, _), group)) in lines.iter().zip(groups).enumerate() {
        found.entry(miner.resolve(group)).or_default().insert(at);
        wanted.entry(truth).or_default().insert(at);
    }
    let right = found.values().filter(|group| wanted.values().any(|truth| truth == *group));
    right.map(HashSet::len).sum::<usize>() as f64 / lines.len() as f64
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

fn loghub() -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/loghub");
    std::env::var_os("LASTLINE_LOGHUB").map_or_else(beside, PathBuf::from)
}

#[test]
fn real_logs_are_grouped_right() {
    let sets = ["Apache", "BGL", "HDFS", "HPC", "Hadoop", "Linux", "OpenSSH", "Spark"];
    let mut sum = 0.0;
    for set in sets {
        let path = loghub().join(set).join(format!("{set}_2k.log_structured.csv"));
        let Ok(bytes) = std::fs::read(&path) else {
            println!("no real logs at {}: nothing is measured (LASTLINE_LOGHUB)", path.display());
            return;
        };
        let records = records(&String::from_utf8_lossy(&bytes));
        let lines = column(&records, "EventId").into_iter().zip(column(&records, "Content"));
        let accuracy = accuracy(&lines.collect::<Vec<_>>());
        println!("{set}: {accuracy:.4}");
        assert!(accuracy >= 0.60, "{set}: {accuracy}");
        sum += accuracy;
    }
    let mean = sum / sets.len() as f64;
    println!("mean: {mean:.4}");
    assert!(mean >= 0.97, "mean: {mean}");
}

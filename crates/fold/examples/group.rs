//! Reads lines on stdin and prints the number of each line's group, in the order of the lines.
//!
//! ```text
//! cargo run --release -p lastline-fold --example group -- --mode similar < lines
//! ```
//!
//! `--mode similar` groups by statement, `--mode edit-distance` by the nearest earlier line. There
//! is no window, so the numbers are printed when all lines have been read: what a line belongs to
//! may turn out later.

use std::collections::HashMap;
use std::io::{self, BufWriter, Read, Write};

use lastline_fold::{GroupId, Miner, Nearest};

fn main() -> io::Result<()> {
    let mut text = Vec::new();
    io::stdin().lock().read_to_end(&mut text)?;
    let lines = text.strip_suffix(b"\n").unwrap_or(&text).split(|&byte| byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let groups = match mode(&arguments) {
        _ if text.is_empty() => Vec::new(),
        Some("similar") => by_statement(lines),
        Some("edit-distance") => by_distance(lines),
        _ => return Err(io::Error::other("usage: group [--mode similar|edit-distance] < lines")),
    };
    print(&groups)
}

fn mode(arguments: &[String]) -> Option<&str> {
    match arguments {
        [] => Some("similar"),
        [flag, mode] if flag == "--mode" => Some(mode),
        [both] => both.strip_prefix("--mode="),
        _ => None,
    }
}

fn by_statement<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Vec<u64> {
    let mut miner = Miner::default();
    let groups: Vec<GroupId> = lines.map(|line| miner.group(line)).collect();
    groups.into_iter().map(|group| miner.resolve(group).0).collect()
}

fn by_distance<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Vec<u64> {
    let mut nearest = Nearest::default();
    let group = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        nearest.find(&line).unwrap_or_else(|| nearest.insert(&line))
    };
    lines.map(group).collect()
}

/// Prints the groups numbered from zero in the order in which they appear.
fn print(groups: &[u64]) -> io::Result<()> {
    let mut numbers = HashMap::new();
    let mut out = BufWriter::new(io::stdout().lock());
    for group in groups {
        let next = numbers.len();
        writeln!(out, "{}", numbers.entry(group).or_insert(next))?;
    }
    out.flush()
}

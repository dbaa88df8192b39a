//! The nearest text, against the plain programme.

use std::collections::VecDeque;

use lastline_fold::{MAX_SHARE, Nearest};
use proptest::prelude::*;

/// The distance by the plain dynamic programme.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, left) in left.chars().enumerate() {
        let mut before = std::mem::replace(&mut row[0], i + 1);
        for (j, &right) in right.iter().enumerate() {
            let replaced = before + usize::from(left != right);
            before = row[j + 1];
            row[j + 1] = replaced.min(before + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

/// The nearest text, by comparing with all.
fn plain_nearest(texts: &VecDeque<(u64, String)>, text: &str) -> Option<u64> {
    let mut nearest = (MAX_SHARE, None);
    for (number, other) in texts {
        let longer = text.len().max(other.len());
        let share = if longer == 0 { 0.0 } else { distance(text, other) as f64 / longer as f64 };
        if share < nearest.0 {
            nearest = (share, Some(*number));
        }
    }
    nearest.1
}

/// Looks for each text, puts it in when nothing is near, and now and then takes the oldest out.
fn compare_with_plain<'a>(lines: impl Iterator<Item = &'a str>, keep: usize) {
    let mut nearest = Nearest::default();
    let mut texts = VecDeque::new();
    for line in lines {
        let expected = plain_nearest(&texts, line);
        assert_eq!(nearest.find(line), expected, "{line}");
        assert_eq!(nearest.find(line), expected, "the second time: {line}");
        if expected.is_none() {
            texts.push_back((nearest.insert(line), line.to_owned()));
        }
        if texts.len() > keep {
            texts.pop_front();
            nearest.remove_oldest();
        }
    }
}

proptest! {
    #[test]
    fn the_nearest_text_is_what_the_plain_programme_finds(
        lines in prop::collection::vec("[ab0-3é ]{0,24}", 1..60),
        keep in 1_usize..40,
    ) {
        compare_with_plain(lines.iter().map(String::as_str), keep);
    }

    #[test]
    fn the_nearest_of_long_texts_is_what_the_plain_programme_finds(
        words in prop::collection::vec(prop::collection::vec(0_usize..12, 12..30), 1..30),
    ) {
        const WORDS: [&str; 12] = [
            "loss", "step 3", "step 4", "rank", "0.125", "0.126", "of", "the", "naïve", "model",
            "done", "=",
        ];
        let lines: Vec<String> =
            words.iter().map(|line| line.iter().map(|&at| WORDS[at]).collect()).collect();
        compare_with_plain(lines.iter().map(String::as_str), 20);
    }
}

#[test]
fn the_nearest_of_real_lines_is_what_the_plain_programme_finds() {
    let lines = include_str!("data/statements.txt").lines();
    compare_with_plain(lines.filter_map(|line| Some(line.split_once('|')?.1)), 1000);
}

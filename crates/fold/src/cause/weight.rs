//! How much a line tells of a failure.

/// What a unit is to whoever looks for the cause of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// Blank, a progress bar, a warning, a line of a log below the level of errors.
    Remark,
    /// Anything else.
    Plain,
    /// It has a word that tells of a failure.
    Trouble,
    /// A message and places in a program.
    Crash,
}

/// The start of a line, where a log has its level.
const HEAD: usize = 80;

/// Words of failure, in lower case, wherever they stand in a line.
const TROUBLE: [&str; 11] = [
    "error",
    "fail",
    "assert",
    "panic",
    "fatal",
    "exception",
    "abort",
    "critical",
    "killed",
    "out of memory",
    "segmentation fault",
];

/// Levels below that of errors, as logging of Python, Java, Rust and syslog names them.
const MILD: [&str; 6] = ["TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING"];
const SEVERE: [&str; 6] = ["ERROR", "CRITICAL", "FATAL", "SEVERE", "ALERT", "EMERGENCY"];

/// Whether the line has a word that tells of a failure.
pub(super) fn names_trouble(line: &[u8]) -> bool {
    let lower = line.to_ascii_lowercase();
    TROUBLE.iter().any(|word| memchr::memmem::find(&lower, word.as_bytes()).is_some())
}

/// Whether the line is nothing that a program fails of.
pub(super) fn is_remark(line: &[u8]) -> bool {
    let text = line.trim_ascii();
    text.is_empty() || is_bar(text) || is_warning(text) || is_mild(text)
}

/// `45%|████▌     |`, as tqdm draws.
fn is_bar(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"%|").is_some()
}

/// `train.py:3: UserWarning: …`, `warning: unused`, `[warn] …`, `DeprecationWarning`.
fn is_warning(text: &[u8]) -> bool {
    let lower = text.to_ascii_lowercase();
    let bare = lower.strip_prefix(b"[").or(lower.strip_prefix(b"(")).unwrap_or(&lower);
    bare.starts_with(b"warn")
        || memchr::memmem::find(&lower, b"deprecat").is_some()
        || memchr::memmem::find(text, b"Warning: ").is_some()
}

/// A line of a log that says its level, and that is below errors: `INFO`, `level=info`,
/// `"level":"warn"`, and glog's `W0731 12:00:00`.
fn is_mild(text: &[u8]) -> bool {
    let head = &text[..text.len().min(HEAD)];
    let mut words = head.split(|byte| !byte.is_ascii_alphabetic()).filter(|word| !word.is_empty());
    let is = |levels: &[&str], word: &[u8]| levels.iter().any(|level| level.as_bytes() == word);
    if words.clone().any(|word| is(&SEVERE, word)) {
        return false;
    }
    let keyed = words.clone().zip(words.clone().skip(1));
    let mut levels = keyed.filter(|(key, _)| key.eq_ignore_ascii_case(b"level"));
    words.any(|word| is(&MILD, word))
        || levels.any(|(_, level)| is(&MILD, &level.to_ascii_uppercase()))
        || is_glog(text)
}

/// glog's and klog's start of a line, `I0731` or `W0731`, and a time.
fn is_glog(text: &[u8]) -> bool {
    let [b'I' | b'W', rest @ ..] = text else {
        return false;
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    matches!(digits, 4 | 8) && rest.get(digits) == Some(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_are_told_from_what_a_program_fails_of() {
        let table = [
            ("", true),
            ("train.py:3: UserWarning: slow", true),
            ("warning: unused variable", true),
            ("[W reducer.cpp:1300] Warning: find_unused_parameters", true),
            ("2026-11-25 12:00:00,123 INFO step 3", true),
            ("2026-11-25 12:00:00 WARNING  loader: 3 errors", true),
            ("time=12:00 level=info msg=started", true),
            ("{\"level\":\"warn\",\"msg\":\"slow\"}", true),
            ("W0731 12:00:00.000000 17 reducer.cc:12] slow", true),
            (" 45%|####      | 9/20", true),
            ("numpy.bool is deprecated", true),
            ("2026-11-25 12:00:00 ERROR bad INFO block", false),
            ("out of memory", false),
            ("ValueError: bad shard 17", false),
            ("INFORMATION is lost", false),
        ];
        for (line, remark) in table {
            assert_eq!(is_remark(line.as_bytes()), remark, "{line}");
        }
    }

    #[test]
    fn trouble_has_its_words() {
        for line in
            ["FAILED test_load", "Assertion `x' failed", "Error: x", "panicked at", "Killed"]
        {
            assert!(names_trouble(line.as_bytes()), "{line}");
        }
        assert!(!names_trouble(b"step 3 loss 0.5"));
    }
}

//! How much a line tells of a failure.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// What a unit is to whoever looks for the cause of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// Blank, a progress bar, a warning, a note, a line of a log below the level of warnings.
    Remark,
    /// A line of a log at the level of warnings.
    Warned,
    /// The same, and it has a word that tells of a failure. Libraries that leave it to the program to
    /// fail say no more (NCCL).
    Complaint,
    /// Anything else.
    Plain,
    /// It tells only that a program ended itself, or of what was raised while it ended: there is a
    /// cause, and that stands before it.
    Aftermath,
    /// It has a word that tells of a failure.
    Trouble,
    /// A program ends with it: at the level of fatal errors, or an assertion.
    Fatal,
    /// A message and places in a program.
    Crash,
}

/// What a log says of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Mild,
    Warning,
    Severe,
    Fatal,
}

/// The start of a line, where a log has its level.
const HEAD: usize = 80;

/// Words of failure, in lower case, wherever they stand in a line.
const TROUBLE: [&str; 13] = [
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
    "received signal",
    "received by pid",
];

/// Levels as logging of Python, Java, Rust and syslog names them.
const MILD: [&str; 4] = ["TRACE", "DEBUG", "INFO", "NOTICE"];
const WARNING: [&str; 2] = ["WARN", "WARNING"];
const SEVERE: [&str; 5] = ["ERROR", "CRITICAL", "SEVERE", "ALERT", "EMERGENCY"];
const FATAL: &str = "FATAL";

fn has(text: &[u8], part: &str) -> bool {
    memchr::memmem::find(text, part.as_bytes()).is_some()
}

/// What a line that stands alone is.
pub(super) fn of_line(line: &[u8]) -> Weight {
    let text = line.trim_ascii();
    let level = level(text);
    let says_nothing = text.is_empty() || is_bar(text) || is_warning(text) || is_note(text);
    if says_nothing || level == Some(Level::Mild) {
        Weight::Remark
    } else if level == Some(Level::Warning) {
        if names_trouble(text) { Weight::Complaint } else { Weight::Warned }
    } else if tells_of_abort(text) || is_ignored(text) {
        Weight::Aftermath
    } else if level == Some(Level::Fatal) || is_assertion(text) {
        Weight::Fatal
    } else if level == Some(Level::Severe) || names_trouble(text) {
        Weight::Trouble
    } else {
        Weight::Plain
    }
}

/// Whether the line has a word that tells of a failure.
fn names_trouble(line: &[u8]) -> bool {
    // They are made once, as the last lines of a thousand ranks may be looked through.
    static FINDERS: LazyLock<[Finder<'static>; TROUBLE.len()]> =
        LazyLock::new(|| TROUBLE.map(|word| Finder::new(word.as_bytes())));
    let lower = line.to_ascii_lowercase();
    FINDERS.iter().any(|word| word.find(&lower).is_some())
}

/// `45%|████▌     |`, as tqdm draws.
fn is_bar(text: &[u8]) -> bool {
    has(text, "%|")
}

/// `train.py:3: UserWarning: …`, `warning: unused`, `[warn] …`, `DeprecationWarning`.
fn is_warning(text: &[u8]) -> bool {
    let lower = text.to_ascii_lowercase();
    let bare = lower.strip_prefix(b"[").or(lower.strip_prefix(b"(")).unwrap_or(&lower);
    bare.starts_with(b"warn") || has(&lower, "deprecat") || has(text, "Warning: ")
}

/// `note: run with …`, `NOTE: invoking MPI_ABORT causes …`: what a message is explained with.
fn is_note(text: &[u8]) -> bool {
    [&b"note: "[..], b"hint: "]
        .iter()
        .any(|word| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)))
}

/// `solve: solve.c:112: main: Assertion 'n > 0' failed.`, `Check failed: x == y`.
fn is_assertion(text: &[u8]) -> bool {
    let lower = text.to_ascii_lowercase();
    has(&lower, "assertion") && has(&lower, "failed") || has(&lower, "check failed")
}

/// That a program has ended itself: `Aborted (core dumped)` of a shell, `Signal: Aborted (6)` of Open
/// MPI, `Fatal Python error: Aborted`, and what glog and gfortran print. Who calls `abort` says why before
/// that; of other signals nothing is said before.
pub(super) fn tells_of_abort(text: &[u8]) -> bool {
    let starts: [&[u8]; 3] =
        [b"Fatal Python error: Aborted", b"Program received signal SIGABRT", b"*** SIGABRT"];
    text == b"Aborted"
        || has(text, "Aborted") && has(text, "(core dumped)")
        || has(text, "] Signal: Aborted (")
        || starts.iter().any(|start| text.starts_with(start))
}

/// What announces an exception that ends no program: raised while objects are cleared away, by a hook
/// of the exit, or in a task that nobody asked.
pub(super) fn is_ignored(text: &[u8]) -> bool {
    let head = &text[..text.len().min(HEAD)];
    has(head, "Exception ignored ")
        || has(head, "exception was never retrieved")
        || has(head, "Error in atexit.")
}

/// What announces a stack: `*** Check failure stack trace: ***`, `Error termination. Backtrace:`,
/// `Backtrace for this error:`.
pub(super) fn is_title_of_stack(line: &[u8]) -> bool {
    let text = line.trim_ascii().to_ascii_lowercase();
    let bare = text.strip_suffix(b"***").unwrap_or(&text).trim_ascii_end();
    let names = ["backtrace", "stack trace", "stacktrace", "call stack"];
    // glog says of a signal why the stack is there in the same line.
    let told = has(bare, "received by pid");
    bare.ends_with(b":") && !told && names.iter().any(|name| has(bare, name))
}

/// The level that a line of a log has in its head: `INFO`, `level=info`, `"level":"warn"`, and glog's
/// `W0731 12:00:00`.
fn level(text: &[u8]) -> Option<Level> {
    let head = &text[..text.len().min(HEAD)];
    let words = || head.split(|byte| !byte.is_ascii_alphabetic()).filter(|word| !word.is_empty());
    let mut levels: Vec<Level> = words().filter_map(named).collect();
    let keyed = words().zip(words().skip(1)).filter(|(key, _)| key.eq_ignore_ascii_case(b"level"));
    levels.extend(keyed.filter_map(|(_, level)| named(&level.to_ascii_uppercase())));
    levels.extend(level_of_glog(text));
    // A word of a message may be a level's, too.
    let order = [Level::Fatal, Level::Severe, Level::Warning, Level::Mild];
    order.into_iter().find(|level| levels.contains(level))
}

fn named(word: &[u8]) -> Option<Level> {
    let is = |levels: &[&str]| levels.iter().any(|level| level.as_bytes() == word);
    let table = [
        (&[FATAL][..], Level::Fatal),
        (&SEVERE, Level::Severe),
        (&WARNING, Level::Warning),
        (&MILD, Level::Mild),
    ];
    table.into_iter().find(|(words, _)| is(words)).map(|(_, level)| level)
}

/// glog's and klog's start of a line, `I0731` or `F0731`, and a time.
fn level_of_glog(text: &[u8]) -> Option<Level> {
    let (first, rest) = text.split_first()?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !matches!(digits, 4 | 8) || rest.get(digits) != Some(&b' ') {
        return None;
    }
    match first {
        b'I' => Some(Level::Mild),
        b'W' => Some(Level::Warning),
        b'E' => Some(Level::Severe),
        b'F' => Some(Level::Fatal),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart_by_what_they_are_to_a_failure() {
        use Weight::{Aftermath, Complaint, Fatal, Plain, Remark, Trouble, Warned};
        let table = [
            ("", Remark),
            ("train.py:3: UserWarning: slow", Remark),
            ("warning: unused variable", Remark),
            ("[W reducer.cpp:1300] Warning: find_unused_parameters", Remark),
            ("2026-11-25 12:00:00,123 INFO step 3", Remark),
            ("time=12:00 level=info msg=started", Remark),
            (" 45%|####      | 9/20", Remark),
            ("numpy.bool is deprecated", Remark),
            ("NOTE: invoking MPI_ABORT causes Open MPI to kill all MPI processes.", Remark),
            ("gpu:47:48 [3] NCCL INFO init.cc:1501 -> 2", Remark),
            ("{\"level\":\"warn\",\"msg\":\"slow\"}", Warned),
            ("W0731 12:00:00.000000 17 reducer.cc:12] slow", Warned),
            ("2026-11-25 12:00:00 WARNING  loader: 3 errors", Complaint),
            ("gpu:47:48 [3] socket.cc:48 NCCL WARN Connect to 10.0.0.5<43> failed", Complaint),
            ("INFORMATION is lost", Plain),
            ("step 3 loss 0.5", Plain),
            ("Aborted (core dumped)", Aftermath),
            ("run.sh: line 3: 4711 Aborted                 (core dumped) ./solve", Aftermath),
            ("Exception ignored in: <function Foo.__del__ at 0x7f1234>", Aftermath),
            ("Error in atexit._run_exitfuncs:", Aftermath),
            ("2026-11-25 12:00:00 ERROR bad INFO block", Trouble),
            ("E0731 12:00:00.000000 17 reducer.cc:12] slow", Trouble),
            ("<3>EMERGENCY disk is full", Trouble),
            ("out of memory", Trouble),
            ("ValueError: bad shard 17", Trouble),
            ("FAILED test_load", Trouble),
            ("panicked at", Trouble),
            ("Killed", Trouble),
            ("Program received signal SIGBUS: Access to an undefined portion", Trouble),
            (
                "*** SIGSEGV (@0x0) received by PID 7 (TID 0x7f) from PID 0; stack trace: ***",
                Trouble,
            ),
            ("F0731 12:00:00.000000 17 comm.cc:12] ring broken", Fatal),
            ("[FATAL] ring broken", Fatal),
            ("solve: solve.c:112: main: Assertion `n > 0' failed.", Fatal),
        ];
        for (line, weight) in table {
            assert_eq!(of_line(line.as_bytes()), weight, "{line}");
        }
    }

    #[test]
    fn a_stack_has_its_titles() {
        for title in [
            "*** Check failure stack trace: ***",
            "Error termination. Backtrace:",
            "Backtrace for this error:",
        ] {
            assert!(is_title_of_stack(title.as_bytes()), "{title}");
        }
        for line in [
            "*** SIGSEGV (@0x0) received by PID 7; stack trace: ***",
            "no backtrace",
            "ValueError: stack trace",
            "*** end ***",
        ] {
            assert!(!is_title_of_stack(line.as_bytes()), "{line}");
        }
    }
}

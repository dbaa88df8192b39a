//! What a console shows of a stream's bytes.

use proptest::prelude::*;

use super::*;

/// What a console shows of `pieces`, line by line.
fn shown(pieces: &[&str]) -> Vec<String> {
    shown_on(OpenLine::default(), pieces)
}

fn shown_on(mut line: OpenLine, pieces: &[&str]) -> Vec<String> {
    let (mut at, mut lines) = (0, Vec::new());
    let mut out = |out: Out<'_>| {
        if let Out::Line { text, continuation, partial, .. } = out {
            let text = String::from_utf8(text.to_vec()).unwrap();
            let more = if continuation { "+" } else { "" };
            lines.push(format!("{more}{text}{}", if partial { "~" } else { "" }));
        }
    };
    for piece in pieces {
        if *piece == "<barrier>" {
            line.give_partial(&mut out);
            continue;
        }
        line.push(Offset(at), piece.as_bytes(), &mut out);
        at += piece.len() as u64;
    }
    line.give_partial(&mut out);
    lines
}

#[test]
fn lines_are_shown_as_a_terminal_would() {
    assert_eq!(shown(&["a\nb\n"]), ["a", "b"]);
    assert_eq!(shown(&["a\r\nb\r\r\n"]), ["a", "b"]);
    assert_eq!(shown(&["10%\r20%\r30%\n"]), ["30%"]);
    assert_eq!(shown(&["10%\r", "20%\r", "30%", "\nnext\n"]), ["30%", "next"]);
    assert_eq!(shown(&["10%\r", "\n"]), ["10%"]);
    assert_eq!(shown(&["\r\n", "\n"]), ["", ""]);
    assert_eq!(shown(&["no end"]), ["no end~"]);
    assert_eq!(shown(&["half", "<barrier>", " and half\nnext\n"]), ["half~", "+ and half", "next"]);
    assert_eq!(shown(&["half", "<barrier>", "\n", "next\n"]), ["half~", "+", "next"]);
    assert_eq!(shown(&["10%", "<barrier>", "\r20%\n"]), ["10%~", "+20%"]);
    assert_eq!(shown(&["10%\r", "<barrier>", "20%\n"]), ["10%~", "+20%"]);
}

/// What is shown of pieces that arrive a tenth of a second apart.
fn shown_slowly(pieces: &[&str]) -> Vec<String> {
    let (mut line, mut at, mut lines) = (OpenLine::default(), 0, Vec::new());
    let mut out = |out: Out<'_>| {
        if let Out::Line { text, continuation, partial, .. } = out {
            assert!(!continuation && !partial);
            lines.push(String::from_utf8(text.to_vec()).unwrap());
        }
    };
    for piece in pieces {
        line.time = line.time.after(std::time::Duration::from_millis(100));
        line.push(Offset(at), piece.as_bytes(), &mut out);
        at += piece.len() as u64;
    }
    line.interrupt(&mut out);
    lines
}

#[test]
fn a_bar_is_shown_now_and_then_and_when_it_ends() {
    let percents: Vec<String> = (0..10).map(|at| format!("\r{at}0%")).collect();
    let mut pieces: Vec<&str> = percents.iter().map(String::as_str).collect();
    pieces.push("\ndone\n");
    assert_eq!(shown_slowly(&pieces), ["20%", "50%", "80%", "90%", "done"]);
    let pieces = ["1%\r", "2%\r", "3%\r", "4%\r", "5%\r", "\n"];
    assert_eq!(shown_slowly(&pieces), ["3%", "5%"]);
}

#[test]
fn a_bar_that_is_wiped_away_leaves_no_empty_line() {
    let mut pieces = vec!["\r10%"; 5];
    pieces.extend(["\r    ", "\r\x1b[2K", "\r", "done\n"]);
    assert_eq!(shown_slowly(&pieces), ["10%", "done"]);
}

#[test]
fn a_state_after_a_barrier_goes_on_with_the_line() {
    let (mut line, mut lines) = (OpenLine::default(), Vec::new());
    let mut out = |out: Out<'_>| {
        if let Out::Line { start, text, continuation, redrawn, .. } = out {
            let text = String::from_utf8(text.to_vec()).unwrap();
            lines.push((start.0, text, continuation, redrawn));
        }
    };
    line.push(Offset(0), b"\r10%", &mut out);
    line.give_partial(&mut out);
    for (at, state) in ["\r20%", "\r30%", "\r40%", "\r50%"].iter().enumerate() {
        line.time = line.time.after(std::time::Duration::from_millis(200));
        line.push(Offset(4 + 4 * at as u64), state.as_bytes(), &mut out);
    }
    line.push(Offset(20), b"\n", &mut out);
    let line =
        |start, text: &str, continuation, redrawn| (start, text.to_owned(), continuation, redrawn);
    assert_eq!(
        lines,
        [
            line(1, "10%", false, false),
            line(5, "20%", true, true),
            line(13, "40%", true, true),
            line(17, "50%", true, false)
        ]
    );
}

#[test]
fn nested_bars_are_states_too() {
    let inner: Vec<String> = (0..10).map(|at| format!("\n\rinner {at}0%\x1b[A")).collect();
    let mut pieces = vec!["\router 1/3"];
    pieces.extend(inner.iter().map(String::as_str));
    pieces.push("\n\nend\n");
    let shown = shown_slowly(&pieces);
    assert_eq!(shown[..4], ["outer 1/3", "inner 10%", "inner 40%", "inner 70%"]);
    assert_eq!(shown[4..], ["inner 90%", "", "end"]);
}

#[test]
fn a_console_of_its_own_is_redrawn() {
    let shown = |pieces| shown_on(OpenLine::new(true), pieces);
    assert_eq!(shown(&["10%", "<barrier>", "\r20%\n"]), ["10%~", "+\r20%"]);
    assert_eq!(shown(&["10%\r", "<barrier>", "20%\n"]), ["10%\r~", "+20%"]);
    assert_eq!(shown(&["name? ", "<barrier>", "\n"]), ["name? ~", "+"]);
}

#[test]
fn a_return_at_the_end_of_what_was_let_go_still_redraws() {
    let (mut line, mut seen) = (OpenLine::default(), Vec::new());
    line.push(Offset(0), b"10%\r", &mut |_| unreachable!("the line is open"));
    line.release();
    line.push(Offset(4), b"20%\n", &mut |out| match out {
        Out::Redrawn(bytes) => seen.push((bytes, Vec::new())),
        Out::Line { filed, text, .. } => seen.push((filed, text.to_vec())),
    });
    assert_eq!(seen, [(4, Vec::new()), (0, b"20%".to_vec())]);
}

proptest! {
    /// Any bytes in any pieces, given out early or let go at any time: lines are in order and do
    /// not overlap, and what is in none of them is counted as redrawn, so that no byte is
    /// missing or in two.
    #[test]
    fn every_byte_is_given_out_or_redrawn_once(
        bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'x'), Just(0x1b), Just(b'['), Just(b'A')], 0..200),
        cuts in prop::collection::vec((1_usize..20, 0_u8..4), 1..40),
    ) {
        let (mut line, mut at, mut next) = (OpenLine::default(), 0_usize, 0_u64);
        let (mut redrawn, mut between) = (0_u64, 0_u64);
        let mut out = |out: Out<'_>| match out {
            Out::Redrawn(bytes) => redrawn += bytes,
            Out::Line { start, bytes, text, filed, .. } => {
                assert!(start.0 >= next, "a line starts inside the one before it");
                assert!(text.len() as u64 + filed <= bytes + 1);
                between += start.0 - next;
                next = start.0 + bytes;
            }
        };
        let mut cuts = cuts.into_iter().cycle();
        while at < bytes.len() {
            let (most, action) = cuts.next().unwrap();
            let end = bytes.len().min(at + most);
            line.time = line.time.after(std::time::Duration::from_millis(60));
            line.push(Offset(at as u64), &bytes[at..end], &mut out);
            at = end;
            match action {
                0 => line.give_partial(&mut out),
                1 => line.release(),
                _ => {}
            }
        }
        line.interrupt(&mut out);
        between += bytes.len() as u64 - next;
        prop_assert_eq!(redrawn, between);
    }
}

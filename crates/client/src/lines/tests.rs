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

/// What is shown of pieces, each state being given out where it says `<state>`; and how many bytes
/// were drawn over.
fn states(pieces: &[&str]) -> (Vec<String>, u64) {
    let (mut line, mut at, mut lines, mut hidden) = (OpenLine::default(), 0, Vec::new(), 0);
    let mut out = |out: Out<'_>| match out {
        Out::Redrawn(bytes) => hidden += bytes,
        Out::Line { start, text, bytes, .. } => {
            let text = String::from_utf8(text.to_vec()).unwrap();
            lines.push(format!("{}+{bytes} {text}", start.0));
        }
    };
    for piece in pieces {
        if *piece == "<state>" {
            line.give_state(&mut out);
            continue;
        }
        line.push(Offset(at), piece.as_bytes(), &mut out);
        at += piece.len() as u64;
    }
    line.interrupt(&mut out);
    (lines, hidden)
}

/// What is seen of an open line.
fn seen(pieces: &[&str]) -> Vec<String> {
    let (mut line, mut at) = (OpenLine::default(), 0);
    for piece in pieces {
        line.push(Offset(at), piece.as_bytes(), &mut |_| {});
        at += piece.len() as u64;
    }
    line.rows().iter().map(|row| String::from_utf8_lossy(row).into_owned()).collect()
}

#[test]
fn the_newest_state_is_seen_not_the_one_before() {
    assert_eq!(seen(&["\r 10%", "\r 20%", "\r 30%"]), [" 30%"]);
    assert_eq!(seen(&["10%\r", "20%\r"]), ["20%"]);
    assert_eq!(seen(&["lines\n", "10%\r20%"]), ["20%"]);
    assert_eq!(seen(&["\r10%", "\r    "]), [""; 0]);
    assert_eq!(seen(&["\r10%", "\r\x1b[2K"]), [""; 0]);
    assert_eq!(seen(&["\r10%", "\n"]), [""; 0]);
    assert_eq!(seen(&["waiting for lock "]), ["waiting for lock"]);
    assert_eq!(
        seen(&["\x1b[?25l\r\x1b[2K\x1b[32mBuild\x1b[0m 3\x1b[K"]),
        ["\x1b[32mBuild\x1b[0m 3"]
    );
    let nested = ["\router 1", "\n\rinner 1\x1b[A", "\n\rinner 2\x1b[A", "\router 2"];
    assert_eq!(seen(&nested), ["outer 2", "inner 2"]);
}

#[test]
fn a_state_is_counted_once() {
    let bar = ["\r10%", "\r20%", "<state>", "<state>", "\r30%", "\r90%", "\n"];
    assert_eq!(states(&bar), (vec!["5+3 20%".into(), "13+4 90%".into()], 1 + 3 + 1 + 1 + 3 + 1));
    // A state that was shown and then ended needs no other line.
    assert_eq!(states(&["\r10%", "<state>", "\r\n"]), (vec!["1+3 10%".into()], 3));
    assert_eq!(states(&["\r10%", "<state>", "\r"]), (vec!["1+3 10%".into()], 2));
    // One that went on is shown as it ended; what was counted is not counted again.
    let grown = ["\r10%", "<state>", " done", "\n"];
    assert_eq!(states(&grown), (vec!["1+3 10%".into(), "1+6 10% done".into()], 1));
}

#[test]
fn a_bar_that_is_wiped_away_leaves_no_line() {
    let wiped = ["\r10%", "\r    ", "<state>", "\r\x1b[2K", "<state>", "\r", "done\n"];
    assert_eq!(states(&wiped).0, ["15+5 done"]);
}

/// As a bar does that is not to stay when it is done.
#[test]
fn a_bar_that_is_wiped_away_at_the_end_leaves_its_last_state() {
    assert_eq!(states(&["\r10%", "\r90%", "\r    \r"]), (vec!["5+9 90%".into()], 5));
    assert_eq!(states(&["\r10%\r90%\r\x1b[K"]), (vec!["5+7 90%".into()], 5));
    // It was shown already.
    let told = ["\r10%", "\r90%", "<state>", "\r   ", " \r"];
    assert_eq!(states(&told), (vec!["5+3 90%".into()], 5 + 6));
    assert_eq!(shown(&["10%\r   \r", "<barrier>", "done\n"]), ["10%~", "+done"]);
    assert_eq!(shown(&["10%\r   ", "done\n"]), ["   done"]);
    assert_eq!(shown(&["10%\r   \r\n"]), shown(&["10%\r   \r", "\n"]));
    assert_eq!(shown(&["\r   \r"]), ["   ~"]);
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
        line.push(Offset(4 + 4 * at as u64), state.as_bytes(), &mut out);
        if at == 2 {
            line.give_state(&mut out);
            line.give_partial(&mut out);
        }
    }
    line.push(Offset(20), b"\n", &mut out);
    let line =
        |start, text: &str, continuation, redrawn| (start, text.to_owned(), continuation, redrawn);
    let wanted =
        [line(1, "10%", false, false), line(13, "40%", true, true), line(17, "50%", true, false)];
    assert_eq!(lines, wanted);
}

#[test]
fn nested_bars_are_states_too() {
    let inner: Vec<String> = (0..10).map(|at| format!("\n\rinner {at}0%\x1b[A")).collect();
    let mut pieces = vec!["\router 1/3"];
    pieces.extend(inner.iter().map(String::as_str));
    pieces.push("\n\nend\n");
    assert_eq!(shown(&pieces), ["outer 1/3", "inner 90%", "", "end"]);
}

#[test]
fn frames_of_several_rows_are_states() {
    let frame = |at| format!("\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2Ktop {at}\nbottom {at}\n");
    let frames: Vec<String> = (1..9).map(frame).collect();
    let mut pieces = vec!["top 0\nbottom 0\n"];
    pieces.extend(frames.iter().map(String::as_str));
    pieces.push("one\ntwo\nthree\n");
    assert_eq!(shown(&pieces), ["top 0", "bottom 0", "top 8", "bottom 8", "one", "two", "three"]);
}

/// Nothing draws over it: then it is a line, and has its bytes.
#[test]
fn a_line_that_moves_the_cursor_is_as_it_was_written() {
    assert_eq!(shown(&["binary\x1b[A\n", "one\n", "two\n", "three\n"]).len(), 4);
    assert_eq!(shown(&["binary\x1b[A\n", "one\n"]), ["binary\x1b[A", "one"]);
    assert_eq!(shown(&["\x1b[Abinary\n"]), ["\x1b[Abinary"]);
    assert_eq!(shown(&["some \x1b[A", " bytes\n", "next\n"]), ["some \x1b[A bytes", "next"]);
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

/// Bytes of which lines, bars and frames are made, in pieces, with something done after each.
fn pieces() -> impl Strategy<Value = (Vec<u8>, Vec<(usize, u8)>)> {
    let part = prop_oneof![
        4 => Just("x"),
        3 => Just("\n"),
        2 => Just("\r"),
        1 => Just("\x1b[A"),
        1 => Just("\x1b[2K"),
        1 => Just("\x1b"),
    ];
    let text = prop::collection::vec(part, 0..100).prop_map(|parts| parts.concat().into_bytes());
    (text, prop::collection::vec((1_usize..20, 0_u8..6), 1..40))
}

/// Pushes `bytes` in pieces, and does after each what its number below `actions` says.
fn push_in_pieces(bytes: &[u8], cuts: &[(usize, u8)], actions: u8, out: &mut impl FnMut(Out<'_>)) {
    let (mut line, mut at) = (OpenLine::default(), 0);
    let mut cuts = cuts.iter().cycle();
    while at < bytes.len() {
        let (most, action) = *cuts.next().unwrap();
        let end = bytes.len().min(at + most);
        line.push(Offset(at as u64), &bytes[at..end], out);
        at = end;
        match action {
            0 => line.give_partial(out),
            1 => line.release(),
            2 => line.settle(out),
            3 if actions > 3 => line.give_state(out),
            _ => {}
        }
        assert!(line.rows().iter().all(|row| !row.contains(&b'\r') && !row.contains(&b'\n')));
    }
    line.interrupt(out);
}

proptest! {
    /// Any bytes in any pieces, given out early or let go at any time: lines are in order and do
    /// not overlap, and what is in none of them is counted as redrawn, so that no byte is
    /// missing or in two.
    #[test]
    fn every_byte_is_given_out_or_redrawn_once((bytes, cuts) in pieces()) {
        let (mut next, mut redrawn, mut between) = (0_u64, 0_u64, 0_u64);
        push_in_pieces(&bytes, &cuts, 3, &mut |out| match out {
            Out::Redrawn(bytes) => redrawn += bytes,
            Out::Line { start, bytes, text, filed, .. } => {
                assert!(start.0 >= next, "a line starts inside the one before it");
                assert!(text.len() as u64 + filed <= bytes + 1);
                between += start.0 - next;
                next = start.0 + bytes;
            }
        });
        between += bytes.len() as u64 - next;
        prop_assert_eq!(redrawn, between);
    }

    /// The same when states are shown before they are drawn over.
    #[test]
    fn every_byte_counts_once_whenever_states_are_shown((bytes, cuts) in pieces()) {
        let mut counted = 0;
        push_in_pieces(&bytes, &cuts, 4, &mut |out| match out {
            Out::Redrawn(bytes) | Out::Line { bytes, .. } => counted += bytes,
        });
        prop_assert_eq!(counted, bytes.len() as u64);
    }

    /// Without a return and a cursor that goes up again, lines come out as they were written.
    #[test]
    fn lines_have_the_bytes_that_were_written(
        lines in prop::collection::vec("[a-c\x1b\\[KmB]{0,9}", 1..20),
        up in 0..20_usize,
        cut in 1..9_usize,
    ) {
        let mut text = lines.clone();
        if let Some(line) = text.get_mut(up) {
            line.push_str("\x1b[A");
        }
        let bytes: Vec<u8> = text.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect();
        let mut shown = Vec::new();
        push_in_pieces(&bytes, &[(cut, 5)], 0, &mut |out| match out {
            Out::Line { text, .. } => shown.push(String::from_utf8(text.to_vec()).unwrap()),
            Out::Redrawn(_) => panic!("nothing is drawn over"),
        });
        prop_assert_eq!(shown, text);
    }
}

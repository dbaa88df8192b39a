//! What stands in an entry, and what does not make another one.

use crate::console::Console;

#[test]
fn equal_lines_look_as_they_are_and_colours_make_no_difference() {
    let mut console = Console::new(2);
    console.say(0, "\x1b[32mready\x1b[0m to go");
    console.say(1, "\x1b[32mready\x1b[0m to go");
    console.say(0, "\x1b[32mready\x1b[0m to run");
    console.say(1, "ready to run");
    console.say(0, "\x1b]0;title\x07ready to stop");
    console.say(1, "\x1b]0;title\x07ready to stop");
    let shown = console.shown();
    assert_eq!(shown[0], "[0,1] \x1b[32mready\x1b[0m to go");
    assert_eq!(shown[1], "[0,1] ready to run");
    assert_eq!(shown[2], "[0,1] ready to stop");
}

#[test]
fn colours_that_all_lines_agree_on_stay() {
    let table = [
        // Around a number that differs, however long it is.
        (
            [
                "loss \x1b[31m0.5\x1b[0m at \x1b[1mstep 3",
                "loss \x1b[31m10.5\x1b[0m at \x1b[1mstep 3",
            ],
            "loss \x1b[31m{0.5..10.5}\x1b[0m at \x1b[1mstep 3\x1b[0m",
        ),
        // Within what differs, behind it.
        (
            ["saved /a/b\x1b[32m/c ok", "saved /a/b\x1b[32m/d ok"],
            "saved /a/b/{c, 1: d}\x1b[32m ok\x1b[0m",
        ),
        // Not the same, or not at the same place.
        (["loss \x1b[31m0.5\x1b[0m now", "loss \x1b[32m0.7\x1b[0m now"], "loss {0.5..0.7} now"),
        (["loss \x1b[31m0.5\x1b[0m now", "\x1b[31mloss 0.7\x1b[0m now"], "loss {0.5..0.7} now"),
        (["loss \x1b[31m0.5\x1b[0m now", "loss 0.7 now"], "loss {0.5..0.7} now"),
        (["loss 0.5 now", "loss \x1b[31m0.7\x1b[0m now"], "loss {0.5..0.7} now"),
        // What moves the cursor is left out, whether they differ or not.
        (
            ["\x1b[2K\x1b[32mready\x1b[0m\x1b[K 1", "\x1b[2K\x1b[32mready\x1b[0m\x1b[K 1"],
            "\x1b[32mready\x1b[0m 1",
        ),
        (
            ["\x1b[2K\x1b[32mready\x1b[0m 1", "\x1b[1A\x1b[32mready\x1b[0m 2"],
            "\x1b[32mready\x1b[0m {1..2}",
        ),
    ];
    for (said, expected) in table {
        let mut console = Console::new(2);
        (0..).zip(said).for_each(|(rank, text)| console.say(rank, text));
        assert_eq!(console.shown(), [format!("[0,1] {expected}")]);
    }
}

#[test]
fn values_that_are_not_numbers_are_sampled() {
    let mut console = Console::new(8);
    for rank in 0..8 {
        console.say(rank, &format!("listening on /tmp/worker/{rank}.sock"));
    }
    let expected =
        "[0-7] listening on {/tmp/worker/0.sock,/tmp/worker/1.sock,/tmp/worker/2.sock…(+5)}";
    assert_eq!(console.shown(), [expected]);
}

#[test]
fn short_statements_and_bare_values_do_not_fold_into_others() {
    let mut console = Console::new(4);
    for (rank, text) in [(0, "starting"), (1, "stopping"), (2, "17"), (3, "18")] {
        console.say(rank, text);
    }
    assert_eq!(console.finish().len(), 4);
    for rank in 0..4 {
        console.say(rank, "17");
    }
    assert_eq!(console.shown(), ["[0-3] 17"]);
}

/// It may be a prompt, or what a barrier printed of a line.
#[test]
fn a_line_without_its_newline_folds_where_its_stream_ends() {
    let mut console = Console::new(2);
    for rank in 0..2 {
        console.say_open(rank, "password: ", false);
    }
    assert_eq!(console.shown(), ["[0] password: ", "[1] password: "]);
    console.say(0, "done");
    console.say_open(1, "done", true);
    assert_eq!(console.shown(), ["[0,1] done"]);
}

#[test]
fn a_traceback_may_end_without_a_newline() {
    let mut console = Console::new(2);
    for rank in 0..2 {
        console.say(rank, "Traceback (most recent call last):");
        console.say(rank, "  File \"train.py\", line 3, in <module>");
        console.say_open(rank, "ValueError: bad batch", true);
    }
    let text = "[0,1] Traceback (most recent call last):\n  File \"train.py\", line 3, in <module>\n\
                ValueError: bad batch";
    assert_eq!(console.shown(), [text]);
}

//! The laws of [`Printer`].

use std::io;

use lastline_client::{Block, Printer};
use lastline_line::{Entry, Launch, Line, Offset, Stream, StreamId, Timestamp};

use crate::Screen;

/// Runs every law on printers that `make` makes; each gets the screens that stand for its stdout
/// and its stderr. The text of a line must be found on its screen as it is.
pub fn all<P: Printer>(mut make: impl FnMut(Screen, Screen) -> P) {
    prints_whole_lines_in_order(&mut make);
    prints_a_block_as_its_lines(&mut make);
    tells_outputs_apart(&mut make);
}

/// Laws 1, 2 and 3: what was flushed is with the system, whole, in the order of the calls.
pub fn prints_whole_lines_in_order<P: Printer>(make: &mut impl FnMut(Screen, Screen) -> P) {
    let screens = [Screen::new(), Screen::new()];
    let mut printer = make(screens[0].clone(), screens[1].clone());
    for step in 0..500 {
        let text = text(step);
        printer.print(&Entry::Line(line(step, &text))).expect("the screen takes it");
        if step % 17 == 0 {
            printer.flush().expect("the screen takes it");
            assert_on(&screens, &printer, step + 1);
        }
    }
    printer.flush().expect("the screen takes it");
    assert_on(&screens, &printer, 500);
}

/// A block is the same as its lines.
pub fn prints_a_block_as_its_lines<P: Printer>(make: &mut impl FnMut(Screen, Screen) -> P) {
    for lines in [1, 3, 2000] {
        let bytes: Vec<u8> =
            (0..lines).flat_map(|step| [text(step), b"\n".to_vec()].concat()).collect();
        let stream = stream(Stream::Stdout);
        let block = Block { stream, start: Offset(5), time: Timestamp(7), bytes: &bytes };
        let (whole, single) = (Screen::new(), Screen::new());
        let mut printer = make(whole.clone(), Screen::new());
        printer.print_block(&block).and_then(|()| printer.flush()).expect("the screen takes it");
        let mut printer = make(single.clone(), Screen::new());
        for line in block.lines() {
            printer.print(&Entry::Line(line)).expect("the screen takes it");
        }
        printer.flush().expect("the screen takes it");
        assert_eq!(whole.text(), single.text(), "law 1: a block of {lines} lines");
        assert_eq!(whole.flushed(), whole.bytes().len(), "law 3: a block that is flushed");
    }
}

/// Law 4: one output fails; the other one's lines come out all the same.
pub fn tells_outputs_apart<P: Printer>(make: &mut impl FnMut(Screen, Screen) -> P) {
    for failing in Stream::ALL {
        let screens = [Screen::new(), Screen::new()];
        let mut printer = make(screens[0].clone(), screens[1].clone());
        let other = printer.output_of(if failing == Stream::Stdout {
            Stream::Stderr
        } else {
            Stream::Stdout
        });
        screens[index(failing)].fail(io::ErrorKind::BrokenPipe);
        let mut failed = false;
        for step in 0..100 {
            let (text, large) = (text(step), vec![b'x'; 40_000]);
            let shown = line(step, &text);
            let results = if step % 10 == 9 {
                let bytes = [&large[..], b"\n"].concat();
                let block = Block {
                    stream: shown.stream,
                    start: shown.start,
                    time: shown.time,
                    bytes: &bytes,
                };
                [printer.print_block(&block), printer.print(&Entry::Line(shown))]
            } else {
                [printer.print(&Entry::Line(shown)), Ok(())]
            };
            for error in results.into_iter().filter_map(Result::err) {
                assert_eq!(error.output, failing, "law 4: the error is about another output");
                assert!(error.is_closed(), "law 4: the error says what the system said");
                failed = true;
            }
        }
        for _ in Stream::ALL {
            failed |= printer.flush().is_err();
        }
        let used = Stream::ALL.iter().any(|stream| printer.output_of(*stream) == failing);
        assert_eq!(failed, used, "law 4: a failure is told");
        if other != failing {
            assert_texts(
                &screens[index(other)],
                (0..100).filter(|step| printer.output_of(stream_of(*step)) == other),
            );
        }
    }
}

fn assert_on<P: Printer>(screens: &[Screen; 2], printer: &P, steps: u64) {
    for output in Stream::ALL {
        let screen = &screens[index(output)];
        assert_eq!(screen.flushed(), screen.bytes().len(), "law 3: flushed means shown");
        assert_texts(
            screen,
            (0..steps).filter(|step| printer.output_of(stream_of(*step)) == output),
        );
    }
}

/// The texts of `steps` stand on the screen, in order.
fn assert_texts(screen: &Screen, steps: impl Iterator<Item = u64>) {
    let shown = screen.text();
    let mut rest = &shown[..];
    for step in steps {
        let text = String::from_utf8(text(step)).expect("BUG: letters");
        let Some(at) = rest.find(&text) else {
            panic!("laws 1 and 2: line {step} is not whole in its place");
        };
        rest = &rest[at + text.len()..];
    }
}

fn index(output: Stream) -> usize {
    usize::from(output == Stream::Stderr)
}

fn stream_of(step: u64) -> Stream {
    if step % 3 == 2 { Stream::Stderr } else { Stream::Stdout }
}

fn stream(stream: Stream) -> StreamId {
    StreamId::new(Launch(1), 0, stream)
}

fn text(step: u64) -> Vec<u8> {
    format!(
        "line {step} {}end of {step}",
        "and on ".repeat(usize::try_from(step % 40).expect("BUG: below 40"))
    )
    .into_bytes()
}

fn line(step: u64, text: &[u8]) -> Line<'_> {
    Line {
        stream: stream(stream_of(step)),
        start: Offset(step * 1000),
        bytes: text.len() as u64 + 1,
        time: Timestamp(step),
        text,
        continuation: false,
        partial: false,
        redrawn: false,
    }
}

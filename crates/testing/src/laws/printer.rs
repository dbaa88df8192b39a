//! The laws of [`Printer`].

use std::io;

use lastline_client::{Block, OpenLines, Output, PrintError, Printer};
use lastline_line::{Entry, Launch, Line, Offset, Stream, StreamId, Timestamp};

use crate::Screen;

/// A printer, and what can be seen of it.
pub struct Subject<P> {
    /// The printer.
    pub printer: P,
    /// What has been flushed to an output so far, as text in which the text of each line is found as
    /// it is.
    pub shown: Box<dyn Fn(Output) -> String>,
    /// Makes an output fail from now on, with this kind of error. `None` where that cannot happen.
    pub fail: Option<Box<dyn Fn(Output, io::ErrorKind)>>,
}

impl<P> std::fmt::Debug for Subject<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subject").finish_non_exhaustive()
    }
}

impl<P: Printer> Subject<P> {
    /// A printer on two screens.
    pub fn on_screens(make: impl FnOnce(Screen, Screen) -> P) -> Self {
        let screens = [Screen::new(), Screen::new()];
        let printer = make(screens[0].clone(), screens[1].clone());
        let failing = screens.clone();
        let shown = move |output: Output| {
            let screen = &screens[output as usize];
            String::from_utf8_lossy(&screen.bytes()[..screen.flushed()]).into_owned()
        };
        let fail = move |output: Output, kind| failing[output as usize].fail(kind);
        Self { printer, shown: Box::new(shown), fail: Some(Box::new(fail)) }
    }
}

/// Runs every law on printers that `make` makes; each gets the screens that stand for its stdout
/// and its stderr. The text of a line must be found on its screen as it is.
pub fn all<P: Printer>(mut make: impl FnMut(Screen, Screen) -> P) {
    all_of(|| Subject::on_screens(&mut make));
}

/// Runs every law on printers that write elsewhere than on two screens.
pub fn all_of<P: Printer>(mut make: impl FnMut() -> Subject<P>) {
    prints_whole_lines_in_order(&mut make);
    prints_a_block_as_its_lines(&mut make);
    tells_outputs_apart(&mut make);
    draws_without_printing(&mut make);
}

/// Laws 1, 2 and 3: what was flushed is with the system, whole, in the order of the calls.
pub fn prints_whole_lines_in_order<P: Printer>(make: &mut impl FnMut() -> Subject<P>) {
    let mut subject = make();
    for step in 0..500 {
        let text = text(step);
        subject.printer.print(&Entry::Line(line(step, &text))).expect("its output takes it");
        if step % 17 == 0 {
            subject.printer.flush().expect("its output takes it");
            assert_shown(&subject, step + 1);
        }
    }
    subject.printer.flush().expect("its output takes it");
    assert_shown(&subject, 500);
}

/// A block is the same as its lines.
pub fn prints_a_block_as_its_lines<P: Printer>(make: &mut impl FnMut() -> Subject<P>) {
    for lines in [1, 3, 2000] {
        let bytes: Vec<u8> =
            (0..lines).flat_map(|step| [text(step), b"\n".to_vec()].concat()).collect();
        let stream = stream(Stream::Stdout);
        let block = Block { stream, start: Offset(5), time: Timestamp(7), bytes: &bytes };
        let [mut whole, mut single] = [make(), make()];
        let printed = whole.printer.print_block(&block).and_then(|()| whole.printer.flush());
        printed.expect("its output takes it");
        for line in block.lines() {
            single.printer.print(&Entry::Line(line)).expect("its output takes it");
        }
        single.printer.flush().expect("its output takes it");
        for output in Output::ALL {
            assert_eq!(
                (whole.shown)(output),
                (single.shown)(output),
                "law 1: a block of {lines} lines"
            );
        }
    }
}

/// Law 4: one output fails; the other one's lines come out all the same.
pub fn tells_outputs_apart<P: Printer>(make: &mut impl FnMut() -> Subject<P>) {
    for failing in Output::ALL {
        let mut subject = make();
        let Some(fail) = &subject.fail else {
            return;
        };
        fail(failing, io::ErrorKind::BrokenPipe);
        let printer = &mut subject.printer;
        let other = printer.output_of(match failing {
            Output::Stdout => Stream::Stderr,
            Output::Stderr => Stream::Stdout,
        });
        let mut failed = false;
        for step in 0..100 {
            for error in print_step(printer, step).into_iter().filter_map(Result::err) {
                assert_eq!(error.output, failing, "law 4: the error is about another output");
                assert!(error.is_closed(), "law 4: the error says what the system said");
                failed = true;
            }
        }
        for _ in Output::ALL {
            failed |= printer.flush().is_err();
        }
        let used = Stream::SEPARATE.iter().any(|stream| printer.output_of(*stream) == failing);
        assert_eq!(failed, used, "law 4: a failure is reported");
        if other != failing {
            let steps = (0..100).filter(|step| printer.output_of(stream_of(*step)) == other);
            assert_texts(&(subject.shown)(other), steps);
        }
    }
}

/// Law 5: states that are drawn change nothing of what is printed, and count as nothing.
pub fn draws_without_printing<P: Printer>(make: &mut impl FnMut() -> Subject<P>) {
    let mut subject = make();
    for step in 0..200 {
        let text = text(step);
        subject.printer.print(&Entry::Line(line(step, &text))).expect("its output takes it");
        let words = format!("state {step}");
        let state = Line { bytes: 0, redrawn: true, ..line(step, words.as_bytes()) };
        let states = [Entry::Line(state); 3];
        let count = usize::try_from(step % 4).expect("BUG: below 4");
        subject.printer.draw(&states[..count]).expect("its output takes it");
        if step % 17 == 0 {
            subject.printer.flush().expect("its output takes it");
            assert_shown(&subject, step + 1);
        }
    }
    subject.printer.draw(&[]).expect("its output takes it");
    subject.printer.flush().expect("its output takes it");
    assert_shown(&subject, 200);
    if subject.printer.open_lines() != OpenLines::Drawn {
        for output in Output::ALL {
            let shown = (subject.shown)(output);
            assert!(!shown.contains("state "), "law 5: a state was printed that is not drawn");
        }
    }
}

/// Prints a line, and now and then a large block before it.
fn print_step(printer: &mut impl Printer, step: u64) -> [Result<(), PrintError>; 2] {
    let text = text(step);
    let shown = line(step, &text);
    if step % 10 != 9 {
        return [printer.print(&Entry::Line(shown)), Ok(())];
    }
    let bytes = [&[b'x'; 40_000][..], b"\n"].concat();
    let Line { stream, start, time, .. } = shown;
    let block = Block { stream, start, time, bytes: &bytes };
    [printer.print_block(&block), printer.print(&Entry::Line(shown))]
}

fn assert_shown<P: Printer>(subject: &Subject<P>, steps: u64) {
    for output in Output::ALL {
        let is_on = |step: &u64| subject.printer.output_of(stream_of(*step)) == output;
        assert_texts(&(subject.shown)(output), (0..steps).filter(is_on));
    }
}

/// The texts of `steps` were shown, in order.
fn assert_texts(shown: &str, steps: impl Iterator<Item = u64>) {
    let mut rest = shown;
    for step in steps {
        let text = String::from_utf8(text(step)).expect("BUG: letters");
        let Some(at) = rest.find(&text) else {
            panic!("laws 1, 2 and 3: line {step} is not shown whole in its place");
        };
        rest = &rest[at + text.len()..];
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PrintRecorder;

    #[test]
    fn a_printer_without_a_screen_can_keep_the_laws() {
        all_of(|| {
            let printer = PrintRecorder::new();
            let (seen, failing) = (printer.clone(), printer.clone());
            let shown = move |output: Output| {
                let flushed = seen.flushed();
                let lines =
                    flushed.iter().filter(|printed| Output::from(printed.stream.stream) == output);
                let text = |printed: &crate::Printed| printed.text.clone();
                String::from_utf8(lines.map(text).collect::<Vec<_>>().join(&b'\n')).unwrap()
            };
            let fail = move |output, kind| failing.fail(output, kind);
            Subject { printer, shown: Box::new(shown), fail: Some(Box::new(fail)) }
        });
    }
}

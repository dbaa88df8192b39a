//! What stands on the console.

use insta::assert_snapshot;
use lastline_client::{
    Area, Labels, Options, Silent, SubscribeOptions, Template, TerminalPrinter, TextOptions,
};
use lastline_line::{
    Address, Cause, Emit, Entry, Field, Fold, Folded, Line, Member, Message, Offset, Outlier,
    RankSet, Span, Stream, Timestamp,
};
use lastline_testing::{Screen, chunk, laws, stdout};

use crate::common::{Job, json_on, of, prefixed, stderr, text_on};

#[test]
fn the_laws_hold_for_text_and_json() {
    laws::printer::all(|out, err| text_on([&out, &err], TextOptions::default()));
    laws::printer::all(|out, err| {
        let mut options = TextOptions::default();
        (options.prefix, options.color) = (Template::rank(), true);
        text_on([&out, &err], options)
    });
    laws::printer::all(|out, err| {
        let mut options = TextOptions::default();
        options.one_output = true;
        text_on([&out, &err], options)
    });
    laws::printer::all(|out, err| json_on([&out, &err]));
    laws::printer::all(|out, err| {
        let size = Box::new(|| Some((24, 80)));
        let [out, err] = [out, err].map(Box::new);
        let options = TextOptions::default();
        TerminalPrinter::new(out, err, Labels::default(), options, Area::default(), size)
    });
    laws::printer::all(|out, err| {
        Box::new(json_on([&out, &err])) as Box<dyn lastline_client::Printer>
    });
}

/// A printer that nobody sees prints all the same: subscribers have what it is given.
#[tokio::test]
async fn what_nobody_sees_is_withheld() {
    let mut job = Job::new(Silent, Options::default());
    let mut entries = job.client.entries(SubscribeOptions::default());
    job.say(stdout(0), b"one\n10%\rdone\nopen");
    assert!(entries.next().await.is_some());
    let account = of(&job.finish().await, stdout(0));
    assert_eq!((account.shown_bytes, account.withheld.total()), (0, 17));
    assert_eq!((account.withheld.show, account.lost.bytes()), (13, 0));
}

/// Escapes and returns made visible.
fn visible(screen: &Screen) -> String {
    screen.text().replace('\x1b', "<esc>").replace('\r', "<cr>")
}

#[tokio::test]
async fn lines_have_their_ranks_before_them() {
    let screen = Screen::new();
    let mut job = Job::new(prefixed(&screen), Options::default());
    job.say(stdout(0), b"one\ntwo\n");
    job.say(stdout(13), b"three\n\n");
    job.say(stderr(0), b"four\n");
    job.say(stdout(0), b"windows\r\n10%\r20%\r30%\n");
    job.say(stdout(1), b"no end");
    job.finish().await;
    assert_snapshot!(visible(&screen), @r"
    [0] one
    [0] two
    [13] three
    [13] 
    [0] four
    [0] windows
    [0] 30%
    [1] no end
    ");
}

#[tokio::test]
async fn a_line_that_a_barrier_cut_goes_on_marked() {
    let screen = Screen::new();
    let mut job = Job::new(prefixed(&screen), Options::default());
    job.say(stdout(0), b"half");
    job.say(stdout(1), b"whole\n");
    job.flush(stdout(0), 1);
    job.say(stdout(0), b" and half\nnext\n");
    job.say(stdout(2), b"lost its ");
    job.send(Message::Data(chunk(stdout(2), 20, b"middle\n")));
    job.finish().await;
    assert_snapshot!(visible(&screen), @r"
    [1] whole
    [0] half
    [0] …  and half
    [0] next
    [2] lost its 
    [2] … middle
    ");
}

#[tokio::test]
async fn one_rank_alone_has_the_console_as_it_is() {
    let screen = Screen::new();
    let (mut text, mut options) = (TextOptions::default(), Options::default());
    (text.raw_partials, options.raw_partials) = (true, true);
    let mut job = Job::new(text_on([&screen, &screen], text), options);
    job.say(stdout(0), b"name? ");
    job.say(stdout(0), b"you\n10%");
    job.say(stdout(0), b"\r20%");
    job.say(stdout(0), b"\r30%\r");
    job.say(stdout(0), b"done\r\n");
    let accounts = job.finish().await;
    assert_snapshot!(visible(&screen), @r"
    name? you
    10%<cr>20%<cr>30%<cr>done
    ");
    assert_eq!(of(&accounts, stdout(0)).lost.bytes(), 0);
}

#[tokio::test]
async fn colours_tell_ranks_and_streams_apart() {
    let screen = Screen::new();
    let mut text = TextOptions::default();
    (text.prefix, text.color) = (Template::rank(), true);
    let mut job = Job::new(text_on([&screen, &screen], text), Options::default());
    job.say(stdout(0), b"a\n");
    job.say(stdout(1), b"b\n");
    job.say(stderr(1), b"c\n");
    job.say(stdout(5), b"d\n");
    job.finish().await;
    assert_snapshot!(visible(&screen), @r"
    <esc>[36m[0] <esc>[0ma
    <esc>[32m[1] <esc>[0mb
    <esc>[31m[1] <esc>[0mc
    <esc>[36m[5] <esc>[0md
    ");
}

#[tokio::test]
async fn each_stream_has_its_output() {
    let (out, err) = (Screen::new(), Screen::new());
    let mut job = Job::new(text_on([&out, &err], TextOptions::default()), Options::default());
    job.say(stdout(0), b"to stdout\n");
    job.say(stderr(0), b"to stderr\n");
    job.finish().await;
    assert_eq!((out.text(), err.text()), ("to stdout\n".into(), "to stderr\n".into()));
    assert_eq!((out.flushed(), err.flushed()), (10, 10));
}

#[tokio::test]
async fn json_has_every_line_with_its_address() {
    let screen = Screen::new();
    let mut job = Job::new(json_on([&screen, &Screen::new()]), Options::default());
    job.say(stdout(0), b"plain \"quoted\"\n\xff\x00\n");
    job.say(stderr(3), b"open");
    job.flush(stderr(3), 1);
    job.say(stderr(3), b" end\n");
    job.finish().await;
    assert_snapshot!(visible(&screen), @r#"
    {"rank":0,"stream":"stdout","offset":0,"time":null,"line":"plain \"quoted\""}
    {"rank":0,"stream":"stdout","offset":15,"time":null,"line_base64":"/wA="}
    {"rank":3,"stream":"stderr","offset":0,"time":null,"line":"open","partial":true}
    {"rank":3,"stream":"stderr","offset":4,"time":"1970-01-01T00:00:00.000004Z","line":" end","continuation":true}
    "#);
}

#[tokio::test]
async fn ranks_that_are_not_to_be_shown_are_withheld() {
    let screen = Screen::new();
    let mut options = Options::default();
    options.show = Some("1,3".parse().unwrap());
    let mut job = Job::new(prefixed(&screen), options);
    for rank in 0..4 {
        job.say(stdout(rank), b"hello\n");
        job.end(stdout(rank));
    }
    let accounts = job.finish().await;
    assert_eq!(screen.text(), "[1] hello\n[3] hello\n");
    assert_eq!(of(&accounts, stdout(0)).withheld.show, 6);
    assert_eq!(of(&accounts, stdout(1)).shown_bytes, 6);
}

/// Holds all lines and gives them out as one entry.
#[derive(Default)]
pub(crate) struct OneEntry {
    members: Vec<Member>,
    ranks: RankSet,
    text: Vec<u8>,
    ends: Option<(Address, Address, Timestamp)>,
}

impl Fold for OneEntry {
    fn push(&mut self, line: &Line<'_>, _now: Timestamp, _emit: &mut Emit<'_>) {
        self.members.push(Member { stream: line.stream, lines: 1, bytes: line.bytes });
        self.ranks.insert(line.stream.rank);
        self.text = line.text.to_vec();
        let address = Address { stream: line.stream, start: line.start };
        let first = self.ends.map_or((address, line.time), |(first, _, time)| (first, time));
        self.ends = Some((first.0, address, first.1));
    }

    fn due(&mut self, _now: Timestamp, _emit: &mut Emit<'_>) -> Option<Timestamp> {
        None
    }

    fn finish(&mut self, emit: &mut Emit<'_>) {
        let Some((first, last, time)) = self.ends.take() else {
            return;
        };
        let fields = [
            Field::Numbers {
                min: "1.92".into(),
                max: "2.07".into(),
                distinct: 3,
                more: true,
                outliers: vec![Outlier { ranks: [2].into_iter().collect(), value: "nan".into() }],
            },
            Field::Common {
                value: "true".into(),
                distinct: 2,
                more: false,
                outliers: vec![Outlier { ranks: [3].into_iter().collect(), value: "false".into() }],
            },
            Field::Samples { samples: vec!["a".into(), "b".into()], distinct: 5, more: false },
            Field::Same("x".into()),
        ];
        let except: RankSet = [1].into_iter().collect();
        emit(Entry::Folded(Folded {
            stream: Stream::Stdout,
            text: &self.text,
            lines: self.members.len() as u64,
            count: self.members.len() as u64,
            ranks: &self.ranks,
            except: (self.ranks.len() == 3).then_some(&except),
            fields: &fields,
            first,
            last,
            time,
            members: &self.members,
        }));
        *self = Self::default();
    }
}

#[tokio::test]
async fn folded_entries_name_their_ranks() {
    let screen = Screen::new();
    let mut job = Job::folding(OneEntry::default(), prefixed(&screen), Options::default());
    for rank in [0, 2, 3] {
        job.say(stdout(rank), b"step {1..2}\n");
    }
    job.flush(stdout(0), 1);
    job.say(stdout(4), b"again\n");
    job.say(stdout(4), b"again\n");
    let accounts = job.finish().await;
    assert_snapshot!(visible(&screen), @r"
    [0-3 except 1] step {1..2}
    [4 ×2] again
    ");
    assert_eq!(of(&accounts, stdout(2)).shown_bytes, 12);
}

#[tokio::test]
async fn folded_entries_are_one_object() {
    let screen = Screen::new();
    let printer = json_on([&screen, &Screen::new()]);
    let mut job = Job::folding(OneEntry::default(), printer, Options::default());
    for rank in [0, 2, 3] {
        job.say(stdout(rank), b"step\n");
    }
    job.finish().await;
    assert_snapshot!(visible(&screen), @r#"{"rank":0,"stream":"stdout","offset":0,"time":null,"line":"step","ranks":"0,2,3","except":"1","count":3,"lines":3,"fields":[{"min":"1.92","max":"2.07","distinct":3,"more":true,"outliers":[{"ranks":"2","value":"nan"}]},{"value":"true","distinct":2,"outliers":[{"ranks":"3","value":"false"}]},{"samples":["a","b"],"distinct":5},{"value":"x"}],"first":{"rank":0,"stream":"stdout","offset":0},"last":{"rank":3,"stream":"stdout","offset":0}}"#);
}

/// What is held when another fold comes is printed first; what comes then is the other one's.
#[tokio::test]
async fn another_fold_takes_over_between_lines() {
    let screen = Screen::new();
    let mut job = Job::folding(OneEntry::default(), prefixed(&screen), Options::default());
    job.say(stdout(0), b"held\n");
    job.client.set_fold(Box::new(lastline_line::Off));
    job.flush(stdout(0), 1);
    job.say(stdout(1), b"passed\n");
    let accounts = job.finish().await;
    assert_eq!(screen.text(), "[0] held\n[1] passed\n");
    assert_eq!(of(&accounts, stdout(0)).received, Offset(5));
}

#[tokio::test]
async fn what_a_rank_would_do_to_the_terminal_is_shown_instead() {
    let screen = Screen::new();
    let mut text = TextOptions::default();
    (text.prefix, text.sanitize) = (Template::rank(), true);
    let mut job = Job::new(text_on([&screen, &screen], text), Options::default());
    job.say(stdout(0), b"plain\n\x1b[31mred\x1b[2J\n\x1b]0;title\x07\xff\xc2\x9b\n");
    job.finish().await;
    assert_snapshot!(visible(&screen), @r"
    [0] plain
    [0] <esc>[31mred^[[2J<esc>[0m
    [0] ^[]0;title^G\xff\x9b
    ");
}

#[tokio::test]
async fn json_has_no_byte_that_a_terminal_acts_on() {
    let screen = Screen::new();
    let mut job = Job::new(json_on([&screen, &screen]), Options::default());
    job.say(stdout(0), b"\x1b[2J \x7f \xc2\x9b2J \xc2\xb5s\n");
    job.finish().await;
    let text = screen.text();
    assert!(text.contains(r#""line":"\u001b[2J \u007f \u009b2J µs""#), "{text}");
}

/// Nothing else would wake the client: it asks for a heartbeat.
#[tokio::test]
async fn a_new_fold_takes_hold_at_once() {
    use lastline_line::Sink as _;
    let (transport, inbox) = lastline_sender::channel(1 << 20);
    let mut options = lastline_sender::Options::default();
    options.heartbeat = std::time::Duration::from_secs(3600);
    let sender = lastline_sender::Sender::start(transport, options);
    let printer = lastline_testing::PrintRecorder::new();
    let fold = Box::new(OneEntry::default());
    let client =
        lastline_client::Client::start(inbox, fold, Box::new(printer.clone()), Options::default());
    let client = client.expect("a thread");
    let message = lastline_line::Message::Data(lastline_testing::chunk(stdout(0), 0, b"held\n"));
    let taken = sender.sink().accept(&message);
    assert_eq!(taken, lastline_line::Accept::Taken);
    lastline_testing::until(|| !client.accounts().is_empty()).await;
    assert_eq!(printer.lines(), [""; 0]);
    client.set_fold(Box::new(lastline_line::Off));
    lastline_testing::until(|| printer.lines() == ["0:held"]).await;
}

#[derive(Debug)]
struct Hosts;

impl lastline_line::RankNames for Hosts {
    fn write(&self, ranks: &RankSet, into: &mut dyn std::fmt::Write) -> std::fmt::Result {
        for (at, rank) in ranks.iter().enumerate() {
            write!(into, "{}node{rank}", if at > 0 { "," } else { "" })?;
        }
        Ok(())
    }
    fn noun(&self) -> &'static str {
        "hosts"
    }
}

/// An entry of `ranks`, as both printers print it.
fn entry_as_printed(ranks: &str, text: &str) -> String {
    let (screen, none) = (Screen::new(), Screen::new());
    let ranks: RankSet = ranks.parse().expect("ranks");
    let first = Address { stream: stdout(0), start: Offset(0) };
    let entry = Entry::Folded(Folded {
        stream: Stream::Stdout,
        text: text.as_bytes(),
        lines: 2,
        count: 2,
        ranks: &ranks,
        except: None,
        fields: &Vec::new(),
        first,
        last: first,
        time: Timestamp(0),
        members: &[],
    });
    let mut options = TextOptions::default();
    options.prefix = Template::rank();
    options.names = Some(std::sync::Arc::new(Hosts));
    let mut printers: [Box<dyn lastline_client::Printer>; 2] = [
        Box::new(text_on([&screen, &none], options)),
        Box::new(json_on([&screen, &none]).named(std::sync::Arc::new(Hosts))),
    ];
    for printer in &mut printers {
        printer.print(&entry).expect("a screen");
        printer.flush().expect("a screen");
    }
    visible(&screen)
}

#[test]
fn entries_name_their_ranks_and_cut_long_lists_of_them() {
    let short = entry_as_printed("0,2", "ready");
    assert!(short.starts_with("[node0,node2] ready\n"), "{short}");
    assert!(short.contains(r#""ranks":"node0,node2""#), "{short}");
    let long = entry_as_printed("0,2,4,6,8", "ready");
    assert!(long.starts_with("[node0,node2,node4…(5 hosts)] ready\n"), "{long}");
    assert!(long.contains(r#""ranks":"node0,node2,node4,node6,node8""#), "{long}");
    let lines = entry_as_printed("0,2,4,6,8", "a\nb\nc");
    let whole = "[node0,node2,node4,node6,node8] a\n";
    let cut = "[node0,node2,node4…(5 hosts)]";
    assert!(lines.starts_with(&format!("{whole}{cut} b\n{cut} c\n")), "{lines}");
}

#[tokio::test]
async fn with_one_output_stderr_is_printed_on_stdout_and_notes_are_not() {
    let (out, err) = (Screen::new(), Screen::new());
    let (mut text, mut options) = (TextOptions::default(), Options::default());
    (text.one_output, options.tell_missing) = (true, true);
    let mut job = Job::new(text_on([&out, &err], text), options);
    job.say(stdout(0), b"a\n");
    job.say(stderr(0), b"b\n");
    let span = Span::new(Offset(2), Offset(12));
    job.send(Message::Skip { stream: stderr(0), span, cause: Cause::lost("pruned") });
    let accounts = job.finish().await;
    assert_eq!(out.text(), "a\nb\n");
    let said = "lastline: rank 0 stderr: 10 bytes are missing here, from byte 2 on: pruned\n";
    assert_eq!(err.text(), said);
    assert_eq!(of(&accounts, stderr(0)).lost.bytes(), 10);
}

#[tokio::test]
async fn json_has_an_object_for_what_is_missing() {
    let (out, err) = (Screen::new(), Screen::new());
    let mut options = Options::default();
    options.tell_missing = true;
    let mut job = Job::new(json_on([&out, &err]), options);
    let span = Span::new(Offset(0), Offset(1));
    job.send(Message::Skip { stream: stderr(3), span, cause: Cause::lost("why") });
    job.finish().await;
    let object = r#"{"rank":3,"stream":"stderr","offset":0,"missing_bytes":1,"cause":"why"}"#;
    assert_eq!(out.text().trim_end(), object);
    let said = "lastline: rank 3 stderr: 1 byte is missing here, from byte 0 on: why\n";
    assert_eq!(err.text(), said);
}

use std::collections::BTreeMap;

use bytes::Bytes;
use lastline_line::{Chunk, Emit, Launch, Line, Offset, Stream, Timestamp, Version};
use proptest::prelude::*;

use super::*;

/// Gives what it was made of, and is closed then.
struct Given(VecDeque<Message>);

impl Inbox for Given {
    fn next(&mut self, _wait: Option<Duration>) -> Received {
        self.0.pop_front().map_or(Received::Closed, Received::Message)
    }
}

/// These are ahead by so much.
#[derive(Default)]
struct Ahead(BTreeMap<StreamId, u64>);

impl Fold for Ahead {
    fn push(&mut self, _line: &Line<'_>, _now: Timestamp, _emit: &mut Emit<'_>) {}
    fn due(&mut self, _now: Timestamp, _emit: &mut Emit<'_>) -> Option<Timestamp> {
        None
    }
    fn finish(&mut self, _emit: &mut Emit<'_>) {}
    fn ahead(&self, stream: StreamId) -> u64 {
        self.0.get(&stream).copied().unwrap_or(0)
    }
}

fn ahead(ranks: &[u32]) -> Ahead {
    Ahead((1..).zip(ranks).map(|(lead, &rank)| (stream(rank), lead)).collect())
}

fn stream(rank: u32) -> StreamId {
    StreamId::new(Launch(1), rank, Stream::Stdout)
}

fn data(rank: u32, start: u64, text: &[u8]) -> Message {
    let bytes = Bytes::copy_from_slice(text);
    Message::Data(Chunk::new(stream(rank), Offset(start), Timestamp(0), bytes))
}

fn mark(rank: u32, at: u64) -> Message {
    Message::Flush { stream: stream(rank), version: Version(1), mark: Offset(at) }
}

/// Nobody waits for longer than the test takes.
fn turns(messages: impl IntoIterator<Item = Message>, max_bytes: usize) -> Turns {
    let inbox = Box::new(Given(messages.into_iter().collect()));
    Turns { patience: Duration::from_secs(3600), ..Turns::new(inbox, max_bytes) }
}

/// What is next, or nothing while all that has come waits.
fn next(turns: &mut Turns, fold: &Ahead) -> Option<Message> {
    match turns.next(Some(Duration::ZERO), Some(fold)) {
        Received::Message(message) => Some(message),
        _ => None,
    }
}

#[test]
fn who_is_ahead_waits_until_the_others_have_come() {
    let (fast, slow) = (data(0, 0, b"1\n2\n"), data(1, 0, b"1\n"));
    let mut turns = turns([fast.clone(), slow.clone()], 1 << 20);
    assert_eq!(next(&mut turns, &ahead(&[0])), None);
    assert_eq!(next(&mut turns, &ahead(&[0])), Some(slow));
    assert_eq!(next(&mut turns, &ahead(&[])), Some(fast));
}

#[test]
fn a_mark_is_given_out_with_all_that_is_before_it() {
    let messages = [data(0, 0, b"1\n"), data(0, 2, b"2\n"), mark(0, 4), data(0, 4, b"3\n")];
    let (mut turns, fold) = (turns(messages.clone(), 1 << 20), ahead(&[0]));
    let given: Vec<_> = (0..9).filter_map(|_| next(&mut turns, &fold)).collect();
    assert_eq!(given[..3], messages[..3]);
    // The inbox is closed: nobody is to come for whom the last one could wait.
    assert_eq!(given[3..], messages[3..]);
}

#[test]
fn nobody_waits_for_longer_than_patience_lasts_or_without_room() {
    let (message, fold) = (data(0, 0, b"1\n"), ahead(&[0]));
    let mut impatient = Turns { patience: Duration::ZERO, ..turns([message.clone()], 1 << 20) };
    assert_eq!(next(&mut impatient, &fold), Some(message.clone()));
    assert_eq!(next(&mut turns([message.clone()], 1), &fold), Some(message));
}

#[test]
fn without_room_who_is_least_ahead_goes_on() {
    let messages = [data(0, 0, b"1\n"), data(1, 0, b"1\n")];
    let mut turns = turns(messages.clone(), 3);
    assert_eq!(next(&mut turns, &ahead(&[1, 0])), None);
    assert_eq!(next(&mut turns, &ahead(&[1, 0])), Some(messages[1].clone()));
}

#[test]
fn of_several_that_may_go_the_one_that_came_first_goes_on() {
    let lines = b"a line of eight bytes and more\n".repeat(2 * PIECE_BYTES / 31);
    let messages = [data(0, 0, &lines), data(1, 0, &lines)];
    let (mut turns, fold) = (turns(messages, 1 << 20), ahead(&[]));
    let mut ranks = Vec::new();
    while let Some(message) = next(&mut turns, &fold) {
        assert!(message.payload_bytes() <= PIECE_BYTES + 31);
        ranks.extend(message.stream().map(|stream| stream.rank));
    }
    assert_eq!(ranks, [0, 0, 1, 1]);
}

#[derive(Clone, Debug)]
enum Step {
    Say(u32, usize),
    Mark(u32),
    End(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_u32, 1..40_000_usize).prop_map(|(rank, bytes)| Step::Say(rank, bytes)),
        1 => (0..4_u32).prop_map(Step::Mark),
        1 => (0..4_u32).prop_map(Step::End),
    ]
}

/// Where each stream is, and how many marks and ends it had.
#[derive(Debug, Default, PartialEq)]
struct Came(BTreeMap<StreamId, (Offset, usize, usize)>);

impl Came {
    fn take(&mut self, message: &Message) {
        let stream = message.stream().expect("BUG: all of them have one");
        let (end, marks, ends) = self.0.entry(stream).or_default();
        match message {
            Message::Data(chunk) => {
                assert_eq!(chunk.start, *end, "{stream}");
                *end = chunk.end();
            }
            Message::Flush { mark, .. } => {
                assert_eq!(mark, end, "{stream}");
                *marks += 1;
            }
            Message::End { at, .. } => {
                assert_eq!(at, end, "{stream}");
                *ends += 1;
            }
            _ => unreachable!(),
        }
    }
}

proptest! {
    #[test]
    fn each_stream_stays_in_order_and_nothing_is_left_behind(
        steps in prop::collection::vec(step(), 0..60),
        aheads in prop::collection::vec(prop::collection::vec(0..4_u32, 0..4), 1..20),
        max_bytes in 1..200_000_usize,
    ) {
        let (mut all, mut ends) = (Came::default(), BTreeMap::<u32, u64>::new());
        let messages: Vec<Message> = steps.iter().map(|step| match *step {
            Step::Say(rank, bytes) => {
                let end = ends.entry(rank).or_default();
                let text: Vec<u8> = (0..bytes).map(|at| if at % 7 == 6 { b'\n' } else { b'x' }).collect();
                *end += bytes as u64;
                data(rank, *end - bytes as u64, &text)
            }
            Step::Mark(rank) => mark(rank, *ends.entry(rank).or_default()),
            Step::End(rank) => {
                Message::End { stream: stream(rank), at: Offset(*ends.entry(rank).or_default()) }
            }
        }).collect();
        messages.iter().for_each(|message| all.take(message));
        let (mut turns, mut came) = (turns(messages, max_bytes), Came::default());
        for ranks in aheads.iter().cycle() {
            match turns.next(Some(Duration::ZERO), Some(&ahead(ranks))) {
                Received::Message(message) => came.take(&message),
                Received::TimedOut => {}
                Received::Closed => break,
            }
        }
        prop_assert_eq!(came, all);
        prop_assert_eq!((turns.bytes, turns.lanes.len()), (0, 0));
    }
}

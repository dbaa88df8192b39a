use lastline_line::{Launch, Stream};
use proptest::prelude::*;

use super::*;

fn id(rank: u32) -> StreamId {
    StreamId::new(Launch(7), rank, Stream::Stdout)
}

fn data(rank: u32, from: u64, to: u64) -> Message {
    let bytes: Vec<u8> = (from..to).map(byte).collect();
    Message::Data(Chunk::new(id(rank), Offset(from), Timestamp(1), bytes.into()))
}

/// What every stream holds at an offset.
fn byte(at: u64) -> u8 {
    u8::try_from(at % 251).unwrap()
}

fn end(rank: u32, at: u64) -> Message {
    Message::End { stream: id(rank), at: Offset(at) }
}

fn skip(rank: u32, from: u64, to: u64, cause: Cause) -> Message {
    Message::Skip { stream: id(rank), span: Span::new(Offset(from), Offset(to)), cause }
}

const UNWANTED: Cause = Cause::Withheld(Withheld::StreamingOff);

#[test]
fn whoever_comes_now_is_told_how_much_was_before() {
    let mut places = Places::default();
    places.take(data(0, 0, 10));
    places.take(end(1, 0));
    let mut replay = places.resume(&Resume::Now, |_| Offset(30));
    let all: Vec<Message> = std::iter::from_fn(|| replay.pop()).collect();
    assert_eq!(all, [skip(0, 0, 30, UNWANTED), skip(1, 0, 30, UNWANTED), end(1, 0)]);
    assert!(replay.is_over());
    // What was filed and not taken yet is not wanted either.
    assert_eq!(places.unwanted(id(0)), Offset(30));
    assert_eq!(places.take(data(0, 10, 20)), None);
    assert_eq!(places.take(data(0, 20, 35)), Some(data(0, 30, 35)));
    assert_eq!(places.take(skip(0, 35, 40, UNWANTED)), Some(skip(0, 35, 40, UNWANTED)));
}

#[test]
fn what_no_file_has_is_told_with_its_cause() {
    let mut places = Places::default();
    places.take(data(0, 0, 10));
    let mut replay = places.resume(&Resume::Start, |_| Offset::ZERO);
    assert_eq!(replay.wanted(), Some((id(0), Span::new(Offset(0), Offset(10)))));
    replay.read(None, Timestamp(1));
    replay.read(Some(Err((Offset(4), "disk full".into()))), Timestamp(1));
    assert_eq!(replay.pop(), Some(skip(0, 0, 4, Cause::lost("disk full"))));
    assert_eq!(replay.wanted(), Some((id(0), Span::new(Offset(4), Offset(10)))));
}

#[test]
fn streams_take_turns() {
    let mut places = Places::default();
    (0..2).for_each(|rank| drop(places.take(data(rank, 0, 10))));
    let mut replay = places.resume(&Resume::Start, |_| Offset::ZERO);
    let mut order = Vec::new();
    while let Some((stream, span)) = replay.wanted() {
        order.push((stream.rank, span.from.0));
        replay.read(Some(Ok(vec![b'x'; 5])), Timestamp(1));
    }
    assert_eq!(order, [(0, 0), (1, 0), (0, 5), (1, 5)]);
}

proptest! {
    /// Whatever was taken before and whatever comes after: a driver that comes in between gets every
    /// byte of a stream from where it wants it, once and in order, and is told of the rest.
    #[test]
    fn every_byte_is_given_once(
        sizes in prop::collection::vec(1_u64..50, 1..10),
        comes_after in 0_usize..10,
        from in prop::option::of(0_u64..500),
        piece in 1_usize..40,
    ) {
        let mut places = Places::default();
        let mut at = 0;
        let messages: Vec<Message> = sizes.iter().map(|size| {
            at += size;
            data(0, at - size, at)
        }).collect();
        let (before, after) = messages.split_at(comes_after.min(messages.len()));
        for message in before {
            places.take(message.clone());
        }
        if after.is_empty() {
            places.take(end(0, at));
        }
        let resume = from.map_or(Resume::Start, |from| Resume::After(vec![(id(0), Offset(from))]));
        let mut replay = places.resume(&resume, |_| Offset::ZERO);
        let mut got = Vec::new();
        loop {
            got.extend(std::iter::from_fn(|| replay.pop()));
            let Some((_, span)) = replay.wanted() else { break };
            let bytes = (span.from.0..span.to.0).take(piece).map(byte).collect();
            replay.read(Some(Ok(bytes)), Timestamp(1));
        }
        got.extend(after.iter().filter_map(|message| places.take(message.clone())));
        if !after.is_empty() {
            got.extend(places.take(end(0, at)));
        }
        let mut through = 0;
        for message in &got {
            match message {
                Message::Data(chunk) => {
                    prop_assert_eq!(chunk.start.0, through);
                    prop_assert!(chunk.bytes.iter().zip(through..).all(|(b, at)| *b == byte(at)));
                    through = chunk.end().0;
                }
                Message::Skip { span, .. } => {
                    prop_assert_eq!((span.from.0, through), (0, 0));
                    through = span.to.0;
                }
                Message::End { at: end, .. } => prop_assert_eq!((end.0, through), (at, at)),
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert_eq!(got.last(), Some(&end(0, at)));
    }
}

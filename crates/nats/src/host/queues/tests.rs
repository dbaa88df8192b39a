use lastline_line::wire::{Frame, decode};
use lastline_testing::{chunk, stdout};

use super::*;

fn data(at: u64, bytes: &[u8]) -> Message {
    Message::Data(chunk(stdout(0), at, bytes))
}

fn messages(batch: &Batch) -> Vec<Message> {
    let mut input = BytesMut::from(&batch.payload[..]);
    let frames = std::iter::from_fn(|| decode(&mut input).unwrap());
    frames
        .map(|frame| match frame {
            Frame::Message(message) => message,
            other => panic!("{other:?}"),
        })
        .collect()
}

const KEY: LaneKey = (0, Stream::Stdout);

fn row() -> Option<Row> {
    Some(Row::of_output("a".into(), 0))
}

#[test]
fn what_waits_is_joined_up_to_the_limit() {
    let mut queues = Queues::default();
    assert_eq!(queues.push(stdout(0), data(0, &[b'a'; 1000])), Some(KEY), "somebody has to begin");
    assert_eq!(queues.push(stdout(0), data(1000, &[b'b'; 1000])), None, "somebody has begun");
    queues.push(stdout(0), data(2000, &[b'c'; 1000]));
    let first = queues.next_batch(KEY, &mut row(), 2400).unwrap();
    assert_eq!(messages(&first), [data(0, &[b'a'; 1000]), data(1000, &[b'b'; 1000])]);
    assert_eq!(first.settled, [(stdout(0), Offset(2000))]);
    queues.stored(&first, 1);
    let second = queues.next_batch(KEY, &mut row(), 2400).unwrap();
    assert_eq!(messages(&second), [data(2000, &[b'c'; 1000])]);
    queues.stored(&second, 2);
    let mut lent = row();
    assert!(queues.next_batch(KEY, &mut lent, 2400).is_none());
    assert!(lent.is_none() && queues.is_idle() && queues.queued_bytes == 0);
}

#[test]
fn what_is_too_long_for_a_message_goes_in_pieces() {
    let mut queues = Queues::default();
    let text: Vec<u8> = (0..10_000_u32).map(|at| at.to_le_bytes()[0]).collect();
    queues.push(stdout(0), data(0, &text));
    let mut whole = Vec::new();
    while let Some(batch) = queues.next_batch(KEY, &mut row(), 1024) {
        assert!(batch.payload.len() <= 1024);
        for message in messages(&batch) {
            let Message::Data(chunk) = message else { panic!("{message:?}") };
            assert_eq!(chunk.start, Offset(whole.len() as u64));
            whole.extend_from_slice(&chunk.bytes);
        }
        queues.stored(&batch, 1);
    }
    assert_eq!(whole, text);
    assert_eq!(queues.queued_bytes, 0, "all of the window is given back");
}

#[test]
fn output_waits_for_the_events_before_it() {
    let mut queues = Queues::default();
    let host = lastline_line::HostId(1);
    let down = lastline_line::HostMessage { host, event: HostEvent::Down };
    queues.push(stdout(0), data(0, b"a\n"));
    assert!(queues.push_event(&Message::Host(down)));
    let before = queues.next_batch(KEY, &mut row(), 1000).unwrap();
    queues.push(stdout(0), data(2, b"b\n"));
    let behind = queues.next_batch(KEY, &mut row(), 1000).unwrap();
    assert_eq!((before.events_before, behind.events_before), (0, 1));
    let events = queues.next_events(1000).unwrap();
    assert!(events.has_down && events.events == 1);
    assert!(queues.next_events(1000).is_none());
}

#[test]
fn where_ends_are_stored_is_told_behind_the_events() {
    let mut queues = Queues::default();
    let host = lastline_line::HostId(1);
    queues.push(stdout(0), data(0, b"a\n"));
    queues.push(stdout(0), Message::End { stream: stdout(0), at: Offset(2) });
    let batch = queues.next_batch(KEY, &mut row(), 1000).unwrap();
    assert!(queues.next_ends().is_empty(), "it is not stored yet");
    assert!(queues.stored(&batch, 17), "somebody has to begin to store events");
    let down = lastline_line::HostMessage { host, event: HostEvent::Down };
    assert!(!queues.push_event(&Message::Host(down)), "somebody has begun");
    assert!(queues.next_events(1000).is_some());
    assert!(queues.next_events(1000).is_none());
    assert_eq!(queues.next_ends(), [StoredEnd { stream: stdout(0), at: Offset(2), sequence: 17 }]);
    assert!(!queues.is_idle(), "it is being stored");
    assert!(queues.next_events(1000).is_none() && queues.next_ends().is_empty());
    assert!(queues.next_batch(KEY, &mut row(), 1000).is_none() && queues.is_idle());
}

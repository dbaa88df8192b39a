use bytes::Bytes;
use lastline_line::{Launch, Offset, Stream};
use proptest::prelude::*;

use super::*;

fn id(rank: u32) -> StreamId {
    StreamId::new(Launch(0), rank, Stream::Stdout)
}

fn data(rank: u32, start: u64, bytes: usize) -> Message {
    let bytes = Bytes::from(vec![b'x'; bytes]);
    Message::Data(Chunk::new(id(rank), Offset(start), Timestamp(start), bytes))
}

fn span_of(item: &Item) -> Option<Span> {
    match item {
        Item::Held(chunk, _) => Some(chunk.span()),
        Item::Filed { span, .. } => Some(*span),
        Item::Mark(_) => None,
    }
}

proptest! {
    /// Whatever is released and when: each stream's bytes come out once, in order, and what
    /// is held is counted.
    #[test]
    fn a_lane_gives_every_byte_once_in_order(
        steps in prop::collection::vec((0_u32..3, 1_usize..9, 0_u8..4), 1..200),
    ) {
        let (mut backlog, mut read, mut sent) = (Backlog::default(), [0_u64; 3], [0_u64; 3]);
        let mut take = |backlog: &mut Backlog| -> Result<(), TestCaseError> {
            let Some((stream, _)) = backlog.front() else { return Ok(()) };
            let item = backlog.pop().unwrap();
            let span = span_of(&item).unwrap();
            let at = &mut sent[stream.rank as usize];
            prop_assert_eq!(span.from, Offset(*at));
            *at = span.to.0;
            Ok(())
        };
        for (rank, bytes, action) in steps {
            let at = &mut read[rank as usize];
            match action {
                0 => take(&mut backlog)?,
                1 => backlog.release(id(rank), |span| span.to.0 <= at.saturating_sub(5)),
                2 => if let Some((stream, item)) = backlog.front().map(|(s, i)| (s, i.clone())) {
                    backlog.pop();
                    backlog.put_back(stream, item);
                },
                _ => {
                    backlog.push(id(rank), data(rank, *at, bytes), Moment::ZERO);
                    *at += bytes as u64;
                }
            }
        }
        while !backlog.is_empty() {
            take(&mut backlog)?;
        }
        prop_assert_eq!(sent, read);
        prop_assert_eq!(backlog.held_bytes(), 0);
    }
}

#[test]
fn what_is_spilled_costs_no_memory_however_much_it_is() {
    let mut backlog = Backlog::default();
    for at in 0..10_000 {
        backlog.push(id(0), data(0, at * 10, 10), Moment::ZERO);
        backlog.release(id(0), |span| span.to.0 <= (at + 1) * 10);
    }
    assert_eq!(backlog.held_bytes(), 0);
    assert!(backlog.lanes[0].items.len() <= EXACT_ITEMS + 1);
}

#[test]
fn lanes_take_turns() {
    let mut backlog = Backlog::default();
    for rank in [0, 0, 0, 1] {
        let end = Message::End { stream: id(rank), at: Offset(0) };
        backlog.push(id(rank), end, Moment::ZERO);
    }
    let mut order = Vec::new();
    while let Some((stream, _)) = backlog.front() {
        order.push(stream.rank);
        backlog.pop();
    }
    assert_eq!(order, [0, 1, 0, 0]);
}

use bytes::Bytes;
use lastline_line::{Launch, Offset, Stream};
use proptest::prelude::*;

use super::*;

fn id(rank: u32) -> StreamId {
    of_start(0, rank)
}

fn of_start(start: u64, rank: u32) -> StreamId {
    StreamId::new(Launch(start), rank, Stream::Stdout)
}

fn data(stream: StreamId, start: u64, bytes: usize) -> Message {
    let bytes = Bytes::from(vec![b'x'; bytes]);
    Message::Data(Chunk::new(stream, Offset(start), Timestamp(start), bytes))
}

fn span_of(item: &Item) -> Option<Span> {
    match item {
        Item::Held(chunk, _) => Some(chunk.span()),
        Item::Filed { span, .. } => Some(*span),
        Item::Mark(_) => None,
    }
}

proptest! {
    /// Whatever is released and when, and however often a rank is started again: each stream's bytes come
    /// out once, in order, those of a rank's next start after all of the last one, and what is held is
    /// counted.
    #[test]
    fn a_lane_gives_every_byte_once_in_order(
        steps in prop::collection::vec((0_u32..3, 1_usize..9, 0_u8..6), 1..200),
    ) {
        let mut backlog = Backlog::default();
        // Of each rank, of each of its starts: how many bytes.
        let mut read = vec![vec![0_u64]; 3];
        let mut sent = read.clone();
        let mut take = |backlog: &mut Backlog, read: &[Vec<u64>]| -> Result<(), TestCaseError> {
            let Some((stream, _)) = backlog.front() else { return Ok(()) };
            let span = span_of(&backlog.pop().unwrap()).unwrap();
            let (rank, start) = (stream.rank as usize, stream.launch.0 as usize);
            while sent[rank].len() <= start {
                let last = sent[rank].len() - 1;
                prop_assert_eq!(sent[rank][last], read[rank][last], "all of the last start");
                sent[rank].push(0);
            }
            prop_assert_eq!(start, sent[rank].len() - 1, "nothing of an earlier start");
            prop_assert_eq!(span.from, Offset(sent[rank][start]));
            sent[rank][start] = span.to.0;
            Ok(())
        };
        for (rank, bytes, action) in steps {
            let starts = &mut read[rank as usize];
            let stream = of_start(starts.len() as u64 - 1, rank);
            let at = starts.last_mut().unwrap();
            match action {
                0 => take(&mut backlog, &read)?,
                1 => backlog.release(stream, |span| span.to.0 <= at.saturating_sub(5)),
                2 => if let Some((stream, item)) = backlog.front().map(|(s, i)| (s, i.clone())) {
                    backlog.pop();
                    backlog.put_back(stream, item);
                },
                3 => starts.push(0),
                _ => {
                    backlog.push(stream, data(stream, *at, bytes), Moment::ZERO);
                    *at += bytes as u64;
                }
            }
        }
        while !backlog.is_empty() {
            take(&mut backlog, &read)?;
        }
        let total = |ranks: &[Vec<u64>]| ranks.iter().flatten().sum::<u64>();
        prop_assert_eq!(total(&sent), total(&read));
        prop_assert_eq!(backlog.held_bytes(), 0);
    }
}

#[test]
fn what_is_spilled_costs_no_memory_however_much_it_is() {
    let mut backlog = Backlog::default();
    for at in 0..10_000 {
        backlog.push(id(0), data(id(0), at * 10, 10), Moment::ZERO);
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

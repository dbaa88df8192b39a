//! Whatever comes first: every byte arrives once, in order, or a skip for it.

use std::sync::Arc;

use lastline_line::{Budget, Message, Offset};
use lastline_sender::{Options, Sender, WhenFull, channel};
use lastline_testing::{Files, stdout};
use proptest::prelude::*;

use crate::common::{OVERHEAD, SOON, counted, end, flush, give, letter, next, settled};

const RANKS: usize = 3;

#[derive(Clone, Debug)]
enum Act {
    /// A rank says so many bytes.
    Say(u32, usize),
    /// What a rank said is filed, but for so many bytes.
    File(u32, u64),
    /// A range of so many bytes of a rank's file cannot be read.
    Lose(u32, u64),
    /// A barrier.
    Mark(u32),
    /// The client receives so many messages.
    Receive(u8),
    /// Streaming is switched.
    Mode(bool),
}

fn act() -> impl Strategy<Value = Act> {
    let rank = || 0..u32::try_from(RANKS).expect("few");
    prop_oneof![
        6 => (rank(), 1_usize..900).prop_map(|(rank, bytes)| Act::Say(rank, bytes)),
        3 => (rank(), 0_u64..2000).prop_map(|(rank, left)| Act::File(rank, left)),
        1 => (rank(), 1_u64..500).prop_map(|(rank, bytes)| Act::Lose(rank, bytes)),
        1 => rank().prop_map(Act::Mark),
        3 => (1_u8..6).prop_map(Act::Receive),
        1 => any::<bool>().prop_map(Act::Mode),
    ]
}

/// What the client has of each rank.
#[derive(Default)]
struct Seen {
    at: [u64; RANKS],
    ended: usize,
}

impl Seen {
    fn take(&mut self, message: &Message) {
        let at = &mut self.at[message.stream().expect("no heartbeat").rank as usize];
        if let Some((_, span)) = settled(message) {
            assert_eq!(span.from.0, *at, "no byte twice, none left out");
            *at = span.to.0;
        }
        match message {
            Message::Data(chunk) => {
                let letters = (chunk.start.0..).zip(&chunk.bytes);
                assert!(letters.into_iter().all(|(at, byte)| letter(at) == *byte));
            }
            Message::Flush { mark, .. } => assert_eq!(mark.0, *at, "a mark stays in its place"),
            Message::End { at: end, .. } => {
                assert_eq!(end.0, *at);
                self.ended += 1;
            }
            _ => {}
        }
    }
}

async fn run(acts: Vec<Act>, when_full: WhenFull, held_bytes: usize, limit_bytes: usize) {
    let (files, memory) = (Files::new(), Budget::new(usize::MAX / 2));
    let (transport, mut inbox) = channel(limit_bytes);
    let mut options = Options::default();
    (options.when_full, options.held_bytes) = (when_full, held_bytes);
    options.spill_after = std::time::Duration::ZERO;
    options.read_back = Some(Arc::new(files.clone()));
    let sender = Sender::start(transport, options);
    let (mut sink, mut said, mut seen) = (sender.sink(), [0_u64; RANKS], Seen::default());
    for (version, act) in (1..).zip(acts) {
        match act {
            Act::Say(rank, bytes) => {
                let at = &mut said[rank as usize];
                let message = counted(&memory, rank, *at, bytes);
                if let Message::Data(chunk) = &message {
                    files.write(chunk);
                }
                *at += bytes as u64;
                give(&mut sink, &message);
            }
            Act::File(rank, left) => {
                let filed = said[rank as usize].saturating_sub(left);
                files.file_to(stdout(rank), Offset(filed));
            }
            Act::Lose(rank, bytes) => {
                let from = said[rank as usize];
                files.lose(stdout(rank), crate::common::span(from, from + bytes), "disk full");
            }
            Act::Mark(rank) => give(&mut sink, &flush(rank, version, said[rank as usize])),
            Act::Mode(on) => sender.set_mode(on),
            Act::Receive(messages) => {
                for _ in 0..messages {
                    tokio::task::yield_now().await;
                    let Ok(message) =
                        tokio::time::timeout(std::time::Duration::ZERO, next(&mut inbox)).await
                    else {
                        break;
                    };
                    seen.take(&message.expect("the sender is there"));
                }
            }
        }
    }
    for (rank, at) in (0..).zip(said) {
        files.file_to(stdout(rank), Offset(at));
        give(&mut sink, &end(rank, at));
    }
    while seen.ended < RANKS {
        seen.take(&next(&mut inbox).await.expect("the sender is there"));
    }
    assert_eq!(seen.at, said);
    drop(inbox.recv());
    let sent = sender.close(SOON).await;
    assert!(sent.iter().all(|(_, sent)| sent.no_route.is_empty()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_arrives_once_in_order_or_is_skipped(
        acts in prop::collection::vec(act(), 1..120),
        drops in any::<bool>(),
        held_bytes in 0_usize..4000,
        limit_bytes in OVERHEAD..6000,
    ) {
        let when_full = if drops { WhenFull::Drop } else { WhenFull::Spool };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(acts, when_full, held_bytes, limit_bytes));
    }
}

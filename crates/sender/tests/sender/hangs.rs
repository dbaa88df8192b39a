//! A disk that does not answer while it is read.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use lastline_line::{Message, Offset, ReadBack, ReadOutcome, StreamId};
use lastline_sender::{ChannelInbox, Options, Sender, channel};
use lastline_testing::{Files, Gate, stdout, until};

use crate::common::{SOON, data, end, flush, give, next, span};

/// Files of which rank 0's does not answer while the gate is shut.
struct Hanging {
    files: Files,
    gate: Gate,
}

impl ReadBack for Hanging {
    fn read_back(
        &self,
        stream: StreamId,
        from: Offset,
        buffer: &mut [u8],
    ) -> io::Result<ReadOutcome> {
        if stream.rank == 0 {
            self.gate.pass();
        }
        self.files.read_back(stream, from, buffer)
    }

    fn filed(&self, stream: StreamId) -> Offset {
        self.files.filed(stream)
    }
}

/// A sender whose client takes nothing yet: the ranks' output, and a mark behind each, is spilled.
fn spilled(ranks: u32, gate: &Gate) -> (Sender, ChannelInbox) {
    // One message at a time.
    let (transport, inbox) = channel(1);
    let files = Files::new();
    let mut options = Options::default();
    (options.held_bytes, options.spill_after) = (0, Duration::ZERO);
    options.read_back = Some(Arc::new(Hanging { files: files.clone(), gate: gate.clone() }));
    let sender = Sender::start(transport, options);
    let mut sink = sender.sink();
    // It takes the place in the transport.
    give(&mut sink, &data(ranks, 0, "first\n"));
    for rank in 0..ranks {
        for at in 0..3 {
            let message = data(rank, at * 10, "123456789\n");
            files.file(&message);
            give(&mut sink, &message);
        }
        give(&mut sink, &flush(rank, 1, 30));
        give(&mut sink, &end(rank, 30));
    }
    (sender, inbox)
}

/// What comes, until so many streams have ended.
async fn until_ended(inbox: &mut ChannelInbox, streams: usize) -> Vec<Message> {
    let (mut all, mut ended) = (Vec::new(), 0);
    while ended < streams {
        let message = next(inbox).await.expect("the sender is there");
        ended += usize::from(matches!(message, Message::End { .. }));
        all.push(message);
    }
    all
}

fn count_of(messages: &[Message], rank: u32) -> usize {
    messages.iter().filter(|message| message.stream() == Some(stdout(rank))).count()
}

#[tokio::test]
async fn a_file_that_does_not_answer_stops_no_other_stream() {
    let gate = Gate::new();
    gate.shut();
    let (sender, mut inbox) = spilled(5, &gate);
    let others = until_ended(&mut inbox, 4).await;
    assert_eq!(gate.waiting(), 1);
    assert_eq!(count_of(&others, 0), 0);
    for rank in 1..5 {
        assert!(
            others.contains(&flush(rank, 1, 30)),
            "the barrier's mark waits for a stranger's file"
        );
    }
    // What others say from now on goes at once.
    give(&mut sender.sink(), &data(5, 6, "now\n"));
    assert_eq!(next(&mut inbox).await, Some(data(5, 6, "now\n")));
    gate.open();
    let late = until_ended(&mut inbox, 1).await;
    assert_eq!(count_of(&late, 0), late.len());
    assert_eq!(late[late.len() - 2..], [flush(0, 1, 30), end(0, 30)]);
    assert!(sender.close(SOON).await.iter().all(|(_, sent)| sent.no_route.is_empty()));
}

#[tokio::test]
async fn what_a_file_has_not_given_at_the_end_is_declared() {
    let gate = Gate::new();
    gate.shut();
    let (sender, mut inbox) = spilled(2, &gate);
    until_ended(&mut inbox, 1).await;
    let sent = sender.close(Duration::from_millis(50)).await;
    let declared = |rank: u32| {
        let of = sent.iter().find(|(stream, _)| *stream == stdout(rank));
        of.map(|(_, sent)| sent.no_route.as_slice().iter().map(|gap| gap.span).collect::<Vec<_>>())
    };
    assert_eq!(declared(0), Some(vec![span(0, 30)]));
    assert_eq!(declared(1), Some(vec![]));
    gate.open();
    until(|| gate.waiting() == 0).await;
}

//! Frames read back as they were written, however they are cut, and bad ones are refused.

use bytes::{Bytes, BytesMut};
use lastline_line::wire::{
    Frame, MAX_FOLDED_BYTES, MAX_FRAME_BYTES, WIRE_VERSION, WireError, decode, encode_control,
    encode_credit, encode_folded, encode_job, encode_message, encode_output, encode_resume,
    window_bytes,
};
use lastline_line::{
    Cause, Chunk, Control, Exit, Heartbeat, HostEvent, HostId, HostMessage, Launch, Message,
    Offset, PingId, Resume, Span, Stage, StageReport, StopCause, Stream, StreamId, Timestamp,
    Version,
};
use proptest::prelude::*;

fn stream() -> impl Strategy<Value = StreamId> {
    (any::<u64>(), any::<u32>(), any::<bool>()).prop_map(|(launch, rank, err)| {
        StreamId::new(Launch(launch), rank, if err { Stream::Stderr } else { Stream::Stdout })
    })
}

fn frame() -> impl Strategy<Value = Frame> {
    let data = (stream(), any::<u64>(), any::<u64>(), prop::collection::vec(any::<u8>(), 1..200));
    prop_oneof![
        data.prop_map(|(id, at, time, bytes)| {
            let chunk = Chunk::new(id, Offset(at), Timestamp(time), Bytes::from(bytes));
            Frame::Message(Message::Data(chunk))
        }),
        (stream(), any::<u64>(), any::<u64>()).prop_map(|(stream, version, mark)| {
            let (version, mark) = (Version(version), Offset(mark));
            Frame::Message(Message::Flush { stream, version, mark })
        }),
        (stream(), any::<u64>())
            .prop_map(|(stream, at)| Frame::Message(Message::End { stream, at: Offset(at) })),
        (stream(), any::<u32>(), any::<u32>(), "[a-z ]{1,30}").prop_map(
            |(stream, from, len, why)| {
                let from = u64::from(from);
                let span = Span::new(Offset(from), Offset(from + u64::from(len)));
                Frame::Message(Message::Skip { stream, span, cause: Cause::parse(&why) })
            }
        ),
        (any::<u64>(), any::<u64>(), ping()).prop_map(|(host, time, answers)| {
            let (host, time) = (HostId(host), Timestamp(time));
            Frame::Message(Message::Heartbeat(Heartbeat { host, time, answers }))
        }),
        (stream(), any::<u64>()).prop_map(|(stream, through)| {
            Frame::Control(Control::Acknowledge { stream, through: Offset(through) })
        }),
        any::<u64>().prop_map(|v| Frame::Control(Control::Flush { version: Version(v) })),
        any::<bool>().prop_map(|on| Frame::Control(Control::SetMode { stream_to_client: on })),
        control().prop_map(Frame::Control),
        (any::<u64>(), host_event()).prop_map(|(host, event)| {
            Frame::Message(Message::Host(HostMessage { host: HostId(host), event }))
        }),
        any::<u64>().prop_map(|bytes| Frame::Credit { bytes }),
        resume().prop_map(Frame::Resume),
        ".+".prop_map(Frame::Job),
        prop::collection::vec(alike(), 0..20).prop_map(Frame::Folded),
    ]
}

/// A chunk of lines that resemble those of others, of which the last one may not end.
fn alike() -> impl Strategy<Value = Chunk> {
    let text = "((step [0-9]{0,3}/9 loss 0\\.[0-9]{1,2}|rank [0-9]+|ready|7|)\n){0,4}(ready|7)?";
    let text = text.prop_filter("a chunk is not empty", |text: &String| !text.is_empty());
    (stream(), any::<u32>(), any::<u64>(), text).prop_map(|(id, at, time, text)| {
        Chunk::new(id, Offset(u64::from(at)), Timestamp(time), Bytes::from(text))
    })
}

fn resume() -> impl Strategy<Value = Resume> {
    let place = (stream(), any::<u64>()).prop_map(|(stream, at)| (stream, Offset(at)));
    prop_oneof![
        Just(Resume::Start),
        Just(Resume::Now),
        prop::collection::vec(place, 0..4).prop_map(Resume::After),
    ]
}

fn ping() -> impl Strategy<Value = Option<PingId>> {
    prop::option::of(any::<u64>().prop_map(PingId))
}

fn control() -> impl Strategy<Value = Control> {
    prop_oneof![
        ping().prop_map(|id| Control::Ping { id }),
        Just(Control::Dismiss),
        (stream(), any::<u32>()).prop_map(|(stream, millis)| Control::Pause {
            stream,
            lasts: std::time::Duration::from_millis(millis.into()),
        }),
        Just(Control::Stop { cause: StopCause::Owner }),
        (1..65).prop_map(|signal| Control::Stop { cause: StopCause::Signal(signal) }),
        (prop::option::of(0..u32::MAX), any::<i32>())
            .prop_map(|(rank, signal)| Control::Signal { rank, signal }),
        (any::<u64>(), ".{1,30}")
            .prop_map(|(host, why)| Control::Refuse { host: HostId(host), why }),
    ]
}

fn host_event() -> impl Strategy<Value = HostEvent> {
    prop_oneof![
        Just(HostEvent::Down),
        (any::<u32>(), any::<u64>(), any::<i32>(), any::<u64>()).prop_map(
            |(rank, launch, code, time)| HostEvent::Exited {
                rank,
                launch: Launch(launch),
                exit: Exit::Code(code),
                stopped: false,
                starts_again: code % 2 == 1,
                time: Timestamp(time),
            }
        ),
        (any::<u64>(), prop::collection::vec(stream(), 0..4)).prop_map(|(version, streams)| {
            HostEvent::Barrier { version: Version(version), streams }
        }),
        any::<String>().prop_map(|why| HostEvent::Lost { why }),
        any::<String>().prop_map(|why| HostEvent::Refused { why }),
        Just(HostEvent::Stage(StageReport::new(Stage::Eof, std::time::Duration::ZERO, true))),
    ]
}

fn encode(frames: &[Frame]) -> BytesMut {
    let mut out = BytesMut::new();
    for frame in frames {
        match frame {
            Frame::Message(message) => encode_message(message, &mut out),
            Frame::Control(control) => encode_control(control, &mut out),
            Frame::Credit { bytes } => encode_credit(*bytes, &mut out),
            Frame::Resume(resume) => encode_resume(resume, &mut out),
            Frame::Job(job) => encode_job(job, &mut out),
            Frame::Folded(chunks) => encode_folded(chunks, &mut out),
            other => panic!("{other:?} is a frame that is not tried here"),
        }
    }
    out
}

proptest! {
    #[test]
    fn frames_survive_any_cut(
        frames in prop::collection::vec(frame(), 0..12),
        cuts in prop::collection::vec(1_usize..64, 1..40),
    ) {
        let wire = encode(&frames);
        let (mut seen, mut input, mut rest) = (Vec::new(), BytesMut::new(), &wire[..]);
        let mut cuts = cuts.into_iter().cycle();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            input.extend_from_slice(now);
            rest = later;
            while let Some(frame) = decode(&mut input).unwrap() {
                seen.push(frame);
            }
        }
        prop_assert_eq!(seen, frames);
        prop_assert!(input.is_empty());
    }

    #[test]
    fn any_bytes_are_a_frame_or_an_error_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut input = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = decode(&mut input) {}
    }
}

#[test]
fn another_version_an_unknown_kind_and_a_monstrous_length_are_told_apart() {
    let decode = |bytes: &[u8]| decode(&mut BytesMut::from(bytes));
    assert_eq!(decode(&[2, 0, 0, 0, 9, 1]), Err(WireError::Version { found: 9 }));
    assert_eq!(decode(&[2, 0, 0, 0, WIRE_VERSION, 99]), Err(WireError::Kind { found: 99 }));
    assert_eq!(decode(&[3, 0, 0, 0, WIRE_VERSION, 3, 0]), Err(WireError::Malformed { kind: 3 }));
    let long = decode(&[255, 255, 255, 255]);
    assert_eq!(long, Err(WireError::TooLong { bytes: u32::MAX as usize }));
    assert_eq!(decode(&[5, 0, 0, 0, WIRE_VERSION]), Ok(None));
}

/// One chunk of each of so many ranks, which say `text` of themselves.
fn of_ranks(ranks: u32, text: impl Fn(u32) -> String) -> Vec<Chunk> {
    let chunk = |rank| {
        let id = StreamId::new(Launch(u64::from(rank)), rank, Stream::Stdout);
        Chunk::new(id, Offset(0), Timestamp(1), Bytes::from(text(rank)))
    };
    (0..ranks).map(chunk).collect()
}

#[test]
fn what_many_say_is_written_once() {
    let encoded = |chunks: &[Chunk]| {
        let mut out = BytesMut::new();
        encode_folded(chunks, &mut out);
        out.len()
    };
    let statement = "epoch 3 of 90 begins, with the schedule that was read from the checkpoint\n";
    let one = encoded(&of_ranks(1, |_| statement.into()));
    assert_eq!(encoded(&of_ranks(1001, |_| statement.into())), one + 1000 * 18 + 1);
    let with_loss = |rank: u32| format!("step 7 loss 0.{:04}\n", rank * 7919 % 10_000);
    assert!(encoded(&of_ranks(1000, with_loss)) < 30 * 1000);
}

#[test]
fn output_keeps_its_order_whatever_is_folded() {
    let said = of_ranks(3, |rank| format!("rank {rank} of 3 is ready to train\n"));
    let mark = Message::End { stream: said[1].stream, at: said[1].end() };
    let mut messages: Vec<Message> = said.iter().cloned().map(Message::Data).collect();
    messages.push(mark.clone());
    messages.push(Message::Data(said[2].clone()));
    let mut out = BytesMut::new();
    encode_output(&messages, &mut out);
    let last = Frame::Message(Message::Data(said[2].clone()));
    let wanted = [Frame::Folded(said), Frame::Message(mark), last];
    assert_eq!(std::array::from_fn(|_| decode(&mut out).unwrap().unwrap()), wanted);
}

#[test]
fn the_worst_that_can_be_said_fits_into_a_frame() {
    for text in ["\n\n\n", "1\n", "1", "1a1\n", "\n1\n2a\n"] {
        let chunks = of_ranks(8000, |rank| text.replace('a', &rank.to_string()));
        let taken = chunks.iter().map(|chunk| window_bytes(&Message::Data(chunk.clone())));
        assert!(taken.sum::<usize>() <= MAX_FOLDED_BYTES, "the test gives no more than it may");
        let mut out = BytesMut::new();
        encode_folded(&chunks, &mut out);
        assert!(out.len() <= MAX_FRAME_BYTES);
        assert_eq!(decode(&mut out), Ok(Some(Frame::Folded(chunks))));
    }
}

#[test]
fn a_folded_frame_that_claims_too_much_is_refused() {
    let statement = format!("{}\n", "x".repeat(1 << 20));
    let mut out = BytesMut::new();
    encode_folded(&of_ranks(5, |_| statement.clone()), &mut out);
    assert!(out.len() < MAX_FRAME_BYTES);
    assert_eq!(decode(&mut out), Err(WireError::Malformed { kind: 7 }), "it would become 5 MiB");
}

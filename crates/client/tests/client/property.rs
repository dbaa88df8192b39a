//! Whatever comes and fails: received = shown + withheld + lost.

use std::io;

use lastline_client::{Options, TextOptions};
use lastline_line::{Cause, Message, Offset, RankSet, Span, Stream, StreamId, Version, Withheld};
use lastline_testing::{Files, Screen, chunk, stdout};
use proptest::prelude::*;

use crate::common::{Job, json_on, prefixed, reading, stderr, terminal_on, text_on};

#[derive(Clone, Debug)]
enum Act {
    /// Bytes that start so far behind (or before) where the stream is.
    Data(u8, i8, Vec<u8>),
    /// A skip of so many bytes.
    Skip(u8, u8, bool),
    /// A barrier's mark, so far on.
    Mark(u8, u8),
    End(u8),
    Fail(bool),
    Abandon(u8),
}

fn act() -> impl Strategy<Value = Act> {
    let byte = prop_oneof![4 => Just(b'x'), 2 => Just(b'\n'), 1 => Just(b'\r'), 1 => any::<u8>()];
    let part = prop_oneof![9 => byte.prop_map(|byte| vec![byte]), 1 => Just(b"\x1b[A".to_vec())];
    let text = prop::collection::vec(part, 1..30).prop_map(|parts| parts.concat());
    let jump = prop_oneof![8 => Just(0_i8), 1 => -9..9_i8];
    prop_oneof![
        12 => (0..4_u8, jump, text).prop_map(|(of, jump, text)| Act::Data(of, jump, text)),
        1 => (0..4_u8, 1..9_u8, any::<bool>()).prop_map(|(of, bytes, lost)| Act::Skip(of, bytes, lost)),
        2 => (0..4_u8, 0..2_u8).prop_map(|(of, jump)| Act::Mark(of, jump)),
        1 => (0..4_u8).prop_map(Act::End),
        1 => any::<bool>().prop_map(Act::Fail),
        1 => (0..4_u8).prop_map(Act::Abandon),
    ]
}

fn stream(of: u8) -> StreamId {
    if of.is_multiple_of(2) { stdout(u32::from(of / 2)) } else { stderr(u32::from(of / 2)) }
}

async fn run(acts: Vec<Act>, printer: u8, show: bool, raw: bool) {
    let (out, err, files) = (Screen::new(), Screen::new(), Files::new());
    let mut options = if printer == 2 { reading(&files) } else { Options::default() };
    (options.held_line_bytes, options.raw_partials) = (16, raw);
    options.show = show.then(|| [0].into_iter().collect::<RankSet>().into());
    let mut job = match printer {
        0 => Job::new(json_on([&out, &err]), options),
        1 => Job::new(text_on([&out, &err], TextOptions::default()), options),
        3 => Job::new(terminal_on(&out), options),
        _ => Job::new(prefixed(&out), options),
    };
    let mut at = [0_u64; 4];
    for (version, act) in (1..).zip(acts) {
        match act {
            Act::Data(of, jump, text) => {
                let place = &mut at[usize::from(of)];
                let start = place.saturating_add_signed(jump.into());
                // The files hold what is contiguous, which is what may be let go.
                let message = Message::Data(chunk(stream(of), start, &text));
                if jump == 0 && printer == 2 {
                    files.file_at(&message);
                }
                *place = (*place).max(start + text.len() as u64);
                job.send(message);
            }
            Act::Skip(of, bytes, lost) => {
                let place = &mut at[usize::from(of)];
                let span = Span::new(Offset(*place), Offset(*place + u64::from(bytes)));
                *place = span.to.0;
                let off = Cause::Withheld(Withheld::StreamingOff);
                let cause = if lost { Cause::lost("dropped") } else { off };
                job.send(Message::Skip { stream: stream(of), span, cause });
            }
            Act::Mark(of, jump) => {
                let place = &mut at[usize::from(of)];
                *place += u64::from(jump);
                let (stream, mark) = (stream(of), Offset(*place));
                job.send(Message::Flush { stream, version: Version(version), mark });
            }
            Act::End(of) => {
                let (stream, at) = (stream(of), Offset(at[usize::from(of)]));
                job.send(Message::End { stream, at });
            }
            Act::Fail(both) => {
                out.fail(io::ErrorKind::BrokenPipe);
                if both {
                    err.fail(io::ErrorKind::StorageFull);
                }
            }
            Act::Abandon(of) => job.client.abandon(stream(of)),
        }
    }
    let accounts = job.finish().await;
    for (id, account) in &accounts {
        let of = u8::try_from(id.rank * 2).expect("few") + u8::from(id.stream == Stream::Stderr);
        assert_eq!(account.received, Offset(at[usize::from(of)]), "{id}");
        let gaps = account.lost.as_slice();
        let ordered = gaps.windows(2).all(|pair| pair[0].span.to <= pair[1].span.from);
        assert!(ordered, "{id}: lost ranges overlap: {gaps:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_account_always_adds_up(
        acts in prop::collection::vec(act(), 1..60),
        printer in 0..4_u8,
        show in any::<bool>(),
        raw in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(acts, printer, show, raw));
    }
}

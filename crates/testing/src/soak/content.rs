//! What a rank writes: the same bytes for the same seed, rank and stream.

use fastrand::Rng;
use lastline_line::Stream;

/// What the lines of a rank look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Numbered lines of up to 120 letters, empty ones among them.
    Short,
    /// What other ranks say too, with other numbers, and tracebacks.
    Alike,
    /// Lines of 4 KiB.
    Long,
    /// Lines of 100 KB.
    Monstrous,
    /// One line that never ends.
    Endless,
    /// Every byte there is but the two that end and redraw lines.
    Binary,
    /// Progress bars and lines that end as on Windows.
    Returns,
    /// One of the others for each line.
    Mixed,
}

impl Shape {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        match rng.u8(0..14) {
            0..4 => Self::Short,
            4 | 5 => Self::Alike,
            6 => Self::Long,
            7 => Self::Monstrous,
            8 => Self::Endless,
            9 => Self::Binary,
            10 => Self::Returns,
            _ => Self::Mixed,
        }
    }

    /// The shape of one line.
    fn of_line(self, rng: &mut Rng) -> Self {
        if self != Self::Mixed {
            return self;
        }
        match rng.u8(0..60) {
            0..30 => Self::Short,
            30..40 => Self::Alike,
            40..43 => Self::Long,
            43 => Self::Monstrous,
            44..50 => Self::Binary,
            _ => Self::Returns,
        }
    }
}

/// The first `len` bytes of a stream.
pub(crate) fn bytes(shape: Shape, seed: u64, rank: u32, stream: Stream, len: u64) -> Vec<u8> {
    let which = u64::from(rank) << 1 | u64::from(stream == Stream::Stderr);
    let mut rng = Rng::with_seed(seed.rotate_left(20) ^ which);
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    let mut out = Vec::with_capacity(len.saturating_add(100 << 10));
    let mut number = 0;
    while out.len() < len {
        line(shape.of_line(&mut rng), &mut rng, rank, number, &mut out);
        number += 1;
    }
    out.truncate(len);
    out
}

fn line(shape: Shape, rng: &mut Rng, rank: u32, number: u64, out: &mut Vec<u8>) {
    let short = rng.usize(0..120);
    match shape {
        Shape::Alike => return alike(rng, rank, number, out),
        Shape::Returns => return returns(rng, number, out),
        Shape::Binary => binary(rng, short, out),
        Shape::Short if rng.u8(0..8) == 0 => {}
        Shape::Short | Shape::Mixed => letters(rng, number, short, out),
        Shape::Long => letters(rng, number, 4 << 10, out),
        Shape::Monstrous => letters(rng, number, 100_000, out),
        Shape::Endless => return letters(rng, number, 60_000, out),
    }
    out.push(b'\n');
}

fn letters(rng: &mut Rng, number: u64, count: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{number} ").as_bytes());
    let letter = rng.u8(b'a'..=b'z');
    out.extend(
        (0..count).map(|at| if at % 61 == 60 { b'0' + (at / 61 % 10) as u8 } else { letter }),
    );
}

fn alike(rng: &mut Rng, rank: u32, number: u64, out: &mut Vec<u8>) {
    let text = match rng.u8(0..20) {
        0 => format!(
            "Traceback (most recent call last):\n  File \"train.py\", line {number}, in <module>\n    \
             step()\nValueError: rank {rank} has no batch\n"
        ),
        1 => format!("saved to /tmp/checkpoint-{rank}-{number}\n"),
        _ => format!("step {number} loss {}.{:03}\n", rng.u8(0..9), rng.u16(0..1000)),
    };
    out.extend_from_slice(text.as_bytes());
}

fn binary(rng: &mut Rng, count: usize, out: &mut Vec<u8>) {
    out.extend((0..count).map(|_| match rng.u8(..) {
        b'\n' => 0,
        b'\r' => 0xff,
        byte => byte,
    }));
}

fn returns(rng: &mut Rng, number: u64, out: &mut Vec<u8>) {
    for step in 0..rng.u64(0..6) {
        out.extend_from_slice(format!("{number}: {step} of 5\r").as_bytes());
    }
    let end = ["done\n", "done\r\n", "\r\r\n", "\n", "5 of 5\r\n"];
    out.extend_from_slice(end[rng.usize(0..end.len())].as_bytes());
}

//! Much output, and output of strange shapes.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use super::{HASH_DIR, own_rank};

/// The hash of `bytes`, as [`Hashed`] makes it (FNV-1a, 64 bits).
pub fn hash(bytes: &[u8]) -> u64 {
    extend(FNV_START, bytes)
}

// Fowler, Noll and Vo's constants for 64 bits.
const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

fn extend(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

/// The stdout of this process, unbuffered, with the hash of what was written.
#[derive(Debug)]
pub struct Hashed {
    out: BufWriter<File>,
    hash: u64,
}

impl Hashed {
    pub(super) fn stdout() -> io::Result<Self> {
        let out = rustix::io::dup(rustix::stdio::stdout())?;
        Ok(Self { out: BufWriter::with_capacity(32 << 10, out.into()), hash: FNV_START })
    }

    /// Everything is written; leaves the hash where the test looks for it, if it does.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.out.flush()?;
        let Some(dir) = std::env::var_os(HASH_DIR) else {
            return Ok(());
        };
        let path = PathBuf::from(dir).join(format!("{}.hash", own_rank()));
        std::fs::write(path, format!("{:016x}", self.hash))
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash = extend(self.hash, &bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Numbers that look random; the same for the same seed (xorshift).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Writes `bytes` bytes or a little more: numbered lines of up to 200 letters.
pub(super) fn write_lines(out: &mut impl Write, seed: u64, bytes: u64) -> io::Result<()> {
    let mut random = Random::new(seed ^ (own_rank() << 32));
    let (mut written, mut number) = (0, 0);
    while written < bytes {
        let letters = usize::try_from(random.next() % 200).unwrap_or_default();
        let letter = char::from(b'a' + u8::try_from(random.next() % 26).unwrap_or_default());
        let line = format!("{number} {}\n", letter.to_string().repeat(letters));
        out.write_all(line.as_bytes())?;
        written += line.len() as u64;
        number += 1;
    }
    Ok(())
}

pub(super) fn flood(seed: u64, bytes: u64) -> io::Result<()> {
    let mut out = Hashed::stdout()?;
    write_lines(&mut out, seed, bytes)?;
    out.finish()
}

/// Every byte there is, NUL and 0xFF among them, but for the carriage return, which the console
/// treats in its own way.
pub(super) fn bytes(seed: u64, bytes: u64) -> io::Result<()> {
    let mut out = Hashed::stdout()?;
    let mut random = Random::new(seed ^ (own_rank() << 32));
    for _ in 0..bytes {
        let byte = (random.next() >> 24) as u8;
        out.write_all(&[if byte == b'\r' { 0xff } else { byte }])?;
    }
    out.write_all(b"\n")?;
    out.finish()
}

/// The last line has no newline.
pub(super) fn partial() -> io::Result<()> {
    let mut out = Hashed::stdout()?;
    out.write_all(b"whole\nthe last, without its end")?;
    out.finish()
}

pub(super) fn long_line(bytes: u64) -> io::Result<()> {
    let mut out = Hashed::stdout()?;
    out.write_all(b"before\n")?;
    for at in 0..bytes {
        out.write_all(&[b'0' + (at % 10) as u8])?;
    }
    out.write_all(b"\nafter\n")?;
    out.finish()
}

pub(super) fn no_newline(bytes: u64) -> io::Result<()> {
    let mut out = Hashed::stdout()?;
    for at in 0..bytes {
        out.write_all(&[b'a' + (at % 26) as u8])?;
    }
    out.finish()
}

/// A bar that draws itself over and over, then ends its line.
pub(super) fn bar(steps: u64) -> io::Result<()> {
    let mut out = Hashed::stdout()?;
    for step in 0..=steps {
        write!(out, "\r{step}/{steps} {}", "#".repeat(usize::try_from(step).unwrap_or_default()))?;
        out.flush()?;
    }
    out.write_all(b"\ndone\r\n")?;
    out.finish()
}

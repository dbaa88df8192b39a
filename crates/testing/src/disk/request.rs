//! The kernel's side of a file system in user space: requests are read, answers built, as
//! `linux/fuse.h` (7.31) has them.

pub(super) const LOOKUP: u32 = 1;
pub(super) const FORGET: u32 = 2;
pub(super) const GETATTR: u32 = 3;
pub(super) const SETATTR: u32 = 4;
pub(super) const UNLINK: u32 = 10;
pub(super) const RENAME: u32 = 12;
pub(super) const OPEN: u32 = 14;
pub(super) const READ: u32 = 15;
pub(super) const WRITE: u32 = 16;
pub(super) const STATFS: u32 = 17;
pub(super) const RELEASE: u32 = 18;
pub(super) const FSYNC: u32 = 20;
pub(super) const INIT: u32 = 26;
pub(super) const OPENDIR: u32 = 27;
pub(super) const READDIR: u32 = 28;
pub(super) const RELEASEDIR: u32 = 29;
pub(super) const FSYNCDIR: u32 = 30;
pub(super) const CREATE: u32 = 35;
pub(super) const INTERRUPT: u32 = 36;
pub(super) const BATCH_FORGET: u32 = 42;
pub(super) const RENAME2: u32 = 45;

/// The node of the one directory.
pub(super) const ROOT: u64 = 1;
/// The most bytes of one write: what the kernel sends without being asked for more.
pub(super) const MAX_WRITE: usize = 128 << 10;
const HEADER_BYTES: usize = 40;

/// A request, as the kernel wrote it.
pub(super) struct Request<'a> {
    pub(super) opcode: u32,
    unique: u64,
    pub(super) node: u64,
    pub(super) body: &'a [u8],
}

impl<'a> Request<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Self {
        let (opcode, unique, node) = (u32_at(bytes, 4), u64_at(bytes, 8), u64_at(bytes, 16));
        Self { opcode, unique, node, body: &bytes[HEADER_BYTES..] }
    }

    pub(super) fn u32(&self, at: usize) -> u32 {
        u32_at(self.body, at)
    }

    pub(super) fn u64(&self, at: usize) -> u64 {
        u64_at(self.body, at)
    }

    /// The names that stand from `at` on.
    pub(super) fn names(&self, at: usize) -> impl Iterator<Item = &'a str> + use<'a> {
        let names = self.body[at..].split(|byte| *byte == 0);
        names.map(|name| str::from_utf8(name).expect("tests use names that are text"))
    }

    /// The answer to this, header and all.
    pub(super) fn answer(&self, answer: Result<Answer, i32>) -> Vec<u8> {
        let (error, body) = match answer {
            Ok(answer) => (0, answer.0),
            Err(number) => (-number, Vec::new()),
        };
        let length = u32::try_from(16 + body.len()).expect("BUG: an answer is small");
        let header = [&length.to_ne_bytes()[..], &error.to_ne_bytes(), &self.unique.to_ne_bytes()];
        [&header.concat()[..], &body].concat()
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("BUG: four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("BUG: eight bytes"))
}

/// What a file is like.
pub(super) struct Facts {
    pub(super) node: u64,
    pub(super) bytes: u64,
    pub(super) mode: u32,
    pub(super) links: u32,
}

/// The body of an answer.
#[derive(Default)]
pub(super) struct Answer(pub(super) Vec<u8>);

impl Answer {
    pub(super) fn u32s(mut self, numbers: &[u32]) -> Self {
        self.0.extend(numbers.iter().flat_map(|number| number.to_ne_bytes()));
        self
    }

    pub(super) fn u64s(mut self, numbers: &[u64]) -> Self {
        self.0.extend(numbers.iter().flat_map(|number| number.to_ne_bytes()));
        self
    }

    /// Version, no features, the size of a write.
    pub(super) fn init() -> Self {
        let write = u32::try_from(MAX_WRITE).expect("BUG: it is small");
        Self::default().u32s(&[7, 31, 0, 0, 0, write, 1, 0]).u32s(&[0; 8])
    }

    /// Nothing about a file is kept by the kernel.
    pub(super) fn entry(facts: &Facts) -> Self {
        Self::default().u64s(&[facts.node, 0, 0, 0, 0]).facts(facts)
    }

    pub(super) fn attributes(facts: &Facts) -> Self {
        Self::default().u64s(&[0, 0]).facts(facts)
    }

    fn facts(self, facts: &Facts) -> Self {
        let sizes = [facts.node, facts.bytes, facts.bytes.div_ceil(512), 0, 0, 0];
        self.u64s(&sizes).u32s(&[0, 0, 0, facts.mode, facts.links, 0, 0, 0, 4096, 0])
    }

    /// An open file, past the page cache.
    pub(super) fn open(self) -> Self {
        const DIRECT_IO: u32 = 1;
        self.u64s(&[0]).u32s(&[DIRECT_IO, 0])
    }

    /// Half of a gigabyte is free.
    pub(super) fn space() -> Self {
        let blocks = 1 << 18;
        let all = [blocks, blocks / 2, blocks / 2, 1 << 20, 1 << 19];
        Self::default().u64s(&all).u32s(&[4096, 255, 4096, 0]).u32s(&[0; 6])
    }

    /// One more file of a directory, the `next` one behind it.
    pub(super) fn listed(self, name: &str, node: u64, next: u64) -> Self {
        const REGULAR: u32 = 8;
        let length = u32::try_from(name.len()).expect("BUG: a name is short");
        let mut all = self.u64s(&[node, next]).u32s(&[length, REGULAR]);
        all.0.extend_from_slice(name.as_bytes());
        all.0.resize(all.0.len().next_multiple_of(8), 0);
        all
    }
}

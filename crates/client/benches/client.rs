//! Printing whole lines, beside a neighbour that only hands the same bytes on.
#![expect(missing_docs, reason = "criterion's macro makes a public function")]

use std::hint::black_box;
use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lastline_client::{
    Block, BoxWrite, Client, Labels, Options, Printer, Template, TextOptions, TextPrinter,
};
use lastline_line::{Chunk, Inbox, Message, Off, Offset, Received, Timestamp};
use lastline_testing::stdout;

const BLOCK_BYTES: usize = 256 << 10;
const BLOCKS: usize = 64;

fn block(line_bytes: usize) -> Bytes {
    let mut line = vec![b'x'; line_bytes - 1];
    line.push(b'\n');
    Bytes::from(line.repeat(BLOCK_BYTES / line_bytes))
}

fn null() -> BoxWrite {
    Box::new(std::fs::OpenOptions::new().write(true).open("/dev/null").expect("the null device"))
}

fn printer() -> TextPrinter {
    let mut options = TextOptions::default();
    options.prefix = Template::rank();
    TextPrinter::new(null(), null(), Labels::default(), options)
}

/// Blocks of eight ranks, one after the other.
struct Flood {
    bytes: Bytes,
    sent: usize,
}

impl Inbox for Flood {
    fn next(&mut self, _wait: Option<Duration>) -> Received {
        if self.sent == BLOCKS {
            return Received::Closed;
        }
        let rank = u32::try_from(self.sent % 8).expect("below 8");
        let start = Offset((self.sent / 8 * self.bytes.len()) as u64);
        self.sent += 1;
        let chunk = Chunk::new(stdout(rank), start, Timestamp(0), self.bytes.clone());
        Received::Message(Message::Data(chunk))
    }
}

fn print_block(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("print_block");
    for line_bytes in [20, 100, 4000] {
        let bytes = block(line_bytes);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_with_input(BenchmarkId::new("prefixed", line_bytes), &bytes, |bench, bytes| {
            let mut printer = printer();
            let stream = stdout(3);
            let block = Block { stream, start: Offset::ZERO, time: Timestamp(0), bytes };
            bench.iter(|| {
                printer.print_block(black_box(&block)).expect("it is taken");
                printer.flush().expect("it is taken");
            });
        });
        group.bench_with_input(BenchmarkId::new("no-op", line_bytes), &bytes, |bench, bytes| {
            let (mut null, mut buffer) = (null(), Vec::new());
            bench.iter(|| {
                buffer.clear();
                buffer.extend_from_slice(black_box(bytes));
                null.write_all(&buffer).expect("it is taken");
            });
        });
    }
    group.finish();
}

fn client(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut group = criterion.benchmark_group("client");
    for line_bytes in [20, 100, 4000] {
        let bytes = block(line_bytes);
        group.throughput(Throughput::Bytes((bytes.len() * BLOCKS) as u64));
        group.bench_with_input(BenchmarkId::new("flood", line_bytes), &bytes, |bench, bytes| {
            bench.iter(|| {
                let inbox = Flood { bytes: bytes.clone(), sent: 0 };
                let printer = Box::new(printer());
                let client = Client::start(inbox, Box::new(Off), printer, Options::default());
                let client = client.expect("a thread");
                assert!(runtime.block_on(client.finished(Duration::from_secs(60))));
            });
        });
        group.bench_with_input(BenchmarkId::new("no-op", line_bytes), &bytes, |bench, bytes| {
            bench.iter(|| {
                let mut inbox = Flood { bytes: bytes.clone(), sent: 0 };
                let mut null = null();
                while let Received::Message(Message::Data(chunk)) = inbox.next(None) {
                    null.write_all(&chunk.bytes).expect("it is taken");
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, print_block, client);
criterion_main!(benches);

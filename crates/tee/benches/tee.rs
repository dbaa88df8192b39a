//! A flood through a pipe and through a terminal, read by a tee, beside a bare read loop.
#![expect(missing_docs, reason = "criterion's macro makes a public function")]

use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lastline_line::{Accept, Message, Sink};
use lastline_tee::{Options, Tee};
use lastline_testing::stdout;

const FLOOD_BYTES: usize = 16 << 20;

/// Takes everything and keeps nothing.
struct Nothing;

impl Sink for Nothing {
    fn accept(&mut self, _message: &Message) -> Accept {
        Accept::Taken
    }
}

fn text(line_bytes: usize) -> Vec<u8> {
    let mut line = vec![b'x'; line_bytes - 1];
    line.push(b'\n');
    line.repeat(FLOOD_BYTES / line_bytes)
}

/// Runs `read` on the read end of a pipe that is flooded from a thread.
fn flooded<T>(text: &[u8], read: impl FnOnce(std::io::PipeReader) -> T) -> T {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    std::thread::scope(|scope| {
        scope.spawn(move || writer.write_all(text).expect("the reader is there"));
        read(reader)
    })
}

/// The same with the master of a terminal.
fn flooded_terminal<T>(text: &[u8], read: impl FnOnce(OwnedFd) -> T) -> T {
    let (master, mut slave) = lastline_testing::terminal();
    std::thread::scope(|scope| {
        scope.spawn(move || slave.write_all(text).expect("the reader is there"));
        read(master)
    })
}

async fn read_to_end(tee: Result<Tee, lastline_tee::TeeError>, bytes: usize) {
    let outcome = tee.expect("a tee").join().await.expect("it ends");
    assert_eq!(outcome.read_bytes, bytes as u64);
}

fn sinks() -> Vec<lastline_tee::BoxSink> {
    vec![Box::new(Nothing)]
}

fn flood(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut group = criterion.benchmark_group("tee");
    group.sample_size(20);
    for line_bytes in [20, 100, 4000] {
        let text = text(line_bytes);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_with_input(BenchmarkId::new("pipe", line_bytes), &text, |bench, text| {
            bench.iter(|| {
                flooded(text, |reader| {
                    runtime.block_on(async {
                        let (pipe, options) = (OwnedFd::from(reader), Options::default());
                        let tee = Tee::start_pipe(stdout(0), pipe, sinks(), options);
                        read_to_end(tee, text.len()).await;
                    });
                });
            });
        });
        group.bench_with_input(BenchmarkId::new("terminal", line_bytes), &text, |bench, text| {
            bench.iter(|| {
                flooded_terminal(text, |master| {
                    runtime.block_on(async {
                        let tee = Tee::start_pty(stdout(0), master, sinks(), Options::default());
                        read_to_end(tee, text.len()).await;
                    });
                });
            });
        });
        group.bench_with_input(BenchmarkId::new("terminal-no-op", line_bytes), &text, {
            |bench, text| {
                bench.iter(|| {
                    flooded_terminal(text, |master| {
                        let mut buffer = vec![0; 64 << 10];
                        // EIO is a terminal's end.
                        while rustix::io::read(&master, &mut buffer[..]).is_ok_and(|read| read > 0)
                        {
                        }
                    });
                });
            }
        });
        group.bench_with_input(BenchmarkId::new("no-op", line_bytes), &text, |bench, text| {
            bench.iter(|| {
                flooded(text, |mut reader| {
                    let mut buffer = vec![0; 64 << 10];
                    while reader.read(&mut buffer).expect("a pipe") > 0 {}
                });
            });
        });
    }
    group.finish();
}

criterion_group!(benches, flood);
criterion_main!(benches);

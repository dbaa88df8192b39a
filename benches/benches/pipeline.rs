//! The whole pipeline inside one process, beside reading the same pipe into nothing: what a tee
//! costs, what it costs with a file's side, with the console's side, and with both.

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use lastline_appender::Appender;
use lastline_client::{Block, Client, PrintError, Printer};
use lastline_line::{Accept, Entry, Message, Off, Sink};
use lastline_sender::{Sender, channel};
use lastline_tee::{BoxSink, Tee};
use lastline_testing::stdout;
use lastline_testing::storage::NoStorage;

const LINES: usize = 160_000;
const LINE_BYTES: usize = 100;
const WITHIN: Duration = Duration::from_secs(60);

/// A printer that prints nowhere.
struct Nowhere;

impl Printer for Nowhere {
    fn print(&mut self, entry: &Entry<'_>) -> Result<(), PrintError> {
        black_box(entry);
        Ok(())
    }
    fn flush(&mut self) -> Result<(), PrintError> {
        Ok(())
    }
    fn print_block(&mut self, block: &Block<'_>) -> Result<(), PrintError> {
        black_box(block);
        Ok(())
    }
}

/// A sink that lets go of everything at once.
struct NoSink;

impl Sink for NoSink {
    fn accept(&mut self, message: &Message) -> Accept {
        black_box(message);
        Accept::Taken
    }
}

/// A pipe and a thread that writes the lines into it.
fn flood() -> (std::io::PipeReader, std::thread::JoinHandle<()>) {
    let (read, mut write) = std::io::pipe().expect("there is a pipe");
    let writer = std::thread::spawn(move || {
        let mut lines = [b'x'; LINE_BYTES].repeat(LINES);
        lines.chunks_mut(LINE_BYTES).for_each(|line| line[LINE_BYTES - 1] = b'\n');
        write.write_all(&lines).expect("the pipe is read to its end");
    });
    (read, writer)
}

fn read_into_nothing() {
    let (mut pipe, writer) = flood();
    let mut buffer = vec![0; 64 << 10];
    while pipe.read(&mut buffer).expect("a pipe can be read") > 0 {
        black_box(&buffer);
    }
    writer.join().expect("the writer has no reason to panic");
}

async fn tee_into(sinks: Vec<BoxSink>) {
    let (pipe, writer) = flood();
    let options = lastline_tee::Options::default();
    let tee = Tee::start_pipe(stdout(0), OwnedFd::from(pipe), sinks, options);
    let outcome = tee.expect("a pipe can be watched").join().await.expect("it reads to the end");
    assert_eq!(outcome.read_bytes, (LINES * LINE_BYTES) as u64);
    writer.join().expect("the writer has no reason to panic");
}

async fn pipeline(with_files: bool, with_console: bool) {
    let mut sinks: Vec<BoxSink> = Vec::new();
    let appender = with_files.then(|| {
        Appender::start(Arc::new(NoStorage), Default::default()).expect("it holds nothing")
    });
    if let Some(appender) = &appender {
        sinks.push(Box::new(appender.sink(stdout(0))));
    }
    let console = with_console.then(|| {
        let (transport, inbox) = channel(2 << 20);
        let sender = Sender::start(transport, lastline_sender::Options::default());
        let options = lastline_client::Options::default();
        let client = Client::start(inbox, Box::new(Off), Box::new(Nowhere), options);
        (sender, client.expect("there is a thread"))
    });
    if let Some((sender, _)) = &console {
        sinks.push(Box::new(sender.sink()));
    }
    tee_into(sinks).await;
    if let Some((sender, client)) = console {
        sender.close(WITHIN).await;
        assert!(client.finished(WITHIN).await, "everything was printed");
    }
    if let Some(appender) = appender {
        let written = appender.close(WITHIN);
        assert!(written.streams.values().all(|stream| stream.not_filed.is_empty()));
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().expect("there is a runtime");
    let mut group = criterion.benchmark_group("pipeline, 160,000 lines of 100 bytes");
    group.throughput(Throughput::Bytes((LINES * LINE_BYTES) as u64)).sample_size(20);
    group.bench_function("no-op: read(2)", |b| b.iter(read_into_nothing));
    group.bench_function("tee", |b| {
        b.iter(|| runtime.block_on(tee_into(vec![Box::new(NoSink)])));
    });
    let cases = [
        ("tee, appender", (true, false)),
        ("tee, sender, client", (false, true)),
        ("tee, appender, sender, client", (true, true)),
    ];
    for (name, (files, console)) in cases {
        group.bench_function(name, |b| b.iter(|| runtime.block_on(pipeline(files, console))));
    }
    group.finish();
    criterion.final_summary();
}

//! The appender beside a storage that keeps nothing, and beside a plain loop of writes.
//!
//! Files are on `/dev/shm` where there is one, so that it is the appender that is measured.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput};
use lastline_appender::{Appender, DirStorage, Options, Storage};
use lastline_line::{Chunk, Message, Offset, Timestamp};
use lastline_testing::laws::sink::offer;
use lastline_testing::storage::NoStorage;
use tempfile::TempDir;

/// What a run writes: `streams` × `chunks` pieces, each `every_us` after the one before.
#[derive(Clone, Copy)]
struct Load {
    streams: u32,
    chunks: u64,
    chunk_bytes: usize,
    every_us: u64,
}

fn dir() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a directory can be made")
}

fn append(storage: Arc<dyn Storage>, load: Load, index: bool) {
    let mut options = Options::default();
    options.index = index;
    let appender = Appender::start(storage, options).expect("the storage is empty");
    let mut sinks: Vec<_> =
        (0..load.streams).map(|rank| appender.sink(lastline_testing::stdout(rank))).collect();
    let bytes = Bytes::from(vec![b'\n'; load.chunk_bytes]);
    for step in 0..load.chunks {
        for (rank, sink) in (0..).zip(&mut sinks) {
            let start = Offset(step * load.chunk_bytes as u64);
            let time = Timestamp(step * load.every_us);
            let stream = lastline_testing::stdout(rank);
            let chunk = Chunk::new(stream, start, time, bytes.clone());
            offer(sink, &Message::Data(chunk));
        }
    }
    let written = appender.close(Duration::from_secs(60));
    assert!(written.streams.values().all(|stream| stream.not_filed.is_empty()));
}

fn plain(dir: &Path, load: Load) {
    let bytes = vec![b'\n'; load.chunk_bytes];
    let file = |rank| File::create(dir.join(format!("{rank}"))).expect("a file can be made");
    let mut files: Vec<File> = (0..load.streams).map(file).collect();
    for _ in 0..load.chunks {
        for file in &mut files {
            file.write_all(black_box(&bytes)).expect("there is room");
        }
    }
}

fn compare(group: &mut BenchmarkGroup<'_, WallTime>, load: Load) {
    let size = BatchSize::PerIteration;
    let real = |dir: &TempDir| -> Arc<dyn Storage> {
        Arc::new(DirStorage::existing(dir.path()).expect("it was made"))
    };
    group.bench_function("no-op", |b| b.iter(|| append(Arc::new(NoStorage), load, true)));
    group.bench_function("plain writes", |b| {
        b.iter_batched_ref(dir, |d| plain(d.path(), load), size)
    });
    group.bench_function("appender", |b| {
        b.iter_batched_ref(dir, |d| append(real(d), load, true), size);
    });
    group.bench_function("appender without index", |b| {
        b.iter_batched_ref(dir, |d| append(real(d), load, false), size);
    });
}

fn benches(criterion: &mut Criterion) {
    let loads = [
        (
            "flood, 1 stream, 64 KiB",
            Load { streams: 1, chunks: 2048, chunk_bytes: 64 << 10, every_us: 20 },
        ),
        (
            "flood, 8 streams, 256 KiB",
            Load { streams: 8, chunks: 64, chunk_bytes: 256 << 10, every_us: 80 },
        ),
        (
            "lines, 64 streams, 100 bytes",
            Load { streams: 64, chunks: 500, chunk_bytes: 100, every_us: 5000 },
        ),
    ];
    for (name, load) in loads {
        let mut group = criterion.benchmark_group(name);
        let bytes = u64::from(load.streams) * load.chunks * load.chunk_bytes as u64;
        group.throughput(Throughput::Bytes(bytes)).sample_size(20);
        compare(&mut group, load);
        group.finish();
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    benches(&mut criterion);
    criterion.final_summary();
}

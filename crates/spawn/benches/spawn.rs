//! Starting a program and seeing its end, beside what the standard library does; starting and
//! dismissing a guardian.
#![expect(missing_docs, reason = "criterion's macro makes a public function")]

use std::io::Read;
use std::process::{Command, Stdio};

use criterion::{Criterion, criterion_group, criterion_main};
use lastline_spawn::{Output, ProcessOptions, ProcessSpawner, RankSpec, Spawner};

fn spawner(guardian: bool) -> ProcessSpawner {
    let mut options = ProcessOptions::default();
    options.guardian = guardian;
    ProcessSpawner::new(options).expect("a guardian")
}

/// Starts `true`, and reads its output to the end.
fn run(spawner: &mut ProcessSpawner) {
    let mut spec = RankSpec::new(0, vec!["true".into()]);
    spec.program = Some("/bin/true".into());
    let spawned = spawner.spawn(spec).expect("it starts");
    if let Output::Pipes { stdout, .. } = spawned.output {
        let read = std::fs::File::from(stdout).read_to_end(&mut Vec::new());
        assert_eq!(read.expect("a pipe"), 0);
    }
    while spawned.process.exit().is_none() {
        std::thread::yield_now();
    }
    spawned.process.release();
}

#[expect(clippy::disallowed_methods, reason = "it is what the spawner is compared with")]
fn by_the_standard_library() {
    let mut command = Command::new("/bin/true");
    command.stdin(Stdio::null());
    assert!(command.output().expect("it starts").status.success());
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("true");
    group.bench_function("std", |bencher| bencher.iter(by_the_standard_library));
    for (name, guardian) in [("alone", false), ("guarded", true)] {
        let mut spawner = spawner(guardian);
        group.bench_function(name, |bencher| bencher.iter(|| run(&mut spawner)));
        spawner.dismiss();
    }
    group.finish();
    criterion.bench_function("guardian", |bencher| bencher.iter(|| spawner(true).dismiss()));
}

criterion_group!(benches, bench);
criterion_main!(benches);

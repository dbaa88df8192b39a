//! Streams to read, and sinks that remember.

use std::os::fd::OwnedFd;
use std::time::Duration;

use lastline_line::Offset;
use lastline_tee::BoxSink;
use lastline_testing::Recorder;

/// A real pipe: the read end, and a file to write to.
pub(crate) fn pipe() -> (OwnedFd, std::fs::File) {
    let (read, write) = std::io::pipe().expect("a pipe");
    (read.into(), OwnedFd::from(write).into())
}

pub(crate) fn sinks(recorders: &[&Recorder]) -> Vec<BoxSink> {
    recorders.iter().map(|&recorder| Box::new(recorder.clone()) as BoxSink).collect()
}

/// Lets other tasks run until `predicate` holds.
pub(crate) async fn until(predicate: impl Fn() -> bool) {
    let held = async {
        while !predicate() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), held).await.expect("it does not come true");
}

pub(crate) fn assert_contiguous(recorder: &Recorder) {
    let mut at = Offset::ZERO;
    for chunk in recorder.chunks() {
        assert_eq!(chunk.start, at);
        assert_eq!(chunk.unterminated, chunk.bytes.last() != Some(&b'\n'));
        at = chunk.end();
    }
}

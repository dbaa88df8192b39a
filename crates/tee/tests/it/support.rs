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

/// A real pseudo terminal that leaves bytes alone: the master, and a file to write to.
pub(crate) fn terminal() -> (OwnedFd, std::fs::File) {
    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::{OptionalActions, OutputModes, tcgetattr, tcsetattr};
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).expect("a terminal");
    unlockpt(&master).expect("its other end");
    let slave = ioctl_tiocgptpeer(&master, flags).expect("its other end");
    let mut modes = tcgetattr(&slave).expect("its modes");
    modes.output_modes.remove(OutputModes::OPOST);
    tcsetattr(&slave, OptionalActions::Now, &modes).expect("modes");
    (master, slave.into())
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

//! A disk for programs that are no Rust: mounts a [`Disk`] on the directory that it is told, and takes a
//! word a line: `hang`, `release`, and `waits`, whether somebody waits for it. It answers `done`, or
//! `yes` and `no`, and is gone at the end of its input.

use std::io::{self, BufRead as _, Write as _};
use std::path::Path;

use lastline_testing::disk::{Disk, Hang};

fn main() -> io::Result<()> {
    let at = std::env::args_os().nth(1).ok_or(io::ErrorKind::InvalidInput)?;
    let disk = Disk::mount(Path::new(&at))?;
    let mut out = io::stdout();
    writeln!(out, "mounted")?;
    for word in io::stdin().lock().lines() {
        let answer = match word?.as_str() {
            "hang" => {
                disk.hang(Hang::Untaken);
                "done"
            }
            "release" => {
                disk.release();
                "done"
            }
            "waits" if disk.is_waited_for() => "yes",
            "waits" => "no",
            other => return Err(io::Error::other(format!("no such word: {other}"))),
        };
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

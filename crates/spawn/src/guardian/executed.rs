//! The guardian as a program of its own, which is nowhere on disk.
//!
//! The program is `x86_64.s`, which the compiler assembles into this crate as bytes. They are
//! written to a file in memory behind the header of an executable, and a child that shares the
//! memory of this process until then executes that file. So it costs what starting any small
//! program costs, whatever the size of this process: no table of pages is copied, no page is
//! copied when it is written to later, and the guardian has a few pages of its own.
//!
//! A child that went on sharing this memory would cost as little, and the kernel's killer for want
//! of memory, which ends all who share it, would end it with this process: just when it is needed.

use std::convert::Infallible;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::MemfdFlags;
use rustix::io::Errno;

use super::LOOK_MILLIS;
use rustix::process::Pid;

use crate::launch::execute;

/// Where the program is put in memory, as it is for most executables of this machine.
const ADDRESS: u64 = 0x40_0000;
/// The header of the file, and two headers of segments.
const HEADER_BYTES: usize = 64 + 2 * 56;
/// The child makes a few system calls.
const STACK_BYTES: usize = 16 << 10;

/// Starts the guardian; gives its id and its pidfd.
pub(super) fn start(
    pipe: BorrowedFd<'_>,
    capacity: usize,
    grace_millis: i32,
) -> io::Result<(Pid, OwnedFd)> {
    let looks = u64::from(grace_millis.unsigned_abs()).div_ceil(LOOK_MILLIS.unsigned_abs().into());
    let file = file_with(&image(capacity as u64, looks))?;
    let (file, pipe) = (file.as_raw_fd(), pipe.as_raw_fd());
    execute(STACK_BYTES, &mut || become_guardian(file, pipe))
}

/// A file in memory that may be executed.
fn file_with(bytes: &[u8]) -> io::Result<OwnedFd> {
    let make = |flags| rustix::fs::memfd_create(c"lastline-guard", MemfdFlags::CLOEXEC | flags);
    // Linux before 6.3 does not know the flag, and lets every such file be executed.
    let file = make(MemfdFlags::EXEC).or_else(|error| match error {
        Errno::INVAL => make(MemfdFlags::empty()),
        error => Err(error),
    })?;
    let mut file = std::fs::File::from(file);
    file.write_all(bytes)?;
    Ok(file.into())
}

/// Runs in the child. System calls only. Every signal is blocked, and stays so.
#[expect(unsafe_code, reason = "between clone and exec there are only system calls")]
fn become_guardian(file: i32, pipe: i32) -> io::Result<Infallible> {
    let (argv, envp) = ([c"lastline-guard".as_ptr(), std::ptr::null()], [std::ptr::null()]);
    let (argv, envp): (*const _, *const *const libc::c_char) = (argv.as_ptr(), envp.as_ptr());
    // SAFETY: plain system calls on values that are valid here; descriptors, directory and session
    // are the child's own.
    unsafe {
        libc::setsid();
        libc::chdir(c"/".as_ptr());
        if libc::dup2(pipe, 0) < 0 || libc::fcntl(0, libc::F_SETFD, 0) < 0 {
            return Err(io::Error::last_os_error());
        }
        libc::syscall(libc::SYS_execveat, file, c"".as_ptr(), argv, envp, libc::AT_EMPTY_PATH);
    }
    Err(io::Error::last_os_error())
}

/// The file: one segment that is read and executed, as long as the file, and a stack that is not
/// executed. Fields as the ELF-64 format has them.
fn image(slots: u64, looks: u64) -> Vec<u8> {
    let code = program::code();
    let bytes = HEADER_BYTES + code.len();
    let mut image = Vec::with_capacity(bytes);
    // 64 bits, little end first, version 1; an executable at a fixed address, for x86_64.
    image.extend(*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    half(&mut image, &[2, 62]);
    word(&mut image, &[1]);
    // Where it begins; headers of segments behind this one, none of sections; no flags.
    long(&mut image, &[ADDRESS + HEADER_BYTES as u64, 64, 0]);
    word(&mut image, &[0]);
    // The sizes of this header and of one of a segment, how many; none of sections.
    half(&mut image, &[64, 56, 2, 64, 0, 0]);
    let (load, read_execute) = (1, 5);
    word(&mut image, &[load, read_execute]);
    long(&mut image, &[0, ADDRESS, ADDRESS, bytes as u64, bytes as u64, 0x1000]);
    let (stack, read_write) = (0x6474_e551, 6);
    word(&mut image, &[stack, read_write]);
    long(&mut image, &[0, 0, 0, 0, 0, 16]);
    debug_assert_eq!(image.len(), HEADER_BYTES, "BUG: a field too many or too few");
    image.extend(code);
    // The last two words of the program.
    image.truncate(bytes - 16);
    long(&mut image, &[slots, looks]);
    image
}

fn half(image: &mut Vec<u8>, values: &[u16]) {
    image.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn word(image: &mut Vec<u8>, values: &[u32]) {
    image.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn long(image: &mut Vec<u8>, values: &[u64]) {
    image.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

/// What `x86_64.s` is assembled to.
#[expect(unsafe_code, reason = "it is assembled here, as bytes")]
mod program {
    std::arch::global_asm!(include_str!("x86_64.s"), options(raw));

    unsafe extern "C" {
        static lastline_guardian_1_begin: u8;
        static lastline_guardian_1_end: u8;
    }

    pub(super) fn code() -> &'static [u8] {
        let begin = &raw const lastline_guardian_1_begin;
        let end = &raw const lastline_guardian_1_end;
        // SAFETY: `x86_64.s` defines both, the second behind the first, in one section that is
        // only read.
        unsafe { std::slice::from_raw_parts(begin, end.addr() - begin.addr()) }
    }
}

//! A library for `LD_PRELOAD`: the time of day of a program is another one, and can be changed
//! while it runs; the monotonic clocks stay.
//!
//! `SHIFTED_CLOCK` names a file of eight bytes: by how many nanoseconds the time is shifted, in
//! this machine's order. Whoever writes there sets the clock.

#![expect(unsafe_code, reason = "it stands in for a function of the C library")]

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicI64, AtomicPtr, Ordering};

/// What is added, in the file; null before somebody asks what time it is.
static SHIFT: AtomicPtr<AtomicI64> = AtomicPtr::new(ptr::null_mut());
/// What is added where there is no file.
static NONE: AtomicI64 = AtomicI64::new(0);

/// What the C library's function of this name does, with another time of day.
///
/// # Safety
///
/// As there: `time` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> c_int {
    // SAFETY: the system writes where the caller says.
    let done = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
    let of_day = [libc::CLOCK_REALTIME, libc::CLOCK_REALTIME_COARSE, libc::CLOCK_TAI];
    if done == 0 && of_day.contains(&clock) {
        // SAFETY: it has just been written.
        let time = unsafe { &mut *time };
        let nanos = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
        let nanos = nanos + i128::from(shift().load(Ordering::Relaxed));
        time.tv_sec = nanos.div_euclid(1_000_000_000) as libc::time_t;
        time.tv_nsec = nanos.rem_euclid(1_000_000_000) as _;
    }
    done as c_int
}

fn shift() -> &'static AtomicI64 {
    let mut found = SHIFT.load(Ordering::Acquire);
    if found.is_null() {
        found = map().unwrap_or_else(|| ptr::from_ref(&NONE).cast_mut());
        // Whoever comes second maps the same file: either will do.
        SHIFT.store(found, Ordering::Release);
    }
    // SAFETY: it is a mapping that stays, or a static; the atomic is written through nothing else.
    unsafe { &*found }
}

fn map() -> Option<*mut AtomicI64> {
    // SAFETY: the name ends with a zero; the variable stays where it is, nothing sets it.
    let path = unsafe { libc::getenv(c"SHIFTED_CLOCK".as_ptr()) };
    if path.is_null() {
        return None;
    }
    // SAFETY: `path` is a string of the environment, and the file is at least eight bytes long.
    unsafe {
        let file = libc::open(path, libc::O_RDONLY | libc::O_CLOEXEC);
        if file < 0 {
            return None;
        }
        let at = libc::mmap(ptr::null_mut(), 8, libc::PROT_READ, libc::MAP_SHARED, file, 0);
        libc::close(file);
        (at != libc::MAP_FAILED).then_some(at.cast())
    }
}

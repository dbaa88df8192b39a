//! Outputs that nobody opened, as `>&-` leaves them.
//!
//! Before `main`, Rust's runtime opens `/dev/null` in their place, and whatever is written there would
//! count as shown. So, before that, each is made what it is like: an output whose reader has gone.

use std::sync::atomic::{AtomicBool, Ordering};

static NO_STDOUT: AtomicBool = AtomicBool::new(false);

/// Whether nobody opened stdout, so that what is written there cannot have been seen by anybody.
pub(crate) fn has_no_stdout() -> bool {
    NO_STDOUT.load(Ordering::Relaxed)
}

/// The functions that are called before the runtime begins.
#[expect(unsafe_code, reason = "std tells nobody which outputs were closed")]
#[used]
// SAFETY: what stands there is a function that makes system calls only, and needs nothing of Rust's
// runtime.
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = break_closed_outputs;

extern "C" fn break_closed_outputs() {
    for output in [libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        #[expect(unsafe_code, reason = "std has no numbers of descriptors")]
        // SAFETY: plain system calls on memory of this function. A number that is closed is nobody's.
        unsafe {
            let mut ends = [-1; 2];
            if libc::fcntl(output, libc::F_GETFD) != -1 {
                continue;
            }
            NO_STDOUT.fetch_or(output == libc::STDOUT_FILENO, Ordering::Relaxed);
            if libc::pipe(ends.as_mut_ptr()) != 0 {
                continue;
            }
            // Either end may have the number that was free.
            let [reader, writer] = ends;
            if writer != output {
                libc::dup2(writer, output);
                libc::close(writer);
            }
            if reader != output {
                libc::close(reader);
            }
        }
    }
}

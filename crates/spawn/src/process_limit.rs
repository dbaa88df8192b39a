//! What to say when the system has no process or thread left.

use std::io;

/// What to do about it, where `error` says that no process or thread is to be had; other errors stay
/// as they are.
///
/// The system's own words, "resource temporarily unavailable", do not say of which resource.
pub fn explain_process_limit(error: io::Error) -> io::Error {
    if error.raw_os_error() != Some(libc::EAGAIN) {
        return error;
    }
    let text = format!(
        "no process or thread is to be had: raise the limit of processes (`ulimit -u`, or \
         `pids.max` of the cgroup), or start fewer ranks: {error}"
    );
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_limit_explains_is_explained() {
        let text = |number| explain_process_limit(io::Error::from_raw_os_error(number)).to_string();
        assert!(text(libc::EAGAIN).contains("ulimit -u"), "{}", text(libc::EAGAIN));
        assert!(!text(libc::ENOMEM).contains("ulimit"), "{}", text(libc::ENOMEM));
    }
}

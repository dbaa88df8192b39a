//! Units: lines of one stream that say one thing together, held until the unit is closed.
//!
//! The shapes are those in which runtimes print:
//!
//! - Python: `TracebackException.format` and `_ExceptionPrintContext` in CPython's
//!   `Lib/traceback.py`, groups with their margin; `faulthandler` in `Python/traceback.c`.
//! - Rust: the default hook in `std/src/panicking.rs`, frames by `BacktraceFmt` in
//!   `library/backtrace/src/print.rs`, in full with the address of each.
//! - Java: `Throwable.printStackTrace`; Node prints the same way, after the line of source.
//! - Go: `runtime/panic.go` and `runtime/traceback.go`. Julia: `showerror` and `show_backtrace` in
//!   `base/errorshow.jl`.
//! - C++: `__verbose_terminate_handler` of libstdc++; `backtrace_symbols` of glibc
//!   (`debug/backtracesyms.c`); `c10::get_backtrace` of PyTorch (`c10/util/Backtrace.cpp`); gdb's
//!   `backtrace`, which gfortran prints alike.
//! - Open MPI: `show_stackframe` in `opal/util/stacktrace.c`.
//! - The sanitizers of LLVM and GCC: `compiler-rt/lib/asan/asan_report.cpp`.

mod brackets;
mod looks;
mod opening;
mod shape;
mod stream;

pub(crate) use looks::is_literal;
pub(crate) use shape::{Compared, Match, Part, Shape};
pub(crate) use stream::{Meta, Said, Units};

//! The child program of this crate's tests.

fn main() -> std::process::ExitCode {
    lastline_testing::rank::main().into()
}

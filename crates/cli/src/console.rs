//! Which printer, with which colours.

use std::fs::File;
use std::io::IsTerminal as _;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;

use lastline_client::{
    Inherited, JsonPrinter, Labels, Printer, Template, TextOptions, TextPrinter,
};

use crate::notices::Lines;
use crate::values::{Format, When};

/// Whether to colour: as told, otherwise on a terminal unless `NO_COLOR` is set, or wherever
/// `CLICOLOR_FORCE` is.
pub(crate) fn wants_color(when: When) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto if set("NO_COLOR") => false,
        When::Auto => set("CLICOLOR_FORCE") || std::io::stdout().is_terminal(),
    }
}

/// What lines look like.
pub(crate) struct Look {
    pub(crate) format: Format,
    pub(crate) prefix: Template,
    pub(crate) color: When,
    pub(crate) sanitize: bool,
    /// All goes to stdout.
    pub(crate) one_output: bool,
    /// One rank alone has the console.
    pub(crate) raw_partials: bool,
}

/// A printer on this process's own outputs.
pub(crate) fn printer(look: Look, labels: Labels) -> Box<dyn Printer> {
    let one = are_one();
    let stderr = Box::new(Lines(Inherited::stderr()));
    let stdout: Box<dyn std::io::Write + Send> = match one {
        true => Box::new(Lines(Inherited::stdout())),
        false => Box::new(Inherited::stdout()),
    };
    match look.format {
        Format::Json => Box::new(JsonPrinter::new(stdout, stderr)),
        Format::Text => {
            let mut options = TextOptions::default();
            options.prefix = look.prefix;
            options.color = wants_color(look.color);
            options.raw_partials = look.raw_partials;
            options.sanitize = look.sanitize;
            options.one_output = look.one_output;
            options.shared = one;
            Box::new(TextPrinter::new(stdout, stderr, labels, options))
        }
    }
}

/// Whether stdout and stderr are one file: a terminal, or what `2>&1` makes.
fn are_one() -> bool {
    let identity = |fd: BorrowedFd<'_>| {
        let file = File::from(fd.try_clone_to_owned().ok()?).metadata().ok()?;
        Some((file.dev(), file.ino()))
    };
    let stdout = identity(std::io::stdout().as_fd());
    stdout.is_some() && stdout == identity(std::io::stderr().as_fd())
}

//! Which printer, with which colours.

use std::fs::File;
use std::io::IsTerminal as _;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use clap::Args;
use lastline_client::{
    Area, Client, Inherited, JoinError, JsonPrinter, Labels, Printer, Template, TerminalPrinter,
    TextOptions, TextPrinter,
};

use lastline_line::RankNames;

use crate::notices::{self, Lines};
use crate::pages;
use crate::values::{Format, Prefix, When, prefix};

/// As many ranks as a job is taken to have of which that is not known.
const SEVERAL: u32 = 2;

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
    /// A job runs, and several ranks share the console: what is open is drawn where that can be done.
    pub(crate) draws: bool,
    /// What ranks are called, where that is not their number.
    pub(crate) names: Option<Arc<dyn RankNames>>,
}

/// What lines look like of a job that was started elsewhere.
#[derive(Debug, Args)]
pub(crate) struct LookOptions {
    /// What stands before each line, as for `run`
    #[arg(long, value_name = "TEMPLATE", default_value = "auto", value_parser = prefix)]
    prefix: Prefix,
    /// How lines are printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Whether ranks and stderr are told apart by colours
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: When,
    /// Show control sequences of the ranks as `^[[2J` instead of sending them; colours pass
    #[arg(long)]
    sanitize: bool,
}

impl LookOptions {
    /// As they say, for a job of so many ranks.
    pub(crate) fn look(&self, ranks: Option<u32>) -> Look {
        Look {
            format: self.format,
            prefix: self.prefix.template(ranks.unwrap_or(SEVERAL)),
            color: self.color,
            sanitize: self.sanitize,
            one_output: false,
            raw_partials: false,
            draws: false,
            names: None,
        }
    }
}

/// A printer on this process's own outputs.
pub(crate) fn printer(look: Look, labels: Labels) -> Box<dyn Printer> {
    let one = are_one();
    let stderr = Box::new(Lines(Inherited::stderr()));
    let stdout: Box<dyn std::io::Write + Send> = match one {
        true => Box::new(Lines(Inherited::stdout())),
        false => Box::new(Inherited::stdout()),
    };
    if look.format == Format::Json {
        let printer = JsonPrinter::new(stdout, stderr);
        return Box::new(match look.names {
            Some(names) => printer.named(names),
            None => printer,
        });
    }
    let mut options = TextOptions::default();
    options.prefix = look.prefix;
    options.color = wants_color(look.color);
    options.raw_partials = look.raw_partials;
    options.sanitize = look.sanitize;
    options.one_output = look.one_output;
    options.shared = one;
    options.names = look.names;
    if !look.draws || !can_draw() {
        return Box::new(TextPrinter::new(stdout, stderr, labels, options));
    }
    let area = Area::default();
    if one {
        notices::share(area.clone());
    }
    let size = Box::new(|| Inherited::stdout().size());
    Box::new(TerminalPrinter::new(stdout, stderr, labels, options, area, size))
}

/// Waits until everything is printed. Whoever reads may have seen enough, as `head` has.
pub(crate) fn finish(client: Client) -> Result<(), JoinError> {
    match client.join() {
        Err(JoinError::Output(error)) if pages::has_seen_enough(&error.source) => Ok(()),
        printed => printed,
    }
}

/// Whether stdout is a terminal that does as it is told.
fn can_draw() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    std::io::stdout().is_terminal() && !dumb
}

/// Whether stdout and stderr are one file: a terminal, or what `2>&1` makes. Two terminals are taken
/// for one, which may have several names.
pub(crate) fn are_one() -> bool {
    if std::io::stdout().is_terminal() && std::io::stderr().is_terminal() {
        return true;
    }
    let identity = |fd: BorrowedFd<'_>| {
        let file = File::from(fd.try_clone_to_owned().ok()?).metadata().ok()?;
        Some((file.dev(), file.ino()))
    };
    let stdout = identity(std::io::stdout().as_fd());
    stdout.is_some() && stdout == identity(std::io::stderr().as_fd())
}

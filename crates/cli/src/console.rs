//! Which printer, with which colours.

use std::io::IsTerminal as _;

use lastline_client::{
    Inherited, JsonPrinter, Labels, Printer, Template, TextOptions, TextPrinter,
};

use crate::args::{Format, When};

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

/// A printer on this process's own outputs.
pub(crate) fn printer(
    format: Format,
    prefix: Template,
    color: When,
    labels: Labels,
    raw_partials: bool,
) -> Box<dyn Printer> {
    let (stdout, stderr) = (Box::new(Inherited::stdout()), Box::new(Inherited::stderr()));
    match format {
        Format::Json => Box::new(JsonPrinter::new(stdout, stderr)),
        Format::Text => {
            let mut options = TextOptions::default();
            options.prefix = prefix;
            options.color = wants_color(color);
            options.raw_partials = raw_partials;
            options.shared_terminal =
                std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
            Box::new(TextPrinter::new(stdout, stderr, labels, options))
        }
    }
}

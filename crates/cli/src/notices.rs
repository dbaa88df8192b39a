//! Lastline's own words: to stderr, one line each, beginning with `lastline: `.

use std::fmt;
use std::io::Write as _;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

/// The variable that says how much is told: `error`, `warn` (the default), `info`, `debug`,
/// `trace`.
const LEVEL_VARIABLE: &str = "LASTLINE_LOG";

/// Sends diagnostics to stderr.
pub(crate) fn init() {
    let level = std::env::var(LEVEL_VARIABLE).ok().and_then(|level| level.parse().ok());
    tracing_subscriber::fmt()
        .with_max_level(level.unwrap_or(tracing::Level::WARN))
        .with_writer(std::io::stderr)
        // It would tell stderr that stderr is gone, and panic.
        .log_internal_errors(false)
        .event_format(Notice)
        .init();
}

/// Says one line.
pub(crate) fn say(text: &str) {
    // Where stderr is gone there is nobody to tell.
    drop(writeln!(std::io::stderr(), "lastline: {text}"));
}

struct Notice;

impl<S, N> FormatEvent<S, N> for Notice
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "lastline: ")?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

//! The first failure: who, why, what it said, and what the others said then.

use std::time::Duration;

use lastline_line::RankSet;
use lastline_watch::FirstFailure;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::paint::columns;
use super::{Paint, job, rows};
use crate::app::App;
use crate::clean::clean;
use crate::words;

/// What others said so long before and after belongs to it.
const AROUND: Duration = Duration::from_secs(1);
/// So many lines of that are shown.
const MAX_AROUND: usize = 30;

pub(super) fn draw(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    let (width, paint) = (usize::from(area.width), app.paint());
    let lines = lines(app, width, paint);
    let most = lines.len().saturating_sub(usize::from(area.height));
    app.scrolled = app.scrolled.min(most);
    rows(frame, area, lines.into_iter().skip(app.scrolled));
}

fn lines(app: &App, width: usize, paint: Paint) -> Vec<Line<'static>> {
    let Some(failed) = &app.snapshot.first_failure else {
        return vec![Line::styled("no rank has failed", paint.dim())];
    };
    let first = &failed.failure;
    let cut = |text: &str| columns(&clean(text), 0, width);
    let mut lines = vec![Line::styled(cut(&headline(first)), paint.bad())];
    if let Some(within) = first.clock_uncertainty_seconds {
        let text = format!(
            "clocks differ by up to {within:.3} s: another host's rank may have been first"
        );
        lines.push(Line::styled(cut(&text), paint.note()));
    }
    if let Some(stream) = first.last_lines_of {
        lines.push(Line::styled(format!("its last lines, of {stream}:"), paint.dim()));
    } else {
        lines.push(Line::styled("it said nothing", paint.dim()));
    }
    lines.extend(first.last_lines.iter().map(|line| Line::from(cut(&format!("  {line}")))));
    let named = |ranks: &[u32]| ranks.iter().copied().collect::<RankSet>().to_string();
    if !first.same_text.is_empty() {
        let text = format!("ranks {} failed with the same text", named(&first.same_text));
        lines.push(Line::styled(cut(&text), paint.bold()));
    }
    for other in &first.others {
        let text = format!("ranks {} failed otherwise: {}", named(&other.ranks), other.statement);
        lines.push(Line::styled(cut(&text), paint.bold()));
    }
    if let Some(time) = failed.time {
        let around = app.log.around(time, AROUND, first.rank, MAX_AROUND);
        if !around.is_empty() {
            lines.push(Line::raw(""));
            lines.push(Line::styled("what the others said within a second of it:", paint.dim()));
            lines.extend(around.iter().map(|row| job::log_row(row, 0, width, paint)));
        }
    }
    lines
}

/// `rank 37 failed first: exit code 1, after 8 s, on node7`.
fn headline(first: &FirstFailure) -> String {
    let how = match (first.code, first.signal) {
        (_, Some(signal)) => lastline_line::signal_text(signal),
        (Some(code), None) => format!("exit code {code}"),
        (None, None) => String::from("could not be started"),
    };
    let after = Duration::try_from_secs_f64(first.after_seconds).unwrap_or_default();
    let memory = if first.killed_for_memory { ", for want of memory" } else { "" };
    format!(
        "rank {} failed first: {how}{memory}, after {}, on {}",
        first.rank,
        words::duration(after),
        first.host
    )
}

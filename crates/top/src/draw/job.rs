//! The grid of ranks and the folded log.

use lastline_watch::RankView;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::paint::columns;
use super::rows;
use crate::app::{App, Focus};
use crate::clean::clean;
use crate::grid::{Grid, Look, bar};
use crate::log::{Kind, Row};
use crate::words;

/// The job in one line: which, how its ranks stand, how much they say.
pub(super) fn title(app: &App, width: u16) -> Line<'static> {
    let paint = app.paint();
    let job = &app.snapshot.job;
    let mut spans = vec![Span::styled(clean(&job.id), paint.bold())];
    let mut say = |text: String, style: Style| {
        spans.push(Span::raw(" · "));
        spans.push(Span::styled(text, style));
    };
    if !app.has_seen {
        say(String::from("waiting for the job"), paint.dim());
    }
    let counts = [
        (Look::Running, "run", Style::new()),
        (Look::Silent, "silent", paint.note()),
        (Look::Failed, "failed", paint.bad()),
        (Look::Lost, "lost", paint.bad()),
        (Look::Done, "ended", Style::new()),
        (Look::Stopped, "stopped", Style::new()),
        (Look::Waiting, "wait", paint.dim()),
    ];
    for (look, word, style) in counts {
        let count = app.count(look);
        if count > 0 {
            say(format!("{count} {word}"), style);
        }
    }
    let state = match (&app.snapshot.ended, &app.over) {
        (Some(end), _) if end.broken_off => Some("interrupted"),
        (Some(_), _) => Some("over"),
        (None, Some(_)) => Some("nothing more is seen of it"),
        (None, None) if job.stopped_by.is_some() => Some("stopping"),
        _ => None,
    };
    match state {
        Some(state) => say(String::from(state), paint.bold()),
        None => say(format!("{}/s", words::bytes(app.rates.total())), Style::new()),
    }
    if let (Some(started), None) = (job.started, state) {
        say(words::duration(app.now.since(started)), Style::new());
    }
    if app.snapshot.ledger.lost_bytes > 0 {
        let lost = words::bytes(app.snapshot.ledger.lost_bytes);
        say(format!("{lost} not shown"), paint.bad());
    }
    say(String::new(), paint.dim());
    let used: usize = spans.iter().map(Span::width).sum();
    let room = usize::from(width).saturating_sub(used);
    let command = columns(&clean(&job.command.join(" ")).replace('\n', " "), 0, room);
    spans.push(Span::styled(command, paint.dim()));
    Line::from(spans)
}

pub(super) fn draw(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    let room = usize::from(area.height.saturating_sub(3)) * 2 / 5;
    let ranks = app.snapshot.ranks.len();
    app.selected = app.selected.min(ranks.saturating_sub(1));
    app.grid = Grid::new(ranks, width, room.max(1), app.selected, app.grid.top);
    app.grid_at = (area.x, area.y);
    let grid = u16::try_from(app.grid.height).unwrap_or(0);
    let grid_area = Rect { height: grid, ..area };
    rows(frame, grid_area, (0..app.grid.height).map(|row| grid_row(app, row)));
    let below = |y: u16, height: u16| Rect { y: area.y + y, height, ..area };
    frame.render_widget(details(app, width), below(grid, 1));
    frame.render_widget(rule(app, width), below(grid + 1, 1));
    let log = below(grid + 2, area.height.saturating_sub(grid + 2));
    app.log_height = usize::from(log.height);
    let paint = app.paint();
    let (shift, found) = (app.shift, app.log.rows(app.log_height));
    rows(frame, log, found.into_iter().map(|row| log_row(&row, shift, width, paint)));
}

fn grid_row(app: &App, row: usize) -> Line<'static> {
    let grid = &app.grid;
    let first = (grid.top + row) * grid.columns;
    let places = first..(first + grid.columns).min(grid.ranks);
    let mut spans = Vec::new();
    if grid.label > 0 {
        let rank = app.snapshot.ranks.get(first).map_or(0, |view| view.rank);
        let width = grid.label - 1;
        spans.push(Span::styled(format!("{rank:>width$} "), app.paint().dim()));
    }
    spans.extend(places.filter_map(|place| {
        let view = app.snapshot.ranks.get(place)?;
        let mut style = app.paint().rank(view);
        if place == app.selected {
            style = style.add_modifier(Modifier::REVERSED);
        }
        let width = grid.cell.saturating_sub(3);
        let glyph = glyph(app, view);
        let text = match grid.cell {
            1 => glyph.to_string(),
            _ => format!("{:>width$} {glyph} ", view.rank),
        };
        Some(Span::styled(text, style))
    }));
    Line::from(spans)
}

fn glyph(app: &App, view: &RankView) -> char {
    let look = Look::of(view);
    match (look, app.rates.now(view.rank)) {
        (Look::Running, bytes) if bytes > 0 => bar(bytes),
        _ => look.glyph(),
    }
}

/// What is known of the selected rank, in one line.
pub(super) fn details(app: &App, width: usize) -> Line<'static> {
    let paint = app.paint();
    let Some(view) = app.rank() else {
        return Line::styled("no rank is known yet", paint.dim());
    };
    let mut text = format!("rank {}: {}", view.rank, clean(&words::state(view)));
    let ran = view.started.map(|started| view.ended.unwrap_or(app.now).since(started));
    text += &ran.map(|ran| format!(", {}", words::duration(ran))).unwrap_or_default();
    if let (Some(since), true) = (view.silent_since, app.over.is_none()) {
        text += &format!(", silent for {}", words::duration(app.now.since(since)));
    }
    text += &format!(", {} in {} lines", words::bytes(view.bytes), view.lines);
    let host = clean(&view.host);
    let place = match view.pid {
        Some(pid) => format!(" · {host} pid {pid}"),
        None => format!(" · {host}"),
    };
    let rates: String = app.rates.seconds(view.rank).map(bar).collect();
    let last = clean(&view.last_line).replace('\n', " ");
    let rest = columns(&format!("{place} · {last}"), 0, width);
    let style = if app.focus == Focus::Ranks { paint.bold() } else { Style::new() };
    Line::from(vec![
        Span::styled(text, style.patch(paint.rank(view))),
        Span::styled(format!(" {} ", rates.trim_start()), paint.dim()),
        Span::raw(rest),
    ])
}

/// What stands between the ranks and the log.
fn rule(app: &App, width: usize) -> Line<'static> {
    let (shown, all) = app.log.counts();
    let place = if app.log.follows() { "following" } else { "scrolled back, f follows" };
    let filter = match app.filter.as_str() {
        "" => String::new(),
        filter => format!(", {shown} of {all} fit `{}`", clean(filter)),
    };
    let text = columns(&format!("── log: {place}{filter} "), 0, width);
    let used = unicode_width::UnicodeWidthStr::width(text.as_str());
    let style = if app.focus == Focus::Log { app.paint().bold() } else { app.paint().dim() };
    Line::styled(text + &"─".repeat(width.saturating_sub(used)), style)
}

pub(super) fn log_row(row: &Row, shift: usize, width: usize, paint: super::Paint) -> Line<'static> {
    let used = unicode_width::UnicodeWidthStr::width(row.prefix.as_str()).min(width);
    let text = columns(&row.text, shift, width - used);
    match row.kind {
        Kind::Note => Line::styled(text, paint.note()),
        Kind::Stdout => {
            Line::from(vec![Span::styled(row.prefix.clone(), paint.dim()), Span::raw(text)])
        }
        Kind::Stderr => {
            Line::from(vec![Span::styled(row.prefix.clone(), paint.stderr()), Span::raw(text)])
        }
    }
}

//! One rank's own log.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::paint::columns;
use super::{job, rows};
use crate::app::App;
use crate::words;

pub(super) fn draw(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    let line = |y: u16, height: u16| Rect { y: area.y + y, height, ..area };
    frame.render_widget(job::details(app, width), line(0, 1));
    frame.render_widget(rule(app, width), line(1, 1));
    let log = line(2, area.height.saturating_sub(2));
    let height = usize::from(log.height);
    if app.own_height != height {
        app.own_height = height;
        app.read_again();
    }
    let paint = app.paint();
    let Some(window) = &app.window else { return };
    if let Some(error) = &window.error {
        let text = format!("its file cannot be read: {}", crate::clean::clean(error));
        return frame.render_widget(Line::styled(text, paint.bad()), log);
    }
    let shift = app.shift;
    let lines = window.lines.iter().map(|line| {
        let text = columns(&line.text, shift, width);
        if line.missing { Line::styled(text, paint.note()) } else { Line::from(text) }
    });
    rows(frame, log, lines);
}

fn rule(app: &App, width: usize) -> Line<'static> {
    let place = match &app.window {
        None => String::from("reading"),
        Some(window) if window.length == 0 => String::from("nothing in its file"),
        Some(window) => {
            let from = window.lines.first().map_or(0, |line| line.start);
            let follows = if app.own_follows { "following" } else { "f follows" };
            format!("from byte {from} of {}, {follows}", words::bytes(window.length))
        }
    };
    let stream = app.window.as_ref().map_or(app.own_stream, |window| window.shown);
    let text = columns(&format!("── {stream}: {place} "), 0, width);
    let used = unicode_width::UnicodeWidthStr::width(text.as_str());
    Line::styled(text + &"─".repeat(width.saturating_sub(used)), app.paint().bold())
}

//! What is on the screen.

mod failure;
mod job;
mod own;
mod paint;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use crate::app::{App, Screen};
use crate::keys::KEYS;

pub(crate) use paint::Paint;

/// The smallest terminal, in columns and rows.
const LEAST: (u16, u16) = (40, 12);

/// How wide the names of keys are.
const KEY_COLUMNS: usize = 14;
const SIGNS: &str =
    "cells: a bar for what is said, · quiet, z silent, ✓ ended, ✗ failed, ■ stopped, ? lost";

impl App {
    /// Draws the view; what keys and the mouse mean depends on what was drawn last.
    pub fn draw(&mut self, frame: &mut Frame<'_>) {
        let area = frame.area();
        if area.width < LEAST.0 || area.height < LEAST.1 {
            let text = format!("{} x {} is too small: 40 x 12", area.width, area.height);
            return frame.render_widget(Line::from(text), area);
        }
        let [title, body, hints] = split(area);
        frame.render_widget(job::title(self, title.width), title);
        match self.screen {
            Screen::Job => job::draw(self, frame, body),
            Screen::Rank => own::draw(self, frame, body),
            Screen::Failure => failure::draw(self, frame, body),
            Screen::Help => help(self, frame, body),
            Screen::Leave => leave(self, frame, body),
        }
        self.hints(frame, hints);
    }

    fn paint(&self) -> Paint {
        Paint::new(self.colours)
    }

    fn hints(&self, frame: &mut Frame<'_>, area: Rect) {
        if let Some(typing) = &self.typing {
            let error = typing.error.as_ref().map(|error| format!("  {error}"));
            let room = usize::from(area.width).saturating_sub(2);
            let shown = paint::last_columns(&typing.text, room);
            let line = Line::from(vec![
                Span::styled("/", Style::new().add_modifier(Modifier::BOLD)),
                Span::raw(shown),
                Span::styled("_", Style::new().add_modifier(Modifier::REVERSED)),
                Span::styled(error.unwrap_or_default(), self.paint().bad()),
            ]);
            return frame.render_widget(line, area);
        }
        let hints: &[&str] = match self.screen {
            Screen::Job => &[
                "? help",
                "q leave",
                "Tab ranks/log",
                "Enter own log",
                "/ filter",
                "n next odd",
                "! failure",
            ],
            Screen::Rank => {
                &["Esc back", "q leave", "[ ] other rank", "s stdout/stderr", "f follow"]
            }
            Screen::Failure => &["Esc back", "q leave", "Enter its own log", "arrows scroll"],
            Screen::Help => &["arrows scroll", "any other key: back"],
            Screen::Leave => &["g it goes on", "s stop it", "Esc back"],
        };
        let text = fitting(hints, usize::from(area.width));
        frame.render_widget(Line::styled(text, self.paint().dim()), area);
    }
}

/// The title, what is below it, and the last row.
fn split(area: Rect) -> [Rect; 3] {
    let row = |y, height| Rect { y, height, ..area };
    [row(area.y, 1), row(area.y + 1, area.height - 2), row(area.y + area.height - 1, 1)]
}

fn rows(frame: &mut Frame<'_>, area: Rect, lines: impl IntoIterator<Item = Line<'static>>) {
    for (y, line) in (0..area.height).zip(lines) {
        let row = Rect { y: area.y + y, height: 1, ..area };
        frame.render_widget(line, row);
    }
}

/// As many hints as have room, each of them whole.
fn fitting(hints: &[&str], room: usize) -> String {
    let mut text = String::new();
    for hint in hints {
        let gap = if text.is_empty() { "" } else { "  " };
        if text.len() + gap.len() + hint.len() > room {
            break;
        }
        text = text + gap + hint;
    }
    text
}

fn help(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut lines: Vec<Line<'static>> = Vec::new();
    for (keys, what) in KEYS {
        let told = paint::wrapped(what, width.saturating_sub(KEY_COLUMNS));
        lines.extend(told.into_iter().zip([keys].into_iter().chain(std::iter::repeat(""))).map(
            |(told, keys)| {
                let keys = Span::styled(format!("{keys:KEY_COLUMNS$}"), bold);
                Line::from(vec![keys, Span::raw(told)])
            },
        ));
    }
    let signs = paint::wrapped(SIGNS, width).into_iter();
    lines.extend(signs.map(|told| Line::styled(told, app.paint().dim())));
    // What is scrolled to the end goes no further.
    app.scrolled = app.scrolled.min(lines.len().saturating_sub(usize::from(area.height)));
    rows(frame, area, lines.into_iter().skip(app.scrolled));
}

fn leave(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let running = app.count(crate::grid::Look::Running) + app.count(crate::grid::Look::Silent);
    let lines = [
        String::new(),
        format!("{running} ranks run."),
        String::new(),
        String::from("g  the job goes on, and is shown on the console as without the view"),
        String::from("s  the job is stopped"),
        String::from("Esc  back to the view"),
    ];
    rows(frame, area, lines.map(Line::from));
}

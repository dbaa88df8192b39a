//! Colours, or what takes their place.

use lastline_watch::RankView;
use ratatui::style::{Color, Modifier, Style};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::grid::Look;

/// With or without colours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    colours: bool,
}

impl Paint {
    pub(crate) fn new(colours: bool) -> Self {
        Self { colours }
    }

    fn style(self, colour: Color, otherwise: Modifier) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new().add_modifier(otherwise) }
    }

    pub(crate) fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(crate) fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(crate) fn bad(self) -> Style {
        self.style(Color::Red, Modifier::BOLD).add_modifier(Modifier::BOLD)
    }

    pub(crate) fn stderr(self) -> Style {
        self.style(Color::Red, Modifier::empty())
    }

    pub(crate) fn note(self) -> Style {
        self.style(Color::Cyan, Modifier::ITALIC)
    }

    pub(crate) fn rank(self, view: &RankView) -> Style {
        match Look::of(view) {
            Look::Running => self.style(Color::Green, Modifier::empty()),
            Look::Silent => self.style(Color::Yellow, Modifier::empty()),
            Look::Failed => self.bad(),
            Look::Lost => self.style(Color::Magenta, Modifier::BOLD),
            Look::Waiting | Look::Done | Look::Stopped => self.dim(),
        }
    }
}

/// As much of a text as has room, from a column on; `…` stands where it is cut.
pub(crate) fn columns(text: &str, from: usize, room: usize) -> String {
    let (mut shown, mut at, mut used) = (String::new(), 0, 0);
    if from > 0 {
        shown.push('…');
        used = 1;
    }
    for character in text.chars() {
        let width = character.width().unwrap_or(0);
        at += width;
        if at <= from {
            continue;
        }
        if used + width > room {
            while used >= room.max(1) {
                used -= shown.pop().and_then(|last| last.width()).unwrap_or(1).max(1);
            }
            shown.push('…');
            return shown;
        }
        shown.push(character);
        used += width;
    }
    shown
}

/// A text in lines of at most `room` columns, broken between words.
pub(crate) fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("BUG: there is a first line");
        if line.is_empty() || line.width() + 1 + word.width() <= room {
            let gap = if line.is_empty() { "" } else { " " };
            *line += gap;
            *line += word;
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// As much of the end of a text as has room.
pub(crate) fn last_columns(text: &str, room: usize) -> String {
    let mut used = 0;
    let fits = |character: &char| {
        used += character.width().unwrap_or(0);
        used <= room
    };
    let mut shown: Vec<char> = text.chars().rev().take_while(fits).collect();
    shown.reverse();
    shown.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_columns() {
        assert_eq!(columns("short", 0, 10), "short");
        assert_eq!(columns("a longer text", 0, 6), "a lon…");
        assert_eq!(columns("a longer text", 2, 6), "…long…");
        assert_eq!(columns("日本語です", 0, 5), "日本…");
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("longest of all", 3), ["longest", "of", "all"]);
        assert_eq!(last_columns("日本語", 4), "本語");
    }
}

//! Where each rank stands in the grid, and how a rank looks there.

use lastline_watch::{RankState, RankView};

/// How a rank stands, as far as a cell can say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Waiting,
    Running,
    Silent,
    Done,
    Failed,
    Stopped,
    Lost,
}

impl Look {
    pub(crate) fn of(view: &RankView) -> Self {
        match &view.state {
            RankState::Waiting => Self::Waiting,
            RankState::Running if view.silent_since.is_some() => Self::Silent,
            RankState::Running => Self::Running,
            RankState::Lost(_) => Self::Lost,
            _ if view.stopped => Self::Stopped,
            state if state.failed() => Self::Failed,
            _ => Self::Done,
        }
    }

    /// What stands in the cell of a rank that says nothing at the moment: it is told apart without
    /// colours, too.
    pub(crate) fn glyph(self) -> char {
        match self {
            Self::Waiting => ' ',
            Self::Running => '·',
            Self::Silent => 'z',
            Self::Done => '✓',
            Self::Failed => '✗',
            Self::Stopped => '■',
            Self::Lost => '?',
        }
    }
}

/// The height of a bar for so many bytes a second, from none to a full one: each step is the eightfold.
pub(crate) fn bar(bytes: u64) -> char {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let step = if bytes == 0 { 0 } else { 1 + bytes.ilog2() / 3 };
    BARS[(step as usize).min(BARS.len() - 1)]
}

/// How ranks are laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grid {
    /// How many ranks there are.
    pub(crate) ranks: usize,
    /// How many stand in a row.
    pub(crate) columns: usize,
    /// How wide a cell is: with one column a rank has no number beside it.
    pub(crate) cell: usize,
    /// How wide the number before a row is; 0 for none.
    pub(crate) label: usize,
    /// How many rows are on the screen.
    pub(crate) height: usize,
    /// The first row that is.
    pub(crate) top: usize,
}

impl Grid {
    /// For so many ranks in `width` columns and at most `height` rows, so that the row of `selected`
    /// is on the screen. Each rank has its number beside it where that has room.
    pub(crate) fn new(
        ranks: usize,
        width: usize,
        height: usize,
        selected: usize,
        top: usize,
    ) -> Self {
        let digits = ranks.saturating_sub(1).max(1).ilog10() as usize + 1;
        let wide = digits + 3;
        let columns = (width / wide).max(1);
        let (columns, cell, label) = if ranks.div_ceil(columns) <= height.max(1) {
            (columns, wide, 0)
        } else {
            let label = digits + 1;
            let fits = width.saturating_sub(label).max(1);
            (if fits >= 10 { fits / 10 * 10 } else { fits }, 1, label)
        };
        let rows = ranks.div_ceil(columns);
        let height = height.min(rows);
        let row = selected / columns;
        let top = top.min(rows - height).min(row);
        let top = if row >= top + height { row + 1 - height } else { top };
        Self { ranks, columns, cell, label, height, top }
    }

    /// Which place is there, from the grid's first column and row on.
    pub(crate) fn at(&self, x: usize, y: usize) -> Option<usize> {
        let column = x.checked_sub(self.label)? / self.cell.max(1);
        let place = (self.top + y) * self.columns + column;
        (column < self.columns && y < self.height && place < self.ranks).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_ranks_have_their_numbers_and_many_a_column_each() {
        let few = Grid::new(64, 80, 8, 0, 0);
        assert_eq!((few.columns, few.cell, few.label, few.height), (16, 5, 0, 4));
        let many = Grid::new(1000, 80, 8, 999, 0);
        assert_eq!((many.columns, many.cell, many.label, many.height), (70, 1, 4, 8));
        assert_eq!(many.top, 7, "of fifteen rows");
        assert_eq!((many.at(4, 7), many.at(0, 0)), (Some(980), None));
        let none = Grid::new(0, 80, 8, 0, 0);
        assert_eq!((none.height, none.at(0, 0)), (0, None));
    }

    #[test]
    fn a_bar_grows_with_what_is_said() {
        let bars: String =
            [0, 1, 8, 64, 512, 4096, 1 << 15, 1 << 18, 1 << 21, u64::MAX].map(bar).iter().collect();
        assert_eq!(bars, " ▁▂▃▄▅▆▇██");
    }
}

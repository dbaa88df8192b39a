//! All values again, statement by statement.

use super::Values;

/// A statement: which member made it, and its values; `None` where it has the first one's.
pub(crate) type Row<'a> = (u32, Vec<Option<&'a [u8]>>);

impl Values {
    /// Whether every statement's values are kept.
    pub(crate) fn keeps_all(&self) -> bool {
        self.later.is_empty()
    }

    /// The statements that are kept, in the order in which they came, if all are: those of so many
    /// members.
    pub(crate) fn rows(&self, members: u32) -> Option<Vec<Row<'_>>> {
        if !self.keeps_all() {
            return None;
        }
        let mut rows: Vec<Row<'_>> = Vec::new();
        for place in 0..self.places {
            let mut row = 0;
            self.each(place, members, |member, value| {
                if place == 0 {
                    rows.push((member, Vec::with_capacity(self.places)));
                }
                rows[row].1.push(value);
                row += 1;
            });
        }
        if self.places == 0 {
            rows.extend((0..members).map(|member| (member, Vec::new())));
        }
        Some(rows)
    }
}

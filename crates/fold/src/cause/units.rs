//! The last lines of a stream cut into units, and which of them says why.

use super::Unit;
use super::weight::Weight;

/// How near to the end a word of failure is looked for, in lines.
const NEAR: usize = 20;
/// The same for a crash, which is rarely anything else than why a program ends.
const FAR: usize = 200;

/// Lines of one stream cut into units.
pub(super) struct Units {
    units: Vec<Unit>,
    /// How many lines there are.
    lines: usize,
}

impl Units {
    pub(super) fn of<L: AsRef<[u8]>>(lines: &[L]) -> Self {
        let lines: Vec<&[u8]> = lines.iter().map(AsRef::as_ref).collect();
        let mut units: Vec<Unit> = Vec::new();
        let mut from = 0;
        while from < lines.len() {
            let mut unit = Unit::first_of(&lines[from..]);
            unit.from = from;
            // A line of source under a warning, and the like.
            let remarked = units.last().is_some_and(|unit| unit.weight == Weight::Remark);
            if remarked && unit.weight <= Weight::Trouble && lines[from].starts_with(b" ") {
                unit.weight = Weight::Remark;
            }
            from += unit.compared.len();
            units.push(unit);
        }
        Self { units, lines: lines.len() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    pub(super) fn has_only_remarks(&self) -> bool {
        self.units.iter().all(|unit| unit.weight == Weight::Remark)
    }

    /// The last crash near the end, else the last one at all, else the last trouble near the end.
    pub(super) fn serious(&self) -> Option<&Unit> {
        let last = |weight: Weight, within: usize| {
            let from = self.lines.saturating_sub(within);
            let mut near = self.units.iter().rev().take_while(move |unit| unit.end() > from);
            near.find(|unit| unit.weight == weight)
        };
        last(Weight::Crash, FAR).or_else(|| last(Weight::Trouble, NEAR))
    }

    /// The last that is no remark, else the last.
    pub(super) fn last(&self) -> Option<&Unit> {
        let telling = self.units.iter().rev().find(|unit| unit.weight > Weight::Remark);
        telling.or(self.units.last())
    }
}

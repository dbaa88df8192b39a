//! The last lines of a stream cut into units, and which of them says why.

use super::Unit;
use super::weight::{Weight, is_ignored};

/// How near to the end a word of failure is looked for, in lines.
const NEAR: usize = 20;
/// The same for a crash, which is rarely anything else than why a program ends.
const FAR: usize = 200;

/// How many lines a text between two rules has, at most.
const BOX: usize = 40;
/// Behind how many units that announce it an exception that is ignored stands: asyncio names the
/// task between the two.
const ANNOUNCED: usize = 2;

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
            unit.whole_end = unit.end();
            // A line of source under a warning, and the like.
            let remarked = units.last().is_some_and(|unit| unit.weight < Weight::Plain);
            if remarked && unit.weight <= Weight::Trouble && lines[from].starts_with(b" ") {
                unit.weight = Weight::Remark;
            }
            from += unit.compared.len();
            units.push(unit);
        }
        begin_boxes(&mut units, &lines);
        join_stacks(&mut units, &lines);
        set_ignored_aside(&mut units, &lines);
        Self { units, lines: lines.len() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    pub(super) fn has_only_remarks(&self) -> bool {
        self.units.iter().all(|unit| unit.weight < Weight::Plain)
    }

    /// What tells of a failure: the last of the greatest weight, of which a crash may stand far from the
    /// end, unless something fatal came behind it.
    pub(super) fn serious(&self) -> Option<&Unit> {
        let last = |weight: Weight, within: usize| {
            let from = self.lines.saturating_sub(within);
            let mut near = self.units.iter().rev().take_while(move |unit| unit.end() > from);
            near.find(|unit| unit.weight == weight)
        };
        let order = [
            (Weight::Crash, NEAR),
            (Weight::Fatal, NEAR),
            (Weight::Crash, FAR),
            (Weight::Trouble, NEAR),
            (Weight::Aftermath, NEAR),
        ];
        order.into_iter().find_map(|(weight, within)| last(weight, within))
    }

    /// The last that is no remark, else the last warning of a log, else the last.
    pub(super) fn last(&self) -> Option<&Unit> {
        let last = |least: Weight| self.units.iter().rev().find(|unit| unit.weight >= least);
        last(Weight::Complaint).or_else(|| last(Weight::Warned)).or(self.units.last())
    }
}

/// A text between two rules, as MPI prints, says at its beginning what happened, and goes on.
fn begin_boxes(units: &mut [Unit], lines: &[&[u8]]) {
    let is_rule = |unit: &Unit| is_rule(lines[unit.from].trim_ascii());
    let mut rest = units;
    while let Some(opens) = rest.iter().position(is_rule) {
        rest = &mut rest[opens + 1..];
        let Some(closes) = rest.iter().take(BOX).position(is_rule) else {
            continue;
        };
        let (inside, behind) = rest.split_at_mut(closes + 1);
        let troubles = inside.iter_mut().filter(|unit| unit.weight == Weight::Trouble);
        troubles.skip(1).for_each(|unit| unit.weight = Weight::Plain);
        rest = behind;
    }
}

/// A row of dashes or the like.
fn is_rule(text: &[u8]) -> bool {
    let first = text.first().copied().unwrap_or(b' ');
    text.len() >= 16 && first.is_ascii_punctuation() && text.iter().all(|&byte| byte == first)
}

/// What tells of a failure and has a stack behind it is a crash, as its frames are its own.
fn join_stacks(units: &mut [Unit], lines: &[&[u8]]) {
    let mut owner = None;
    for at in 0..units.len() {
        if lines[units[at].from].trim_ascii().is_empty() {
            continue;
        }
        let end = units[at].end();
        match owner.filter(|_| units[at].stack) {
            Some(owner) => {
                let owner: &mut Unit = &mut units[owner];
                (owner.weight, owner.whole_end) = (Weight::Crash, end);
            }
            None => owner = (units[at].weight >= Weight::Trouble).then_some(at),
        }
    }
}

/// A crash that is announced as one that ends no program is no cause as long as there is another.
fn set_ignored_aside(units: &mut [Unit], lines: &[&[u8]]) {
    let mut announced = 0;
    for unit in units {
        if unit.weight == Weight::Aftermath && is_ignored(lines[unit.from]) {
            announced = ANNOUNCED;
        } else if announced > 0 {
            announced -= 1;
            if unit.weight == Weight::Crash {
                (unit.weight, announced) = (Weight::Aftermath, 0);
            }
        }
    }
}

//! How what differs is written, in an entry's text and for whoever takes its fields.

use lastline_line::{Field, Outlier, RankNames, short_list};

use crate::column::{Group, Told, Usual};
use crate::keys::Ends;
use crate::number::Number;
use crate::statement::is_bar;

/// How many outliers are named in an entry's text.
const NAMED: usize = 3;
/// How many are in a field.
const MAX_OUTLIERS: usize = 1024;

/// Writes what was told of a place as it stands in an entry's text; `first` is the first value.
pub(crate) fn write(told: &Told<'_>, first: &[u8], names: &dyn RankNames, into: &mut Vec<u8>) {
    // A unit that all have stands outside of the braces.
    let inside = |of: &[u8], unit: usize| {
        let same = |group: &Group<'_>| unit_in(group.value) == Some(unit_of(of, unit));
        if told.outliers.iter().all(same) { unit } else { 0 }
    };
    match &told.usual {
        Usual::Common(value) if told.outliers.is_empty() => into.extend_from_slice(value),
        // How far it is stands in the numbers beside it.
        Usual::Common(value) if is_bar(value) => into.extend_from_slice(value),
        _ if is_bar(first) => into.extend_from_slice(first),
        Usual::Common(value) => {
            let (head, tail) = common_ends(value, &told.outliers, (value.len(), value.len()));
            into.extend_from_slice(&value[..head]);
            into.push(b'{');
            into.extend_from_slice(&value[head..value.len() - tail]);
            write_outliers(&told.outliers, (head, tail), names, into);
            into.push(b'}');
            into.extend_from_slice(unit_of(value, tail));
        }
        Usual::Numbers { min, max, unit } => {
            let unit = inside(min, *unit);
            into.push(b'{');
            into.extend_from_slice(&min[..min.len() - unit]);
            if min != max {
                into.extend_from_slice(b"..");
                into.extend_from_slice(&max[..max.len() - unit]);
            }
            write_outliers(&told.outliers, (0, unit), names, into);
            into.push(b'}');
            into.extend_from_slice(unit_of(min, unit));
        }
        Usual::Samples(values) => {
            into.push(b'{');
            into.extend_from_slice(&values.join(&b','));
            write_others(told.distinct - values.len(), into);
            into.push(b'}');
        }
    }
}

/// Writes a range without outliers.
pub(crate) fn write_range(ends: &Ends, into: &mut Vec<u8>) {
    let Ends { min, max, unit } = ends;
    into.push(b'{');
    into.extend_from_slice(&min[..min.len() - unit]);
    into.extend_from_slice(b"..");
    into.extend_from_slice(&max[..max.len() - unit]);
    into.push(b'}');
    into.extend_from_slice(unit_of(min, *unit));
}

/// The unit of a number, if it is one.
fn unit_in(value: &[u8]) -> Option<&[u8]> {
    Some(Number::read(value)?.unit(value))
}

fn unit_of(value: &[u8], unit: usize) -> &[u8] {
    &value[value.len() - unit..]
}

/// How much of its head and tail the common value shares with all outliers: of a number its unit, of
/// anything else whole words and what stands beside them, of so many bytes at most.
pub(crate) fn common_ends(
    value: &[u8],
    outliers: &[Group<'_>],
    most: (usize, usize),
) -> (usize, usize) {
    if let Some(common) = unit_in(value) {
        let all_have = outliers.iter().all(|of| unit_in(of.value) == Some(common));
        return (0, if all_have { common.len() } else { 0 });
    }
    let shortest = outliers.iter().map(|of| of.value.len()).fold(value.len(), usize::min);
    let same = |at: &usize| outliers.iter().all(|of| of.value[*at] == value[*at]);
    let alike = (0..shortest).take_while(same).count();
    let head = (0..=alike).rev().find(|&at| begins_word(value, at)).unwrap_or(0);
    let from_end = |value: &[u8], at: usize| value[value.len() - 1 - at];
    let same =
        |at: &usize| outliers.iter().all(|of| from_end(of.value, *at) == from_end(value, *at));
    let alike = (0..shortest - head).take_while(same).count();
    let tail = &value[value.len() - alike..];
    let tail = tail.iter().position(is_border).map_or(0, |at| alike - at);
    if head + tail == shortest {
        return (0, 0);
    }
    let ends = (head.min(most.0), tail.min(most.1));
    closed_ends(value, outliers, ends).unwrap_or(ends)
}

/// The longest ends that leave whole what is in brackets or quotes, if there are any.
fn closed_ends(
    value: &[u8],
    outliers: &[Group<'_>],
    (head, tail): (usize, usize),
) -> Option<(usize, usize)> {
    let heads = (0..=head).rev().filter(|&at| begins_word(value, at));
    let borders_of_tail = |&at: &usize| at == 0 || is_border(&value[value.len() - at]);
    let tails: Vec<usize> = (0..=tail).rev().filter(borders_of_tail).collect();
    let mut both = heads.flat_map(|head| tails.iter().map(move |&tail| (head, tail)));
    both.find(|&(head, tail)| {
        let closed = |value: &[u8]| is_closed(&value[head..value.len() - tail]);
        closed(value) && outliers.iter().all(|of| closed(of.value))
    })
}

/// Whether a word may begin at `at`; the hour behind the `T` of an ISO 8601 time is one.
fn begins_word(value: &[u8], at: usize) -> bool {
    let hour = |before: &[u8]| matches!(before, [.., b'-', b'0'..=b'9', b'0'..=b'9', b'T']);
    at == 0 || is_border(&value[at - 1]) || hour(&value[..at])
}

/// Whether a word may end here.
fn is_border(byte: &u8) -> bool {
    byte.is_ascii() && !byte.is_ascii_alphanumeric()
}

/// Whether the text has the other one of each bracket and quote that is in it.
fn is_closed(text: &[u8]) -> bool {
    let (mut depth, mut quote) = (0_i32, None);
    for (at, &byte) in text.iter().enumerate() {
        let apostrophe = || at > 0 && text[at - 1].is_ascii_alphanumeric();
        match byte {
            _ if quote == Some(byte) => quote = None,
            _ if quote.is_some() => {}
            b'"' | b'\'' if !apostrophe() => quote = Some(byte),
            b'"' => return false,
            b'\'' if text.get(at + 1).is_none_or(|next| !next.is_ascii_alphanumeric()) => {
                return false;
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' if depth == 0 => return false,
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    depth == 0 && quote.is_none()
}

/// `, 3: nan, 5,9: inf`: the ranks of an outlier have no blank between them, outliers have. What stands
/// before and behind them, of so many bytes, is left out.
pub(crate) fn write_outliers(
    outliers: &[Group<'_>],
    (head, tail): (usize, usize),
    names: &dyn RankNames,
    into: &mut Vec<u8>,
) {
    for group in outliers.iter().take(NAMED) {
        into.extend_from_slice(format!(", {}: ", short_list(&group.ranks, names)).as_bytes());
        into.extend_from_slice(&group.value[head..group.value.len() - tail]);
    }
    if outliers.len() > NAMED {
        into.extend_from_slice(b", ");
    }
    write_others(outliers.len().saturating_sub(NAMED), into);
}

/// How many different values are not shown.
fn write_others(others: usize, into: &mut Vec<u8>) {
    if others > 0 {
        into.extend_from_slice(format!("…(+{others})").as_bytes());
    }
}

/// What was told of a place, for whoever takes the entry; `more` when not all values were kept.
pub(crate) fn field(told: &Told<'_>, more: bool) -> Field {
    let outliers = outliers(&told.outliers);
    let distinct = told.distinct as u64;
    match &told.usual {
        Usual::Common(value) if told.distinct == 1 => Field::Same(string(value)),
        Usual::Common(value) => Field::Common { value: string(value), distinct, more, outliers },
        Usual::Numbers { min, max, .. } => {
            Field::Numbers { min: string(min), max: string(max), distinct, more, outliers }
        }
        Usual::Samples(values) => {
            let samples = values.iter().map(|value| string(value)).collect();
            Field::Samples { samples, distinct, more }
        }
    }
}

/// Outliers, for whoever takes the entry.
pub(crate) fn outliers(groups: &[Group<'_>]) -> Vec<Outlier> {
    let outlier =
        |group: &Group<'_>| Outlier { ranks: group.ranks.clone(), value: string(group.value) };
    groups.iter().take(MAX_OUTLIERS).map(outlier).collect()
}

fn string(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use lastline_line::{Member, RankNumbers};
    use lastline_testing::stdout;

    use super::*;
    use crate::column::Column;

    /// What ranks from 0 on say, as it is written.
    fn written(values: &[&str]) -> String {
        let members: Vec<Member> = (0..values.len() as u32)
            .map(|rank| Member { stream: stdout(rank), lines: 1, bytes: 1 })
            .collect();
        let mut column = Column::default();
        for (member, value) in (0..).zip(values) {
            column.push(member, value.as_bytes());
        }
        let mut text = Vec::new();
        write(&column.tell(&members), values[0].as_bytes(), &RankNumbers, &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn few_values_are_ranges_or_samples() {
        let table: [(&[&str], &str); 17] = [
            (&["3", "3"], "3"),
            (&["3", "4"], "{3..4}"),
            (&["true", "false"], "{true, 1: false}"),
            (&["2.07", "1.92", "1.99"], "{1.92..2.07}"),
            (&["10", "9", "11", "-1"], "{-1..11}"),
            (&["5.2 KB", "9.1 KB"], "{5.2..9.1} KB"),
            (&["5.2 KB", "9.1 MB"], "{5.2 KB,9.1 MB}"),
            (&["8/60", "10/60", "6/60"], "{6..10}/60"),
            (&["8/60", "8/70"], "{8/60,8/70}"),
            (&["0.75", "1e-05", "0.0007812345678901234"], "{1e-05..0.75}"),
            (&["nan", "0.5"], "{0.5, 0: nan}"),
            (&["nan", "inf"], "{nan, 1: inf}"),
            (&["nan", "none"], "{nan, 1: none}"),
            (&["0.5", "nan", "none"], "{0.5,nan,none}"),
            (&["a", "b", "a", "c"], "{a,b,c}"),
            (&["a", "b", "c", "d", "e", "d"], "{a,b,c…(+2)}"),
            (&["1", "2", "x"], "{1,2,x}"),
        ];
        for (values, text) in table {
            assert_eq!(written(values), text, "{values:?}");
        }
    }

    #[test]
    fn who_has_which_of_few_values_is_told() {
        let table: [(&[&str], &str); 5] = [
            (&["1.2.3", "1.2.3", "1.2.4", "1.2.4"], "1.2.{3, 2,3: 4}"),
            (&["b", "a", "a", "b", "a"], "{a, 0,3: b}"),
            (&["a", "b", "c", "a", "b", "c"], "{a, 1,4: b, 2,5: c}"),
            (&["a", "b", "c", "a", "b"], "{a,b,c}"),
            (&["5 KB", "5 KB", "9 MB", "9 MB"], "{5 KB,9 MB}"),
        ];
        for (values, text) in table {
            assert_eq!(written(values), text, "{values:?}");
        }
    }

    #[test]
    fn the_bar_of_most_is_drawn() {
        let (full, behind) = ("██████████", "███████   ");
        assert_eq!(written(&[behind, full, full, full, full]), full);
        assert_eq!(written(&[behind, full]), behind);
    }

    /// 64 values, some of them others.
    fn among(usual: impl Fn(usize) -> String, others: &[(usize, &str)]) -> String {
        let mut values: Vec<String> = (0..64).map(usual).collect();
        for &(rank, value) in others {
            values[rank] = value.to_owned();
        }
        written(&values.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_not_finite_is_named_however_many_have_it() {
        let loss = |rank: usize| format!("0.{} s", 750 + rank);
        for ill in [1, 16, 17, 32, 48, 60] {
            for value in ["nan", "inf s", "-Infinity"] {
                let others: Vec<_> = (0..ill).map(|rank| (rank, value)).collect();
                let ranks = if ill == 1 { "0".to_owned() } else { format!("0-{}", ill - 1) };
                let (unit, inside, of) = match value.strip_suffix(" s") {
                    Some(short) => (" s", "", short),
                    None => ("", " s", value),
                };
                let range = format!("0.{}{inside}..0.813{inside}", 750 + ill);
                let expected = format!("{{{range}, {ranks}: {of}}}{unit}");
                assert_eq!(among(loss, &others), expected);
            }
        }
        let nearly_all: Vec<_> = (0..61).map(|rank| (rank, "nan")).collect();
        assert_eq!(among(loss, &nearly_all), "{nan, 61: 0.811 s, 62: 0.812 s, 63: 0.813 s}");
    }

    #[test]
    fn who_differs_is_named() {
        let loss = |rank: usize| format!("0.{}", 750 + rank);
        let same = |value: &'static str| move |_: usize| value.to_owned();
        let table = [
            (among(loss, &[(37, "nan")]), "{0.750..0.813, 37: nan}"),
            (
                among(loss, &[(0, "nan"), (5, "-inf"), (9, "nan")]),
                "{0.751..0.813, 0,9: nan, 5: -inf}",
            ),
            (among(loss, &[(3, "9.1")]), "{0.750..0.813, 3: 9.1}"),
            (among(loss, &[(3, "-0.76")]), "{0.750..0.813, 3: -0.76}"),
            (among(loss, &[(3, "none")]), "{0.750..0.813, 3: none}"),
            (among(loss, &[]), "{0.750..0.813}"),
            (among(|rank| rank.to_string(), &[]), "{0..63}"),
            (among(same("true"), &[(9, "false")]), "{true, 9: false}"),
            (among(same("3/8"), &[(7, "2/8")]), "{3, 7: 2}/8"),
            (among(same("0"), &[(12, "12"), (40, "3")]), "{0, 12: 12, 40: 3}"),
            (among(same("1.5 s"), &[(4, "9.5 s")]), "{1.5, 4: 9.5} s"),
            (among(same("1.5 s"), &[(4, "9.5 m")]), "{1.5 s, 4: 9.5 m}"),
            (among(|rank| format!("1.{rank} s"), &[(4, "nan")]), "{1.0 s..1.9 s, 4: nan}"),
            (among(|rank| format!("{}s", rank % 9 + 1), &[(4, "950ms")]), "{1s..9s, 4: 950ms}"),
            (among(same("init(cuda"), &[(4, "init(cpu")]), "init({cuda, 4: cpu}"),
            (among(same("/a/12/log"), &[(4, "/a/x/log")]), "/a/{12, 4: x}/log"),
            (among(same("f('a')"), &[(4, "f(a, 'b')")]), "f({'a', 4: a, 'b'})"),
            (among(same("2026-11-27T12"), &[(4, "2026-11-27T09")]), "2026-11-27T{12, 4: 09}"),
            (among(same("/a/log"), &[(4, "/a/b/log")]), "/a/{log, 4: b/log}"),
            (
                among(same("node-a"), &[(4, "node-b"), (5, "other")]),
                "{node-a, 4: node-b, 5: other}",
            ),
            (
                among(same("up"), &[(1, "a"), (2, "b"), (3, "c"), (4, "d"), (8, "a"), (9, "e")]),
                "{up, 1,8: a, 2: b, 3: c, …(+2)}",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(text, expected);
        }
    }
}

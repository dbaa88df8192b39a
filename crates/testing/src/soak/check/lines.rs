//! Finds the lines of a stream among those that were printed of it.

use super::Facts;
use super::console::{Marks, present};

/// A printed line of a stream.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) text: &'a [u8],
    pub(super) continues: bool,
    /// Where it ends on the console.
    pub(super) end: u64,
}

/// A line of a stream, or what is present of it beside a gap.
struct Line<'a> {
    at: u64,
    content: &'a [u8],
    whole: bool,
    after_gap: bool,
    before_gap: bool,
}

fn lines(facts: &Facts) -> Vec<Line<'_>> {
    let (mut lines, all) = (Vec::new(), facts.bytes.len() as u64);
    for (from, to) in present(facts) {
        let mut at = from;
        for line in facts.bytes[from as usize..to as usize].split_inclusive(|byte| *byte == b'\n') {
            let end = at + line.len() as u64;
            let content = line.strip_suffix(b"\n").unwrap_or(line);
            let whole = content.len() < line.len();
            let (after_gap, before_gap) = (at == from && from > 0, end == to && end < all);
            lines.push(Line { at, content, whole, after_gap, before_gap });
            at = end;
        }
    }
    lines
}

/// Whether it only says that a line stands open, which is printed whole when its end comes. No rank
/// ends a line so.
fn is_announced(piece: &Piece<'_>) -> bool {
    !piece.continues && piece.text.ends_with(" …".as_bytes())
}

/// One way to go on: the lines before `line` are found in the pieces before `next`; of the marks
/// these are kept, and these come to them.
struct Way {
    line: usize,
    next: usize,
    marks: usize,
    added: Marks,
}

/// Finds every line of a stream among the pieces that were printed of it. Where more than one way is
/// right for a line, all are tried.
pub(super) fn match_stream(facts: &Facts, pieces: &[Piece<'_>]) -> Result<Marks, String> {
    if !facts.shown {
        return if pieces.is_empty() { Ok(Marks::new()) } else { Err("it was not to be".into()) };
    }
    let pieces: Vec<Piece<'_>> =
        pieces.iter().filter(|piece| !is_announced(piece)).copied().collect();
    let (lines, mut marks, mut wrong) = (lines(facts), Marks::new(), None);
    let mut ways = vec![Way { line: 0, next: 0, marks: 0, added: Marks::new() }];
    while let Some(way) = ways.pop() {
        marks.truncate(way.marks);
        marks.extend(way.added);
        let left = &pieces[way.next..];
        let Some(line) = lines.get(way.line) else {
            let Some(piece) = left.first() else {
                return Ok(marks);
            };
            wrong.get_or_insert_with(|| format!("{:?} stands there once more", show(piece.text)));
            continue;
        };
        if left.is_empty() && !facts.reader.takes_all() {
            return Ok(marks);
        }
        let found = match_ways(line, !facts.reader.takes_all(), left);
        if found.is_empty() {
            wrong.get_or_insert_with(|| not_found(line, left.first()));
        }
        // The first is tried first.
        ways.extend(found.into_iter().rev().map(|took| Way {
            line: way.line + 1,
            next: way.next + took.len(),
            marks: marks.len(),
            added: marks_of(line, &took, left),
        }));
    }
    Err(wrong.expect("BUG: no way is right"))
}

fn not_found(line: &Line<'_>, piece: Option<&Piece<'_>>) -> String {
    let (at, content) = (line.at, show(line.content));
    match piece {
        Some(piece) => format!("at byte {at} {:?} stands for {content:?}", show(piece.text)),
        None => format!("the line at byte {at} is not there: {content:?}"),
    }
}

fn marks_of(line: &Line<'_>, took: &[usize], pieces: &[Piece<'_>]) -> Marks {
    let marks =
        took.iter().zip(pieces).map(|(through, piece)| (line.at + *through as u64, piece.end));
    let mut marks: Marks = marks.collect();
    if let (Some(last), true) = (marks.last_mut(), line.whole) {
        last.0 = line.at + line.content.len() as u64 + 1;
    }
    marks
}

/// In which of the pieces a line may be found: how far each of them goes in it.
fn match_ways(line: &Line<'_>, cut: bool, pieces: &[Piece<'_>]) -> Vec<Vec<usize>> {
    let starts = pieces.first().is_some_and(|piece| !piece.continues || line.after_gap);
    let took = starts.then(|| match_line(line.content, line.whole, cut, pieces)).flatten();
    let mut ways: Vec<Vec<usize>> = took.into_iter().collect();
    // An empty piece may be the rest of the line behind the gap.
    let empty = |took: &Vec<usize>| {
        let behind = pieces[1..took.len()].iter().rev();
        behind.take_while(|piece| piece.continues && piece.text.is_empty()).count()
    };
    let most = ways.first().filter(|_| line.before_gap).map_or(0, empty);
    for _ in 0..most {
        ways.insert(0, ways[0][..ways[0].len() - 1].to_vec());
    }
    if !line.content.contains(&b'\r') {
        // Of this one nothing is left to stand for.
        ways.truncate(1);
    }
    // What returns hide is not printed, also where a gap is what they make room for.
    let returns = |content: &[u8]| content.iter().all(|byte| *byte == b'\r');
    if !line.whole && (returns(line.content) || (line.before_gap && line.content.ends_with(b"\r")))
    {
        ways.push(Vec::new());
    }
    ways
}

/// The text of a line that a console shows.
pub(super) fn visible(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| *byte != b'\r').map_or(0, |at| at + 1);
    let start = text[..end].iter().rposition(|byte| *byte == b'\r').map_or(0, |at| at + 1);
    &text[start..end]
}

/// The pieces that make up a line: how far each of them goes in it. Where they may be cut short,
/// the last one there is need not end it.
fn match_line(content: &[u8], whole: bool, cut: bool, pieces: &[Piece<'_>]) -> Option<Vec<usize>> {
    let (first, rest) = pieces.split_first()?;
    let continues = rest.first().is_some_and(|piece| piece.continues);
    let plain = !content.contains(&b'\r');
    let ends = if plain {
        let end = first.text.len();
        end..=end
    } else {
        0..=content.len()
    };
    for end in ends.rev() {
        if content.get(..end).is_none_or(|part| visible(part) != first.text) {
            continue;
        }
        let left = &content[end..];
        // A bar's state is a line of its own, and what draws over it another.
        // Of an empty one nothing is left that another could be the rest of.
        let continues = continues && !(plain && first.text.is_empty());
        let more = continues || (left.starts_with(b"\r") && !rest.is_empty());
        if more && let Some(others) = match_line(left, whole, cut, rest) {
            let others = others.into_iter().map(|other| end + other);
            return Some(std::iter::once(end).chain(others).collect());
        }
        if left.is_empty()
            || (cut && rest.is_empty())
            || (!whole && left.iter().all(|byte| *byte == b'\r'))
        {
            return Some(vec![end]);
        }
    }
    None
}

pub(super) fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned()
}

#[cfg(test)]
mod tests {
    use lastline_line::{Gaps, Offset, Span, Stream};

    use super::*;
    use crate::soak::reader::Reader;

    /// Whether the stream `bytes`, of which `from..to` was lost, may be printed as these lines.
    fn may_be(bytes: &[u8], (from, to): (u64, u64), printed: &[&'static str]) -> bool {
        let mut lost = Gaps::default();
        lost.declare(Span { from: Offset(from), to: Offset(to) }, "dropped");
        let facts = Facts {
            rank: 0,
            stream: Stream::Stdout,
            bytes: bytes.to_vec(),
            lost,
            shown: true,
            reader: Reader::Fast,
        };
        let piece = |(end, text): (usize, &&'static str)| {
            let rest = text.strip_prefix("… ");
            let text = rest.unwrap_or(text).as_bytes();
            Piece { text, continues: rest.is_some(), end: end as u64 }
        };
        let pieces: Vec<Piece<'_>> = printed.iter().enumerate().map(piece).collect();
        match_stream(&facts, &pieces).is_ok()
    }

    #[test]
    fn an_empty_rest_behind_a_gap_is_the_line_s_behind_it() {
        assert!(may_be(b"one\ntwo three\nfour\n", (7, 13), &["one", "two", "… ", "four"]));
        assert!(may_be(b"two three\nfour\n", (3, 10), &["two", "four"]));
        assert!(!may_be(b"one\ntwo three\nfour\n", (7, 13), &["one", "two", "four"]));
        assert!(!may_be(b"one\ntwo three\nfour\n", (7, 13), &["one", "two", "… ", "… ", "four"]));
    }

    #[test]
    fn what_a_lost_state_draws_over_may_be_printed_or_not() {
        assert!(may_be(b"one\n50 %\r60 %\rend\n", (14, 18), &["one"]));
        assert!(may_be(b"one\n50 %\r60 %\rend\n", (14, 18), &["one", "60 %"]));
        assert!(!may_be(b"one\n50 %\r60 %\rend\n", (15, 18), &["one", "70 %"]));
        assert!(!may_be(b"one\ntwo\nlost\n", (8, 13), &["one"]));
    }
}

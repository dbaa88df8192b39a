//! Cutting one run of letters, digits and marks into words and variables.

use super::class::{CLASS, DIGIT, JOIN, LETTER, MARK, RUN, is_alphanumeric, is_letter};
use super::words;

/// What a piece of a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A word of the statement.
    Word,
    /// A variable.
    Variable,
    /// A name with a number at its end, which starts at the offset: `node-12`, `core.2275`.
    Stem(usize),
    /// Punctuation.
    Glue,
}

/// Gives `give` the pieces of `text[start..end]`, from left to right, covering all of it.
pub(super) fn cut(
    text: &[u8],
    start: usize,
    end: usize,
    give: &mut impl FnMut(Piece, usize, usize),
) {
    let (from, to) = trim(text, start, end);
    if start < from {
        give(Piece::Glue, start, from);
    }
    if from < to {
        cut_trimmed(text, from, to, give);
    }
    if to < end {
        give(Piece::Glue, to, end);
    }
}

/// Where the run starts and ends without the punctuation around it.
fn trim(text: &[u8], start: usize, end: usize) -> (usize, usize) {
    let run = &text[start..end];
    let Some(first) = run.iter().position(|&byte| is_alphanumeric(byte)) else {
        // Nothing but marks: a path or a rule.
        return if run.first() == Some(&b'/') { (start, end) } else { (end, end) };
    };
    let last = run.iter().rposition(|&byte| is_alphanumeric(byte)).unwrap_or(first);
    let from = leading(run, first);
    let to = match run.get(last + 1) {
        Some(b'/' | b'\\' | b'%' | b'+') => last + 2,
        // Names may end in underscores: `class_`, and `mkdtemp`'s random ones.
        Some(b'_') => {
            let rest = &run[last + 1..];
            last + 1 + rest.iter().take_while(|&&byte| byte == b'_').count()
        }
        _ => last + 1,
    };
    (start + from, start + to)
}

/// How many of the marks before the first letter or digit are punctuation: a sign belongs to its
/// number, and what starts a path to the path.
fn leading(run: &[u8], first: usize) -> usize {
    let marks = &run[..first];
    let keeps = match run[first] {
        b'0'..=b'9' => marks.iter().rposition(|&b| !matches!(b, b'-' | b'+' | b'.')),
        _ => marks.iter().rposition(|&b| !matches!(b, b'_' | b'-' | b'$')),
    };
    if let Some(slash) = memchr::memchr2(b'/', b'\\', marks) {
        let dots = marks[..slash].iter().rev().take_while(|&&b| matches!(b, b'.' | b'~')).count();
        return slash - dots;
    }
    let from = keeps.map_or(0, |at| at + 1);
    // Of `--5` and `...5` only the last mark can be the number's.
    if run[first].is_ascii_digit() && first - from > 1 { first } else { from }
}

fn cut_trimmed(text: &[u8], start: usize, end: usize, give: &mut impl FnMut(Piece, usize, usize)) {
    let run = &text[start..end];
    if is_path(run) || interior(run, b'@') || is_colon_number(run) {
        return give(Piece::Variable, start, end);
    }
    // Leader dots, an ellipsis.
    if let Some(dots) = memchr::memmem::find(run, b"..") {
        let after = run[dots..].iter().take_while(|&&byte| byte == b'.').count();
        cut_trimmed(text, start, start + dots, give);
        give(Piece::Glue, start + dots, start + dots + after);
        return cut(text, start + dots + after, end, give);
    }
    if let Some(colon) = memchr::memchr(b':', run) {
        return cut_at_colon(text, start, start + colon, end, give);
    }
    give(piece(run), start, end);
}

fn cut_at_colon(
    text: &[u8],
    start: usize,
    colon: usize,
    end: usize,
    give: &mut impl FnMut(Piece, usize, usize),
) {
    cut(text, start, colon, give);
    let marks = text[colon..end].iter().take_while(|&&byte| byte == b':').count();
    give(Piece::Glue, colon, colon + marks);
    cut(text, colon + marks, end, give);
}

/// What a run without colons is. It starts and ends with a letter or digit, or nearly so.
fn piece(run: &[u8]) -> Piece {
    let classes = run.iter().fold(0, |classes, &byte| classes | CLASS[usize::from(byte)]);
    if classes & LETTER == 0 && classes & DIGIT == 0 {
        return Piece::Glue;
    }
    if classes & DIGIT == 0 {
        return if is_value_without_digits(run) { Piece::Variable } else { Piece::Word };
    }
    let unsigned = run.strip_prefix(b"-").or(run.strip_prefix(b"+")).unwrap_or(run);
    let starts = unsigned.strip_prefix(b".").unwrap_or(unsigned);
    if starts.first().is_some_and(u8::is_ascii_digit) || is_hex(run) {
        return Piece::Variable;
    }
    stem(run).map_or(Piece::Variable, Piece::Stem)
}

/// Letters, at most one separator (and a sign), and a number that ends the run: where the number
/// starts.
fn stem(run: &[u8]) -> Option<usize> {
    let letters = run.iter().take_while(|&&byte| is_letter(byte)).count();
    let separator = usize::from(run.get(letters).is_some_and(|byte| b"_-.#/+$@".contains(byte)));
    let sign = usize::from(separator == 1 && run.get(letters + 1) == Some(&b'-'));
    let number = letters + separator + sign;
    let digits = run[number..].iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    (letters > 0 && digits && run[number..].first()?.is_ascii_digit()).then_some(number - sign)
}

/// Four hexadecimal digits or more, a decimal one among them.
fn is_hex(run: &[u8]) -> bool {
    run.len() >= 4 && run.iter().all(u8::is_ascii_hexdigit)
}

/// Names of hosts, and long hexadecimal numbers that happen to have no decimal digit.
fn is_value_without_digits(run: &[u8]) -> bool {
    words::is_host(run) || (run.len() >= 8 && is_hex(run))
}

/// Paths of Unix and Windows, and addresses with a scheme.
fn is_path(run: &[u8]) -> bool {
    let absolute = run.starts_with(b"/") || run.starts_with(b"~/") || run.starts_with(b"\\\\");
    let relative = run.starts_with(b"./") || run.starts_with(b"../");
    let drive =
        run.len() > 2 && run[0].is_ascii_alphabetic() && matches!(&run[1..3], b":\\" | b":/");
    absolute || relative || drive || deep(run, b'/') || deep(run, b'\\') || has_scheme(run)
}

/// Whether the separator stands in it at least twice and no colon makes parts of it.
fn deep(run: &[u8], separator: u8) -> bool {
    memchr::memchr(b':', run).is_none() && memchr::memchr_iter(separator, run).count() >= 2
}

/// Whether it has `://` in it.
pub(super) fn has_scheme(run: &[u8]) -> bool {
    memchr::memmem::find(run, b"://").is_some()
}

/// Whether `byte` stands between other bytes.
fn interior(run: &[u8], byte: u8) -> bool {
    memchr::memchr(byte, run).is_some_and(|at| at > 0 && at + 1 < run.len())
}

/// Hardware addresses, IPv6 and times: short hexadecimal numbers between colons, three at least.
fn is_colon_number(run: &[u8]) -> bool {
    let mut colons = 0;
    let mut digits = false;
    let mut length = 0;
    for &byte in run {
        match byte {
            b':' => {
                colons += 1;
                length = 0;
            }
            _ if byte.is_ascii_hexdigit() => {
                digits |= byte.is_ascii_digit();
                length += 1;
            }
            _ => return false,
        }
        if length > 4 {
            return false;
        }
    }
    colons >= 2 && digits
}

/// Whether the run is a host's dotted name and a port: `csdnimg.cn:80`.
pub(super) fn is_endpoint(run: &[u8]) -> bool {
    let Some(colon) = memchr::memchr(b':', run) else { return false };
    let (name, port) = (&run[..colon], &run[colon + 1..]);
    let label =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(byte);
    let port = (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit);
    port && interior(name, b'.') && name.iter().all(label)
}

/// Whether the run is an address with a scheme, or a path that goes on with a query.
pub(super) fn starts_url(text: &[u8], start: usize, end: usize, classes: u8) -> bool {
    let run = &text[start..end];
    let query = text.get(end) == Some(&b'?') && text.get(end + 1).is_some_and(|b| is_letter(*b));
    has_letter(classes) && (has_scheme(run) || query && run.starts_with(b"/"))
}

/// Where a URL that starts at `start` ends: at a blank, a quote or a closing bracket.
pub(super) fn end_of_url(text: &[u8], start: usize) -> usize {
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`<>)]}|".contains(byte);
    let end = text[start..].iter().position(ends).map_or(text.len(), |length| start + length);
    let trailing = text[start..end].iter().rev().take_while(|b| b",;.:!?".contains(b)).count();
    end - trailing
}

/// Where the run that starts at `start` ends, and the classes that are in it.
#[inline]
pub(super) fn measure(text: &[u8], start: usize) -> (usize, u8) {
    let mut classes = 0;
    let mut at = start;
    while let Some(&byte) = text.get(at) {
        let class = CLASS[usize::from(byte)];
        if class & RUN == 0 {
            break;
        }
        classes |= class;
        at += 1;
    }
    (at, classes)
}

/// Whether a run with these classes is one plain word, or rules and dashes.
#[inline]
pub(super) fn is_plain(classes: u8) -> bool {
    classes & (DIGIT | MARK) == 0
}

/// Whether a run with these classes has a letter.
#[inline]
pub(super) fn has_letter(classes: u8) -> bool {
    classes & LETTER != 0
}

/// Whether a run with these classes is digits alone.
#[inline]
pub(super) fn is_digits(classes: u8) -> bool {
    classes & (LETTER | JOIN | MARK) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> String {
        let mut shown = String::new();
        cut(text.as_bytes(), 0, text.len(), &mut |piece, start, end| {
            let part = &text[start..end];
            match piece {
                Piece::Word | Piece::Glue => shown.push_str(part),
                Piece::Variable => shown.push_str(&format!("<{part}>")),
                Piece::Stem(at) => shown.push_str(&format!("{}<{}>", &part[..at], &part[at..])),
            }
        });
        shown
    }

    #[test]
    fn runs_are_cut_into_words_and_variables() {
        let table = [
            ("loss", "loss"),
            ("1.92", "<1.92>"),
            ("-17", "<-17>"),
            ("93%", "<93%>"),
            ("120.", "<120>."),
            ("node-129", "node-<129>"),
            ("cuda:0", "cuda:<0>"),
            ("blk_-38865049064139660", "blk_<-38865049064139660>"),
            ("attempt_1445144423722_0020_m_000002_0", "<attempt_1445144423722_0020_m_000002_0>"),
            ("10.251.30.85:50010:Got", "<10.251.30.85>:<50010>:Got"),
            ("FF:F2:9F:16:E2:23:00:0D", "<FF:F2:9F:16:E2:23:00:0D>"),
            ("0x0b85eee0", "<0x0b85eee0>"),
            ("/var/www/html/", "</var/www/html/>"),
            ("./run", "<./run>"),
            ("/tmp/unpack-wopxmz__", "</tmp/unpack-wopxmz__>"),
            ("class_,", "class_,"),
            ("C:\\Users\\x", "<C:\\Users\\x>"),
            ("ns.marryaldkfaczcz.com", "<ns.marryaldkfaczcz.com>"),
            ("org.apache.hadoop.Foo", "org.apache.hadoop.Foo"),
            ("Input/output", "Input/output"),
            ("user@example", "<user@example>"),
            ("processor......0", "processor......<0>"),
            ("fast...", "fast..."),
            ("HTTP/1.1", "HTTP/<1.1>"),
            ("Error:", "Error:"),
            ("----", "----"),
            ("#12", "#<12>"),
            ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", "<3f2504e0-4f89-11d3-9a0c-0305e82c3301>"),
            ("12.3GB/s", "<12.3GB/s>"),
        ];
        for (run, shown) in table {
            assert_eq!(pieces(run), shown);
        }
    }
}

//! Words that the scanner knows.
//!
//! None of them belongs to a program: they are what people and C libraries write dates, amounts
//! and absent values with.

/// Whether `word` is a unit that a number may have: `5.2 KB`, `12 ms`, `3 seconds`.
///
/// A program that picks the unit by the size of the number makes the same statement with each.
pub(super) fn is_unit(word: &[u8]) -> bool {
    matches!(
        word,
        b"s" | b"ms"
            | b"us"
            | b"ns"
            | b"h"
            | b"min"
            | b"mins"
            | b"sec"
            | b"secs"
            | b"msec"
            | b"usec"
            | b"B"
            | b"kB"
            | b"KB"
            | b"MB"
            | b"GB"
            | b"TB"
            | b"PB"
            | b"KiB"
            | b"MiB"
            | b"GiB"
            | b"TiB"
            | b"kiB"
            | b"K"
            | b"M"
            | b"G"
            | b"T"
            | b"k"
            | b"Kb"
            | b"Mb"
            | b"Gb"
            | b"bytes"
            | b"byte"
            | b"Bytes"
            | b"hour"
            | b"hours"
            | b"minute"
            | b"minutes"
            | b"second"
            | b"seconds"
            | b"millisecond"
            | b"milliseconds"
            | b"microsecond"
            | b"microseconds"
            | b"nanosecond"
            | b"nanoseconds"
            | b"day"
            | b"days"
            | b"week"
            | b"weeks"
            | b"Hz"
            | b"kHz"
            | b"KHz"
            | b"MHz"
            | b"GHz"
            | b"%"
    )
}

/// Whether `word` names a day or a month the way `ctime` and `strftime` do.
pub(super) fn is_date(word: &[u8]) -> bool {
    matches!(
        word,
        b"Mon"
            | b"Tue"
            | b"Wed"
            | b"Thu"
            | b"Fri"
            | b"Sat"
            | b"Sun"
            | b"Jan"
            | b"Feb"
            | b"Mar"
            | b"Apr"
            | b"May"
            | b"Jun"
            | b"Jul"
            | b"Aug"
            | b"Sep"
            | b"Oct"
            | b"Nov"
            | b"Dec"
    )
}

/// Whether `word` is a time zone that may stand between a time and a year.
pub(super) fn is_zone(word: &[u8]) -> bool {
    matches!(
        word,
        b"UTC"
            | b"GMT"
            | b"PDT"
            | b"PST"
            | b"EDT"
            | b"EST"
            | b"CDT"
            | b"CST"
            | b"MDT"
            | b"MST"
            | b"CET"
            | b"CEST"
            | b"BST"
            | b"EET"
            | b"EEST"
            | b"MSK"
            | b"IST"
            | b"JST"
            | b"KST"
            | b"AM"
            | b"PM"
            | b"am"
            | b"pm"
    )
}

/// Whether `word`, after `=` or `:`, is a value in most languages' notation.
pub(super) fn is_literal(word: &[u8]) -> bool {
    matches!(
        word,
        b"true"
            | b"false"
            | b"True"
            | b"False"
            | b"TRUE"
            | b"FALSE"
            | b"null"
            | b"NULL"
            | b"None"
            | b"none"
            | b"nil"
            | b"nan"
            | b"NaN"
            | b"inf"
            | b"Inf"
            | b"-inf"
            | b"Infinity"
            | b"undefined"
            | b"(null)"
            | b"yes"
            | b"no"
    )
}

/// Whether `word` is what stands where other lines have a number: `loss nan`.
pub(super) fn is_not_a_number(word: &[u8]) -> bool {
    let unsigned = word.strip_prefix(b"-").or(word.strip_prefix(b"+")).unwrap_or(word);
    matches!(unsigned, b"nan" | b"NaN" | b"inf" | b"Inf" | b"Infinity")
}

/// Whether `word` is a preposition whose object is often a name.
pub(crate) fn is_preposition(word: &[u8]) -> bool {
    matches!(
        word,
        b"for" | b"from" | b"to" | b"by" | b"on" | b"at" | b"of" | b"in" | b"with" | b"via"
    )
}

/// Whether `word` holds a sentence together and names nothing: prepositions, articles, auxiliaries,
/// conjunctions.
pub(super) fn is_function_word(word: &[u8]) -> bool {
    is_preposition(word)
        || matches!(
            word,
            b"a" | b"an"
                | b"the"
                | b"this"
                | b"that"
                | b"its"
                | b"is"
                | b"are"
                | b"was"
                | b"were"
                | b"be"
                | b"been"
                | b"has"
                | b"have"
                | b"had"
                | b"will"
                | b"can"
                | b"cannot"
                | b"and"
                | b"or"
                | b"but"
                | b"not"
                | b"as"
                | b"into"
                | b"because"
                | b"after"
                | b"before"
                | b"while"
                | b"when"
                | b"if"
        )
}

/// Whether `word` is a noun that is followed by the name of what it means.
pub(crate) fn is_title(word: &[u8]) -> bool {
    matches!(
        word,
        b"user"
            | b"host"
            | b"node"
            | b"domain"
            | b"device"
            | b"file"
            | b"named"
            | b"name"
            | b"class"
            | b"service"
            | b"process"
            | b"program"
            | b"module"
            | b"package"
            | b"job"
            | b"task"
            | b"queue"
            | b"thread"
            | b"server"
            | b"client"
            | b"worker"
            | b"status"
            | b"state"
            | b"type"
            | b"mode"
            | b"group"
            | b"table"
            | b"database"
            | b"container"
            | b"image"
            | b"method"
            | b"function"
            | b"plugin"
            | b"family"
    )
}

/// Whether a key's value is the statement itself, as `msg="server started"` in logfmt.
pub(super) fn carries_message(key: &[u8]) -> bool {
    matches!(
        key,
        b"msg"
            | b"message"
            | b"event"
            | b"err"
            | b"error"
            | b"reason"
            | b"log"
            | b"text"
            | b"status"
            | b"title"
    )
}

/// Whether `run`, which has no digit, is a host's name: two dots or more, the last label a
/// top-level domain, and nothing that only identifiers of programs have.
pub(super) fn is_host(run: &[u8]) -> bool {
    let Some(dot) = memchr::memrchr(b'.', run) else {
        return false;
    };
    let last = &run[dot + 1..];
    let plain = |byte: &u8| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.');
    let common = matches!(
        last,
        b"com"
            | b"net"
            | b"org"
            | b"edu"
            | b"gov"
            | b"mil"
            | b"int"
            | b"info"
            | b"biz"
            | b"arpa"
            | b"local"
            | b"localdomain"
            | b"lan"
            | b"internal"
    );
    let dots = memchr::memchr_iter(b'.', run).count();
    let country = last.len() == 2 && last.iter().all(u8::is_ascii_lowercase) && dots >= 2;
    run.iter().all(plain) && dot > 0 && (common || country)
}

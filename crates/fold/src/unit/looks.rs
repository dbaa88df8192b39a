//! What lines of crash texts look like, one by one.

/// Whether the line is indented.
pub(super) fn is_indented(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

/// The words that programs write for values.
pub(crate) fn is_literal(word: &[u8]) -> bool {
    let literals: [&[u8]; 10] = [
        b"nan",
        b"NaN",
        b"inf",
        b"Infinity",
        b"true",
        b"True",
        b"false",
        b"False",
        b"None",
        b"null",
    ];
    literals.contains(&word)
}

/// `thread 'main' panicked at src/main.rs:2:5:`, with the thread's number since Rust 1.91.
pub(super) fn is_rust_panic(line: &[u8]) -> bool {
    line.starts_with(b"thread '") && memchr::memmem::find(line, b"panicked at ").is_some()
}

/// `panic: …`, `fatal error: …`, `goroutine 1 [running]:`.
pub(super) fn opens_go(line: &[u8]) -> bool {
    line.starts_with(b"panic: ") || line.starts_with(b"fatal error: ") || is_goroutine(line)
}

pub(super) fn is_goroutine(line: &[u8]) -> bool {
    line.starts_with(b"goroutine ") && line.ends_with(b"]:")
}

/// `java.lang.IllegalStateException: …`, `TypeError: …`: a name that ends as exceptions' names do;
/// alone in its line only with dots.
pub(super) fn is_throwable(line: &[u8]) -> bool {
    let name_ends = |byte: &u8| matches!(byte, b':' | b' ' | b'=' | b'[' | b'(');
    let length = line.iter().position(name_ends).unwrap_or(line.len());
    let (name, rest) = line.split_at(length);
    let ends = name.ends_with(b"Exception") || name.ends_with(b"Error");
    let dotted = || memchr::memchr(b'.', name).is_some();
    ends && (rest.starts_with(b": ") || rest.is_empty() && dotted())
}

pub(super) fn is_java_cause(line: &[u8]) -> bool {
    line.starts_with(b"Caused by: ") || line.starts_with(b"Suppressed: ")
}

/// `at load (/tmp/load.js:2:9)`, `at Load.main(Load.java:6)`, `... 1 more`.
pub(super) fn is_throwable_frame(text: &[u8]) -> bool {
    text.starts_with(b"at ") || text.starts_with(b"... ") && text.ends_with(b" more")
}

/// The line of a Python traceback that says what was raised: `ValueError: …`,
/// `KeyboardInterrupt`.
pub(super) fn is_python_exception(line: &[u8]) -> bool {
    let part = |b: &&u8| b.is_ascii_alphanumeric() || matches!(**b, b'.' | b'_');
    let length = line.iter().take_while(part).count();
    let starts = line.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
    starts && matches!(line.get(length), None | Some(b':'))
}

/// What stands between the tracebacks of a chain.
pub(super) fn is_python_chain(text: &[u8]) -> bool {
    text.starts_with(b"During handling of the above exception, another")
        || text.starts_with(b"The above exception was the direct cause")
}

/// A line of what Python's `faulthandler` prints that is not indented.
pub(super) fn is_of_fault(line: &[u8]) -> bool {
    line.ends_with(b"(most recent call first):")
        || line.starts_with(b"Python runtime state: ")
        || line.starts_with(b"Extension modules: ")
}

/// What a group's line has behind its margin, `  | `; `None` for the rulers between its exceptions,
/// `  +-+---------------- 1 ----------------`, and when there is no margin.
pub(super) fn in_group(line: &[u8]) -> Option<&[u8]> {
    let rest = line.trim_ascii_start().strip_prefix(b"|")?;
    Some(rest.strip_prefix(b" ").unwrap_or(rest))
}

/// Whether it is a line of an exception group, rulers among them.
pub(super) fn is_of_group(line: &[u8]) -> bool {
    let text = line.trim_ascii_start();
    is_indented(line) && (text.starts_with(b"|") || text.starts_with(b"+-"))
}

/// What PyTorch appends to the message of an error of CUDA (`c10/cuda/CUDAMiscFunctions.cpp`).
pub(super) fn is_advice(line: &[u8]) -> bool {
    line.starts_with(b"CUDA kernel errors might be")
        || line.starts_with(b"For debugging consider passing")
        || line.starts_with(b"Compile with `TORCH_USE_CUDA_DSA`")
        || line.starts_with(b"Device-side assert")
}

/// `Exception raised from f at f.cpp:43 (most recent call first):`
pub(super) fn is_raised_from(line: &[u8]) -> bool {
    line.starts_with(b"Exception raised from ")
}

/// A line of a Go panic that is not indented.
pub(super) fn is_go(line: &[u8]) -> bool {
    is_goroutine(line)
        || is_call(line)
        || line.starts_with(b"[signal ")
        || line.starts_with(b"created by ")
        || line.starts_with(b"panic: ")
        || line.starts_with(b"exit status ")
}

/// `main.run(0x1, 0x2)`: a name without blanks and its arguments.
pub(super) fn is_call(line: &[u8]) -> bool {
    let name = line.iter().take_while(|&&b| !matches!(b, b'(' | b' ')).count();
    name > 0 && line.get(name) == Some(&b'(') && line.ends_with(b")")
}

/// A frame of a native backtrace: `frame #3: c10::…`, `#3  0x00007f… in foo (x=1) at f.c:12`,
/// `./app(step+0xc)[0x55e984bd71c0]`, `@     0x7f12345678  google::LogMessage::Fail()`.
pub(super) fn is_native_frame(line: &[u8]) -> bool {
    if let Some(rest) = line.strip_prefix(b"@ ") {
        return rest.trim_ascii_start().starts_with(b"0x");
    }
    let text = line.strip_prefix(b"frame ").unwrap_or(line);
    if let Some(rest) = text.strip_prefix(b"#") {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        return digits > 0 && matches!(rest.get(digits), Some(b' ' | b':'));
    }
    ends_with_address(line)
}

/// `…[0x55e984bd71c0]`
pub(super) fn ends_with_address(line: &[u8]) -> bool {
    let Some(inside) = line.strip_suffix(b"]") else {
        return false;
    };
    let digits = inside.iter().rev().take_while(|byte| byte.is_ascii_hexdigit()).count();
    digits > 0 && inside[..inside.len() - digits].ends_with(b"[0x")
}

/// `==28664==`, as sanitizers begin a line.
pub(super) fn is_marked_with_pid(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"==") else {
        return false;
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && rest[digits..].starts_with(b"==")
}

/// The rule of 65 characters above a sanitizer's report.
pub(super) fn is_sanitizers_rule(line: &[u8]) -> bool {
    line.len() == 65 && line.iter().all(|&byte| byte == b'=')
}

/// A line of a sanitizer's report that is not indented.
pub(super) fn is_of_sanitizer(line: &[u8]) -> bool {
    let starts: [&[u8]; 16] = [
        b"READ of size ",
        b"WRITE of size ",
        b"0x",
        b"=>0x",
        b"allocated by thread ",
        b"freed by thread ",
        b"previously allocated by thread ",
        b"Address 0x",
        b"Thread T",
        b"SUMMARY: ",
        b"Shadow byte",
        b"HINT: ",
        b"Hint: ",
        b"Direct leak of ",
        b"Indirect leak of ",
        b"Register values:",
    ];
    is_marked_with_pid(line) || starts.iter().any(|start| line.starts_with(start))
}

/// Where the prefix `[host:pid] ` of a line ends with which Open MPI's report of a signal begins.
pub(super) fn signal_prefix(line: &[u8]) -> Option<usize> {
    let at = memchr::memmem::find(line, b"] *** Process received signal ***")?;
    line.starts_with(b"[").then_some(at + 2)
}

/// `/tmp/load.js:2`, alone in its line: where Node says it is.
pub(super) fn is_source_place(line: &[u8]) -> bool {
    let starts =
        line.starts_with(b"/") || line.starts_with(b"file:///") || line.starts_with(b"node:");
    let digits = line.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let name = &line[..line.len() - digits];
    starts && digits > 0 && name.ends_with(b":") && memchr::memchr(b' ', name).is_none()
}

//! Paths that can be clicked, on terminals that can.
//!
//! A link is OSC 8, as terminals have agreed on
//! (<https://gist.github.com/egmontkob/eb114294efbcd5adb1944c9f3cb5feda>). No terminal can be asked
//! whether it knows that; the rule is that of the crate `supports-hyperlinks`, which the tools of the
//! field use.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Makes the last mention of `dir`, which is written `shown`, a link, where stderr is a terminal that
/// can show one.
pub(crate) fn on_stderr(text: String, dir: &Path, shown: &str) -> String {
    if !is_supported(std::io::stderr().is_terminal(), |name| std::env::var_os(name)) {
        return text;
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    link(text, &url(&host, dir), shown)
}

fn link(mut text: String, url: &str, shown: &str) -> String {
    if let Some(at) = text.rfind(shown).filter(|_| !shown.is_empty()) {
        let linked = format!("\x1b]8;;{url}\x1b\\{shown}\x1b]8;;\x1b\\");
        text.replace_range(at..at + shown.len(), &linked);
    }
    text
}

/// A file's address, as RFC 8089 has it; the host tells a terminal over ssh whose file it is.
fn url(host: &str, path: &Path) -> String {
    let mut url = format!("file://{host}");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => url.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => url.push(char::from(*byte)),
            byte => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

/// Terminals by what they put into `TERM_PROGRAM`.
const PROGRAMS: [&str; 7] =
    ["Hyper", "iTerm.app", "terminology", "WezTerm", "vscode", "ghostty", "zed"];
/// The first VTE that has links: 0.50.
const FIRST_VTE: u32 = 5000;

/// `FORCE_HYPERLINK` decides where it is set (`0` is no); otherwise a terminal can when one of its own
/// variables says that it is one of those that can.
fn is_supported(is_terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    let is =
        |name, wanted: &[&str]| set(name).is_some_and(|value| wanted.iter().any(|w| value == *w));
    if let Some(forced) = set("FORCE_HYPERLINK") {
        return forced != "0";
    }
    let vte = set("VTE_VERSION").and_then(|version| version.to_str()?.parse::<u32>().ok());
    let can =
        ["DOMTERM", "WT_SESSION", "KONSOLE_VERSION"].into_iter().any(|name| set(name).is_some())
            || vte.is_some_and(|version| version >= FIRST_VTE)
            || is("TERM_PROGRAM", &PROGRAMS)
            || is("TERM", &["xterm-kitty", "alacritty", "alacritty-direct"])
            || is("COLORTERM", &["xfce4-terminal"]);
    is_terminal && can
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supported(is_terminal: bool, variables: &[(&str, &str)]) -> bool {
        is_supported(is_terminal, |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn a_terminal_that_says_what_it_is_gets_links_and_nothing_else_does() {
        for (name, value) in [
            ("VTE_VERSION", "6003"),
            ("TERM_PROGRAM", "WezTerm"),
            ("TERM", "xterm-kitty"),
            ("COLORTERM", "xfce4-terminal"),
            ("WT_SESSION", "x"),
        ] {
            assert!(supported(true, &[(name, value)]), "{name}");
            assert!(!supported(false, &[(name, value)]), "{name}");
            assert!(!supported(true, &[(name, value), ("FORCE_HYPERLINK", "0")]), "{name}");
        }
        let without =
            [("VTE_VERSION", "4602"), ("TERM", "xterm"), ("TERM_PROGRAM", "Apple_Terminal")];
        assert!(!supported(true, &without));
        assert!(supported(false, &[("FORCE_HYPERLINK", "1")]));
    }

    #[test]
    fn the_last_mention_is_a_link_whatever_the_path_has() {
        let url = url("node1", Path::new("/a b/é;"));
        assert_eq!(url, "file://node1/a%20b/%C3%A9%3B");
        let text = link(String::from("in /x, in /x\n"), "file:///x", "/x");
        assert_eq!(text, "in /x, in \x1b]8;;file:///x\x1b\\/x\x1b]8;;\x1b\\\n");
        assert_eq!(link(String::from("none"), "file:///x", "/x"), "none");
    }
}

//! `lastline completions` and `lastline man`.

use std::io::{self, Write as _};

use anyhow::Context as _;

use crate::{closed, exit, help};

/// Prints a completion script.
pub(crate) fn completions(shell: clap_complete::Shell) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut help::command(), "lastline", &mut script);
    print(&script)
}

/// Prints a man page.
pub(crate) fn man(command: Option<&str>) -> anyhow::Result<u8> {
    let mut text = Vec::new();
    clap_mangen::Man::new(page(command)).render(&mut text).context("cannot make the page")?;
    print(&text)
}

fn page(command: Option<&str>) -> clap::Command {
    let mut cli = help::command();
    // Gives subcommands their whole names.
    cli.build();
    match command {
        None => cli,
        Some(name) => {
            let found = cli.find_subcommand(name).cloned();
            let found = found.expect("BUG: only names of commands are taken");
            let whole = format!("lastline-{}", found.get_name());
            // A page has the long help of all options, as `--help` has.
            found.name(whole).mut_args(|arg| arg.hide_short_help(false))
        }
    }
}

/// Whether who reads stdout has gone, and not: nobody ever read it.
pub(crate) fn has_seen_enough(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe && !closed::has_no_stdout()
}

/// Prints all of it; a reader that has seen enough, as `head` has, is no error.
pub(crate) fn print(text: &[u8]) -> anyhow::Result<u8> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if has_seen_enough(&error) => {}
        other => other.context("cannot write to stdout")?,
    }
    Ok(exit::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_run_has_the_text_of_every_option() {
        let page = page(Some("run"));
        let mut text = Vec::new();
        clap_mangen::Man::new(page.clone()).render(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap().replace("\\-", "-").replace("\\*(Aq", "'");
        for arg in page.get_opts() {
            let help = arg.get_help().unwrap().to_string();
            let first: Vec<&str> = help.split([' ', '`']).take(3).collect();
            assert!(text.contains(&first.join(" ")), "{}: {first:?}", arg.get_id());
        }
    }
}

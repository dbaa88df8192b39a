//! The command line as it is read and shown: what is declared in `args`, with the options of `run`
//! under headings, examples before options, and empty variables left out.

use clap::{Arg, Command, CommandFactory as _};

use crate::args::{Cli, RUN_EXAMPLES, RUN_NOTES};

/// What a page of help has, in this order; `{after-help}` are the examples.
const TEMPLATE: &str = "{about-with-newline}\n{usage-heading} {usage}{after-help}\n\n{all-args}\n";

/// The options of `run` by what they are about.
const HEADINGS: [(&str, &[&str]); 7] = [
    (
        "Ranks and environment",
        &["procs", "job", "stdin", "pty", "merge", "env", "workdir", "buffered"],
    ),
    (
        "Output",
        &[
            "fold",
            "fold_window",
            "prefix",
            "show",
            "format",
            "color",
            "sanitize",
            "silent_after",
            "view",
            "quiet",
        ],
    ),
    (
        "Files",
        &[
            "log_dir",
            "overwrite",
            "no_files",
            "report",
            "rotate",
            "max_size",
            "compress",
            "min_free",
            "fsync",
        ],
    ),
    (
        "Failure and ending",
        &[
            "on_failure",
            "max_restarts",
            "timeout",
            "grace",
            "drain",
            "teardown_timeout",
            "leave_background",
            "strict",
        ],
    ),
    (
        "Ranks here, driver elsewhere",
        &["via", "nnodes", "node_rank", "world_size", "rank", "master_addr", "pre_fold"],
    ),
    (
        "Elsewhere than on the console",
        &[
            #[cfg(feature = "export")]
            "export",
            #[cfg(feature = "metrics")]
            "metrics",
        ],
    ),
    ("Limits", &["buffer", "when_full", "flush_timeout"]),
];

/// The options of `run` that `-h` shows; `--help` and the man page have all.
const OFTEN_USED: [&str; 13] = [
    "procs",
    "stdin",
    "pty",
    "env",
    "fold",
    "prefix",
    "show",
    "format",
    "log_dir",
    "no_files",
    "on_failure",
    "grace",
    "strict",
];

/// The whole command line.
pub(crate) fn command() -> Command {
    let command = Cli::command().help_template(TEMPLATE);
    command.mut_subcommands(|command| {
        let command = command.help_template(TEMPLATE);
        if command.get_name() == "run" { run(command) } else { command }
    })
}

fn run(command: Command) -> Command {
    command
        .after_help(format!("{RUN_EXAMPLES}\n\n`lastline run --help` has all options."))
        .after_long_help(format!("{RUN_EXAMPLES}\n\n{RUN_NOTES}"))
        .mut_args(|arg| without_empty_variable(under_heading(arg)).hide_env(true))
}

fn under_heading(arg: Arg) -> Arg {
    let id = arg.get_id().as_str();
    let heading = HEADINGS.iter().find(|(_, options)| options.contains(&id));
    let Some((heading, _)) = heading else { return arg };
    let hidden = !OFTEN_USED.contains(&id);
    arg.help_heading(*heading).hide_short_help(hidden)
}

/// A variable that is empty is as one that is not set.
fn without_empty_variable(arg: Arg) -> Arg {
    let value = arg.get_env().and_then(std::env::var_os);
    if value.is_some_and(|value| value.is_empty()) { arg.env(None::<&str>) } else { arg }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_args() -> Vec<Arg> {
        let command = command();
        let run = command.find_subcommand("run").unwrap();
        run.get_opts().cloned().collect()
    }

    #[test]
    fn every_option_of_run_stands_under_one_heading_and_each_name_is_an_option() {
        let args = run_args();
        let found: Vec<&str> = args.iter().map(|arg| arg.get_id().as_str()).collect();
        let named: Vec<&str> = HEADINGS.iter().flat_map(|(_, ids)| *ids).copied().collect();
        for id in &found {
            assert_eq!(named.iter().filter(|name| name == &id).count(), 1, "{id}");
        }
        for name in named.iter().chain(&OFTEN_USED) {
            assert!(found.contains(name), "{name}");
        }
    }

    #[test]
    fn the_short_help_is_one_screen_and_the_long_one_has_all() {
        let mut command = command().term_width(80);
        command.build();
        let run = command.find_subcommand_mut("run").unwrap();
        let (short, long) = (run.render_help().to_string(), run.render_long_help().to_string());
        assert!(short.lines().count() <= 50, "{short}");
        for arg in run.get_opts() {
            let name = format!("--{}", arg.get_long().unwrap());
            assert!(long.contains(&name), "{name}");
        }
        assert!(!long.contains("[env:"), "{long}");
        for help in [short, long] {
            assert!(help.find("Examples:").unwrap() < help.find("Output:").unwrap(), "{help}");
        }
    }
}

//! What holds although it may not be what was meant, and what to type instead. Pure.

use std::ffi::{OsStr, OsString};

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use lastline_appender::Fsync;
use lastline_bootstrap::{CommandError, Placement, SpawnError};
use lastline_jobs::{FileAction, JobDirError};
use lastline_line::RankSet;

use crate::args::RunOptions;
use crate::values::{FoldMode, StdinMode};

/// What is to be said of options of `run` that do nothing, `fold` being what is used.
pub(crate) fn of_run(options: &RunOptions, fold: FoldMode) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(show) = &options.show {
        said.extend(of_show(&show.ranks(), options.procs));
    }
    if options.fold_window.is_some() && fold == FoldMode::Off {
        said.push(String::from(
            "--fold-window does nothing here: lines are not folded (`--fold ranks` folds them)",
        ));
    }
    if options.max_restarts > 0 && options.stdin != StdinMode::Null {
        said.push(String::from(
            "--stdin: a rank that is started again by --max-restarts reads nothing, only its first start does",
        ));
    }
    said.extend(of_files(options));
    said.extend(of_compress(options));
    said
}

/// That a launcher has started this beside others, each of which has a job of its own; the first one says it.
pub(crate) fn of_launcher(placement: &Placement) -> Option<String> {
    let (launcher, tasks) = (placement.launcher?, placement.world_size / placement.procs.max(1));
    (tasks > 1 && placement.first_rank == 0).then(|| {
        format!(
            "{launcher} has started {tasks} of these, and each is a job of its own: with `--via` they are one"
        )
    })
}

/// That there are no files of which something is asked.
fn of_files(options: &RunOptions) -> Option<String> {
    let asked = [
        ("--rotate", options.rotate.is_some()),
        ("--max-size", options.max_size.is_some()),
        ("--compress", options.compress.is_some()),
        ("--fsync", options.fsync != Fsync::Never),
    ];
    let asked: Vec<&str> = asked.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect();
    let does = if asked.len() == 1 { "does" } else { "do" };
    (options.no_files && !asked.is_empty()).then(|| {
        format!("{} {does} nothing here: there are no files (--no-files)", asked.join(", "))
    })
}

/// That no file is ever closed before the end.
fn of_compress(options: &RunOptions) -> Option<String> {
    let closes = options.rotate.is_some() || options.max_size.is_some();
    (options.compress.is_some() && !closes && !options.no_files).then(|| {
        String::from(
            "--compress does nothing here: no file is closed before the end (`--rotate 100MB` closes them)",
        )
    })
}

/// What is to be said of variables of the environment, by name and value.
pub(crate) fn of_variables(set: impl Iterator<Item = (OsString, OsString)>) -> Vec<String> {
    // One that is empty is as one that is not set.
    let set = set.filter(|(_, value)| !value.is_empty());
    set.filter_map(|(name, _)| of_variable(&name)).collect()
}

/// That a variable that looks like an option of `run` is none, with the one whose name begins most like it.
fn of_variable(name: &OsStr) -> Option<String> {
    let name = name.to_str().filter(|name| name.starts_with("LASTLINE_RUN_"))?;
    let command = crate::help::command();
    let run = command.find_subcommand("run")?;
    let known: Vec<&str> = run.get_arguments().filter_map(|arg| arg.get_env()?.to_str()).collect();
    if known.contains(&name) {
        return None;
    }
    let rest = name.strip_prefix("LASTLINE_RUN_");
    let is_short = |short: char| rest == Some(&*short.to_ascii_uppercase().to_string());
    let by_short = run.get_arguments().find(|arg| arg.get_short().is_some_and(is_short));
    let by_short = by_short.and_then(|arg| arg.get_env()?.to_str());
    let alike = |other: &&&str| name.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let nearest = by_short.or_else(|| known.iter().max_by_key(alike).copied())?;
    Some(format!("{name} is no option of `run`, and does nothing; is {nearest} meant?"))
}

fn of_show(show: &RankSet, ranks: u32) -> Option<String> {
    let none = show.difference(&RankSet::first(ranks));
    if none.is_empty() {
        return None;
    }
    let none_are = if none.len() == 1 { "there is no rank" } else { "there are no ranks" };
    let so = if none == *show { ", so nothing is shown" } else { "" };
    Some(format!("--show: {none_are} {none}{so}; {}", there_are(ranks)))
}

/// Why ranks cannot be chosen of a job that has none of them.
pub(crate) fn no_such_rank(chosen: &RankSet, ranks: u32) -> Option<String> {
    let is_none = chosen.difference(&RankSet::first(ranks)) == *chosen && !chosen.is_empty();
    is_none.then(|| format!("the job has no rank {chosen}: {}", there_are(ranks)))
}

fn there_are(ranks: u32) -> String {
    match ranks {
        1 => String::from("there is rank 0 only"),
        ranks => format!("there are ranks 0 to {}", ranks - 1),
    }
}

/// What to type instead where something could not be done.
pub(crate) fn of_error(error: &anyhow::Error) -> Option<String> {
    match error.downcast_ref() {
        Some(JobDirError::Io {
            action: FileAction::Make | FileAction::Open | FileAction::Lock | FileAction::Write,
            ..
        }) => Some(String::from(
            "`--log-dir DIR` keeps the job's files elsewhere, `--no-files` does without",
        )),
        _ => of_command(error),
    }
}

/// What to type where a command was not found because it is a line for a shell.
fn of_command(error: &anyhow::Error) -> Option<String> {
    let Some(SpawnError::Command(CommandError::NotFound { name })) = error.downcast_ref() else {
        return None;
    };
    let name = name.to_str()?;
    if let Some((variable, _)) = name.split_once('=').filter(|_| !name.contains('/')) {
        return Some(format!("a variable is set with `--env {variable}=VALUE`"));
    }
    if OF_SHELLS.contains(&name) {
        return Some(format!(
            "`{name}` is a shell's own: lastline run -- sh -c '{name} …'; ranks start where `--workdir` says"
        ));
    }
    let line = Some(name).filter(|name| name.contains(char::is_whitespace))?;
    let quoted = line.replace('\'', r"'\''");
    Some(format!("commands are run without a shell; with one: lastline run -- sh -c '{quoted}'"))
}

/// What is no program, but understood by shells.
const OF_SHELLS: [&str; 8] = ["cd", "export", "source", ".", "ulimit", "alias", "exec", "eval"];

/// Options by which other launchers know something, as they write them: how many ranks there are
/// (torchrun, mpirun, srun), that lines are labelled (srun, mpirun, GNU parallel).
const HOW_MANY: [&str; 7] =
    ["--nproc-per-node", "--nproc_per_node", "--np", "--nprocs", "--ntasks", "--jobs", "-j"];
const LABELLED: [&str; 6] =
    ["--label", "-l", "--tag", "--tag-output", "--line-buffer", "--keep-order"];

/// A line of arguments that was not understood, with what to type instead where an option is that of
/// another launcher, or `run` was left out.
pub(crate) fn of_usage(mut error: clap::Error) -> clap::Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => String::new(),
    };
    let is_of = |command: &&str| usage.contains(&format!("lastline {command}"));
    if let Some(tip) = instead_of(option, ["run", "logs"].into_iter().find(is_of)) {
        let tips = ContextValue::StyledStrs(vec![StyledStr::from(tip)]);
        error.insert(ContextKind::Suggested, tips);
    }
    error
}

/// The tip for an option of `command`, where it is one of those in question.
fn instead_of(option: &str, command: Option<&str>) -> Option<&'static str> {
    let name = option.split('=').next().unwrap_or(option);
    match (command, name) {
        (Some("run"), name) if HOW_MANY.contains(&name) => Some("write `-n 4` for four ranks"),
        (Some("run"), name) if LABELLED.contains(&name) => {
            Some("leave it out: lines are whole and labelled; `--prefix` says how")
        }
        (Some("run"), "--wdir" | "--chdir" | "-D") => Some("write `--workdir DIR`"),
        (Some("run"), "-x" | "--export") => Some("write `--env NAME=VALUE`, for each variable"),
        (Some("run"), "--output" | "-o") => Some("write `--log-dir DIR`"),
        (Some("run"), "--kill-on-bad-exit" | "-K") => {
            Some("leave it out: a rank that fails stops the others; `--on-failure` says so")
        }
        (Some("run"), "--hostfile" | "--host" | "-H" | "-w" | "--nodelist") => {
            Some("start one lastline on each machine: `--via` makes them one job")
        }
        (_, "--json") => Some("a report is JSON without it; lines are with `--format json`"),
        (Some("logs"), "-n") => Some("write `--tail 5` for the last five lines"),
        (Some("logs"), "-f") => Some("write `--follow`"),
        (None | Some("logs"), name) if name == "-n" || HOW_MANY.contains(&name) => {
            Some("write `lastline run -n 4 -- COMMAND`")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks(text: &str) -> RankSet {
        text.parse().unwrap()
    }

    #[test]
    fn ranks_that_there_are_need_no_word() {
        assert_eq!(of_show(&ranks("0-3"), 4), None);
        assert_eq!(no_such_rank(&ranks("3,9"), 4), None);
        assert_eq!(no_such_rank(&RankSet::new(), 4), None);
    }

    #[test]
    fn ranks_that_there_are_not_are_named() {
        let all = "--show: there is no rank 7, so nothing is shown; there are ranks 0 to 3";
        assert_eq!(of_show(&ranks("7"), 4).as_deref(), Some(all));
        let some = "--show: there are no ranks 1-7; there is rank 0 only";
        assert_eq!(of_show(&ranks("0-7"), 1).as_deref(), Some(some));
        let none = "the job has no rank 9: there are ranks 0 to 1";
        assert_eq!(no_such_rank(&ranks("9"), 2).as_deref(), Some(none));
    }

    #[test]
    fn a_variable_by_the_short_name_of_an_option_is_taken_for_that() {
        let said = of_variable(OsStr::new("LASTLINE_RUN_N")).unwrap();
        assert!(said.ends_with("is LASTLINE_RUN_PROCS meant?"), "{said}");
        let said = of_variable(OsStr::new("LASTLINE_RUN_LOGDIR")).unwrap();
        assert!(said.ends_with("is LASTLINE_RUN_LOG_DIR meant?"), "{said}");
    }

    #[test]
    fn a_line_for_a_shell_is_quoted_for_one() {
        let error = |name: &str| {
            let error = CommandError::NotFound { name: name.into() };
            anyhow::Error::new(SpawnError::Command(error))
        };
        assert_eq!(of_error(&error("no-such")), None);
        assert!(of_error(&error("cd")).unwrap().contains("sh -c 'cd …'"));
        assert!(of_error(&error("A=1")).unwrap().contains("`--env A=VALUE`"));
        let said = of_error(&error("echo 'hi'")).unwrap();
        assert!(said.ends_with(r"sh -c 'echo '\''hi'\'''"), "{said}");
    }

    #[test]
    fn options_of_other_launchers_are_answered_with_ours() {
        let said = |line: &str| {
            let error = crate::help::command().try_get_matches_from(line.split(' ')).unwrap_err();
            of_usage(error).to_string()
        };
        let four = "tip: write `-n 4` for four ranks";
        for option in ["--nproc_per_node=4", "--nproc-per-node 4", "--np 4", "--ntasks=4"] {
            let said = said(&format!("lastline run {option} ./app"));
            assert!(said.contains(four) && !said.contains("as a value"), "{said}");
        }
        assert!(said("lastline run -n 4 --tag-output ./app").contains("leave it out"));
        assert!(said("lastline run -x PATH ./app").contains("write `--env NAME=VALUE`"));
        assert!(said("lastline run --wdir /tmp ./app").contains("write `--workdir DIR`"));
        assert!(said("lastline run --hostfile h ./app").contains("`--via` makes them one job"));
        assert!(said("lastline -n 4 ./app").contains("write `lastline run -n 4 -- COMMAND`"));
        assert!(said("lastline logs -n 5").contains("write `--tail 5` for"));
        assert!(said("lastline logs -f j").contains("write `--follow`"));
        assert!(said("lastline run --log-dri x ./app").contains("'--log-dir'"));
        assert!(said("lastline report --json").contains("a report is JSON without it"));
    }
}

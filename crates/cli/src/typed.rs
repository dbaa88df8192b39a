//! The command line as it is typed, and variables in the place of options that are not: what is typed
//! goes before a variable, also where one says the opposite of the other.

use std::collections::HashSet;
use std::ffi::OsString;

use clap::builder::{StyledStr, TypedValueParser as _};
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{ArgMatches, Error, FromArgMatches as _};

use crate::args::{Cli, Command};
use crate::help;
use crate::values::variable;

/// Reads the words of a command line, of which the first is the program's name.
pub(crate) fn read(words: &[OsString]) -> Result<Cli, Error> {
    let typed = typed_of_run(words);
    let mut command = help::command().mut_subcommands(|command| match &typed {
        Some(typed) if command.get_name() == "run" => without_opposites(command, typed),
        _ => command,
    });
    let of_variable = |error| if typed.is_some() { with_its_variable(error) } else { error };
    let matches = command.try_get_matches_from_mut(words).map_err(of_variable)?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    if let (Command::Run(options), Some(typed)) = (&mut cli.command, &typed)
        && typed.contains("env")
    {
        options.env.splice(0..0, variable_of_ranks(&mut command)?);
    }
    Ok(cli)
}

/// What was typed is well: a value that is not is that of a variable.
fn with_its_variable(mut error: Error) -> Error {
    if let Some(ContextValue::String(arg)) = error.get(ContextKind::InvalidArg)
        && let Some(name) = arg.split(' ').next().and_then(|arg| arg.strip_prefix("--"))
    {
        let variable = format!("LASTLINE_RUN_{}", name.replace('-', "_").to_ascii_uppercase());
        let tip = StyledStr::from(format!("the value is that of {variable}"));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}

/// The options of `run` that are typed; none where that cannot be told without the variables.
fn typed_of_run(words: &[OsString]) -> Option<HashSet<String>> {
    let command =
        help::command().mut_subcommands(|command| command.mut_args(|arg| arg.env(None::<&str>)));
    let matches = command.try_get_matches_from(words).ok()?;
    let run: &ArgMatches = matches.subcommand_matches("run")?;
    let typed = run.ids().map(|id| id.as_str());
    let is_typed = |id: &&str| run.value_source(id) == Some(ValueSource::CommandLine);
    Some(typed.filter(is_typed).map(String::from).collect())
}

/// The variables of options that cannot stand beside one that is typed are left out.
fn without_opposites(run: clap::Command, typed: &HashSet<String>) -> clap::Command {
    let pairs: Vec<[String; 2]> = run
        .get_arguments()
        .flat_map(|arg| {
            let others = run.get_arg_conflicts_with(arg).into_iter();
            others.map(move |other| [arg, other].map(|arg| arg.get_id().to_string()))
        })
        .collect();
    let is_opposite = |id: &str| {
        let mut both = pairs.iter().flat_map(|[one, other]| [(one, other), (other, one)]);
        both.any(|(this, other)| this == id && typed.contains(other) && !typed.contains(this))
    };
    run.mut_args(|arg| match is_opposite(arg.get_id().as_str()) {
        true => arg.env(None::<&str>),
        false => arg,
    })
}

/// What `LASTLINE_RUN_ENV` says, where there is more of its kind on the command line.
fn variable_of_ranks(command: &mut clap::Command) -> Result<Option<(OsString, OsString)>, Error> {
    // What is wrong with it is said as of any option.
    command.build();
    let run = command.find_subcommand("run").expect("BUG: it was read");
    let arg = run.get_arguments().find(|arg| arg.get_id() == "env");
    let value = arg.and_then(|arg| std::env::var_os(arg.get_env()?));
    value.map(|value| variable().parse_ref(run, arg, &value)).transpose()
}

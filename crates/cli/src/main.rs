//! `lastline`: run a job of N processes and lose no line of what they print.

mod address;
mod advice;
mod args;
mod beside;
mod closed;
mod console;
mod exit;
#[cfg(feature = "export")]
mod export;
mod filing;
mod filter;
mod folding;
mod help;
mod hyperlink;
mod jobs;
mod logs;
#[cfg(feature = "metrics")]
mod metrics;
mod moments;
mod mpi;
mod notices;
mod own_terminal;
mod pages;
mod run;
mod runtime;
mod serve;
mod signals;
mod summary;
mod top;
mod typed;
mod units;
mod values;
mod via;
mod view;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use crate::args::Command;

/// How long the last words may take on a console that takes nothing.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Prints help, or what is wrong with a line of arguments.
fn answer(said: &clap::Error) -> ExitCode {
    let printed = said.print().and_then(|()| io::stdout().flush());
    match printed {
        Err(error) if !said.use_stderr() && !pages::has_seen_enough(&error) => {
            notices::init();
            notices::say(&format!("cannot write to stdout: {error}"));
            notices::finish(LAST_WORDS);
            ExitCode::FAILURE
        }
        _ => ExitCode::from(u8::try_from(said.exit_code()).unwrap_or(exit::USAGE)),
    }
}

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    let cli = match typed::read(&words) {
        Ok(cli) => cli,
        Err(error) => return answer(&advice::of_usage(error)),
    };
    signals::prepare();
    notices::init();
    let result = match cli.command {
        Command::Run(options) => run::run(*options),
        Command::Attach(options) => via::attach::attach(*options),
        Command::Stop(options) => via::stop::stop(&options),
        Command::Logs(options) => logs::logs(&options),
        Command::Fold(options) => filter::fold(&options),
        Command::Top { job } => top::top(job.as_deref()),
        Command::Jobs => jobs::jobs(),
        Command::Flush { job, via } => jobs::flush(&job, via.as_ref()),
        Command::Report { job, html: Some(file) } => serve::picture(job.as_deref(), &file),
        Command::Report { job, html: None } => jobs::report(job.as_deref()),
        Command::Serve(options) => serve::serve(&options),
        Command::Prune(options) => jobs::prune(&options),
        Command::Completions { shell } => pages::completions(shell),
        Command::Man { command } => pages::man(command.as_deref()),
    };
    let code = result.unwrap_or_else(|error| {
        notices::say(&format!("{error:#}"));
        advice::of_error(&error).iter().for_each(|advice| notices::say(advice));
        exit::of_error(&error)
    });
    notices::finish(LAST_WORDS);
    ExitCode::from(code)
}

//! `lastline fold`: what another tool has labelled, folded as a job's output is.

mod input;
mod labels;
mod prefix;

use std::fs::File;
use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use lastline_client::{Client, Labels, Options};
use lastline_fold::{Ranks, Similar};
use lastline_line::{Fold, RankNames};

use self::input::LabelledInput;
use self::labels::LabelRanks;
use self::prefix::LabelPrefix;
use crate::console::{self, Look};
use crate::exit;
use crate::folding::{ranks_options, similar_options};
use crate::units::duration;
use crate::values::{FilterMode, Format, Prefix, When, prefix};

/// A file is read as fast as it goes, and when its lines were written is not known: what is held is
/// bounded by its size alone.
const OF_A_FILE: Duration = Duration::MAX;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pdsh -w node[1-64] uptime 2>&1 | lastline fold
  srun --label ./a.out 2>&1 | lastline fold --prefix '^ *(\\d+): '
  kubectl logs -f --prefix -l app=train | lastline fold --format json
  lastline fold train.log

The label is the first group of REGEX, or all that it finds; lines without one are labelled `?`. A
group named `stream` that finds `stderr` makes it a line of stderr. One blank after the label belongs
to it when the first labelled line has one.

Without --prefix these are known: `3: ` and `node7: ` (srun, pdsh, clush), `[3] `, `[default3]:` and
`[pod/train-3/main] ` (torchrun, kubectl), `[1,3]<stdout>:` (mpirun), `train-3  | ` (docker compose),
and a label with a tab after it (GNU parallel).")]
pub(crate) struct FilterOptions {
    /// What to fold [default: stdin]
    pub(crate) file: Option<PathBuf>,
    /// What stands before each line, as a regular expression whose first group is the label
    #[arg(long, value_name = "REGEX", value_parser = LabelPrefix::new)]
    pub(crate) prefix: Option<LabelPrefix>,
    /// What becomes of similar lines
    #[arg(long, value_enum, value_name = "MODE", default_value_t)]
    pub(crate) mode: FilterMode,
    /// How lines are printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
    /// How long lines are held to be folded [default: 500ms for ranks, 3s for similar; a file's until
    /// its end]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) fold_window: Option<Duration>,
    /// What stands before each line that is printed, as for `run`; {rank} is the label
    #[arg(long, value_name = "TEMPLATE", default_value = "auto", value_parser = prefix)]
    pub(crate) output_prefix: Prefix,
    /// Whether labels and stderr are told apart by colours
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub(crate) color: When,
    /// Show control sequences as `^[[2J` instead of sending them; colours pass
    #[arg(long)]
    pub(crate) sanitize: bool,
}

/// Folds the lines of a file or of stdin; the exit code.
pub(crate) fn fold(options: &FilterOptions) -> anyhow::Result<u8> {
    let input = open(options.file.as_deref())?;
    let is_file = input.metadata().is_ok_and(|found| found.is_file());
    let prefix = options.prefix.clone().unwrap_or_else(LabelPrefix::known);
    let ranks = LabelRanks::default();
    let names: Arc<dyn RankNames> = Arc::new(ranks.clone());
    let window = options.fold_window.or(is_file.then_some(OF_A_FILE));
    let look = Look {
        format: options.format,
        prefix: options.output_prefix.template(2),
        color: options.color,
        sanitize: options.sanitize,
        raw_partials: false,
        draws: false,
        one_output: false,
        names: Some(Arc::clone(&names)),
    };
    let printer = console::printer(look, Labels::default());
    let inbox = LabelledInput::new(input, prefix, ranks);
    let broken_off = inbox.broken_off();
    let fold = fold_of(options.mode, names, window);
    let mut client = Options::default();
    client.print_only = true;
    let client = Client::start(inbox, fold, printer, client).context("cannot start the client")?;
    console::finish(client)?;
    match broken_off.get() {
        Some(error) => bail!("cannot read {} on: {error}", name_of(options.file.as_deref())),
        None => Ok(exit::SUCCESS),
    }
}

fn name_of(file: Option<&Path>) -> std::path::Display<'_> {
    file.unwrap_or(Path::new("stdin")).display()
}

fn open(file: Option<&Path>) -> anyhow::Result<File> {
    let opened = match file {
        Some(path) => File::open(path),
        None if std::io::stdin().is_terminal() => {
            bail!("there is nothing to fold: pipe labelled lines into it, or name a file")
        }
        None => std::io::stdin().as_fd().try_clone_to_owned().map(File::from),
    };
    opened.with_context(|| format!("cannot read {}", name_of(file)))
}

fn fold_of(mode: FilterMode, names: Arc<dyn RankNames>, window: Option<Duration>) -> Box<dyn Fold> {
    match mode {
        FilterMode::Ranks => Box::new(Ranks::of_speakers(ranks_options(window)).named(names)),
        FilterMode::Similar => Box::new(Similar::new(similar_options(window)).named(names)),
    }
}

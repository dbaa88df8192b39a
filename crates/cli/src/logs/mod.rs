//! `lastline logs`: a job's output through the same client that shows a running job.

mod args;
mod broker;
mod files;
mod matching;
mod paced;
mod place;

use std::sync::Arc;

use anyhow::Context as _;
use lastline_client::{Client, Labels, Options};
use lastline_line::{Fold, Inbox, RankSet, ReadBack};

pub(crate) use self::args::LogsOptions;
use self::matching::{Found, Matching};
use self::paced::Paced;
use crate::console::Look;
use crate::values::FoldMode;
use crate::via::Url;
use crate::{advice, console, exit, folding, notices};

/// Prints a job's output; the exit code.
pub(crate) fn logs(options: &LogsOptions) -> anyhow::Result<u8> {
    match &options.via {
        Some(Url::Nats(url)) => broker::logs(options, url),
        // On one machine its files are here.
        Some(Url::Unix(_)) | None => files::logs(options),
    }
}

/// Whether a job of so many ranks has none of those that are to be printed; says so.
fn has_none_of_them(options: &LogsOptions, world_size: u32) -> bool {
    let chosen = options.chosen();
    let why = chosen.and_then(|chosen| advice::no_such_rank(&chosen.ranks(), world_size));
    if let Some(why) = &why {
        notices::say(why);
    }
    why.is_some()
}

/// What printing came to, as the exit code says it.
fn code(found: Option<Found>) -> u8 {
    match found.is_none_or(|found| found.any()) {
        true => exit::SUCCESS,
        false => exit::FAILURE,
    }
}

/// Prints what an inbox gives of a job of so many ranks; says too whether a line has matched, where lines
/// have to. Lines that are too long to be held are read
/// again from `files`; without those they are held.
fn start(
    options: &LogsOptions,
    world_size: Option<u32>,
    labels: Labels,
    files: Option<Arc<dyn ReadBack>>,
    inbox: impl Inbox + 'static,
) -> anyhow::Result<(Client, Option<Found>)> {
    let look = Look { one_output: true, ..options.look.look(world_size) };
    let printer = console::printer(look, labels);
    let mode = options.fold.unwrap_or(FoldMode::Off);
    let all = || world_size.map(|ranks| RankSet::first(ranks).into());
    let fold = match options.chosen().or_else(all) {
        Some(streams) => folding::fold(mode, streams, None),
        None => folding::fold_of_speakers(mode, None),
    };
    let (fold, found): (Box<dyn Fold>, _) = match options.matching() {
        Some(wanted) => {
            let found = Found::default();
            (Box::new(Matching::new(fold, wanted, found.clone())), Some(found))
        }
        None => (fold, None),
    };
    let mut client = Options::default();
    (client.print_only, client.tell_missing) = (true, true);
    if files.is_none() {
        client.held_line_bytes = client.whole_line_bytes;
    }
    client.read_back = files;
    let inbox: Box<dyn Inbox> = match options.replay {
        true => Box::new(Paced::new(inbox, options.speed)),
        false => Box::new(inbox),
    };
    let client = Client::start(inbox, fold, printer, client).context("cannot start the client")?;
    Ok((client, found))
}

//! `lastline logs`: a job's files through the same client that shows a running job.

use anyhow::Context as _;
use lastline_client::{Client, Label, Labels, Options};
use lastline_jobs::{FoundJob, JobState};
use lastline_line::{RankSet, StreamId};
use lastline_watch::{ArchiveInbox, Archives, Wanted};

use crate::args::LogsOptions;
use crate::console::Look;
use crate::values::FoldMode;
use crate::via::Url;
use crate::{advice, console, exit, folding, jobs, notices};

/// Prints the job's files; its exit code.
pub(crate) fn logs(options: &LogsOptions) -> anyhow::Result<u8> {
    if let Some(Url::Nats(_)) = &options.via {
        notices::say(
            "a broker keeps no files: what is printed is what this machine has of the job",
        );
    }
    let job = jobs::find(options.job.as_deref())?;
    let chosen = options.rank.as_ref();
    if let Some(why) = chosen.and_then(|ranks| advice::no_such_rank(ranks, job.info.world_size)) {
        notices::say(&why);
        return Ok(exit::USAGE);
    }
    let archive = Archives::open(&job).context("cannot read the job's files")?;
    let labels = Labels::default();
    set_labels(&job, &labels);
    let look = Look {
        format: options.format,
        prefix: options.prefix.template(job.info.world_size),
        color: options.color,
        sanitize: options.sanitize,
        raw_partials: false,
        draws: false,
        names: None,
        one_output: true,
    };
    let printer = console::printer(look, labels);
    let ranks = options.rank.clone().unwrap_or_else(|| RankSet::first(job.info.world_size));
    let fold = folding::fold(options.fold.unwrap_or(FoldMode::Off), ranks, None);
    let inbox = ArchiveInbox::new(archive, job, wanted(options))?;
    let unreadable = inbox.unreadable();
    let mut client = Options::default();
    (client.print_only, client.tell_missing) = (true, true);
    let client = Client::start(inbox, fold, printer, client).context("cannot start the client")?;
    console::finish(client)?;
    unreadable.take().map_or(Ok(exit::SUCCESS), |error| Err(error.into()))
}

fn wanted(options: &LogsOptions) -> Wanted {
    let (ranks, stream) = (options.rank.clone(), options.stream);
    let streams = move |id: StreamId| {
        ranks.as_ref().is_none_or(|ranks| ranks.contains(id.rank))
            && stream.is_none_or(|stream| id.stream == stream)
    };
    let (tail, follow) = (options.tail, options.follow);
    Wanted { streams: Box::new(streams), tail, follow, ..Wanted::default() }
}

fn set_labels(job: &FoundJob, labels: &Labels) {
    for rank in 0..job.info.world_size {
        let mut label =
            Label { rank, local_rank: rank, job: job.info.job.clone(), ..Label::default() };
        if let JobState::Finished(report) = &job.state
            && let Some(found) = report.ranks.get(rank as usize)
        {
            label.host.clone_from(&found.host);
            label.pid = found.pid.unwrap_or_default();
        }
        labels.set(label);
    }
}

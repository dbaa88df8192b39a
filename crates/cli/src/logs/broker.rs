//! What a broker has of a job. Whoever prints it takes no part in the job.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use lastline_bootstrap::{Reading, StoredJob};
use lastline_client::{Label, Labels};
use lastline_jobs::check_job_id;
use lastline_line::{Heard, HostEvent, HostId, HostMessage, Inbox as _, Listener};

use super::LogsOptions;
use crate::{console, exit, notices, runtime};

/// Prints what the broker has of the job; the exit code.
pub(super) fn logs(options: &LogsOptions, url: &str) -> anyhow::Result<u8> {
    let Some(job) = options.job() else {
        notices::say("which job of the broker is to be printed? `--job ID` says it");
        return Ok(exit::USAGE);
    };
    // What is no text is no id either.
    let job = job.to_string_lossy();
    check_job_id(&job)?;
    let runtime = runtime::start().context("cannot start the runtime")?;
    let stored = runtime.block_on(StoredJob::find(url, &job))?;
    let world_size = stored.world_size();
    if world_size.is_some_and(|world_size| super::has_none_of_them(options, world_size)) {
        return Ok(exit::USAGE);
    }
    let labels = Labels::default();
    let mut inbox = runtime.block_on(stored.read(reading(options)))?;
    inbox.listen(labeller(job.into_owned(), labels.clone()));
    let (client, found) = super::start(options, world_size, labels, None, inbox)?;
    // A runtime without threads of its own receives while this waits on it.
    runtime.block_on(client.finished(Duration::MAX));
    console::finish(client)?;
    let gone = runtime.block_on(stored.is_gone());
    runtime.shutdown_background();
    anyhow::ensure!(
        !gone,
        "the broker has let go of the job: what is printed may not be all of it"
    );
    Ok(super::code(found))
}

fn reading(options: &LogsOptions) -> Reading {
    let mut reading = Reading::default();
    reading.streams = options.chosen();
    (reading.stream, reading.tail, reading.follow) =
        (options.stream.only(), options.tail, options.follow);
    reading
}

/// What a host said of where its ranks are.
struct Host {
    name: String,
    first_rank: u32,
    local_first: u32,
}

/// Has ranks labelled as their hosts say, and says which hosts were lost.
fn labeller(job: String, labels: Labels) -> Listener {
    let mut hosts: HashMap<HostId, Host> = HashMap::new();
    Box::new(move |heard| {
        let Heard::Host(HostMessage { host: id, event }) = heard else { return };
        match event {
            HostEvent::Up { host: name, first_rank, local_first, .. } => {
                hosts.insert(id, Host { name, first_rank, local_first });
            }
            HostEvent::Started { rank, pid, .. } => {
                let mut label =
                    Label { rank, local_rank: rank, job: job.clone(), ..Label::default() };
                label.pid = pid.unwrap_or_default();
                if let Some(host) = hosts.get(&id) {
                    label.host.clone_from(&host.name);
                    label.local_rank = host.local_first + rank.saturating_sub(host.first_rank);
                }
                labels.set(label);
            }
            HostEvent::Lost { why } => {
                let name = hosts.get(&id).map_or("a host", |host| &*host.name);
                notices::say(&format!("{name} was lost: {why}"));
            }
            _ => {}
        }
    })
}

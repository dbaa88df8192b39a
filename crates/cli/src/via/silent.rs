//! What a host whose driver is elsewhere has of its own: a client that prints nothing.

use std::task::{Context, Poll};
use std::time::Duration;

use lastline_bootstrap::{Console, DriverBuilder, DriverHandle, OnFailure, Plan, StoredJob};
use lastline_line::{Accept, Cause, Message, Resume, Sink, Withheld};
use lastline_sender::{ChannelTransport, Reason, Transport as _};

use super::Url;

/// How long a host may be silent for somebody who only asks.
const LOST_AFTER: Duration = Duration::from_secs(60);

/// A driver that shows nothing, for somebody who asks something of a job at a broker.
pub(crate) async fn driver(url: &Url, job: &str) -> anyhow::Result<DriverHandle> {
    // Whoever only asks makes no job.
    if let Url::Nats(url) = url {
        StoredJob::find(url, job).await?;
    }
    let end = url.driver(job, Resume::Now, LOST_AFTER).await?;
    let mut plan = Plan::new(job, Vec::new());
    plan.silent_after = Duration::ZERO;
    let driver = DriverBuilder::new(plan, Console::silent()).lost_after(LOST_AFTER);
    let driver = driver.on_failure(OnFailure::Continue);
    Ok(driver.start(end.inbox)?.handle())
}

/// Tells the client here of a stream's marks and its end, and that its bytes are shown elsewhere: so
/// that a report can be made here, too.
pub(crate) struct ToldHere(pub(crate) ChannelTransport);

impl Sink for ToldHere {
    fn accept(&mut self, message: &Message) -> Accept {
        let told = match message {
            Message::Data(chunk) => Message::Skip {
                stream: chunk.stream,
                span: chunk.span(),
                cause: Cause::Withheld(Withheld::StreamingOff),
            },
            message => message.clone(),
        };
        match self.0.try_send(told) {
            Ok(()) => Accept::Taken,
            Err(refused) if refused.reason == Reason::Full => Accept::Full,
            // The client has ended.
            Err(_) => Accept::Taken,
        }
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.0.poll_ready(context).map(drop)
    }
}

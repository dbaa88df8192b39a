//! Says, while a job runs, that its disk does not answer.

use std::sync::{Arc, Weak};
use std::time::Duration;

use lastline_appender::Appender;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a disk may take for one batch of writes, half a MiB, before that is said.
const TOLD_AFTER: Duration = Duration::from_secs(5);

/// Ends with the files.
async fn watch_disk(appender: Weak<Appender>) {
    let mut told = false;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(busy) = appender.upgrade().as_deref().map(Appender::busy_for) else {
            return;
        };
        let hangs = busy >= TOLD_AFTER;
        if hangs && !told {
            let seconds = busy.as_secs();
            tracing::warn!(
                "the disk of the files has not answered for {seconds} s; the job goes on, and its ranks \
                 wait once --buffer is full of what is not filed"
            );
        } else if told && !hangs {
            tracing::warn!("the disk of the files answers again");
        }
        told = hangs;
    }
}

/// Watches the disk under `appender`, if there is one. Must be called on a tokio runtime.
pub(crate) fn start(appender: Option<&Arc<Appender>>) {
    if let Some(appender) = appender {
        tokio::spawn(watch_disk(Arc::downgrade(appender)));
    }
}

//! What is asked of a broker that may be busy, or just be making the stream that it is asked about.

use std::fmt::Display;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};
use tokio::time::Instant;

use crate::broker::Shared;
use crate::wire::Wire;

/// After how long it is asked again, for the first time; then twice as long each time.
pub(crate) const ASK_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// But no longer than this.
const ASK_AGAIN_AT_LEAST_AFTER: Duration = Duration::from_millis(500);

/// In the words of the client library: nobody answers for JetStream.
const NO_JETSTREAM: &str = "requested JetStream resource does not exist";

/// Why something that was asked was not done.
#[derive(Debug)]
pub(crate) struct Failure {
    /// In the broker's words.
    pub(crate) why: String,
    /// The broker answered with trouble of its own, which may be over in a moment.
    passes: bool,
}

impl Failure {
    /// `answer` is what the broker has answered, if that is the error.
    pub(crate) fn new(wire: &Wire, error: &dyn Display, answer: Option<&jetstream::Error>) -> Self {
        let mut why = wire.words_for(error);
        if why.contains(NO_JETSTREAM) {
            why.push_str(" (the server needs JetStream: `nats-server -js`)");
        }
        Self { why, passes: answer.is_some_and(may_pass) }
    }

    /// Why a consumer was not made.
    pub(crate) fn of_consumer(wire: &Wire, error: &ConsumerError) -> Self {
        match error.kind() {
            ConsumerErrorKind::JetStream(answer) => Self::new(wire, error, Some(&answer)),
            _ => Self::new(wire, error, None),
        }
    }
}

impl From<&str> for Failure {
    fn from(why: &str) -> Self {
        Self { why: why.to_owned(), passes: false }
    }
}

/// As in HTTP the server's own errors begin at 500: "invalid stream", which it says of one that it is
/// making, is one of them. That its subjects overlap with another one's, it says of the same one, too.
fn may_pass(answer: &jetstream::Error) -> bool {
    answer.code() >= 500 || answer.error_code() == ErrorCode::STREAM_SUBJECT_OVERLAP
}

impl Shared {
    /// What `ask` gets of the broker by `wire`. Trouble that may pass has as long as an answer may take.
    /// Where there is no answer it asks again for as long as the broker may be busy; unless that has
    /// complained, as of what this client may not ask.
    pub(crate) async fn patiently<T, Answer>(
        &self,
        wire: &Wire,
        ask: impl Fn() -> Answer,
    ) -> Result<T, Failure>
    where
        Answer: Future<Output = Result<T, Failure>>,
    {
        let (begun, mut ask_again_after) = (Instant::now(), ASK_AGAIN_AFTER);
        loop {
            let (asked, complaints) = (Instant::now(), wire.complaints());
            let failure = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let is_silent = asked.elapsed() >= self.options.answer_timeout;
            if is_silent
                && complaints == wire.complaints()
                && begun.elapsed() < self.options.busy_timeout
            {
                self.does_not_answer(&failure.why);
            } else if failure.passes && begun.elapsed() < self.options.answer_timeout {
                tracing::debug!("the broker has trouble of its own: {}", failure.why);
                tokio::time::sleep(ask_again_after).await;
                ask_again_after = (ask_again_after * 2).min(ASK_AGAIN_AT_LEAST_AFTER);
            } else {
                return Err(failure);
            }
        }
    }

    /// Says so, once.
    pub(crate) fn does_not_answer(&self, why: &str) {
        if !self.told.swap(true, Ordering::Relaxed) {
            let within = self.options.busy_timeout;
            tracing::warn!(
                "the broker is there and does not answer ({why}); it is asked again for up to {within:?}"
            );
        }
    }
}

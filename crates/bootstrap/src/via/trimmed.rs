//! Output of which a part was shown before.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use lastline_line::{
    Cause, ControlSender, Inbox, Listener, Message, Offset, Received, Resume, Span, StreamId,
    Withheld,
};

/// Leaves out what is not wanted of an inbox that gives everything, and says how much that was.
pub(super) struct Trimmed<I> {
    inbox: I,
    /// Up to where streams of which nothing came yet are not wanted.
    untold: HashMap<StreamId, Offset>,
    unwanted: HashMap<StreamId, Offset>,
    ready: VecDeque<Message>,
}

impl<I: Inbox> Trimmed<I> {
    pub(super) fn new(inbox: I, resume: Resume) -> Self {
        let unwanted: HashMap<StreamId, Offset> = match resume {
            Resume::After(places) => places.into_iter().collect(),
            Resume::Start | Resume::Now => HashMap::new(),
        };
        let untold = unwanted.clone();
        Self { inbox, untold, unwanted, ready: VecDeque::new() }
    }

    fn take(&mut self, message: Message) {
        let Some(stream) = message.stream() else {
            return self.ready.push_back(message);
        };
        if let Some(to) = self.untold.remove(&stream) {
            let cause = Cause::Withheld(Withheld::StreamingOff);
            let span = Span::new(Offset::ZERO, to);
            if !span.is_empty() {
                self.ready.push_back(Message::Skip { stream, span, cause });
            }
        }
        let from = self.unwanted.get(&stream).copied().unwrap_or_default();
        let wanted = match message {
            Message::Data(chunk) => chunk.trim_before(from).map(Message::Data),
            Message::Skip { stream, span, cause } => {
                let span = Span::new(span.from.max(from), span.to);
                (!span.is_empty()).then_some(Message::Skip { stream, span, cause })
            }
            message => Some(message),
        };
        self.ready.extend(wanted);
    }
}

impl<I: Inbox> Inbox for Trimmed<I> {
    fn next(&mut self, wait: Option<Duration>) -> Received {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Received::Message(message);
            }
            match self.inbox.next(wait) {
                Received::Message(message) => self.take(message),
                other => return other,
            }
        }
    }

    fn control_sender(&self) -> ControlSender {
        self.inbox.control_sender()
    }

    fn listen(&mut self, listener: Listener) {
        self.inbox.listen(listener);
    }
}

#[cfg(test)]
mod tests {
    use lastline_sender::{Transport as _, channel};
    use lastline_testing::{chunk, stdout};

    use super::*;

    #[test]
    fn what_was_shown_is_left_out_and_told() {
        let (mut transport, inbox) = channel(1 << 20);
        for (rank, at) in [(0, 0), (0, 4), (1, 0), (0, 8)] {
            transport.try_send(Message::Data(chunk(stdout(rank), at, b"123\n"))).unwrap();
        }
        drop(transport);
        let seen = Resume::After(vec![(stdout(0), Offset(6))]);
        let mut trimmed = Trimmed::new(inbox, seen);
        let next = || match trimmed.next(None) {
            Received::Message(message) => Some(message),
            _ => None,
        };
        let cause = Cause::Withheld(Withheld::StreamingOff);
        let span = Span::new(Offset::ZERO, Offset(6));
        let mut rest = chunk(stdout(0), 6, b"3\n");
        rest.time = lastline_line::Timestamp(4);
        let all = [
            Message::Skip { stream: stdout(0), span, cause },
            Message::Data(rest),
            Message::Data(chunk(stdout(1), 0, b"123\n")),
            Message::Data(chunk(stdout(0), 8, b"123\n")),
        ];
        assert_eq!(std::iter::from_fn(next).collect::<Vec<_>>(), all);
    }
}

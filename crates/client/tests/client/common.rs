//! What the tests of the client share.

use std::collections::HashMap;
use std::sync::Arc;

use lastline_client::{
    Account, Area, Client, JsonPrinter, Labels, Options, Printer, Template, TerminalPrinter,
    TextOptions, TextPrinter,
};
use lastline_line::{Fold, Launch, Message, Off, Offset, Stream, StreamId, Version};
use lastline_sender::{ChannelTransport, Transport as _, channel};
use lastline_testing::{Files, PATIENCE, Screen, chunk, wait_until};

pub(crate) fn stderr(rank: u32) -> StreamId {
    StreamId::new(Launch(1), rank, Stream::Stderr)
}

/// A client, and ranks that speak to it.
pub(crate) struct Job {
    pub(crate) client: Client,
    transport: ChannelTransport,
    files: Option<Files>,
    at: HashMap<StreamId, u64>,
}

impl Job {
    pub(crate) fn new(printer: impl Printer + 'static, options: Options) -> Self {
        Self::folding(Off, printer, options)
    }

    pub(crate) fn folding(
        fold: impl Fold + 'static,
        printer: impl Printer + 'static,
        options: Options,
    ) -> Self {
        let (transport, inbox) = channel(8 << 20);
        let client = Client::start(inbox, Box::new(fold), Box::new(printer), options);
        let client = client.expect("a thread");
        Self { client, transport, files: None, at: HashMap::new() }
    }

    /// What is said from now on is filed, too.
    pub(crate) fn filing(mut self, files: &Files) -> Self {
        self.files = Some(files.clone());
        self
    }

    pub(crate) fn send(&mut self, message: Message) {
        let mut message = Some(message);
        wait_until(|| match self.transport.try_send(message.take().expect("not sent yet")) {
            Ok(()) => true,
            Err(refused) => {
                message = Some(refused.message);
                false
            }
        });
    }

    /// A stream says something.
    pub(crate) fn say(&mut self, stream: StreamId, text: &[u8]) {
        let at = self.at.entry(stream).or_default();
        let message = Message::Data(chunk(stream, *at, text));
        *at += text.len() as u64;
        if let Some(files) = &self.files {
            files.file(&message);
        }
        self.send(message);
    }

    /// The mark of a barrier.
    pub(crate) fn flush(&mut self, stream: StreamId, version: u64) {
        let mark = Offset(self.at.get(&stream).copied().unwrap_or(0));
        self.send(Message::Flush { stream, version: Version(version), mark });
    }

    pub(crate) fn end(&mut self, stream: StreamId) {
        let at = Offset(self.at.get(&stream).copied().unwrap_or(0));
        self.send(Message::End { stream, at });
    }

    /// The end of the job: all is printed, and every account adds up.
    pub(crate) async fn finish(self) -> Vec<(StreamId, Account)> {
        let Self { client, transport, .. } = self;
        drop(transport);
        assert!(client.finished(PATIENCE).await, "the client does not end");
        let accounts = client.accounts();
        for (stream, account) in &accounts {
            let said = account.shown_bytes + account.withheld.total() + account.lost.bytes();
            assert_eq!(account.received, Offset(said), "{stream} adds up: {account:?}");
        }
        accounts
    }
}

/// The account of one stream.
pub(crate) fn of(accounts: &[(StreamId, Account)], stream: StreamId) -> Account {
    let found = accounts.iter().find(|(id, _)| *id == stream);
    found.map(|(_, account)| account.clone()).expect("the stream has said something")
}

pub(crate) fn text_on(screens: [&Screen; 2], options: TextOptions) -> TextPrinter {
    let [stdout, stderr] = screens.map(|screen| Box::new(screen.clone()));
    TextPrinter::new(stdout, stderr, Labels::default(), options)
}

/// A printer with the prefix of several ranks.
pub(crate) fn prefixed(screen: &Screen) -> TextPrinter {
    let mut options = TextOptions::default();
    options.prefix = Template::rank();
    text_on([screen, screen], options)
}

/// A printer on a terminal of 24 rows and 40 columns that both outputs are.
pub(crate) fn terminal_on(screen: &Screen) -> TerminalPrinter {
    let mut options = TextOptions::default();
    (options.prefix, options.shared) = (Template::rank(), true);
    let [stdout, stderr] = [screen, screen].map(|screen| Box::new(screen.clone()));
    let size = Box::new(|| Some((24, 40)));
    TerminalPrinter::new(stdout, stderr, Labels::default(), options, Area::default(), size)
}

pub(crate) fn json_on(screens: [&Screen; 2]) -> JsonPrinter {
    let [stdout, stderr] = screens.map(|screen| Box::new(screen.clone()));
    JsonPrinter::new(stdout, stderr)
}

/// Options that read back from `files`.
pub(crate) fn reading(files: &Files) -> Options {
    let mut options = Options::default();
    options.read_back = Some(Arc::new(files.clone()));
    options
}

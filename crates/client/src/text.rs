//! Lines as text: prefixed, whole, coloured on a terminal.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use lastline_line::{
    Colours, Entry, Folded, Line, RankNames, RankNumbers, RankSet, Stream, StreamId, Timestamp,
    Who, is_plain, rank_list, visible_text,
};

use crate::output::{BoxWrite, Output, Outputs};
use crate::prefix::{Label, Template};
use crate::printer::{Block, OpenLines, PrintError, Printer};

/// What is known of the ranks, filled in as they start. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Labels(Arc<Mutex<HashMap<u32, Label>>>);

impl Labels {
    /// Says what is known of a rank.
    pub fn set(&self, label: Label) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(label.rank, label);
    }

    /// What is known of a rank; at least its number.
    pub fn get(&self, rank: u32) -> Label {
        let labels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        labels.get(&rank).cloned().unwrap_or_else(|| Label { rank, ..Label::default() })
    }
}

/// How text is printed.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TextOptions {
    /// What stands before each line. Default: nothing.
    pub prefix: Template,
    /// Colours for ranks and for stderr. Default: off.
    pub color: bool,
    /// A line without its newline is printed as it is, and goes on where it stopped: for one rank
    /// alone on the console. Otherwise it gets a newline, and what comes later is marked as its
    /// continuation. Default: false.
    pub raw_partials: bool,
    /// Everything but text and colours is shown instead of sent, so that no rank does anything to the
    /// terminal. Default: off.
    pub sanitize: bool,
    /// Everything is printed on stdout, what ranks wrote to stderr too, as `cat` would print their
    /// files; notes go to stderr all the same. Default: false.
    pub one_output: bool,
    /// Both outputs are one file, a terminal as a rule, so that a note must not follow an open line
    /// of either. Default: false.
    pub shared: bool,
    /// What ranks are called. Default: their numbers.
    pub names: Option<Arc<dyn RankNames>>,
}

/// What stands before the rest of a line whose start was printed before.
const CONTINUATION: &[u8] = "… ".as_bytes();
/// Colours of the ranks' prefixes, by rank: cyan, green, yellow, blue, magenta.
const RANK_COLORS: [&str; 5] = ["\x1b[36m", "\x1b[32m", "\x1b[33m", "\x1b[34m", "\x1b[35m"];
/// Stderr's prefix: red.
const STDERR_COLOR: &str = "\x1b[31m";
const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// Prints lines as text on two outputs.
pub struct TextPrinter {
    outputs: Outputs,
    options: TextOptions,
    labels: Labels,
    /// Rendered prefixes, where they do not hold the time.
    prefixes: HashMap<StreamId, Vec<u8>>,
    /// Which of stdout and stderr stand in the middle of a line.
    mid_line: [bool; 2],
    /// The harmless form of what is printed now.
    harmless: Vec<u8>,
}

impl std::fmt::Debug for TextPrinter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextPrinter").field("options", &self.options).finish_non_exhaustive()
    }
}

impl TextPrinter {
    /// A printer on two writers, one for each stream.
    pub fn new(stdout: BoxWrite, stderr: BoxWrite, labels: Labels, options: TextOptions) -> Self {
        let outputs = Outputs::new(stdout, stderr);
        let (prefixes, mid_line, harmless) = (HashMap::new(), [false; 2], Vec::new());
        Self { outputs, options, labels, prefixes, mid_line, harmless }
    }

    fn render(&self, stream: StreamId, time: Timestamp) -> Vec<u8> {
        let label = self.labels.get(stream.rank);
        let ranks = RankSet::from_iter([stream.rank]);
        let name = rank_list(&ranks, self.options.names.as_deref().unwrap_or(&RankNumbers));
        let text = self.options.prefix.render(&name, &[label], stream.stream, time);
        if !self.options.color || text.is_empty() {
            return text.into_bytes();
        }
        let color = match stream.stream {
            Stream::Stderr => STDERR_COLOR,
            Stream::Stdout | Stream::Merged => {
                RANK_COLORS[stream.rank as usize % RANK_COLORS.len()]
            }
        };
        format!("{color}{text}{RESET}").into_bytes()
    }

    /// Runs `with` on the prefix of a line of `stream` and the outputs.
    fn prefixed<T>(
        &mut self,
        stream: StreamId,
        time: Timestamp,
        with: impl FnOnce(&mut Outputs, &[u8]) -> T,
    ) -> T {
        if self.options.prefix.has_time() {
            let prefix = self.render(stream, time);
            return with(&mut self.outputs, &prefix);
        }
        if !self.prefixes.contains_key(&stream) {
            let prefix = self.render(stream, time);
            self.prefixes.insert(stream, prefix);
        }
        with(&mut self.outputs, &self.prefixes[&stream])
    }

    /// Prints what `print` does, with the text as it may be shown.
    fn with_text(
        &mut self,
        text: &[u8],
        print: impl FnOnce(&mut Self, &[u8]) -> Result<(), PrintError>,
    ) -> Result<(), PrintError> {
        if !self.options.sanitize || is_plain(text) {
            return print(self, text);
        }
        let mut harmless = std::mem::take(&mut self.harmless);
        harmless.clear();
        // On a console of its own a rank may draw its line again.
        let is_return = |byte: &u8| *byte == b'\r' && self.options.raw_partials;
        for (at, part) in text.split(is_return).enumerate() {
            harmless.extend_from_slice(if at > 0 { b"\r" } else { b"" });
            visible_text(part, Colours::Keep, &mut harmless);
        }
        let result = print(self, &harmless);
        self.harmless = harmless;
        result
    }

    fn print_line(&mut self, line: &Line<'_>) -> Result<(), PrintError> {
        self.with_text(line.text, |printer, text| printer.print_text(&Line { text, ..*line }))
    }

    fn print_text(&mut self, line: &Line<'_>) -> Result<(), PrintError> {
        let raw = self.options.raw_partials;
        let newline = !(raw && line.partial);
        let output = self.output_of(line.stream.stream);
        self.stand(output, !newline);
        self.prefixed(line.stream, line.time, |outputs, prefix| {
            let (buffer, result) = outputs.switch(output);
            if !(raw && line.continuation) {
                buffer.extend_from_slice(prefix);
                buffer.extend_from_slice(if line.continuation { CONTINUATION } else { b"" });
            }
            buffer.extend_from_slice(line.text);
            if newline {
                buffer.push(b'\n');
            }
            result
        })
    }

    fn print_folded(&mut self, folded: &Folded<'_>) -> Result<(), PrintError> {
        self.with_text(folded.text, |printer, text| {
            printer.print_folded_text(&Folded { text, ..*folded })
        })
    }

    fn print_folded_text(&mut self, folded: &Folded<'_>) -> Result<(), PrintError> {
        let [first, next] = self.entry_prefixes(folded);
        let output = self.output_of(folded.stream);
        let (buffer, result) = self.outputs.switch(output);
        for (at, text) in folded.text.split(|&byte| byte == b'\n').enumerate() {
            buffer.extend_from_slice(if at == 0 { &first } else { &next }.as_bytes());
            buffer.extend_from_slice(text);
            buffer.push(b'\n');
        }
        self.stand(output, false);
        result
    }

    /// What stands before the first line of an entry, and before the others. Before the first of many
    /// lines all ranks are named, however many; elsewhere a long list of them is cut.
    fn entry_prefixes(&self, folded: &Folded<'_>) -> [String; 2] {
        let names = self.options.names.as_deref().unwrap_or(&RankNumbers);
        let who = Who { ranks: folded.ranks, except: folded.except, names };
        let labels = if self.options.prefix.has_labels() {
            folded.ranks.iter().map(|rank| self.labels.get(rank)).collect()
        } else {
            vec![self.labels.get(folded.first.stream.rank)]
        };
        let color = match folded.stream {
            Stream::Stderr => STDERR_COLOR,
            Stream::Stdout | Stream::Merged => DIM,
        };
        let prefix = |mut ranks: String| {
            if folded.count > folded.ranks.len() as u64 {
                ranks.push_str(&format!(" ×{}", folded.count));
            }
            let prefix = &self.options.prefix;
            let text = prefix.render(&ranks, &labels, folded.stream, folded.time);
            if self.options.color && !text.is_empty() {
                format!("{color}{text}{RESET}")
            } else {
                text
            }
        };
        match memchr::memchr(b'\n', folded.text) {
            Some(_) => [prefix(who.whole()), prefix(who.short())],
            None => [prefix(who.short()), String::new()],
        }
    }

    /// Where an output stands now; both where they are one.
    fn stand(&mut self, output: Output, mid_line: bool) {
        for other in Output::ALL {
            if self.options.shared || other == output {
                self.mid_line[other as usize] = mid_line;
            }
        }
    }
}

impl Printer for TextPrinter {
    fn print(&mut self, entry: &Entry<'_>) -> Result<(), PrintError> {
        match entry {
            Entry::Line(line) => self.print_line(line),
            Entry::Folded(folded) => self.print_folded(folded),
        }
    }

    fn flush(&mut self) -> Result<(), PrintError> {
        self.outputs.flush()
    }

    fn print_block(&mut self, block: &Block<'_>) -> Result<(), PrintError> {
        if self.options.sanitize && !is_plain(block.bytes) {
            return block.lines().try_for_each(|line| self.print_line(&line));
        }
        let target = self.output_of(block.stream.stream);
        self.stand(target, false);
        if self.options.prefix.is_empty() {
            return self.outputs.write(target, block.bytes);
        }
        self.prefixed(block.stream, block.time, |outputs, prefix| {
            let (buffer, result) = outputs.switch(target);
            put_prefixed(buffer, prefix, block.bytes);
            result
        })
    }

    fn open_lines(&self) -> OpenLines {
        OpenLines::Announced
    }

    fn output_of(&self, stream: Stream) -> Output {
        if self.options.one_output { Output::Stdout } else { stream.into() }
    }

    fn note(&mut self, text: &str) -> Result<(), PrintError> {
        let [_, mid_line] = self.mid_line;
        self.stand(Output::Stderr, false);
        let (buffer, result) = self.outputs.switch(Output::Stderr);
        if mid_line {
            buffer.push(b'\n');
        }
        buffer.extend_from_slice(format!("lastline: {text}\n").as_bytes());
        result.and(self.outputs.flush())
    }
}

/// Appends each line of `bytes` with `prefix` before it.
fn put_prefixed(buffer: &mut Vec<u8>, prefix: &[u8], bytes: &[u8]) {
    let mut at = 0;
    for end in memchr::memchr_iter(b'\n', bytes) {
        buffer.extend_from_slice(prefix);
        buffer.extend_from_slice(&bytes[at..=end]);
        at = end + 1;
    }
}

//! Which fold, and the word about it.

use std::time::Duration;

use lastline_client::{Block, Missing, OpenLines, Output, PrintError, Printer};
use lastline_fold::{Ranks, RanksOptions, Similar, SimilarOptions};
use lastline_line::{Entry, Fold, Off, Stream, StreamSet};

use crate::values::FoldMode;

/// The fold of this mode over these streams, held for `window` where that is given.
pub(crate) fn fold(
    mode: FoldMode,
    streams: impl Into<StreamSet>,
    window: Option<Duration>,
) -> Box<dyn Fold> {
    match mode {
        FoldMode::Off => Box::new(Off),
        FoldMode::Ranks => Box::new(Ranks::new(streams, ranks_options(window))),
        FoldMode::Similar => Box::new(Similar::new(similar_options(window))),
    }
}

/// The same where it is not known beforehand which ranks there are.
pub(crate) fn fold_of_speakers(mode: FoldMode, window: Option<Duration>) -> Box<dyn Fold> {
    match mode {
        FoldMode::Ranks => Box::new(Ranks::of_speakers(ranks_options(window))),
        other => fold(other, StreamSet::default(), window),
    }
}

/// How ranks are folded, with this window where one is given.
pub(crate) fn ranks_options(window: Option<Duration>) -> RanksOptions {
    let mut options = RanksOptions::default();
    options.window = window.unwrap_or(options.window);
    options
}

/// How similar lines are folded, with this window where one is given.
pub(crate) fn similar_options(window: Option<Duration>) -> SimilarOptions {
    let mut options = SimilarOptions::default();
    options.window = window.unwrap_or(options.window);
    options
}

/// A printer that says once, when something is first folded, where every line is.
pub(crate) struct NoteFirstFold<P> {
    printer: P,
    /// Until it was said.
    place: Option<Place>,
}

/// Tells where every line is, when it is asked.
pub(crate) type Place = Box<dyn Fn() -> String + Send>;

impl<P> NoteFirstFold<P> {
    pub(crate) fn new(printer: P, place: Place) -> Self {
        Self { printer, place: Some(place) }
    }
}

impl<P: Printer> Printer for NoteFirstFold<P> {
    fn print(&mut self, entry: &Entry<'_>) -> Result<(), PrintError> {
        let noted = match (entry, self.place.take()) {
            (Entry::Folded(_), Some(place)) => {
                self.printer.note(&format!("similar lines are folded; {}", place()))
            }
            (_, place) => {
                self.place = place;
                return self.printer.print(entry);
            }
        };
        // The entry is printed whatever becomes of the note.
        self.printer.print(entry).and(noted)
    }

    fn flush(&mut self) -> Result<(), PrintError> {
        self.printer.flush()
    }

    fn print_block(&mut self, block: &Block<'_>) -> Result<(), PrintError> {
        self.printer.print_block(block)
    }

    fn note(&mut self, text: &str) -> Result<(), PrintError> {
        self.printer.note(text)
    }

    fn open_lines(&self) -> OpenLines {
        self.printer.open_lines()
    }

    fn draw(&mut self, states: &[Entry<'_>]) -> Result<(), PrintError> {
        self.printer.draw(states)
    }

    fn missing(&mut self, missing: &Missing<'_>) -> Result<(), PrintError> {
        self.printer.missing(missing)
    }

    fn output_of(&self, stream: Stream) -> Output {
        self.printer.output_of(stream)
    }

    fn shows(&self) -> bool {
        self.printer.shows()
    }
}

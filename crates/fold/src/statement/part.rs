//! What a part of a line is, as families of statements compare it.

/// Lines with more parts have no family.
pub(crate) const MAX_PARTS: usize = 96;

/// How a part is written, which tells how likely it is that a program prints others in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// In small letters: `worker`.
    Plain,
    /// With a capital: `Consumer`.
    Capital,
    /// In capitals, as states and constants are: `PENDING`, `WAITING_ACK`.
    Upper,
    /// As names in programs are: `w.fetch`, `ucp_am_bufs`, `tcp/lo`, `numDone`.
    Identifier,
    /// A name with its number: `node-12`.
    Numbered,
    /// Of several words or variables: `numpy>=1.21`, `[127.0.0.1:80]<->[-]`.
    Composite,
    /// A variable by its look.
    Variable,
    /// Nothing but punctuation.
    Mark,
    /// A word that holds a sentence together: `of`, `the`.
    Function,
    /// A word with a colon: `Reason:`.
    Heading,
    /// A key: `state=`.
    Key,
    /// What makes another statement whenever it differs.
    Fixed,
}

/// What stands before a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// Nothing: it is the first one.
    Nothing,
    /// A key: `state=`.
    Key,
    /// A word with a colon: `Reason:`.
    Heading,
    /// A noun that is followed by a name: `user`.
    Title,
    /// A preposition.
    Preposition,
    /// Anything else.
    Other,
}

/// A part of a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// The hash of all of it but for what is variable by its look.
    pub(crate) hash: u64,
    /// The hash of the punctuation before its first and behind its last word.
    pub(crate) around: u64,
    /// The places of its items: the first one, and one past the last. Equal when it has none.
    pub(crate) places: (u32, u32),
    /// How it is written.
    pub(crate) class: Class,
    /// What stands before it.
    pub(crate) follows: Follows,
    /// Whether a comma ends it.
    pub(super) comma: bool,
    /// Which of the parts that the line has before lists are joined it stands for.
    pub(crate) stands_for: (u32, u32),
}

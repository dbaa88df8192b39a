//! Whether a rotated file is compressed, as one says who compresses it and who removes it.

use std::sync::atomic::{AtomicU8, Ordering};

/// How a file of a stream is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Form {
    /// As it was written.
    Plain,
    /// The compressed one is whole and takes its place just now: either may have its name.
    Changing,
    /// As the compressed one alone.
    Compressed,
    /// As it was written, for good.
    Stays,
    /// It is given up.
    Gone,
}

impl Form {
    const ALL: [Self; 5] = [Self::Plain, Self::Changing, Self::Compressed, Self::Stays, Self::Gone];
}

/// The form of a file. Who compresses it and who removes it do not wait for each other: whoever comes
/// second sees what the other one did, and tidies up after both.
#[derive(Debug)]
pub(crate) struct FormCell(AtomicU8);

impl FormCell {
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(Form::Plain as u8))
    }

    pub(crate) fn get(&self) -> Form {
        Form::ALL[usize::from(self.0.load(Ordering::Acquire))]
    }

    /// Makes it `to` where it is `from`; false where it is not.
    pub(crate) fn change(&self, from: Form, to: Form) -> bool {
        let (from, to) = (from as u8, to as u8);
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Gives it up, and says what it was.
    pub(crate) fn give_up(&self) -> Form {
        Form::ALL[usize::from(self.0.swap(Form::Gone as u8, Ordering::AcqRel))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_second_sees_what_the_first_one_did() {
        for (at, form) in (0..).zip(Form::ALL) {
            assert_eq!(form as u8, at);
        }
        let form = FormCell::new();
        assert!(form.change(Form::Plain, Form::Changing));
        assert!(!form.change(Form::Plain, Form::Changing));
        assert_eq!(form.give_up(), Form::Changing);
        assert!(!form.change(Form::Changing, Form::Compressed));
        assert_eq!((form.give_up(), form.get()), (Form::Gone, Form::Gone));
    }
}

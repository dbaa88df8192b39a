//! Secrets by which a viewer is known.

use std::fmt;
use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// 192 bits: more than can be guessed, by a good deal, and no padding as text.
const BYTES: usize = 24;

/// A secret that nobody can guess: 192 random bits of the system's, as text of letters, digits, `-`
/// and `_`.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// A new one.
    pub(crate) fn new() -> io::Result<Self> {
        let mut bytes = [0; BYTES];
        let mut done = 0;
        while done < BYTES {
            done += getrandom(&mut bytes[done..], GetRandomFlags::empty())?;
        }
        Ok(Self(data_encoding::BASE64URL_NOPAD.encode(&bytes)))
    }

    /// Whether `said` is this one, in a time that does not depend on where they differ.
    pub(crate) fn is(&self, said: &str) -> bool {
        let (own, said) = (self.0.as_bytes(), said.as_bytes());
        let differs = own.iter().zip(said).fold(0, |differs, (a, b)| differs | (a ^ b));
        own.len() == said.len() && std::hint::black_box(differs) == 0
    }

    /// The text, for whoever may know it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_itself_and_nothing_else() {
        let (one, two) = (Token::new().unwrap(), Token::new().unwrap());
        assert!(one.is(one.reveal()));
        assert_eq!(one.reveal().len(), 32);
        let short = &one.reveal()[..31];
        for other in [two.reveal(), "", short, &format!("{}x", one.reveal())] {
            assert!(!one.is(other), "{other}");
        }
        assert_eq!(format!("{one:?}"), "Token(…)");
    }
}

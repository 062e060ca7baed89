//! The number by which people name an edit. The engine counts those made here from 2^40 on, and keeps smaller numbers for
//! edits it offers to a server that had lost them.

use std::fmt;
use std::str::FromStr;

use syncline::client::WriteNo;

const FIRST: u64 = 1 << 40;
const LOST: &str = "lost-";

/// A write's number as it is shown and typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number(u64);

impl Number {
    /// The number itself, for programs.
    pub(crate) const fn get(self) -> u64 {
        self.0
    }
}

impl From<WriteNo> for Number {
    fn from(no: WriteNo) -> Self {
        Self(no.get())
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.checked_sub(FIRST) {
            Some(made_here) => made_here.fmt(f),
            None => write!(f, "{LOST}{}", self.0),
        }
    }
}

impl FromStr for Number {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix(LOST) {
            Some(lost) => Ok(Self(lost.parse()?)),
            None => Ok(Self(text.parse::<u64>()? | FIRST)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_typed_as_it_is_shown() {
        for (number, shown) in [(FIRST, "0"), (FIRST + 17, "17"), (3, "lost-3")] {
            assert_eq!(Number(number).to_string(), shown);
            assert_eq!(shown.parse(), Ok(Number(number)));
        }
        assert_eq!((FIRST + 17).to_string().parse(), Ok(Number(FIRST + 17)), "programs give it back as they got it");
        assert!("x".parse::<Number>().is_err());
    }
}

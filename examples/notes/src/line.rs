//! What can be typed into an open device. Nothing is done here.
//!
//! What must hold: a name is one word; a text is all that follows, with its blanks and with [escapes](crate::escape); a
//! line that does not read does nothing.
//!
//! Next: `commands`, which does it.

use crate::escape::unescape;

/// The lines there are, for people.
pub(crate) const HELP: &str = "\
open NOTE            go to a note; it is there once something is typed into it
show                 the note, and where the cursor is
type TEXT            type at the cursor; \\n is a new line, \\u{1f980} any character
type-many N          type N characters, each an edit of its own
insert AT TEXT       insert before the character AT
delete FROM TO       delete the characters from FROM up to, not with, TO
go AT                put the cursor before the character AT; it stays there while others type
undo, redo           what this device did since it was opened
blame                who wrote what
tidy                 forget what deleted characters were, once every device has heard of it
at VERSION           the note as it was at a version that `show` named
list, remove NOTE    all notes; delete one
like NOTE [BY]       count
tag NOTE TAG, untag NOTE TAG
star NOTE, unstar NOTE, move FROM TO, stars
put NOTE [under NOTE], outline
title NOTE TEXT      what it is called
set NOTE FIELD TEXT  one of its facts
who                  devices seen in the last 30 s, and where their cursors are
sync, status, offline, online, quit";

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    Open(String),
    Show,
    Type(String),
    TypeMany(u32),
    Insert(usize, String),
    Delete(usize, usize),
    Go(usize),
    Undo,
    Redo,
    Blame,
    Tidy,
    At(String),
    List,
    Remove(String),
    Like(String, i64),
    Tag(String, String),
    Untag(String, String),
    Star(String),
    Unstar(String),
    Move(usize, usize),
    Stars,
    Put(String, Option<String>),
    Outline,
    Title(String, String),
    Set(String, String, String),
    Who,
    Sync,
    Status,
    Offline,
    Online,
    Help,
    Quit,
}

impl Line {
    /// Reads a line; none when it is empty.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub(crate) fn read(line: &str) -> Result<Option<Self>, String> {
        let line = line.trim_start().trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            return Ok(None);
        }
        let mut rest = Rest(line);
        let verb = rest.word().unwrap_or_default();
        let read = match verb {
            "open" => Self::Open(rest.name()?),
            "show" => Self::Show,
            "type" => Self::Type(rest.text()?),
            "type-many" => Self::TypeMany(rest.number()?),
            "insert" => Self::Insert(rest.number()?, rest.text()?),
            "delete" => Self::Delete(rest.number()?, rest.number()?),
            "go" => Self::Go(rest.number()?),
            "undo" => Self::Undo,
            "redo" => Self::Redo,
            "blame" => Self::Blame,
            "tidy" => Self::Tidy,
            "at" => Self::At(rest.word().unwrap_or_default().to_owned()),
            "list" => Self::List,
            "remove" => Self::Remove(rest.name()?),
            "like" => Self::Like(rest.name()?, if rest.0.trim().is_empty() { 1 } else { rest.number()? }),
            "tag" => Self::Tag(rest.name()?, rest.name()?),
            "untag" => Self::Untag(rest.name()?, rest.name()?),
            "star" => Self::Star(rest.name()?),
            "unstar" => Self::Unstar(rest.name()?),
            "move" => Self::Move(rest.number()?, rest.number()?),
            "stars" => Self::Stars,
            "put" => Self::Put(rest.name()?, rest.under()?),
            "outline" => Self::Outline,
            "title" => Self::Title(rest.name()?, rest.text()?),
            "set" => Self::Set(rest.name()?, rest.name()?, rest.text()?),
            "who" => Self::Who,
            "sync" => Self::Sync,
            "status" => Self::Status,
            "offline" => Self::Offline,
            "online" => Self::Online,
            "help" => Self::Help,
            "quit" | "exit" => Self::Quit,
            other => return Err(format!("there is no {other:?}; `help` says what there is")),
        };
        match rest.0.trim() {
            "" => Ok(Some(read)),
            more => Err(format!("{more:?} is too much behind {verb:?}; `help` says what it takes")),
        }
    }
}

/// What is left of a line, beginning with the blank behind what was read.
struct Rest<'l>(&'l str);

impl<'l> Rest<'l> {
    fn word(&mut self) -> Option<&'l str> {
        let rest = self.0.trim_start();
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        self.0 = behind;
        Some(word).filter(|word| !word.is_empty())
    }

    fn name(&mut self) -> Result<String, String> {
        self.word().map(str::to_owned).ok_or_else(|| "a name is missing".to_owned())
    }

    fn number<N: std::str::FromStr>(&mut self) -> Result<N, String> {
        let word = self.word().ok_or("a number is missing")?;
        word.parse().map_err(|_| format!("{word:?} is not a number that can be here"))
    }

    /// All that follows one blank.
    fn text(&mut self) -> Result<String, String> {
        let text = self.0.get(1..).unwrap_or_default();
        self.0 = "";
        if text.is_empty() { Err("a text is missing".to_owned()) } else { unescape(text) }
    }

    fn under(&mut self) -> Result<Option<String>, String> {
        match self.word() {
            None => Ok(None),
            Some("under") => self.name().map(Some),
            Some(other) => Err(format!("{other:?} is not \"under\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Line;

    #[test]
    fn a_line_reads_or_says_what_is_wrong_with_it() {
        let read = |line| Line::read(line).map(Option::unwrap);
        assert_eq!(Line::read("  "), Ok(None));
        assert_eq!(read("type  two blanks\\n "), Ok(Line::Type(" two blanks\n ".into())));
        assert_eq!(read("insert 3 a b"), Ok(Line::Insert(3, "a b".into())));
        assert_eq!(read("delete 3 5\r"), Ok(Line::Delete(3, 5)));
        assert_eq!(read("like soup"), Ok(Line::Like("soup".into(), 1)));
        assert_eq!(read("like soup -2"), Ok(Line::Like("soup".into(), -2)));
        assert_eq!(read("put soup"), Ok(Line::Put("soup".into(), None)));
        assert_eq!(read("put soup under food"), Ok(Line::Put("soup".into(), Some("food".into()))));
        let bad =
            ["dance", "open", "open a b", "type", "insert x y", "delete 1", "go -1", "put a beside b", "type \\q"];
        for bad in bad {
            assert!(Line::read(bad).is_err(), "{bad}");
        }
    }
}

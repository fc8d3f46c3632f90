//! Cutting a line into tokens.

use crate::tile::Error;
use bayeslift_ir::Foreign;
use std::fmt;

/// A token of the text form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A name, a register or a number: which of them, the parser knows.
    Word(&'a str),
    /// One of `[]=,*`.
    Symbol(char),
    /// `..`.
    Range,
    /// The end of the line.
    End,
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Word(word) => write!(f, "`{}`", Foreign::cut(word, 40)),
            Token::Symbol(symbol) => write!(f, "`{symbol}`"),
            Token::Range => f.write_str("`..`"),
            Token::End => f.write_str("the end of the line"),
        }
    }
}

/// A line that holds something, without its indentation.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    /// Counted from 1.
    pub(super) number: usize,
    /// How many spaces it begins with.
    pub(super) spaces: usize,
    rest: &'a str,
}

/// The lines that hold something.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().enumerate().filter_map(|(i, line)| {
        let line = line.split(';').next().unwrap_or_default().trim_end();
        let rest = line.trim_start_matches(' ');
        (!rest.is_empty()).then(|| Line { number: i + 1, spaces: line.len() - rest.len(), rest })
    })
}

impl<'a> Line<'a> {
    /// The next token.
    pub(super) fn token(&mut self) -> Result<Token<'a>, Error> {
        self.rest = self.rest.trim_start_matches(' ');
        let Some(first) = self.rest.chars().next() else { return Ok(Token::End) };
        let (token, length) = match first {
            '[' | ']' | '=' | ',' | '*' => (Token::Symbol(first), 1),
            '.' if self.rest.starts_with("..") => (Token::Range, 2),
            c if is_word(c) => {
                let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
                let end = self.rest[..end].find("..").unwrap_or(end);
                (Token::Word(&self.rest[..end]), end)
            }
            c => return Err(self.error(format!("{c:?} begins nothing that tile code is made of"))),
        };
        self.rest = &self.rest[length..];
        Ok(token)
    }

    pub(super) fn error(&self, message: String) -> Error {
        Error::Parse { line: self.number, message }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '+' | '-')
}

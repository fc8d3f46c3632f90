//! Cutting text into tokens.

use crate::{Error, Foreign};
use std::fmt;

/// A token of the text form.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A name or a number: which of the two, the parser knows.
    Word(&'a str),
    /// `%` and what follows it.
    Value(&'a str),
    /// A quoted name, without quotes and escapes.
    Name(String),
    /// One of `{}[]=:,`.
    Symbol(char),
    /// The end of the text.
    End,
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Word(word) => write!(f, "`{}`", excerpt(word)),
            Token::Value(number) => write!(f, "`%{}`", excerpt(number)),
            Token::Name(name) => write!(f, "the name \"{}\"", excerpt(name)),
            Token::Symbol(symbol) => write!(f, "`{symbol}`"),
            Token::End => f.write_str("the end of the text"),
        }
    }
}

/// A part of what may be very long.
fn excerpt(text: &str) -> Foreign<'_> {
    Foreign::cut(text, 40)
}

/// Reads tokens from the front of a text and counts its lines.
pub(super) struct Lexer<'a> {
    rest: &'a str,
    /// The line of the token read last, from 1.
    pub(super) line: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Lexer { rest: text, line: 1 }
    }

    /// The next token.
    pub(super) fn token(&mut self) -> Result<Token<'a>, Error> {
        self.skip_space();
        let Some(first) = self.rest.chars().next() else { return Ok(Token::End) };
        match first {
            '{' | '}' | '[' | ']' | '=' | ':' | ',' => {
                self.rest = &self.rest[1..];
                Ok(Token::Symbol(first))
            }
            '"' => self.name(),
            '%' => {
                self.rest = &self.rest[1..];
                Ok(Token::Value(self.word()))
            }
            c if is_word(c) => Ok(Token::Word(self.word())),
            c => Err(self.error(format!("{c:?} begins nothing that a graph is made of"))),
        }
    }

    /// An error at the line of the last token.
    pub(super) fn error(&self, message: String) -> Error {
        Error::Parse { line: self.line, message }
    }

    fn skip_space(&mut self) {
        loop {
            let trimmed = self.rest.trim_start();
            let comment = if trimmed.starts_with(';') { trimmed.find('\n').unwrap_or(trimmed.len()) } else { 0 };
            let skipped = self.rest.len() - trimmed.len() + comment;
            if skipped == 0 {
                return;
            }
            self.line += self.rest[..skipped].matches('\n').count();
            self.rest = &self.rest[skipped..];
        }
    }

    fn word(&mut self) -> &'a str {
        let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn name(&mut self) -> Result<Token<'a>, Error> {
        let mut name = String::new();
        let mut chars = self.rest[1..].chars();
        loop {
            match chars.next() {
                Some('"') => break,
                Some('\\') => match chars.next() {
                    Some(c @ ('"' | '\\')) => name.push(c),
                    Some('u') => {
                        let digits = chars.as_str().strip_prefix('{').and_then(|rest| rest.split_once('}'));
                        let code = digits.and_then(|(digits, _)| u32::from_str_radix(digits, 16).ok());
                        let (Some((_, rest)), Some(c)) = (digits, code.and_then(char::from_u32)) else {
                            return Err(self.error("expected `{`, the hexadecimal number of a character, `}`".into()));
                        };
                        name.push(c);
                        chars = rest.chars();
                    }
                    _ => return Err(self.error("expected `\"`, `\\` or `u` after `\\`".into())),
                },
                Some(c) if !c.is_control() => name.push(c),
                Some(c) => return Err(self.error(format!("expected `\"` at the end of a name, found {c:?}"))),
                None => return Err(self.error("expected `\"` at the end of a name, found the end of the text".into())),
            }
        }
        self.rest = chars.as_str();
        Ok(Token::Name(name))
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '+' | '-')
}

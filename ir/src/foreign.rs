//! Text of a user's, printed so that a terminal and a log stay as they are.

use std::fmt::{self, Write};

/// Text from elsewhere - a file, a path, a name that somebody chose - as messages quote it: in one line, with escapes
/// for what a terminal would obey or not show, and without its middle where it is long.
///
/// ```
/// use bayeslift_ir::Foreign;
/// assert_eq!(Foreign::new("a\n\u{1b}]0;b").to_string(), "a\\n\\u{1b}]0;b");
/// assert_eq!(Foreign::cut("0123456789", 6).to_string(), "012…89");
/// assert_eq!(Foreign::new(&"x".repeat(1000)).to_string().chars().count(), 120);
/// assert_eq!(Foreign::whole(&"x".repeat(1000)).to_string().len(), 1000);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Foreign<'a> {
    text: &'a str,
    most: usize,
}

impl<'a> Foreign<'a> {
    /// At most 120 characters of a text, before escapes are written.
    pub fn new(text: &'a str) -> Self {
        Foreign::cut(text, 120)
    }

    /// At most `most` characters of a text, before escapes are written: of a longer one the beginning and the end, with
    /// `…` between them.
    pub fn cut(text: &'a str, most: usize) -> Self {
        Foreign { text, most }
    }

    /// All of a text, however long it is, with escapes.
    pub fn whole(text: &'a str) -> Self {
        Foreign::cut(text, usize::MAX)
    }

    /// The first eight of a list of names, and how many there are besides.
    ///
    /// ```
    /// use bayeslift_ir::Foreign;
    /// let names: Vec<String> = (0..400_000).map(|i| format!("layer_{i}")).collect();
    /// let list = Foreign::list(names.iter().map(String::as_str));
    /// assert!(list.starts_with("layer_0, layer_1, ") && list.ends_with("layer_7 and 399992 more"));
    /// ```
    pub fn list(names: impl IntoIterator<Item = &'a str>) -> String {
        let mut names = names.into_iter();
        let shown: Vec<String> = names.by_ref().take(8).map(|name| Foreign::new(name).to_string()).collect();
        match names.count() {
            0 => shown.join(", "),
            more => format!("{} and {more} more", shown.join(", ")),
        }
    }
}

/// Whether a character moves the cursor, changes the direction of text, or is not seen.
fn is_hidden(c: char) -> bool {
    let is_format = matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || is_format
}

impl fmt::Display for Foreign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut write = |c: char| if is_hidden(c) { write!(f, "{}", c.escape_default()) } else { f.write_char(c) };
        // Counting a text of gigabytes is not needed to see that it is long.
        if self.text.chars().nth(self.most).is_none() {
            return self.text.chars().try_for_each(write);
        }
        let kept = self.most.saturating_sub(1);
        let (head, tail) = (kept.div_ceil(2), kept / 2);
        self.text.chars().take(head).try_for_each(&mut write)?;
        write('…')?;
        let tail: Vec<char> = self.text.chars().rev().take(tail).collect();
        tail.into_iter().rev().try_for_each(write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_that_it_would_obey() {
        let hostile = "\u{1b}]0;title\u{7}\r\u{9b}2J\u{202e}gnp.exe\u{200b}\u{2028}\u{e0041}\u{7f}";
        let shown = Foreign::new(hostile).to_string();
        assert!(!shown.chars().any(is_hidden), "{shown:?}");
        assert_eq!(shown.matches("\\u{").count(), 8);
        // What was escaped stays as it is, so that a message may be escaped as a whole.
        assert_eq!(Foreign::whole(&shown).to_string(), shown);
        assert_eq!(Foreign::new("Schicht/größe 層").to_string(), "Schicht/größe 層");
    }

    #[test]
    fn long_texts_lose_their_middle() {
        for (most, expected) in [(0, "…"), (1, "…"), (2, "α…"), (3, "α…ε"), (4, "αβ…ε"), (5, "αβγδε")]
        {
            assert_eq!(Foreign::cut("αβγδε", most).to_string(), expected);
        }
        let long = "x".repeat(1 << 20);
        assert_eq!(Foreign::new(&long).to_string().chars().count(), 120);
        assert_eq!(Foreign::list(["a", "b"]), "a, b");
        assert_eq!(Foreign::list([]), "");
    }
}

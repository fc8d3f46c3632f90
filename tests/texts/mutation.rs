//! Changes of a graph's text: of bytes, of tokens, of numbers and of lines.

use bayeslift::ir::{Binary, Compare, Unary};
use proptest::{prelude::*, sample::Index};

/// What a number, a word or anything else becomes.
const PIECES: [&str; 48] = [
    "0",
    "1",
    "2",
    "3",
    "5",
    "16",
    "17",
    "33",
    "-1",
    "-2",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999",
    "0xffffffffffffffff",
    "0x0000000000000001",
    "1e999",
    "nan",
    "-inf",
    "3.4028235e38",
    "-0",
    "%0",
    "%1",
    "%2",
    "%4294967295",
    "f32[]",
    "f32[0]",
    "f32[2147483648]",
    "u32[3]",
    "mask[3]",
    "axis=0",
    "axis=11",
    "sample_axis=0",
    "example_axis=1",
    "permutation=[1,0]",
    "input \"x\"",
    "output \"z\" = %3",
    " updates %0",
    "\"",
    "{",
    "}",
    "\0",
];

/// The names of operations of which one in another's place leaves a graph.
fn alike(name: &str) -> Option<Vec<&'static str>> {
    let names = [
        Unary::ALL.iter().map(|op| op.name()).collect::<Vec<_>>(),
        Binary::ALL.iter().map(|op| op.name()).collect(),
        Compare::ALL.iter().map(|op| op.name()).collect(),
        vec!["sum", "reduce_max"],
    ];
    names.into_iter().find(|names| names.contains(&name))
}

/// One change. Places are chosen among all that there are.
#[derive(Clone, Debug)]
pub enum Mutation {
    FlipBit(Index, u8),
    SwapTokens(Index, Index),
    /// A token by another of the text.
    CopyToken(Index, Index),
    ReplaceToken(Index, &'static str),
    /// A number, wherever it stands: shapes that were equal stay equal.
    ReplaceNumberEverywhere(Index, &'static str),
    ReplaceNumber(Index, &'static str),
    /// An operation by another of as many operands.
    ReplaceOperation(Index, Index),
    /// An operand by any value.
    ReplaceOperand(Index, Index),
    Insert(Index, &'static str),
    RemoveLine(Index),
    RepeatLine(Index),
    MoveLine(Index, Index),
    SwapLines(Index, Index),
    Truncate(Index),
}

pub fn mutation() -> impl Strategy<Value = Mutation> {
    let place = any::<Index>;
    let piece = || prop::sample::select(&PIECES[..]);
    // a few small extents more often than all the rest
    let number = || prop_oneof![prop::sample::select(&PIECES[..8]), prop::sample::select(&PIECES[..27])];
    prop_oneof![
        1 => (place(), 0..8u8).prop_map(|(at, bit)| Mutation::FlipBit(at, bit)),
        1 => (place(), place()).prop_map(|(a, b)| Mutation::SwapTokens(a, b)),
        1 => (place(), place()).prop_map(|(a, b)| Mutation::CopyToken(a, b)),
        1 => (place(), piece()).prop_map(|(at, piece)| Mutation::ReplaceToken(at, piece)),
        4 => (place(), number()).prop_map(|(at, number)| Mutation::ReplaceNumberEverywhere(at, number)),
        2 => (place(), number()).prop_map(|(at, number)| Mutation::ReplaceNumber(at, number)),
        4 => (place(), place()).prop_map(|(at, by)| Mutation::ReplaceOperation(at, by)),
        4 => (place(), place()).prop_map(|(at, by)| Mutation::ReplaceOperand(at, by)),
        1 => (place(), piece()).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        1 => (place()).prop_map(Mutation::RemoveLine),
        1 => (place()).prop_map(Mutation::RepeatLine),
        1 => (place(), place()).prop_map(|(a, b)| Mutation::MoveLine(a, b)),
        1 => (place(), place()).prop_map(|(a, b)| Mutation::SwapLines(a, b)),
        1 => (place()).prop_map(Mutation::Truncate),
    ]
}

/// The words of a text and what is between them, each character of that alone.
fn tokens(text: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || "_.%-".contains(c);
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match is_word(first) {
            true => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after;
    }
    tokens
}

/// The text after a change; as it is if there is nothing of that kind.
pub fn mutate(text: &str, mutation: &Mutation) -> String {
    let mut lines: Vec<&str> = text.split('\n').collect();
    let mut tokens = tokens(text);
    let which = |is: &dyn Fn(&str) -> bool| -> Vec<usize> { (0..tokens.len()).filter(|&i| is(tokens[i])).collect() };
    let words = which(&|token| token.len() > 1 || !token.starts_with(char::is_whitespace));
    let numbers = which(&|token| token.starts_with(|c: char| c.is_ascii_digit()));
    let values = which(&|token| token.starts_with('%'));
    let operations = which(&|token| alike(token).is_some());
    let one_of = |places: &[usize], at: &Index| (!places.is_empty()).then(|| places[at.index(places.len())]);
    match mutation {
        Mutation::FlipBit(at, bit) => {
            let mut bytes = text.as_bytes().to_vec();
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        Mutation::Truncate(at) => {
            let end = at.index(text.len() + 1);
            return text.chars().take(end).collect();
        }
        Mutation::RemoveLine(at) => drop(lines.remove(at.index(lines.len()))),
        Mutation::RepeatLine(at) => {
            let at = at.index(lines.len());
            lines.insert(at, lines[at]);
        }
        Mutation::MoveLine(from, to) => {
            let line = lines.remove(from.index(lines.len()));
            lines.insert(to.index(lines.len() + 1), line);
        }
        Mutation::SwapLines(a, b) => {
            let count = lines.len();
            lines.swap(a.index(count), b.index(count));
        }
        Mutation::SwapTokens(a, b) => {
            if let (Some(a), Some(b)) = (one_of(&words, a), one_of(&words, b)) {
                tokens.swap(a, b);
            }
            return tokens.concat();
        }
        Mutation::CopyToken(a, b) => {
            if let (Some(a), Some(b)) = (one_of(&words, a), one_of(&words, b)) {
                tokens[a] = tokens[b];
            }
            return tokens.concat();
        }
        Mutation::ReplaceToken(at, piece) => {
            one_of(&words, at).into_iter().for_each(|at| tokens[at] = piece);
            return tokens.concat();
        }
        Mutation::ReplaceNumber(at, number) => {
            one_of(&numbers, at).into_iter().for_each(|at| tokens[at] = number);
            return tokens.concat();
        }
        Mutation::ReplaceNumberEverywhere(at, number) => {
            let old = one_of(&numbers, at).map(|at| tokens[at]);
            tokens.iter_mut().filter(|token| Some(**token) == old).for_each(|token| *token = number);
            return tokens.concat();
        }
        Mutation::ReplaceOperation(at, by) => {
            if let Some((at, names)) = one_of(&operations, at).and_then(|at| Some((at, alike(tokens[at])?))) {
                tokens[at] = names[by.index(names.len())];
            }
            return tokens.concat();
        }
        Mutation::ReplaceOperand(at, by) => {
            if let (Some(at), Some(by)) = (one_of(&values, at), one_of(&values, by)) {
                tokens[at] = tokens[by];
            }
            return tokens.concat();
        }
        Mutation::Insert(at, piece) => {
            tokens.insert(at.index(tokens.len() + 1), piece);
            return tokens.concat();
        }
    }
    lines.join("\n")
}

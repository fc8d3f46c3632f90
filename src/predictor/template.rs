//! A graph for any number of samples and rows, as text.
//!
//! It is the text form of a graph in which numbers that count samples or rows are written as products, such as
//! `f32[<samples>,<rows>,10]` or `<64*samples*rows>`. It is found by comparing graphs of several sizes: layers need not
//! know of it.

use crate::Error;
use bayeslift_ir::Graph;
use std::{fmt::Write, iter};

/// The text, which gives a graph for at least some sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(String);

/// Sizes to compare graphs of, numbers of samples and of rows: primes, so that products of them have one reading. Where
/// a layer has one as an extent of its own, or a graph is too large, the next ones serve.
const SIZES: [[[u64; 2]; 3]; 3] =
    [[[11, 13], [17, 19], [23, 29]], [[2, 3], [3, 5], [5, 7]], [[31, 37], [41, 43], [47, 53]]];

impl Template {
    /// The template of the graphs that `graph` makes for numbers of samples and rows. `None` if they are no instances
    /// of one.
    pub fn of(graph: impl Fn(usize, usize) -> Result<Graph, Error>) -> Option<Template> {
        let text = |[samples, rows]: [u64; 2]| Some(format!("{:#}", graph(samples as usize, rows as usize).ok()?));
        SIZES.into_iter().find_map(|[first, second, third]| {
            let template = Template(generalize([&text(first)?, &text(second)?], [first, second])?);
            // a third size tells whether it was chance
            (template.text(third)? == text(third)?).then_some(template)
        })
    }

    /// Reads what [`Template::into_string`] gave.
    ///
    /// # Errors
    /// A text that gives no graph.
    pub fn parse(text: &str) -> Result<Template, Error> {
        let template = Template(text.to_owned());
        template.graph(2, 3)?;
        Ok(template)
    }

    /// The text.
    pub fn into_string(self) -> String {
        self.0
    }

    /// The graph for `samples` samples and `rows` rows.
    ///
    /// # Errors
    /// A text that is none, or gives none for these.
    pub fn graph(&self, samples: usize, rows: usize) -> Result<Graph, Error> {
        let text = self.text([samples as u64, rows as u64]);
        let text = text.ok_or_else(|| Error::argument("a stored graph", "numbers and products of them", "another"))?;
        Ok(text.parse()?)
    }

    /// The text form for these sizes; `None` if a product does not parse or is too large.
    fn text(&self, sizes: [u64; 2]) -> Option<String> {
        let mut text = String::with_capacity(self.0.len());
        let (mut rest, mut quoted) = (self.0.as_str(), false);
        while let Some(at) = rest.find(['"', '\\', '<']) {
            text.push_str(&rest[..at]);
            let (mark, after) = rest[at..].split_at(1);
            rest = after;
            match mark {
                "<" if !quoted => {
                    let (product, after) = rest.split_once('>')?;
                    write!(text, "{}", value(product, sizes)?).ok()?;
                    rest = after;
                }
                "\\" if quoted => {
                    let escaped = rest.chars().next()?;
                    text.push('\\');
                    text.push(escaped);
                    rest = &rest[escaped.len_utf8()..];
                }
                _ => {
                    quoted ^= mark == "\"";
                    text.push_str(mark);
                }
            }
        }
        text.push_str(rest);
        Some(text)
    }
}

/// The value of `64*samples*rows`.
fn value(product: &str, [samples, rows]: [u64; 2]) -> Option<u64> {
    product.split('*').try_fold(1_u64, |value, factor| {
        value.checked_mul(match factor {
            "samples" => samples,
            "rows" => rows,
            number => number.parse().ok()?,
        })
    })
}

/// The text that two texts are instances of, for these sizes.
fn generalize(texts: [&str; 2], sizes: [[u64; 2]; 2]) -> Option<String> {
    let mut text = String::with_capacity(texts[0].len());
    let [mut first, mut second] = texts.map(pieces);
    loop {
        match (first.next(), second.next()) {
            (None, None) => return Some(text),
            (Some(one), Some(other)) if one == other => text.push_str(one),
            (Some(one), Some(other)) => {
                let numbers = [one.parse().ok()?, other.parse().ok()?];
                write!(text, "<{}>", product(numbers, sizes)?).ok()?;
            }
            _ => return None,
        }
    }
}

/// A text as runs of digits and of what is between them.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    iter::from_fn(move || {
        let is_digit = rest.chars().next()?.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != is_digit).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

/// The product that gives these numbers for these sizes.
fn product(numbers: [u64; 2], sizes: [[u64; 2]; 2]) -> Option<String> {
    /// More axes than values have do not count samples or rows at once.
    const MOST: u32 = 3;
    let all = (0..MOST).flat_map(|samples| (0..MOST).map(move |rows| [samples, rows]));
    for powers in all {
        let base = |[samples, rows]: [u64; 2]| samples.pow(powers[0]) * rows.pow(powers[1]);
        let factors = [0, 1].map(|i| (numbers[i].is_multiple_of(base(sizes[i]))).then(|| numbers[i] / base(sizes[i])));
        if let [Some(factor), Some(other)] = factors
            && factor == other
        {
            let names = iter::repeat_n("samples", powers[0] as usize).chain(iter::repeat_n("rows", powers[1] as usize));
            let factor = (factor != 1).then(|| factor.to_string());
            let names: Vec<&str> = factor.as_deref().into_iter().chain(names).collect();
            return (!names.is_empty()).then(|| names.join("*"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use bayeslift_ir::{Builder, Type};

    fn graph(samples: usize, rows: usize) -> Result<Graph, Error> {
        let b = Builder::new();
        let x = b.input("a \"name\" \\ <rows>", Type::f32([samples, rows, 103]));
        b.output("y", x.sum(2).reshape([samples * rows]).expand(1) * 1.5);
        Ok(b.finish()?)
    }

    #[test]
    fn graphs_of_any_size_are_instances() {
        let template = Template::of(graph).unwrap();
        assert!(template.0.contains("f32[<samples>,<rows>,103]"), "{template:?}");
        assert_eq!(Template::parse(&template.0).unwrap(), template);
        for [samples, rows] in [[1, 1], [2, 1], [1, 7], [103, 103], [32, 32]] {
            assert_eq!(template.graph(samples, rows).unwrap(), graph(samples, rows).unwrap(), "{samples}, {rows}");
        }
    }

    #[test]
    fn graphs_that_are_no_instances_are_none() {
        let of_rows = |samples: usize, rows: usize| {
            let b = Builder::new();
            let x = b.input("x", Type::f32([samples, rows]));
            b.output("y", x * (1.0 / rows as f32));
            Ok(b.finish()?)
        };
        assert_eq!(Template::of(of_rows), None);
    }

    #[test]
    fn damaged_texts_are_errors() {
        for text in
            ["", "graph {", "graph { %0 = input \"x\" : f32[<samples] }", "graph { %0 = input \"x\" : f32[<2*>] }"]
        {
            assert!(Template::parse(text).is_err(), "{text}");
        }
        let large = "graph { %0 = input \"x\" : f32[<99999999999*samples*rows*rows*9999999999>] }";
        assert!(Template::parse(large).is_err());
    }
}

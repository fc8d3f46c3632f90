//! The header of an array is a Python dictionary of literals, read strictly.

use bayeslift_ir::Foreign;
use std::fmt;

/// A value, and the text that it was written as.
#[derive(Clone)]
pub struct Value<'a> {
    pub literal: Literal<'a>,
    text: &'a str,
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Foreign::new(self.text).fmt(f)
    }
}

/// What headers of NumPy are made of.
#[derive(Clone)]
pub enum Literal<'a> {
    Text(&'a str),
    Boolean(bool),
    /// A tuple of natural numbers.
    Numbers(Vec<usize>),
    /// A number, a list, a tuple of anything else: sound, and nothing that an array of numbers has.
    Other,
}

/// A structured element type has lists of tuples of tuples.
const DEEPEST: u32 = 8;

/// The values of a dictionary that has these keys and no others, each once.
pub fn fields<'a, const N: usize>(header: &'a str, keys: [&str; N]) -> Result<[Value<'a>; N], String> {
    let mut reader = Reader { rest: header };
    let mut found: [Option<Value<'a>>; N] = [const { None }; N];
    reader.expect('{')?;
    while !reader.accept('}') {
        let key = reader.string()?;
        let Some(i) = keys.iter().position(|known| *known == key) else {
            return Err(format!("its header has the field `{}`, which no array has", Foreign::new(key)));
        };
        reader.expect(':')?;
        if found[i].replace(reader.value(DEEPEST)?).is_some() {
            return Err(format!("its header has the field `{key}` twice"));
        }
        if !reader.accept(',') {
            reader.expect('}')?;
            break;
        }
    }
    reader.rest = reader.rest.trim_ascii();
    if !reader.rest.is_empty() {
        return Err(reader.unexpected("nothing after the dictionary"));
    }
    for (key, value) in keys.iter().zip(&found) {
        if value.is_none() {
            return Err(format!("its header has no field `{key}`"));
        }
    }
    Ok(found.map(|value| value.expect("each field was found")))
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn accept(&mut self, symbol: char) -> bool {
        self.rest = self.rest.trim_ascii_start();
        let rest = self.rest.strip_prefix(symbol);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, symbol: char) -> Result<(), String> {
        if self.accept(symbol) { Ok(()) } else { Err(self.unexpected(&format!("`{symbol}`"))) }
    }

    fn unexpected(&self, expected: &str) -> String {
        match self.rest {
            "" => format!("its header ends, expected {expected}"),
            rest => format!("its header has `{}`, expected {expected}", Foreign::cut(rest, 40)),
        }
    }

    /// A string in quotes, without escapes.
    fn string(&mut self) -> Result<&'a str, String> {
        for quote in ['\'', '"'] {
            if self.accept(quote) {
                let ended = self.rest.split_once(quote).filter(|(text, _)| !text.contains(['\\', '\n']));
                let (text, rest) = ended.ok_or_else(|| self.unexpected("a string without escapes"))?;
                self.rest = rest;
                return Ok(text);
            }
        }
        Err(self.unexpected("a string"))
    }

    fn value(&mut self, depth: u32) -> Result<Value<'a>, String> {
        self.rest = self.rest.trim_ascii_start();
        let before = self.rest;
        let literal = self.literal(depth)?;
        Ok(Value { literal, text: &before[..before.len() - self.rest.len()] })
    }

    fn literal(&mut self, depth: u32) -> Result<Literal<'a>, String> {
        let Some(deeper) = depth.checked_sub(1) else { return Err(self.unexpected("fewer parentheses")) };
        if self.rest.starts_with(['\'', '"']) {
            return self.string().map(Literal::Text);
        }
        if self.accept('(') {
            return self.tuple(deeper);
        }
        if self.accept('[') {
            while !self.accept(']') {
                self.value(deeper)?;
                if !self.accept(',') {
                    self.expect(']')?;
                    break;
                }
            }
            return Ok(Literal::Other);
        }
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        let literal = match word {
            "True" => Literal::Boolean(true),
            "False" => Literal::Boolean(false),
            "None" => Literal::Other,
            _ if natural(word).is_some() => Literal::Other,
            _ => return Err(self.unexpected("a string, True, False, a number or a tuple")),
        };
        self.rest = rest;
        Ok(literal)
    }

    /// What follows `(`: a tuple of one has a comma, which is what makes it one.
    fn tuple(&mut self, depth: u32) -> Result<Literal<'a>, String> {
        let (mut numbers, mut is_other, mut commas, mut count) = (Vec::new(), false, 0, 0);
        while !self.accept(')') {
            let value = self.value(depth)?;
            count += 1;
            match natural(value.text) {
                Some(number) => numbers.push(number),
                None => is_other = true,
            }
            if !self.accept(',') {
                self.expect(')')?;
                break;
            }
            commas += 1;
        }
        let is_tuple = count != 1 || commas == 1;
        Ok(if is_other || !is_tuple { Literal::Other } else { Literal::Numbers(numbers) })
    }
}

/// A natural number as Python writes it: digits alone, and no zero before others.
fn natural(text: &str) -> Option<usize> {
    let is_plain = text.bytes().all(|c| c.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> Result<Vec<usize>, String> {
        let [descr, order, shape] = fields(header, ["descr", "fortran_order", "shape"])?;
        let Literal::Text("<f4") = descr.literal else { return Err(format!("descr {descr}")) };
        let Literal::Boolean(_) = order.literal else { return Err(format!("order {order}")) };
        let Literal::Numbers(extents) = shape.literal else { return Err(format!("shape {shape}")) };
        Ok(extents)
    }

    #[test]
    fn a_dictionary_is_read_as_python_reads_it() {
        let header = |shape: &str| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}   \n");
        for (shape, extents) in [("()", &[][..]), ("(3,)", &[3]), ("(3, 4)", &[3, 4]), ("( 10 ,0,)", &[10, 0])] {
            assert_eq!(read(&header(shape)).unwrap(), extents);
        }
        assert_eq!(read("{\"shape\":(2,),\"descr\":\"<f4\",\"fortran_order\":True}").unwrap(), [2]);
        for shape in ["3", "(3)", "(3, 'a')", "((3,),)", "[3]", "None"] {
            assert_eq!(read(&header(shape)).unwrap_err(), format!("shape {shape}"));
        }
        let strange =
            ["(+3,)", "(-3,)", "(3", "(3.0,)", "(3_0,)", "(03,)", "(3 4)", "(,)", "(3,,)", "three", "", "(3L,)"];
        for shape in strange.into_iter().chain(["(99999999999999999999,)"]) {
            assert!(read(&header(shape)).unwrap_err().contains("expected"), "{shape}");
        }
    }

    #[test]
    fn each_field_is_there_once() {
        let twice = "{'descr': '<f4', 'shape': (1,), 'fortran_order': False, 'shape': (2,), }";
        assert_eq!(read(twice).unwrap_err(), "its header has the field `shape` twice");
        let more = "{'descr': '<f4', 'shape': (1,), 'fortran_order': False, '\u{1b}]': (2,), }";
        assert_eq!(read(more).unwrap_err(), "its header has the field `\\u{1b}]`, which no array has");
        let fewer = "{'descr': '<f4', 'shape': (1,)}";
        assert_eq!(read(fewer).unwrap_err(), "its header has no field `fortran_order`");
        for broken in
            ["", "{", "{'descr", "{'descr'", "{'descr':", "{'descr': '<f4'", "{'descr': '<f\\x34'}", "{}{}", "x"]
        {
            assert!(read(broken).unwrap_err().starts_with("its header"), "{broken}");
        }
        let after = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), } x";
        assert_eq!(read(after).unwrap_err(), "its header has `x`, expected nothing after the dictionary");
        let deep = format!("{{'descr': {}", "[".repeat(1 << 20));
        assert!(read(&deep).unwrap_err().contains("expected fewer parentheses"));
    }
}

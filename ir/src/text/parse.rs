//! Reading graphs. The reader builds through [`Graph::push`], so what it gives is a graph like any other.

use super::lexer::{Lexer, Token};
use crate::{
    Args, Binary, Compare, DType, Environment, Error, Graph, Noise, NoiseDistribution, Op, Origin, Type, Unary, Value,
    Window,
};
use std::{collections::HashMap, str::FromStr};

impl FromStr for Graph {
    type Err = Error;

    /// Reads the text form.
    ///
    /// # Errors
    /// [`Error::Parse`] names the line, what was expected and what came. An operation that the graph refuses gives
    /// the graph's error in the scope `line 3`.
    fn from_str(text: &str) -> Result<Graph, Error> {
        let _environment = Environment::enter();
        let mut parser = Parser::new(text)?;
        parser.graph()?;
        Ok(parser.graph)
    }
}

/// A reader that looks one token ahead.
struct Parser<'a> {
    lexer: Lexer<'a>,
    next: Token<'a>,
    graph: Graph,
    /// The values defined so far, by their numbers in the text.
    values: HashMap<u32, Value>,
}

/// What stands between an operation's name and its operands.
#[derive(Default, PartialEq)]
struct Attributes<'a> {
    /// A word of its own: a number or a distribution.
    word: Option<&'a str>,
    name: Option<String>,
    axis: Option<usize>,
    stream: Option<u64>,
    sample_axis: Option<u8>,
    example_axis: Option<u8>,
    permutation: Option<Vec<u8>>,
    start: Option<usize>,
    size: Option<usize>,
    dilation: Option<i64>,
    count: Option<usize>,
    step: Option<i64>,
    rows: Option<usize>,
}

impl Attributes<'_> {
    /// Whether there are none, or none that were not taken.
    fn is_empty(&self) -> bool {
        *self == Attributes::default()
    }
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, Error> {
        let mut lexer = Lexer::new(text);
        let next = lexer.token()?;
        Ok(Parser { lexer, next, graph: Graph::new(), values: HashMap::new() })
    }

    fn graph(&mut self) -> Result<(), Error> {
        self.keyword("graph")?;
        self.symbol('{')?;
        loop {
            match &self.next {
                Token::Symbol('}') => break,
                Token::Value(_) => self.definition()?,
                Token::Word("output") => self.output()?,
                _ => return Err(self.expected("a value, `output` or `}`")),
            }
        }
        self.advance()?;
        if self.next == Token::End { Ok(()) } else { Err(self.expected("the end of the text")) }
    }

    /// `%3 = sum axis=1 %2 : f32[5]`.
    fn definition(&mut self) -> Result<(), Error> {
        let line = self.lexer.line;
        let number = self.value_number()?;
        if self.values.contains_key(&number) {
            return Err(self.lexer.error(format!("expected a value not defined above, found %{number}")));
        }
        self.symbol('=')?;
        let Token::Word(name) = self.next else { return Err(self.expected("an operation")) };
        self.advance()?;
        let mut attributes = self.attributes()?;
        let mut args = Args::new();
        while let Token::Value(_) = self.next {
            args.push(self.value()?);
        }
        self.symbol(':')?;
        let ty = self.ty()?;
        let origin = self.origin()?;
        self.graph.set_origin(origin);

        let at_line = |error: Error| error.within(&format!("line {line}"));
        let value = if name == "input" {
            let input = attributes.name.take().filter(|_| args.is_empty() && attributes.is_empty());
            let expected = || Error::Parse { line, message: "expected one name after `input`".into() };
            self.graph.input(&input.ok_or_else(expected)?, ty.clone()).map_err(at_line)?
        } else {
            let op = operation(name, attributes, &ty).map_err(|message| Error::Parse { line, message })?;
            self.graph.push(op, &args).map_err(at_line)?
        };
        let inferred = self.graph.ty(value);
        if *inferred != ty {
            let message = format!("expected {inferred}, the type of `{name}` of these operands, found {ty}");
            return Err(Error::Parse { line, message });
        }
        self.values.insert(number, value);
        Ok(())
    }

    /// `output "y" = %3`, or `output "w" = %4 updates %0`.
    fn output(&mut self) -> Result<(), Error> {
        let line = self.lexer.line;
        self.advance()?;
        let Token::Name(name) = self.next.clone() else { return Err(self.expected("the output's name in quotes")) };
        self.advance()?;
        self.symbol('=')?;
        let value = self.value()?;
        let added = if self.next == Token::Word("updates") {
            self.advance()?;
            let input = self.value()?;
            self.graph.output_updating(&name, value, input)
        } else {
            self.graph.output(&name, value)
        };
        added.map_err(|error| error.within(&format!("line {line}")))
    }

    fn attributes(&mut self) -> Result<Attributes<'a>, Error> {
        let mut attributes = Attributes::default();
        loop {
            let token = self.next.clone();
            match token {
                Token::Name(name) if attributes.name.is_none() => {
                    self.advance()?;
                    attributes.name = Some(name);
                }
                Token::Word(word) => {
                    self.advance()?;
                    match word {
                        "axis" => set(self, &mut attributes.axis, Self::number)?,
                        "stream" => set(self, &mut attributes.stream, Self::hexadecimal)?,
                        "sample_axis" => set(self, &mut attributes.sample_axis, Self::number)?,
                        "example_axis" => set(self, &mut attributes.example_axis, Self::number)?,
                        "permutation" => set(self, &mut attributes.permutation, Self::list)?,
                        "start" => set(self, &mut attributes.start, Self::number)?,
                        "size" => set(self, &mut attributes.size, Self::number)?,
                        "dilation" => set(self, &mut attributes.dilation, Self::signed)?,
                        "count" => set(self, &mut attributes.count, Self::number)?,
                        "step" => set(self, &mut attributes.step, Self::signed)?,
                        "rows" => set(self, &mut attributes.rows, Self::number)?,
                        _ if attributes.word.is_none() => attributes.word = Some(word),
                        _ => return Err(self.lexer.error(format!("expected an operand, found {token}"))),
                    }
                }
                _ => return Ok(attributes),
            }
        }
    }

    /// `from "affine"`, `from gradient "affine"`, or nothing.
    fn origin(&mut self) -> Result<Origin, Error> {
        if self.next != Token::Word("from") {
            return Ok(Origin::default());
        }
        self.advance()?;
        let is_gradient = self.next == Token::Word("gradient");
        if is_gradient {
            self.advance()?;
        }
        let Token::Name(scope) = self.next.clone() else { return Err(self.expected("a scope in quotes")) };
        self.advance()?;
        Ok(Origin { scope: scope.into(), is_gradient })
    }

    /// `f32[32,64]`.
    fn ty(&mut self) -> Result<Type, Error> {
        let dtype = DType::ALL.into_iter().find(|ty| self.next == Token::Word(ty.name()));
        let Some(dtype) = dtype else { return Err(self.expected("an element type: `f32`, `f64`, `u32` or `mask`")) };
        self.advance()?;
        let extents: Vec<usize> = self.list()?;
        Ok(Type::new(dtype, extents.as_slice()))
    }

    /// `[1,0]`.
    fn list<T: FromStr>(&mut self) -> Result<Vec<T>, Error> {
        self.symbol('[')?;
        let mut items = Vec::new();
        while self.next != Token::Symbol(']') {
            if !items.is_empty() {
                self.symbol(',')?;
            }
            items.push(self.number()?);
        }
        self.advance()?;
        Ok(items)
    }

    fn number<T: FromStr>(&mut self) -> Result<T, Error> {
        let number = match self.next {
            Token::Word(word) if is_digits(word) => word.parse().ok(),
            _ => None,
        };
        let Some(number) = number else { return Err(self.expected("a whole number within its range")) };
        self.advance()?;
        Ok(number)
    }

    fn signed(&mut self) -> Result<i64, Error> {
        let number = match self.next {
            Token::Word(word) if is_digits(word.strip_prefix('-').unwrap_or(word)) => word.parse().ok(),
            _ => None,
        };
        let Some(number) = number else { return Err(self.expected("a whole number within its range")) };
        self.advance()?;
        Ok(number)
    }

    fn hexadecimal(&mut self) -> Result<u64, Error> {
        let number = match self.next {
            Token::Word(word) => word.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok()),
            _ => None,
        };
        let Some(number) = number else { return Err(self.expected("a hexadecimal number such as 0x1f")) };
        self.advance()?;
        Ok(number)
    }

    fn value_number(&mut self) -> Result<u32, Error> {
        let number = match self.next {
            Token::Value(digits) if is_digits(digits) => digits.parse().ok(),
            _ => None,
        };
        let Some(number) = number else { return Err(self.expected("a value such as %3")) };
        self.advance()?;
        Ok(number)
    }

    /// A value that was defined above.
    fn value(&mut self) -> Result<Value, Error> {
        let line = self.lexer.line;
        let number = self.value_number()?;
        let value = self.values.get(&number).copied();
        value.ok_or_else(|| Error::Parse { line, message: format!("expected a value defined above, found %{number}") })
    }

    fn keyword(&mut self, word: &'static str) -> Result<(), Error> {
        if self.next == Token::Word(word) { self.advance() } else { Err(self.expected(&format!("`{word}`"))) }
    }

    fn symbol(&mut self, symbol: char) -> Result<(), Error> {
        if self.next == Token::Symbol(symbol) { self.advance() } else { Err(self.expected(&format!("`{symbol}`"))) }
    }

    fn advance(&mut self) -> Result<(), Error> {
        self.next = self.lexer.token()?;
        Ok(())
    }

    fn expected(&self, what: &str) -> Error {
        self.lexer.error(format!("expected {what}, found {}", self.next))
    }
}

/// Reads `=` and an attribute that was not given before.
fn set<'a, T>(
    parser: &mut Parser<'a>,
    attribute: &mut Option<T>,
    read: impl FnOnce(&mut Parser<'a>) -> Result<T, Error>,
) -> Result<(), Error> {
    parser.symbol('=')?;
    match attribute.replace(read(parser)?) {
        None => Ok(()),
        Some(_) => Err(parser.lexer.error("expected each attribute once".into())),
    }
}

/// The operation of this name. Attributes that it does not have are refused.
fn operation(name: &str, mut attributes: Attributes<'_>, ty: &Type) -> Result<Op, String> {
    let missing = |what: &str| format!("expected {what} after `{name}`");
    let shape = || ty.shape.clone();
    let op = match name {
        "constant" => {
            let word = attributes.word.take().ok_or_else(|| missing("a number"))?;
            constant(word, ty.dtype)
                .ok_or_else(|| format!("expected a constant of type {ty}, found {}", Token::Word(word)))?
        }
        "iota" => Op::Iota(ty.shape.last_extent()),
        "noise" => {
            let word = attributes.word.take().ok_or_else(|| missing("a distribution"))?;
            let distribution = NoiseDistribution::ALL.iter().find(|d| d.name() == word);
            Op::Noise(Noise {
                distribution: *distribution
                    .ok_or_else(|| format!("expected a distribution, found {}", Token::Word(word)))?,
                dtype: ty.dtype,
                stream: attributes.stream.take().ok_or_else(|| missing("`stream=`"))?,
                sample_axis: attributes.sample_axis.take(),
                example_axis: attributes.example_axis.take(),
                shape: shape(),
            })
        }
        "select" => Op::Select,
        "convert" => Op::Convert(ty.dtype),
        "stop_gradient" => Op::StopGradient,
        "dot" => Op::Dot,
        "sum" => Op::Sum(attributes.axis.take().ok_or_else(|| missing("`axis=`"))?),
        "reduce_max" => Op::Max(attributes.axis.take().ok_or_else(|| missing("`axis=`"))?),
        "broadcast" => Op::Broadcast(shape()),
        "reshape" => Op::Reshape(shape()),
        "transpose" => {
            let permutation = attributes.permutation.take().ok_or_else(|| missing("`permutation=`"))?;
            Op::Transpose(permutation.into_iter().collect())
        }
        "window" => Op::Window(window(&mut attributes).ok_or_else(|| missing(WINDOW))?),
        "fold" => {
            let window = window(&mut attributes).ok_or_else(|| missing(WINDOW))?;
            Op::Fold(window, ty.shape.get(window.axis).copied().unwrap_or(0))
        }
        "gather" => Op::Gather,
        "scatter_add" => Op::ScatterAdd(ty.shape.len().checked_sub(2).map_or(0, |axis| ty.shape[axis])),
        "scatter_rows" => Op::ScatterRows,
        "first_equal" => Op::FirstEqual(attributes.rows.take().ok_or_else(|| missing("`rows=`"))?),
        _ => elementwise(name).ok_or_else(|| format!("expected an operation, found {}", Token::Word(name)))?,
    };
    if attributes.is_empty() {
        return Ok(op);
    }
    Err(format!("expected operands of `{name}`, found an attribute it does not have"))
}

const WINDOW: &str = "`axis=`, `start=`, `size=`, `dilation=`, `count=` and `step=`";

fn window(attributes: &mut Attributes<'_>) -> Option<Window> {
    Some(Window {
        axis: attributes.axis.take()?,
        start: attributes.start.take()?,
        size: attributes.size.take()?,
        dilation: attributes.dilation.take()?,
        count: attributes.count.take()?,
        step: attributes.step.take()?,
    })
}

fn elementwise(name: &str) -> Option<Op> {
    let unary = Unary::ALL.iter().find(|op| op.name() == name).map(|op| Op::Unary(*op));
    let binary = || Binary::ALL.iter().find(|op| op.name() == name).map(|op| Op::Binary(*op));
    let compare = || Compare::ALL.iter().find(|op| op.name() == name).map(|op| Op::Compare(*op));
    unary.or_else(binary).or_else(compare)
}

/// Decimals that overflow are refused: infinity is written `inf`.
fn constant(word: &str, dtype: DType) -> Option<Op> {
    let float = |x: f32| Some(Op::Constant(x.to_bits()));
    let double = |x: f64| Some(Op::ConstantF64(x.to_bits()));
    match (dtype, word) {
        (DType::F32, "nan") => float(f32::NAN),
        (DType::F32, "inf") => float(f32::INFINITY),
        (DType::F32, "-inf") => float(f32::NEG_INFINITY),
        (DType::F32, _) => word.parse().ok().filter(|x: &f32| x.is_finite()).and_then(float),
        (DType::F64, "nan") => double(f64::NAN),
        (DType::F64, "inf") => double(f64::INFINITY),
        (DType::F64, "-inf") => double(f64::NEG_INFINITY),
        (DType::F64, _) => word.parse().ok().filter(|x: &f64| x.is_finite()).and_then(double),
        (DType::U32, _) if is_digits(word) => word.parse().ok().map(Op::ConstantU32),
        (DType::U32 | DType::Mask, _) => None,
    }
}

fn is_digits(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

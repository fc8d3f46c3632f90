//! Reading tile code. What the reader gives is well-formed: the verifier has seen it.

use super::lexer::{Line, Token, lines};
use crate::tile::{
    ActiveLanes, Address, Base, Carried, Class, Error, FloatBinary, FloatCompare, FloatUnary, Inst, IntBinary,
    MAX_DEPTH, Reg, RegType, Shift, Stmt, TileKernel, verify,
};
use std::{collections::HashMap, iter::Peekable, str::FromStr};

impl FromStr for TileKernel {
    type Err = Error;

    /// Reads the text form.
    ///
    /// # Errors
    /// [`Error::Parse`] names the line, what was expected and what came; [`Error::Malformed`] the line of a statement
    /// that is not well-formed.
    fn from_str(text: &str) -> Result<TileKernel, Error> {
        let mut lines = lines(text).peekable();
        let first = lines.next().ok_or_else(|| Error::Parse { line: 1, message: "expected `tiles`".into() })?;
        let mut parser =
            Parser { line: first, next: Token::End, regs: Vec::new(), names: HashMap::new(), lines: vec![] };
        let (begin, end, arguments, scratch_bytes) = parser.header(first)?;
        let body = parser.block(&mut lines, 1)?;
        if let Some(line) = lines.next() {
            return Err(line.error(format!("{} spaces before a statement, expected 2", line.spaces)));
        }
        let kernel = TileKernel { regs: parser.regs, begin, end, body, arguments, scratch_bytes };
        verify(&kernel).map(|()| kernel).map_err(|error| match error {
            // the line of what was read, not of what would be printed
            Error::Malformed { line, statement, message } => {
                Error::Malformed { line: parser.lines[line - 1], statement, message }
            }
            error => error,
        })
    }
}

/// A reader of lines that looks one token ahead.
struct Parser<'a> {
    line: Line<'a>,
    next: Token<'a>,
    regs: Vec<RegType>,
    /// The registers defined so far, by their numbers in the text.
    names: HashMap<u32, Reg>,
    /// The lines of the header and of the statements.
    lines: Vec<usize>,
}

type Parsed<T> = Result<T, Error>;

impl<'a> Parser<'a> {
    fn begin(&mut self, line: Line<'a>) -> Parsed<()> {
        self.line = line;
        self.lines.push(line.number);
        self.advance()
    }

    /// `tiles r0..r1, 2 arguments, 64 scratch bytes`.
    fn header(&mut self, line: Line<'a>) -> Parsed<(Reg, Reg, usize, usize)> {
        self.begin(line)?;
        if line.spaces > 0 {
            return Err(self.line.error("expected `tiles` without spaces before it".into()));
        }
        self.keyword("tiles")?;
        let index = RegType { class: Class::Index, vector: false };
        let begin = self.definition(index)?;
        self.token(Token::Range)?;
        let end = self.definition(index)?;
        self.token(Token::Symbol(','))?;
        let arguments = self.number()?;
        self.keyword("arguments")?;
        self.token(Token::Symbol(','))?;
        let scratch_bytes = self.number()?;
        self.keyword("scratch")?;
        self.keyword("bytes")?;
        self.token(Token::End)?;
        Ok((begin, end, arguments, scratch_bytes))
    }

    /// The statements of a loop, or those that are in none.
    fn block(&mut self, lines: &mut Peekable<impl Iterator<Item = Line<'a>>>, depth: usize) -> Parsed<Vec<Stmt>> {
        let mut stmts = Vec::new();
        while let Some(&line) = lines.peek() {
            match line.spaces {
                spaces if spaces == 2 * depth => {}
                spaces if spaces > 2 * depth => {
                    let most = 2 * depth;
                    return Err(line.error(format!("{spaces} spaces before a statement, expected {most} at most")));
                }
                _ => break,
            }
            lines.next();
            self.begin(line)?;
            if self.next == Token::Word("for") {
                stmts.push(self.repeat(lines, depth)?);
            } else {
                stmts.push(self.statement()?);
                self.token(Token::End)?;
            }
        }
        Ok(stmts)
    }

    /// `for r4 in r0..r3 step 1, r15 = r13 then r20`, and its body.
    fn repeat(&mut self, lines: &mut Peekable<impl Iterator<Item = Line<'a>>>, depth: usize) -> Parsed<Stmt> {
        self.advance()?;
        let line = self.line;
        if depth > MAX_DEPTH {
            return Err(line.error(format!("more than {MAX_DEPTH} loops, each in the other")));
        }
        let counter = self.definition(RegType { class: Class::Index, vector: false })?;
        self.keyword("in")?;
        let start = self.register()?;
        self.token(Token::Range)?;
        let end = self.register()?;
        self.keyword("step")?;
        let step = self.number()?;
        let mut carried = Vec::new();
        let mut next = Vec::new();
        while self.next == Token::Symbol(',') {
            self.advance()?;
            let number = self.register_number()?;
            self.token(Token::Symbol('='))?;
            let initial = self.register()?;
            self.keyword("then")?;
            next.push(self.register_number()?);
            let reg = self.define(number, self.regs[initial.0 as usize])?;
            carried.push(Carried { reg, initial, next: reg });
        }
        self.token(Token::End)?;
        let body = self.block(lines, depth + 1)?;
        for (carry, number) in carried.iter_mut().zip(next) {
            let expected = || line.error(format!("expected a register defined above or in the loop, found r{number}"));
            carry.next = self.names.get(&number).copied().ok_or_else(expected)?;
        }
        Ok(Stmt::Loop { counter, start, end, step, carried, body })
    }

    fn statement(&mut self) -> Parsed<Stmt> {
        match self.next {
            Token::Word("prefetch") => {
                self.advance()?;
                Ok(Stmt::Prefetch(self.address()?))
            }
            Token::Word(word) if register_number(word).is_none() => {
                let address = self.address()?;
                let active = self.active_lanes()?;
                self.token(Token::Symbol('='))?;
                Ok(Stmt::Store(address, self.register()?, active))
            }
            _ => self.defining(),
        }
    }

    /// `r3* = add r1 r2`, or `r1*, r2*, r3*, r4* = load transposed float argument0[r0] stride 4`.
    fn defining(&mut self) -> Parsed<Stmt> {
        let first = self.marked()?;
        if self.next == Token::Symbol(',') {
            let mut into = [first; 4];
            for reg in &mut into[1..] {
                self.token(Token::Symbol(','))?;
                *reg = self.marked()?;
            }
            self.token(Token::Symbol('='))?;
            self.keyword("load")?;
            self.keyword("transposed")?;
            let (class, address) = (self.class()?, self.address()?);
            self.keyword("stride")?;
            let (stride, active) = (self.number()?, self.active_lanes()?);
            let mut regs = [Reg(0); 4];
            for (reg, (number, vector)) in regs.iter_mut().zip(into) {
                *reg = self.define(number, RegType { class, vector })?;
            }
            return Ok(Stmt::LoadTransposed { into: regs, class, address, stride, active });
        }
        self.token(Token::Symbol('='))?;
        let inst = self.inst()?;
        let mut types = Vec::with_capacity(3);
        inst.operands(|operand| types.push(self.regs[operand.0 as usize]));
        let (number, vector) = first;
        let reg = self.define(number, RegType { class: inst.classes(&types).1, vector })?;
        Ok(Stmt::Let(reg, inst))
    }

    fn inst(&mut self) -> Parsed<Inst> {
        let Token::Word(word) = self.next else { return Err(self.expected("an operation or a number")) };
        if let Some(constant) = constant(word) {
            self.advance()?;
            return Ok(constant);
        }
        let unknown = self.expected("an operation or a number");
        self.advance()?;
        Ok(match word {
            "float" => Inst::Float(self.not_a_number()?),
            "double" => Inst::Double(self.double()?),
            "fma" => Inst::Fma(self.register()?, self.register()?, self.register()?),
            "select" => Inst::Select(self.register()?, self.register()?, self.register()?),
            "bits" => Inst::Bits(self.register()?),
            "float_of_bits" => Inst::FromBits(self.register()?),
            "to_float" => Inst::ToFloat(self.register()?),
            "widen" => Inst::Widen(self.register()?),
            "narrow" => Inst::Narrow(self.register()?),
            "to_double" => Inst::ToDouble(self.register()?),
            "high_word" => Inst::HighWord(self.register()?),
            "low_word" => Inst::LowWord(self.register()?),
            "double_of_words" => Inst::FromWords(self.register()?, self.register()?),
            "int_equal" => Inst::IntEqual(self.register()?, self.register()?),
            "int_less" => Inst::IntLess(self.register()?, self.register()?),
            "splat" => Inst::Splat(self.register()?),
            "lane_numbers" => Inst::LaneNumbers,
            "lower_halves" => Inst::Halves(self.register()?, self.register()?, false),
            "upper_halves" => Inst::Halves(self.register()?, self.register()?, true),
            "load" => {
                let (class, address) = (self.class()?, self.address()?);
                if self.next == Token::Word("stride") {
                    self.advance()?;
                    Inst::LoadStrided(class, address, self.number()?, self.active_lanes()?)
                } else {
                    Inst::Load(class, address, self.active_lanes()?)
                }
            }
            "low" => Inst::IndexLow(self.register()?),
            "high" => Inst::IndexHigh(self.register()?),
            "index" => Inst::IndexFrom(self.register()?, self.register()?),
            "index_add" => Inst::IndexAdd(self.register()?, self.register()?),
            "index_scale" => Inst::IndexScale(self.register()?, self.by()?),
            "index_div" => Inst::IndexDiv(self.register()?, self.by()?),
            "index_rem" => Inst::IndexRem(self.register()?, self.by()?),
            "index_min" => Inst::IndexMin(self.register()?, self.register()?),
            _ => return self.lanewise(word)?.ok_or(unknown),
        })
    }

    /// The operations that have a name each.
    fn lanewise(&mut self, word: &str) -> Parsed<Option<Inst>> {
        Ok(if let Some(&op) = FloatUnary::ALL.iter().find(|op| op.name() == word) {
            Some(Inst::Unary(op, self.register()?))
        } else if let Some(&op) = FloatBinary::ALL.iter().find(|op| op.name() == word) {
            Some(Inst::Binary(op, self.register()?, self.register()?))
        } else if let Some(&op) = FloatCompare::ALL.iter().find(|op| op.name() == word) {
            Some(Inst::Compare(op, self.register()?, self.register()?))
        } else if let Some(&op) = IntBinary::ALL.iter().find(|op| op.name() == word) {
            Some(Inst::IntBinary(op, self.register()?, self.register()?))
        } else if let Some(&op) = Shift::ALL.iter().find(|op| op.name() == word) {
            Some(Inst::Shift(op, self.register()?, self.by()?))
        } else {
            None
        })
    }

    /// `argument0[r3 + 16]`.
    fn address(&mut self) -> Parsed<Address> {
        let base = match self.next {
            Token::Word("scratch") => Some(Base::Scratch),
            Token::Word(word) => word.strip_prefix("argument").and_then(digits).map(Base::Argument),
            _ => None,
        };
        let base = base.ok_or_else(|| self.expected("`scratch` or an argument such as `argument0`"))?;
        self.advance()?;
        self.token(Token::Symbol('['))?;
        let index = self.register()?;
        let mut offset = 0;
        if self.next == Token::Word("+") {
            self.advance()?;
            offset = self.number()?;
        }
        self.token(Token::Symbol(']'))?;
        Ok(Address { base, index, offset })
    }

    /// `first 3`, or nothing.
    fn active_lanes(&mut self) -> Parsed<ActiveLanes> {
        if self.next != Token::Word("first") {
            return Ok(None);
        }
        self.advance()?;
        self.number().map(Some)
    }

    fn class(&mut self) -> Parsed<Class> {
        let class = Class::ALL.iter().find(|class| self.next == Token::Word(class.name()));
        let class = *class.ok_or_else(|| self.expected("`float`, `double` or `int`"))?;
        self.advance()?;
        Ok(class)
    }

    /// `by 3`.
    fn by<T: FromStr>(&mut self) -> Parsed<T> {
        self.keyword("by")?;
        self.number()
    }

    fn number<T: FromStr>(&mut self) -> Parsed<T> {
        let number = match self.next {
            Token::Word(word) if is_digits(word.strip_prefix('-').unwrap_or(word)) => word.parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| self.expected("a whole number within its range"))?;
        self.advance()?;
        Ok(number)
    }

    /// The bits of what is no number, and not the one that `nan` is.
    fn not_a_number(&mut self) -> Parsed<u32> {
        let bits = match self.next {
            Token::Word(word) => hexadecimal(word).filter(|&bits: &u32| f32::from_bits(bits).is_nan()),
            _ => None,
        };
        let bits = bits.ok_or_else(|| self.expected("the bits of what is no number"))?;
        self.advance()?;
        Ok(bits)
    }

    /// The bits of a double: a number, or the bits of what is none.
    fn double(&mut self) -> Parsed<u64> {
        let number = |word: &str| match word {
            "inf" => Some(f64::INFINITY),
            "-inf" => Some(f64::NEG_INFINITY),
            _ if word.starts_with("0x") => hexadecimal(word).map(f64::from_bits).filter(|x| x.is_nan()),
            _ if word.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
                word.parse().ok().filter(|x: &f64| x.is_finite())
            }
            _ => None,
        };
        let found = if let Token::Word(word) = self.next { number(word) } else { None };
        let found = found.ok_or_else(|| self.expected("a number, or the bits of what is no number"))?;
        self.advance()?;
        Ok(found.to_bits())
    }

    /// A register that is defined here, of this type.
    fn definition(&mut self, ty: RegType) -> Parsed<Reg> {
        let number = self.register_number()?;
        self.define(number, ty)
    }

    fn define(&mut self, number: u32, ty: RegType) -> Parsed<Reg> {
        let reg = Reg(self.regs.len() as u32);
        if self.names.insert(number, reg).is_some() {
            return Err(self.line.error(format!("expected a register not defined above, found r{number}")));
        }
        self.regs.push(ty);
        Ok(reg)
    }

    /// The number of a register that is defined here, and whether `*` marks it.
    fn marked(&mut self) -> Parsed<(u32, bool)> {
        let number = self.register_number()?;
        let vector = self.next == Token::Symbol('*');
        if vector {
            self.advance()?;
        }
        Ok((number, vector))
    }

    /// A register that was defined above.
    fn register(&mut self) -> Parsed<Reg> {
        let number = self.register_number()?;
        let reg = self.names.get(&number).copied();
        reg.ok_or_else(|| self.line.error(format!("expected a register defined above, found r{number}")))
    }

    fn register_number(&mut self) -> Parsed<u32> {
        let number = match self.next {
            Token::Word(word) => register_number(word),
            _ => None,
        };
        let number = number.ok_or_else(|| self.expected("a register such as r3"))?;
        self.advance()?;
        Ok(number)
    }

    fn keyword(&mut self, word: &'static str) -> Parsed<()> {
        self.token(Token::Word(word))
    }

    fn token(&mut self, token: Token<'static>) -> Parsed<()> {
        match self.next == token {
            true if token == Token::End => Ok(()),
            true => self.advance(),
            false => Err(self.expected(&token.to_string())),
        }
    }

    fn advance(&mut self) -> Parsed<()> {
        self.next = self.line.token()?;
        Ok(())
    }

    fn expected(&self, what: &str) -> Error {
        self.line.error(format!("expected {what}, found {}", self.next))
    }
}

fn register_number(word: &str) -> Option<u32> {
    word.strip_prefix('r').and_then(digits)
}

fn digits<T: FromStr>(word: &str) -> Option<T> {
    is_digits(word).then(|| word.parse().ok()).flatten()
}

fn is_digits(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

fn hexadecimal<T: TryFrom<u64>>(word: &str) -> Option<T> {
    let digits = word.strip_prefix("0x").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u64::from_str_radix(digits, 16).ok()?.try_into().ok()
}

/// A number alone. Decimals that overflow are refused: infinity is written `inf`.
fn constant(word: &str) -> Option<Inst> {
    let float = |x: f32| Some(Inst::Float(x.to_bits()));
    match word {
        "nan" => float(f32::NAN),
        "inf" => float(f32::INFINITY),
        "-inf" => float(f32::NEG_INFINITY),
        _ if word.starts_with("0x") => hexadecimal(word).map(Inst::Int),
        _ if is_digits(word.strip_prefix('-').unwrap_or(word)) => word.parse().ok().map(Inst::Index),
        _ if !word.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => None,
        _ => word.parse().ok().filter(|x: &f32| x.is_finite()).and_then(float),
    }
}

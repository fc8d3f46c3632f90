//! What is done around kernels where there is no runtime: the checks, loops and calls of a program, as a language of a
//! few words.
//!
//! A [`Routine`] is a function of 64-bit numbers, addresses among them. It reads and writes memory, launches kernels
//! and calls routines that were made before it, so nothing recurs. A linker makes machine code of it, or another
//! language's text.

mod builder;
mod launch;

pub use builder::RoutineBuilder;
pub use launch::{Data, Memory, launches};

use std::ops;

/// A number that a routine may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variable(pub u32);

/// How much of memory is read or written. What is read is extended by zeros; of what is written the upper bits are left
/// out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// One byte.
    Byte,
    /// Four bytes.
    Word,
    /// Eight bytes; of a parameter or a result, an address too.
    Long,
}

/// Functions of two numbers, modulo 2^64. Comparisons are of numbers without sign, and give 1 or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    /// `a + b`
    Add,
    /// `a - b`
    Subtract,
    /// `a * b`
    Multiply,
    /// The bits that both have.
    And,
    /// The bits that one of them has.
    Or,
    /// `a >> b`, of `b` below 64.
    ShiftRight,
    /// `a < b`
    Less,
    /// `a == b`
    Equal,
    /// The smaller one.
    Minimum,
    /// The larger one.
    Maximum,
}

/// A number that a routine computes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expr {
    /// A constant.
    Number(i64),
    /// A variable's value.
    Variable(Variable),
    /// The address of this byte of the program's data.
    Data(u64),
    /// What memory holds this number of bytes behind an address.
    Load(Width, Box<Expr>, i64),
    /// The address of this number in a list of addresses, such as a struct of pointers, which begins at an address.
    Address(Box<Expr>, usize),
    /// How many things of this number of numbers each memory may hold: more would overflow what counts their bytes.
    Most(u64),
    /// A function of two numbers.
    Binary(Binary, Box<Expr>, Box<Expr>),
}

/// What a routine calls besides kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Callee {
    /// The routine of this number, which comes before the one that calls it.
    Routine(usize),
    /// Gives the floating-point environment.
    ReadEnvironment,
    /// Sets the floating-point environment to its argument.
    WriteEnvironment,
    /// Gives the level of the x86-64 instruction sets that the processor and its system have, 1 to 4.
    Level,
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Statement {
    /// Gives a variable a value.
    Set(Variable, Expr),
    /// Writes a number, the last, this number of bytes behind an address.
    Store(Width, Expr, i64, Expr),
    /// Writes an address, as that of this number in the list of addresses that begins at an address.
    Point(Expr, usize, Expr),
    /// The first statements where the number is not 0, else the second ones.
    If(Expr, Vec<Statement>, Vec<Statement>),
    /// As long as the number is not 0.
    While(Expr, Vec<Statement>),
    /// A call, and where its result goes.
    Call(Callee, Vec<Expr>, Option<Variable>),
    /// Runs all tiles of a kernel.
    Launch {
        /// The kernel's number.
        kernel: usize,
        /// The addresses that it is called with.
        arguments: Vec<Expr>,
        /// The address of scratch memory.
        scratch: Expr,
        /// How many tiles there are.
        tiles: usize,
    },
    /// Ends the routine with this result.
    Return(Expr),
}

/// A function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Routine {
    /// The name by which others call it; `None` if only routines of this program do.
    pub name: Option<String>,
    /// What it does, for people.
    pub about: String,
    /// How wide its parameters are, which are the first variables.
    pub parameters: Vec<Width>,
    /// How wide its result is.
    pub result: Width,
    /// The number of its variables.
    pub variables: u32,
    /// What it does. It ends with a [`Statement::Return`] on every path.
    pub body: Vec<Statement>,
}

/// A whole program: nothing in it refers to anything else.
#[derive(Clone, Debug)]
pub struct Assembly<F> {
    /// The kernels.
    pub kernels: Vec<F>,
    /// The routines.
    pub routines: Vec<Routine>,
    /// What kernels and routines read, aligned to a cache line.
    pub data: Vec<u8>,
}

impl Expr {
    fn binary(self, function: Binary, other: impl Into<Expr>) -> Expr {
        let other = other.into();
        let constants = match (&self, &other) {
            (Expr::Number(a), Expr::Number(b)) => Some((*a, *b)),
            _ => None,
        };
        match (function, constants, &other) {
            (Binary::Add, Some((a, b)), _) => Expr::Number(a.wrapping_add(b)),
            (Binary::Multiply, Some((a, b)), _) => Expr::Number(a.wrapping_mul(b)),
            (Binary::Add | Binary::Subtract, None, Expr::Number(0)) => self,
            (Binary::Multiply, None, Expr::Number(1)) => self,
            _ => Expr::Binary(function, Box::new(self), Box::new(other)),
        }
    }

    /// `self < other`, without signs.
    pub fn less(self, other: impl Into<Expr>) -> Expr {
        self.binary(Binary::Less, other)
    }

    /// Whether two numbers are equal.
    pub fn equal(self, other: impl Into<Expr>) -> Expr {
        self.binary(Binary::Equal, other)
    }

    /// 1 of 0, 0 of any other.
    pub fn is_zero(self) -> Expr {
        self.equal(0)
    }

    /// The smaller of two numbers without signs.
    pub fn minimum(self, other: impl Into<Expr>) -> Expr {
        self.binary(Binary::Minimum, other)
    }

    /// The larger of two numbers without signs.
    pub fn maximum(self, other: impl Into<Expr>) -> Expr {
        self.binary(Binary::Maximum, other)
    }

    /// What memory holds `offset` bytes behind this address.
    pub fn load(self, width: Width, offset: i64) -> Expr {
        if let Expr::Binary(Binary::Add, address, more) = &self
            && let Expr::Number(more) = **more
        {
            return Expr::Load(width, address.clone(), offset.wrapping_add(more));
        }
        Expr::Load(width, Box::new(self), offset)
    }

    /// The address of this number in the list of addresses that begins here.
    pub fn address(self, number: usize) -> Expr {
        Expr::Address(Box::new(self), number)
    }
}

impl From<i64> for Expr {
    fn from(number: i64) -> Expr {
        Expr::Number(number)
    }
}

impl From<Variable> for Expr {
    fn from(variable: Variable) -> Expr {
        Expr::Variable(variable)
    }
}

macro_rules! operators {
    ($($name:ident $method:ident = $function:ident;)*) => {$(
        impl<T: Into<Expr>> ops::$name<T> for Expr {
            type Output = Expr;
            fn $method(self, other: T) -> Expr {
                self.binary(Binary::$function, other)
            }
        }
        impl<T: Into<Expr>> ops::$name<T> for Variable {
            type Output = Expr;
            fn $method(self, other: T) -> Expr {
                Expr::from(self).binary(Binary::$function, other)
            }
        }
    )*};
}

operators! {
    Add add = Add;
    Sub sub = Subtract;
    Mul mul = Multiply;
    BitAnd bitand = And;
    BitOr bitor = Or;
    Shr shr = ShiftRight;
}

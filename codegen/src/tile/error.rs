//! What is wrong with a tile kernel.

use super::{Base, Stmt, TileKernel, text};

/// What can be wrong with tile code, its text, or its execution.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text form does not parse.
    #[error("line {line}: {message}")]
    Parse {
        /// The line, counted from 1.
        line: usize,
        /// What was expected and what came.
        message: String,
    },
    /// The code is not well-formed.
    #[error("malformed tile code: line {line}, `{statement}`: {message}")]
    Malformed {
        /// The statement's line in the text form; of what was read, its line there.
        line: usize,
        /// The statement.
        statement: String,
        /// What is wrong with it.
        message: String,
    },
    /// The code does what it must not.
    #[error("line {line}, `{statement}`: {fault}")]
    Fault {
        /// The statement's line in the text form.
        line: usize,
        /// The statement.
        statement: String,
        /// What it does.
        fault: Fault,
    },
    /// Something that code is run with is not what it takes.
    #[error("{found} {what}, expected {expected}")]
    Call {
        /// What there is too much or too little of.
        what: &'static str,
        /// How much would do.
        expected: String,
        /// How much there is.
        found: usize,
    },
    /// The machine has no memory left.
    #[error(transparent)]
    Memory(#[from] bayeslift_ir::Error),
}

/// What tile code must not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// An access outside of memory.
    #[error("touches element {element} of {memory}, which has {elements}")]
    OutOfBounds {
        /// The memory.
        memory: Base,
        /// The element.
        element: i128,
        /// How many there are.
        elements: usize,
    },
    /// Division is defined for what is not negative.
    #[error("divides the negative index {index}")]
    NegativeDividend {
        /// The dividend.
        index: i64,
    },
    /// The value of a counter after the last does not exist.
    #[error("counts beyond the largest index")]
    CounterOverflow,
    /// The bound on executed statements was reached.
    #[error("more than {limit} statements were executed")]
    TooLong {
        /// The bound.
        limit: u64,
    },
}

/// A statement's line in the text form, and the statement; of none, the first line.
pub(super) fn locate(kernel: &TileKernel, stmt: Option<&Stmt>) -> (usize, String) {
    fn find(stmts: &[Stmt], wanted: &Stmt, line: &mut usize) -> bool {
        stmts.iter().any(|stmt| {
            *line += 1;
            let is_within = |line: &mut usize| matches!(stmt, Stmt::Loop { body, .. } if find(body, wanted, line));
            std::ptr::eq(stmt, wanted) || is_within(line)
        })
    }
    let Some(stmt) = stmt else { return (1, text::header(kernel)) };
    let mut line = 1;
    find(&kernel.body, stmt, &mut line);
    (line, text::statement(kernel, stmt))
}

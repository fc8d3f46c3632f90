//! The text form of tile code: [`Display`](std::fmt::Display) prints it, [`FromStr`](std::str::FromStr) reads it.
//!
//! ```text
//! tiles r0..r1, 2 arguments, 64 scratch bytes          ; a comment ends with the line
//!   r2 = 16                                            ; a constant index
//!   r3* = 0.0                                          ; a float, also inf, -inf, nan; `*`: in every lane of a vector
//!   r4 = 0xff                                          ; an integer
//!   r15 = double 0.1                                   ; a double; what is no number by its bits
//!   for r5 in r0..r1 step 1, r6 = r3 then r9           ; carries r6: r3 at first, r9 the next time
//!     r7 = index_scale r5 by 16
//!     r8* = load float argument0[r7 + 4] first 3       ; elements from r7 + 4 on; the other lanes are 0
//!     r9* = add r6 r8
//!     r10* = load int argument0[r7] stride 2           ; every second element
//!     r11*, r12*, r13*, r14* = load transposed float scratch[r7] stride 4
//!     prefetch argument0[r7 + 64]
//!   argument1[r2] first 3 = r6                         ; a store
//! ```
//!
//! A statement is a line; two spaces more than before its loop begin the statements of a loop. Classes of registers
//! follow from the operations, whose operands are above them. Registers may have any numbers; the reader numbers them
//! in the order in which they are defined. So reading what was printed gives equal code,
//! [`renumbered`](super::TileKernel::renumbered).

mod lexer;
mod parse;
mod print;

pub(super) use print::{header, statement};

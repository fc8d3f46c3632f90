//! Tile code of scalars to functions in C99.
//!
//! A register becomes a constant where it is defined, a loop a `for`. Memory is read through pointers to words and to
//! floats: one parameter for each that a function needs. What C leaves open - the rounding of a product and a sum in
//! one expression, square roots without a library, masks, numbers that overflow - is in the operations of `support.c`.

mod inst;
mod live;
mod range;
mod routine;
mod support;

pub use routine::Signature;
pub(crate) use routine::{Outside, routine};
pub(crate) use support::{beginning, end, operations};

use super::Refusal;
use crate::tile::{Address, Base, Carried, Class, Inst, Reg, Stmt, TileKernel, verify_for};
use live::Live;
use range::Ranges;
use std::collections::BTreeSet;
use std::fmt::Write;

/// A kernel that is to be a function in C.
#[derive(Clone, Debug)]
pub struct CKernel {
    /// The kernel, of scalars alone.
    pub kernel: TileKernel,
    /// What it does, for people.
    pub about: String,
}

/// A parameter of a function: memory as floats or as words, or the range of tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Parameter {
    /// Memory: of an argument, or scratch memory, which is the last. Whether it is of floats.
    Memory {
        argument: usize,
        is_float: bool,
    },
    Begin,
    End,
}

/// A function in C.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub text: String,
    /// What it is called with.
    pub parameters: Vec<Parameter>,
}

/// Prints a kernel as the function of this name, which is called for at most `tiles` tiles. Names that it uses begin
/// with `prefix`.
///
/// # Errors
/// Code of vectors, or none.
pub(crate) fn function(of: &CKernel, prefix: &str, name: &str, tiles: usize) -> Result<Function, Refusal> {
    let CKernel { kernel, about } = of;
    verify_for(kernel, 1).map_err(|error| Refusal(error.to_string()))?;
    if kernel.regs.iter().any(|reg| reg.vector) {
        return Err(Refusal("it has vectors, and C has none".into()));
    }
    let mut printer = Printer {
        kernel,
        prefix,
        live: Live::of(kernel),
        ranges: Ranges::of(kernel, tiles as i128),
        names: (0..kernel.regs.len()).map(|i| format!("r{i}")).collect(),
        parameters: BTreeSet::new(),
        written: BTreeSet::new(),
        text: String::new(),
        depth: 1,
    };
    printer.begin_and_end();
    printer.block(&kernel.body);
    let Printer { parameters, written, text: body, .. } = printer;
    let declare = |parameter: &Parameter| match *parameter {
        Parameter::Memory { is_float, .. } => {
            let constant = if written.contains(parameter) { "" } else { "const " };
            let ty = if is_float { "f32" } else { "u32" };
            format!("{constant}{prefix}_{ty} *{}", memory_name(kernel, *parameter))
        }
        Parameter::Begin => "ptrdiff_t begin".into(),
        Parameter::End => "ptrdiff_t end".into(),
    };
    let list: Vec<String> = parameters.iter().map(declare).collect();
    let list = if list.is_empty() { "void".to_owned() } else { list.join(", ") };
    let about = comment(about);
    let text = format!("{about}static void {name}({list})\n{{\n{body}}}\n");
    Ok(Function { text, parameters: parameters.into_iter().collect() })
}

/// A comment of some text, on lines of its own; none of an empty one.
pub(crate) fn comment(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!("/* {} */\n", text.replace("*/", "* /").replace("/*", "/ *"))
}

fn memory_name(kernel: &TileKernel, parameter: Parameter) -> String {
    let Parameter::Memory { argument, is_float } = parameter else { unreachable!("no memory") };
    let kind = if is_float { "f" } else { "w" };
    if argument == kernel.arguments { format!("scratch_{kind}") } else { format!("a{argument}{kind}") }
}

struct Printer<'k> {
    kernel: &'k TileKernel,
    prefix: &'k str,
    live: Live,
    ranges: Ranges,
    /// What each register is called, or the constant that it is.
    names: Vec<String>,
    parameters: BTreeSet<Parameter>,
    /// The memory that is written.
    written: BTreeSet<Parameter>,
    text: String,
    depth: usize,
}

impl Printer<'_> {
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{:1$}{line}", "", 2 * self.depth);
    }

    fn name(&self, reg: Reg) -> &str {
        &self.names[reg.0 as usize]
    }

    fn class(&self, reg: Reg) -> Class {
        self.kernel.regs[reg.0 as usize].class
    }

    fn is_double(&self, reg: Reg) -> bool {
        self.class(reg) == Class::Double
    }

    /// The type of a register.
    fn ty(&self, reg: Reg) -> &'static str {
        match self.class(reg) {
            Class::Float => "float",
            Class::Double => "double",
            Class::Int => "uint32_t",
            Class::Mask => "int",
            Class::Index if self.ranges.is_narrow(reg) => "ptrdiff_t",
            Class::Index => "int64_t",
        }
    }

    fn begin_and_end(&mut self) {
        for (reg, name, parameter) in
            [(self.kernel.begin, "begin", Parameter::Begin), (self.kernel.end, "end", Parameter::End)]
        {
            if self.live.contains(reg) {
                self.parameters.insert(parameter);
                self.names[reg.0 as usize] = name.into();
            }
        }
    }

    fn block(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::Let(reg, inst) if self.live.contains(*reg) => self.define(*reg, *inst),
                Stmt::Let(..) | Stmt::Prefetch(_) => {}
                Stmt::Store(address, value, _) => self.store(*address, *value),
                Stmt::LoadTransposed { .. } => unreachable!("it makes vectors"),
                Stmt::Loop { counter, start, end, step, carried, body } => {
                    if self.live.runs(carried, body) {
                        self.repeat(*counter, [*start, *end], *step, carried, body);
                    }
                }
            }
        }
    }

    fn define(&mut self, reg: Reg, inst: Inst) {
        match inst::constant(inst, self.prefix) {
            Some(constant) => self.names[reg.0 as usize] = constant,
            None => {
                let value = self.inst(reg, inst);
                let line = format!("const {} {} = {value};", self.ty(reg), self.name(reg));
                self.line(&line);
            }
        }
    }

    /// The element at an address: `a0f[r5 + 3]`.
    fn element(&mut self, address: Address, is_float: bool, is_written: bool) -> String {
        let argument = match address.base {
            Base::Argument(i) => i,
            Base::Scratch => self.kernel.arguments,
        };
        let parameter = Parameter::Memory { argument, is_float };
        self.parameters.insert(parameter);
        if is_written {
            self.written.insert(parameter);
        }
        let base = memory_name(self.kernel, parameter);
        let index = self.name(address.index);
        match (self.ranges.constant(address.index), address.offset) {
            (Some(index), offset) => format!("{base}[{}]", index + i128::from(offset)),
            (None, offset) if !self.ranges.is_narrow(address.index) => {
                format!("{base}[(ptrdiff_t)({index} + {offset})]")
            }
            (None, 0) => format!("{base}[{index}]"),
            (None, offset) if offset < 0 => format!("{base}[{index} - {}]", offset.unsigned_abs()),
            (None, offset) => format!("{base}[{index} + {offset}]"),
        }
    }

    fn store(&mut self, address: Address, value: Reg) {
        let line = match self.class(value) {
            Class::Double => {
                let at = self.element(address, false, true);
                format!("{}_put_double(&{at}, {});", self.prefix, self.name(value))
            }
            class => {
                let at = self.element(address, class == Class::Float, true);
                format!("{at} = {};", self.name(value))
            }
        };
        self.line(&line);
    }

    fn repeat(&mut self, counter: Reg, [start, end]: [Reg; 2], step: i64, carried: &[Carried], body: &[Stmt]) {
        let carried: Vec<&Carried> = carried.iter().filter(|carry| self.live.contains(carry.reg)).collect();
        for carry in &carried {
            let line = format!("{} {} = {};", self.ty(carry.reg), self.name(carry.reg), self.name(carry.initial));
            self.line(&line);
        }
        let (ty, counts) = (self.ty(counter), self.name(counter).to_owned());
        let (start, end) = (self.name(start).to_owned(), self.name(end).to_owned());
        let next = if step == 1 { format!("{counts}++") } else { format!("{counts} += {step}") };
        self.line(&format!("for ({ty} {counts} = {start}; {counts} < {end}; {next}) {{"));
        self.depth += 1;
        self.block(body);
        // all at once: the next value of one may be what another is now
        let is_other = |carry: &Carried| carried.iter().any(|other| other.reg == carry.next && other.reg != carry.reg);
        let moves: Vec<(String, String, &'static str, bool)> = carried
            .iter()
            .filter(|carry| carry.reg != carry.next)
            .map(|carry| {
                let names = (self.name(carry.reg).to_owned(), self.name(carry.next).to_owned());
                (names.0, names.1, self.ty(carry.reg), is_other(carry))
            })
            .collect();
        for (reg, next, ty, _) in moves.iter().filter(|(.., is_other)| *is_other) {
            self.line(&format!("const {ty} {reg}_next = {next};"));
        }
        for (reg, next, _, is_other) in &moves {
            let line = if *is_other { format!("{reg} = {reg}_next;") } else { format!("{reg} = {next};") };
            self.line(&line);
        }
        self.depth -= 1;
        self.line("}");
    }
}

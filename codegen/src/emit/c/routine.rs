//! Routines to functions in C.

use super::comment;
use crate::routine::{Binary, Callee, Expr, Routine, Statement, Variable, Width};
use std::collections::BTreeSet;
use std::fmt::Write;

/// How C declares a function that others call.
#[derive(Clone, Debug)]
pub struct Signature {
    /// The type of its result, such as `int`.
    pub result: String,
    /// Its parameters: a type, with the space or the star at its end, and a name.
    pub parameters: Vec<(String, String)>,
}

/// How a routine refers to what is outside of it.
pub(crate) trait Outside {
    /// The call of a kernel, with these addresses, for all tiles.
    fn launch(&self, kernel: usize, arguments: &[String], scratch: &str, tiles: usize) -> String;
    /// What a routine is called.
    fn routine(&self, number: usize) -> String;
}

/// Prints a routine as the function of this name, which the header declares if it has a signature.
pub(crate) fn routine(
    routine: &Routine,
    prefix: &str,
    name: &str,
    signature: Option<&Signature>,
    outside: &dyn Outside,
) -> String {
    let mut read = BTreeSet::new();
    variables(&routine.body, &mut read);
    let mut writer = Writer { prefix, outside, signature, read: read.clone(), text: String::new(), depth: 1 };
    for i in 0..routine.parameters.len() {
        if let Some(signature) = signature {
            let (ty, given) = &signature.parameters[i];
            if read.contains(&(i as u32)) {
                let value = if ty.ends_with('*') {
                    format!("{prefix}_address_of({given})")
                } else {
                    format!("(uint64_t){given}")
                };
                writer.line(&format!("uint64_t v{i} = {value};"));
            } else {
                writer.line(&format!("(void){given};"));
            }
        } else if !read.contains(&(i as u32)) {
            writer.line(&format!("(void)v{i};"));
        }
    }
    for i in (routine.parameters.len() as u32..routine.variables).filter(|i| read.contains(i)) {
        writer.line(&format!("uint64_t v{i} = 0u;"));
    }
    writer.statements(&routine.body);
    if !ends(&routine.body) {
        writer.line("return 0u;");
    }
    let body = writer.text;
    let (result, list): (&str, Vec<String>) = match signature {
        Some(Signature { result, parameters }) => {
            (result, parameters.iter().map(|(ty, name)| format!("{ty}{name}")).collect())
        }
        None => ("static uint64_t ", (0..routine.parameters.len()).map(|i| format!("uint64_t v{i}")).collect()),
    };
    let list = if list.is_empty() { "void".to_owned() } else { list.join(", ") };
    format!("{}{result}{name}({list})\n{{\n{body}}}\n", comment(&routine.about))
}

/// Whether statements end the routine.
fn ends(statements: &[Statement]) -> bool {
    matches!(statements.last(), Some(Statement::Return(_)))
}

/// Adds the variables that are read.
fn variables(statements: &[Statement], read: &mut BTreeSet<u32>) {
    for statement in statements {
        match statement {
            Statement::Set(_, value) | Statement::Return(value) => reads(value, read),
            Statement::Store(_, address, _, value) | Statement::Point(address, _, value) => {
                [address, value].into_iter().for_each(|expr| reads(expr, read));
            }
            Statement::If(condition, body, other) => {
                reads(condition, read);
                variables(body, read);
                variables(other, read);
            }
            Statement::While(condition, body) => {
                reads(condition, read);
                variables(body, read);
            }
            Statement::Call(_, arguments, _) => arguments.iter().for_each(|expr| reads(expr, read)),
            Statement::Launch { arguments, scratch, .. } => {
                arguments.iter().chain([scratch]).for_each(|expr| reads(expr, read));
            }
        }
    }
}

fn reads(expr: &Expr, read: &mut BTreeSet<u32>) {
    match expr {
        Expr::Number(_) | Expr::Data(_) | Expr::Most(_) => {}
        Expr::Variable(Variable(number)) => {
            read.insert(*number);
        }
        Expr::Load(_, address, _) | Expr::Address(address, _) => reads(address, read),
        Expr::Binary(_, a, b) => [a, b].into_iter().for_each(|expr| reads(expr, read)),
    }
}

struct Writer<'a> {
    prefix: &'a str,
    outside: &'a dyn Outside,
    signature: Option<&'a Signature>,
    read: BTreeSet<u32>,
    text: String,
    depth: usize,
}

impl Writer<'_> {
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{:1$}{line}", "", 2 * self.depth);
    }

    fn within(&mut self, statements: &[Statement]) {
        self.depth += 1;
        self.statements(statements);
        self.depth -= 1;
    }

    fn statements(&mut self, statements: &[Statement]) {
        statements.iter().for_each(|statement| self.statement(statement));
    }

    fn statement(&mut self, statement: &Statement) {
        let prefix = self.prefix;
        match statement {
            // nothing else happens where its value goes
            Statement::Set(Variable(number), _) if !self.read.contains(number) => {}
            Statement::Set(Variable(number), value) => {
                let line = format!("v{number} = {};", self.expr(value));
                self.line(&line);
            }
            Statement::Store(width, address, offset, value) => {
                let op = match width {
                    Width::Byte => "put_byte",
                    Width::Word => "put_word",
                    Width::Long => "put_long",
                };
                let line = format!("{prefix}_{op}({}, {});", self.further(address, *offset), self.expr(value));
                self.line(&line);
            }
            Statement::Point(list, number, address) => {
                let line = format!("{prefix}_put_listed({}, {number}u, {});", self.expr(list), self.expr(address));
                self.line(&line);
            }
            Statement::If(condition, body, other) => {
                let line = format!("if ({}) {{", self.condition(condition));
                self.line(&line);
                self.within(body);
                if !other.is_empty() {
                    self.line("} else {");
                    self.within(other);
                }
                self.line("}");
            }
            Statement::While(condition, body) => {
                let line = format!("while ({}) {{", self.condition(condition));
                self.line(&line);
                self.within(body);
                self.line("}");
            }
            Statement::Call(callee, arguments, result) => {
                let name = match callee {
                    Callee::Routine(number) => self.outside.routine(*number),
                    Callee::ReadEnvironment => format!("{prefix}_read_environment"),
                    Callee::WriteEnvironment => format!("{prefix}_write_environment"),
                    Callee::Level => unreachable!("C has no levels of instructions"),
                };
                let arguments: Vec<String> = arguments.iter().map(|argument| self.expr(argument)).collect();
                let call = format!("{name}({})", arguments.join(", "));
                let line = match result {
                    Some(Variable(number)) if self.read.contains(number) => format!("v{number} = {call};"),
                    _ if *callee == Callee::WriteEnvironment => format!("{call};"),
                    _ => format!("(void){call};"),
                };
                self.line(&line);
            }
            Statement::Launch { kernel, arguments, scratch, tiles } => {
                let memory = |expr: &Expr| format!("{prefix}_at({})", self.expr(expr));
                let arguments: Vec<String> = arguments.iter().map(memory).collect();
                let line = self.outside.launch(*kernel, &arguments, &memory(scratch), *tiles);
                self.line(&line);
            }
            Statement::Return(value) => {
                let value = self.expr(value);
                let line = match self.signature {
                    None => format!("return {value};"),
                    Some(signature) if signature.result.ends_with('*') => format!("return {prefix}_at({value});"),
                    Some(signature) => format!("return ({})({value});", signature.result.trim()),
                };
                self.line(&line);
            }
        }
    }

    fn further(&self, address: &Expr, offset: i64) -> String {
        let address = self.expr(address);
        if offset == 0 { address } else { format!("{address} + {}", number(offset)) }
    }

    /// A condition: whether a number is not 0.
    fn condition(&self, expr: &Expr) -> String {
        match expr {
            Expr::Binary(Binary::Less, a, b) => format!("{} < {}", self.expr(a), self.expr(b)),
            Expr::Binary(Binary::Equal, a, b) => match (&**a, &**b) {
                // one comparison instead of two, each the other way round
                (Expr::Binary(Binary::Equal, c, d), Expr::Number(0)) => {
                    format!("{} != {}", self.expr(c), self.expr(d))
                }
                _ => format!("{} == {}", self.expr(a), self.expr(b)),
            },
            _ => format!("{} != 0u", self.expr(expr)),
        }
    }

    fn expr(&self, expr: &Expr) -> String {
        let prefix = self.prefix;
        match expr {
            Expr::Number(x) => number(*x),
            Expr::Variable(Variable(number)) => format!("v{number}"),
            Expr::Data(at) => format!("{prefix}_address_of(&{prefix}_data[{}])", at / 8),
            Expr::Load(Width::Byte, address, offset) => format!("{prefix}_byte({})", self.further(address, *offset)),
            Expr::Load(Width::Word, address, offset) => format!("{prefix}_word({})", self.further(address, *offset)),
            Expr::Load(Width::Long, address, offset) => format!("{prefix}_long({})", self.further(address, *offset)),
            Expr::Address(list, number) => format!("{prefix}_listed({}, {number}u)", self.expr(list)),
            // of eight bytes at most
            Expr::Most(numbers) => format!("((uint64_t)PTRDIFF_MAX / 8u / {}u)", numbers),
            Expr::Binary(function, a, b) => {
                let (a, b) = (self.expr(a), self.expr(b));
                match function {
                    Binary::Add => format!("({a} + {b})"),
                    Binary::Subtract => format!("({a} - {b})"),
                    Binary::Multiply => format!("({a} * {b})"),
                    Binary::And => format!("({a} & {b})"),
                    Binary::Or => format!("({a} | {b})"),
                    Binary::ShiftRight => format!("({a} >> {b})"),
                    Binary::Less => format!("(uint64_t)({a} < {b})"),
                    Binary::Equal => format!("(uint64_t)({a} == {b})"),
                    Binary::Minimum => format!("{prefix}_minimum({a}, {b})"),
                    Binary::Maximum => format!("{prefix}_maximum({a}, {b})"),
                }
            }
        }
    }
}

/// A number without sign, of as many bits as it takes.
fn number(x: i64) -> String {
    match x as u64 {
        small @ ..0x1_0000 => format!("{small}u"),
        large => format!("{large:#x}u"),
    }
}

//! Writing routines.

use super::{Callee, Expr, Routine, Statement, Variable, Width};

/// Collects the statements of a routine.
#[derive(Debug)]
pub struct RoutineBuilder {
    parameters: Vec<Width>,
    variables: u32,
    /// The statements of the blocks that are open, the innermost last.
    blocks: Vec<Vec<Statement>>,
}

impl RoutineBuilder {
    /// A routine with parameters of these widths, and the parameters.
    pub fn new<const N: usize>(parameters: [Width; N]) -> (RoutineBuilder, [Variable; N]) {
        let builder = RoutineBuilder { parameters: parameters.into(), variables: N as u32, blocks: vec![Vec::new()] };
        (builder, std::array::from_fn(|i| Variable(i as u32)))
    }

    /// The routine; `name` is what others call it by, if they do, and `about` tells people what it does.
    pub fn finish(mut self, name: Option<String>, about: impl Into<String>, result: Width) -> Routine {
        let body = self.blocks.pop().unwrap_or_default();
        Routine { name, about: about.into(), parameters: self.parameters, result, variables: self.variables, body }
    }

    fn push(&mut self, statement: Statement) {
        self.blocks.last_mut().expect("the outermost block is open").push(statement);
    }

    fn variable(&mut self) -> Variable {
        self.variables += 1;
        Variable(self.variables - 1)
    }

    /// What `body` adds, kept aside.
    pub fn collect(&mut self, body: impl FnOnce(&mut Self)) -> Vec<Statement> {
        self.blocks.push(Vec::new());
        body(self);
        self.blocks.pop().expect("it was opened above")
    }

    /// Leaves the first parameters alone; the others become variables.
    pub fn keep_parameters(&mut self, count: usize) {
        self.parameters.truncate(count);
    }

    /// A new variable with this value.
    pub fn set(&mut self, value: impl Into<Expr>) -> Variable {
        let variable = self.variable();
        self.assign(variable, value);
        variable
    }

    /// Gives a variable another value.
    pub fn assign(&mut self, variable: Variable, value: impl Into<Expr>) {
        self.push(Statement::Set(variable, value.into()));
    }

    /// Writes a number `offset` bytes behind an address.
    pub fn store(&mut self, width: Width, address: impl Into<Expr>, offset: i64, value: impl Into<Expr>) {
        self.push(Statement::Store(width, address.into(), offset, value.into()));
    }

    /// Writes an address, as that of this number in the list of addresses that begins at an address.
    pub fn point(&mut self, list: impl Into<Expr>, number: usize, address: impl Into<Expr>) {
        self.push(Statement::Point(list.into(), number, address.into()));
    }

    /// Does something if a number is not 0.
    pub fn when(&mut self, condition: impl Into<Expr>, body: impl FnOnce(&mut Self)) {
        let body = self.collect(body);
        self.push(Statement::If(condition.into(), body, Vec::new()));
    }

    /// Does one thing if a number is not 0, and another if it is.
    pub fn choose(&mut self, condition: impl Into<Expr>, body: impl FnOnce(&mut Self), other: impl FnOnce(&mut Self)) {
        let (body, other) = (self.collect(body), self.collect(other));
        self.push(Statement::If(condition.into(), body, other));
    }

    /// Does something as long as a number is not 0.
    pub fn repeat(&mut self, condition: impl Into<Expr>, body: impl FnOnce(&mut Self)) {
        let body = self.collect(body);
        self.push(Statement::While(condition.into(), body));
    }

    /// Does something for each number from 0 up to `end`.
    pub fn each(&mut self, end: impl Into<Expr>, body: impl FnOnce(&mut Self, Variable)) {
        let (number, end) = (self.set(0), self.set(end));
        self.repeat(Expr::from(number).less(end), |b| {
            body(b, number);
            b.assign(number, number + 1);
        });
    }

    /// The result of a call.
    pub fn call(&mut self, callee: Callee, arguments: Vec<Expr>) -> Variable {
        let result = self.variable();
        self.push(Statement::Call(callee, arguments, Some(result)));
        result
    }

    /// A call without a result.
    pub fn run(&mut self, callee: Callee, arguments: Vec<Expr>) {
        self.push(Statement::Call(callee, arguments, None));
    }

    /// These statements, such as [`launches`](super::launches).
    pub fn append(&mut self, statements: Vec<Statement>) {
        statements.into_iter().for_each(|statement| self.push(statement));
    }

    /// Ends the routine with this result.
    pub fn give(&mut self, result: impl Into<Expr>) {
        self.push(Statement::Return(result.into()));
    }
}

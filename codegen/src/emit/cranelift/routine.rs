//! Routines to Cranelift's functions.

use super::fill::further;
use crate::routine::{Binary, Callee, Expr, Routine, Statement, Variable, Width};
use cranelift::codegen::ir::{self, Function, MemFlagsData, StackSlotData, StackSlotKind, types};
use cranelift::codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift::prelude::{
    AbiParam, FunctionBuilder, FunctionBuilderContext, InstBuilder, IntCC, Signature, Type, Value,
};

/// How a routine refers to what is outside of it.
pub(crate) trait Names {
    /// The function of a kernel.
    fn kernel(&mut self, number: usize, function: &mut Function) -> ir::FuncRef;
    /// What a call refers to.
    fn callee(&mut self, callee: Callee, function: &mut Function) -> ir::FuncRef;
    /// The program's data.
    fn data(&mut self, function: &mut Function) -> ir::GlobalValue;
}

/// The signature of a function with parameters and a result of these widths.
pub(crate) fn routine_signature(parameters: &[Width], result: Width, convention: CallConv) -> Signature {
    let mut signature = Signature::new(convention);
    signature.params.extend(parameters.iter().map(|&width| AbiParam::new(ty(width))));
    signature.returns.push(AbiParam::new(ty(result)));
    signature
}

/// Fills `function`, which has the signature of `routine`.
pub(crate) fn fill_routine(
    routine: &Routine,
    function: &mut Function,
    context: &mut FunctionBuilderContext,
    target: TargetFrontendConfig,
    names: &mut dyn Names,
) {
    let mut b = FunctionBuilder::new(function, context);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let variables: Vec<_> = (0..routine.variables).map(|_| b.declare_var(types::I64)).collect();
    let parameters = b.block_params(entry).to_vec();
    let list = most_arguments(&routine.body);
    let list = b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, list * 8, 3));
    let mut writer = Writer { b, variables, names, list, result: ty(routine.result) };
    for (i, (&parameter, &width)) in parameters.iter().zip(&routine.parameters).enumerate() {
        let long = writer.extend(parameter, width);
        writer.b.def_var(writer.variables[i], long);
    }
    if writer.statements(&routine.body) {
        writer.statement(&Statement::Return(Expr::Number(0)));
    }
    writer.b.seal_all_blocks();
    writer.b.finalize(target);
}

fn ty(width: Width) -> Type {
    match width {
        Width::Byte => types::I8,
        Width::Word => types::I32,
        Width::Long => types::I64,
    }
}

/// The most arguments of a kernel.
fn most_arguments(statements: &[Statement]) -> u32 {
    let of = |statement: &Statement| match statement {
        Statement::Launch { arguments, .. } => arguments.len() as u32,
        Statement::If(_, body, other) => most_arguments(body).max(most_arguments(other)),
        Statement::While(_, body) => most_arguments(body),
        Statement::Set(..) | Statement::Store(..) | Statement::Point(..) | Statement::Call(..) => 0,
        Statement::Return(_) => 0,
    };
    statements.iter().map(of).max().unwrap_or(0)
}

/// The bytes of an address.
const ADDRESS: i64 = 8;
/// More numbers than memory holds: so few that no count of bytes overflows.
const MEMORY: u64 = 1 << 60;

fn flags() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

struct Writer<'f> {
    b: FunctionBuilder<'f>,
    variables: Vec<cranelift::prelude::Variable>,
    names: &'f mut dyn Names,
    /// Where a kernel's list of arguments is made.
    list: ir::StackSlot,
    result: Type,
}

impl Writer<'_> {
    /// Whether what comes after these is reached.
    fn statements(&mut self, statements: &[Statement]) -> bool {
        statements.iter().all(|statement| self.statement(statement))
    }

    fn statement(&mut self, statement: &Statement) -> bool {
        match statement {
            Statement::Set(variable, value) => {
                let value = self.expr(value);
                self.define(*variable, value);
            }
            Statement::Store(width, address, offset, value) => {
                let (address, value) = (self.expr(address), self.expr(value));
                let value = if *width == Width::Long { value } else { self.b.ins().ireduce(ty(*width), value) };
                let (address, offset) = further(&mut self.b, (address, 0), *offset);
                self.b.ins().store(flags(), value, address, offset);
            }
            Statement::Point(list, number, address) => {
                let (list, address) = (self.expr(list), self.expr(address));
                let (list, offset) = further(&mut self.b, (list, 0), ADDRESS * *number as i64);
                self.b.ins().store(flags(), address, list, offset);
            }
            Statement::If(condition, body, other) => {
                let [then, otherwise, after] = [(); 3].map(|()| self.b.create_block());
                let condition = self.expr(condition);
                self.b.ins().brif(condition, then, &[], otherwise, &[]);
                let mut is_reached = false;
                for (block, statements) in [(then, body), (otherwise, other)] {
                    self.b.switch_to_block(block);
                    if self.statements(statements) {
                        self.b.ins().jump(after, &[]);
                        is_reached = true;
                    }
                }
                if !is_reached {
                    return false;
                }
                self.b.switch_to_block(after);
            }
            Statement::While(condition, body) => {
                // tested before the loop and at its end: a jump less for each turn
                let [repeated, after] = [(); 2].map(|()| self.b.create_block());
                let first = self.expr(condition);
                self.b.ins().brif(first, repeated, &[], after, &[]);
                self.b.switch_to_block(repeated);
                if self.statements(body) {
                    let again = self.expr(condition);
                    self.b.ins().brif(again, repeated, &[], after, &[]);
                }
                self.b.switch_to_block(after);
            }
            Statement::Call(callee, arguments, result) => {
                let function = self.names.callee(*callee, self.b.func);
                let signature = self.b.func.dfg.ext_funcs[function].signature;
                let takes = self.b.func.dfg.signatures[signature].params.clone();
                let arguments = arguments.iter().zip(takes).map(|(argument, parameter)| {
                    let argument = self.expr(argument);
                    match parameter.value_type {
                        types::I64 => argument,
                        narrow => self.b.ins().ireduce(narrow, argument),
                    }
                });
                let arguments: Vec<Value> = arguments.collect();
                let call = self.b.ins().call(function, &arguments);
                if let Some(variable) = result {
                    let value = self.b.inst_results(call)[0];
                    let narrow = self.b.func.dfg.value_type(value) != types::I64;
                    let value = if narrow { self.b.ins().uextend(types::I64, value) } else { value };
                    self.define(*variable, value);
                }
            }
            Statement::Launch { kernel, arguments, scratch, tiles } => {
                for (i, argument) in (0..).zip(arguments) {
                    let argument = self.expr(argument);
                    self.b.ins().stack_store(types::I64, argument, self.list, 8 * i);
                }
                let list = self.b.ins().stack_addr(types::I64, self.list, 0);
                let scratch = self.expr(scratch);
                let [begin, end] = [0, *tiles as i64].map(|tile| self.b.ins().iconst(types::I64, tile));
                let function = self.names.kernel(*kernel, self.b.func);
                self.b.ins().call(function, &[list, scratch, begin, end]);
            }
            Statement::Return(value) => {
                let value = self.expr(value);
                let value = if self.result == types::I64 { value } else { self.b.ins().ireduce(self.result, value) };
                self.b.ins().return_(&[value]);
                return false;
            }
        }
        true
    }

    fn define(&mut self, Variable(number): Variable, value: Value) {
        self.b.def_var(self.variables[number as usize], value);
    }

    fn extend(&mut self, value: Value, width: Width) -> Value {
        if width == Width::Long { value } else { self.b.ins().uextend(types::I64, value) }
    }

    fn expr(&mut self, expr: &Expr) -> Value {
        match expr {
            Expr::Number(x) => self.b.ins().iconst(types::I64, *x),
            Expr::Variable(Variable(number)) => self.b.use_var(self.variables[*number as usize]),
            Expr::Data(at) => {
                let data = self.names.data(self.b.func);
                let data = self.b.ins().symbol_value(types::I64, data);
                self.b.ins().iadd_imm_s(data, *at as i64)
            }
            Expr::Load(width, address, offset) => {
                let address = self.expr(address);
                let (address, offset) = further(&mut self.b, (address, 0), *offset);
                let value = self.b.ins().load(ty(*width), flags(), address, offset);
                self.extend(value, *width)
            }
            Expr::Address(list, number) => {
                let list = self.expr(list);
                let (list, offset) = further(&mut self.b, (list, 0), ADDRESS * *number as i64);
                self.b.ins().load(types::I64, flags(), list, offset)
            }
            Expr::Most(numbers) => self.b.ins().iconst(types::I64, (MEMORY / *numbers) as i64),
            Expr::Binary(function, a, b) => {
                let (a, b) = (self.expr(a), self.expr(b));
                match function {
                    Binary::Add => self.b.ins().iadd(a, b),
                    Binary::Subtract => self.b.ins().isub(a, b),
                    Binary::Multiply => self.b.ins().imul(a, b),
                    Binary::And => self.b.ins().band(a, b),
                    Binary::Or => self.b.ins().bor(a, b),
                    Binary::ShiftRight => self.b.ins().ushr(a, b),
                    Binary::Minimum => self.b.ins().umin(a, b),
                    Binary::Maximum => self.b.ins().umax(a, b),
                    Binary::Less => self.compare(IntCC::UnsignedLessThan, a, b),
                    Binary::Equal => self.compare(IntCC::Equal, a, b),
                }
            }
        }
    }

    fn compare(&mut self, condition: IntCC, a: Value, b: Value) -> Value {
        let holds = self.b.ins().icmp(condition, a, b);
        self.b.ins().uextend(types::I64, holds)
    }
}

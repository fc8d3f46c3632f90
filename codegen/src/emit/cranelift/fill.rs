//! The instructions of a tile kernel, one by one.

use crate::{InstructionSet, tile::*};
use cranelift::codegen::{
    ir::{BlockArg, ConstantData, Endianness, Function, MemFlagsData, types},
    isa::TargetFrontendConfig,
};
use cranelift::prelude::{FloatCC, FunctionBuilder, FunctionBuilderContext, InstBuilder, IntCC, Type, Value};

/// The number of elements of a Cranelift vector.
const WIDTH: usize = InstructionSet::Simd128.lanes();

/// Fills `function`, which has the signature of kernels, with the code of `kernel`.
pub(super) fn fill(
    kernel: &TileKernel,
    function: &mut Function,
    context: &mut FunctionBuilderContext,
    target: TargetFrontendConfig,
) {
    let pointer = target.pointer_type();
    let mut builder = FunctionBuilder::new(function, context);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let params = builder.block_params(entry).to_vec();
    let mut filler =
        Filler { b: builder, kernel, values: vec![None; kernel.regs.len()], arguments: Vec::new(), scratch: params[1] };
    for i in 0..kernel.arguments {
        let flags = MemFlagsData::trusted().with_readonly().with_can_move();
        let address = filler.b.ins().load(pointer, flags, params[0], (i * pointer.bytes() as usize) as i32);
        filler.arguments.push(address);
    }
    filler.set(kernel.begin, params[2]);
    filler.set(kernel.end, params[3]);
    filler.stmts(&kernel.body);
    filler.b.ins().return_(&[]);
    filler.b.seal_all_blocks();
    filler.b.finalize(target);
}

struct Filler<'f> {
    b: FunctionBuilder<'f>,
    kernel: &'f TileKernel,
    values: Vec<Option<Value>>,
    arguments: Vec<Value>,
    scratch: Value,
}

/// Tensors are aligned to their elements only; nothing traps because bounds are checked before the call.
fn memory_flags() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

fn bitcast_flags() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
}

impl Filler<'_> {
    fn get(&self, reg: Reg) -> Value {
        self.values[reg.0 as usize].expect("registers are defined before they are used")
    }

    fn set(&mut self, reg: Reg, value: Value) {
        self.values[reg.0 as usize] = Some(value);
    }

    fn ty(&self, reg: Reg) -> RegType {
        self.kernel.regs[reg.0 as usize]
    }

    fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::Let(reg, inst) => {
                    let value = self.inst(*inst, self.ty(*reg));
                    self.set(*reg, value);
                }
                Stmt::Store(address, reg, active) => {
                    let (base, offset) = self.address(*address);
                    let value = self.get(*reg);
                    match active {
                        None => {
                            self.b.ins().store(memory_flags(), value, base, offset);
                        }
                        Some(lanes) => {
                            for lane in 0..*lanes {
                                let element = self.b.ins().extractlane(value, lane as u8);
                                let (base, offset) = further(&mut self.b, (base, offset), i64::from(lane) * 4);
                                self.b.ins().store(memory_flags(), element, base, offset);
                            }
                        }
                    }
                }
                // Cranelift has none
                Stmt::Prefetch(_) => {}
                Stmt::LoadTransposed { into, address, stride, active, .. } => {
                    for (i, reg) in (0..).zip(into) {
                        let address = Address { offset: address.offset + i, ..*address };
                        let value = self.lanes(clif_type(self.ty(*reg)), address, *stride, *active);
                        self.set(*reg, value);
                    }
                }
                Stmt::Loop { counter, start, end, step, carried, body } => {
                    self.repeat(*counter, (*start, *end, *step), carried, body);
                }
            }
        }
    }

    /// `if start < end { do { .. } while next < end }`: the test at the end saves a jump an iteration.
    fn repeat(&mut self, counter: Reg, (start, end, step): (Reg, Reg, i64), carried: &[Carried], body: &[Stmt]) {
        let (start, end) = (self.get(start), self.get(end));
        let looped = self.b.create_block();
        let after = self.b.create_block();
        let number = self.b.append_block_param(looped, types::I64);
        let mut initial: Vec<BlockArg> = vec![start.into()];
        for carry in carried {
            let ty = clif_type(self.ty(carry.reg));
            let param = self.b.append_block_param(looped, ty);
            self.b.append_block_param(after, ty);
            initial.push(self.get(carry.initial).into());
            self.set(carry.reg, param);
        }
        let enter = self.b.ins().icmp(IntCC::SignedLessThan, start, end);
        self.b.ins().brif(enter, looped, &initial, after, &initial[1..]);
        self.b.switch_to_block(looped);
        self.set(counter, number);
        self.stmts(body);
        let next = self.b.ins().iadd_imm_s(number, step);
        let mut again: Vec<BlockArg> = vec![next.into()];
        again.extend(carried.iter().map(|carry| BlockArg::from(self.get(carry.next))));
        let more = self.b.ins().icmp(IntCC::SignedLessThan, next, end);
        self.b.ins().brif(more, looped, &again, after, &again[1..]);
        self.b.switch_to_block(after);
        let last: Vec<Value> = self.b.block_params(after).to_vec();
        for (carry, value) in carried.iter().zip(last) {
            self.set(carry.reg, value);
        }
    }

    fn address(&mut self, address: Address) -> (Value, i32) {
        let base = match address.base {
            Base::Argument(i) => self.arguments[i],
            Base::Scratch => self.scratch,
        };
        let bytes = {
            let index = self.get(address.index);
            self.b.ins().ishl_imm_u(index, 2)
        };
        let pointer = self.b.ins().iadd(base, bytes);
        further(&mut self.b, (pointer, 0), address.offset * 4)
    }

    fn inst(&mut self, inst: Inst, ty: RegType) -> Value {
        let clif = clif_type(ty);
        match inst {
            Inst::Float(bits) if ty.vector => self.vector_constant(bits, types::F32X4),
            Inst::Float(bits) => self.b.ins().f32const(f32::from_bits(bits)),
            Inst::Double(bits) => self.b.ins().f64const(f64::from_bits(bits)),
            Inst::Int(word) if ty.vector => self.vector_constant(word, types::I32X4),
            Inst::Int(word) => self.b.ins().iconst(types::I32, i64::from(word)),
            Inst::Unary(op, a) => {
                let a = self.get(a);
                match op {
                    FloatUnary::Sqrt => self.b.ins().sqrt(a),
                    FloatUnary::Neg => self.b.ins().fneg(a),
                    FloatUnary::Abs => self.b.ins().fabs(a),
                    FloatUnary::Floor => self.b.ins().floor(a),
                }
            }
            Inst::Binary(op, a, b) => {
                let (a, b) = (self.get(a), self.get(b));
                match op {
                    FloatBinary::Add => self.b.ins().fadd(a, b),
                    FloatBinary::Sub => self.b.ins().fsub(a, b),
                    FloatBinary::Mul => self.b.ins().fmul(a, b),
                    FloatBinary::Div => self.b.ins().fdiv(a, b),
                    FloatBinary::Max => self.chosen(FloatCC::GreaterThan, a, b, ty.vector),
                    FloatBinary::Min => self.chosen(FloatCC::LessThan, a, b, ty.vector),
                }
            }
            Inst::Fma(a, b, c) => {
                let (a, b, c) = (self.get(a), self.get(b), self.get(c));
                self.b.ins().fma(a, b, c)
            }
            Inst::Compare(op, a, b) => {
                let (a, b) = (self.get(a), self.get(b));
                let condition = match op {
                    FloatCompare::Less => FloatCC::LessThan,
                    FloatCompare::LessEqual => FloatCC::LessThanOrEqual,
                    FloatCompare::Equal => FloatCC::Equal,
                };
                self.b.ins().fcmp(condition, a, b)
            }
            Inst::Select(mask, a, b) => {
                let (mask, a, b) = (self.get(mask), self.get(a), self.get(b));
                match (ty.vector, ty.class) {
                    (false, _) => self.b.ins().select(mask, a, b),
                    (true, Class::Float) => {
                        let mask = self.b.ins().bitcast(types::F32X4, bitcast_flags(), mask);
                        self.b.ins().bitselect(mask, a, b)
                    }
                    (true, _) => self.b.ins().bitselect(mask, a, b),
                }
            }
            Inst::Bits(a) | Inst::FromBits(a) => {
                let a = self.get(a);
                self.b.ins().bitcast(clif, bitcast_flags(), a)
            }
            Inst::ToFloat(a) | Inst::ToDouble(a) => {
                let a = self.get(a);
                self.b.ins().fcvt_from_sint(clif, a)
            }
            Inst::Widen(a) => {
                let a = self.get(a);
                self.b.ins().fpromote(clif, a)
            }
            Inst::Narrow(a) => {
                let a = self.get(a);
                self.b.ins().fdemote(clif, a)
            }
            Inst::HighWord(a) | Inst::LowWord(a) => {
                let a = self.get(a);
                let bits = self.b.ins().bitcast(types::I64, bitcast_flags(), a);
                let bits = if let Inst::HighWord(_) = inst { self.b.ins().ushr_imm_u(bits, 32) } else { bits };
                self.b.ins().ireduce(clif, bits)
            }
            Inst::FromWords(high, low) => {
                let bits = self.join(low, high);
                self.b.ins().bitcast(clif, bitcast_flags(), bits)
            }
            Inst::IntBinary(op, a, b) => {
                let (a, b) = (self.get(a), self.get(b));
                match op {
                    IntBinary::Add => self.b.ins().iadd(a, b),
                    IntBinary::Sub => self.b.ins().isub(a, b),
                    IntBinary::And => self.b.ins().band(a, b),
                    IntBinary::Or => self.b.ins().bor(a, b),
                    IntBinary::Xor => self.b.ins().bxor(a, b),
                }
            }
            Inst::Shift(op, a, by) => {
                let a = self.get(a);
                let by64 = i64::from(by);
                match op {
                    Shift::Left => self.b.ins().ishl_imm_u(a, by64),
                    Shift::LogicalRight => self.b.ins().ushr_imm_u(a, by64),
                    Shift::ArithmeticRight => self.b.ins().sshr_imm_u(a, by64),
                    Shift::RotateLeft if ty.vector => {
                        let left = self.b.ins().ishl_imm_u(a, by64);
                        let right = self.b.ins().ushr_imm_u(a, 32 - by64);
                        self.b.ins().bor(left, right)
                    }
                    Shift::RotateLeft => self.b.ins().rotl_imm_u(a, by64),
                }
            }
            Inst::IntEqual(a, b) => {
                let (a, b) = (self.get(a), self.get(b));
                self.b.ins().icmp(IntCC::Equal, a, b)
            }
            Inst::IntLess(a, b) => {
                let (a, b) = (self.get(a), self.get(b));
                self.b.ins().icmp(IntCC::SignedLessThan, a, b)
            }
            Inst::Splat(a) => {
                let a = self.get(a);
                self.b.ins().splat(clif, a)
            }
            Inst::LaneNumbers => {
                let bytes: Vec<u8> = (0..WIDTH as u32).flat_map(u32::to_le_bytes).collect();
                let handle = self.b.func.dfg.constants.insert(ConstantData::from(bytes));
                self.b.ins().vconst(types::I32X4, handle)
            }
            Inst::Halves(..) => unreachable!("refused by `check`"),
            Inst::Load(_, address, None) => {
                let (base, offset) = self.address(address);
                self.b.ins().load(clif, memory_flags(), base, offset)
            }
            Inst::Load(_, address, active) => self.lanes(clif, address, 1, active),
            Inst::LoadStrided(_, address, stride, active) => self.lanes(clif, address, stride, active),
            Inst::IndexLow(a) => {
                let a = self.get(a);
                self.b.ins().ireduce(types::I32, a)
            }
            Inst::IndexHigh(a) => {
                let a = self.get(a);
                let high = self.b.ins().ushr_imm_u(a, 32);
                self.b.ins().ireduce(types::I32, high)
            }
            Inst::IndexFrom(low, high) => self.join(low, high),
            Inst::Index(x) => self.b.ins().iconst(types::I64, x),
            Inst::IndexAdd(a, b) => {
                let (a, b) = (self.get(a), self.get(b));
                self.b.ins().iadd(a, b)
            }
            Inst::IndexScale(a, by) => {
                let a = self.get(a);
                self.b.ins().imul_imm_s(a, by)
            }
            Inst::IndexDiv(a, by) => {
                let a = self.get(a);
                self.b.ins().udiv_imm_u(a, by)
            }
            Inst::IndexRem(a, by) => {
                let a = self.get(a);
                self.b.ins().urem_imm_u(a, by)
            }
            Inst::IndexMin(a, b) => {
                let (a, b) = (self.get(a), self.get(b));
                self.b.ins().smin(a, b)
            }
        }
    }

    /// 64 bits of two words.
    fn join(&mut self, low: Reg, high: Reg) -> Value {
        let (low, high) = (self.get(low), self.get(high));
        let low = self.b.ins().uextend(types::I64, low);
        let high = self.b.ins().uextend(types::I64, high);
        let high = self.b.ins().ishl_imm_u(high, 32);
        self.b.ins().bor(low, high)
    }

    /// A vector read lane by lane.
    fn lanes(&mut self, clif: Type, address: Address, stride: i64, active: ActiveLanes) -> Value {
        let (base, offset) = self.address(address);
        let mut vector = if active.is_some() { Some(self.vector_constant(0, clif)) } else { None };
        for i in 0..active.map_or(WIDTH as i64, i64::from) {
            let (base, offset) = further(&mut self.b, (base, offset), i * stride * 4);
            let element = self.b.ins().load(clif.lane_type(), memory_flags(), base, offset);
            vector = Some(match vector {
                None => self.b.ins().splat(clif, element),
                Some(vector) => self.b.ins().insertlane(vector, element, i as u8),
            });
        }
        vector.expect("vectors have lanes")
    }

    /// `a` where the comparison holds, else `b`.
    fn chosen(&mut self, condition: FloatCC, a: Value, b: Value, vector: bool) -> Value {
        let mask = self.b.ins().fcmp(condition, a, b);
        if !vector {
            return self.b.ins().select(mask, a, b);
        }
        let mask = self.b.ins().bitcast(types::F32X4, bitcast_flags(), mask);
        self.b.ins().bitselect(mask, a, b)
    }

    fn vector_constant(&mut self, word: u32, ty: Type) -> Value {
        let bytes: Vec<u8> = std::iter::repeat_n(word.to_le_bytes(), WIDTH).flatten().collect();
        let handle = self.b.func.dfg.constants.insert(ConstantData::from(bytes));
        self.b.ins().vconst(ty, handle)
    }
}

/// This many bytes further on: in the offset, where it has room for them.
pub(super) fn further(b: &mut FunctionBuilder<'_>, (base, offset): (Value, i32), bytes: i64) -> (Value, i32) {
    match i32::try_from(i64::from(offset) + bytes) {
        Ok(offset) => (base, offset),
        Err(_) => (b.ins().iadd_imm_s(base, bytes), offset),
    }
}

fn clif_type(ty: RegType) -> Type {
    match (ty.class, ty.vector) {
        (Class::Float, true) => types::F32X4,
        (Class::Float, false) => types::F32,
        // never a vector: refused by `check`
        (Class::Double, _) => types::F64,
        (Class::Int | Class::Mask, true) => types::I32X4,
        (Class::Int, false) => types::I32,
        (Class::Mask, false) => types::I8,
        (Class::Index, _) => types::I64,
    }
}

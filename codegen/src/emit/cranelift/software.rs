//! Instructions that a machine lacks, as functions: exact, with the bits of the instruction.

use cranelift::codegen::{
    ir::{Endianness, Function, LibCall, MemFlagsData, condcodes::FloatCC, types},
    isa::{CallConv, TargetFrontendConfig},
};
use cranelift::prelude::{
    AbiParam, FunctionBuilder, FunctionBuilderContext, InstBuilder, IntCC, Signature, Type, Value,
};

/// The signature of such a function; `None` of one that no kernel needs.
pub(crate) fn software_signature(call: LibCall, convention: CallConv) -> Option<Signature> {
    let (parameters, ty) = match call {
        LibCall::FmaF32 => (3, types::F32),
        LibCall::FloorF32 => (1, types::F32),
        LibCall::FloorF64 => (1, types::F64),
        _ => return None,
    };
    let mut signature = Signature::new(convention);
    signature.params.extend((0..parameters).map(|_| AbiParam::new(ty)));
    signature.returns.push(AbiParam::new(ty));
    Some(signature)
}

/// Fills `function`, which has the signature of `call`.
pub(crate) fn fill_software(
    call: LibCall,
    function: &mut Function,
    context: &mut FunctionBuilderContext,
    target: TargetFrontendConfig,
) {
    let mut b = FunctionBuilder::new(function, context);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let x = b.block_params(entry).to_vec();
    let result = match call {
        LibCall::FmaF32 => fused_multiply_add(&mut b, &x),
        LibCall::FloorF32 => floor(&mut b, x[0], types::I32),
        _ => floor(&mut b, x[0], types::I64),
    };
    b.ins().return_(&[result]);
    b.seal_all_blocks();
    b.finalize(target);
}

/// As `bayeslift_ir::fma`, which says why it is exact: the product of two `f32` is exact in `f64`, and the sum is
/// rounded to odd there.
fn fused_multiply_add(b: &mut FunctionBuilder<'_>, x: &[Value]) -> Value {
    let bits = MemFlagsData::new().with_endianness(Endianness::Little);
    let [x, y, c] = [0, 1, 2].map(|i| b.ins().fpromote(types::F64, x[i]));
    let product = b.ins().fmul(x, y);
    let sum = b.ins().fadd(product, c);
    // the error of the sum, exact where nothing overflows
    let c_part = b.ins().fsub(sum, product);
    let product_part = b.ins().fsub(sum, c_part);
    let (product_error, c_error) = (b.ins().fsub(product, product_part), b.ins().fsub(c, c_part));
    let error = b.ins().fadd(product_error, c_error);
    let zero = b.ins().f64const(0.0);
    let word = b.ins().bitcast(types::I64, bits, sum);
    // 1 toward what is larger in size, -1 toward what is smaller, 0 where the sum is exact, odd or not finite
    let (error_rises, sum_rises) =
        (b.ins().fcmp(FloatCC::GreaterThan, error, zero), b.ins().fcmp(FloatCC::GreaterThan, sum, zero));
    let grows = b.ins().icmp(IntCC::Equal, error_rises, sum_rises);
    let (more, less, none) =
        (b.ins().iconst(types::I64, 1), b.ins().iconst(types::I64, -1), b.ins().iconst(types::I64, 0));
    let toward = b.ins().select(grows, more, less);
    let is_inexact = b.ins().fcmp(FloatCC::NotEqual, error, zero);
    let toward = b.ins().select(is_inexact, toward, none);
    let odd = b.ins().band_imm_u(word, 1);
    let toward = b.ins().select(odd, none, toward);
    let exponent = b.ins().band_imm_u(word, 0x7ff << 52);
    let is_finite = b.ins().icmp_imm_u(IntCC::NotEqual, exponent, 0x7ff << 52);
    let toward = b.ins().select(is_finite, toward, none);
    let word = b.ins().iadd(word, toward);
    let sum = b.ins().bitcast(types::F64, bits, word);
    b.ins().fdemote(types::F32, sum)
}

/// The largest whole number that is not greater. `whole` has room for the numbers that have digits after the point.
fn floor(b: &mut FunctionBuilder<'_>, x: Value, whole: Type) -> Value {
    let ty = b.func.dfg.value_type(x);
    let (one, limit) = match ty {
        types::F32 => (b.ins().f32const(1.0), b.ins().f32const(8_388_608.0)),
        _ => (b.ins().f64const(1.0), b.ins().f64const(4_503_599_627_370_496.0)),
    };
    let size = b.ins().fabs(x);
    let has_digits = b.ins().fcmp(FloatCC::LessThan, size, limit);
    let toward_zero = b.ins().fcvt_to_sint_sat(whole, x);
    let toward_zero = b.ins().fcvt_from_sint(ty, toward_zero);
    let is_greater = b.ins().fcmp(FloatCC::GreaterThan, toward_zero, x);
    let below = b.ins().fsub(toward_zero, one);
    let floor = b.ins().select(is_greater, below, toward_zero);
    // the sign of a zero is that of the number
    let floor = b.ins().fcopysign(floor, x);
    b.ins().select(has_digits, floor, x)
}

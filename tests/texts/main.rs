//! Texts of graphs that nobody printed: each is a typed error, or a graph that every part takes, with the same bits
//! from compiled code and from the evaluator.
//!
//! `BAYESLIFT_CASES=1000000 BAYESLIFT_SEED=7 cargo test --release --test texts` changes that many texts; with
//! `BAYESLIFT_TRACE=FILE` the text that ends the process is left there.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;
mod large;
mod mutated;
mod mutation;

use bayeslift::ir::{DType, Graph, Op, Tensor};

/// The work that is done in a test.
const MAX_ELEMENTS: u64 = 1 << 16;
const MAX_PRODUCTS: u64 = 1 << 21;

/// Whether a graph has few elements and few products.
fn is_small(graph: &Graph) -> bool {
    let elements = |value| graph.ty(value).shape.elements() as u64;
    let depth = |value| match graph.node(value).op {
        Op::Dot => graph.ty(graph.node(value).args[0]).shape.last_extent() as u64,
        _ => 1,
    };
    let mut totals = [0_u64; 2];
    for value in graph.values() {
        totals[0] = totals[0].saturating_add(elements(value));
        totals[1] = totals[1].saturating_add(elements(value).saturating_mul(depth(value)));
    }
    totals[0] <= MAX_ELEMENTS && totals[1] <= MAX_PRODUCTS
}

/// Elements for every input, what is no number among them.
fn inputs(graph: &Graph) -> Vec<Tensor> {
    const SPECIAL: [f32; 8] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.0, 1e-45, f32::MAX, -1e30];
    let tensor = |(number, input): (usize, &bayeslift::ir::Input)| {
        let ty = graph.ty(input.value);
        let word = |i: usize| {
            let bits = (i as u32 ^ (number as u32) << 20).wrapping_mul(0x9e37_79b9) >> 8;
            match ty.dtype {
                DType::F32 if bits.is_multiple_of(13) => SPECIAL[i % SPECIAL.len()].to_bits(),
                DType::F32 => (bits as f32 / (1 << 21) as f32 - 4.0).to_bits(),
                // low words, then high ones
                DType::F64 if i.is_multiple_of(2) => bits,
                DType::F64 if bits.is_multiple_of(13) => {
                    (f64::from(SPECIAL[i / 2 % SPECIAL.len()]).to_bits() >> 32) as u32
                }
                DType::F64 => ((f64::from(bits) / f64::from(1 << 21) - 4.0).to_bits() >> 32) as u32,
                DType::U32 if bits.is_multiple_of(5) => u32::MAX - bits % 3,
                DType::U32 => bits % 7,
                DType::Mask => (bits & 1) * u32::MAX,
            }
        };
        Tensor::from_words(ty, (0..ty.words()).map(word).collect()).unwrap()
    };
    graph.inputs().iter().enumerate().map(tensor).collect()
}

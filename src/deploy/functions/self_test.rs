//! The self-test of an object.

use super::{Functions, Roles, refuse, within};
use crate::{
    FloatCow,
    deploy::{element::Element, status::status},
};
use Width::{Long, Word};
use bayeslift_codegen::routine::{Expr, RoutineBuilder, Variable, Width};

/// The samples of the self-test.
pub const TEST_SAMPLES: usize = 3;

impl Functions<'_> {
    /// Answers for inputs that it makes, and compares each bit. What is not finite has no defined bits.
    pub(super) fn self_test(&self) -> RoutineBuilder {
        let (mut builder, [workspace]) = RoutineBuilder::new([Long]);
        let b = &mut builder;
        self.check_workspace(b, workspace);
        let differs = b.set(0);
        let Roles { many, one, direct, decide } = self.roles;
        let [of_many, of_direct] = &self.expected;
        let (samples, element) = (TEST_SAMPLES as i64, self.parts.element);
        let tests = [(many, of_many, samples), (one, of_many, samples)];
        let decide = decide.map(|decide| (decide, of_many, samples));
        let last = direct.map(|direct| (direct, of_direct, self.defaults.samples as i64));
        within(b, self.architecture, |b| {
            let rows = self.parts.layout.rows;
            let size = self.parts.blocks[many].0.rows * self.parts.units;
            b.each(size as i64, |b, i| {
                b.store(element.width, workspace + i * element.bytes, rows, test_input(element, i));
            });
            self.set_seed(b, workspace, self.defaults.seed as i64);
            for (number, expected, samples) in tests.into_iter().chain(decide).chain(last) {
                let (block, _) = &self.parts.blocks[number];
                let given =
                    [workspace + rows, (block.rows as i64).into(), 0.into(), 0.into(), 0.into(), samples.into()];
                let accumulators = workspace + self.parts.layout.accumulators;
                self.answer(b, number, workspace, accumulators, given);
                let (results, places) = match self.parts.members {
                    None => (block.results(), self.parts.layout.results_of(block)),
                    Some(members) => (members.results().to_vec(), self.parts.layout.together.clone()),
                };
                for ((result, at), &want) in results.iter().zip(places).zip(expected) {
                    b.each((block.rows * result.width) as i64, |b, i| {
                        let want = b.set((Expr::Data(want) + i * element.bytes).load(element.width, 0));
                        let got = (workspace + i * element.bytes).load(element.width, at);
                        let is_finite = (want & element.exponent).equal(element.exponent).is_zero();
                        b.assign(differs, differs | (got.equal(want).is_zero() & is_finite));
                    });
                }
            }
        });
        refuse(b, differs, "ERROR_DIFFERENT");
        b.give(status("OK"));
        builder
    }
}

/// What the bits of inputs are made of: a factor that scatters numbers, what is kept of the product, and what is added.
fn test_bits(element: Element) -> [i64; 3] {
    let scatter = if element.width == Word { 0x9e37_79b1 } else { 0x9e37_79b9_7f4a_7c15_u64 as i64 };
    [scatter, element.sign | (element.least_exponent() - 1), element.bits(1.0)]
}

/// The bits of the self-test's input of this number: between 1 and 2, of either sign.
fn test_input(element: Element, number: Variable) -> Expr {
    let [scatter, kept, one] = test_bits(element);
    ((number * scatter) & kept) | one
}

/// As [`test_input`], of all inputs.
pub fn test_inputs(element: Element, count: usize) -> FloatCow<'static> {
    let [scatter, kept, one] = test_bits(element);
    let bits = (0..count as i64).map(|i| (i.wrapping_mul(scatter) & kept) | one);
    match element.width {
        Word => FloatCow::F32(bits.map(|bits| f32::from_bits(bits as u32)).collect()),
        _ => FloatCow::F64(bits.map(|bits| f64::from_bits(bits as u64)).collect()),
    }
}

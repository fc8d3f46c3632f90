//! Choosing instructions, and looking at weights that the caller brings.

use super::{Functions, WORKSPACE, check_memory, refuse};
use crate::deploy::status::status;
use Width::{Long, Word};
use bayeslift_codegen::routine::{Callee, Expr, RoutineBuilder, Variable, Width};

impl Functions<'_> {
    pub(super) fn init(&self, is_chosen: bool) -> RoutineBuilder {
        // the level, if it is told; then the weights and their bytes, if there are some
        let (mut builder, [workspace, first, second, third]) = RoutineBuilder::new([Long; 4]);
        let b = &mut builder;
        let (level, weights, bytes) = if is_chosen { (first, second, third) } else { (third, first, second) };
        let mut parameters = 1 + usize::from(is_chosen);
        check_memory(b, &[workspace]);
        let chosen = b.set(0);
        if self.has_levels() {
            if !is_chosen {
                let found = b.call(Callee::Level, Vec::new());
                b.assign(level, found);
            }
            for known in self.parts.levels.iter().copied().flatten() {
                let fits = if is_chosen { Expr::from(level).equal(known) } else { Expr::from(known - 1).less(level) };
                b.when(fits, |b| b.assign(chosen, known));
            }
            refuse(b, Expr::from(chosen).is_zero(), "ERROR_INSTRUCTIONS");
        }
        if let Some((sum, length)) = self.weights {
            parameters += 2;
            refuse(b, Expr::from(weights).is_zero(), "ERROR_NULL");
            refuse(b, weights & (self.parts.element.bytes - 1), "ERROR_MISALIGNED");
            refuse(b, Expr::from(bytes).equal(length as i64).is_zero(), "ERROR_WEIGHTS");
            let found = checksum_of(b, weights, length / 4);
            refuse(b, Expr::from(found).equal(sum as i64).is_zero(), "ERROR_WEIGHTS");
        }
        let header = self.parts.layout.header;
        b.store(Long, workspace, header, WORKSPACE);
        b.store(Long, workspace, header + 8, chosen);
        b.store(Long, workspace, header + 16, weights);
        b.give(status("OK"));
        builder.keep_parameters(parameters);
        builder
    }
}

/// As [`checksum`], of `count` words from the address `words` on.
pub fn checksum_of(b: &mut RoutineBuilder, words: Variable, count: u64) -> Variable {
    let found = b.set(0);
    b.each(count as i64, |b, i| {
        b.assign(found, (found + (words + i * 4).load(Word, 0)) * CHECKSUM as i64);
        b.assign(found, found + (found >> 32));
    });
    found
}

/// The factor of checksums.
const CHECKSUM: u64 = 0x9e37_79b9_7f4a_7c15;

/// The checksum of weights: of damage it tells, of malice it does not.
pub fn checksum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    words.fold(0_u64, |sum, word| {
        let sum = sum.wrapping_add(word.into()).wrapping_mul(CHECKSUM);
        sum.wrapping_add(sum >> 32)
    })
}

//! The kernels of a table, one after the other.

use super::{Expr, Statement};
use crate::{KernelArgument, KernelTable};
use bayeslift_passes::Place;

/// What a program reads, as it grows.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Where words lie that were added.
    known: std::collections::HashMap<Vec<u32>, u64>,
}

/// What data are aligned to: a cache line.
const LINE: usize = 64;

impl Data {
    /// Adds bytes at a cache line; returns where they lie.
    pub fn add(&mut self, bytes: &[u8]) -> u64 {
        self.bytes.resize(self.bytes.len().next_multiple_of(LINE), 0);
        let at = self.bytes.len() as u64;
        self.bytes.extend(bytes);
        at
    }

    /// Adds words, or finds those that were added; returns where they lie.
    pub fn words(&mut self, words: &[u32]) -> u64 {
        if let Some(&at) = self.known.get(words) {
            return at;
        }
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let at = self.add(&bytes);
        self.known.insert(words.to_vec(), at);
        at
    }
}

/// Where a table's kernels find memory.
#[derive(Clone, Debug)]
pub struct Memory {
    /// The addresses of its inputs.
    pub inputs: Vec<Expr>,
    /// The addresses of its outputs; those of outputs that update inputs are not looked at.
    pub outputs: Vec<Expr>,
    /// The address of intermediate values.
    pub arena: Expr,
    /// The address of scratch memory.
    pub scratch: Expr,
    /// The address of what tiles of one kernel share.
    pub shared: Expr,
}

/// What runs all stages of a table in their order. The function of its first symbol is the kernel number `first`.
pub fn launches(table: &KernelTable, first: usize, memory: &Memory, data: &mut Data) -> Vec<Statement> {
    let stages = table.stages.iter().map(|stage| {
        let arguments = stage.arguments.iter().map(|argument| match argument {
            KernelArgument::Place(Place::Input(i)) => memory.inputs[*i].clone(),
            KernelArgument::Place(Place::Output(i)) => memory.outputs[*i].clone(),
            KernelArgument::Place(Place::Arena(offset)) => memory.arena.clone() + *offset as i64,
            KernelArgument::Shared => memory.shared.clone(),
            KernelArgument::Words(words) => Expr::Data(data.words(words)),
        });
        Statement::Launch {
            kernel: first + stage.symbol.0,
            arguments: arguments.collect(),
            scratch: memory.scratch.clone(),
            tiles: stage.tiles,
        }
    });
    stages.collect()
}

//! What is the own of each member of an ensemble, as a table in the object's data, and how their answers become one.
//!
//! Members share all code: a kernel finds a member's parameters through its row of the table, and noise by its seed.

use super::{
    block::{Block, Column, columns},
    element::Element,
    language::Language,
};
use crate::{Error, ensemble::combine};
use bayeslift_codegen::{KernelTable, Program, Target, routine::Data};
use bayeslift_passes::Rewritten;
use bayeslift_runtime::Options;

/// The members of an ensemble, and what makes one answer of theirs.
#[derive(Debug)]
pub struct Members {
    pub count: usize,
    /// For each block how it is made one answer: its number in `answers`.
    pub of_block: Vec<usize>,
    pub answers: Vec<Answer>,
    /// Where the table lies in the data. A member's row is a long for what its seed is more than the first's, and one
    /// for each value that a block knows: how far it lies from the beginning of data or weights.
    pub table: u64,
    pub row_bytes: i64,
    /// Where in a row the values of each block begin, and how many there are.
    known: Vec<(i64, usize)>,
}

/// What makes one answer for blocks of `rows` rows, compiled for each level.
#[derive(Debug)]
pub struct Answer {
    pub rows: usize,
    pub results: Vec<Column>,
    /// The kernel table for each level, and its first kernel's number.
    pub compiled: Vec<(KernelTable, usize)>,
}

impl Members {
    /// Of `count` members of this type and these blocks; kernels are appended.
    pub fn new<L: Language>(
        language: &L,
        (count, element): (usize, Element),
        blocks: &[Block],
        targets: &[Target],
        kernels: &mut Vec<L::Function>,
    ) -> Result<Members, Error> {
        let mut answers: Vec<Answer> = Vec::new();
        let mut of_block = Vec::new();
        for block in blocks {
            let known = answers.iter().position(|answer| answer.rows == block.rows);
            of_block.push(known.unwrap_or(answers.len()));
            if known.is_some() {
                continue;
            }
            let told = block.results();
            let told: Vec<combine::Told<'_>> = told.iter().map(|column| (column.name.as_str(), column.width)).collect();
            let graph: Rewritten =
                Options::default().optimize(&combine::graph(element.dtype, &told, count, block.rows)?)?;
            let mut compiled = Vec::new();
            for &target in targets {
                let options = Options::default().target(target).threads(1);
                let Program { table, functions } = language.emit(&options, &graph)?;
                compiled.push((table, kernels.len()));
                kernels.extend(functions);
            }
            answers.push(Answer { rows: block.rows, results: columns(&graph.graph, block.rows), compiled });
        }
        let mut end = 8;
        let known = blocks.iter().map(|block| {
            let (first, values) = (end, block.known[0].len());
            end += 8 * values as i64;
            (first, values)
        });
        let known = known.collect();
        Ok(Members { count, of_block, answers, table: 0, row_bytes: end, known })
    }

    /// Puts the table into the data: for each member what its seed is more than the first's, and for each block where
    /// the values lie that it knows.
    pub fn place(&mut self, seeds: &[u64], known: &[Vec<Vec<u64>>], data: &mut Data) {
        let row = |(seed, known): (&u64, &Vec<Vec<u64>>)| {
            let longs = std::iter::once(seed.wrapping_sub(seeds[0])).chain(known.iter().flatten().copied());
            longs.flat_map(u64::to_le_bytes).collect::<Vec<u8>>()
        };
        self.table = data.add(&seeds.iter().zip(known).flat_map(row).collect::<Vec<u8>>());
    }

    /// Where in a member's row the values are told that a block knows.
    pub fn known_of(&self, block: usize) -> impl Iterator<Item = i64> + use<> {
        let (first, count) = self.known[block];
        (0..count as i64).map(move |i| first + 8 * i)
    }

    /// Whether what members give by this name is read.
    pub fn reads(name: &str) -> bool {
        combine::READ.contains(&name)
    }

    /// The results of all together.
    pub fn results(&self) -> &[Column] {
        &self.answers[0].results
    }

    /// All kernel tables.
    pub fn tables(&self) -> impl Iterator<Item = &KernelTable> {
        self.answers.iter().flat_map(|answer| &answer.compiled).map(|(table, _)| table)
    }
}

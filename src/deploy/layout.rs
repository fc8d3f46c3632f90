//! Where things lie in the memory that a caller of an object brings.

use super::{
    block::{Block, Column, Compiled},
    element::Element,
    members::Members,
};

/// What workspaces are aligned to, and everything in them.
pub const ALIGN: u64 = 64;

/// Byte offsets in a workspace.
#[derive(Clone, Debug)]
pub struct Layout {
    /// What tells that it was initialised, the level, and the address of the weights: a long each.
    pub header: i64,
    /// Of an ensemble: the address of what is the own of the member that is asked, and the seed that members' seeds are
    /// counted from.
    pub member: i64,
    pub seed: i64,
    /// The key that noise is addressed by: four words.
    pub key: i64,
    /// What changes from block to block.
    pub first_sample: i64,
    pub first_row: i64,
    pub done: i64,
    pub end: i64,
    pub samples: i64,
    /// The number of the look, where one decides.
    pub look: i64,
    /// Whether a value was not finite that results do not show.
    pub watch: i64,
    /// The inputs of a block whose rows are not all there.
    pub rows: i64,
    /// For each block its accumulators, one after the other, and their bytes.
    pub accumulators: i64,
    /// The results of a block, one after the other; see [`Layout::results_of`].
    pub results: i64,
    /// What members of an ensemble gave, result by result, with a place for each that is read; and the addresses of
    /// these, as a caller tells them.
    pub gathered: Vec<Option<i64>>,
    pub gathered_at: i64,
    /// Where each result of all members together lies.
    pub together: Vec<i64>,
    /// The bytes of a number of inputs and results.
    element: u64,
    pub arena: i64,
    pub scratch: i64,
    pub shared: i64,
    /// The size of it all.
    pub bytes: u64,
}

impl Layout {
    /// A layout for these blocks, which are compiled for one target or several, with inputs of `units` numbers a row.
    pub fn new(
        blocks: &[(Block, Vec<Compiled>)],
        members: Option<&Members>,
        (units, element): (usize, Element),
    ) -> Layout {
        let element = element.bytes as u64;
        let mut places = Places::default();
        let mut take = |bytes| places.take(bytes);
        let most = |of: &dyn Fn(&Block) -> u64| blocks.iter().map(|(block, _)| of(block)).max().unwrap_or(0);
        let of_blocks = || blocks.iter().flat_map(|(_, all)| all).flat_map(|c| [Some(&c.update), c.finish.as_ref()]);
        let tables = || of_blocks().flatten().chain(members.into_iter().flat_map(Members::tables));
        let header = take(ALIGN);
        let address = take(ALIGN);
        let rows = take(most(&|block| (block.rows * units) as u64 * element));
        let accumulators = take(most(&accumulator_bytes));
        let results = take(most(&|block| total(result_bytes(block, element))));
        let mut gathered = Vec::new();
        let mut together = Vec::new();
        let mut gathered_at = 0;
        if let Some(members) = members {
            let rows = most(&|block| block.rows as u64);
            let bytes = |column: &Column| rows * column.width as u64 * element;
            let told = blocks[0].0.results();
            let is_read = |column: &&Column| Members::reads(&column.name);
            gathered = told
                .iter()
                .map(|column| Some(column).filter(is_read).map(|c| take(bytes(c) * members.count as u64)))
                .collect();
            gathered_at = take(told.len() as u64 * 8);
            together = members.results().iter().map(|column| take(bytes(column))).collect();
        }
        let arena = take(tables().map(|table| table.arena_bytes as u64).max().unwrap_or(0));
        let scratch = take(tables().map(|table| table.scratch_bytes as u64).max().unwrap_or(0));
        let shared = take(tables().map(|table| table.shared_bytes as u64).max().unwrap_or(0));
        Layout {
            header,
            member: header + 24,
            seed: header + 32,
            key: address,
            first_sample: address + 16,
            first_row: address + 20,
            done: address + 28,
            end: address + 32,
            samples: address + 36,
            watch: address + 40,
            look: address + 44,
            rows,
            accumulators,
            results,
            gathered,
            gathered_at,
            together,
            element,
            arena,
            scratch,
            shared,
            bytes: places.end,
        }
    }

    /// Where each result of a block lies.
    pub fn results_of(&self, block: &Block) -> Vec<i64> {
        let mut places = Places { end: self.results as u64 };
        result_bytes(block, self.element).map(|bytes| places.take(bytes)).collect()
    }
}

/// Where each accumulator of a block lies, from the first on.
pub fn accumulators_of(block: &Block) -> Vec<i64> {
    let mut places = Places::default();
    block.accumulator_bytes().into_iter().map(|bytes| places.take(bytes)).collect()
}

/// The bytes of all accumulators of a block.
pub fn accumulator_bytes(block: &Block) -> u64 {
    total(block.accumulator_bytes().into_iter())
}

fn result_bytes(block: &Block, element: u64) -> impl Iterator<Item = u64> {
    let rows = block.rows;
    block.results().into_iter().map(move |result| (rows * result.width) as u64 * element)
}

/// The bytes of pieces that lie one after the other.
fn total(pieces: impl Iterator<Item = u64>) -> u64 {
    pieces.map(|bytes| bytes.next_multiple_of(ALIGN)).sum()
}

/// Gives places one after the other, each aligned.
#[derive(Debug, Default)]
pub struct Places {
    /// How many bytes were given.
    pub end: u64,
}

impl Places {
    /// Where the next bytes lie.
    pub fn take(&mut self, bytes: u64) -> i64 {
        let at = self.end;
        self.end += bytes.next_multiple_of(ALIGN);
        at as i64
    }
}

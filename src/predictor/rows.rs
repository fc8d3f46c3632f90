//! Which rows of a call are computed at once.

use crate::FloatCow;
use std::borrow::Cow;

/// The numbers of a call's rows, which their noise is addressed by.
#[derive(Clone, Copy, Debug)]
pub enum Numbers<'a> {
    /// From this one on.
    From(u64),
    /// One for each row.
    Each(&'a [u64]),
}

impl Numbers<'_> {
    fn of(self, row: usize) -> u64 {
        match self {
            Numbers::From(first) => first.wrapping_add(row as u64),
            Numbers::Each(numbers) => numbers[row],
        }
    }
}

/// Rows of a call that are computed at once, in a block of `size` rows.
#[derive(Clone, Debug)]
pub struct RowBlock {
    /// The number of the block's first row.
    pub first: u64,
    pub size: usize,
    /// Places in the block and the call's rows there. The numbers of the block's rows are consecutive.
    pub rows: Vec<(usize, usize)>,
}

impl RowBlock {
    /// Blocks of `size` rows, and of single ones, for these rows of a call.
    ///
    /// Rows whose numbers are close share a block, in whatever order they come; numbers in between that no row has cost
    /// what rows cost. Rows of one number are in different blocks.
    pub fn all(mut rows: Vec<usize>, numbers: Numbers<'_>, size: usize) -> Vec<RowBlock> {
        if let &[row] = &rows[..] {
            // as most calls of a service are
            return vec![RowBlock::alone(row, numbers)];
        }
        rows.sort_by_key(|&row| numbers.of(row));
        // The first rows of all numbers, the second ones, ..
        let (mut turns, mut turn): (Vec<Vec<usize>>, usize) = (Vec::new(), 0);
        for (i, &row) in rows.iter().enumerate() {
            turn = if i > 0 && numbers.of(rows[i - 1]) == numbers.of(row) { turn + 1 } else { 0 };
            if turn == turns.len() {
                turns.push(Vec::new());
            }
            turns[turn].push(row);
        }
        let mut blocks = Vec::new();
        turns.iter().for_each(|rows| add_blocks(rows, numbers, size, &mut blocks));
        blocks
    }

    /// A block of one row of a call.
    pub fn alone(row: usize, numbers: Numbers<'_>) -> RowBlock {
        RowBlock { first: numbers.of(row), size: 1, rows: vec![(0, row)] }
    }

    /// Puts what the block's rows have where the call has these rows.
    pub fn scatter<T: Copy>(&self, of_block: &[T], all: &mut [T], units: usize) {
        for &(place, row) in &self.rows {
            all[row * units..][..units].copy_from_slice(&of_block[place * units..][..units]);
        }
    }

    /// As [`RowBlock::of`], of floats.
    pub fn floats<'v>(&self, all: &'v FloatCow<'_>, units: usize) -> FloatCow<'v> {
        match all {
            FloatCow::F32(all) => FloatCow::F32(self.of(all, units)),
            FloatCow::F64(all) => FloatCow::F64(self.of(all, units)),
        }
    }

    /// Their part of values that a row has `units` of, with zeros where the block has no row.
    pub fn of<'v, T: Copy + Default>(&self, all: &'v [T], units: usize) -> Cow<'v, [T]> {
        let first = self.rows.first().map_or(0, |&(_, row)| row);
        if self.rows.len() == self.size && self.rows.iter().zip(first..).all(|(&(_, row), next)| row == next) {
            return all[first * units..(first + self.size) * units].into();
        }
        let mut padded = vec![T::default(); self.size * units];
        for &(place, row) in &self.rows {
            padded[place * units..][..units].copy_from_slice(&all[row * units..][..units]);
        }
        padded.into()
    }
}

/// Blocks for rows of different numbers in increasing order.
fn add_blocks(mut rows: &[usize], numbers: Numbers<'_>, size: usize, blocks: &mut Vec<RowBlock>) {
    while let Some(&row) = rows.first() {
        let first = numbers.of(row);
        let place = |row: usize| (numbers.of(row) - first) as usize;
        let near = rows.partition_point(|&row| numbers.of(row) - first < size as u64);
        // Padding more than half a block costs more than single rows.
        let (size, count) = if near * 2 <= size { (1, 1) } else { (size, near) };
        let (block, rest) = rows.split_at(count);
        blocks.push(RowBlock { first, size, rows: block.iter().map(|&row| (place(row), row)).collect() });
        rows = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row is in one block, at the place of its number; blocks are full but where numbers are missing.
    #[test]
    fn rows_are_where_their_numbers_are() {
        let cases: [&[u64]; 7] = [
            &[7],
            &[3, 2, 1, 0, 4, 5, 6, 7, 8],
            &[5, 5, 5, 5, 6, 6, 7, 8],
            &[0, 10, 20, 30, 40],
            &[0, 1, 3, 100, 101, 103, 102],
            &[u64::MAX, 0, 1, u64::MAX - 1, u64::MAX - 2],
            &[1 << 40, (1 << 40) + 2, (1 << 40) + 3, 0],
        ];
        for numbers in cases {
            let blocks = RowBlock::all((0..numbers.len()).collect(), Numbers::Each(numbers), 4);
            let mut seen = vec![0; numbers.len()];
            for block in &blocks {
                assert!(
                    block.size == 1 && block.rows.len() == 1 || block.size == 4 && block.rows.len() > 2,
                    "{block:?}"
                );
                for &(place, row) in &block.rows {
                    assert!(place < block.size, "{block:?}");
                    assert_eq!(block.first.wrapping_add(place as u64), numbers[row], "{block:?}");
                    seen[row] += 1;
                }
            }
            assert!(seen.iter().all(|&times| times == 1), "{numbers:?}: {blocks:?}");
        }
        let reversed: Vec<u64> = (0..8).rev().collect();
        let blocks = RowBlock::all((0..8).collect(), Numbers::Each(&reversed), 4);
        assert_eq!(blocks.len(), 2);
        let values: Vec<u32> = (0..16).collect();
        assert_eq!(blocks[0].of(&values, 2)[..], [14, 15, 12, 13, 10, 11, 8, 9]);
        let far = RowBlock::all((0..6).collect(), Numbers::From(u64::MAX - 2), 4);
        assert_eq!(far.iter().map(|block| block.rows.len()).sum::<usize>(), 6);
    }
}

//! Which elements of a kernel's index space each of its tiles computes.

/// How the elements of a kernel's index space, in row-major order, are divided among tiles: blocks of the same number
/// of elements are cut into spans of `step`, of which the last may have fewer or more, and each span belongs to some
/// tiles that are beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    /// The elements of a block.
    pub(super) block: usize,
    /// The spans of a block.
    pub(super) spans: usize,
    /// The elements of each span but the last.
    pub(super) step: usize,
    /// How many tiles share a span.
    pub(super) beside: usize,
}

impl Tiling {
    /// One block, in spans of one tile each.
    pub(super) fn of_one_block(elements: usize, step: usize) -> Tiling {
        Tiling { block: elements, spans: elements.div_ceil(step), step, beside: 1 }
    }

    /// Where the elements of a tile begin.
    pub fn begin(&self, tile: usize) -> usize {
        let span = tile / self.beside;
        span / self.spans * self.block + span % self.spans * self.step
    }

    /// Where the elements of the first `tiles` tiles end.
    pub fn end(&self, tiles: usize) -> usize {
        self.begin(tiles.next_multiple_of(self.beside))
    }

    /// Whether no tile before this one shares its elements.
    pub fn is_first_of_span(&self, tile: usize) -> bool {
        tile.is_multiple_of(self.beside)
    }

    /// How many tiles there are whose elements are those before this one; `None` if some tile's are on both sides.
    pub fn tiles_before(&self, element: usize) -> Option<usize> {
        let (block, rest) = (element / self.block, element % self.block);
        let spans = rest / self.step;
        let is_between = rest.is_multiple_of(self.step) && spans < self.spans;
        is_between.then_some((block * self.spans + spans) * self.beside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_where_they_begin_and_end() {
        let maps = Tiling::of_one_block(100, 16);
        assert_eq!((maps.begin(0), maps.begin(3), maps.end(3), maps.end(7)), (0, 48, 48, 100));
        assert_eq!((maps.tiles_before(48), maps.tiles_before(50), maps.tiles_before(100)), (Some(3), None, Some(7)));
        // 2 products of 10 rows and 3 columns, rows 0..4 and 4..10, two tiles beside each other
        let products = Tiling { block: 30, spans: 2, step: 12, beside: 2 };
        let begins: Vec<usize> = (0..=8).map(|tile| products.begin(tile)).collect();
        assert_eq!(begins, [0, 0, 12, 12, 30, 30, 42, 42, 60]);
        let ends: Vec<usize> = (0..=8).map(|tile| products.end(tile)).collect();
        assert_eq!(ends, [0, 12, 12, 30, 30, 42, 42, 60, 60]);
        let before: Vec<_> = [0, 12, 24, 30, 42, 60].map(|element| products.tiles_before(element)).into();
        assert_eq!(before, [Some(0), Some(2), None, Some(4), Some(6), Some(8)]);
    }
}

//! How large tiles of matrix products are. Bits do not depend on it.

use crate::Target;
use bayeslift_ir::DOT_CHUNK;
use bayeslift_passes::Costs;

/// The register tile of a product: sums of this many rows and vectors of columns stay in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RegisterTile {
    pub rows: usize,
    pub vectors: usize,
    /// Of the last columns: fewer where those need fewer.
    pub last_vectors: usize,
    pub rest: Rest,
    /// What the rows of all cache tiles but the last are a multiple of.
    pub row_step: usize,
}

/// The register tiles at the end of a product's rows, where those are no multiple of the register tile's: the last `of`
/// rows are in one or two tiles of fewer rows each, of which the second may overlap the first. None where another whole
/// register tile takes no longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rest {
    pub of: usize,
    pub tiles: usize,
    pub rows: usize,
}

impl Rest {
    fn new(of: usize, tiles: usize) -> Rest {
        Rest { of, tiles, rows: of.div_ceil(tiles) }
    }

    pub fn overlaps(self) -> bool {
        self.tiles * self.rows > self.of
    }
}

/// Where an epilogue reads several tensors as large as the product, as an update does, tiles are as wide as rows, if
/// those are no wider than this, so that memory is read in long runs, and what is brought near for an epilogue, while
/// its tile is multiplied, stays in the second-level cache. Products that take longer than their epilogues, only where
/// rows would be cut. Deep ones never: their right operand would not stay in the cache for so few rows.
const STREAMS: usize = 3;
const STREAMED_COLUMNS: usize = 2048;
const SHALLOW: usize = 64;
const DEEP: usize = 1024;
/// Columns of the right operand that are packed at once where its lines compete: more of each row, before it is gone.
pub(super) const COMPETING_COLUMNS: usize = 64;
/// The same where rows come from beyond the second-level cache: in longer runs.
pub(super) const FAR_COLUMNS: usize = 128;
/// How many vectors are computed side by side: each is a chain of operations that wait for each other, and the machine
/// does not look far ahead.
pub(super) const INTERLEAVED: usize = 4;
/// Noise units come in blocks of this many, or of half as many where that is a row; a word pair serves a unit and the
/// one half a block on.
pub(super) const NOISE_BLOCK: usize = 32;
/// Where kernels can be cut so that a thread does all there is to do with some rows without waiting for others: at
/// multiples of `BAND` rows, which suits products, reductions of short rows, and vectors of a number for each row.
pub(super) const BAND: usize = 16;
const _: () = assert!(NOISE_BLOCK.is_multiple_of(BAND));
/// The most multiply-adds that a row of a product takes which is cut there.
pub(super) const BANDED: usize = 1 << 15;
/// How many tiles for each thread are shared evenly enough, whatever their size, and how many more parts are tried for
/// fewer.
const MANY_TILES: usize = 8;
const MORE_PARTS: usize = 6;
/// A rest of at most a third of a tile joins the tile before it.
const SMALL_REST: usize = 3;
/// What packing an element takes, in accesses: most of it is waiting for memory.
const PACKING: usize = 16;
/// How much later than the others a thread comes, in picoseconds.
const LATE: u64 = 10_000_000;
/// What cannot be hidden of the cycles until a fused multiply-add may add to the same sum again.
const NOT_HIDDEN: f64 = 0.5;
/// Loads in a cycle.
const LOADS: f64 = 2.0;
/// How many eighths of the first-level cache a right panel may take that stays there while rows of tiles pass over it.
const EIGHTHS: usize = 5;
/// Cycles around the loop along the contracted axis.
const AROUND: f64 = 60.0;
/// Rows of a register tile.
const MOST_ROWS: usize = 14;
/// Vectors of a register tile whose right operand is transposed while it is read.
const TRANSPOSED_VECTORS: usize = 2;

impl RegisterTile {
    /// The tile that takes the fewest cycles, by a simple model: each step along the contracted axis multiplies, loads
    /// a piece of the right operand's row and elements of the left, and waits for sums. The last tiles of rows are a
    /// [`Rest`], or reach beyond the product, or overlap their neighbours; those of columns are of as many vectors as
    /// they need. Larger tiles win where the model sees no difference. `rows_compete` says whether the left operand's
    /// rows do, for a few sets of the first-level cache, and `in_strips` whether it is packed in strips of as many rows
    /// as the register tile has; `in_bands` whether cache tiles have multiples of [`BAND`] rows.
    pub fn new(
        (rows, cols, depth): (usize, usize, usize),
        rows_compete: bool,
        in_strips: bool,
        in_bands: bool,
        target: Target,
    ) -> RegisterTile {
        let (registers, width) = (target.registers(), target.lanes());
        if target.is_portable() {
            return RegisterTile::portable(rows, cols, in_bands, target);
        }
        let machine = target.machine();
        // where registers allow, the wide copy of an element is used more than once
        let least_vectors = if target.has_large_tiles() { 2.min(cols.div_ceil(width)) } else { 1 };
        // rows that compete for one set of the first-level cache: as many as it has ways
        let most_rows = if rows_compete { machine.first_level.ways.min(MOST_ROWS) } else { MOST_ROWS };
        let latency = f64::from(machine.latencies.arithmetic) + NOT_HIDDEN;
        let near_bytes = machine.first_level.bytes / 8 * EIGHTHS;
        let depth = depth.min(DOT_CHUNK);
        // of one register tile of `tile_rows` rows
        let cycles = |tile_rows: usize, vectors: usize| {
            let (r, v) = (tile_rows as f64, vectors as f64);
            let row_bytes = vectors * width * 4;
            let is_near = rows <= tile_rows || depth * row_bytes <= near_bytes;
            let transfer = if is_near { 0.0 } else { row_bytes as f64 / machine.transfer };
            let step = (r * v / target.multiply_adds()).max((r + v) / LOADS).max(latency).max(transfer);
            step * depth as f64 + AROUND
        };
        let all_rows = |tile: &RegisterTile, vectors: usize| {
            let whole = (rows - tile.rest.of).div_ceil(tile.rows);
            whole as f64 * cycles(tile.rows, vectors) + tile.rest.tiles as f64 * cycles(tile.rest.rows, vectors)
        };
        let all = |tile: &RegisterTile| {
            let strips = cols.div_ceil(tile.vectors * width);
            (strips - 1) as f64 * all_rows(tile, tile.vectors) + all_rows(tile, tile.last_vectors)
        };
        let with_rests = |(tile_rows, vectors): (usize, usize)| {
            let last_vectors = last_vectors(cols, vectors, target);
            let row_step = if in_bands { BAND } else { tile_rows };
            let tile = move |rest: Rest| RegisterTile { rows: tile_rows, vectors, last_vectors, rest, row_step };
            let over = rows % tile_rows;
            let rests = [Rest::default(), Rest::new(over, 1), Rest::new(tile_rows + over, 2)];
            let possible = if over == 0 || rows < tile_rows {
                1
            } else if in_strips {
                2
            } else {
                3
            };
            rests.into_iter().take(possible).map(tile)
        };
        let tiles =
            (1..=rows.min(most_rows)).flat_map(|rows| (least_vectors..registers).map(move |vectors| (rows, vectors)));
        let fits_bands = |tile: &RegisterTile| {
            // cut into bands of some size without a rest, and the last rows into a register tile and the rest
            let is_cut_well = (3 * BAND).is_multiple_of(tile.rows);
            let has_last = tile.rows + tile.rest.of <= BAND || rows >= 4 * BAND;
            !in_bands || is_cut_well && has_last
        };
        let tiles = tiles.flat_map(with_rests);
        let fits = |tile: &RegisterTile| {
            // one row reads its factors from memory
            let factors = if tile.rows == 1 { 0 } else { tile.vectors };
            tile.rows * tile.vectors + factors < registers && tile.vectors <= cols.div_ceil(width)
        };
        let best = tiles.filter(|tile| fits(tile) && fits_bands(tile)).min_by(|a, b| {
            let sums = |tile: &RegisterTile| tile.rows * tile.vectors;
            all(a).total_cmp(&all(b)).then(sums(b).cmp(&sums(a)))
        });
        best.unwrap_or_else(|| RegisterTile::without_rest(1, 1, cols, target))
    }

    fn without_rest(rows: usize, vectors: usize, cols: usize, target: Target) -> RegisterTile {
        RegisterTile {
            rows,
            vectors,
            last_vectors: last_vectors(cols, vectors, target),
            rest: Rest::default(),
            row_step: rows,
        }
    }

    /// Of one row, as many vectors as leave room for what transposing four columns takes.
    pub fn transposing(cols: usize, target: Target) -> RegisterTile {
        RegisterTile::without_rest(1, TRANSPOSED_VECTORS.min(cols.div_ceil(target.lanes())), cols, target)
    }

    /// Of six rows and two vectors, the best that was measured for Cranelift's code, which copies a factor of each
    /// multiply-add; of more vectors where there is one row.
    fn portable(rows: usize, cols: usize, in_bands: bool, target: Target) -> RegisterTile {
        let vectors = if rows == 1 { 8 } else { 2 };
        let tile = RegisterTile::without_rest(rows.min(6), vectors.min(cols.div_ceil(target.lanes())), cols, target);
        RegisterTile { row_step: if in_bands { BAND } else { tile.row_step }, ..tile }
    }

    /// How many of `cols` columns are in narrower tiles.
    pub fn narrow_columns(self, cols: usize, target: Target) -> usize {
        if self.last_vectors < self.vectors { cols % (self.vectors * target.lanes()) } else { 0 }
    }
}

/// How many vectors the last of `cols` columns need, in register tiles of `vectors` vectors.
fn last_vectors(cols: usize, vectors: usize, target: Target) -> usize {
    let width = target.lanes();
    match (cols % (vectors * width)).div_ceil(width) {
        0 => vectors,
        last => last,
    }
}

/// How an axis is cut into cache tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The extent of all tiles but the last.
    pub size: usize,
    pub tiles: usize,
    /// The last tile's extent. It takes a rest that would be a small tile, which packs operands as large ones do.
    pub last: usize,
}

impl Cut {
    fn new(extent: usize, size: usize) -> Cut {
        let (whole, rest) = (extent / size, extent % size);
        match whole {
            0 => Cut { size: extent, tiles: 1, last: extent },
            _ if rest * SMALL_REST <= size => Cut { size, tiles: whole, last: size + rest },
            _ => Cut { size, tiles: whole + 1, last: rest },
        }
    }

    /// One tile.
    pub fn whole(extent: usize) -> Cut {
        Cut::new(extent, extent)
    }

    pub fn largest(self) -> usize {
        if self.tiles == 1 { self.last } else { self.size.max(self.last) }
    }

    fn extents(self) -> impl Iterator<Item = usize> {
        (1..=self.tiles).map(move |n| if n < self.tiles { self.size } else { self.last })
    }
}

/// How rows and columns are cut into cache tiles, rows into multiples of the register tile's or of [`BAND`]: as large
/// as caches allow for one thread; for several, of the sizes that also share the work among them the ones that are done
/// first. `depth` is how many multiply-adds an element of the result takes.
pub(super) fn cache_tile(
    (batches, rows, cols): (usize, usize, usize),
    depth: usize,
    tile: RegisterTile,
    target: Target,
    packed: Packed,
    threads: usize,
) -> (Cut, Cut) {
    let machine = target.machine();
    let (tile_cols, costs, most) = (tile.vectors * target.lanes(), &machine.costs, machine.cache_tile);
    let step = least_common_multiple(tile_cols, NOISE_BLOCK);
    let (most_rows, most_cols) = match packed {
        Packed { streams: STREAMS.., .. } if depth <= SHALLOW || depth <= DEEP && cols > most.columns_of_packed => {
            let elements = machine.streamed / (4 * packed.streams);
            (elements / cols.min(STREAMED_COLUMNS), STREAMED_COLUMNS)
        }
        Packed { lefts: 0, .. } => (most.rows, most.columns),
        _ => (most.rows, most.columns_of_packed),
    };
    let most_rows = most_rows.clamp(tile.rows, most.rows.max(tile.rows));
    // the rest is in the last tile; in bands, whose register tiles overlap, after at least a whole register tile
    let least_rows = match tile.row_step == tile.rows {
        true => tile.rows.max(tile.rest.of),
        false => tile.rows + tile.rest.of,
    };
    let (row_parts, col_parts) = (rows.div_ceil(most_rows), cols.div_ceil(most_cols));
    let cut = |more: (usize, usize), round: fn(usize, usize) -> usize| {
        let near_rows = rows.div_ceil(row_parts + more.0).next_multiple_of(tile.row_step);
        let near_cols = round(cols.div_ceil(col_parts + more.1), step);
        (cut_near(rows, least_rows, tile.row_step, near_rows), cut_near(cols, tile_cols, step, near_cols))
    };
    let up = |x: usize, step: usize| x.next_multiple_of(step);
    if threads == 1 || batches * row_parts * col_parts >= MANY_TILES * threads {
        return cut((0, 0), up);
    }
    // When the last thread is done, if each takes the next tile when it is free, and all but one wait for one that came
    // late, or half a tile. In multiply-adds for each step along the contracted axis.
    let done = |&(row_cut, col_cut): &(Cut, Cut)| {
        let mut busy = vec![0; threads];
        for _ in 0..batches {
            // the last rows may be a rest, others are whole register tiles
            let whole =
                |(i, rows): (usize, usize)| if i + 1 < row_cut.tiles { rows.next_multiple_of(tile.rows) } else { rows };
            let rows = row_cut.extents().enumerate().map(whole);
            for (rows, cols) in rows.flat_map(|r| col_cut.extents().map(move |c| (r, c))) {
                *busy.iter_mut().min().expect("there is a thread") += packed.work(rows, cols, costs);
            }
        }
        let late = (packed.work(row_cut.size, col_cut.size, costs) / 2)
            .min(LATE as usize / costs.product as usize / depth)
            * (threads - 1)
            / threads;
        busy.into_iter().max().unwrap_or(0) + late
    };
    let parts = (0..MORE_PARTS).flat_map(|i| (0..MORE_PARTS).map(move |j| (i, j)));
    let down = |x: usize, step: usize| (x / step * step).max(step);
    let cuts = parts.flat_map(|more| [cut(more, up), cut(more, down)]);
    cuts.min_by_key(done).unwrap_or_else(|| cut((0, 0), up))
}

/// How many products a kernel has, how many of them pack their left and right operands, and how many tensors of the
/// products' size the epilogue reads, or makes and keeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed {
    pub products: usize,
    pub lefts: usize,
    pub rights: usize,
    pub streams: usize,
}

impl Packed {
    /// What a tile of a product takes, in multiply-adds for each step along the contracted axis.
    fn work(self, rows: usize, cols: usize, costs: &Costs) -> usize {
        rows * cols
            + PACKING * costs.access as usize / costs.product as usize * (rows * self.lefts + cols * self.rights)
                / self.products
    }
}

/// Whether rows this many elements apart fall into few sets of the first-level cache.
pub(super) fn compete(distance: usize) -> bool {
    distance.is_multiple_of(32 * LINE)
}

/// About this many columns of the right operand, as they can be packed at once.
pub(super) fn column_block(columns: usize, tile: RegisterTile, target: Target) -> usize {
    let step = least_common_multiple(tile.vectors * target.lanes(), NOISE_BLOCK);
    (columns / step).max(1) * step
}

/// The elements of a cache line.
pub(super) const LINE: usize = 16;

/// The distance of rows of at least `cols` elements that spreads them over all sets of a cache: an odd number of lines.
pub(super) fn spread(cols: usize) -> usize {
    (cols.div_ceil(LINE) | 1) * LINE
}

/// Cache tiles of an extent near `preferred`: a multiple of `step`, such that the last tile is not
/// smaller than `least`, unless all of `extent` is.
fn cut_near(extent: usize, least: usize, step: usize, preferred: usize) -> Cut {
    if extent <= preferred {
        return Cut::new(extent, extent);
    }
    let base = preferred / step;
    let near = (0..).flat_map(|d| [base.saturating_sub(d), base + d]).filter(|&n| n > 0).map(|n| n * step);
    let mut cuts = near.take_while(|&size| size < 2 * extent).map(|size| Cut::new(extent, size));
    cuts.find(|cut| cut.tiles == 1 || cut.last >= least).unwrap_or_else(|| Cut::new(extent, extent))
}

fn least_common_multiple(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the lowering of products relies on.
    #[test]
    fn tiles_fit_registers_and_each_other() {
        let extents = [1, 2, 7, 10, 31, 33, 50, 64, 100, 145, 400, 784, 1000, 4096];
        for (target, in_bands) in Target::all().flat_map(|target| [(target, false), (target, true)]) {
            let (width, registers) = (target.lanes(), target.registers());
            for (rows, cols) in extents.into_iter().flat_map(|rows| extents.map(|cols| (rows, cols))) {
                for (depth, threads, lefts, streams) in
                    [(3, 1, 0, 0), (3, 2, 1, 5), (3, 8, 0, 1_000_000), (128, 2, 1, 1), (128, 2, 1, 5), (512, 8, 0, 3)]
                {
                    let packed = Packed { products: 2, lefts, rights: 2, streams };
                    let tile = RegisterTile::new((rows, cols, depth), depth == 512, lefts == 1, in_bands, target);
                    let factors = if tile.rows == 1 { 0 } else { tile.vectors };
                    assert!((1..=rows).contains(&tile.rows) && tile.vectors >= 1, "{tile:?} of {rows} x {cols}");
                    assert!(tile.rows * tile.vectors + factors < registers, "{tile:?} for {target}");
                    let narrow = tile.narrow_columns(cols, target);
                    assert!((cols - narrow).is_multiple_of(tile.vectors * width) || narrow == 0, "{tile:?}");
                    let last = cols - (cols - 1) / (tile.vectors * width) * tile.vectors * width;
                    assert_eq!(tile.last_vectors, last.div_ceil(width), "{tile:?} of {cols} columns");
                    let rest = tile.rest;
                    assert!(rest.rows <= tile.rows && rest.of <= rows, "{tile:?} of {rows} rows");
                    assert!(rest.of == 0 || (rows - rest.of).is_multiple_of(tile.rows), "{tile:?} of {rows} rows");
                    assert!((rest.of..=rest.of + 1).contains(&(rest.tiles * rest.rows)), "{tile:?}");
                    let (row_cut, col_cut) = cache_tile((2, rows, cols), depth, tile, target, packed, threads);
                    for (cut, extent) in [(row_cut, rows), (col_cut, cols)] {
                        assert_eq!(cut.extents().sum::<usize>(), extent, "{cut:?} of {extent}");
                    }
                    assert!(row_cut.last >= rest.of && row_cut.last >= tile.rows.min(rows), "{row_cut:?} for {tile:?}");
                    let before_rest = row_cut.last - rest.of;
                    assert!(before_rest == 0 || before_rest >= tile.rows, "{row_cut:?} for {tile:?}");
                    let divides = |part: usize, cut: Cut| cut.tiles == 1 || cut.size.is_multiple_of(part);
                    assert!(divides(tile.row_step, row_cut), "{row_cut:?} of {rows} rows for {tile:?}");
                    for part in [tile.vectors * width, NOISE_BLOCK] {
                        assert!(divides(part, col_cut), "{col_cut:?} of {cols} columns for {tile:?}");
                    }
                }
            }
        }
    }
}

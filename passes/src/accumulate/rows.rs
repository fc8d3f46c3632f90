//! Where the rows of a batch are in each value of a graph.

use super::AccumulationError;
use bayeslift_ir::{Graph, Op, Shape, Value};

/// The axis that counts rows. Each has `each` places of it, together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rows {
    pub axis: usize,
    pub each: usize,
}

impl Rows {
    /// A shape of values that are made of `rows` rows.
    pub fn resized(self, shape: &Shape, rows: usize) -> Shape {
        with_extent(shape, self.axis, rows * self.each)
    }
}

/// A shape with another extent of one axis.
pub(super) fn with_extent(shape: &Shape, axis: usize, extent: usize) -> Shape {
    shape.iter().enumerate().map(|(i, &old)| if i == axis { extent } else { old }).collect()
}

/// How a value depends on rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Not at all, whatever its shape.
    Apart,
    /// It is computed for each row from that row.
    ByRow(Rows),
    /// A sum or maximum over all rows.
    Sum,
    /// It is made of such.
    After,
}

impl Place {
    pub fn rows(self) -> Option<Rows> {
        match self {
            Place::ByRow(rows) => Some(rows),
            _ => None,
        }
    }
}

/// How each live value depends on rows.
pub(super) fn places(graph: &Graph, rows: usize, is_by_row: &[bool]) -> Result<Vec<Place>, AccumulationError> {
    let live = graph.live();
    let mut places = vec![Place::Apart; graph.nodes().len()];
    for value in graph.values().filter(|value| live[value.index()]) {
        let entangled = |reason| AccumulationError::Entangled { value, reason };
        places[value.index()] = place(graph, value, rows, is_by_row, &places).map_err(entangled)?;
    }
    match graph.outputs().iter().find(|output| places[output.value.index()].rows().is_some()) {
        None => Ok(places),
        Some(output) => Err(AccumulationError::Entangled { value: output.value, reason: "is an output that has rows" }),
    }
}

fn place(
    graph: &Graph,
    value: Value,
    rows: usize,
    is_by_row: &[bool],
    places: &[Place],
) -> Result<Place, &'static str> {
    let node = graph.node(value);
    let shape = |value: Value| &graph.ty(value).shape;
    match &node.op {
        Op::Input(i) if is_by_row[*i as usize] => {
            let fits = shape(value).first() == Some(&rows);
            return if fits { Ok(Place::ByRow(Rows { axis: 0, each: 1 })) } else { Err("has another number of rows") };
        }
        Op::Noise(noise) if noise.example_axis.is_some() => {
            let axis = usize::from(noise.example_axis.unwrap_or_default());
            let fits = noise.shape.get(axis) == Some(&rows);
            return if fits { Ok(Place::ByRow(Rows { axis, each: 1 })) } else { Err("draws for other rows") };
        }
        _ => {}
    }
    let of = |value: &Value| places[value.index()];
    // These look at all rows at once: what they read is summed in order, or kept for the whole.
    let looks_at_all = matches!(node.op, Op::ScatterAdd(_) | Op::ScatterRows | Op::FirstEqual(_));
    if looks_at_all && node.args.iter().any(|arg| of(arg).rows().is_some()) {
        return Ok(Place::Sum);
    }
    let mut by_row = node.args.iter().filter_map(|arg| of(arg).rows());
    let is_after = node.args.iter().any(|arg| matches!(of(arg), Place::Sum | Place::After));
    let Some(first) = by_row.next() else { return Ok(if is_after { Place::After } else { Place::Apart }) };
    if is_after {
        return Err("reads, for each row, what depends on all rows");
    }
    let by_row = |axis: usize| Ok(Place::ByRow(Rows { axis, ..first }));
    match &node.op {
        op if op.is_elementwise() => {
            let is_same = node.args.iter().filter_map(|arg| of(arg).rows()).all(|rows| rows == first);
            if is_same { Ok(Place::ByRow(first)) } else { Err("compares rows with rows") }
        }
        Op::Gather => match (of(&node.args[0]).rows(), shape(node.args[1]).len()) {
            (None, rank) if first.axis + 1 == rank => Ok(Place::ByRow(first)),
            _ => Err("looks rows up in a table of its own"),
        },
        Op::Dot => dot(shape(node.args[0]).len(), of(&node.args[0]).rows(), of(&node.args[1]).rows()),
        Op::Sum(axis) | Op::Max(axis) if *axis == first.axis => Ok(Place::Sum),
        Op::Sum(axis) | Op::Max(axis) => by_row(first.axis - usize::from(first.axis > *axis)),
        Op::Broadcast(to) => by_row(first.axis + to.len() - shape(node.args[0]).len()),
        Op::Reshape(to) => match reshaped(shape(node.args[0]), first, rows, to) {
            Some(rows) => Ok(Place::ByRow(rows)),
            None => Err("tears rows apart"),
        },
        Op::Transpose(permutation) => {
            by_row(permutation.iter().position(|&axis| usize::from(axis) == first.axis).unwrap_or_default())
        }
        Op::Window(window) if window.axis != first.axis => by_row(first.axis + usize::from(first.axis > window.axis)),
        Op::Fold(window, _) if !(window.axis..window.axis + 2).contains(&first.axis) => {
            by_row(first.axis - usize::from(first.axis > window.axis))
        }
        _ => Err("moves rows"),
    }
}

/// Where rows are in a matrix product of operands of this rank.
fn dot(rank: usize, a: Option<Rows>, b: Option<Rows>) -> Result<Place, &'static str> {
    let [m, k] = [rank - 2, rank - 1];
    let (k_of_b, n) = (rank - 2, rank - 1);
    match (a, b) {
        (Some(a), Some(b)) if a == b && a.axis < m => Ok(Place::ByRow(a)),
        (Some(rows), None) | (None, Some(rows)) if rows.axis < m => Ok(Place::ByRow(rows)),
        (Some(rows), None) if rows.axis == m => Ok(Place::ByRow(rows)),
        (None, Some(rows)) if rows.axis == n => Ok(Place::ByRow(rows)),
        (Some(a), Some(b)) if a.axis == k && b.axis == k_of_b && a.each == b.each => Ok(Place::Sum),
        (Some(rows), None) if rows.axis == k => Ok(Place::Sum),
        (None, Some(rows)) if rows.axis == k_of_b => Ok(Place::Sum),
        _ => Err("multiplies rows with rows"),
    }
}

/// Where rows are in another shape of the same elements, if they are on one axis of it, counted by its outermost part.
pub(super) fn reshaped(from: &Shape, rows: Rows, count: usize, to: &Shape) -> Option<Rows> {
    let before: usize = from[..rows.axis].iter().product();
    let of_row = from[rows.axis..].iter().product::<usize>() / count.max(1);
    let mut outer = 1;
    for (axis, &extent) in to.iter().enumerate() {
        if outer == before && extent != 1 {
            let each = extent / count.max(1);
            let fits = extent.is_multiple_of(count) && each > 0 && of_row.is_multiple_of(each);
            return fits.then_some(Rows { axis, each });
        }
        outer *= extent;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_in_other_shapes() {
        let find = |from: &[usize], axis, each, to: &[usize]| {
            reshaped(&Shape::new(from), Rows { axis, each }, 6, &Shape::new(to)).map(|rows| (rows.axis, rows.each))
        };
        assert_eq!(find(&[6, 4], 0, 1, &[24]), Some((0, 4)));
        assert_eq!(find(&[24], 0, 4, &[6, 2, 2]), Some((0, 1)));
        assert_eq!(find(&[24], 0, 4, &[12, 2]), Some((0, 2)));
        assert_eq!(find(&[6], 0, 1, &[1, 6, 1]), Some((1, 1)));
        assert_eq!(find(&[3, 6, 5], 1, 1, &[3, 1, 30]), Some((2, 5)));
        assert_eq!(find(&[3, 6, 5], 1, 1, &[18, 5]), None);
        assert_eq!(find(&[6, 4], 0, 1, &[3, 8]), None);
        assert_eq!(find(&[6, 4], 0, 1, &[4, 6]), None);
    }
}

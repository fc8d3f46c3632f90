//! The value of one element, or of a vector of neighbours in a row: recursion over the graph.

use super::code::Code;
use super::context::Context;
use super::leaf::Leaf;
use super::noise::{RowKey, RowKeys, Site};
use crate::tile::{Base, Interleaved, Reg};
use bayeslift_ir::{DType, DoubleLanes, Kind, Lanes, Noise, Op, Unary, Value, elementary};
use bayeslift_passes::{Place, View, lower_bound};
use std::collections::HashMap;

/// What all elements of a row share.
pub(super) struct Row {
    /// The row in the kernel's index space.
    pub row: Reg,
    /// For each leaf in memory or position, the index of the row's first element.
    offsets: HashMap<Value, Reg>,
    /// For each noise site, the row's key and the low word of its number.
    pub keys: HashMap<Value, RowKey>,
    /// The noise of the row's only vector, where it was drawn with another row's.
    pub drawn: HashMap<Value, Reg>,
    /// What to add to a column to get its place in each contraction's tile.
    pub tile: Option<Reg>,
}

/// `N` elements of a row, or vectors of neighbours, computed side by side, and what is known of them.
pub(super) struct Points<const N: usize> {
    pub cols: [Reg; N],
    known: HashMap<Value, [Reg; N]>,
}

impl<const N: usize> Points<N> {
    pub fn new(cols: [Reg; N]) -> Points<N> {
        Points { cols, known: HashMap::new() }
    }

    /// Takes `value` as computed.
    pub fn know(&mut self, value: Value, regs: [Reg; N]) {
        self.known.insert(value, regs);
    }
}

/// The pointwise part of a kernel: what is computed by the element, and what that reads, draws and takes from products.
pub(super) struct Pointwise<'p> {
    pub context: Context<'p>,
    pub leaves: HashMap<Value, Leaf>,
    /// The values that draw noise, in order.
    pub sites: Vec<Site>,
    /// Where in scratch memory the current tile of each product lies.
    pub tiles: HashMap<Value, usize>,
}

impl<'p> Pointwise<'p> {
    /// Asks for the memory of all that the kernel reads by the element, and loads what noise is addressed by.
    pub fn new(code: &mut Code<'p>) -> Pointwise<'p> {
        let context = code.context;
        let leaves = context.leaves();
        code.take_pointers(leaves.iter().filter_map(|(_, leaf)| match leaf {
            Leaf::Memory { place, .. } => Some(*place),
            _ => None,
        }));
        let noise = |(value, leaf): &(Value, Leaf)| match leaf {
            Leaf::Noise(noise) => Some((*value, noise.clone())),
            _ => None,
        };
        let mut drawn: Vec<(Value, Noise)> = leaves.iter().filter_map(noise).collect();
        drawn.sort_by_key(|&(value, _)| value);
        drawn.dedup_by_key(|(value, _)| *value);
        let sites = drawn.into_iter().map(|(value, noise)| Site::new(code, value, noise)).collect();
        Pointwise { context, leaves: leaves.into_iter().collect(), sites, tiles: HashMap::new() }
    }

    /// Computes what the elements of a row share.
    pub fn enter_row(&self, code: &mut Code<'_>, row: Reg, keys: &RowKeys) -> Row {
        let mut leaves: Vec<(&Value, &Leaf)> = self.leaves.iter().collect();
        leaves.sort_by_key(|&(value, _)| value);
        let mut result = Row { row, offsets: HashMap::new(), keys: HashMap::new(), drawn: HashMap::new(), tile: None };
        let mut sites = self.sites.iter();
        code.scalars(|code| {
            for (&value, leaf) in leaves {
                match leaf {
                    Leaf::Memory { view, .. } | Leaf::Position(view) => {
                        let offset = code.row_offset(view, row);
                        result.offsets.insert(value, offset);
                    }
                    Leaf::Noise(_) => {
                        let site = sites.next().expect("sites are leaves, in order");
                        result.keys.insert(value, site.row_key(code, row, keys));
                    }
                    Leaf::Float(_) | Leaf::Double(_) | Leaf::Word(_) => {}
                }
            }
        });
        result
    }

    /// The value of `value` at some points.
    pub fn eval<const N: usize>(
        &self,
        code: &mut Code<'_>,
        value: Value,
        row: &Row,
        points: &mut Points<N>,
    ) -> [Reg; N] {
        let value = self.context.plan.aligned(value);
        if let Some(&regs) = points.known.get(&value) {
            return regs;
        }
        let regs = if let Some(leaf) = self.leaves.get(&value) {
            self.eval_leaf(code, (value, leaf), row, points)
        } else if let Some(&tile) = self.tiles.get(&value) {
            let row_offset = row.tile.expect("contractions have tiles");
            points.cols.map(|col| {
                let index = code.b.index_add(row_offset, col);
                let address = code.float_at(Base::Scratch, index, tile as i64);
                code.b.load(self.context.float(), address)
            })
        } else {
            let node = self.context.plan.graph.node(value);
            let args: Vec<[Reg; N]> = node.args.iter().map(|&arg| self.eval(code, arg, row, points)).collect();
            if node.op == Op::Unary(Unary::Log)
                && node.ty.dtype == DType::F32
                && lower_bound(&self.context.plan.graph, node.args[0]) >= f64::from(f32::MIN_POSITIVE)
            {
                let logarithm = elementary::log_of_at_least_normal(&mut Interleaved(&mut code.b), args[0]);
                points.know(value, logarithm);
                return logarithm;
            }
            let Kind::Elementwise(function) = node.op.kind() else {
                unreachable!("{value} = {} is neither read nor computed by the element", node.op.name())
            };
            code.apply(function, self.context.plan.graph.ty(node.args[node.args.len() - 1]).dtype, &args)
        };
        points.know(value, regs);
        regs
    }

    fn eval_leaf<const N: usize>(
        &self,
        code: &mut Code<'_>,
        (value, leaf): (Value, &Leaf),
        row: &Row,
        points: &Points<N>,
    ) -> [Reg; N] {
        match leaf {
            Leaf::Float(bits) => [code.b.constant(f32::from_bits(*bits)); N],
            Leaf::Double(bits) => [code.b.dconstant(f64::from_bits(*bits)); N],
            Leaf::Word(word) => [code.b.integer(*word); N],
            Leaf::Noise(_) => {
                let site = self.sites.iter().find(|site| site.value == value).expect("noise is a site");
                let pairs = site.pairs(code, row.keys[&value], points.cols);
                std::array::from_fn(|i| code.noise_at(points.cols[i], pairs[i]))
            }
            Leaf::Position(view) => {
                let stride = last_stride(view);
                points.cols.map(|col| position(code, row.offsets[&value], col, stride))
            }
            Leaf::Memory { place, class, view } => {
                let base = code.memory(*place);
                let stride = last_stride(view);
                points.cols.map(|col| {
                    let from_col = code.b.index_scale_signed(col, stride);
                    let index = code.b.index_add(row.offsets[&value], from_col);
                    let address = code.element(*class, base, index, 0);
                    code.b.load_strided(*class, address, stride)
                })
            }
        }
    }

    /// Writes every value that the kernel stores in full. All are computed before any is written, because
    /// one may overwrite what another reads.
    pub fn store<const N: usize>(&self, code: &mut Code<'_>, row: &Row, points: &mut Points<N>) {
        let stores: Vec<([Reg; N], Place)> = self
            .context
            .kernel
            .element_writes()
            .map(|write| (self.eval(code, write.value, row, points), write.place))
            .collect();
        for (regs, place) in stores {
            let offset = code.b.index_scale(row.row, self.context.kernel.cols);
            let base = code.memory(place);
            for (col, reg) in points.cols.into_iter().zip(regs) {
                let index = code.b.index_add(offset, col);
                let address = code.element(code.b.ty(reg).class, base, index, 0);
                code.b.store(address, reg);
            }
        }
    }
}

fn last_stride(view: &View) -> i64 {
    view.last_stride().expect("what is read by the element has neighbours at one distance")
}

/// Positions `stride` apart, from that of a column of a row on.
fn position(code: &mut Code<'_>, row: Reg, col: Reg, stride: i64) -> Reg {
    let from_col = code.b.index_scale_signed(col, stride);
    let index = code.b.index_add(row, from_col);
    let first = code.b.index_low(index);
    let first = code.b.splat(first);
    let mut lane = code.b.lane_numbers();
    if stride != 1 {
        // a product by repeated doubling: lanes have no multiplication
        lane = scale_integer(code, lane, stride as u32);
    }
    code.b.iadd(first, lane)
}

fn scale_integer(code: &mut Code<'_>, x: Reg, by: u32) -> Reg {
    let mut sum = code.b.integer(0);
    for bit in (0..32).filter(|bit| by >> bit & 1 == 1) {
        let part = code.b.shl(x, bit);
        sum = code.b.iadd(sum, part);
    }
    sum
}

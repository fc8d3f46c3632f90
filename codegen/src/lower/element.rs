//! The value of one element, or of a vector of neighbours in a row: recursion over the graph.

use super::{Argument, Lowering};
use crate::tile::{Abreast, Address, Base, Class, Reg};
use bayeslift_ir::{
    Binary, Compare, DType, DoubleLanes, Elementwise, Kind, Lanes, Literal, Noise, Op, Unary, Value, elementary,
};
use bayeslift_passes::{Place, Read, View, merge_axes};
use std::collections::HashMap;

/// A value that a kernel does not compute from others.
#[derive(Clone, Debug)]
pub(super) enum Leaf {
    Float(u32),
    Double(u64),
    Word(u32),
    /// An index: the position that the view gives is the value.
    Position(View),
    Noise(Noise),
    Memory {
        argument: usize,
        class: Class,
        view: View,
    },
}

/// What all elements of a row share.
pub(super) struct Row {
    /// The row in the kernel's index space.
    pub row: Reg,
    /// For each leaf in memory or position, the index of the row's first element.
    offsets: HashMap<Value, Reg>,
    /// For each noise site, the row's key and the low word of its number.
    pub(super) keys: HashMap<Value, ([Reg; 2], Reg)>,
    /// The noise of the row's only vector, where it was drawn with another row's.
    pub(super) drawn: HashMap<Value, Reg>,
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

impl Lowering<'_> {
    /// Finds everything the kernel reads by the element.
    pub(super) fn collect_leaves(&mut self) {
        for read in &self.kernel.reads {
            let (value, leaf) = match read {
                Read::Made { value, .. } => (*value, self.made(*value)),
                Read::Element { value, view } => (*value, self.leaf(view.clone())),
                Read::Operand { .. } | Read::Numbers { .. } | Read::Table { .. } => continue,
            };
            self.leaves.insert(value, leaf);
        }
    }

    /// What is made from nothing.
    fn made(&self, value: Value) -> Leaf {
        match self.plan.graph.node(value).op.kind() {
            Kind::Noise(noise) => Leaf::Noise(noise.clone()),
            Kind::Literal(literal) => literal_leaf(literal, View::identity(&self.plan.graph, value)),
            Kind::Input(_) | Kind::Elementwise(_) | Kind::Contraction | Kind::Movement(_) => {
                unreachable!("{value} is not made from nothing")
            }
            Kind::Reduction { .. } | Kind::Fold { .. } | Kind::Indexed(_) => {
                unreachable!("{value} is not made from nothing")
            }
        }
    }

    /// What a view reads.
    pub(super) fn leaf(&mut self, view: View) -> Leaf {
        let source = view.source;
        if let Some(place) = self.plan.places[source.index()] {
            return Leaf::Memory { argument: self.argument(Argument::Place(place)), class: self.class(source), view };
        }
        let op = &self.plan.graph.node(source).op;
        let Kind::Literal(literal) = op.kind() else {
            unreachable!("{source} = {} is read but has no memory", op.name())
        };
        literal_leaf(literal, view)
    }

    /// Element `i` of an operand of noise that the kernel draws: a `u32` value of rank 0 or 1.
    pub(super) fn word(&mut self, noise: Value, operand: usize, i: usize) -> Reg {
        let view = self.kernel.reads.iter().find_map(|read| match read {
            Read::Made { value, address } if *value == noise => Some(address[operand].clone()),
            Read::Made { .. } | Read::Element { .. } | Read::Operand { .. } => None,
            Read::Numbers { .. } | Read::Table { .. } => None,
        });
        let view = view.expect("noise that is drawn is addressed");
        let at = view.start + view.last_stride().expect("of rank 0 or 1, and strided") * i as i64;
        match self.leaf(view) {
            Leaf::Word(word) => self.b.integer(word),
            Leaf::Position(_) => self.b.integer(at as u32),
            Leaf::Memory { argument, .. } => {
                let index = self.b.index(0);
                self.b.load(Class::Int, Address { base: Base::Argument(argument), index, offset: at })
            }
            leaf => unreachable!("{leaf:?} is no u32"),
        }
    }

    /// Computes what the elements of a row share.
    pub(super) fn enter_row(&mut self, row: Reg, tile: Option<Reg>) -> Row {
        let mut leaves: Vec<(Value, Leaf)> = self.leaves.iter().map(|(&v, leaf)| (v, leaf.clone())).collect();
        leaves.sort_by_key(|&(v, _)| v);
        let mut result = Row { row, offsets: HashMap::new(), keys: HashMap::new(), drawn: HashMap::new(), tile };
        let vector = std::mem::replace(&mut self.b.vector, false);
        for (value, leaf) in leaves {
            match leaf {
                Leaf::Memory { view, .. } | Leaf::Position(view) => {
                    let offset = self.row_offset(&view, row);
                    result.offsets.insert(value, offset);
                }
                Leaf::Noise(noise) => {
                    let key = self.row_key(value, &noise, row);
                    result.keys.insert(value, key);
                }
                Leaf::Float(_) | Leaf::Double(_) | Leaf::Word(_) => {}
            }
        }
        self.b.vector = vector;
        result
    }

    /// The index of a row's first element under a view.
    pub(super) fn row_offset(&mut self, view: &View, row: Reg) -> Reg {
        let leading = view.axes.len().saturating_sub(1);
        let first = self.b.index(view.start as usize);
        let offset = self.nested_offset(&merge_axes(&view.axes[..leading]), row);
        self.b.index_add(first, offset)
    }

    /// How far from the first one the element of this number is, in row-major order over nested axes.
    pub(super) fn nested_offset(&mut self, axes: &[(usize, i64)], number: Reg) -> Reg {
        let mut offset = self.b.index(0);
        let mut rest = number;
        for (i, &(extent, stride)) in axes.iter().enumerate().rev() {
            let digit = if i == 0 { rest } else { self.b.index_rem(rest, extent) };
            if stride != 0 {
                let part = self.b.index_scale_signed(digit, stride);
                offset = self.b.index_add(offset, part);
            }
            if i > 0 {
                rest = self.b.index_div(rest, extent);
            }
        }
        offset
    }

    /// The value of `value` at some points.
    pub(super) fn eval<const N: usize>(&mut self, value: Value, row: &Row, points: &mut Points<N>) -> [Reg; N] {
        let value = self.plan.aligned(value);
        if let Some(&regs) = points.known.get(&value) {
            return regs;
        }
        let regs = if let Some(leaf) = self.leaves.get(&value) {
            let leaf = leaf.clone();
            self.eval_leaf(value, &leaf, row, points)
        } else if let Some(&tile) = self.dot_tiles.get(&value) {
            let row_offset = row.tile.expect("contractions have tiles");
            points.cols.map(|col| {
                let index = self.b.index_add(row_offset, col);
                let address = self.float_at(Base::Scratch, index, tile as i64);
                self.b.load(self.float(), address)
            })
        } else {
            let node = self.plan.graph.node(value).clone();
            let args: Vec<[Reg; N]> = node.args.iter().map(|&arg| self.eval(arg, row, points)).collect();
            if node.op == Op::Unary(Unary::Log)
                && node.ty.dtype == DType::F32
                && self.plan.graph.lower_bound(node.args[0]) >= f32::MIN_POSITIVE
            {
                let logarithm = elementary::log_of_at_least_normal(&mut Abreast(&mut self.b), args[0]);
                points.know(value, logarithm);
                return logarithm;
            }
            let Kind::Elementwise(function) = node.op.kind() else {
                unreachable!("{value} = {} is neither read nor computed by the element", node.op.name())
            };
            self.apply(function, self.plan.graph.ty(node.args[node.args.len() - 1]).dtype, &args)
        };
        points.know(value, regs);
        regs
    }

    /// An elementwise operation; `dtype` is that of its last operand.
    pub(super) fn apply<const N: usize>(&mut self, function: Elementwise, dtype: DType, x: &[[Reg; N]]) -> [Reg; N] {
        let b = &mut Abreast(&mut self.b);
        match function {
            Elementwise::Unary(function) if dtype == DType::F64 => elementary::double::unary(b, function, x[0]),
            Elementwise::Binary(function) if dtype == DType::F64 => match function {
                Binary::Add => b.dadd(x[0], x[1]),
                Binary::Mul => b.dmul(x[0], x[1]),
                Binary::Div => b.ddiv(x[0], x[1]),
                Binary::Max => b.dmax(x[0], x[1]),
            },
            Elementwise::Compare(function) if dtype == DType::F64 => match function {
                Compare::Less => b.dless(x[0], x[1]),
                Compare::LessEqual => b.dless_equal(x[0], x[1]),
                Compare::Equal => b.dequal(x[0], x[1]),
            },
            Elementwise::Unary(function) => elementary::unary(b, function, x[0]),
            Elementwise::Binary(Binary::Add) => b.add(x[0], x[1]),
            Elementwise::Binary(Binary::Mul) => b.mul(x[0], x[1]),
            Elementwise::Binary(Binary::Div) => b.div(x[0], x[1]),
            Elementwise::Binary(Binary::Max) => b.max(x[0], x[1]),
            Elementwise::Compare(function) if dtype == DType::F32 => match function {
                Compare::Less => b.less(x[0], x[1]),
                Compare::LessEqual => b.less_equal(x[0], x[1]),
                Compare::Equal => b.equal(x[0], x[1]),
            },
            Elementwise::Compare(function) => {
                // flipping the sign bit turns unsigned order into signed order
                let sign = b.integer(1 << 31);
                let (x, y) = (b.xor(x[0], sign), b.xor(x[1], sign));
                match function {
                    Compare::Less => b.iless(x, y),
                    Compare::Equal => b.iequal(x, y),
                    Compare::LessEqual => {
                        let greater = b.iless(y, x);
                        let (yes, no) = (b.integer(u32::MAX), b.integer(0));
                        let word = b.iselect(greater, no, yes);
                        b.iless(word, no)
                    }
                }
            }
            Elementwise::Select => match dtype {
                DType::F32 => b.select(x[0], x[1], x[2]),
                DType::F64 => b.dselect(x[0], x[1], x[2]),
                DType::U32 => b.iselect(x[0], x[1], x[2]),
                DType::Mask => {
                    let (yes, no) = (b.integer(u32::MAX), b.integer(0));
                    let (one, other) = (b.iselect(x[1], yes, no), b.iselect(x[2], yes, no));
                    let word = b.iselect(x[0], one, other);
                    b.iless(word, no)
                }
            },
            Elementwise::Convert(DType::U32) => whole_number(b, x[0]),
            Elementwise::Convert(_) if dtype == DType::F32 => b.widen(x[0]),
            Elementwise::Convert(_) if dtype == DType::F64 => b.narrow(x[0]),
            Elementwise::Convert(to) => {
                // both halves are exact, so the one rounding is that of the sum
                let low_bits = b.integer(0xffff);
                let (high, low) = (b.shr(x[0], 16), b.and(x[0], low_bits));
                if to == DType::F64 {
                    let (high, low, scale) = (b.to_double(high), b.to_double(low), b.dconstant(65536.0));
                    let high = b.dmul(high, scale);
                    return b.dadd(high, low);
                }
                let (high, low) = (b.to_float(high), b.to_float(low));
                let scale = b.constant(65536.0);
                b.fma(high, scale, low)
            }
            Elementwise::StopGradient => x[0],
        }
    }

    fn eval_leaf<const N: usize>(&mut self, value: Value, leaf: &Leaf, row: &Row, points: &Points<N>) -> [Reg; N] {
        match leaf {
            Leaf::Float(bits) => [self.b.constant(f32::from_bits(*bits)); N],
            Leaf::Double(bits) => [self.b.dconstant(f64::from_bits(*bits)); N],
            Leaf::Word(word) => [self.b.integer(*word); N],
            Leaf::Noise(noise) => {
                let pairs = self.noise_pairs(value, noise, row, points.cols);
                std::array::from_fn(|i| self.noise_at(points.cols[i], pairs[i]))
            }
            Leaf::Position(view) => {
                let stride = last_stride(view);
                points.cols.map(|col| self.position(row.offsets[&value], col, stride))
            }
            Leaf::Memory { argument, class, view } => {
                let stride = last_stride(view);
                points.cols.map(|col| {
                    let from_col = self.b.index_scale_signed(col, stride);
                    let index = self.b.index_add(row.offsets[&value], from_col);
                    let address = self.element(Base::Argument(*argument), *class, index);
                    self.b.load_strided(*class, address, stride)
                })
            }
        }
    }

    /// Positions `stride` apart, from that of a column of a row on.
    fn position(&mut self, row: Reg, col: Reg, stride: i64) -> Reg {
        let from_col = self.b.index_scale_signed(col, stride);
        let index = self.b.index_add(row, from_col);
        let first = self.b.index_low(index);
        let first = self.b.splat(first);
        let mut lane = self.b.lane_numbers();
        if stride != 1 {
            // a product by repeated doubling: lanes have no multiplication
            lane = self.scale_integer(lane, stride as u32);
        }
        self.b.iadd(first, lane)
    }

    fn scale_integer(&mut self, x: Reg, by: u32) -> Reg {
        let mut sum = self.b.integer(0);
        for bit in (0..32).filter(|bit| by >> bit & 1 == 1) {
            let part = self.b.shl(x, bit);
            sum = self.b.iadd(sum, part);
        }
        sum
    }

    /// The memory of a value that the kernel writes.
    pub(super) fn written(&mut self, value: Value) -> Base {
        let write = self.kernel.writes.iter().find(|write| write.value == value).expect("reductions are written");
        Base::Argument(self.argument(Argument::Place(write.place)))
    }

    /// Writes every value that the kernel stores in full. All are computed before any is written, because
    /// one may overwrite what another reads.
    pub(super) fn store<const N: usize>(&mut self, row: &Row, points: &mut Points<N>) {
        let stores: Vec<([Reg; N], Place)> =
            self.kernel.element_writes().map(|write| (self.eval(write.value, row, points), write.place)).collect();
        for (regs, place) in stores {
            let offset = self.b.index_scale(row.row, self.kernel.cols);
            let base = Base::Argument(self.argument(Argument::Place(place)));
            for (col, reg) in points.cols.into_iter().zip(regs) {
                let index = self.b.index_add(offset, col);
                let address = self.element(base, self.b.ty(reg).class, index);
                self.b.store(address, reg);
            }
        }
    }
}

/// A whole number from 0 to 2^24 as a word; all ones for everything else.
fn whole_number<L: Lanes>(b: &mut L, x: L::F) -> L::I {
    // in two halves of 12 and 13 bits: below 2^23 whole numbers are the low bits of their sum with that
    let (scale, minus, two_to_23) = (b.constant(1.0 / 4096.0), b.constant(-4096.0), b.constant((1 << 23) as f32));
    let high = b.mul(x, scale);
    let high = b.floor(high);
    let low = b.fma(high, minus, x);
    let [high, low] = [high, low].map(|half| {
        let sum = b.add(half, two_to_23);
        let (bits, mask) = (b.bits(sum), b.integer((1 << 23) - 1));
        b.and(bits, mask)
    });
    let high = b.shl(high, 12);
    let number = b.iadd(high, low);
    let (floor, zero, most) = (b.floor(x), b.constant(0.0), b.constant((1 << f32::MANTISSA_DIGITS) as f32));
    let (is_whole, is_positive, is_small) = (b.equal(floor, x), b.less_equal(zero, x), b.less_equal(x, most));
    let none = b.integer(u32::MAX);
    [is_whole, is_positive, is_small].into_iter().fold(number, |number, holds| b.iselect(holds, number, none))
}

fn literal_leaf(literal: Literal, view: View) -> Leaf {
    match literal {
        Literal::Float(bits) => Leaf::Float(bits),
        Literal::Double(bits) => Leaf::Double(bits),
        Literal::Word(word) => Leaf::Word(word),
        Literal::Position => Leaf::Position(view),
    }
}

fn last_stride(view: &View) -> i64 {
    view.last_stride().expect("what is read by the element has neighbours at one distance")
}

//! The graph under construction: picks operands, keeps the limits, makes inputs, ends with outputs.

use super::Step;
use crate::{DType, Error, Graph, Noise, NoiseDistribution, Op, Shape, Tensor, Type, Value, result_type};

/// The largest number of elements of a value.
pub(super) const MAX_VALUE: usize = 1 << 13;
/// The largest number of elements of all values.
const MAX_TOTAL: usize = 1 << 17;
pub(super) const MAX_SHAPE_RANK: usize = 8;

/// What some elements and constants hold in graphs with specials.
pub(super) const SPECIAL: [f32; 12] = [
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    0.0,
    -0.0,
    f32::MIN_POSITIVE,
    -1e-40,
    1e-45,
    f32::MAX,
    -1e30,
    88.8,
    -104.0,
];

/// As [`SPECIAL`], in graphs with `f64`: among them what no `f32` holds.
pub(super) const SPECIAL_F64: [f64; 12] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    0.0,
    -0.0,
    f64::MIN_POSITIVE,
    -1e-310,
    5e-324,
    f64::MAX,
    -1e39,
    709.9,
    -745.1,
];

/// A graph under construction, and the tensors of its inputs.
#[derive(Default)]
pub(super) struct Program {
    pub(super) graph: Graph,
    inputs: Vec<Tensor>,
    elements: usize,
    pub(super) specials: bool,
    /// Whether there may be values of `f64`.
    pub(super) doubles: bool,
}

impl Program {
    pub(super) fn new(specials: bool, doubles: bool) -> Self {
        Program { specials, doubles, ..Program::default() }
    }

    pub(super) fn shape(&self, value: Value) -> Shape {
        self.graph.ty(value).shape.clone()
    }

    /// The value that operand `i` of the step chooses among those that fit: every other time the last, so that
    /// chains grow.
    pub(super) fn pick(&self, step: &Step, i: usize, fits: impl Fn(&Type) -> bool) -> Option<Value> {
        let fitting: Vec<Value> = self.graph.values().rev().filter(|&value| fits(self.graph.ty(value))).collect();
        let choice = usize::from(step.operands[i]);
        let index = if choice.is_multiple_of(2) { 0 } else { choice / 2 };
        Some(fitting[index.checked_rem(fitting.len())?])
    }

    pub(super) fn float(&mut self, step: &Step, i: usize) -> Option<Value> {
        let found = self.pick(step, i, |ty| ty.dtype.is_float());
        found.or_else(|| self.input(Type::f32(step.shape(2)), step.seed))
    }

    /// The type of a new table.
    pub(super) fn table_type(&self, step: &Step) -> DType {
        if self.doubles { step.choose(2, &[DType::F32, DType::F64]) } else { DType::F32 }
    }

    /// `x` and another value of its element type, broadcast to one shape: one that exists, or a new input that is as
    /// large, a row, a column or a scalar.
    pub(super) fn aligned(&mut self, x: Value, step: &Step, i: usize) -> Option<(Value, Value)> {
        let Type { dtype, shape } = self.graph.ty(x).clone();
        let y = if step.choices[4].is_multiple_of(2) {
            self.pick(step, i, |ty| ty.dtype == dtype && ty.shape.broadcast_with(&shape).is_some())?
        } else {
            let mut part = match step.choices[5] % 4 {
                0 | 1 => shape.to_vec(),
                2 => shape.last().copied().into_iter().collect(),
                _ => vec![],
            };
            if let (Some(last), 1) = (part.last_mut(), step.choices[5] % 4) {
                *last = 1;
            }
            self.input(Type::new(dtype, part.as_slice()), step.seed)?
        };
        let shape = shape.broadcast_with(&self.shape(y))?;
        Some((self.broadcast(x, &shape)?, self.broadcast(y, &shape)?))
    }

    pub(super) fn broadcast(&mut self, x: Value, shape: &Shape) -> Option<Value> {
        if self.graph.ty(x).shape == *shape { Some(x) } else { self.push(Op::Broadcast(shape.clone()), &[x]) }
    }

    pub(super) fn matrix_transpose(&mut self, x: Value) -> Option<Value> {
        let mut axes: Vec<u8> = (0..self.graph.ty(x).shape.len() as u8).collect();
        let last = axes.len() - 1;
        axes.swap(last - 1, last);
        self.push(Op::Transpose(axes.into_iter().collect()), &[x])
    }

    pub(super) fn noise(
        &mut self,
        step: &Step,
        dtype: DType,
        shape: Shape,
        sample_axis: Option<u8>,
        example_axis: Option<u8>,
    ) -> Option<Value> {
        let distribution = step.choose(3, NoiseDistribution::ALL);
        // Every node is a new stream; the seed keeps the high word in use.
        let stream = self.graph.nodes().len() as u64 | u64::from(step.seed) << 40;
        let noise = Noise { distribution, dtype, stream, sample_axis, example_axis, shape };
        let address = [("key", 4), ("first sample", 1), ("first row", 2)].map(|(name, words)| {
            let existing = self.graph.inputs().iter().find(|input| input.name == name);
            existing.map(|input| input.value).or_else(|| {
                let ty = if words == 1 { Type::u32([]) } else { Type::u32([words]) };
                // Large words, so that counting from them carries.
                let words = (0..words as u32).map(|i| u32::MAX - (u32::from(step.seed) >> (4 * i)) % 20).collect();
                self.named_input(name, Tensor::from_words(&ty, words))
            })
        });
        let [Some(key), Some(first_sample), Some(first_row)] = address else { return None };
        self.push(Op::Noise(noise), &[key, first_sample, first_row])
    }

    /// Adds an operation that fits its operands and the limits.
    pub(super) fn push(&mut self, op: Op, args: &[Value]) -> Option<Value> {
        let types: Vec<&Type> = args.iter().map(|&arg| self.graph.ty(arg)).collect();
        let ty = result_type(&op, &types).ok()?;
        self.count(&ty)?;
        self.graph.push(op, args).ok()
    }

    pub(super) fn input(&mut self, ty: Type, seed: u16) -> Option<Value> {
        let name = format!("input {}", self.inputs.len());
        let tensor = Tensor::from_words(&ty, self.words(&ty, seed));
        self.named_input(&name, tensor)
    }

    fn named_input(&mut self, name: &str, tensor: Result<Tensor, Error>) -> Option<Value> {
        let tensor = tensor.ok()?;
        self.count(&tensor.ty())?;
        let value = self.graph.input(name, tensor.ty()).ok()?;
        self.inputs.push(tensor);
        Some(value)
    }

    fn count(&mut self, ty: &Type) -> Option<()> {
        let elements = ty.shape.elements();
        if elements > MAX_VALUE || self.elements + elements > MAX_TOTAL || ty.shape.len() > MAX_SHAPE_RANK {
            return None;
        }
        self.elements += elements;
        Some(())
    }

    /// Elements of an input; the seed 0 gives small whole numbers.
    fn words(&self, ty: &Type, seed: u16) -> Vec<u32> {
        let element = |i: u64| -> u64 {
            let bits = if seed == 0 { 0 } else { mix(u64::from(seed) << 32 | i) };
            let small = (bits >> 32) as u32 ^ i as u32;
            let is_special = self.specials && bits % 16 == 1;
            let float = match seed {
                0 => (i % 9) as f32 - 4.0,
                _ if is_special => SPECIAL[small as usize % SPECIAL.len()],
                _ => (bits >> 40) as f32 / (1 << 21) as f32 - 4.0,
            };
            match ty.dtype {
                DType::F32 => float.to_bits().into(),
                DType::F64 if is_special => SPECIAL_F64[small as usize % SPECIAL_F64.len()].to_bits(),
                // with digits that no `f32` has
                DType::F64 => (f64::from(float) * (1.0 + bits as f64 / 1e26)).to_bits(),
                DType::U32 if bits % 16 == 1 => small.into(),
                DType::U32 => u64::from(small % 10),
                DType::Mask => u64::from((small & 1) * u32::MAX),
            }
        };
        let words = |bits: u64| [bits as u32, (bits >> 32) as u32].into_iter().take(ty.dtype.words());
        (0..ty.shape.elements() as u64).map(element).flat_map(words).collect()
    }

    /// Reports what nothing uses, and what `ends` choose; odd choices update an input of equal type, if one is free.
    pub(super) fn finish(mut self, ends: &[(u16, u8)]) -> (Graph, Vec<Tensor>) {
        let mut used = vec![false; self.graph.nodes().len()];
        self.graph.nodes().iter().flat_map(|node| &node.args).for_each(|arg| used[arg.index()] = true);
        self.graph.inputs().iter().for_each(|input| used[input.value.index()] = true);
        let unused = self.graph.values().rev().filter(|value| !used[value.index()]).take(8);
        let mut outputs: Vec<(Value, u8)> = unused.zip(0..).collect();
        let values: Vec<Value> = self.graph.values().collect();
        if !values.is_empty() {
            outputs.extend(ends.iter().map(|&(choice, update)| (values[usize::from(choice) % values.len()], update)));
        }
        for (index, (value, update)) in outputs.into_iter().enumerate() {
            let name = format!("output {index}");
            let same_type = |input: &Value| self.graph.ty(*input) == self.graph.ty(value);
            let equal: Vec<Value> = self.graph.inputs().iter().map(|input| input.value).filter(same_type).collect();
            let target = usize::from(update / 2).checked_rem(equal.len()).map(|index| equal[index]);
            let updated = match target {
                Some(target) if update % 2 == 1 => self.graph.output_updating(&name, value, target).is_ok(),
                _ => false,
            };
            if !updated {
                self.graph.output(&name, value).expect("the names of outputs are distinct");
            }
        }
        (self.graph, self.inputs)
    }
}

/// The finalizer of SplitMix64.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

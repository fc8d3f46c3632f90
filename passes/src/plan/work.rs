//! What each kernel of a plan does, counted from the graph: what is fused into it, which memory it touches, how much it
//! computes.

use super::{DotOperand, Footprint, Kernel, KernelKind, Place, Plan, Read, Write, reads};
use crate::{Axis, View};
use bayeslift_ir::{Arithmetic, Indexed, Kind, Origin, Value};
use std::collections::{BTreeMap, HashMap};
use std::{iter, ops};

/// What a kernel does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// The values that are computed in the kernel, operands first.
    pub parts: Vec<Part>,
    /// The values that are read from memory, each once.
    pub reads: Vec<Access>,
    /// The values that are written to memory.
    pub writes: Vec<Access>,
    /// How much that is.
    pub counts: Counts,
}

/// A value that a kernel computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The value.
    pub value: Value,
    /// The operation's name in the text form.
    pub operation: &'static str,
    /// Where it comes from.
    pub origin: Origin,
    /// How it is computed.
    pub role: Role,
}

/// How a kernel computes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Role {
    /// A matrix product, tile by tile.
    Product(Extents),
    /// By the element while an operand of a product is packed; never stored.
    Packing,
    /// A reduction over the last axis.
    RowReduction,
    /// A reduction over another axis.
    ColumnReduction,
    /// Random numbers, drawn where they are needed.
    Noise,
    /// An elementary function of each element.
    Function,
    /// Any other operation on each element.
    Element,
    /// Moved or made without arithmetic.
    Movement,
}

/// The extents of matrix products: `batch` times `m` x `k` by `k` x `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Extents {
    /// How many products there are.
    pub batch: usize,
    /// Rows of the left operand.
    pub m: usize,
    /// The contracted extent.
    pub k: usize,
    /// Columns of the right operand.
    pub n: usize,
    /// For the left and the right operand whether it lies transposed in memory.
    pub transposed: [bool; 2],
}

/// A value in memory that a kernel reads or writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The value.
    pub value: Value,
    /// Where it is.
    pub place: Place,
    /// The input's or output's name; `None` in the arena.
    pub name: Option<String>,
    /// Its size.
    pub bytes: u64,
    /// The size of an element.
    pub element_bytes: usize,
    /// The kernel that makes it; `None` for what the caller passes.
    pub maker: Option<usize>,
    /// Which part each element of the kernel's index space touches; `None` for any.
    pub footprint: Option<Footprint>,
}

/// How much kernels compute and move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Floating-point operations of matrix products: two for each multiply-add.
    pub flops: u64,
    /// Operations on elements, and steps of reductions.
    pub operations: u64,
    /// Evaluations of elementary functions, such as exp.
    pub functions: u64,
    /// Random numbers drawn.
    pub draws: u64,
    /// Bytes of the values that are read, each value once a kernel.
    pub read_bytes: u64,
    /// Bytes of the values that are written.
    pub written_bytes: u64,
}

impl Counts {
    /// Bytes read and written.
    pub fn bytes(&self) -> u64 {
        self.read_bytes + self.written_bytes
    }
}

impl ops::Add for Counts {
    type Output = Counts;
    fn add(self, other: Counts) -> Counts {
        Counts {
            flops: self.flops + other.flops,
            operations: self.operations + other.operations,
            functions: self.functions + other.functions,
            draws: self.draws + other.draws,
            read_bytes: self.read_bytes + other.read_bytes,
            written_bytes: self.written_bytes + other.written_bytes,
        }
    }
}

impl iter::Sum for Counts {
    fn sum<I: Iterator<Item = Counts>>(counts: I) -> Counts {
        counts.fold(Counts::default(), ops::Add::add)
    }
}

impl Plan {
    /// What each kernel does, in the order they run.
    pub fn work(&self) -> Vec<Work> {
        let mut maker = HashMap::new();
        for (k, kernel) in self.kernels.iter().enumerate() {
            maker.extend(kernel.values().map(|value| (value, k)));
        }
        self.kernels.iter().enumerate().map(|(k, kernel)| self.work_of(k, kernel, &maker)).collect()
    }

    fn work_of(&self, k: usize, kernel: &Kernel, maker: &HashMap<Value, usize>) -> Work {
        let read = |(value, footprint): (Value, Option<Footprint>)| {
            Some(self.access(value, self.places[value.index()]?, maker.get(&value).copied(), footprint))
        };
        let reads = kernel.read_footprints().into_iter().filter_map(read).collect();
        let write = |write: &Write| self.access(write.value, write.place, Some(k), write.footprint);
        let writes = kernel.writes.iter().map(write).collect();
        let mut work = Work { parts: self.parts(kernel), reads, writes, counts: Counts::default() };
        work.counts = self.counts(&work);
        if let KernelKind::Indexed(value) = kernel.kind {
            let rows = |access: &Access| self.bytes_of_rows(value, access).unwrap_or(access.bytes);
            work.counts.read_bytes = work.reads.iter().map(rows).sum();
            work.counts.written_bytes = work.writes.iter().map(rows).sum();
            // of a table of noise the rows that are read
            work.counts.draws = work.counts.draws.min(self.elements(value));
        }
        work
    }

    /// How much of a table an indexed operation touches, if it touches some rows alone.
    fn bytes_of_rows(&self, value: Value, access: &Access) -> Option<u64> {
        let node = self.graph.node(value);
        let Kind::Indexed(indexed) = node.op.kind() else { return None };
        let numbers = self.elements(*node.args.get(indexed.numbers())?);
        let width = self.graph.ty(value).shape.last_extent();
        let some = (numbers * width as u64 * access.element_bytes as u64).min(access.bytes);
        match (indexed, indexed.table()) {
            (Indexed::Gather, _) => {
                (access.value == reads::row_major_source(&self.graph, node.args[0])).then_some(some)
            }
            (_, Some(table)) => {
                let table = reads::row_major_source(&self.graph, node.args[table]);
                let is_in_place = self.places[table.index()] == self.places[value.index()];
                let is_read = access.value == table;
                (is_in_place && (is_read || access.value == value)).then_some(if is_read { 0 } else { some })
            }
            _ => None,
        }
    }

    /// What a kernel computes, with what it makes on the way.
    fn parts(&self, kernel: &Kernel) -> Vec<Part> {
        let mut roles: BTreeMap<Value, Role> = kernel.values().map(|value| (value, self.role(kernel, value))).collect();
        for read in &kernel.reads {
            match read {
                Read::Operand { operand: DotOperand::Computed { value, .. }, .. } => {
                    roles.entry(*value).or_insert(Role::Packing);
                }
                Read::Made { value, .. } => {
                    roles.entry(*value).or_insert(Role::Noise);
                }
                Read::Operand { operand: DotOperand::Memory(_), .. } | Read::Element { .. } => {}
                Read::Numbers { .. } | Read::Table { .. } => {}
            }
        }
        let part = |(value, role): (Value, Role)| {
            let (operation, origin) = (self.graph.node(value).op.name(), self.graph.origin(value).clone());
            Part { value, operation, origin, role }
        };
        roles.into_iter().map(part).collect()
    }

    /// How a kernel computes a value.
    fn role(&self, kernel: &Kernel, value: Value) -> Role {
        match self.graph.node(value).op.kind() {
            Kind::Noise(_) => Role::Noise,
            Kind::Contraction => Role::Product(self.extents(kernel, value)),
            Kind::Fold { .. } => Role::ColumnReduction,
            Kind::Reduction { .. } if kernel.kind == KernelKind::Column(value) => Role::ColumnReduction,
            Kind::Reduction { .. } => Role::RowReduction,
            Kind::Elementwise(function) => match function.arithmetic() {
                Arithmetic::Elementary => Role::Function,
                Arithmetic::Simple | Arithmetic::Division => Role::Element,
                Arithmetic::Copy => Role::Movement,
            },
            Kind::Input(_) | Kind::Literal(_) | Kind::Movement(_) | Kind::Indexed(_) => Role::Movement,
        }
    }

    fn extents(&self, kernel: &Kernel, dot: Value) -> Extents {
        let node = self.graph.node(dot);
        let (left, result) = (&self.graph.ty(node.args[0]).shape, &node.ty.shape);
        let (axes, k) = (result.len(), left.last_extent());
        let (m, n) = (result[axes - 2], result[axes - 1]);
        let transposed = [0, 1].map(|number| kernel.operand(dot, number).views().iter().any(lies_transposed));
        Extents { batch: result.elements() / (m * n), m, k, n, transposed }
    }

    fn access(&self, value: Value, place: Place, maker: Option<usize>, footprint: Option<Footprint>) -> Access {
        let name = match place {
            Place::Input(i) => Some(self.graph.inputs()[i].name.clone()),
            Place::Output(i) => Some(self.graph.outputs()[i].name.clone()),
            Place::Arena(_) => None,
        };
        let ty = self.graph.ty(value);
        Access { value, place, name, bytes: ty.bytes() as u64, element_bytes: ty.dtype.bytes(), maker, footprint }
    }

    fn elements(&self, value: Value) -> u64 {
        self.graph.ty(value).shape.elements() as u64
    }

    fn counts(&self, work: &Work) -> Counts {
        let mut counts = Counts {
            read_bytes: work.reads.iter().map(|access| access.bytes).sum(),
            written_bytes: work.writes.iter().map(|access| access.bytes).sum(),
            ..Counts::default()
        };
        for part in &work.parts {
            let elements = self.elements(part.value);
            match part.role {
                Role::Product(extents) => counts.flops += 2 * elements * extents.k as u64,
                Role::Packing | Role::Element => counts.operations += elements,
                Role::RowReduction | Role::ColumnReduction => {
                    counts.operations += self.elements(self.graph.node(part.value).args[0]);
                }
                Role::Noise => counts.draws += elements,
                Role::Function => counts.functions += elements,
                Role::Movement => {}
            }
        }
        counts
    }
}

/// Whether rows are nearer than columns, by the neighbours that are nearest in memory.
fn lies_transposed(view: &View) -> bool {
    let distance = |axis: &Axis| axis.nested().last().map_or(0, |&(_, stride)| stride.abs());
    match &view.axes[..] {
        [.., row, col] => 0 < distance(row) && distance(row) < distance(col),
        _ => false,
    }
}

impl Work {
    /// Where the kernel comes from: its products if it has some, else its reductions, else what it computes last.
    /// `None` if that is not known.
    pub fn origin(&self) -> Option<&Origin> {
        let known = || self.parts.iter().filter(|part| !part.origin.is_unknown());
        let first = |is: fn(Role) -> bool| known().find(|part| is(part.role));
        let found = first(|role| matches!(role, Role::Product(_)))
            .or_else(|| first(|role| matches!(role, Role::RowReduction | Role::ColumnReduction)))
            .or_else(|| known().next_back());
        found.map(|part| &part.origin)
    }

    /// What the kernel computes, for people: `2 products 128x784x400, 2 packed, noise, 9 ops`, where packed values are
    /// computed while an operand of a product is packed. The kernel's rows and columns are told where no product tells
    /// them.
    pub fn name(&self, (rows, cols): (usize, usize)) -> String {
        let mut parts: Vec<(usize, String)> = Vec::new();
        let mut roles: Vec<(Role, &str)> = self.parts.iter().map(|part| (part.role, part.operation)).collect();
        roles.sort_by_key(|&(role, _)| role);
        for (role, operation) in roles {
            let name = match role {
                Role::Product(extents) => format!("product {extents}"),
                Role::Packing => "packed".to_owned(),
                Role::RowReduction => format!("row {}", operation.trim_start_matches("reduce_")),
                Role::ColumnReduction => format!("column {}", operation.trim_start_matches("reduce_")),
                Role::Noise | Role::Function => operation.to_owned(),
                Role::Element => "op".to_owned(),
                Role::Movement => operation.replace("stop_gradient", "copy"),
            };
            match parts.iter_mut().find(|(_, known)| *known == name) {
                Some((count, _)) => *count += 1,
                None => parts.push((1, name)),
            }
        }
        let counted = |(count, name): &(usize, String)| match (count, name.as_str()) {
            (1, "op" | "packed") => format!("1 {name}"),
            (1, _) => name.clone(),
            (_, "op") => format!("{count} ops"),
            _ => format!("{count} {}", name.replacen("product", "products", 1).replacen("sum", "sums", 1)),
        };
        let name = parts.iter().map(counted).collect::<Vec<_>>().join(", ");
        match parts.first() {
            Some((_, first)) if first.starts_with("product") => name,
            Some(_) => format!("{rows}x{cols}: {name}"),
            None => format!("{rows}x{cols}: copy"),
        }
    }
}

/// `128x784x400`, with the number of products before it and the layouts behind it where they are not the usual ones.
impl std::fmt::Display for Extents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Extents { batch, m, k, n, transposed } = self;
        if *batch > 1 {
            write!(f, "{batch}*")?;
        }
        write!(f, "{m}x{k}x{n}")?;
        let letter = |is_transposed| if is_transposed { 'T' } else { 'N' };
        match transposed {
            [false, false] => Ok(()),
            [left, right] => write!(f, " {}{}", letter(*left), letter(*right)),
        }
    }
}

//! What an executable is, as data: its stages, what they are called with and touch, and the memory that they need.
//!
//! A [`KernelTable`] has no pointers. Its stages name their functions by [`Symbol`]s: a linker turns those into
//! addresses. Whoever runs, schedules or explains a program reads the table alone.

use crate::emit::{MachineCode, Placement, Refusal, emitters};
use crate::lower::{KernelArgument, Lowered, Tiling, lower};
use crate::{Error, InstructionSet, Target, tile::TileKernel};
use bayeslift_ir::Type;
use bayeslift_passes::{Access, Footprint, Fused, Fusion, Kernel, Place, Plan, Work};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;

/// A table and what its functions are, by their symbols: [`MachineCode`] to be linked, or [`TileKernel`]s to be looked
/// at.
#[derive(Clone, Debug)]
pub struct Program<F> {
    /// The table.
    pub table: KernelTable,
    /// The functions.
    pub functions: Vec<F>,
}

/// What an executable is besides the code of its functions.
#[derive(Clone, Debug)]
pub struct KernelTable {
    /// What the functions are for.
    pub target: Target,
    /// What a caller passes, in order.
    pub inputs: Vec<InputSpec>,
    /// What a caller gets, in order.
    pub outputs: Vec<OutputSpec>,
    /// What each kernel of the plan does.
    pub kernels: Vec<Summary>,
    /// The stages of all kernels, in an order in which they may run.
    pub stages: Vec<Stage>,
    /// The memory for intermediate values.
    pub arena_bytes: usize,
    /// The memory that each thread needs.
    pub scratch_bytes: usize,
    /// The memory that the tiles of one kernel share.
    pub shared_bytes: usize,
}

/// What a caller passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputSpec {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Whether an output takes its memory.
    pub is_donated: bool,
}

/// What a caller gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputSpec {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// The input whose memory it takes, if it takes one's.
    pub updates: Option<usize>,
}

/// What a kernel does, for people.
#[derive(Clone, Debug)]
pub struct Summary {
    /// What it computes, such as `2 products 128x784x400, 2 packed, noise, 9 ops`.
    pub name: String,
    /// Which fusions made it, as in `local_reparameterization(bias, noise, relu)`; empty for what kernels are formed of
    /// in any case.
    pub labels: Vec<String>,
    /// What is fused into it, what it reads and writes, and how much that is.
    pub work: Work,
}

/// A function, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol(pub usize);

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "f{}", self.0)
    }
}

/// A part of a kernel that begins when the part before is over. Its tiles begin when those of stages before are over
/// that touch the same memory, of which one of the two writes some; they may run in any order and on any thread.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The kernel's number in the plan.
    pub kernel: usize,
    /// Its function.
    pub symbol: Symbol,
    /// What to call it with.
    pub arguments: Vec<KernelArgument>,
    /// How many tiles it has.
    pub tiles: usize,
    /// Which elements of the kernel's index space each tile computes; `None` if tiles are not of rows or parts of them.
    pub tiling: Option<Tiling>,
    /// About how many picoseconds one thread takes.
    pub cost: u64,
    /// What it reads and writes.
    pub touches: Vec<Touch>,
}

/// Memory that a stage reads or writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    /// Where a value lies; `None` for the memory that tiles share.
    pub place: Option<Place>,
    /// How much of it, at most.
    pub bytes: usize,
    /// The size of an element.
    pub element_bytes: usize,
    /// Whether it is written.
    pub writes: bool,
    /// Which part each element of the kernel's index space touches; `None` for any.
    pub footprint: Option<Footprint>,
}

/// Lowers and emits a plan, whose graph has these fusions, with tiles enough for `threads` threads.
///
/// # Errors
/// An architecture that there is no emitter for; a kernel that no emitter takes, which is a defect.
pub fn compile(
    plan: &Plan,
    fusions: &[Fusion],
    (target, placement): (Target, Placement),
    threads: usize,
) -> Result<Program<MachineCode>, Error> {
    let mut emitters = emitters(target, placement)?;
    Maker::new(plan, threads).program(fusions, target, |maker, kernel| {
        let mut refusals = Vec::new();
        for emitter in &mut emitters {
            let target = emitter.target();
            match maker.stages(kernel, target, |code| emitter.emit(code)) {
                Ok(stages) => return Ok(stages),
                Err(Refusal(reason)) => refusals.push(format!("for {target}: {reason}")),
            }
        }
        Err(Refusal(refusals.join("; ")))
    })
}

impl Program<TileKernel> {
    /// Lowers a plan for any target: to be printed, verified and interpreted.
    pub fn lower(plan: &Plan, fusions: &[Fusion], target: Target, threads: usize) -> Program<TileKernel> {
        let lowered = Maker::new(plan, threads)
            .program(fusions, target, |maker, kernel| maker.stages(kernel, target, |code| Ok(code.clone())));
        lowered.expect("nothing is refused")
    }
}

impl Program<MachineCode> {
    /// A digest of all code and of what the linker fills in: equal for equal code, wherever it lies. The first bytes of
    /// the SHA-256.
    pub fn digest(&self) -> u64 {
        let mut digest = Sha256::new();
        for MachineCode { bytes, alignment, relocations, .. } in &self.functions {
            let linked = format!("{alignment} {relocations:?}");
            [bytes.as_slice(), linked.as_bytes()].into_iter().for_each(|part| {
                digest.update((part.len() as u64).to_le_bytes());
                digest.update(part);
            });
        }
        let bytes: [u8; 32] = digest.finalize().into();
        u64::from_be_bytes(std::array::from_fn(|i| bytes[i]))
    }
}

/// Makes a program. Equal kernels become one function.
struct Maker<'p, F> {
    plan: &'p Plan,
    threads: usize,
    known: HashMap<InstructionSet, HashMap<TileKernel, Symbol>>,
    functions: Vec<F>,
}

impl<'p, F> Maker<'p, F> {
    fn new(plan: &'p Plan, threads: usize) -> Maker<'p, F> {
        Maker { plan, threads, known: HashMap::new(), functions: Vec::new() }
    }

    /// A kernel's stages as functions; if one is refused, nothing of the kernel is kept.
    fn stages(
        &mut self,
        kernel: &Kernel,
        target: Target,
        mut emit: impl FnMut(&TileKernel) -> Result<F, Refusal>,
    ) -> Result<Vec<(Lowered, Symbol)>, Refusal> {
        let lowered = lower(self.plan, kernel, target, self.threads);
        let known = self.known.entry(target.instruction_set()).or_default();
        // of stages that are not known yet, the first of each kind
        let mut new: Vec<(&TileKernel, F)> = Vec::new();
        let mut symbols = Vec::with_capacity(lowered.len());
        for Lowered { code, .. } in &lowered {
            let number = || new.iter().position(|(other, _)| *other == code).map(|i| Symbol(self.functions.len() + i));
            symbols.push(match known.get(code).copied().or_else(number) {
                Some(symbol) => symbol,
                None => {
                    new.push((code, emit(code)?));
                    Symbol(self.functions.len() + new.len() - 1)
                }
            });
        }
        for (code, function) in new {
            known.insert(code.clone(), Symbol(self.functions.len()));
            self.functions.push(function);
        }
        Ok(lowered.into_iter().zip(symbols).collect())
    }

    fn program(
        mut self,
        fusions: &[Fusion],
        target: Target,
        mut stages: impl FnMut(&mut Self, &Kernel) -> Result<Vec<(Lowered, Symbol)>, Refusal>,
    ) -> Result<Program<F>, Error> {
        let plan = self.plan;
        let graph = &plan.graph;
        let inputs = graph.inputs().iter().enumerate().map(|(i, input)| InputSpec {
            name: input.name.clone(),
            ty: graph.ty(input.value).clone(),
            is_donated: graph.is_donated(i),
        });
        let outputs = graph.outputs().iter().map(|output| OutputSpec {
            name: output.name.clone(),
            ty: graph.ty(output.value).clone(),
            updates: output.updates,
        });
        let mut table = KernelTable {
            target,
            inputs: inputs.collect(),
            outputs: outputs.collect(),
            kernels: Vec::with_capacity(plan.kernels.len()),
            stages: Vec::with_capacity(plan.kernels.len()),
            arena_bytes: plan.arena_bytes,
            scratch_bytes: 0,
            shared_bytes: 0,
        };
        for (number, (kernel, work)) in plan.kernels.iter().zip(plan.work()).enumerate() {
            let stages = stages(&mut self, kernel).map_err(|Refusal(message)| Error::Kernel {
                kernel: number,
                rows: kernel.rows,
                cols: kernel.cols,
                origin: work.origin().cloned(),
                message,
            })?;
            let count = stages.len();
            for (i, (lowered, symbol)) in stages.into_iter().enumerate() {
                table.scratch_bytes = table.scratch_bytes.max(lowered.code.scratch_bytes);
                table.shared_bytes = table.shared_bytes.max(lowered.shared_bytes);
                let touches = touches(&work, &lowered, i + 1 == count);
                let Lowered { arguments, tiles, tiling, cost, .. } = lowered;
                table.stages.push(Stage { kernel: number, symbol, arguments, tiles, tiling, cost, touches });
            }
            let (name, labels) = (work.name((kernel.rows, kernel.cols)), labels(fusions, kernel));
            table.kernels.push(Summary { name, labels, work });
        }
        Ok(Program { table, functions: self.functions })
    }
}

/// What a stage reads and writes. All stages of a kernel may read what it reads; the last one writes.
fn touches(work: &Work, lowered: &Lowered, is_last: bool) -> Vec<Touch> {
    let touch = |access: &Access, writes: bool| {
        let footprint = access.footprint.filter(|_| lowered.tiling.is_some());
        let (bytes, element_bytes) = (access.bytes as usize, access.element_bytes);
        Touch { place: Some(access.place), bytes, element_bytes, writes, footprint }
    };
    let mut touches: Vec<Touch> = work.reads.iter().map(|access| touch(access, false)).collect();
    if lowered.arguments.contains(&KernelArgument::Shared) {
        let bytes = lowered.shared_bytes;
        touches.push(Touch { place: None, bytes, element_bytes: 4, writes: !is_last, footprint: None });
    }
    if is_last {
        touches.extend(work.writes.iter().map(|access| touch(access, true)));
    }
    touches
}

/// The fused operations that a kernel computes, each once: two contractions of one, or the sums of one that has none.
fn labels(fusions: &[Fusion], kernel: &Kernel) -> Vec<String> {
    let computes = |fusion: &&Fusion| match fusion.kind {
        Fused::SoftmaxCrossEntropy => {
            let mut computed = kernel.body.iter().chain(kernel.row_reductions());
            computed.any(|value| fusion.values.contains(value))
        }
        _ => fusion.values.iter().filter(|value| kernel.products().contains(value)).count() > 1,
    };
    let mut labels: Vec<String> = fusions.iter().filter(computes).map(Fusion::label).collect();
    labels.dedup();
    labels
}

/// Lists memory, inputs and outputs, then the stages with what they are called with.
impl fmt::Display for KernelTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let KernelTable { target, arena_bytes, scratch_bytes, shared_bytes, .. } = self;
        writeln!(f, "target {target}")?;
        writeln!(f, "memory: arena {arena_bytes}, scratch {scratch_bytes}, shared {shared_bytes} bytes")?;
        for (i, InputSpec { name, ty, is_donated }) in self.inputs.iter().enumerate() {
            writeln!(f, "input {i}: {name:?} : {ty}{}", if *is_donated { ", donated" } else { "" })?;
        }
        for (i, OutputSpec { name, ty, updates }) in self.outputs.iter().enumerate() {
            let updates = updates.map_or(String::new(), |input| format!(", in input {input}"));
            writeln!(f, "output {i}: {name:?} : {ty}{updates}")?;
        }
        for stage in &self.stages {
            let arguments: Vec<String> = stage.arguments.iter().map(KernelArgument::to_string).collect();
            let (call, tiles) = (arguments.join(", "), stage.tiles);
            write!(f, "kernel {}: {}({call}) on {tiles} tiles", stage.kernel, stage.symbol)?;
            writeln!(f, ", {} ns; {}", stage.cost / 1000, self.kernels[stage.kernel].name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bayeslift_ir::{Builder, Type};

    /// A product whose packed operands all tiles share, so that its kernel has two stages.
    fn plan() -> Plan {
        let b = Builder::new();
        let [x, y] = [[1024, 300], [300, 500]].map(|shape| b.input(&format!("{shape:?}"), Type::f32(shape)));
        b.output("z", x.square().dot(y.square()));
        Plan::new(b.finish().unwrap()).unwrap()
    }

    #[test]
    fn nothing_of_a_refused_kernel_is_kept() {
        let (plan, target) = (plan(), Target::named("zen3").expect("a row of the table"));
        let mut maker = Maker::new(&plan, 1);
        let mut asked = 0;
        let refused = maker.stages(&plan.kernels[0], target, |_| {
            asked += 1;
            if asked == 1 { Ok(()) } else { Err(Refusal("the second".into())) }
        });
        assert!(refused.is_err() && asked == 2, "{asked} stages were asked for");
        assert!(maker.functions.is_empty() && maker.known.values().all(HashMap::is_empty));
        let stages = maker.stages(&plan.kernels[0], target.with_lanes(4), |_| Ok(())).unwrap();
        let symbols: Vec<Symbol> = stages.into_iter().map(|(_, symbol)| symbol).collect();
        assert_eq!((symbols, maker.functions.len()), (vec![Symbol(0), Symbol(1)], 2));
    }

    #[test]
    fn equal_kernels_are_one_function() {
        let plan = plan();
        let mut maker = Maker::new(&plan, 1);
        for _ in 0..2 {
            maker.stages(&plan.kernels[0], Target::host(), |_| Ok(())).unwrap();
        }
        assert_eq!(maker.functions.len(), 2);
    }
}

//! Plan to tile IR: what one kernel computes, as loops over vectors.

mod code;
mod columns;
mod context;
mod dot;
mod float;
mod fold;
mod function;
mod in_order;
mod indexed;
mod kernel_argument;
mod leaf;
mod loops;
mod map;
mod noise;
mod noisy;
mod panel;
mod pointwise;
mod prefetch;
mod products;
mod runs;
mod shape;
mod shared;
mod sums;
mod tiling;
mod windows;

use crate::target::Target;
use crate::tile::TileKernel;
use bayeslift_passes::{Kernel, KernelKind, Plan};
use code::Code;
use context::Context;
pub use kernel_argument::KernelArgument;
use pointwise::Pointwise;
use products::Products;
use shared::SharedOperands;
pub use tiling::Tiling;

/// A stage of a kernel as tile code, and what to call it with.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The code.
    pub code: TileKernel,
    /// How many lanes its vectors have.
    pub lanes: usize,
    /// The pointers it takes.
    pub arguments: Vec<KernelArgument>,
    /// The number of tiles, which may run in any order and on any thread.
    pub tiles: usize,
    /// Which elements of the kernel's index space each of them computes; `None` if tiles are not of rows or parts of
    /// them.
    pub tiling: Option<Tiling>,
    /// About how many picoseconds one thread takes.
    pub cost: u64,
    /// The memory behind [`KernelArgument::Shared`].
    pub shared_bytes: usize,
}

/// Lowers a kernel for a target. Products that are worth several threads have tiles for `threads` of them. Returns its
/// stages, each of which begins when the one before is over: what packs operands that tiles share, if they share any,
/// and the rest.
pub fn lower(plan: &Plan, kernel: &Kernel, target: Target, threads: usize) -> Vec<Lowered> {
    let context = Context::new(plan, kernel, target, threads);
    let mut code = Code::new(context);
    let pointwise = Pointwise::new(&mut code);
    let tiles = match kernel.kind {
        KernelKind::Products(_) => {
            let products = Products::new(context);
            let shared = SharedOperands::new(context, &products);
            let packing = shared.pack(context, &products);
            let tiles = dot::dots(pointwise, &mut code, &products, &shared);
            return packing.into_iter().chain([code.finish(tiles, context.cost, shared.elements)]).collect();
        }
        KernelKind::Rows(_) | KernelKind::Copy(_) => map::map(pointwise, &mut code),
        KernelKind::Column(reduction) => (pointwise.column_reduction(&mut code, reduction), None),
        KernelKind::Fold(fold) => (pointwise.fold(&mut code, fold), None),
        KernelKind::Indexed(value) => (pointwise.indexed(&mut code, value), None),
    };
    vec![code.finish(tiles, context.cost, 0)]
}

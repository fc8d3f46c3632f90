//! The same bits from the reference evaluator and from compiled code: of any vector width, on any number of threads,
//! simplified or not, for any split of a batch. On random graphs, on steps that train them, and on a network that
//! learns digits.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;
mod convolutions;
#[allow(dead_code, reason = "each test uses a part of it")]
#[path = "../facade/mod.rs"]
mod facade;
mod graphs;
mod other_machines;
mod shared;
mod short_rows;
#[path = "../../codegen/tests/stages/mod.rs"]
mod stages;
mod training;
mod windows;

//! Tile code as a language of its own: what the interpreter, the verifier, the printer and the reader make of it.
//!
//! `BAYESLIFT_CASES=10000 cargo test --release -p bayeslift-codegen --test tiles` runs that many cases;
//! `BAYESLIFT_SEED` says which.

mod arbitrary;
#[cfg(all(feature = "deploy", unix))]
mod c;
mod emitters;
mod graphs;
#[path = "../simulate/mod.rs"]
mod simulate;
#[path = "../stages/mod.rs"]
mod stages;
mod text;
mod verify;

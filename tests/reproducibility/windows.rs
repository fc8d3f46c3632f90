//! Compiled code against the reference evaluator, bit for bit, on random contractions of windows.
//!
//! `BAYESLIFT_CASES=10000 BAYESLIFT_SEED=7 cargo test --release --test reproducibility windows` runs that many.

use crate::common::{
    self,
    windows::{Choices, contraction_of_windows},
};
use bayeslift_ir::arbitrary::{cases, seed};
use bayeslift_runtime::Options;

#[test]
fn contractions_of_windows() {
    let mut choices = Choices(seed());
    let (cases, mut checked) = (cases(200), 0);
    for _ in 0..cases {
        let Some(graph) = contraction_of_windows(&mut choices) else { continue };
        checked += 1;
        let inputs = common::some_inputs(&graph);
        let width = choices.of(&[1, 4, 8, 16]);
        let options =
            Options::default().lanes(width).threads(1 + choices.below(3)).simplify(choices.below(2) == 0).finest(true);
        common::check(&graph, &inputs, &options).unwrap();
    }
    assert!(checked >= cases / 4, "{checked} of {cases} choices are a graph");
}

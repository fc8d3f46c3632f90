//! Tests of rules and facts on random values, and of whole graphs.

mod facts;
mod graphs;
mod rules;
mod softmax;
mod terms;

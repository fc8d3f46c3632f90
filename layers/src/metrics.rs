//! How good and how honest predictions are: plain functions of slices.

//! What random tests are told from outside: how many cases, and which.

use proptest::test_runner::{Config, RngSeed};
use std::{env, ffi::OsStr};

/// How many cases a random test has: what the environment's `BAYESLIFT_CASES` says, else `default`.
///
/// # Panics
/// If that is no whole number below 2^32.
pub fn cases(default: u32) -> u32 {
    from_environment("BAYESLIFT_CASES", default)
}

/// What the cases of a random test follow from: the environment's `BAYESLIFT_SEED`, else 0. It is printed, so that a
/// test that fails says what reproduces it.
///
/// # Panics
/// If that is no whole number below 2^64.
pub fn seed() -> u64 {
    let seed = from_environment("BAYESLIFT_SEED", 0);
    println!("BAYESLIFT_SEED={seed} makes these cases");
    seed
}

/// How proptest runs a random test: [`cases`] of [`seed`], without files of failures.
///
/// # Panics
/// As those two.
pub fn config(default: u32) -> Config {
    let (cases, rng_seed) = (cases(default), RngSeed::Fixed(seed()));
    Config { cases, rng_seed, max_shrink_iters: 4096, failure_persistence: None, ..Config::default() }
}

fn from_environment<T: Number>(name: &str, default: T) -> T {
    let number = env::var_os(name).map(|text| parse(name, &text));
    number.unwrap_or(Ok(default)).unwrap_or_else(|message| panic!("{message}"))
}

fn parse<T: Number>(name: &str, text: &OsStr) -> Result<T, String> {
    let number = text.to_str().and_then(|text| text.parse().ok());
    number.ok_or_else(|| format!("{name} is {text:?}, expected a whole number below 2^{}", T::BITS))
}

trait Number: std::str::FromStr {
    const BITS: u32;
}

impl Number for u32 {
    const BITS: u32 = u32::BITS;
}

impl Number for u64 {
    const BITS: u32 = u64::BITS;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arbitrary::graph_and_inputs;
    use proptest::{strategy::Strategy, strategy::ValueTree, test_runner::TestRunner};

    #[test]
    fn bad_values_are_errors_that_say_so() {
        assert_eq!(parse("BAYESLIFT_SEED", OsStr::new("18446744073709551615")), Ok(u64::MAX));
        for text in ["", "-1", "1e6", "18446744073709551616", "seven"] {
            let message = format!("BAYESLIFT_SEED is {text:?}, expected a whole number below 2^64");
            assert_eq!(parse::<u64>("BAYESLIFT_SEED", OsStr::new(text)), Err(message));
        }
        let message = "BAYESLIFT_CASES is \"4294967296\", expected a whole number below 2^32";
        assert_eq!(parse::<u32>("BAYESLIFT_CASES", OsStr::new("4294967296")), Err(message.into()));
    }

    /// Seeds that differ in any word make other graphs, and one makes the same ones.
    #[test]
    fn each_seed_makes_its_own_cases() {
        let first = |seed| {
            let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(seed), ..config(1) });
            let graphs = (0..3).map(|_| graph_and_inputs().new_tree(&mut runner).unwrap().current().0.to_string());
            graphs.collect::<Vec<_>>()
        };
        assert_eq!(first(7), first(7));
        for other in [0, 256, 7 + 256, 7 + (1 << 40)] {
            assert_ne!(first(7), first(other), "{other}");
        }
    }
}

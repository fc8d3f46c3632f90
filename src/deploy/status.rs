//! What functions of an object return.

/// Names, what they mean, in the order of their numbers from 0 on.
pub const STATUS: &[(&str, &str)] = &[
    ("OK", "done"),
    ("ERROR_NULL", "a pointer is NULL that must not be"),
    ("ERROR_MISALIGNED", "the workspace or the state is not aligned to 64 bytes"),
    ("ERROR_UNINITIALISED", "the workspace or the state was not initialised"),
    ("ERROR_NOT_FINITE_INPUT", "an input is not finite; nothing was written"),
    ("ERROR_LARGE_INPUT", "an input is so large that something might overflow unseen; nothing was written"),
    ("ERROR_SAMPLES", "there are no samples, or their numbers go beyond 2^32; nothing was written"),
    ("ERROR_ROWS", "there are more rows than memory can hold, or others than before; nothing was written"),
    ("ERROR_NOT_FINITE_RESULT", "a result is not finite; all were written"),
    ("ERROR_INSTRUCTIONS", "the processor lacks the instructions that the code is made of"),
    ("ERROR_WEIGHTS", "the weights are not those that the code is for"),
    ("ERROR_DIFFERENT", "the self-test gave other bits than were expected"),
];

/// As [`STATUS`], after it, of networks that go on learning.
pub const OF_TRAINING: &[(&str, &str)] = &[
    ("ERROR_STATE", "the state is none of this network, is sealed or is not, or a step on it was interrupted"),
    ("ERROR_DAMAGED", "the state is not what it was when it was sealed"),
    ("ERROR_TARGET", "a target is none that the likelihood takes; no step was made"),
    ("ERROR_RATE", "the learning rate is too large for a step in place; no step was made"),
    ("ERROR_NOT_FINITE_LOSS", "the loss is not finite; no step was made"),
    ("ERROR_NOT_FINITE_UPDATE", "a parameter would not be finite; no step was made"),
    ("ERROR_LARGE_GRADIENT", "a gradient may be larger than 2^50, or not finite; no step was made"),
];

/// All of them.
pub fn all() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    STATUS.iter().chain(OF_TRAINING)
}

/// How an enumeration of C lists some of them, from 0 on, with names that begin with `prefix`.
pub fn enumerators(prefix: &str, statuses: &[&(&str, &str)]) -> String {
    let line = |(i, (status, text)): (usize, &&(&str, &str))| {
        let comma = if i + 1 < statuses.len() { "," } else { "" };
        format!("  {prefix}_{status} = {i}{comma} /* {text} */")
    };
    statuses.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

/// The number of a status.
pub fn status(name: &str) -> i64 {
    all().position(|(known, _)| *known == name).expect("a row of a table") as i64
}

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

/// The number of a status.
pub fn status(name: &str) -> i64 {
    STATUS.iter().position(|(known, _)| *known == name).expect("a row of the table") as i64
}

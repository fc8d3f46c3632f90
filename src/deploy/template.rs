//! Texts of modules with `@NAME@` in the place of what is of a network.

use super::{facts::Facts, layout::ALIGN};

/// The text of a module: with its own values, then with those that modules of all languages tell, and last with the
/// names that users wrote, listed as the language has it, in which nothing is replaced.
pub fn module(
    text: &str,
    facts: &Facts<'_>,
    own: impl IntoIterator<Item = (&'static str, String)>,
    list: impl Fn(&[String]) -> String,
) -> String {
    let number = |name| facts.information.number(name).to_string();
    let common = [
        ("VERSION", env!("CARGO_PKG_VERSION").to_owned()),
        ("ABI", number("abi")),
        ("INPUTS", number("inputs")),
        ("OUTPUTS", number("outputs")),
        ("SAMPLES", number("samples")),
        ("SEED", facts.information.seed.to_string()),
        ("LARGEST", facts.element.text(facts.bound)),
        ("NUMPY", facts.element.numpy.to_owned()),
        ("FLOAT", facts.element.rust.to_owned()),
        ("ARRAY", facts.element.javascript.to_owned()),
        ("BYTES_OF_A_NUMBER", facts.element.bytes.to_string()),
        ("WORKSPACE", facts.layout_bytes.to_string()),
        ("ALIGN", ALIGN.to_string()),
        ("DIGEST", facts.digest.unwrap_or_default().to_owned()),
        ("NAME", facts.options.name.clone()),
        ("INPUT_NAMES", list(&facts.options.input_names)),
        ("OUTPUT_NAMES", list(&facts.options.output_names)),
    ];
    fill(text, own.into_iter().chain(common))
}

/// A text with values in the place of their names, one after the other.
pub fn fill(text: &str, values: impl IntoIterator<Item = (&'static str, String)>) -> String {
    values.into_iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("@{name}@"), &value))
}

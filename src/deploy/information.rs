//! What an object says of itself: the struct that `NAME_info` points to.

use super::{
    DeployOptions,
    block::Column,
    decisions::{Abstains, Decides},
    functions::Defaults,
};
use crate::{Error, predictor::model::Model};

/// The version of the functions' meaning: `NAME_ABI`.
pub const ABI: u32 = 1;

/// What an object says of itself.
#[derive(Clone, Debug)]
pub struct Information {
    /// Numbers by their names.
    pub numbers: Vec<(&'static str, u32)>,
    pub seed: u64,
    /// Texts by their names.
    pub texts: Vec<(&'static str, String)>,
}

impl Information {
    pub fn of(
        model: &Model,
        digest: Option<&str>,
        options: &DeployOptions,
        defaults: Defaults,
        results: &[Column],
        (abstains, decides): (Option<Abstains>, Option<Decides>),
    ) -> Result<Information, Error> {
        let (units, outputs) = (model.input.elements(), results.first().map_or(0, |result| result.width));
        let input_names = lines("numbers of a row", &options.input_names, units)?;
        let output_names = lines("outputs", &options.output_names, outputs)?;
        let numbers = [("abi", ABI as usize), ("inputs", units), ("outputs", outputs), ("samples", defaults.samples)];
        let mut texts = vec![
            ("name", options.name.clone()),
            ("input_shape", model.input.to_string()),
            ("likelihood", printable(&model.likelihood)),
            ("digest", digest.unwrap_or_default().to_owned()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("input_names", input_names),
            ("output_names", output_names),
        ];
        texts.extend(abstains.map(|abstains| ("abstention", abstains.about())));
        texts.extend(decides.map(|decides| ("decision_error", decides.error.to_string())));
        Ok(Information {
            numbers: numbers.map(|(name, number)| (name, number as u32)).into(),
            seed: defaults.seed,
            texts,
        })
    }

    pub fn number(&self, name: &str) -> u32 {
        self.numbers.iter().find(|(known, _)| *known == name).map_or(0, |(_, number)| *number)
    }

    /// The bytes of a text's array: it ends with a zero.
    pub fn capacity(text: &str) -> usize {
        (text.len() + 1).next_multiple_of(8)
    }

    /// The struct, as C lays it out.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.numbers.iter().flat_map(|(_, number)| number.to_le_bytes()).collect();
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.extend(self.seed.to_le_bytes());
        for (_, text) in &self.texts {
            let end = bytes.len() + Information::capacity(text);
            bytes.extend(text.as_bytes());
            bytes.resize(end, 0);
        }
        bytes
    }
}

/// Names, each on a line of its own: as many as there are of what they name, or none.
fn lines(of: &str, names: &[String], count: usize) -> Result<String, Error> {
    if !names.is_empty() && names.len() != count {
        return Err(Error::argument(
            format!("the number of names of the {of}"),
            format!("{count}, or none"),
            names.len(),
        ));
    }
    match names.iter().find(|name| name.is_empty() || name.chars().any(char::is_control)) {
        Some(name) => {
            let expected = "a text of one line that is not empty";
            Err(Error::argument(format!("a name of the {of}"), expected, format!("`{}`", name.escape_debug())))
        }
        None => Ok(names.join("\n")),
    }
}

/// A text without what no terminal should print.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

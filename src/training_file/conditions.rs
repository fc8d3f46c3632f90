//! What a course of training depends on, in words.

use crate::model_file::Contents;
use bayeslift_ir::Foreign;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// What has to be the same for a course to be the same, each with its name, in an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Conditions(Vec<(String, String)>);

impl Conditions {
    /// With one more, as its debugging text: numbers are told apart by that to the bit.
    pub fn with(mut self, name: &str, value: impl Debug) -> Self {
        self.0.push((name.to_owned(), format!("{value:?}")));
        self
    }

    /// With one more, which has too many numbers to be told, by the digest of their bits.
    pub fn with_digest(self, name: &str, numbers: impl IntoIterator<Item = f64>) -> Self {
        let mut contents = Contents::of(name);
        // all that is no number is alike
        let bits = |x: f64| if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() };
        contents.words(numbers.into_iter().map(bits).flat_map(|bits| [bits as u32, (bits >> 32) as u32]));
        self.with_text(&format!("digest of the {name}"), contents.finish())
    }

    /// With one more in these words.
    pub fn with_text(mut self, name: &str, text: impl Into<String>) -> Self {
        self.0.push((name.to_owned(), text.into()));
        self
    }

    /// With all of others.
    pub fn and(mut self, others: Conditions) -> Self {
        self.0.extend(others.0);
        self
    }

    /// What differs first between those of a file and a program's own.
    pub fn difference(&self, own: &Conditions) -> Option<String> {
        let differs = self.0.iter().zip(&own.0).find(|(found, own)| found != own);
        let shown = |text: &str| Foreign::cut(text, 300).to_string();
        match differs {
            Some(((name, found), (expected, own))) if name == expected => {
                Some(format!("its {name} is {}, expected {own}", shown(found)))
            }
            Some(((name, _), (expected, _))) => Some(format!("it tells its {}, expected {expected}", shown(name))),
            None if self.0.len() == own.0.len() => None,
            None => Some(format!("it tells {} conditions, expected {}", self.0.len(), own.0.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_told() {
        let own = || Conditions::default().with("seed", 7).with("rate", 0.1 + 0.2);
        assert_eq!(own().difference(&own()), None);
        let difference = |found: Conditions| found.difference(&own()).unwrap();
        let seed = Conditions::default().with("seed", 8).with("rate", 0.3);
        assert_eq!(difference(seed), "its seed is 8, expected 7");
        let rate = Conditions::default().with("seed", 7).with("rate", 0.3);
        assert_eq!(difference(rate), "its rate is 0.3, expected 0.30000000000000004");
        assert_eq!(difference(Conditions::default()), "it tells 0 conditions, expected 2");
        assert_eq!(difference(Conditions::default().with("\u{1b}", 7)), "it tells its \\u{1b}, expected seed");
        let digest = |numbers: &[f64]| Conditions::default().with_digest("factors", numbers.iter().copied());
        assert_eq!(digest(&[1.0, f64::NAN]), digest(&[1.0, -f64::NAN]));
        assert_ne!(digest(&[0.0]), digest(&[-0.0]));
    }
}

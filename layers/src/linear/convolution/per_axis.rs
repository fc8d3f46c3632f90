//! A number for each axis of positions.

use crate::Error;
use std::fmt;

/// A number for each axis of positions: one for all, or a list.
///
/// ```
/// use bayeslift_layers::PerAxis;
/// let (same, each): (PerAxis, PerAxis) = (2.into(), [2, 1].into());
/// assert_eq!(format!("{same} {each}"), "2 [2,1]");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerAxis(Sizes);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Sizes {
    All(usize),
    Each(Vec<usize>),
}

impl PerAxis {
    /// How many there are, if it is a list.
    pub(crate) fn len(&self) -> Option<usize> {
        match &self.0 {
            Sizes::All(_) => None,
            Sizes::Each(sizes) => Some(sizes.len()),
        }
    }

    /// The number for each of `rank` axes; of a list, those that it has.
    pub(crate) fn each(&self, rank: usize) -> std::vec::IntoIter<usize> {
        match &self.0 {
            // a rank that makes no sense is an error elsewhere; here it only must not cost memory
            Sizes::All(size) => vec![*size; rank.min(3)].into_iter(),
            Sizes::Each(sizes) => sizes.clone().into_iter(),
        }
    }

    /// The same for `rank` axes, as a list.
    pub(crate) fn on(&self, rank: usize) -> PerAxis {
        PerAxis(Sizes::Each(self.each(rank).collect()))
    }

    /// Checks that there is a number from `least` to 2^31 - 1 for each of `rank` axes.
    pub(crate) fn check(&self, argument: &str, rank: usize, least: usize) -> Result<(), Error> {
        let most = i32::MAX as usize;
        if self.len().is_some_and(|len| len != rank) {
            return Err(Error::argument(argument, format!("one number, or one for each of {rank} axes"), self));
        }
        if self.each(rank).any(|size| !(least..=most).contains(&size)) {
            return Err(Error::argument(argument, format!("a number from {least} to {most} on each axis"), self));
        }
        Ok(())
    }
}

impl From<usize> for PerAxis {
    fn from(size: usize) -> Self {
        PerAxis(Sizes::All(size))
    }
}

impl From<&[usize]> for PerAxis {
    fn from(sizes: &[usize]) -> Self {
        PerAxis(Sizes::Each(sizes.to_vec()))
    }
}

impl From<Vec<usize>> for PerAxis {
    fn from(sizes: Vec<usize>) -> Self {
        PerAxis(Sizes::Each(sizes))
    }
}

impl<const N: usize> From<[usize; N]> for PerAxis {
    fn from(sizes: [usize; N]) -> Self {
        PerAxis(Sizes::Each(sizes.to_vec()))
    }
}

impl fmt::Display for PerAxis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Sizes::All(size) => write!(f, "{size}"),
            Sizes::Each(sizes) => {
                let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
                write!(f, "[{}]", sizes.join(","))
            }
        }
    }
}

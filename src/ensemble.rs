//! Several networks as one: deep ensembles (Lakshminarayanan, Pritzel and Blundell 2017), of Bayesian networks or of
//! others.

pub(crate) mod combine;
mod predictor;

pub use predictor::{EnsembleAnswer, EnsembleClassification, EnsemblePredictor, EnsembleRegression};

use crate::{Error, Network};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Networks that are alike but for their seeds, trained apart and asked together. Members that began elsewhere ended
/// elsewhere: how far they differ where there was no data tells more of what is not known than the posterior around any
/// one of them.
///
/// ```
/// use bayeslift::{Ensemble, EnsemblePredictor, prelude::*};
///
/// let mut ensemble = Ensemble::new(3, |member| {
///     let layer = AffineVariationalReparameterizationLocal::new(2, 1);
///     Network::new(layer, [2], likelihood::Normal::fixed(0.1), member)
/// })?;
/// assert_eq!(ensemble.members().iter().map(Network::seed).collect::<Vec<_>>(), [0, 1, 2]);
/// ensemble.members_mut().swap(0, 2);
///
/// let folder = std::env::temp_dir().join(format!("bayeslift-ensemble-{}", std::process::id()));
/// ensemble.save(&folder)?;
/// assert!(Ensemble::files(&folder)[2].ends_with("member-2.safetensors"));
/// let predictor = EnsemblePredictor::open(&folder, &PredictorOptions::default())?;
/// let [saved, here] = [predictor, EnsemblePredictor::new(&ensemble)?].map(|ensemble| ensemble.regress(&[0.1, 0.2]));
/// assert_eq!(saved?, here?);
///
/// let two = Ensemble::of(ensemble.members()[..2].to_vec())?;
/// assert_eq!(two.members().len(), 2);
/// assert!(Ensemble::of(vec![]).unwrap_err().to_string().contains("at least 1"));
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Ensemble {
    pub(crate) members: Vec<Network>,
}

impl Ensemble {
    /// This many members, at least 1, each made from its number, which is to be part of its seed.
    ///
    /// # Errors
    /// No members; those of `make`; members that are asked for other inputs or predict other targets than the first.
    pub fn new(members: usize, make: impl FnMut(u64) -> Result<Network, Error>) -> Result<Ensemble, Error> {
        Ensemble::of((0..members as u64).map(make).collect::<Result<_, _>>()?)
    }

    /// Of networks that are there, at least one, with the same type, inputs and targets.
    ///
    /// # Errors
    /// As for [`Ensemble::new`].
    pub fn of(members: Vec<Network>) -> Result<Ensemble, Error> {
        let first = members.first().ok_or_else(|| Error::argument("the number of members", "at least 1", 0))?;
        let kind = |network: &Network| format!("{}{} to {:?}", network.dtype(), network.input(), network.target());
        for (number, member) in members.iter().enumerate() {
            if kind(member) != kind(first) {
                let argument = format!("inputs and targets of member {number}");
                return Err(Error::argument(argument, format!("those of the first, {}", kind(first)), kind(member)));
            }
        }
        Ok(Ensemble { members })
    }

    /// The members, in the order of their numbers.
    pub fn members(&self) -> &[Network] {
        &self.members
    }

    /// The members, to change their parameters. A predictor that was made before keeps the old ones.
    pub fn members_mut(&mut self) -> &mut [Network] {
        &mut self.members
    }

    /// Saves each member as [`Network::save`] does, in a folder, which is made if there is none: `member-0.safetensors`
    /// and so on. Further members of an ensemble that was saved there before are removed.
    ///
    /// # Errors
    /// As for [`Network::save`]; a file that cannot be removed.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<(), Error> {
        let folder = folder.as_ref();
        let failed = |path: &Path, action| {
            let path = path.to_owned();
            move |source| Error::File { path, action, source }
        };
        fs::create_dir_all(folder).map_err(failed(folder, "make"))?;
        self.members.iter().enumerate().try_for_each(|(number, member)| member.save(file(folder, number)))?;
        let former = numbers(folder).into_iter().filter(|number| *number >= self.members.len());
        former.map(|number| file(folder, number)).try_for_each(|path| {
            let removed = fs::remove_file(&path);
            removed.map_err(failed(&path, "remove"))
        })
    }

    /// The files of an ensemble that [`Ensemble::save`] wrote to a folder, in the order of its members: at least the
    /// first, and all up to the last that is there, so that reading them tells of one that is missing.
    pub fn files(folder: impl AsRef<Path>) -> Vec<PathBuf> {
        let folder = folder.as_ref();
        let last = numbers(folder).into_iter().max().unwrap_or(0);
        (0..=last).map(|number| file(folder, number)).collect()
    }
}

fn file(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("member-{number}.safetensors"))
}

/// The numbers of the members in a folder, in no order.
fn numbers(folder: &Path) -> Vec<usize> {
    /// More are not an ensemble but a mistake.
    const MOST: usize = 1 << 16;
    let names =
        fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let number = |name: String| {
        let number = name.strip_prefix("member-")?.strip_suffix(".safetensors")?;
        number.parse().ok().filter(|parsed: &usize| *parsed < MOST && parsed.to_string() == number)
    };
    names.filter_map(number).collect()
}

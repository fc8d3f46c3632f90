//! The sets as Gal and Ghahramani distribute them, and their parts.

use super::Result;
use bayeslift::prelude::*;
use std::{fs, path::Path};

/// A set, read.
pub struct Set {
    pub name: String,
    pub features: usize,
    inputs: Vec<f32>,
    targets: Vec<f32>,
    /// The test rows of each split.
    pub splits: Vec<Vec<usize>>,
}

/// Which rows of a split are trained on, and which scored.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// Score on a part of the training rows instead of the test rows.
    pub choose: bool,
    /// Train on this number of rows only.
    pub rows: Option<usize>,
}

impl Set {
    pub fn read(folder: &Path, name: &str, splits: usize) -> Result<Set> {
        let read = |file: &str| {
            let path = folder.join(name).join(file);
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let numbers = |text: &str| {
            let numbers =
                text.split_whitespace().map(|word| word.parse::<f64>().map_err(|e| format!("{name}: `{word}`: {e}")));
            numbers.collect::<std::result::Result<Vec<f64>, String>>()
        };
        let indices = |text: &str| Ok::<Vec<usize>, String>(numbers(text)?.into_iter().map(|x| x as usize).collect());
        let features = indices(&read("index_features.txt")?)?;
        let target = indices(&read("index_target.txt")?)?;
        let (mut inputs, mut targets) = (Vec::new(), Vec::new());
        for line in read("data.txt")?.lines().filter(|line| !line.trim().is_empty()) {
            let row = numbers(line)?;
            let of = |column: usize| row.get(column).map(|x| *x as f32).ok_or(format!("{name}: no column {column}"));
            for &column in &features {
                inputs.push(of(column)?);
            }
            targets.push(of(target.first().copied().unwrap_or_default())?);
        }
        let splits = read("test_rows.txt")?.lines().take(splits).map(indices).collect::<std::result::Result<_, _>>()?;
        Ok(Set { name: name.to_owned(), features: features.len(), inputs, targets, splits })
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.targets.len()
    }

    /// The part of a split to train on, and that to score on.
    pub fn parts(&self, split: usize, parts: Parts) -> Result<[Dataset; 2]> {
        let data = Dataset::regression([self.features], self.inputs.clone(), 1, self.targets.clone())?;
        let mut is_test = vec![false; self.targets.len()];
        for &row in &self.splits[split] {
            *is_test.get_mut(row).ok_or(format!("{}: no row {row}", self.name))? = true;
        }
        let (test, train) = data.partition(|row| is_test[row])?;
        // of few rows there are many left to choose by
        let of_few = parts.rows.map(|rows| 1.0 - rows as f64 / train.rows() as f64);
        match (of_few, parts.choose) {
            (None, false) => Ok([train, test]),
            (left, choose) => {
                let (left, few) = train.split(left.unwrap_or(0.1), split as u64)?;
                Ok([few, if choose { left } else { test }])
            }
        }
    }
}

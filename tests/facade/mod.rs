//! What the facade's tests share.

#[path = "../../examples/common/table.rs"]
pub mod table;

use bayeslift::prelude::*;
use std::path::Path;

/// The digits, split as in the example: training part, test part.
pub fn digits() -> (Dataset, Dataset) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/digits.csv.gz");
    let table = table::Table::read(&path, 65, false).unwrap();
    let (pixels, labels) = table.split_last();
    let labels = table.labels(&labels, 10).unwrap();
    let data = Dataset::classification([64], pixels.iter().map(|x| x / 16.0).collect(), labels).unwrap();
    let (test, train) = data.partition(|row| row % 5 == 4).unwrap();
    (train, test)
}

/// The wines, split and standardized as in the example: training part, test part.
pub fn wines() -> (Dataset, Dataset) {
    const FEATURES: usize = 11;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/winequality-red.csv.gz");
    let (inputs, qualities) = table::Table::read(&path, FEATURES + 1, true).unwrap().split_last();
    let data = Dataset::regression([FEATURES], inputs, 1, qualities).unwrap();
    let (test, train) = data.partition(|row| row % 5 == 4).unwrap();
    let standardizer = Standardizer::of(&train);
    (standardizer.apply(&train).unwrap(), standardizer.apply(&test).unwrap())
}

/// The digits example's network.
pub fn digits_network(seed: u64) -> Network {
    let layer = AffineVariationalReparameterizationLocal::new;
    let layers = Sequential::new().layer(layer(64, 64).activation(Activation::Relu)).layer(layer(64, 10));
    Network::new(layers, [64], likelihood::Categorical, seed).unwrap()
}

/// A small network of every kind of layer: 3 inputs, 2 outputs.
pub fn small_layers() -> Sequential {
    Sequential::new()
        .layer(AffineVariationalReparameterizationLocal::new(3, 8).activation(Activation::Relu))
        .layer(AffineVariationalReparameterization::new(8, 5).activation(Activation::Tanh))
        .layer(Affine::new(5, 2))
}

/// Rows of three numbers, and whether the first is the largest.
pub fn small_data(rows: usize) -> Dataset {
    let inputs: Vec<f32> = (0..rows * 3).map(|i| ((i * 37 + i * i * 11) % 101) as f32 / 50.0 - 1.0).collect();
    let labels = inputs.chunks(3).map(|x| u32::from(x[0] > x[1] && x[0] > x[2])).collect();
    Dataset::classification([3], inputs, labels).unwrap()
}

/// All parameters as bits.
pub fn bits(network: &Network) -> Vec<(String, Vec<u32>)> {
    network.parameters().iter().map(|(path, parameter)| (path.to_owned(), parameter.tensor.words())).collect()
}

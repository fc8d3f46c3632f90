//! The page: a network as WebAssembly, the test images, and what was measured on them, in one file of HTML.

use bayeslift::{
    deploy::{self, DeployOptions, System},
    prelude::*,
};
use serde_json::json;
use std::{error::Error, path::Path};

/// How many samples the test images were predicted with.
pub const SAMPLES: usize = 64;
/// How many of the images with most doubt are hard ones.
const HARD: usize = 12;
const PARTS: [(&str, &str); 2] = [("/*STYLE*/", include_str!("page.css")), ("/*PAGE*/", include_str!("page.js"))];

/// A page, and what it says of its network.
pub struct Page {
    pub html: String,
    pub accuracy: f64,
}

/// The page of a network for images of 64 pixels from 0 to 1; `test` has those that it was not trained on, with their
/// numbers.
pub fn page(model: &Path, test: &Dataset, numbers: &[usize]) -> Result<Page, Box<dyn Error>> {
    // a drawing is one row
    let options = DeployOptions::new("digits").samples(SAMPLES).row_block(1).for_system(System::c(None)?);
    let files = deploy::file(model, &options)?.web()?;
    let script = files.iter().find(|file| file.name == "digits.js").ok_or("there is no script")?;

    let predictor = Predictor::open_with_options(model, &PredictorOptions::default().samples(SAMPLES))?;
    let prediction = predictor.classify(test.inputs())?;
    let accuracy = metrics::accuracy(prediction.probabilities(), prediction.classes(), test.labels())?;
    let doubts = prediction.predictive_entropy();
    let mut hard: Vec<usize> = (0..test.rows()).collect();
    hard.sort_by(|&a, &b| doubts[b].total_cmp(&doubts[a]));
    hard.truncate(HARD);
    let pixels = |row: usize| test.input(row).iter().map(|pixel| (pixel * 16.0) as u32).collect::<Vec<_>>();
    let images = (0..test.rows())
        .map(|row| json!({ "number": numbers[row], "label": test.labels()[row], "pixels": pixels(row) }));
    let ink = test.inputs().iter().sum::<f32>() * 16.0 / test.rows() as f32;
    let data = json!({
        "images": images.collect::<Vec<_>>(),
        "hard": hard,
        "doubts": doubts,
        "accuracy": accuracy,
        "samples": SAMPLES,
        "ink": ink,
    });
    let mut html = include_str!("page.html").to_owned();
    for (place, text) in PARTS {
        html = html.replace(place, text.trim_end());
    }
    html = html.replace("/*DATA*/", &format!("const DATA = {data};"));
    html = html.replace("/*NETWORK*/", std::str::from_utf8(&script.bytes)?.trim_end());
    Ok(Page { html, accuracy })
}

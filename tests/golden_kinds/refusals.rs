//! What must not pass for reference values that are met: files that nothing reads, and cases that are made up to be
//! wrong.

use super::{Array, Case, DType, Fallible, Json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The files of arrays that no case names: they would be thought to be checked. A folder without cases is one too.
pub fn unnamed_files(folder: &Path, cases: &BTreeMap<String, Json>) -> Fallible<Vec<String>> {
    let named: Vec<&str> = cases.values().filter_map(|entry| entry["file"].as_str()).collect();
    let mut failures = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        if file.ends_with(".npz") && !named.contains(&file.as_str()) {
            failures.push(format!("no case names {file}"));
        }
    }
    if cases.is_empty() {
        failures.push(format!("no cases in {}", folder.display()));
    }
    Ok(failures)
}

/// What this program must refuse and does not: kinds and members of kinds that it does not know, values that are none,
/// arrays that nothing reads.
pub fn accepted_nonsense() -> Vec<String> {
    let array = |values: &[f64]| Array { shape: vec![values.len()], values: values.to_vec() };
    let x = |density| BTreeMap::from([("x".to_owned(), array(&[0.0])), ("log_prob".to_owned(), array(&[density]))]);
    let density = -0.918_938_533_204_672_8;
    let with_more = || x(density).into_iter().chain([("y".to_owned(), array(&[1.0]))]).collect();
    let (normal, other) =
        ("{\"distribution\":\"normal\",\"loc\":0,\"scale\":1}", "{\"distribution\":\"none\",\"loc\":0,\"scale\":1}");
    let cases: [(&str, &str, BTreeMap<String, Array>, bool); 6] = [
        ("log_prob", normal, x(density), true),
        ("log_prob", normal, x(density * 1.001), false),
        ("log_prob", normal, x(f64::NAN), false),
        ("log_prob", normal, with_more(), false),
        ("log_prob", other, x(density), false),
        ("log_probability", normal, x(density), false),
    ];
    let mut accepted = Vec::new();
    for (number, (kind, options, arrays, is_right)) in cases.into_iter().enumerate() {
        let options: Json = serde_json::from_str(options).expect("these are options");
        let entry = serde_json::json!({ "options": options });
        let case = Case { dtype: DType::F32, folder: PathBuf::new(), kind: kind.to_owned(), arrays, entry };
        let checked = case.check();
        let passes =
            checked.as_ref().is_ok_and(|errors| errors.iter().all(|measured| measured.error <= measured.limit));
        if passes != is_right {
            accepted.push(format!("made-up case {number} of {kind}: accepted is {passes}, should be {is_right}"));
        }
    }
    accepted
}

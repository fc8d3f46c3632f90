//! A package in Python: a module that loads a shared library of it by `ctypes`, and takes and gives arrays of NumPy.

use super::{
    Weights,
    facts::{Facts, meaning},
    status::STATUS,
    template,
};
use std::fmt::Write;

/// What the text of the module has in common for all networks.
const TEXT: &str = include_str!("python.txt");
/// What it has where the network decides.
const DECIDE: &str = include_str!("python/decide.txt");

/// The module's text.
pub fn module(facts: &Facts<'_>) -> String {
    let (mut fields, mut widths) = (String::new(), String::new());
    for result in facts.results {
        let shape = if result.width == 1 { "(n,)".to_owned() } else { format!("(n, {})", result.width) };
        let _ =
            writeln!(fields, "    {}: np.ndarray\n    \"\"\"{shape}: {}.\"\"\"", result.name, meaning(&result.name));
        let _ = write!(widths, "\"{}\": {}, ", result.name, result.width);
    }
    let shape = |width: usize| if width == 1 { "count".to_owned() } else { format!("(count, {width})") };
    let mut abstain = String::new();
    if let Some(abstains) = &facts.abstains {
        let rows = if abstains.width == 1 { "(n,)".to_owned() } else { format!("(n, {})", abstains.width) };
        let _ = write!(fields, "    abstain: np.ndarray\n    \"\"\"{rows}: whether {}.\"\"\"", abstains.about());
        abstain = format!("    arrays[\"abstain\"] = np.empty({}, np.bool_)\n", shape(abstains.width));
    }
    let decide = facts.decides.as_ref().map_or_else(String::new, |decides| {
        let labels = if decides.labels == 1 { "(n,)".to_owned() } else { format!("(n, {})", decides.labels) };
        let values =
            [("ROWS", labels), ("LABELS", shape(decides.labels)), ("DECISION_ERROR", decides.error.to_string())];
        template::fill(DECIDE, values)
    });
    let mut statuses = String::new();
    for (status, text) in STATUS {
        let _ = writeln!(statuses, "    (\"{status}\", \"{text}\"),");
    }
    let state = facts.accumulators.map_or_else(
        || "None".to_owned(),
        |[many, one]| format!("({}, {}, {many}, {one})", facts.rows, super::functions::STATE_HEADER),
    );
    let object = if facts.system.is_c() { format!("-O2 -fPIC {}", facts.object()) } else { facts.object() };
    let values = [
        ("OBJECT", object),
        ("FIELDS", fields.trim_end().to_owned()),
        ("WIDTHS", widths.trim_end_matches(", ").to_owned()),
        ("STATUSES", statuses.trim_end().to_owned()),
        ("STATE", state),
        ("PLACES", if facts.abstains.is_some() { "[*_WIDTHS, \"abstain\"]" } else { "_WIDTHS" }.to_owned()),
        ("ABSTAIN", abstain),
        ("DECIDE", decide),
        ("WEIGHTS", if facts.options.weights == Weights::File { "True" } else { "False" }.to_owned()),
        ("LEVELS", if facts.levels().is_empty() { "False" } else { "True" }.to_owned()),
    ];
    // it tells no names of numbers
    template::module(TEXT, facts, values, |_| String::new())
}

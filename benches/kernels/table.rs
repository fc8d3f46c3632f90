//! How the results of a section are printed.

use serde_json::{Map, Value, json};

/// Prints the rows of a section: aligned, or as objects.
pub struct Table {
    section: &'static str,
    json: bool,
    begun: bool,
}

impl Table {
    pub fn new(section: &'static str, json: bool) -> Table {
        Table { section, json, begun: false }
    }

    /// Prints a row. All rows of a section have the same columns.
    pub fn row(&mut self, cells: &[(&str, Value)]) {
        if self.json {
            let mut line = Map::from_iter([("section".to_owned(), json!(self.section))]);
            line.extend(cells.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
            println!("{}", Value::Object(line));
            return;
        }
        if !self.begun {
            self.begun = true;
            println!("\n{}", self.section);
            print_aligned(cells.iter().map(|(name, _)| (*name).to_owned()));
        }
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        print_aligned(cells.iter().map(|(_, value)| text(value)));
    }
}

fn print_aligned(cells: impl Iterator<Item = String>) {
    for (i, cell) in cells.enumerate() {
        let width = if i == 0 { 16 } else { 13 };
        print!("{cell:>width$}");
    }
    println!();
}

/// A measurement with the digits that it is good for.
pub fn rounded(x: f64) -> Value {
    let decimals = (2 - x.abs().log10().floor() as i32).clamp(0, 6);
    let scale = 10_f64.powi(decimals);
    json!((x * scale).round() / scale)
}

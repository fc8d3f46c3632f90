//! Predictions as lines of CSV: all that a result holds.

use bayeslift::{Abstention, Answer as Moments, EnsembleAnswer, Error, Float};
use std::fmt::{self, Write};

/// What is told of rows.
pub struct Answer<T> {
    moments: Moments<T>,
    /// Of an ensemble: of what is not known, the part within members and that between them.
    parts: Option<[Vec<T>; 2]>,
    /// Where to abstain, if one does.
    abstains: Option<Vec<bool>>,
}

impl<T: Float> Answer<T> {
    /// Says where to abstain.
    pub fn abstain(&mut self, abstention: &Abstention) -> Result<(), Error> {
        let abstains = match &self.moments {
            Moments::Classes(answer) => answer.abstains(abstention),
            Moments::Numbers(answer) => answer.abstains(abstention),
        };
        self.abstains = Some(abstains?);
        Ok(())
    }
}

impl<T> From<Moments<T>> for Answer<T> {
    fn from(moments: Moments<T>) -> Answer<T> {
        Answer { moments, parts: None, abstains: None }
    }
}

impl<T> From<EnsembleAnswer<T>> for Answer<T> {
    fn from(answer: EnsembleAnswer<T>) -> Answer<T> {
        let (moments, parts) = match answer {
            EnsembleAnswer::Classes(answer) => (Moments::Classes(answer.all), [answer.within, answer.between]),
            EnsembleAnswer::Numbers(answer) => (Moments::Numbers(answer.all), [answer.within, answer.between]),
        };
        Answer { moments, parts: Some(parts), abstains: None }
    }
}

/// The line that names the columns.
pub fn header<T: Float>(answer: &Answer<T>) -> String {
    let labels = match &answer.moments {
        Moments::Classes(answer) => numbered("label", answer.labels_of_a_row()),
        Moments::Numbers(_) => Vec::new(),
    };
    let each = match &answer.moments {
        Moments::Classes(answer) => answer.labels_of_a_row(),
        Moments::Numbers(answer) => answer.units(),
    };
    let abstains = answer.abstains.iter().flat_map(|_| numbered("abstain", each));
    let columns: Vec<String> =
        labels.into_iter().chain(abstains).chain(quantities(answer).into_iter().flat_map(|(names, _)| names)).collect();
    columns.join(",") + "\n"
}

/// A line for each row.
pub fn lines<T: Float>(answer: &Answer<T>) -> String {
    let (rows, labels) = match &answer.moments {
        Moments::Classes(answer) => (answer.rows(), answer.labels()),
        Moments::Numbers(answer) => (answer.rows(), Vec::new()),
    };
    let quantities = quantities(answer);
    let mut text = String::new();
    for row in 0..rows {
        let mut comma = "";
        let mut field = |field: fmt::Arguments<'_>| {
            // a string takes all that is written to it
            let _ = write!(text, "{comma}{field}");
            comma = ",";
        };
        for label in of_row(&labels, rows, row) {
            match label {
                Some(label) => field(format_args!("{label}")),
                None => field(format_args!("")),
            }
        }
        if let Some(abstains) = &answer.abstains {
            of_row(abstains, rows, row).iter().for_each(|&abstains| field(format_args!("{}", u8::from(abstains))));
        }
        for (_, values) in &quantities {
            of_row(values, rows, row).iter().for_each(|&x| field(format_args!("{}", Shortest(x))));
        }
        text.push('\n');
    }
    text
}

/// Row `row` of values that have `rows` rows.
fn of_row<T>(values: &[T], rows: usize, row: usize) -> &[T] {
    let width = values.len() / rows;
    &values[row * width..][..width]
}

/// What is told of rows: the names of its columns, and the numbers, row after row.
fn quantities<T: Float>(answer: &Answer<T>) -> Vec<(Vec<String>, &[T])> {
    let (mut quantities, split, count) = match &answer.moments {
        Moments::Classes(answer) => {
            let labels = answer.labels_of_a_row();
            let of_class = |name: String| (0..answer.classes()).map(move |class| format!("{name}_{class}"));
            let quantities = vec![
                (numbered("probability", labels).into_iter().flat_map(of_class).collect(), answer.probabilities()),
                (numbered("predictive_entropy", labels), answer.predictive_entropy()),
                (numbered("expected_entropy", labels), answer.expected_entropy()),
                (numbered("mutual_information", labels), answer.mutual_information()),
            ];
            (quantities, "information", labels)
        }
        Moments::Numbers(answer) => {
            let units = answer.units();
            let quantities = vec![
                (numbered("mean", units), answer.mean()),
                (numbered("aleatoric", units), answer.aleatoric()),
                (numbered("epistemic", units), answer.epistemic()),
                (numbered("total", units), answer.total()),
            ];
            (quantities, "epistemic", units)
        }
    };
    for (part, values) in ["within", "between"].into_iter().zip(answer.parts.iter().flatten()) {
        quantities.push((numbered(&format!("{split}_{part}"), count), values));
    }
    quantities
}

/// One column has the name itself.
fn numbered(name: &str, count: usize) -> Vec<String> {
    if count == 1 { vec![name.to_owned()] } else { (0..count).map(|i| format!("{name}_{i}")).collect() }
}

/// The shortest text that reads back to the same number, with an exponent where there would be many zeros.
struct Shortest<T>(T);

impl<T: Float> fmt::Display for Shortest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shortest(x) = self;
        let size = (*x).into().abs();
        let is_plain = size == 0.0 || !size.is_finite() || (T::nearest(1e-5).into()..1e9).contains(&size);
        if is_plain { write!(f, "{x}") } else { write!(f, "{x:e}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_to_their_bits() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (-1.5, "-1.5"),
            (1e-5, "0.00001"),
            (1e-40, "1e-40"),
            (16_777_216.0, "16777216"),
            (f32::MAX, "3.4028235e38"),
            (1.0 / 3.0, "0.33333334"),
        ];
        for (x, text) in cases {
            assert_eq!(Shortest(x).to_string(), text);
            assert_eq!(text.parse::<f32>().unwrap().to_bits(), x.to_bits());
        }
        assert_eq!(Shortest(f32::NAN).to_string(), "NaN");
        for (x, text) in [(1e-5, "0.00001"), (1.0 / 3.0, "0.3333333333333333"), (f64::MAX, "1.7976931348623157e308")] {
            assert_eq!(Shortest(x).to_string(), text);
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), x.to_bits());
        }
    }
}

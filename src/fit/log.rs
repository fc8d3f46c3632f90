//! The log of a fit: a file with a line for each step.

use crate::{Error, StepLoss};
use bayeslift_ir::DType;
use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Csv,
    JsonLines,
}

impl Form {
    /// That of a file with such a name.
    ///
    /// # Errors
    /// Another extension than `csv` and `jsonl`.
    pub fn of(path: &Path) -> Result<Form, Error> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Ok(Form::Csv),
            Some("jsonl") => Ok(Form::JsonLines),
            _ => Err(Error::argument("the name of the log", "one that ends with `.csv` or `.jsonl`", path.display())),
        }
    }
}

/// What is known of a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub epoch: usize,
    /// The type that losses were computed in.
    pub dtype: DType,
    pub loss: StepLoss,
    pub divergence_weight: f64,
    pub rate: f64,
    /// Of the last step of an epoch.
    pub validation: Option<f64>,
}

/// A log under way.
pub(super) struct Log {
    path: PathBuf,
    form: Form,
    file: BufWriter<File>,
    /// The last line, which waits for what validation says.
    pending: Option<Line>,
    /// How many bytes were given to `file`.
    length: u64,
}

impl Log {
    /// Begins a log, in the place of a file that is there.
    ///
    /// # Errors
    /// A name with another extension; what the operating system refuses.
    pub fn create(path: &Path) -> Result<Log, Error> {
        let form = Form::of(path)?;
        let file = File::create(path).map_err(|source| failed(path, source))?;
        let mut log = Log { path: path.to_owned(), form, file: BufWriter::new(file), pending: None, length: 0 };
        if form == Form::Csv {
            let head = "step,epoch,loss,negative_log_likelihood,divergence,divergence_weight,rate,validation\n";
            log.append(head)?;
            log.flush()?;
        }
        Ok(log)
    }

    /// Goes on after the first `length` bytes: those after them are of steps that are made again. Returns what is wrong
    /// if there are not as many.
    ///
    /// # Errors
    /// As for [`Log::create`].
    pub fn resume(path: &Path, length: u64) -> Result<Result<Log, String>, Error> {
        let form = Form::of(path)?;
        let open = || -> io::Result<Result<File, u64>> {
            let mut file = OpenOptions::new().write(true).open(path)?;
            let found = file.metadata()?.len();
            if found < length {
                return Ok(Err(found));
            }
            file.set_len(length)?;
            file.seek(SeekFrom::Start(length))?;
            Ok(Ok(file))
        };
        Ok(match open().map_err(|source| failed(path, source))? {
            Ok(file) => Ok(Log { path: path.to_owned(), form, file: BufWriter::new(file), pending: None, length }),
            Err(found) => Err(format!("its log had {length} bytes, and `{}` has {found}", path.display())),
        })
    }

    /// Adds a step.
    pub fn step(&mut self, line: Line) -> Result<(), Error> {
        self.write_pending()?;
        self.pending = Some(line);
        Ok(())
    }

    /// Says what validation was after the last step.
    pub fn validation(&mut self, value: f64) {
        self.pending.iter_mut().for_each(|line| line.validation = Some(value));
    }

    /// Gives all lines to the operating system.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.write_pending()?;
        self.file.flush().map_err(|source| failed(&self.path, source))
    }

    /// Makes all lines durable, and returns how many bytes they have.
    pub fn sync(&mut self) -> Result<u64, Error> {
        self.flush()?;
        self.file.get_ref().sync_data().map_err(|source| failed(&self.path, source))?;
        Ok(self.length)
    }

    fn write_pending(&mut self) -> Result<(), Error> {
        let Some(line) = self.pending.take() else { return Ok(()) };
        self.append(&text(self.form, &line))
    }

    fn append(&mut self, text: &str) -> Result<(), Error> {
        self.length += text.len() as u64;
        self.file.write_all(text.as_bytes()).map_err(|source| failed(&self.path, source))
    }
}

fn failed(path: &Path, source: io::Error) -> Error {
    Error::File { path: path.to_owned(), action: "write", source }
}

/// A step as a line. Numbers are the shortest text that reads back to their bits.
fn text(form: Form, line: &Line) -> String {
    let Line { epoch, dtype, loss, divergence_weight: weight, rate, validation } = *line;
    let StepLoss { step, loss, negative_log_likelihood, divergence } = loss;
    let [loss, negative_log_likelihood, divergence] =
        [loss, negative_log_likelihood, divergence].map(|x| match dtype {
            DType::F64 => format!("{x:?}"),
            _ => format!("{:?}", x as f32),
        });
    match form {
        Form::Csv => {
            let validation = validation.map_or(String::new(), |validation| format!("{validation:?}"));
            format!("{step},{epoch},{loss},{negative_log_likelihood},{divergence},{weight:?},{rate:?},{validation}\n")
        }
        Form::JsonLines => {
            // JSON has no infinities
            let number = |x: f64| if x.is_finite() { format!("{x:?}") } else { "null".to_owned() };
            let validation = validation.map_or(String::new(), |x| format!(",\"validation\":{}", number(x)));
            format!(
                "{{\"step\":{step},\"epoch\":{epoch},\"loss\":{loss},\"negative_log_likelihood\":\
                 {negative_log_likelihood},\"divergence\":{divergence},\"divergence_weight\":{weight:?},\"rate\":\
                 {rate:?}{validation}}}\n"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_back_to_their_bits() {
        let of = |dtype, loss| {
            let negative_log_likelihood = if dtype == DType::F32 { 1e-30_f32.into() } else { 1e-30 };
            let loss = StepLoss { step: 7, loss, negative_log_likelihood, divergence: f32::MAX.into() };
            move |validation| Line { epoch: 2, dtype, loss, divergence_weight: 0.1 + 0.2, rate: 1e-300, validation }
        };
        let line = of(DType::F32, 0.1_f32.into());
        let csv = text(Form::Csv, &line(Some(f64::NEG_INFINITY)));
        assert_eq!(csv, "7,2,0.1,1e-30,3.4028235e38,0.30000000000000004,1e-300,-inf\n");
        assert_eq!(text(Form::Csv, &line(None)).trim_end().matches(',').count(), 7);
        let csv = text(Form::Csv, &of(DType::F64, 0.1_f32.into())(None));
        assert!(csv.starts_with("7,2,0.10000000149011612,1e-30,3.4028234663852886e38,"), "{csv}");
        // by the text: `serde_json` may read a number as its neighbour
        let json = |validation| text(Form::JsonLines, &line(validation));
        let start = "{\"step\":7,\"epoch\":2,\"loss\":0.1,\"negative_log_likelihood\":1e-30,\"divergence\":3.4028235e38,\
                     \"divergence_weight\":0.30000000000000004,\"rate\":1e-300";
        assert_eq!(json(Some(0.5)), format!("{start},\"validation\":0.5}}\n"));
        assert_eq!(json(Some(f64::NAN)), format!("{start},\"validation\":null}}\n"));
        assert_eq!(json(None), format!("{start}}}\n"));
        let read: serde_json::Value = serde_json::from_str(&json(None)).unwrap();
        assert_eq!(read.as_object().map(|object| object.len()), Some(7));
    }
}

//! Where answers go: standard output, or a file that is there as a whole or not at all.

use crate::error::{Error, shown};
use bayeslift::NewFile;
use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// What answers are written to, many lines at once.
pub struct Sink {
    /// As messages show it.
    name: String,
    place: Place,
}

enum Place {
    /// Standard output, or what is no regular file, such as a device or a pipe: it has no other name to be written
    /// under.
    Stream(Box<dyn Write>),
    File(Box<NewFile>),
}

impl Sink {
    /// Standard output, or a file.
    pub fn create(path: Option<&Path>) -> Result<Sink, Error> {
        let Some(path) = path else {
            return Ok(Sink { name: "the answer".to_owned(), place: Place::Stream(Box::new(io::stdout())) });
        };
        let name = shown(path);
        let is_stream = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir());
        let opened = if is_stream {
            File::options().write(true).open(path).map(|file| Place::Stream(Box::new(file)))
        } else {
            NewFile::create(path).map(|file| Place::File(Box::new(file)))
        };
        let place = opened.map_err(|source| Error::write(&name, source))?;
        Ok(Sink { name, place })
    }

    /// Writes some text.
    pub fn write(&mut self, text: &str) -> Result<(), Error> {
        let result = match &mut self.place {
            Place::Stream(stream) => stream.write_all(text.as_bytes()),
            Place::File(file) => file.write_all(text.as_bytes()),
        };
        result.map_err(|source| Error::write(&self.name, source))
    }

    /// Hands over what was written: before, a file has not its name.
    pub fn finish(self) -> Result<(), Error> {
        let result = match self.place {
            Place::Stream(mut stream) => stream.flush(),
            Place::File(file) => file.finish(),
        };
        result.map_err(|source| Error::write(&self.name, source))
    }
}

/// Writes all of a file, or of standard output.
pub fn write(path: Option<&Path>, text: &str) -> Result<(), Error> {
    let mut output = Sink::create(path)?;
    output.write(text)?;
    output.finish()
}

//! Writing a file so that it is there as a whole or not at all.

use crate::Error;
use bayeslift_ir::{DType, Tensor};
use safetensors::Dtype;
use std::{
    borrow::Cow,
    collections::hash_map::RandomState,
    fs::{self, File, OpenOptions},
    hash::BuildHasher,
    io::{self, Write},
    path::Path,
};

/// A tensor as safetensors sees it.
pub struct View<'a>(pub &'a Tensor);

impl safetensors::View for View<'_> {
    fn dtype(&self) -> Dtype {
        if self.0.dtype() == DType::F32 { Dtype::F32 } else { Dtype::U32 }
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.0.words().into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>().into()
    }

    fn data_len(&self) -> usize {
        self.0.shape().elements() * 4
    }
}

/// Writes a file under a temporary name in the same folder, syncs it and gives it its name.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |source: io::Error| Error::File { path: path.to_owned(), action: "write", source };
    let Some(name) = path.file_name() else {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file")));
    };
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    // Each hasher has keys of its own, so no two calls have one name, also of machines that share the folder.
    temporary.push(format!(".{:016x}.tmp", RandomState::new().hash_one(std::process::id())));
    let temporary = path.with_file_name(temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary).map_err(failed)?;
    let result = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = result {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
        return Err(failed(error));
    }
    sync_folder(path);
    Ok(())
}

/// Makes the new name durable, on systems where folders can be synced. The file is whole either way.
fn sync_folder(path: &Path) {
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

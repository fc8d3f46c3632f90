//! Writing a file so that it is there as a whole or not at all.

use crate::Error;
use bayeslift_ir::{DType, Tensor};
use safetensors::Dtype;
use std::{
    borrow::Cow,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
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
    // Unique among the calls of all processes.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}-{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    let temporary = path.with_file_name(temporary);
    let result = write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = result {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
        return Err(failed(error));
    }
    sync_folder(path);
    Ok(())
}

fn write(path: &PathBuf, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the new name durable, on systems where folders can be synced. The file is whole either way.
fn sync_folder(path: &Path) {
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

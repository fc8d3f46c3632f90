//! Writing a file so that it is there as a whole or not at all.

use crate::Error;
use std::{
    collections::hash_map::RandomState,
    ffi::OsStr,
    fs::{self, File, Metadata, OpenOptions, TryLockError},
    hash::BuildHasher,
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

/// How the names of temporary files begin and end; between are the number of the process that writes it and a random
/// one.
const TEMPORARY: [&str; 2] = [".bayeslift-", ".tmp"];

/// As many links as Linux follows.
const MOST_LINKS: usize = 40;

/// A file that is there as a whole or not at all: models are saved so.
///
/// It is written under a temporary name in the same folder, and [`NewFile::finish`] syncs it and gives it its name; if
/// it is dropped before, nothing stays. A link stays one, and its target is written. A file that is replaced keeps its
/// mode and, where the system allows it, its owner. Temporary files that killed processes left in the folder are
/// removed first.
///
/// ```
/// use bayeslift::NewFile;
/// use std::io::Write;
///
/// let path = std::env::temp_dir().join(format!("bayeslift-new-file-{}", std::process::id()));
/// let mut file = NewFile::create(&path)?;
/// file.write_all(b"half")?;
/// assert!(!path.exists());
/// file.finish()?;
/// assert_eq!(std::fs::read(&path)?, b"half");
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct NewFile {
    file: File,
    temporary: PathBuf,
    /// Where it is to be.
    path: PathBuf,
    /// What is there now.
    replaced: Option<Metadata>,
    is_finished: bool,
}

impl NewFile {
    /// Begins a file.
    ///
    /// # Errors
    /// A name that is taken by what is no regular file - a folder, a pipe, a device -; what the operating system
    /// refuses.
    pub fn create(path: impl AsRef<Path>) -> io::Result<NewFile> {
        let path = resolved(path.as_ref())?;
        if path.file_name().is_none() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the path names no file"));
        }
        let replaced = match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => Some(metadata),
            Ok(metadata) => {
                let what = format!("it is {}, not a regular file", kind(&metadata));
                return Err(io::Error::new(ErrorKind::InvalidInput, what));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        remove_stale(folder(&path));
        let (temporary, file) = create(&path, replaced.is_some())?;
        Ok(NewFile { file, temporary, path, replaced, is_finished: false })
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// What the operating system refuses; what was there before is there then.
    pub fn finish(mut self) -> io::Result<()> {
        if let Some(replaced) = &self.replaced {
            keep_owner_and_mode(&self.file, replaced)?;
        }
        self.file.sync_all()?;
        fs::rename(&self.temporary, &self.path)?;
        self.is_finished = true;
        sync_folder(&self.path);
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_finished {
            // an error that came before is the one to report
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Writes all of a file as a [`NewFile`].
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let write = || {
        let mut file = NewFile::create(path)?;
        file.write_all(bytes)?;
        file.finish()
    };
    write().map_err(|source| Error::File { path: path.to_owned(), action: "write", source })
}

/// Where a path leads that may be a link, also if there is nothing yet.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..=MOST_LINKS {
        match fs::symlink_metadata(&path) {
            // A target that is no absolute path starts from the link's folder.
            Ok(metadata) if metadata.is_symlink() => path = folder(&path).join(fs::read_link(&path)?),
            _ => return Ok(path),
        }
    }
    Err(io::Error::new(ErrorKind::InvalidInput, format!("it is a chain of more than {MOST_LINKS} links")))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn kind(metadata: &Metadata) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let file_type = metadata.file_type();
        for (is, name) in [
            (file_type.is_fifo(), "a pipe"),
            (file_type.is_socket(), "a socket"),
            (file_type.is_block_device() || file_type.is_char_device(), "a device"),
        ] {
            if is {
                return name;
            }
        }
    }
    if metadata.is_dir() { "a folder" } else { "something else" }
}

/// A new file in the folder of `path`, locked: whoever finds it unlocked knows that nobody writes it any more.
fn create(path: &Path, is_private: bool) -> io::Result<(PathBuf, File)> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if is_private {
        // Nobody reads it before it has the mode of the file that it replaces.
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = is_private;
    let process = std::process::id();
    loop {
        // Each hasher has keys of its own, so no two calls have one name, also of machines that share the folder.
        let random = RandomState::new().hash_one(process);
        let temporary = folder(path).join(format!("{}{process}-{random:016x}{}", TEMPORARY[0], TEMPORARY[1]));
        let file = options.open(&temporary)?;
        match file.try_lock() {
            // Another process found it before it was locked, and removes it, or has removed it.
            Err(TryLockError::WouldBlock) => {}
            Ok(()) if fs::symlink_metadata(&temporary).is_err() => {}
            // Where files cannot be locked nobody removes them either.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok((temporary, file)),
        }
    }
}

/// Removes temporary files that nobody writes any more. What cannot be looked at or removed stays.
fn remove_stale(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let is_temporary = |name: &OsStr| {
        let name = name.as_encoded_bytes();
        TEMPORARY.iter().all(|part| name.len() > part.len())
            && name.starts_with(TEMPORARY[0].as_bytes())
            && name.ends_with(TEMPORARY[1].as_bytes())
    };
    for entry in entries.flatten().filter(|entry| is_temporary(&entry.file_name())) {
        if !entry.file_type().is_ok_and(|file_type| file_type.is_file()) {
            continue;
        }
        let path = entry.path();
        // Some systems lock only what may be written.
        let Ok(file) = OpenOptions::new().write(true).open(&path) else { continue };
        if file.try_lock().is_ok() {
            let _ = fs::remove_file(&path);
        }
    }
}

/// Gives a file the owner and the mode of the one that it replaces.
#[cfg(unix)]
fn keep_owner_and_mode(file: &File, replaced: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let own = file.metadata()?;
    let mut mode = replaced.mode() & 0o777;
    if (own.uid(), own.gid()) != (replaced.uid(), replaced.gid()) {
        // Only a privileged process may give files away; any may choose a group that it is in.
        let _ = fchown(file, Some(replaced.uid()), None);
        if fchown(file, None, Some(replaced.gid())).is_err() {
            // Another group than before has the rights of the others.
            mode = (mode & !0o070) | ((mode & 0o7) << 3);
        }
    }
    // Some file systems have one mode for all files, and refuse to set it.
    if own.mode() & 0o777 == mode { Ok(()) } else { file.set_permissions(fs::Permissions::from_mode(mode)) }
}

#[cfg(not(unix))]
fn keep_owner_and_mode(file: &File, replaced: &Metadata) -> io::Result<()> {
    file.set_permissions(replaced.permissions())
}

/// Makes the new name durable, on systems where folders can be synced. The file is whole either way.
fn sync_folder(path: &Path) {
    if cfg!(unix) {
        let _ = File::open(folder(path)).and_then(|folder| folder.sync_all());
    }
}

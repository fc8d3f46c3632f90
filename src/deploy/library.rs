//! A package as a library that build systems find: an archive, a file for pkg-config, and one for CMake.

use super::{File, Package};
use crate::Error;
use ar_archive_writer::{ArchiveKind, DEFAULT_OBJECT_READER, NewArchiveMember, write_archive_to_stream};
use std::{io::Cursor, path::PathBuf};

/// The archive, and what tells build systems of it. All are found from where they lie themselves, so that the folder
/// may be moved.
pub fn files(package: &Package) -> Result<Vec<File>, Error> {
    let name = &package.name;
    let archive = if package.system.is_coff() { format!("{name}.lib") } else { format!("lib{name}.a") };
    let version = env!("CARGO_PKG_VERSION");
    let config = format!(
        "prefix=${{pcfiledir}}\n\nName: {name}\nDescription: A Bayesian neural network, compiled by Bayeslift\nVersion: {version}\n\
         Cflags: -I${{prefix}}\nLibs: ${{prefix}}/{archive}\n"
    );
    let cmake = format!(
        "# find_package({name} CONFIG REQUIRED); target_link_libraries(program {name})\n\
         if(NOT TARGET {name})\n  add_library({name} STATIC IMPORTED)\n  set_target_properties({name} PROPERTIES\n    \
         IMPORTED_LOCATION \"${{CMAKE_CURRENT_LIST_DIR}}/{archive}\"\n    \
         INTERFACE_INCLUDE_DIRECTORIES \"${{CMAKE_CURRENT_LIST_DIR}}\")\nendif()\n"
    );
    Ok(vec![
        package.archive(&archive)?,
        File { name: format!("{name}.pc"), bytes: config.into() },
        File { name: format!("{name}Config.cmake"), bytes: cmake.into() },
    ])
}

/// The archive, by this name: the same bytes each time.
pub fn archive(package: &Package, name: &str) -> Result<File, Error> {
    let member = format!("{}.{}", package.name, package.extension);
    let kind = match &package.system {
        system if system.is_coff() => ArchiveKind::Coff,
        system if system.is_mach_o() => ArchiveKind::Darwin,
        _ => ArchiveKind::Gnu,
    };
    let members = [NewArchiveMember::new(package.object.as_slice(), &DEFAULT_OBJECT_READER, member.clone())];
    let mut archive = Cursor::new(Vec::new());
    let written = write_archive_to_stream(&mut archive, &members, kind, false, None);
    written.map_err(|source| Error::File { path: PathBuf::from(member), action: "put into an archive", source })?;
    Ok(File { name: name.to_owned(), bytes: archive.into_inner() })
}

//! The systems that objects are for: an architecture, a file format, a calling convention. Or C, for all others.

use crate::{Architecture, Error, Target};
use std::{fmt, str::FromStr};
use target_lexicon::{self as lexicon, BinaryFormat, Triple};

/// What an object is for, by the name that Rust has for it, such as `aarch64-unknown-linux-gnu`.
///
/// ```
/// use bayeslift_codegen::System;
/// let system: System = "riscv64gc-unknown-linux-gnu".parse()?;
/// assert_eq!(system.target(None)?.to_string(), "riscv64");
/// let error = "aarch64-pc-windows-msvc".parse::<System>().unwrap_err();
/// assert!(error.to_string().contains("COFF"));
/// # Ok::<(), bayeslift_codegen::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    name: String,
    triple: Triple,
    architecture: Architecture,
}

/// A level of x86-64: which instructions code may use, as compilers name them (`-march=x86-64-v3`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// What every processor has: one element at a time, products and sums rounded once by a function.
    V1,
    /// With SSE4.2: as [`Level::V1`], which knows no rounding to whole numbers.
    V2,
    /// With AVX2 and FMA: since 2013. The default of objects.
    V3,
    /// With AVX-512.
    V4,
}

impl Level {
    /// All of them, from old to new.
    pub const ALL: [Level; 4] = [Level::V1, Level::V2, Level::V3, Level::V4];

    /// Its number.
    pub fn number(self) -> i64 {
        self as i64 + 1
    }

    /// The row of the table of machines that stands for it.
    fn machine(self) -> &'static str {
        match self {
            Level::V1 => "x86-64",
            Level::V2 => "x86-64-v2",
            Level::V3 => "zen3",
            Level::V4 => "zen4",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.number())
    }
}

impl FromStr for Level {
    type Err = Error;

    fn from_str(name: &str) -> Result<Level, Error> {
        let level = Level::ALL.into_iter().find(|level| level.to_string() == name);
        level.ok_or_else(|| Error::System {
            name: name.to_owned(),
            reason: "it is no level of x86-64: there are v1, v2, v3 and v4".into(),
        })
    }
}

impl System {
    /// This machine's.
    ///
    /// # Errors
    /// A system that there are no objects for.
    pub fn host() -> Result<System, Error> {
        System::of(Triple::host().to_string(), Triple::host())
    }

    fn of(name: String, triple: Triple) -> Result<System, Error> {
        let refused = |reason: &str| Error::System { name: name.clone(), reason: reason.into() };
        let architecture = match triple.architecture {
            lexicon::Architecture::X86_64 => Architecture::X86_64,
            lexicon::Architecture::Aarch64(lexicon::Aarch64Architecture::Aarch64) => Architecture::Aarch64,
            lexicon::Architecture::Riscv64(_) => Architecture::Riscv64,
            _ => return Err(refused("code is made for x86_64, aarch64 and riscv64")),
        };
        match (triple.binary_format, architecture) {
            (BinaryFormat::Elf, _) => {}
            (BinaryFormat::Macho, Architecture::X86_64 | Architecture::Aarch64) => {}
            (BinaryFormat::Coff, Architecture::X86_64) => {}
            (BinaryFormat::Coff, _) => {
                let reason = "the code generator has no relocations of data in COFF for this architecture";
                return Err(refused(reason));
            }
            _ => return Err(refused("its object files are neither ELF, Mach-O nor COFF")),
        }
        Ok(System { name, triple, architecture })
    }

    /// Any system that has a compiler of C99; of this name, if it has one that Rust knows. What is made is C, the same
    /// for all.
    ///
    /// ```
    /// use bayeslift_codegen::System;
    /// let system = System::c(Some("thumbv7em-none-eabihf"))?;
    /// assert_eq!(system.to_string(), "C99 (thumbv7em-none-eabihf)");
    /// assert_eq!(system.target(None)?.to_string(), "c99");
    /// # Ok::<(), bayeslift_codegen::Error>(())
    /// ```
    ///
    /// # Errors
    /// A name that is none of a system; one whose numbers have their high bytes first.
    pub fn c(name: Option<&str>) -> Result<System, Error> {
        let architecture = Architecture::C99;
        let Some(name) = name else {
            return Ok(System { name: "C99".into(), triple: Triple::unknown(), architecture });
        };
        let refused = |reason: String| Error::System { name: name.to_owned(), reason };
        let triple: Triple = name.parse().map_err(|error| refused(format!("{error}")))?;
        if triple.endianness() == Ok(lexicon::Endianness::Big) {
            return Err(refused("numbers lie in memory with their low bytes first".into()));
        }
        Ok(System { name: format!("C99 ({name})"), triple, architecture })
    }

    /// Whether what is made for it is C.
    pub fn is_c(&self) -> bool {
        self.architecture == Architecture::C99
    }

    /// Its architecture.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// Whether its object files are COFF.
    pub fn is_coff(&self) -> bool {
        !self.is_c() && self.triple.binary_format == BinaryFormat::Coff
    }

    /// Whether its object files are Mach-O.
    pub fn is_mach_o(&self) -> bool {
        !self.is_c() && self.triple.binary_format == BinaryFormat::Macho
    }

    pub(crate) fn triple(&self) -> &Triple {
        &self.triple
    }

    /// What code is for. Default: of x86-64 this level, the third.
    ///
    /// # Errors
    /// A level for another architecture.
    pub fn target(&self, level: Option<Level>) -> Result<Target, Error> {
        let name = match (self.architecture, level) {
            (Architecture::X86_64, level) => level.unwrap_or(Level::V3).machine(),
            (_, Some(level)) => {
                let reason = format!("{level} is a level of x86-64");
                return Err(Error::System { name: self.name.clone(), reason });
            }
            (Architecture::Aarch64, None) => "neon",
            (Architecture::Riscv64, None) => "riscv64",
            (Architecture::C99, None) => "c99",
        };
        Ok(Target::named(name).expect("a row of the table of machines"))
    }
}

impl FromStr for System {
    type Err = Error;

    fn from_str(name: &str) -> Result<System, Error> {
        match name.parse() {
            Ok(triple) => System::of(name.to_owned(), triple),
            Err(error) => Err(Error::System { name: name.to_owned(), reason: format!("{error}") }),
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

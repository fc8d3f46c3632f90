//! What is written: an object, its header, a manifest, and what belongs to them.

use super::{
    DeployOptions, System, Weights,
    facts::{Facts, extension},
    language::Linked,
    library, web,
};
use crate::{Error, NewFile, predictor::model::Model};
use bayeslift_ir::DType;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{fs, io::Write, path::Path};

/// A file of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// A compiled network: its object, or its source, and what tells of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Package {
    /// What names begin with.
    pub name: String,
    /// The object file, or the file in C.
    pub object: Vec<u8>,
    /// The header, in C99 and C++.
    pub header: String,
    /// A module in Python that loads a shared library of it; none of a graph.
    pub python: Option<String>,
    /// A module in Rust that safe code calls; none of a graph.
    pub rust: Option<String>,
    /// What the object is: sizes, results, digests, versions.
    pub manifest: Value,
    /// The weights, if they are in a file of their own.
    pub weights: Option<Vec<u8>>,
    /// What the assembler includes into the file in C, if it does.
    pub included: Option<Vec<u8>>,
    /// How object files end on the system, or `c`.
    pub extension: &'static str,
    /// What it is for.
    pub(super) system: System,
    /// The script of a page, of a network as C: its module is still missing.
    pub(super) script: Option<String>,
}

impl Package {
    pub(super) fn new(
        options: &DeployOptions,
        system: &System,
        object: Vec<u8>,
        header: String,
        manifest: Value,
        [weights, included]: [Option<Vec<u8>>; 2],
    ) -> Package {
        let (name, system) = (options.name.clone(), system.clone());
        let extension = extension(&system);
        let (python, rust, script) = (None, None, None);
        Package { name, object, header, python, rust, manifest, weights, included, extension, system, script }
    }

    /// The files: the object, the header, modules in Python and in Rust, the manifest, and weights if they are apart.
    pub fn files(&self) -> Vec<File> {
        let file = |end: &str, bytes: &[u8]| File { name: format!("{}.{end}", self.name), bytes: bytes.to_vec() };
        let manifest = format!("{:#}\n", self.manifest);
        let mut files = vec![file(self.extension, &self.object), file("h", self.header.as_bytes())];
        files.extend(self.weights.as_deref().map(|weights| file("weights", weights)));
        files.extend(self.included.as_deref().map(|data| file("data", data)));
        files.extend(self.python.as_deref().map(|module| file("py", module.as_bytes())));
        files.extend(self.rust.as_deref().map(|module| file("rs", module.as_bytes())));
        files.push(file("json", manifest.as_bytes()));
        files
    }

    /// The archive of the object, by this name.
    ///
    /// # Errors
    /// As for [`Package::library`].
    pub fn archive(&self, name: &str) -> Result<File, Error> {
        if self.system.is_c() {
            return Err(Error::misuse("an archive was to be made of C", "compile it, or make an object"));
        }
        library::archive(self, name)
    }

    /// What build systems find besides: an archive, `NAME.pc` for pkg-config, `NAMEConfig.cmake`.
    ///
    /// # Errors
    /// [`Error::Misuse`] of C, which there is no archive of; [`Error::File`], if the object is none.
    pub fn library(&self) -> Result<Vec<File>, Error> {
        library::files(self)
    }

    /// What a page takes: `NAME.js`, a script with the network as WebAssembly inside of it, and the manifest. clang
    /// makes it of the C.
    ///
    /// # Errors
    /// [`Error::Misuse`] of anything but a network as C with its weights inside; where there is no clang, or no
    /// `wasm-ld`, which it links by.
    pub fn web(&self) -> Result<Vec<File>, Error> {
        match &self.script {
            Some(script) => web::files(self, script),
            None => Err(Error::misuse(
                "a script was to be made of what is no network as C, or has its weights apart",
                "ask for C (`System::c`) with weights inside",
            )),
        }
    }

    /// Writes [`Package::files`] into a folder, which is made if there is none.
    ///
    /// # Errors
    /// As for [`write()`].
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<(), Error> {
        write(folder, &self.files())
    }
}

/// Writes files into a folder, which is made if there is none: all of them, or none.
///
/// They are written under other names first. If one cannot get its name then, those are removed that were not there
/// before.
///
/// # Errors
/// [`Error::File`].
pub fn write(folder: impl AsRef<Path>, files: &[File]) -> Result<(), Error> {
    let folder = folder.as_ref();
    let failed = |path: &Path, action| {
        let path = path.to_owned();
        move |source| Error::File { path, action, source }
    };
    fs::create_dir_all(folder).map_err(failed(folder, "make"))?;
    let mut written = Vec::with_capacity(files.len());
    for File { name, bytes } in files {
        let path = folder.join(name);
        let mut file = NewFile::create(&path).map_err(failed(&path, "write"))?;
        file.write_all(bytes).map_err(failed(&path, "write"))?;
        written.push((path, file));
    }
    let mut new = Vec::new();
    for (path, file) in written {
        let is_new = !path.exists();
        if let Err(source) = file.finish() {
            // the first error is the one to report
            new.iter().for_each(|path| drop(fs::remove_file(path)));
            return Err(failed(&path, "write")(source));
        }
        new.extend(is_new.then_some(path));
    }
    Ok(())
}

pub(super) fn digest(bytes: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the object is.
pub(super) fn manifest(
    facts: &Facts<'_>,
    model: &Model,
    object: &Linked,
    data: &[u8],
    weights: Option<&[u8]>,
    header: &str,
) -> Value {
    let results = facts.results.iter().map(|result| json!({ "name": result.name, "width": result.width }));
    let model = json!({
        "digest": facts.digest,
        "likelihood": model.likelihood,
        "seed": model.seed,
        "input": model.input.to_vec(),
    });
    let mut manifest = json!({
        "name": facts.options.name,
        "bayeslift": env!("CARGO_PKG_VERSION"),
        "abi": facts.information.number("abi"),
        "system": facts.system.to_string(),
        "levels": facts.options.levels.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "model": model,
        "inputs": facts.information.number("inputs"),
        "outputs": facts.information.number("outputs"),
        "input_names": facts.options.input_names,
        "output_names": facts.options.output_names,
        "samples": facts.information.number("samples"),
        "seed": facts.information.seed,
        "results": results.collect::<Vec<_>>(),
        "largest_input": facts.bound,
        "bytes": {
            "object": object.bytes.len(),
            "code": object.code_bytes,
            "data": data.len(),
            "weights": weights.map(<[u8]>::len),
            "workspace": facts.layout_bytes,
            "stack": facts.stack_bytes,
        },
        "weights": match facts.options.weights {
            Weights::Inside => "inside",
            Weights::File => "file",
            Weights::Included => "included",
        },
        "sha256": {
            "object": digest(&object.bytes),
            "header": digest(header.as_bytes()),
            "weights": weights.map(digest),
        },
    });
    if let Some(abstains) = &facts.abstains {
        let (measure, above) = (abstains.abstention.measure().name(), abstains.abstention.above());
        manifest["abstention"] = json!({ "measure": measure, "above": above, "width": abstains.width });
    }
    if let Some(decides) = &facts.decides {
        manifest["decisions"] = json!({ "error": decides.error, "labels": decides.labels });
    }
    if let Some(members) = facts.members {
        manifest["members"] = members.into();
    }
    if facts.element.dtype != DType::F32 {
        manifest["dtype"] = facts.element.dtype.to_string().into();
    }
    manifest
}

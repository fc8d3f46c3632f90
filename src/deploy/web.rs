//! A package in a page: WebAssembly, which clang makes of the C, inside of a script that loads it.

use super::{
    File, Package,
    facts::{Facts, meaning},
    status::STATUS,
    template,
};
use crate::Error;
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
};

/// What the script has in common for all networks.
const TEXT: &str = include_str!("web/module.js");
/// What it has where the network decides.
const DECIDE: &str = include_str!("web/decide.js");
const INSTALL: &str = "install clang and lld, which make WebAssembly of C, or let another compiler do it (`--emit c`)";

/// The script, in which the module is still missing.
pub fn script(facts: &Facts<'_>) -> String {
    let lines = |of: &dyn Fn(&super::block::Column) -> String, between: &str| {
        facts.results.iter().map(of).collect::<Vec<_>>().join(between)
    };
    let statuses: Vec<String> = STATUS.iter().map(|(status, text)| format!("    ['{status}', '{text}'],")).collect();
    let texts = |names: &[String]| serde_json::json!(names).to_string();
    let texts = |names: &[String]| texts(names).trim_matches(['[', ']']).replace('<', "\\u003c");
    let mut about = lines(&|c| format!("     * - `{}`, {} a row: {}", c.name, c.width, meaning(&c.name)), "\n");
    let abstain = facts.abstains.as_ref().map_or_else(String::new, |abstains| {
        about.push_str(&format!("\n     * - `abstain`, {} a row: 1 of {}, else 0", abstains.width, abstains.about()));
        format!("abstain: {}", abstains.width)
    });
    let decide = facts.decides.as_ref().map_or_else(String::new, |decides| {
        let values = [("LABELS", decides.labels.to_string()), ("DECISION_ERROR", decides.error.to_string())];
        template::fill(DECIDE, values)
    });
    let values = [
        ("DECIDE", decide),
        ("ABSTAIN_WIDTH", abstain),
        ("WIDTHS", lines(&|c| format!("{}: {}", c.name, c.width), ", ")),
        ("RESULTS", about),
        ("STATUSES", statuses.join("\n")),
    ];
    template::module(TEXT, facts, values, texts)
}

/// The script with its module.
pub fn files(package: &Package, script: &str) -> Result<Vec<File>, Error> {
    let module = base64(&module(package)?);
    let file = |end: &str, text: String| File { name: format!("{}.{end}", package.name), bytes: text.into() };
    Ok(vec![file("js", script.replace("@WASM@", &module)), file("json", format!("{:#}\n", package.manifest))])
}

/// The module, by clang.
fn module(package: &Package) -> Result<Vec<u8>, Error> {
    let folder = Folder::new().map_err(|source| failed(&std::env::temp_dir(), "make a folder in", source))?;
    let (source, module) = (folder.0.join(format!("{}.c", package.name)), folder.0.join("module.wasm"));
    package.write(&folder.0)?;
    let mut command = Command::new("clang");
    command.args([
        "--target=wasm32",
        "-O2",
        "-nostdlib",
        "-ffreestanding",
        "-Wl,--no-entry",
        "-Wl,--export=__heap_base",
    ]);
    let decides = package.manifest.get("decisions").is_some();
    for function in ["predict", "self_test"].into_iter().chain(decides.then_some("decide")) {
        command.arg(format!("-Wl,--export={}_{function}", package.name));
    }
    match command.arg(&source).arg("-o").arg(&module).output() {
        Ok(output) if output.status.success() => fs::read(&module).map_err(|error| failed(&module, "read", error)),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(Error::misuse(format!("clang made no WebAssembly: {}", said.trim()), INSTALL))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::misuse("there is no clang", INSTALL)),
        Err(error) => Err(failed(Path::new("clang"), "run", error)),
    }
}

fn failed(path: &Path, action: &'static str, source: io::Error) -> Error {
    Error::File { path: path.to_owned(), action, source }
}

/// A folder that is there as long as this value is.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Folder> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("bayeslift-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path)?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Bytes as letters, as `atob` reads them.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - three.len()));
        let letter =
            |i: usize| if i > three.len() { '=' } else { LETTERS[(word >> (18 - 6 * i)) as usize & 63].into() };
        text.extend((0..4).map(letter));
    }
    text
}

#[cfg(test)]
mod tests {
    /// The examples of RFC 4648.
    #[test]
    fn base64_is_the_standards() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy"), ("??>", "Pz8+")]
        {
            assert_eq!(super::base64(bytes.as_bytes()), text);
        }
    }
}

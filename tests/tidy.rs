//! The invariants of ARCHITECTURE.md that reading the sources can check.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below these folders, as paths from the root with their text.
fn sources(folders: &[&str]) -> Vec<(String, String)> {
    let mut pending: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut sources = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
            sources.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(!sources.is_empty());
    sources.sort();
    sources
}

const CRATES: &[&str] =
    &["ir/src", "passes/src", "codegen/src", "runtime/src", "layers/src", "src", "cli/src", "build/src"];

/// Everything in Rust: the crates with their tests, and what uses them.
const ALL: &[&str] =
    &["ir", "passes", "codegen", "runtime", "layers", "src", "cli", "build", "tests", "benches", "examples"];

/// The files with a line that has `word` outside of a comment.
fn naming(folders: &[&str], word: &str) -> Vec<String> {
    let code = |line: &str| line.split("//").next().unwrap_or_default().contains(word);
    sources(folders).into_iter().filter(|(_, text)| text.lines().any(code)).map(|(name, _)| name).collect()
}

#[test]
fn unsafe_code_is_in_six_files() {
    let allowed = [
        "codegen/src/link/jit.rs",
        "ir/src/environment.rs",
        "runtime/src/aligned_buffer.rs",
        "runtime/src/call.rs",
        "runtime/src/executable.rs",
        "runtime/src/team.rs",
    ];
    assert_eq!(naming(CRATES, "unsafe "), allowed);
}

#[test]
fn every_unsafe_block_says_why() {
    // the line below that looks for them is none
    for (name, text) in sources(ALL).into_iter().filter(|(name, _)| name != "tests/tidy.rs") {
        let lines: Vec<&str> = text.lines().collect();
        for (i, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let block = code.contains("unsafe {") || code.trim_start().starts_with("unsafe impl");
            let reasons = lines[i.saturating_sub(4)..i].iter().any(|line| line.contains("SAFETY:"));
            assert!(!block || reasons, "{name}:{}: unsafe without a reason", i + 1);
        }
    }
}

#[test]
fn cranelift_is_named_by_the_emitter_and_the_linkers_alone() {
    let linkers = ["codegen/src/link/jit.rs", "codegen/src/link/object.rs"];
    for name in ["cranelift_", "cranelift::codegen", "cranelift::prelude"] {
        let files = naming(CRATES, name);
        let is_allowed =
            |name: &String| name.starts_with("codegen/src/emit/cranelift/") || linkers.contains(&name.as_str());
        assert!(!files.is_empty() && files.iter().all(is_allowed), "{files:?}");
    }
}

#[test]
fn egg_is_named_by_rewriting_alone() {
    let files = naming(CRATES, "egg::");
    assert!(files.iter().all(|name| name.starts_with("passes/src/rewrite/")), "{files:?}");
}

#[test]
fn iced_is_named_by_the_wide_emitter_alone() {
    let files = naming(CRATES, "iced_x86");
    assert!(files.iter().all(|name| name.starts_with("codegen/src/emit/x86/")), "{files:?}");
}

#[test]
fn crates_know_only_what_is_below_them() {
    let knows = |folder: &str, crates: &[&str]| {
        for name in ["ir", "passes", "codegen", "runtime", "layers"] {
            let found = naming(&[folder], &format!("bayeslift_{name}"));
            assert!(crates.contains(&name) || found.is_empty(), "{folder} knows {name}: {found:?}");
        }
    };
    // documentation names the crate itself
    knows("ir/src", &["ir"]);
    knows("passes/src", &["ir", "passes"]);
    knows("codegen/src", &["ir", "passes"]);
    knows("layers/src", &["ir", "layers"]);
    knows("runtime/src", &["ir", "passes", "codegen", "runtime"]);
    knows("src", &["ir", "passes", "layers", "runtime", "codegen"]);
    let files = naming(&["src"], "bayeslift_codegen");
    assert!(files.iter().all(|name| name.starts_with("src/deploy")), "{files:?}");
    // the command is a program like any other, and so are build scripts
    knows("cli/src", &[]);
    knows("build/src", &[]);
}

/// A file is one idea, which its first line says.
#[test]
fn files_are_short_and_say_their_idea() {
    for (name, text) in sources(ALL) {
        let (first, lines) = (text.lines().next().unwrap_or_default(), text.lines().count());
        assert!(first.starts_with("//! "), "{name} begins with `{first}`");
        assert!(lines <= 450, "{name} has {lines} lines");
    }
}

#[test]
fn comments_end_at_120_columns() {
    for (name, text) in sources(ALL) {
        for (i, line) in text.lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//") && !line.contains("//! cargo ") && !line.contains("|");
            assert!(!is_comment || line.chars().count() <= 120, "{name}:{}: {line}", i + 1);
        }
    }
}

#[test]
fn shipped_text_names_no_machine() {
    let mut texts = sources(ALL);
    for name in ["README.md", "ARCHITECTURE.md", "docs/performance.md", "docs/rejected.md", "Cargo.toml", ".ci/run"] {
        texts.push((name.to_owned(), fs::read_to_string(root().join(name)).unwrap()));
    }
    for (name, text) in texts {
        for path in ["/work/", "/root/", concat!("/ho", "me/")] {
            assert!(name == "tests/tidy.rs" || !text.contains(path), "{name} names {path}");
        }
    }
}

/// Every test that `docs/tfp.md` names is there.
#[test]
fn tests_that_documents_name_are_there() {
    let text = fs::read_to_string(root().join("docs/tfp.md")).unwrap();
    let mut count = 0;
    for name in text.split('`').filter(|part| part.contains(".rs::")) {
        let (file, test) = name.split_once("::").unwrap();
        let source = fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let at = source.find(&format!("fn {test}(")).unwrap_or_else(|| panic!("there is no `{name}`"));
        assert!(source[..at].trim_end().ends_with("#[test]"), "`{name}` is no test");
        count += 1;
    }
    assert!(count > 50, "{count}");
}

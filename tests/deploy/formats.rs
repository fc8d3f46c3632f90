//! Objects of other systems, read back.

use super::classes;
use bayeslift::deploy::{self, DeployOptions};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, SectionKind};
use std::collections::{BTreeMap, BTreeSet};

/// What is comparable of an object.
#[derive(Debug, PartialEq)]
struct Contents {
    exported: BTreeSet<String>,
    local: BTreeSet<String>,
    data: Vec<Vec<u8>>,
    /// How often code refers to what, by the names of symbols.
    references: BTreeMap<String, usize>,
}

fn contents(bytes: &[u8]) -> Contents {
    let file = object::File::parse(bytes).unwrap();
    let is_apple = file.format() == object::BinaryFormat::MachO;
    let plain = |name: &str| if is_apple { name.strip_prefix('_').unwrap_or(name).to_owned() } else { name.to_owned() };
    assert!(file.symbols().all(|symbol| !symbol.is_undefined()), "it refers to something");
    assert!(
        file.sections().all(|section| !matches!(section.kind(), SectionKind::Data | SectionKind::UninitializedData)
            || section.size() == 0),
        "it has data that can be written"
    );
    let names = |is_global: bool| {
        let symbols = file.symbols().filter(|symbol| symbol.is_global() == is_global && symbol.is_definition());
        let names = symbols.map(|symbol| plain(symbol.name().unwrap()));
        names.filter(|name| !name.is_empty() && !name.contains(".L")).collect()
    };
    let data = file.sections().filter(|section| section.kind() == SectionKind::ReadOnlyData);
    let mut references = BTreeMap::new();
    for section in file.sections().filter(|section| section.kind() == SectionKind::Text) {
        for (_, relocation) in section.relocations() {
            let RelocationTarget::Symbol(index) = relocation.target() else { panic!("{relocation:?}") };
            let symbol = file.symbol_by_index(index).unwrap();
            let name = plain(symbol.name().unwrap());
            // where a page begins and what is added to it are two
            *references.entry(name).or_insert(0) += 1;
        }
    }
    Contents {
        exported: names(true),
        local: names(false).into_iter().filter(|name: &String| name.starts_with("classes_")).collect(),
        data: data.map(|section| section.data().unwrap().to_vec()).filter(|data| data.len() > 64).collect(),
        references,
    }
}

#[test]
fn objects_of_other_systems_hold_the_same() {
    let network = classes();
    let of = |system: &str| {
        let options = DeployOptions::new("classes").samples(7).for_system(system.parse().unwrap());
        let package = deploy::network(&network, &options).unwrap();
        let again = deploy::network(&network, &options).unwrap();
        assert_eq!(
            (&package.object, &package.manifest),
            (&again.object, &again.manifest),
            "{system}: not the same bytes"
        );
        contents(&package.object)
    };
    let [linux, apple, windows] = ["x86_64-unknown-linux-gnu", "x86_64-apple-darwin", "x86_64-pc-windows-msvc"].map(of);
    let functions = ["predict", "self_test", "info", "begin", "add", "finish"].map(|name| format!("classes_{name}"));
    assert_eq!(linux.exported, functions.into());
    assert_eq!(apple, linux);
    assert_eq!(windows, linux);
    let [arm, apple_arm] = ["aarch64-unknown-linux-gnu", "aarch64-apple-darwin"].map(of);
    assert_eq!(apple_arm, arm);
    let risc = of("riscv64gc-unknown-linux-gnu");
    assert_eq!((&arm.exported, &risc.exported), (&linux.exported, &linux.exported));
}

#[test]
fn what_cannot_be_says_why() {
    let cases = [
        ("aarch64-pc-windows-msvc", "COFF"),
        ("thumbv7em-none-eabihf", "x86_64, aarch64 and riscv64"),
        ("wasm32-unknown-unknown", "x86_64, aarch64 and riscv64"),
        ("nowhere", "no objects for `nowhere`"),
    ];
    for (system, reason) in cases {
        let error = system.parse::<deploy::System>().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    let network = classes();
    let refused = |options: DeployOptions| deploy::network(&network, &options).unwrap_err().to_string();
    for name in ["", "7days", "a-b", "int", "naïve", "a b"] {
        assert!(refused(DeployOptions::new(name)).contains("an identifier of C"), "{name}");
    }
    assert!(refused(DeployOptions::new("a").samples(0)).contains("at least 1"));
    assert!(refused(DeployOptions::new("a").row_block(0)).contains("1 to 4096"));
    let arm = DeployOptions::new("a").for_system("aarch64-unknown-linux-gnu".parse().unwrap());
    assert!(refused(arm.levels([deploy::Level::V3])).contains("a level of x86-64"));
}

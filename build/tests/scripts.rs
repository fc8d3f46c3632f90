//! What a build script is told: of objects, of C, and of what is wrong.

use bayeslift::prelude::*;
use bayeslift_build::{Error, Model};
use std::{fs, path::PathBuf};

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("build").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn saved(folder: &std::path::Path) -> PathBuf {
    let layer = AffineVariationalReparameterizationLocal::new(2, 3);
    let path = folder.join("1-Flowers.safetensors");
    Network::new(layer, [2], likelihood::Categorical, 0).unwrap().save(&path).unwrap();
    path
}

#[test]
fn objects_and_modules() {
    let folder = folder("objects");
    let model = Model::new(saved(&folder)).out_dir(&folder);
    for (target, archive) in
        [("aarch64-unknown-none", "libbayeslift__1_flowers.a"), ("x86_64-pc-windows-msvc", "bayeslift__1_flowers.lib")]
    {
        model.clone().target(target).compile().unwrap();
        assert!(fs::read(folder.join(archive)).unwrap().starts_with(b"!<arch>\n"), "{target}");
    }
    let text = fs::read_to_string(folder.join("_1_flowers.rs")).unwrap();
    assert!(text.contains("pub const INPUTS: usize = 2;") && text.contains("pub probabilities: [[f32; 3]; ROWS],"));
    // any processor of the architecture
    assert!(text.contains("is_ready"), "{text}");
}

#[test]
fn what_is_wrong_and_what_to_do() {
    let folder = folder("errors");
    let path = saved(&folder);
    let model = Model::new(&path).out_dir(&folder).target("x86_64-unknown-linux-gnu");
    let missing = Model::new("nowhere.safetensors").out_dir(&folder).target("x86_64-unknown-linux-gnu");
    let damaged = folder.join("damaged.safetensors");
    fs::write(&damaged, &fs::read(&path).unwrap()[..100]).unwrap();
    let damaged = Model::new(damaged).out_dir(&folder).target("x86_64-unknown-linux-gnu");
    for (model, said) in [
        (missing, "there is no model `nowhere.safetensors` in `"),
        (damaged, "damaged.safetensors` was not compiled: "),
        (model.clone().name("7up"), "an identifier of C"),
        (model.clone().target("nowhere"), "no objects for `nowhere`"),
        // high bytes first
        (model.clone().target("powerpc-unknown-linux-gnu"), "low bytes first"),
        // an architecture that there is a compiler of nowhere
        (
            model.clone().target("loongarch64-unknown-linux-gnu"),
            "name it in the variable `CC_loongarch64_unknown_linux_gnu`",
        ),
    ] {
        let error = model.compile().unwrap_err();
        // as `main` prints it
        assert!(format!("{error:?}").contains(said) && error.to_string().contains(said), "{error}");
    }
    let outside = Model::new(&path).compile().unwrap_err();
    assert!(matches!(outside, Error::NoBuildScript { name: "TARGET" }), "{outside}");
}

//! Programs that are as unfriendly as they may be.

use super::{classes, harness};
use bayeslift::{
    deploy::{self, DeployOptions},
    prelude::*,
};
use std::{fs, process::Command};

#[test]
fn two_models_threads_environments_borders_and_wrong_calls() {
    let folder = harness::folder("hostile");
    let second = AffineVariationalReparameterizationLocal::new(3, 2);
    let second = Network::new(second, [3], likelihood::Normal::learned(0.1), 1).unwrap();
    for (name, network) in [("first", &classes()), ("second", &second)] {
        let mut options = DeployOptions::new(name).samples(9);
        if name == "second" {
            options = options.input_names(["x [m]", "y [m]", "heading"]).output_names(["steering", "speed [m/s]"]);
        }
        deploy::network(network, &options).unwrap().write(&folder).unwrap();
    }
    fs::write(folder.join("hostile.c"), include_str!("hostile.c")).unwrap();
    let strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-frounding-math", "-O1", "-pthread"];
    for (compiler, language) in [("cc", &["-std=gnu99"][..]), ("c++", &["-x", "c++", "-std=gnu++11"])] {
        let mut command = Command::new(compiler);
        command.current_dir(&folder).args(strict).args(language).args(["hostile.c", "-x", "none"]);
        harness::run(command.args(["first.o", "second.o", "-lm", "-o", "hostile"]));
        harness::run(&mut Command::new(folder.join("hostile")));
    }
}

/// A folder that cannot be written to holds nothing afterwards, nor one in which a file cannot be replaced.
#[test]
fn no_half_package_stays() {
    let package = deploy::network(&classes(), &DeployOptions::new("half")).unwrap();
    let folder = harness::folder("half");
    fs::create_dir(folder.join("half.json")).unwrap();
    let error = package.write(&folder).unwrap_err().to_string();
    assert!(error.contains("half.json"), "{error}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "the folder that was there");
    fs::remove_dir(folder.join("half.json")).unwrap();
    package.write(folder.join("new/deep")).unwrap();
    let mut names: Vec<_> =
        fs::read_dir(folder.join("new/deep")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["half.h", "half.json", "half.o", "half.py", "half.rs"]);
    fs::write(folder.join("file"), "").unwrap();
    assert!(package.write(folder.join("file")).is_err());
}

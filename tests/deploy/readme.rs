//! The program of the README, as it is printed there.

use super::{facade, harness};
use bayeslift::{
    deploy::{self, DeployOptions},
    prelude::*,
};
use std::{fs, process::Command};

#[test]
fn the_program_of_the_readme_runs() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, rest) = readme.split_once("```c\n").expect("a program in C");
    let (program, _) = rest.split_once("```").unwrap();
    let example = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/deploy/main.c")).unwrap();
    assert_eq!(program, example, "README.md and examples/deploy/main.c");
    let network = facade::digits_network(0);
    let package = deploy::network(&network, &DeployOptions::new("digits")).unwrap();
    let folder = harness::folder("readme");
    package.write(&folder).unwrap();
    deploy::write(&folder, &package.library().unwrap()).unwrap();
    fs::write(folder.join("main.c"), program).unwrap();
    let (_, test) = facade::digits();
    let image = &test.inputs()[..64];
    let text: Vec<String> = image.iter().map(ToString::to_string).collect();
    fs::write(folder.join("image.txt"), text.join(" ")).unwrap();
    let prediction = Predictor::new(&network).unwrap().classify(image).unwrap();
    let mut want: String =
        prediction.probabilities().iter().enumerate().map(|(digit, p)| format!("{digit}: {p:.3}\n")).collect();
    want += &format!("not known: {:.3} nats\n", prediction.mutual_information()[0]);
    // the object, and the archive
    for library in ["digits.o", "libdigits.a"] {
        let arguments = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-std=c11", "main.c", library, "-o", "main"];
        harness::run(Command::new("cc").current_dir(&folder).args(arguments));
        let image = fs::File::open(folder.join("image.txt")).unwrap();
        let output = harness::run(Command::new(folder.join("main")).stdin(image));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), want);
    }
}

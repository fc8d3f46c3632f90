//! What analysis finds: the rules of MISRA C:2012 that are not followed are those that are said to be.

use crate::{c, harness, is_here, options};
use bayeslift::prelude::*;
use std::{collections::BTreeSet, fs, process::Command};

#[test]
fn deviations_are_those_that_are_listed() {
    if !is_here("cppcheck") {
        return;
    }
    // small: analysis takes long
    let layers = Sequential::new().layer(Affine::new(3, 4).activation(Activation::Tanh)).layer(Affine::new(4, 2));
    let network = Network::new(layers, [3], likelihood::Categorical, 1).unwrap();
    let package = c(&network, &options("classes").row_block(4));
    let folder = harness::folder("c/rules");
    package.write(&folder).unwrap();
    let mut command = Command::new("cppcheck");
    command.current_dir(&folder).args(["--addon=misra", "--std=c99", "--enable=warning,style,portability", "--quiet"]);
    let output = harness::run(command.args([
        "--inline-suppr",
        "-D__GNUC__=12",
        "-D__aarch64__",
        "-DPTRDIFF_MAX=0x7fffffff",
        "classes.c",
    ]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let rules = said.split("[misra-c2012-").skip(1).filter_map(|rest| rest.split_once(']')).map(|(rule, _)| rule);
    let found: BTreeSet<String> = rules.map(str::to_owned).collect();
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/deploy/README.md")).unwrap();
    let unlisted: Vec<&String> = found.iter().filter(|rule| !readme.contains(&format!("| {rule} |"))).collect();
    assert!(unlisted.is_empty(), "{unlisted:?} of\n{said}");
    let others: Vec<&str> = said.lines().filter(|line| line.contains("error:")).collect();
    assert!(others.is_empty(), "{others:?}");
}

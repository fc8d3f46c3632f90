//! Tests as data: each file of `tests/fixtures` is a command, a graph or tile code, and the text that must come of it.
//! Settings may follow the command, as in `; test: rewrite stop_after=simplify`.
//!
//! ```text
//! ; test: grad
//! graph { .. }
//! ----
//! the expected text
//! ```
//!
//! Commands about code for machines have settings: `; test: lower target=zen3`, `; test: run lanes=8`, see
//! `tile_fixtures`.
//!
//! `BLESS=1 cargo test --test fixtures` writes what came as what is expected; read the difference before committing it.

use bayeslift::ir::{self, Builder, DType, Error, Graph, verify};
use bayeslift::runtime::{Explanation, Options};
use bayeslift_codegen::{Target, tile::TileKernel};
use bayeslift_passes::{Pipeline, Plan, Rewritten, gradients, simplify};
use std::{env, fs, path::Path};

mod tile_fixtures;

use tile_fixtures::Settings;

/// What a command makes of a text. Errors are results like others.
fn run(header: &str, text: &str) -> Result<String, Box<dyn std::error::Error>> {
    let (command, settings) = header.split_once(' ').unwrap_or((header, ""));
    let settings: Settings = settings.parse()?;
    match command {
        "run" => return tile_fixtures::ran(text, &settings),
        "emit" => return tile_fixtures::emitted(text, &settings),
        "print" if tile_fixtures::is_tile_code(text) => return Ok(text.parse::<TileKernel>()?.to_string()),
        _ => {}
    }
    let graph: Graph = text.parse()?;
    match command {
        "print" => return Ok(graph.to_string()),
        "verify" => return verify(&graph).map(|()| "well-formed\n".into()).map_err(Into::into),
        _ => verify(&graph)?,
    }
    let result = match command {
        "grad" => gradients_of_loss(graph)?,
        "simplify" => simplify(&graph)?,
        "rewrite" => return Ok(rewritten(&graph, settings.stop_after.as_deref())?),
        "plan" => return Ok(Plan::new(graph)?.to_string()),
        "lower" => return tile_fixtures::lowered(graph, &settings),
        "explain" => return Ok(explained(graph)?.to_string()),
        "dot" => return Ok(explained(graph)?.to_dot()),
        "svg" => return Ok(explained(graph)?.to_svg()),
        _ => panic!("there is no command `{command}`: see `run`"),
    };
    verify(&result)?;
    Ok(result.to_string())
}

/// The graph after all passes, or those up to one, which of its values are one operation, and the rules that found
/// something.
fn rewritten(graph: &Graph, stop_after: Option<&str>) -> Result<String, Error> {
    let Rewritten { graph, fusions, report } = Pipeline { stop_after, ..Pipeline::default() }.run(graph)?;
    verify(&graph)?;
    let fusions: String = fusions.iter().map(|fusion| format!("{fusion}\n")).collect();
    Ok(format!("{graph}{fusions}{report}"))
}

/// What the kernels do on one machine, whichever runs this, without times.
fn explained(graph: Graph) -> Result<Explanation, Error> {
    let target = Target::named("zen4").expect("a row of the table of machines");
    let program = Options::default().target(target).threads(1).lower(&graph);
    let program = program.map_err(|error| Error::Malformed(error.to_string()))?;
    Ok(Explanation::of(&program.table, 1))
}

/// The graph that also reports the gradients of the output `loss` with respect to all `f32` inputs.
fn gradients_of_loss(graph: Graph) -> Result<Graph, Error> {
    let loss = graph.outputs().iter().find(|output| output.name == "loss").expect("an output named loss").value;
    let is_float = |name: &&ir::Input| graph.ty(name.value).dtype == DType::F32;
    let parameters: Vec<_> = graph.inputs().iter().filter(is_float).cloned().collect();
    let b = Builder::from(graph);
    let x: Vec<_> = parameters.iter().map(|input| b.expr(input.value)).collect();
    for (input, gradient) in parameters.iter().zip(gradients(b.expr(loss), &x)) {
        b.output(&format!("gradient of {}", input.name), gradient);
    }
    b.finish()
}

#[test]
fn fixtures() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no fixtures in {}", folder.display());
    let failures: Vec<String> = paths.iter().filter_map(|path| check(path).err()).collect();
    assert!(failures.is_empty(), "{}\n{} of {} failed", failures.join("\n"), failures.len(), paths.len());
}

/// Runs one file. Blesses it if asked to.
fn check(path: &Path) -> Result<(), String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let file = fs::read_to_string(path).unwrap().replace("\r\n", "\n");
    let (text, expected) = file.split_once("\n----\n").ok_or_else(|| format!("{name} has no line `----`"))?;
    let header = text.lines().next().and_then(|line| line.strip_prefix("; test: "));
    let command = header.ok_or_else(|| format!("{name} does not begin with `; test: `"))?.trim();
    let found = run(command, text).unwrap_or_else(|error| format!("error: {error}\n"));
    if found == expected {
        return Ok(());
    }
    if env::var_os("BLESS").is_some() {
        fs::write(path, format!("{text}\n----\n{found}")).unwrap();
        return Ok(());
    }
    Err(format!("{name}: expected\n{expected}found\n{found}"))
}

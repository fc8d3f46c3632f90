//! From a model to a package.

use super::{
    DeployOptions, Package, Weights,
    block::{Block, Compiled},
    entry::{Looks, Parts},
    functions::{Defaults, Functions, Roles, TEST_SAMPLES, checksum, test_inputs},
    header::{self, Facts, header},
    information::Information,
    layout::{Layout, accumulator_bytes},
    package,
};
use crate::{
    Error,
    predictor::{Predictor, PredictorOptions, model::Model, question::Turns},
};
use bayeslift_codegen::{
    Level, System, Target,
    link::object::object,
    routine::{Assembly, Data},
};

/// The most samples that a block of a single row computes at once.
const MOST_AT_ONCE: usize = 256;
/// The samples that a block of many rows computes at once.
const AT_ONCE: usize = 32;
/// Those of a block of one row: few, so that as many are soon added under a deadline.
const FEW_AT_ONCE: usize = 8;
/// The most bytes of data: code finds them by a signed distance of 32 bits.
const MOST_DATA: u64 = 1 << 30;
/// The largest number of rows at once: more would only take memory.
const MOST_ROWS: usize = 1 << 12;

/// What code is for.
pub fn target(system: &System, level: Option<Level>) -> Result<Target, Error> {
    Ok(system.target(level).map_err(bayeslift_runtime::Error::from)?)
}

/// What code is for, one or several times, with the levels to choose among.
fn targets(options: &DeployOptions, system: &System) -> Result<(Vec<Option<i64>>, Vec<Target>), Error> {
    let mut levels = options.levels.clone();
    levels.sort();
    levels.dedup();
    match levels[..] {
        [] => Ok((vec![None], vec![target(system, None)?])),
        [level] => Ok((vec![None], vec![target(system, Some(level))?])),
        _ => {
            let targets = levels.iter().map(|&level| target(system, Some(level))).collect::<Result<_, _>>()?;
            Ok((levels.iter().map(|level| Some(level.number())).collect(), targets))
        }
    }
}

/// A package of a model; `digest` is that of its file.
pub fn compile(model: &Model, digest: Option<&str>, options: &DeployOptions) -> Result<Package, Error> {
    check(options)?;
    let system = options.system()?;
    let (levels, targets) = targets(options, &system)?;
    let draws = model.draws()?;
    let (blocks, roles) = blocks(model, options, draws)?;
    let mut assembly = Assembly { kernels: Vec::new(), routines: Vec::new(), data: Vec::new() };
    let mut compiled: Vec<(Block, Vec<Compiled>)> = Vec::new();
    let mut kernels = Vec::new();
    for block in blocks {
        let (mut all, mut first) = (Vec::new(), Vec::new());
        for &target in &targets {
            let mut code = block.compile(target)?;
            first.push(assembly.kernels.len());
            assembly.kernels.append(&mut code.functions);
            all.push(code);
        }
        kernels.push(first);
        compiled.push((block, all));
    }
    let units = model.input.elements();
    let layout = Layout::new(&compiled, units);
    let (mut data, mut weights) = (Data::default(), Data::default());
    let brings_weights = options.weights == Weights::File;
    let known = compiled.iter().map(|(block, _)| {
        let of = if brings_weights { &mut weights } else { &mut data };
        block.known.iter().map(|tensor| of.words(&tensor.words())).collect()
    });
    let known: Vec<Vec<u64>> = known.collect();
    let defaults = Defaults { seed: options.seed.unwrap_or(model.seed), samples: options.samples };
    let bound = compiled.iter().map(|(block, _)| block.bound).fold(f32::MAX, f32::min);
    let expected = expected(model, defaults, draws, roles, &compiled[roles.many].0)?;
    let expected = expected.map(|results| results.iter().map(|words| data.words(words)).collect());
    let results = compiled[roles.many].0.results();
    let about = Information::of(model, digest, options, defaults, &results)?;
    let information = data.add(&about.bytes());
    let outside = brings_weights.then_some(weights.bytes);
    let weights = outside.as_deref().map(|bytes| (checksum(bytes), bytes.len() as u64));
    let rows = compiled[roles.many].0.rows;
    let [many_bytes, one_bytes] = [roles.many, roles.one].map(|block| accumulator_bytes(&compiled[block].0));
    let parts = Parts {
        blocks: &compiled,
        levels: &levels,
        layout: &layout,
        units,
        known: &known,
        brings_weights,
        kernels: &kernels,
    };
    let architecture = system.architecture();
    let routines = &mut assembly.routines;
    let looks = Looks::new(routines, bound, architecture);
    let of = (0..compiled.len()).map(|block| parts.of_block(block, routines, &mut data)).collect();
    let name = options.name.as_str();
    Functions { parts, roles, defaults, architecture, draws, name, weights, expected, information, of, looks }
        .add_to(routines);
    if data.bytes.len() as u64 > MOST_DATA {
        let problem = format!(
            "the object would hold {} bytes of data, at most {MOST_DATA} are near enough to its code",
            data.bytes.len()
        );
        return Err(Error::misuse(problem, "put the weights into a file of their own"));
    }
    assembly.data = data.bytes;
    let linked = object(&assembly, name, &system).map_err(bayeslift_runtime::Error::from)?;
    let facts = Facts {
        options,
        system: &system,
        information: &about,
        results: &results,
        digest,
        rows,
        levels: &levels,
        layout_bytes: layout.bytes,
        stack_bytes: linked.stack_bytes,
        accumulators: draws.then_some([many_bytes, one_bytes]),
        weights: weights.map(|(_, bytes)| bytes),
        bound,
    };
    let header = header(&facts);
    let manifest = package::manifest(&facts, model, &linked, &assembly.data, outside.as_deref(), &header);
    Ok(Package::new(options, &system, linked.bytes, header, manifest, outside))
}

pub fn check(options: &DeployOptions) -> Result<(), Error> {
    let DeployOptions { name, samples, row_block, .. } = options;
    let is_identifier = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !header::KEYWORDS.contains(&name.as_str());
    if !is_identifier {
        let expected = "an identifier of C and C++: letters, digits and `_`, the first no digit, and no keyword";
        return Err(Error::argument("the name of an object", expected, format!("`{name}`")));
    }
    if *samples == 0 || u32::try_from(*samples).is_err() {
        return Err(Error::argument("the number of samples", "at least 1 and below 2^32", samples));
    }
    if *row_block == 0 || *row_block > MOST_ROWS {
        return Err(Error::argument("the block of rows", format!("1 to {MOST_ROWS}"), row_block));
    }
    Ok(())
}

/// Blocks for many rows, for one, and, where a single row's samples come all at once, for that.
fn blocks(model: &Model, options: &DeployOptions, draws: bool) -> Result<(Vec<Block>, Roles), Error> {
    let turns = if draws { Turns::Open } else { Turns::One };
    let at_once = |most: usize| if draws { most.min(options.samples) } else { 1 };
    let mut blocks = vec![Block::new(model, (at_once(AT_ONCE), turns), options.row_block, draws)?];
    let mut roles = Roles { many: 0, one: 0, direct: None };
    if options.row_block > 1 {
        roles.one = blocks.len();
        blocks.push(Block::new(model, (at_once(FEW_AT_ONCE), turns), 1, draws)?);
    }
    if draws && options.samples <= MOST_AT_ONCE {
        roles.direct = Some(blocks.len());
        blocks.push(Block::new(model, (options.samples, Turns::One), 1, draws)?);
    }
    Ok((blocks, roles))
}

/// What the self-test is to find: results of a block of rows for a few samples, and of its first row for the default number.
fn expected(model: &Model, defaults: Defaults, draws: bool, roles: Roles, block: &Block) -> Result<Expected, Error> {
    let units = model.input.elements();
    let inputs = test_inputs(block.rows * units);
    let results = block.results();
    let names: Vec<&str> = results.iter().map(|result| result.name.as_str()).collect();
    let of = |samples: usize, rows: usize| {
        let options = PredictorOptions::default().samples(samples).seed(defaults.seed);
        let options = PredictorOptions { allow_non_finite: true, ..options };
        Predictor::of_model(model.clone(), &options)?.moments(&inputs[..rows * units], &names)
    };
    let many = of(if draws { TEST_SAMPLES } else { 1 }, block.rows)?;
    let direct = if roles.direct.is_some() { of(defaults.samples, 1)? } else { Vec::new() };
    Ok([many, direct])
}

/// For each test the words of each result.
type Expected = [Vec<Vec<u32>>; 2];

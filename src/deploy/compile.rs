//! From a model to a package.

use super::{
    DeployOptions, Package, Weights,
    block::{Block, Compiled},
    decisions::{Abstains, Decides},
    element::Element,
    entry::{Known, Looks, Parts},
    facts::Facts,
    functions::{Defaults, Functions, Roles, TEST_SAMPLES, checksum, test_inputs},
    header::{self, header},
    information::Information,
    language::{C, Language, Machine},
    layout::{Layout, accumulator_bytes},
    members::Members,
    package, prototypes, python, rust, web,
};
use crate::{
    Backend, EnsemblePredictor, Error,
    predictor::{
        Predictor, PredictorOptions,
        model::Model,
        question::{Question, Turns},
    },
};
use bayeslift_codegen::{
    Level, System, Target,
    routine::{Assembly, Data},
};

/// The most samples that a block of a single row computes at once.
const MOST_AT_ONCE: usize = 256;
/// The samples that a block of many rows computes at once.
const AT_ONCE: usize = 32;
/// Those of a block of one row: few, so that as many are soon added under a deadline.
const FEW_AT_ONCE: usize = 8;
/// The most bytes of data: code finds them by a signed distance of 32 bits.
pub const MOST_DATA: u64 = 1 << 30;
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

/// What is compiled.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    Network(&'a Model),
    /// The members, at least one.
    Ensemble(&'a [Model]),
}

impl<'a> Subject<'a> {
    fn models(self) -> &'a [Model] {
        match self {
            Subject::Network(model) => std::slice::from_ref(model),
            Subject::Ensemble(models) => models,
        }
    }

    /// The seed of each network, if none is told.
    fn seeds(self, options: &DeployOptions) -> Vec<u64> {
        self.models().iter().map(|model| options.seed.unwrap_or(model.seed)).collect()
    }
}

/// A package of a model, or of an ensemble; `digest` is that of its file.
pub fn compile(subject: Subject<'_>, digest: Option<&str>, options: &DeployOptions) -> Result<Package, Error> {
    check(options)?;
    let system = options.system()?;
    if system.is_c() {
        compile_as(&C, system, subject, digest, options)
    } else {
        compile_as(&Machine, system, subject, digest, options)
    }
}

fn compile_as<L: Language>(
    language: &L,
    system: System,
    subject: Subject<'_>,
    digest: Option<&str>,
    options: &DeployOptions,
) -> Result<Package, Error> {
    let models = subject.models();
    let model = &models[0];
    let element = Element::of(model.dtype);
    let (levels, targets) = targets(options, &system)?;
    let draws = model.draws()?;
    let moments = |turns, rows| Block::new(Question::Moments, models, turns, rows, draws);
    let (mut blocks, mut roles) = blocks(options, draws, moments)?;
    Decides::check(options, models.len(), draws, &blocks[0].results())?;
    if options.decision_error.is_some() {
        roles.decide = Some(blocks.len());
        blocks.push(Block::new(Question::Decision, models, (FEW_AT_ONCE, Turns::Open), 1, draws)?);
    }
    let mut assembly = Assembly { kernels: Vec::new(), routines: Vec::new(), data: Vec::new() };
    let mut compiled: Vec<(Block, Vec<Compiled>)> = Vec::new();
    let mut kernels = Vec::new();
    let mut members = match subject {
        Subject::Network(_) => None,
        Subject::Ensemble(_) => {
            Some(Members::new(language, (models.len(), element), &blocks, &targets, &mut assembly.kernels)?)
        }
    };
    for block in blocks {
        let (mut all, mut first) = (Vec::new(), Vec::new());
        for &target in &targets {
            let (code, functions) = block.compile(language, target)?;
            first.push(assembly.kernels.len());
            assembly.kernels.extend(functions);
            all.push(code);
        }
        kernels.push(first);
        compiled.push((block, all));
    }
    let units = model.input.elements();
    let layout = Layout::new(&compiled, members.as_ref(), (units, element));
    let (mut data, mut weights) = (Data::default(), Data::default());
    let brings_weights = options.weights == Weights::File;
    // for each model and block
    let mut known: Vec<Vec<Vec<u64>>> = Vec::new();
    for number in 0..models.len() {
        let of = if brings_weights { &mut weights } else { &mut data };
        let mut known_of =
            |(block, _): &(Block, _)| block.known[number].iter().map(|tensor| of.words(&tensor.words())).collect();
        known.push(compiled.iter().map(&mut known_of).collect());
    }
    let seeds = subject.seeds(options);
    members.iter_mut().for_each(|members| members.place(&seeds, &known, &mut data));
    let members = members.as_ref();
    let place = |&at: &u64| if brings_weights { Known::Brought(at) } else { Known::Data(at) };
    let known: Vec<Vec<Known>> = known[0].iter().map(|known| known.iter().map(place).collect()).collect();
    let defaults = Defaults { seed: seeds[0], samples: options.samples };
    let bound = compiled.iter().map(|(block, _)| block.bound).fold(element.largest, f64::min);
    let results = members.map_or_else(|| compiled[roles.many].0.results(), |members| members.results().to_vec());
    let names: Vec<&str> = results.iter().map(|result| result.name.as_str()).collect();
    let expected = expected(subject, options, draws, roles, compiled[roles.many].0.rows, &names)?;
    let expected = expected.map(|results| results.iter().map(|words| data.words(words)).collect());
    let abstains = options.abstention.map(|abstention| Abstains::of(abstention, &results)).transpose()?;
    let decides = options.decision_error.map(|error| Decides::of(error, options, &results, &mut data));
    let about = Information::of(model, digest, options, defaults, &results, (abstains, decides))?;
    let information = data.add(&about.bytes());
    let outside = brings_weights.then_some(weights.bytes);
    let weights = outside.as_deref().map(|bytes| (checksum(bytes), bytes.len() as u64));
    let rows = compiled[roles.many].0.rows;
    let accumulators = [roles.many, roles.one].map(|block| accumulator_bytes(&compiled[block].0) * models.len() as u64);
    let parts = Parts {
        blocks: &compiled,
        levels: &levels,
        layout: &layout,
        element,
        units,
        known: &known,
        members,
        abstains,
        decides,
        brings_weights,
        kernels: &kernels,
    };
    let architecture = system.architecture();
    let routines = &mut assembly.routines;
    let looks = Looks::new(routines, element, bound, architecture);
    let of = (0..compiled.len()).map(|block| parts.of_block(block, routines, &mut data)).collect();
    let together = parts.together(routines, &mut data);
    let name = options.name.as_str();
    Functions {
        parts,
        roles,
        defaults,
        architecture,
        draws,
        name,
        weights,
        expected,
        information,
        of,
        together,
        looks,
    }
    .add_to(routines);
    assembly.data = near(data, "put the weights into a file of their own")?;
    let named = assembly.routines.iter().filter_map(|routine| routine.name.as_deref()?.strip_prefix(name)?.get(1..));
    let prototypes: Vec<_> = named.map(prototypes::of_network(name, element, options.weights)).collect();
    let linked = language.link(&assembly, options, &system, &prototypes)?;
    let facts = Facts {
        options,
        system: &system,
        element,
        information: &about,
        results: &results,
        abstains,
        decides,
        digest,
        rows,
        levels: &levels,
        layout_bytes: layout.bytes,
        stack_bytes: linked.stack_bytes,
        accumulators: draws.then_some(accumulators),
        members: members.map(|members| members.count),
        weights: weights.map(|(_, bytes)| bytes),
        bound,
    };
    let header = header(&facts);
    let manifest = package::manifest(&facts, model, &linked, &assembly.data, outside.as_deref(), &header);
    let included = (options.weights == Weights::Included).then_some(assembly.data);
    let mut package = Package::new(options, &system, linked.bytes, header, manifest, [outside, included]);
    package.python = Some(python::module(&facts));
    package.rust = Some(rust::module(&facts));
    package.script = (system.is_c() && options.weights == Weights::Inside).then(|| web::script(&facts));
    Ok(package)
}

/// The bytes of an object's data, in whole longs.
///
/// # Errors
/// More than are near enough to code; `remedy` says what to do then.
pub fn near(data: Data, remedy: &'static str) -> Result<Vec<u8>, Error> {
    let mut bytes = data.bytes;
    if bytes.len() as u64 > MOST_DATA {
        let count = bytes.len();
        let problem =
            format!("the object would hold {count} bytes of data, at most {MOST_DATA} are near enough to its code");
        return Err(Error::misuse(problem, remedy));
    }
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    Ok(bytes)
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
    if options.weights == Weights::Included && !options.system.as_ref().is_some_and(System::is_c) {
        return Err(Error::misuse(
            "an object was to include its weights",
            "they are inside, or in a file of their own",
        ));
    }
    if *row_block == 0 || *row_block > MOST_ROWS {
        return Err(Error::argument("the block of rows", format!("1 to {MOST_ROWS}"), row_block));
    }
    Ok(())
}

/// Blocks for many rows, for one, and, where a single row's samples come all at once, for that.
pub fn blocks<B>(
    options: &DeployOptions,
    draws: bool,
    mut block: impl FnMut((usize, Turns), usize) -> Result<B, Error>,
) -> Result<(Vec<B>, Roles), Error> {
    let turns = if draws { Turns::Open } else { Turns::One };
    let at_once = |most: usize| if draws { most.min(options.samples) } else { 1 };
    let mut blocks = vec![block((at_once(AT_ONCE), turns), options.row_block)?];
    let mut roles = Roles { many: 0, one: 0, direct: None, decide: None };
    if options.row_block > 1 {
        roles.one = blocks.len();
        blocks.push(block((at_once(FEW_AT_ONCE), turns), 1)?);
    }
    if draws && options.samples <= MOST_AT_ONCE {
        roles.direct = Some(blocks.len());
        blocks.push(block((options.samples, Turns::One), 1)?);
    }
    Ok((blocks, roles))
}

/// What the self-test is to find: results by their names of a block of rows for a few samples, and of its first row for
/// the default number.
fn expected(
    subject: Subject<'_>,
    options: &DeployOptions,
    draws: bool,
    roles: Roles,
    rows: usize,
    names: &[&str],
) -> Result<Expected, Error> {
    let Model { input, dtype, .. } = &subject.models()[0];
    let (units, element) = (input.elements(), Element::of(*dtype));
    let backend = Backend::shared(bayeslift_runtime::Options::default());
    let of = |samples: usize, rows: usize| {
        let predictors = subject.models().iter().zip(subject.seeds(options)).map(|(model, seed)| {
            let options = PredictorOptions::default().samples(samples).seed(seed).backend(backend.clone());
            Predictor::of_model(model.clone(), &options.allow_non_finite(true))
        });
        let predictors = predictors.collect::<Result<Vec<_>, _>>()?;
        let inputs = &test_inputs(element, rows * units);
        match subject {
            Subject::Network(_) => predictors[0].moments(inputs, names),
            Subject::Ensemble(_) => EnsemblePredictor::of(predictors, &backend)?.moments(inputs, names),
        }
    };
    let many = of(if draws { TEST_SAMPLES } else { 1 }, rows)?;
    let direct = if roles.direct.is_some() { of(options.samples, 1)? } else { Vec::new() };
    Ok([many, direct])
}

/// For each test the words of each result.
type Expected = [Vec<Vec<u32>>; 2];

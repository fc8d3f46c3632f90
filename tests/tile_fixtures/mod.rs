//! The commands of fixtures that lower, emit and run.
//!
//! What is run gets its memory after a line `with`: `x : f32 = 1.0 nan 0.5 x3`, the words of an input or of
//! `argument0`, where `x3` repeats the word before it so that there are three.

#[path = "../../codegen/tests/stages/mod.rs"]
mod stages;

use bayeslift::ir::{Graph, Tensor, evaluate, same_bits};
use bayeslift_codegen::{
    Architecture, Target,
    emit::{Placement, emitters},
    lower,
    tile::{TileKernel, interpret},
};
use bayeslift_passes::Plan;
use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};
use std::{error::Error, str::FromStr};

/// More statements than any fixture executes.
const LIMIT: u64 = 1 << 24;

/// What a command says besides its name, such as `lanes=8`.
pub struct Settings {
    pub target: Target,
    /// How many tiles of tile code are run.
    tiles: i64,
    /// The last pass.
    pub stop_after: Option<String>,
}

impl FromStr for Settings {
    type Err = Box<dyn Error>;

    /// The target is Zen 4 if nothing else is said, with vectors of four lanes.
    fn from_str(text: &str) -> Result<Settings, Box<dyn Error>> {
        let zen4 = Target::named("zen4").expect("it is a row of the table");
        let mut settings = Settings { target: zen4.with_lanes(4), tiles: 1, stop_after: None };
        for setting in text.split_whitespace() {
            match setting.split_once('=') {
                Some(("lanes", lanes)) => settings.target = zen4.with_lanes(lanes.parse()?),
                Some(("target", name)) => settings.target = Target::named(name).ok_or("there is no such target")?,
                Some(("stop_after", pass)) => settings.stop_after = Some(pass.to_owned()),
                Some(("tiles", tiles)) => settings.tiles = tiles.parse()?,
                _ => return Err(format!("there is no setting `{setting}`").into()),
            }
        }
        Ok(settings)
    }
}

type Outcome = Result<String, Box<dyn Error>>;

/// Whether a text is tile code and no graph.
pub fn is_tile_code(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with(';'));
    lines.next().is_some_and(|line| line.starts_with("tiles"))
}

/// The tile code of all kernels.
pub fn lowered(graph: Graph, settings: &Settings) -> Outcome {
    let plan = Plan::new(graph)?;
    let kernels = plan.kernels.iter().flat_map(|kernel| lower(&plan, kernel, settings.target, 1));
    let kernels = kernels.map(|kernel| {
        let arguments: Vec<String> = kernel.arguments.iter().map(ToString::to_string).collect();
        format!("{} tiles of ({})\n{}", kernel.tiles, arguments.join(", "), kernel.code.renumbered())
    });
    Ok(kernels.collect())
}

/// The instructions of tile code, for targets that are x86-64.
pub fn emitted(text: &str, settings: &Settings) -> Outcome {
    let (kernel, target): (TileKernel, Target) = (text.parse()?, settings.target);
    if target.machine().architecture != Architecture::X86_64 {
        return Err("there is no disassembler for this target".into());
    }
    let code = emitters(target, Placement::Memory)?[0].emit(&kernel)?;
    let mut decoder = Decoder::new(64, code.bytes(), DecoderOptions::NONE);
    let mut formatter = IntelFormatter::new();
    formatter.options_mut().set_rip_relative_addresses(true);
    formatter.options_mut().set_space_after_operand_separator(true);
    let mut out = String::new();
    // what follows the return are constants
    while decoder.can_decode() {
        let instruction = decoder.decode();
        out.push_str(&format!("{:4x}  ", instruction.ip()));
        formatter.format(&instruction, &mut out);
        out.push('\n');
        if instruction.code() == iced_x86::Code::Retnq {
            break;
        }
    }
    Ok(out)
}

/// What the interpreter makes of tile code and memory, or of the kernels of a graph and its inputs.
pub fn ran(text: &str, settings: &Settings) -> Outcome {
    let (text, memory) = text.split_once("\nwith\n").unwrap_or((text, ""));
    let memory = memory.lines().map(memory_of).collect::<Result<Vec<_>, _>>()?;
    if is_tile_code(text) {
        let kernel: TileKernel = text.parse()?;
        let mut words: Vec<Vec<u32>> = memory.iter().map(|(.., words)| words.clone()).collect();
        interpret(&kernel, settings.target.lanes(), &mut words, 0..settings.tiles, LIMIT)?;
        let memory = memory.into_iter().zip(words);
        return Ok(memory.map(|((name, ty, _), words)| format!("{name} : {ty} = {}\n", show(&ty, &words))).collect());
    }
    let graph: Graph = text.parse()?;
    let inputs = graph.inputs().iter().map(|input| {
        let given = memory.iter().find(|(name, ..)| *name == input.name);
        let words = given.ok_or_else(|| format!("no memory for `{}`", input.name))?.2.clone();
        Ok(Tensor::from_words(graph.ty(input.value), words)?)
    });
    let inputs = inputs.collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let plan = Plan::new(graph.clone())?;
    let lower = |kernel: &_| lower(&plan, kernel, settings.target, 1);
    let results = stages::run(&plan, &inputs, lower, |stage, arguments| {
        let (tiles, lanes) = (stage.lowered.tiles as i64, stage.lowered.lanes);
        interpret(&stage.lowered.code, lanes, arguments, 0..tiles, LIMIT).map_err(|error| error.to_string())
    })?;
    let mut out = String::new();
    for ((output, got), want) in graph.outputs().iter().zip(results).zip(evaluate(&graph, &inputs)?) {
        same_bits(&got, &want).map_err(|message| format!("`{}`, by the evaluator: {message}", output.name))?;
        let ty = graph.ty(output.value);
        out.push_str(&format!("{} : {ty} = {}\n", output.name, show(&ty.dtype.to_string(), &got.words())));
    }
    Ok(out)
}

/// A name, a type and words.
fn memory_of(line: &str) -> Result<(String, String, Vec<u32>), Box<dyn Error>> {
    let (name, rest) = line.split_once(" : ").ok_or("expected a name and ` : `")?;
    let (ty, elements) = rest.split_once(" = ").ok_or("expected a type and ` = `")?;
    let size = if ty == "f64" { 2 } else { 1 };
    let mut words: Vec<u32> = Vec::new();
    for element in elements.split_whitespace() {
        if let Some(count) = element.strip_prefix('x') {
            let first = words.len().checked_sub(size).ok_or("nothing to repeat")?;
            let repeated = words.split_off(first).repeat(count.parse()?);
            words.extend(repeated);
        } else {
            let bits = match (ty, element.strip_prefix("0x")) {
                (_, Some(digits)) => u64::from_str_radix(digits, 16)?,
                ("f32", None) => element.parse::<f32>()?.to_bits().into(),
                ("f64", None) => element.parse::<f64>()?.to_bits(),
                _ => element.parse::<u32>()?.into(),
            };
            words.extend([bits as u32, (bits >> 32) as u32].iter().take(size));
        }
    }
    Ok((name.to_owned(), ty.to_owned(), words))
}

fn show(ty: &str, words: &[u32]) -> String {
    let element = |words: &[u32]| match *words {
        [low, high] => format!("{:?}", f64::from_bits(u64::from(high) << 32 | u64::from(low))),
        [word] if ty == "f32" => format!("{:?}", f32::from_bits(word)),
        _ => words[0].to_string(),
    };
    let elements = words.chunks(if ty == "f64" { 2 } else { 1 }).map(element);
    elements.map(|element| element.replace("NaN", "nan")).collect::<Vec<_>>().join(" ")
}

//! The header of a network that goes on learning, in C99 and C++.

use super::Learner;
use crate::deploy::{
    DeployOptions, System,
    block::Column,
    facts::{in_a_comment, meaning},
    functions::Defaults,
    information::printable,
    layout::ALIGN,
    prototypes::Prototype,
    status, template,
};

/// The version of what is promised.
pub const ABI: u32 = 1;

/// What is told of a package.
pub struct Facts<'a> {
    pub learner: &'a Learner,
    pub options: &'a DeployOptions,
    pub system: &'a System,
    pub results: &'a [Column],
    pub defaults: Defaults,
    pub state_bytes: u64,
    pub workspace_bytes: u64,
    pub stack_bytes: Option<u64>,
    pub in_place: bool,
    pub prototypes: &'a [Prototype],
}

/// The functions, as the text of the header names them.
const FUNCTIONS: [&str; 6] = ["START", "STEP", "PREDICT", "SEAL", "OPEN", "STEPS"];

/// How C declares them.
pub fn prototypes(name: &str, has_labels: bool) -> Vec<Prototype> {
    let targets = if has_labels { "const uint32_t *targets" } else { "const float *targets" };
    let (request, result) = (format!("const {name}_request *request"), format!("const {name}_result *result"));
    let loss = format!("{name}_loss *loss");
    let (inputs, rows, state, workspace) = ("const float *inputs", "size_t rows", "void *state", "void *workspace");
    let constant = "const void *state";
    let functions: [(&str, &str, Vec<&str>); 6] = [
        ("start", "int ", vec![state]),
        ("step", "int ", vec![state, inputs, targets, rows, &loss, workspace]),
        ("predict", "int ", vec![&request, inputs, rows, &result, constant, workspace]),
        ("seal", "int ", vec![state]),
        ("open", "int ", vec![state]),
        ("steps", "uint64_t ", vec![constant]),
    ];
    let prototype = |(function, ty, parameters): (&str, &str, Vec<&str>)| {
        Prototype::new(format!("{name}_{function}"), ty, &parameters)
    };
    functions.into_iter().map(prototype).collect()
}

/// What all headers have in common.
const TEXT: &str = include_str!("header.txt");

/// The header.
pub fn header(facts: &Facts<'_>) -> String {
    let Facts { learner, options, defaults, results, .. } = facts;
    let (name, upper) = (&options.name, options.name.to_ascii_uppercase());
    let model = &learner.model;
    let likelihood = in_a_comment(&printable(&model.likelihood));
    let statuses = status::enumerators(&upper, &status::all().collect::<Vec<_>>());
    let result = |Column { name, width }: &Column| format!("  float *{name}; /* {width} a row: {} */", meaning(name));
    let stack = facts.stack_bytes.map_or_else(String::new, |bytes| {
        format!("#define {upper}_STACK_BYTES {bytes} /* the most of the stack that a call takes */\n")
    });
    let refused = if facts.in_place {
        "Where the bound of a gradient\n   is above 2^50, a trainer makes the step in another way; here it is refused."
    } else {
        "New parameters are made\n   beside the old ones, and put in place if all are finite."
    };
    let declared =
        FUNCTIONS.iter().zip(facts.prototypes).map(|(&function, prototype)| (function, prototype.declared()));
    let own = [
        ("VERSION", env!("CARGO_PKG_VERSION").to_owned()),
        ("SYSTEM", facts.system.to_string()),
        ("ABI", ABI.to_string()),
        ("INPUTS", model.input.elements().to_string()),
        ("TARGETS", model.target.shape.elements().to_string()),
        ("OUTPUTS", results.first().map_or(0, |result| result.width).to_string()),
        ("BATCH", learner.rows.to_string()),
        ("SAMPLES", defaults.samples.to_string()),
        ("SEED", defaults.seed.to_string()),
        ("STATE", facts.state_bytes.to_string()),
        ("WORKSPACE", facts.workspace_bytes.to_string()),
        ("ALIGN", ALIGN.to_string()),
        ("STACK", stack),
        ("STATUSES", statuses),
        ("RESULTS", results.iter().map(result).collect::<Vec<_>>().join("\n")),
        ("KIND", if learner.has_labels() { "labels of classes" } else { "numbers, row after row" }.to_owned()),
        ("REFUSED", refused.to_owned()),
        ("MADE", learner.steps.to_string()),
        ("UPPER", upper.clone()),
    ];
    // what users wrote comes last: in it nothing is replaced
    let last = [("NAME", name.clone()), ("LIKELIHOOD", likelihood)];
    template::fill(TEXT, own.into_iter().chain(declared).chain(last))
}

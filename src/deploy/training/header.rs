//! The header of a network that goes on learning, in C99 and C++.

use super::Learner;
use crate::deploy::{
    DeployOptions, System, block::Column, functions::Defaults, header::meaning, layout::ALIGN, prototypes::Prototype,
    status,
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

/// The functions, in the order of the header.
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

/// The header.
pub fn header(facts: &Facts<'_>) -> String {
    let Facts { learner, options, defaults, .. } = facts;
    let (name, upper) = (&options.name, options.name.to_ascii_uppercase());
    let model = &learner.model;
    let likelihood: String = model.likelihood.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let likelihood = likelihood.replace("*/", "* /").replace("/*", "/ *");
    let mut lines = vec![
        format!("/* A Bayesian neural network that goes on learning, compiled by Bayeslift {} for {}.", env!("CARGO_PKG_VERSION"), facts.system),
        format!(" * Likelihood: {likelihood}."),
        " * Functions allocate nothing, keep nothing, and may be called by many threads, each with a workspace and a state of".to_owned(),
        " * its own. Steps and predictions depend on the state and what they are given alone, to the bit. */".to_owned(),
        format!("#ifndef {upper}_H\n#define {upper}_H\n\n#include <stddef.h>\n#include <stdint.h>\n"),
        "#ifdef __cplusplus\nextern \"C\" {\n#endif\n".to_owned(),
    ];
    let mut define = |what: &str, value: String, comment: &str| {
        lines.push(format!("#define {upper}_{what} {value} /* {comment} */"));
    };
    let outputs = facts.results.first().map_or(0, |result| result.width);
    define("ABI", ABI.to_string(), "the version of what is promised here");
    define("INPUTS", model.input.elements().to_string(), "numbers in a row");
    define("TARGETS", model.target.shape.elements().to_string(), "targets of a row");
    define("OUTPUTS", outputs.to_string(), "classes, or numbers predicted");
    define("BATCH_ROWS", learner.rows.to_string(), "rows of a step");
    define("SAMPLES", defaults.samples.to_string(), "posterior samples of a prediction, if not told");
    define("SEED", format!("UINT64_C({})", defaults.seed), "of a prediction's noise, if not told");
    define("STATE_BYTES", facts.state_bytes.to_string(), "memory that is kept between steps");
    define("WORKSPACE_BYTES", facts.workspace_bytes.to_string(), "memory that a call works in");
    define("STATE_ALIGN", ALIGN.to_string(), "the alignment of a state");
    define("WORKSPACE_ALIGN", ALIGN.to_string(), "and of a workspace");
    if let Some(bytes) = facts.stack_bytes {
        define("STACK_BYTES", bytes.to_string(), "the most of the stack that a call takes");
    }
    lines.push("\n/* What functions return. */\nenum {".to_owned());
    let count = status::all().count();
    for (i, (status, text)) in status::all().enumerate() {
        lines.push(format!("  {upper}_{status} = {i}{} /* {text} */", if i + 1 < count { "," } else { "" }));
    }
    lines.push("};\n".to_owned());
    lines.push("/* What a step measured, before it moved the parameters. */\ntypedef struct {".to_owned());
    lines.push("  float loss; /* the negative log likelihood and its share of the divergence */".to_owned());
    lines.push("  float negative_log_likelihood; /* its mean over rows, in nats */".to_owned());
    lines.push(format!("  float divergence; /* of the posterior from the prior, in nats */\n}} {name}_loss;\n"));
    lines.push("/* Which noise of predictions: rows and samples are numbered, and each draw is addressed by its numbers and the".to_owned());
    lines.push(
        "   seed. */\ntypedef struct {\n  uint64_t seed, first_row;\n  uint32_t first_sample, samples;".to_owned(),
    );
    lines.push(format!("}} {name}_request;\n"));
    lines.push("/* Where results go, row after row; what is NULL is not written. */\ntypedef struct {".to_owned());
    for Column { name, width } in facts.results {
        lines.push(format!("  float *{name}; /* {width} a row: {} */", meaning(name)));
    }
    lines.push(format!("}} {name}_result;\n"));
    let refused = if facts.in_place {
        "Where the bound of a gradient is above 2^50, which a trainer would make in another way, it is refused."
    } else {
        "New parameters are made beside the old ones, and put in place if all are finite."
    };
    let texts = [
        "/* Makes memory a state, as it was when this was compiled. */".to_owned(),
        format!(
            "/* Makes a step on {upper}_BATCH_ROWS rows, no more and no fewer: that of a trainer, to the bit, with the noise,\n   \
             the optimizer's scalars and the schedule of the step's number. Targets are {}. A loss\n   that is not NULL is \
             told when it was computed, also of a step that is refused for it. Whatever is returned but\n   {upper}_OK, the state is what \
             it was, to the bit. {refused} */",
            if learner.has_labels() { "labels of classes" } else { "numbers, row after row" }
        ),
        "/* Predicts rows with what was learned so far. A request that is NULL has the defaults, row and sample 0 first. */".to_owned(),
        "/* Before a state is stored: adds a checksum. The bytes are the same on all machines whose lowest byte comes first.\n   \
         After it, and when it was read again, it has to be opened. */".to_owned(),
        "/* Makes a state that was sealed ready for steps and predictions, if not a bit of it has changed. */".to_owned(),
        format!(
            "/* How many steps were made on a state, the {} before this was compiled among them; 0 for what is no state. */",
            learner.steps
        ),
    ];
    for (text, prototype) in texts.into_iter().zip(facts.prototypes) {
        lines.push(text);
        lines.push(prototype.declared() + "\n");
    }
    lines.push("#ifdef __cplusplus\n}\n#endif\n\n#endif\n".to_owned());
    lines.join("\n")
}

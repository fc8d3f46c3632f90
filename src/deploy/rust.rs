//! A package in Rust: a module around the object, or around the C, that safe code calls.

use super::{
    Weights,
    block::Column,
    decisions::{Abstains, Decides},
    facts::{Facts, meaning},
    functions::STATE_HEADER,
    layout::ALIGN,
    status::STATUS,
    template::{self, fill},
};
use std::fmt::Write;

/// What the text of the module has in common for all networks, what it has of those that draw samples, and of those
/// whose workspace has to be initialised.
const TEXT: &str = include_str!("rust/module.txt");
const STATE: &str = include_str!("rust/state.txt");
const INIT: &str = include_str!("rust/init.txt");
/// What the model does and what there is besides, where the network decides.
const DECIDE: &str = include_str!("rust/decide.txt");
const DECISION: &str = include_str!("rust/decision.txt");

/// Of weights that the caller brings: they are kept, since the first call looks at them.
const NEW_WITH_WEIGHTS: &str =
    "    /// With `@NAME@.weights`, aligned to @ALIGNED@ bytes. The first call compares their checksum.
    pub const fn new(weights: &'static [u8]) -> Model {
        Model { workspace: [0; WORKSPACE_BYTES], is_ready: false, weights }
    }";
const NEW: &str = "    /// Ready to be called.
    pub const fn new() -> Model {
        Model { workspace: [0; WORKSPACE_BYTES]@NOT_READY@ }
    }";
/// What has nothing to be told of has a default.
const DEFAULT: &str = "

impl Default for Model {
    fn default() -> Model {
        Model::new()
    }
}
";

/// The module's text.
pub fn module(facts: &Facts<'_>) -> String {
    let (has_weights, has_levels) = (facts.weights.is_some(), !facts.levels().is_empty());
    let init = |weights: &str| fill(INIT, [("WEIGHTS", weights.to_owned())]);
    let (fields, init) = match (has_weights, has_levels) {
        (false, false) => ("", String::new()),
        (false, true) => ("    is_ready: bool,\n", init("")),
        (true, _) => (
            "    is_ready: bool,\n    weights: &'static [u8],\n",
            init(", self.weights.as_ptr().cast(), self.weights.len()"),
        ),
    };
    let float = facts.element.rust;
    let new = if has_weights { NEW_WITH_WEIGHTS } else { NEW };
    let new = new.replace("@ALIGNED@", facts.element.bytes_in_words);
    let new = new.replace("@NOT_READY@", if has_levels { ", is_ready: false" } else { "" });
    let columns = |of: &dyn Fn(&Column) -> String| facts.results.iter().map(of).collect::<Vec<_>>().join("\n");
    // the columns, and what there is of where to abstain
    let with = |columns: String, of: &dyn Fn(&Abstains) -> String| match &facts.abstains {
        Some(abstains) => columns + "\n" + &of(abstains),
        None => columns,
    };
    let flags = |width: usize| if width == 1 { "bool".to_owned() } else { format!("[bool; {width}]") };
    let unset = |width: usize| if width == 1 { "false".to_owned() } else { format!("[false; {width}]") };
    let about_flag = |abstains: &Abstains| format!("    /// Whether {}.", abstains.about());
    let [decide, decision] = [DECIDE, DECISION].map(|text| {
        let of = |decides: &Decides| {
            let label = if decides.labels == 1 { "u32".to_owned() } else { format!("[u32; {}]", decides.labels) };
            let zero = if decides.labels == 1 { "0".to_owned() } else { format!("[0; {}]", decides.labels) };
            let certain = [("FLAG", flags(decides.labels)), ("UNSET", unset(decides.labels))];
            let values = [("LABEL", label), ("ZERO", zero), ("DECISION_ERROR", decides.error.to_string())];
            fill(text, certain.into_iter().chain(values))
        };
        facts.decides.as_ref().map_or_else(String::new, of)
    });
    let about = |column: &Column| sentence(meaning(&column.name));
    let array = |column: &Column, rows: &str| match column.width {
        1 => format!("[{float}; {rows}]"),
        width => format!("[[{float}; {width}]; {rows}]"),
    };
    let element = |column: &Column| match column.width {
        1 => float.to_owned(),
        width => format!("[{float}; {width}]"),
    };
    let zeros = |column: &Column| if column.width == 1 { "0.0".into() } else { format!("[0.0; {}]", column.width) };
    let errors: Vec<(usize, String, &str)> =
        STATUS.iter().enumerate().skip(1).map(|(i, (status, text))| (i, variant(status), *text)).collect();
    let errors = |of: &dyn Fn(&(usize, String, &str)) -> String| errors.iter().map(of).collect::<Vec<_>>().join("\n");
    let state = facts.accumulators.map_or_else(String::new, |[many, one]| {
        fill(STATE, [("BYTES", state_bytes(facts.rows, [many, one])), ("ALIGN", ALIGN.to_string())])
    });
    let default = if has_weights { "\n" } else { DEFAULT };
    let values = [
        ("WHAT", facts.members.map_or("A Bayesian neural network".into(), |n| format!("An ensemble of {n} networks"))),
        ("FUNCTIONS", functions(facts)),
        ("DECIDE", decide),
        ("DECISION", decision),
        (
            "ANSWER",
            with(columns(&|c| format!("    /// {}\n    pub {}: {},", about(c), c.name, array(c, "ROWS"))), &|a| {
                format!("{}\n    pub abstain: [{}; ROWS],", about_flag(a), flags(a.width))
            }),
        ),
        (
            "EMPTY",
            with(columns(&|c| format!("        {}: [{}; ROWS],", c.name, zeros(c))), &|a| {
                format!("        abstain: [{}; ROWS],", unset(a.width))
            }),
        ),
        (
            "ALL",
            with(columns(&|c| format!("            {}: Some(&mut self.{}),", c.name, c.name)), &|_| {
                "            abstain: Some(&mut self.abstain),".to_owned()
            }),
        ),
        (
            "RESULTS",
            with(
                columns(&|c| format!("    /// {}\n    pub {}: Option<&'a mut [{}]>,", about(c), c.name, element(c))),
                &|a| format!("{}\n    pub abstain: Option<&'a mut [{}]>,", about_flag(a), flags(a.width)),
            ),
        ),
        (
            "PLACES",
            with(columns(&|c| format!("    {}: *mut {float},", c.name)), &|_| "    abstain: *mut bool,".to_owned()),
        ),
        (
            "PLACED",
            with(columns(&|c| format!("            {}: place(&mut self.{}, rows)?,", c.name, c.name)), &|_| {
                "            abstain: place(&mut self.abstain, rows)?,".to_owned()
            }),
        ),
        ("MODEL_FIELDS", fields.to_owned()),
        ("NEW", new),
        ("INIT", init),
        ("GIVEN", if has_weights { "WEIGHTS" } else { "" }.to_owned()),
        ("STATE", default.to_owned() + state.trim_start_matches('\n')),
        ("ERRORS", errors(&|(_, variant, text)| format!("    /// {}\n    {variant},", sentence(text)))),
        ("SENTENCES", errors(&|(_, variant, text)| format!("            Error::{variant} => \"{text}\","))),
        ("CHECKS", errors(&|(i, variant, _)| format!("        {i} => Error::{variant},"))),
        ("OBJECT", facts.object()),
    ];
    template::module(TEXT, facts, values, texts)
}

/// The bytes of a state, as `NAME_STATE_BYTES` of the header has them, without overflow.
fn state_bytes(at_once: usize, [many, one]: [u64; 2]) -> String {
    if at_once == 1 {
        return format!("    rows.saturating_mul({many}).saturating_add({STATE_HEADER})");
    }
    format!(
        "    let (blocks, rest) = (rows / {at_once}, rows % {at_once});
    let is_block = rest > {};
    let blocks = (blocks + is_block as usize).saturating_mul({many});
    let singles = if is_block {{ 0 }} else {{ rest * {one} }};
    blocks.saturating_add(singles).saturating_add({STATE_HEADER})",
        at_once / 2
    )
}

/// The functions of the object that the module calls.
fn functions(facts: &Facts<'_>) -> String {
    let (request, result) = ("request: *const Request", "result: *const Places");
    let rows = format!("inputs: *const {}, rows: usize", facts.element.rust);
    let (state, workspace) = ("state: *mut core::ffi::c_void", "workspace: *mut core::ffi::c_void");
    let mut functions =
        vec![("predict", format!("{request}, {rows}, {result}, {workspace}")), ("self_test", workspace.to_owned())];
    if facts.options.weights == Weights::File {
        functions.push(("init", format!("{workspace}, weights: *const core::ffi::c_void, bytes: usize")));
    } else if !facts.levels().is_empty() {
        functions.push(("init", workspace.to_owned()));
    }
    if facts.accumulators.is_some() {
        functions.push(("begin", format!("{request}, rows: usize, {state}")));
        functions.push(("add", format!("samples: u32, {rows}, {state}, {workspace}")));
        functions.push(("finish", format!("{result}, {state}, {workspace}")));
    }
    if facts.decides.is_some() {
        let decision = "decision: *const DecisionPlaces";
        functions.push(("decide", format!("{request}, {rows}, {result}, {decision}, {workspace}")));
    }
    let mut text = String::new();
    for (function, parameters) in functions {
        let _ = writeln!(text, "    #[link_name = \"{}_{function}\"]", facts.options.name);
        let _ = writeln!(text, "    fn {function}({parameters}) -> core::ffi::c_int;");
    }
    text.trim_end().to_owned()
}

/// `ERROR_NOT_FINITE_INPUT` as Rust writes it: `NotFiniteInput`.
fn variant(status: &str) -> String {
    let words = status.trim_start_matches("ERROR_").split('_');
    words.map(|word| word[..1].to_owned() + &word[1..].to_ascii_lowercase()).collect()
}

/// A text that begins as a sentence does and ends like one.
fn sentence(text: &str) -> String {
    text[..1].to_ascii_uppercase() + &text[1..] + "."
}

/// A list of texts.
fn texts(names: &[String]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

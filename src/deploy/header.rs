//! The header of an object, in C99 and C++.

use super::{
    block::Column,
    decisions::Decides,
    facts::{Facts, in_a_comment, meaning},
    functions::STATE_HEADER,
    information::Information,
    layout::ALIGN,
    prototypes,
    status::{STATUS, enumerators},
};
use crate::predictor::question::FIRST_LOOK;

/// Words that are no identifiers in C or C++.
#[rustfmt::skip]
pub const KEYWORDS: &[&str] = &[
    "alignas", "alignof", "and", "and_eq", "asm", "auto", "bitand", "bitor", "bool", "break", "case", "catch", "char", "class", "compl",
    "const", "constexpr", "const_cast", "continue", "decltype", "default", "delete", "do", "double", "dynamic_cast", "else", "enum",
    "explicit", "export", "extern", "false", "float", "for", "friend", "goto", "if", "inline", "int", "long", "mutable", "namespace", "new",
    "noexcept", "not", "not_eq", "nullptr", "operator", "or", "or_eq", "private", "protected", "public", "register", "reinterpret_cast",
    "restrict", "return", "short", "signed", "sizeof", "static", "static_assert", "static_cast", "struct", "switch", "template", "this",
    "thread_local", "throw", "true", "try", "typedef", "typeid", "typename", "union", "unsigned", "using", "virtual", "void", "volatile",
    "wchar_t", "while", "xor", "xor_eq",
];

/// The header.
pub fn header(facts: &Facts<'_>) -> String {
    let Facts { options, information, element, .. } = facts;
    let name = &options.name;
    let upper = name.to_ascii_uppercase();
    let mut text = String::new();
    let h = &mut text;
    let mut line = |line: String| {
        h.push_str(&line);
        h.push('\n');
    };
    let likelihood = &information.texts.iter().find(|(name, _)| *name == "likelihood").expect("it is told").1;
    let likelihood = in_a_comment(likelihood);
    let what = facts
        .members
        .map_or_else(|| "A Bayesian neural network".to_owned(), |n| format!("An ensemble of {n} networks"));
    line(format!("/* {what}, compiled by Bayeslift {} for {}.", env!("CARGO_PKG_VERSION"), facts.system));
    line(format!(" * Likelihood: {likelihood}."));
    line(" * Functions allocate nothing, keep nothing, and may be called by many threads, each with a workspace of its own.".into());
    line(" * The results of a row depend on its inputs, its number and the request alone, to the bit. */".into());
    line(format!("#ifndef {upper}_H\n#define {upper}_H\n"));
    line("#include <stddef.h>\n#include <stdint.h>\n".into());
    line("#ifdef __cplusplus\nextern \"C\" {\n#endif\n".into());
    let define = |what: &str, value: String, comment: &str| format!("#define {upper}_{what} {value} /* {comment} */");
    line(define("ABI", information.number("abi").to_string(), "the version of what is promised here"));
    line(define("INPUTS", information.number("inputs").to_string(), "numbers in a row"));
    line(define("OUTPUTS", information.number("outputs").to_string(), "classes, or numbers predicted"));
    line(define("SAMPLES", information.number("samples").to_string(), "posterior samples, if not told"));
    if let Some(members) = facts.members {
        line(define("MEMBERS", members.to_string(), "networks whose answers are made one"));
    }
    line(define("SEED", format!("UINT64_C({})", information.seed), "of the noise, if not told"));
    if facts.members.is_some_and(|members| members > 1) {
        line("/* Another seed moves those of all members by the same: the seed above is the first's. */".into());
    }
    line(define("WORKSPACE_BYTES", facts.layout_bytes.to_string(), "memory that the caller brings"));
    line(define("WORKSPACE_ALIGN", ALIGN.to_string(), "and its alignment"));
    if let Some(bytes) = facts.stack_bytes {
        line(define("STACK_BYTES", bytes.to_string(), "the most of the stack that a call takes"));
    }
    line(define("LARGEST_INPUT", element.text(facts.bound) + element.c_suffix, "no input may be larger in size"));
    if let Some(decides) = &facts.decides {
        line(define("DECISION_ERROR", decides.error.to_string(), "how probably a decision is wrong, at most"));
    }
    if let Some(bytes) = facts.weights {
        line(define("WEIGHTS_BYTES", bytes.to_string(), &format!("the size of {name}.weights")));
    }
    if let Some([many, one]) = facts.accumulators {
        let (size, state) = (facts.rows, STATE_HEADER);
        let blocks = format!("((size_t)(rows) / {size} + ((size_t)(rows) % {size} * 2 > {size} ? 1 : 0))");
        let singles = format!("((size_t)(rows) % {size} * 2 > {size} ? 0 : (size_t)(rows) % {size})");
        let bytes = format!("((size_t){state} + {blocks} * {many} + {singles} * {one})");
        line(format!("/* What `{name}_begin` and the others take for `rows` rows, aligned as a workspace. */"));
        line(format!("#define {upper}_STATE_BYTES(rows) \\\n  {bytes}"));
    }
    line("\n/* What functions return. */\nenum {".into());
    line(enumerators(&upper, &STATUS.iter().collect::<Vec<_>>()));
    line("};\n".into());
    line(
        "/* Which noise. Rows and samples are numbered, and each draw is addressed by its numbers and the seed. */"
            .into(),
    );
    line("typedef struct {\n  uint64_t seed, first_row;\n  uint32_t first_sample, samples;".into());
    line(format!("}} {name}_request;\n"));
    line("/* Where results go, row after row; what is NULL is not written. */\ntypedef struct {".into());
    for Column { name, width } in facts.results {
        let over = if facts.members.is_some() { "over samples and members" } else { "over samples" };
        line(format!("  {} *{name}; /* {width} a row: {} */", element.c, meaning(name).replace("over samples", over)));
    }
    if let Some(abstains) = &facts.abstains {
        line(format!("  uint8_t *abstain; /* {} a row: 1 of {}, else 0 */", abstains.width, abstains.about()));
    }
    line(format!("}} {name}_result;\n"));
    if let Some(Decides { labels, .. }) = &facts.decides {
        line("/* Where decisions go, row after row; what is NULL is not written. */\ntypedef struct {".into());
        line(format!("  uint32_t *label; /* {labels} a row: the most probable class, the first of equals */"));
        line("  uint32_t *samples; /* 1 a row: how many were drawn */".into());
        line(format!("  uint8_t *certain; /* {labels} a row: 1 where the decision is, else 0 */"));
        line(format!("}} {name}_decision;\n"));
    }
    line(
        "/* What this is. Names are lines of one text, if they were told when it was compiled. */\ntypedef struct {"
            .into(),
    );
    let numbers: Vec<&str> = information.numbers.iter().map(|(name, _)| *name).collect();
    line(format!("  uint32_t {};\n  uint64_t seed;", numbers.join(", ")));
    for (name, text) in &information.texts {
        line(format!("  char {name}[{}];", Information::capacity(text)));
    }
    line(format!("}} {name}_information;\n"));
    let of = prototypes::of_network(name, *element, options.weights);
    let declared = |function: &str| of(function).declared();
    if !facts.levels().is_empty() {
        line(format!("/* Chooses the newest instructions that the processor has, of {}.", facts.levels().join(", ")));
        line("   Before a workspace is used for the first time. */".into());
        line(declared("init"));
        line("/* As that, with instructions of this level, such as 3. */".into());
        line(declared("init_isa") + "\n");
    } else if facts.weights.is_some() {
        line(format!(
            "/* Before a workspace is used for the first time. Compares a checksum of {name}.weights, which has to stay"
        ));
        line(format!("   where it is, aligned to {} bytes. */", element.bytes_in_words));
        line(declared("init") + "\n");
    }
    line("/* Predicts rows. A request that is NULL has the defaults, row and sample 0 first. */".into());
    line(declared("predict") + "\n");
    if let Some(decides) = &facts.decides {
        line(decide_comment(&upper, decides));
        line(declared("decide") + "\n");
    }
    if facts.accumulators.is_some() {
        line("/* The same with some samples at a time, for answers under a deadline: begin, add samples as often as there is".into());
        line(
            "   time, with the same inputs, and finish, as often as you like. The bits are those of one call. */"
                .into(),
        );
        line(declared("begin"));
        line(declared("add"));
        line(declared("finish") + "\n");
    }
    line(
        "/* Predicts rows that it makes itself and compares the bits with those of the machine that compiled this. */"
            .into(),
    );
    line(declared("self_test") + "\n");
    line(declared("info") + "\n");
    line("#ifdef __cplusplus\n}\n#endif\n\n#endif".into());
    text
}

/// What `NAME_decide` does.
fn decide_comment(upper: &str, decides: &Decides) -> String {
    let what = match decides.may_abstain {
        true => {
            "to abstain if the entropy of the means over infinitely many samples is above its threshold, else their class"
        }
        false => "the class that is the most probable by infinitely many samples",
    };
    format!(
        "/* Decides on rows, each with as many samples as that takes: {FIRST_LOOK}, and twice as many as long as it is not certain,\n   up to \
         those of the request. Results have the bits of a prediction with as many samples. What is decided is\n   {what}:\n   certain but \
         for a probability of {upper}_DECISION_ERROR at most for each row, over the noise. */"
    )
}

//! Linking programs into one file of C99, for systems that there are no objects for: with the same bits.
//!
//! The file includes `stdint.h`, `stddef.h` and its own header. It calls nothing outside, whatever the compiler's
//! options are that it accepts, takes no memory but what its caller brings, and has no data that can be written.

use crate::emit::c::{
    CKernel, Function, Outside, Parameter, Signature, beginning, comment, end, function, operations, routine,
};
use crate::routine::{Assembly, Routine, Statement};
use crate::{Error, emit::Refusal};
use std::collections::HashMap;
use std::fmt::Write;

/// Where a file in C has the data that its functions read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// In its text.
    Text,
    /// In a file beside it, `NAME.data`, which the assembler includes: compilers that have `.incbin`, for ELF.
    Included,
}

/// What a file in C is made from besides the program.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// What its names begin with, and the header's file.
    pub prefix: &'a str,
    /// The first comment.
    pub about: &'a str,
    /// How the functions are declared that others call, by their names.
    pub signatures: HashMap<String, Signature>,
    /// Where data are.
    pub data: Data,
}

/// Prints a program.
///
/// # Errors
/// A kernel that has vectors.
pub fn c(assembly: &Assembly<CKernel>, options: &Options<'_>) -> Result<String, Error> {
    let prefix = options.prefix;
    let mut kernels: Vec<(String, Function)> = Vec::with_capacity(assembly.kernels.len());
    for (i, kernel) in assembly.kernels.iter().enumerate() {
        let tiles = assembly.routines.iter().map(|routine| most_tiles(&routine.body, i)).max().unwrap_or(0);
        let name = format!("{prefix}_kernel_{i}");
        let function = function(kernel, prefix, &name, tiles).map_err(|Refusal(message)| Error::Object(message))?;
        kernels.push((name, function));
    }
    let names = Names { prefix, kernels: &kernels, routines: &assembly.routines };
    let routines = assembly.routines.iter().enumerate().map(|(i, of)| {
        let signature = of.name.as_ref().and_then(|name| options.signatures.get(name));
        let name = names.routine(i);
        let text = routine(of, prefix, &name, signature, &names);
        (name, text, of.name.is_some())
    });
    let all = kernels.iter().map(|(name, function)| (name.clone(), function.text.clone(), false)).chain(routines);
    let text = called(all.collect());
    let mut file = comment(options.about);
    let _ = writeln!(file, "#include \"{prefix}.h\"\n#include <stddef.h>\n#include <stdint.h>\n");
    file.push_str(&beginning(prefix));
    file.push('\n');
    file.push_str(&operations(&text, prefix));
    if text.contains(&format!("{prefix}_data[")) {
        file.push('\n');
        data(&mut file, options, &assembly.data);
    }
    file.push_str(&text);
    file.push('\n');
    file.push_str(&end(prefix));
    Ok(file)
}

/// The functions that are called by those behind them, or by others: their names, their texts, and whether others call
/// them.
fn called(functions: Vec<(String, String, bool)>) -> String {
    let mut kept: Vec<String> = Vec::new();
    for (name, text, is_for_others) in functions.into_iter().rev() {
        let call = format!("{name}(");
        if is_for_others || kept.iter().any(|text| text.contains(&call)) {
            kept.push(text);
        }
    }
    kept.iter().rev().map(|text| format!("\n{}\n", text.trim_end())).collect()
}

/// The most tiles that a kernel is launched with.
fn most_tiles(statements: &[Statement], number: usize) -> usize {
    let of = |statement: &Statement| match statement {
        Statement::Launch { kernel, tiles, .. } if *kernel == number => *tiles,
        Statement::If(_, body, other) => most_tiles(body, number).max(most_tiles(other, number)),
        Statement::While(_, body) => most_tiles(body, number),
        _ => 0,
    };
    statements.iter().map(of).max().unwrap_or(0)
}

/// Data, eight bytes a number.
fn data(file: &mut String, options: &Options<'_>, bytes: &[u8]) {
    const A_LINE: usize = 6;
    let prefix = options.prefix;
    file.push_str("/* What kernels read: the weights, and what follows from them alone. */\n");
    if options.data == Data::Included {
        let _ = writeln!(
            file,
            "#if !defined(__GNUC__) || !defined(__ELF__)\n#error \"the assembler has to include {prefix}.data: compile \
             the model with its weights inside, or in a file\"\n#endif\n\
             __asm__(\".section .rodata,\\\"a\\\"\\n\\t.balign 64\\n\\t.global {prefix}_data\\n\\t.hidden {prefix}_data\\n\"\n        \
             \"{prefix}_data:\\n\\t.incbin \\\"{prefix}.data\\\"\\n\\t.text\\n\");\n\
             extern const uint64_t {prefix}_data[{}] __attribute__((visibility(\"hidden\")));",
            bytes.len().div_ceil(8)
        );
        return;
    }
    let numbers =
        bytes.chunks(8).map(|chunk| chunk.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)));
    let numbers: Vec<u64> = numbers.collect();
    let _ = writeln!(file, "static const uint64_t {prefix}_data[{}] = {{", numbers.len());
    for line in numbers.chunks(A_LINE) {
        let line: Vec<String> = line.iter().map(|number| format!("{number:#x}u")).collect();
        let _ = writeln!(file, "  {},", line.join(", "));
    }
    file.push_str("};\n");
}

struct Names<'a> {
    prefix: &'a str,
    kernels: &'a [(String, Function)],
    routines: &'a [Routine],
}

impl Outside for Names<'_> {
    fn launch(&self, kernel: usize, arguments: &[String], scratch: &str, tiles: usize) -> String {
        let (name, function) = &self.kernels[kernel];
        let list = function.parameters.iter().map(|parameter| match *parameter {
            Parameter::Memory { argument, .. } => arguments.get(argument).map_or(scratch, String::as_str).to_owned(),
            Parameter::Begin => "0".into(),
            Parameter::End => tiles.to_string(),
        });
        format!("{name}({});", list.collect::<Vec<_>>().join(", "))
    }

    fn routine(&self, number: usize) -> String {
        let name = self.routines[number].name.clone();
        name.unwrap_or_else(|| format!("{}_routine_{number}", self.prefix))
    }
}

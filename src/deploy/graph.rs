//! Any graph as an object: a function of named inputs and outputs. A training step too, so that a device can go on
//! learning with the bits of the machine that began.

use super::{
    DeployOptions, Package, Weights,
    compile::{check, target},
    element::Element,
    functions::{check_memory, refuse, within},
    header::KEYWORDS,
    language::{C, Language, Machine},
    layout::{ALIGN, Places},
    package,
    prototypes::Prototype,
    status::{STATUS, status},
};
use crate::Error;
use bayeslift_codegen::{
    KernelTable, Program, System,
    routine::{Assembly, Data, Expr, Memory, RoutineBuilder, Width, launches},
};
use bayeslift_ir::{DType, Graph, Type};
use bayeslift_runtime::Options;
use serde_json::json;
use std::collections::HashSet;
use std::fmt::Write;

/// A pointer that a call is given.
struct Pointer {
    /// What C calls it, and the graph.
    name: String,
    known_as: String,
    ty: Type,
    is_written: bool,
}

/// Compiles a graph to the function `NAME_call` of structs that point to its inputs and outputs. What an output updates
/// is a pointer among the inputs that is written.
///
/// # Errors
/// A name that is no identifier; several levels; a system that there are no objects for; a graph that does not verify.
pub fn graph(graph: &Graph, options: &DeployOptions) -> Result<Package, Error> {
    check(options)?;
    let system = options.system()?;
    if options.levels.len() > 1 {
        let problem = "a graph was to be compiled for several levels of instructions";
        return Err(Error::misuse(problem, "compile it for one, or a network"));
    }
    if system.is_c() { graph_as(&C, system, graph, options) } else { graph_as(&Machine, system, graph, options) }
}

fn graph_as<L: Language>(
    language: &L,
    system: System,
    graph: &Graph,
    options: &DeployOptions,
) -> Result<Package, Error> {
    let compiler = Options::default().target(target(&system, options.levels.first().copied())?).threads(1);
    let Program { table, functions } = language.emit(&compiler, &compiler.optimize(graph)?)?;
    let [inputs, outputs] = pointers(&table);
    let mut places = Places::default();
    let [at_arena, at_scratch, at_shared] =
        [table.arena_bytes, table.scratch_bytes, table.shared_bytes].map(|bytes| places.take(bytes as u64));
    let workspace_bytes = places.end;

    let (mut b, [given, results, workspace]) = RoutineBuilder::new([Width::Long; 3]);
    check_memory(&mut b, &[workspace]);
    for pointer in [given, results] {
        refuse(&mut b, Expr::from(pointer).is_zero(), "ERROR_NULL");
    }
    let mut load = |from, all: &[Pointer]| {
        let found = (0..all.len()).map(|i| b.set(Expr::from(from).address(i)));
        found.collect::<Vec<_>>()
    };
    let (found, made) = (load(given, &inputs), load(results, &outputs));
    for &pointer in found.iter().chain(&made) {
        refuse(&mut b, Expr::from(pointer).is_zero(), "ERROR_NULL");
    }
    let mut made = made.into_iter();
    let of_output = table.outputs.iter().map(|output| match output.updates {
        Some(input) => found[input],
        None => made.next().expect("as many as are returned"),
    });
    let memory = Memory {
        outputs: of_output.map(Expr::from).collect(),
        inputs: found.iter().map(|&pointer| pointer.into()).collect(),
        arena: workspace + at_arena,
        scratch: workspace + at_scratch,
        shared: workspace + at_shared,
    };
    let mut data = Data::default();
    let statements = launches(&table, 0, &memory, &mut data);
    within(&mut b, system.architecture(), |b| b.append(statements));
    b.give(status("OK"));
    let routines = vec![b.finish(Some(format!("{}_call", options.name)), "", Width::Word)];
    let assembly = Assembly { kernels: functions, routines, data: data.bytes };
    let linked = language.link(&assembly, options, &system, &[prototype(&options.name)])?;

    let header = header(options, &system, [&inputs, &outputs], workspace_bytes, linked.stack_bytes);
    let described = |all: &[Pointer]| {
        let one = |p: &Pointer| json!({ "name": p.name, "input": p.known_as, "type": p.ty.to_string(), "written": p.is_written });
        all.iter().map(one).collect::<Vec<_>>()
    };
    let manifest = json!({
        "name": options.name,
        "bayeslift": env!("CARGO_PKG_VERSION"),
        "system": system.to_string(),
        "levels": options.levels.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "inputs": described(&inputs),
        "outputs": described(&outputs),
        "bytes": {
            "object": linked.bytes.len(),
            "code": linked.code_bytes,
            "workspace": workspace_bytes,
            "stack": linked.stack_bytes,
        },
        "sha256": { "object": package::digest(&linked.bytes), "header": package::digest(header.as_bytes()) },
    });
    let included = (options.weights == Weights::Included).then_some(assembly.data);
    Ok(Package::new(options, &system, linked.bytes, header, manifest, [None, included]))
}

/// The pointers to inputs and to outputs that are returned.
fn pointers(table: &KernelTable) -> [Vec<Pointer>; 2] {
    let mut known = HashSet::new();
    let mut pointer = |name: &str, ty: &Type, is_written| Pointer {
        name: identifier(name, &mut known),
        known_as: name.to_owned(),
        ty: ty.clone(),
        is_written,
    };
    let inputs = table.inputs.iter().map(|input| pointer(&input.name, &input.ty, input.is_donated)).collect();
    let returned = table.outputs.iter().filter(|output| output.updates.is_none());
    [inputs, returned.map(|output| pointer(&output.name, &output.ty, true)).collect()]
}

/// The only function.
fn prototype(name: &str) -> Prototype {
    let parameters =
        [&format!("const {name}_inputs *inputs"), &format!("const {name}_outputs *outputs"), "void *workspace"];
    Prototype::new(format!("{name}_call"), "int ", &parameters)
}

/// A name as C has it, which no other has.
fn identifier(name: &str, known: &mut HashSet<String>) -> String {
    let mut plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if !plain.starts_with(|c: char| c.is_ascii_alphabetic()) || KEYWORDS.contains(&plain.as_str()) {
        plain.insert_str(0, "v_");
    }
    let all = std::iter::once(plain.clone()).chain((2..).map(|i| format!("{plain}_{i}")));
    let free = all.into_iter().find(|name| !known.contains(name)).unwrap_or_default();
    known.insert(free.clone());
    free
}

fn header(
    options: &DeployOptions,
    system: &System,
    [inputs, outputs]: [&[Pointer]; 2],
    workspace: u64,
    stack: Option<u64>,
) -> String {
    let stack = stack.map_or_else(String::new, |bytes| {
        format!("#define {}_STACK_BYTES {bytes}\n", options.name.to_ascii_uppercase())
    });
    let (name, upper) = (&options.name, options.name.to_ascii_uppercase());
    let mut h = format!(
        "/* A graph, compiled by Bayeslift {} for {system}. */\n#ifndef {upper}_H\n#define {upper}_H\n\n#include <stdint.h>\n\n\
         #ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n#define {upper}_WORKSPACE_BYTES {workspace}\n\
         #define {upper}_WORKSPACE_ALIGN {ALIGN}\n{stack}\n/* What functions return. */\nenum {{\n",
        env!("CARGO_PKG_VERSION")
    );
    let codes = STATUS.iter().enumerate().take(status("ERROR_MISALIGNED") as usize + 1);
    for (i, (code, text)) in codes {
        let comma = if i < status("ERROR_MISALIGNED") as usize { "," } else { "" };
        let _ = writeln!(h, "  {upper}_{code} = {i}{comma} /* {text} */");
    }
    h.push_str("};\n\n");
    for (what, pointers) in [("inputs", inputs), ("outputs", outputs)] {
        h.push_str("typedef struct {\n");
        for Pointer { name, ty, is_written, .. } in pointers {
            let element = match ty.dtype {
                DType::F32 | DType::F64 => Element::of(ty.dtype).c,
                DType::U32 | DType::Mask => "uint32_t",
            };
            let (constant, note) = match (is_written, what) {
                (false, _) => ("const ", ""),
                (true, "inputs") => ("", ", which is updated"),
                (true, _) => ("", ""),
            };
            let _ = writeln!(h, "  {constant}{element} *{name}; /* {ty}{note} */");
        }
        if pointers.is_empty() {
            h.push_str("  void *none; /* there are none; any value but NULL is not looked at */\n");
        }
        let _ = writeln!(h, "}} {name}_{what};\n");
    }
    let _ = writeln!(
        h,
        "{}\n\n\
         #ifdef __cplusplus\n}}\n#endif\n\n#endif",
        prototype(name).declared()
    );
    h
}

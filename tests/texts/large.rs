//! Sizes at the limits and very long graphs.

use bayeslift::ir::{Builder, DType, Error, Graph, evaluate, same_bits, verify};
use bayeslift::runtime::{Executable, Options};
use bayeslift_codegen::{Target, lower};
use bayeslift_passes::{Plan, Rewriting, gradients, optimize, simplify};
use std::fmt::Write;

/// Extents around 2^31 elements, and those whose product is a small number once it has overflowed.
#[test]
fn extents_at_the_limits() {
    let limit = 1_u64 << 31;
    let fits = [
        format!("{limit}"),
        format!("2,{}", limit / 2),
        "65536,1,32768".to_owned(),
        format!("{}", limit - 1),
        ["2"; 11].join(",") + ",1048576",
    ];
    let too_large = [
        format!("{}", limit + 1),
        format!("{limit},2"),
        "65536,65536".to_owned(),
        "4294967296,4294967296".to_owned(),
        "4294967296,4294967296,3".to_owned(),
        "9223372036854775808,2".to_owned(),
        "18446744073709551615".to_owned(),
        "18446744073709551615,18446744073709551615".to_owned(),
        "6700417,641,4294967297".to_owned(),
        ["2"; 12].join(",") + ",1048576",
    ];
    // how a value of this shape arises: as an input, from nothing, by repetition, by products, by windows
    let graphs = |shape: &str| {
        let rank = shape.split(',').count();
        let ones = vec!["1"; rank].join(",");
        let permutation: Vec<String> = (0..rank).rev().map(|axis| axis.to_string()).collect();
        let turned: Vec<&str> = shape.split(',').rev().collect();
        let (permutation, turned) = (permutation.join(","), turned.join(","));
        vec![
            format!("%0 = input \"x\" : f32[{shape}]\n%1 = exp %0 : f32[{shape}]\noutput \"y\" = %1\n"),
            format!("%0 = constant 1 : f32[]\n%1 = broadcast %0 : f32[{shape}]\noutput \"y\" = %1\n"),
            format!("%0 = input \"x\" : f32[{ones}]\n%1 = broadcast %0 : f32[{shape}]\noutput \"y\" = %1\n"),
            format!(
                "%0 = input \"x\" : f32[{shape}]\n%1 = transpose permutation=[{permutation}] %0 : f32[{turned}]\n\
                 %2 = sum axis=0 %1 : f32[{}]\noutput \"y\" = %2\n",
                turned.split_once(',').map_or("", |(_, rest)| rest)
            ),
        ]
    };
    for shape in &fits {
        for body in graphs(shape) {
            let text = format!("graph {{\n{body}}}\n");
            let graph: Graph = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
            pass_through(graph).unwrap_or_else(|error| panic!("{error}\n{text}"));
        }
    }
    for shape in &too_large {
        for body in graphs(shape) {
            let text = format!("graph {{\n{body}}}\n");
            let error = text.parse::<Graph>().expect_err(&text).to_string();
            assert!(error.contains("exceeds the limit") || error.contains("within its range"), "{error}\n{text}");
        }
    }
    for (body, fault) in [
        ("%0 = iota : u32[2147483649]\n", "elements"),
        (
            "%0 = input \"x\" : f32[65536,1]\n%1 = input \"y\" : f32[1,65536]\n%2 = dot %0 %1 : f32[65536,65536]\n",
            "elements",
        ),
        (
            "%0 = input \"x\" : f32[65536]\n\
             %1 = window axis=0 start=0 size=65536 dilation=0 count=65536 step=1 %0 : f32[65536,65536]\n",
            "elements",
        ),
        (
            "%0 = input \"x\" : f32[3]\n\
             %1 = window axis=0 start=18446744073709551615 size=2 dilation=1 count=1 step=1 %0 : f32[2,1]\n",
            "an axis of 3",
        ),
        (
            "%0 = input \"x\" : f32[3]\n%1 = window axis=0 start=0 size=18446744073709551615 dilation=-9223372036854775808 \
             count=18446744073709551615 step=9223372036854775807 %0 : f32[3,1]\n",
            "apart",
        ),
        (
            "%0 = input \"x\" : f32[1,1]\n%1 = fold axis=0 start=0 size=1 dilation=0 count=1 step=0 %0 : f32[2147483649]\n",
            "elements",
        ),
        ("%0 = input \"x\" : f32[2]\n%1 = sum axis=18446744073709551615 %0 : f32[]\n", "axis 18446744073709551615"),
        (
            "%0 = input \"x\" : f32[1,1]\n%1 = fold axis=18446744073709551615 start=0 size=1 dilation=0 count=1 step=0 %0 : f32[1]\n",
            "axis 18446744073709551615",
        ),
        (
            "%0 = input \"k\" : u32[4]\n%1 = input \"s\" : u32[]\n%2 = input \"r\" : u32[2]\n\
             %3 = noise normal stream=0x0000000000000001 sample_axis=0 example_axis=1 %0 %1 %2 : f32[4294967296,4294967296,4]\n",
            "elements",
        ),
    ] {
        let error = format!("graph {{\n{body}}}\n").parse::<Graph>().expect_err(body).to_string();
        assert!(error.contains(fault), "{error}\n{body}");
    }
}

/// Everything but memory and time to run.
fn pass_through(graph: Graph) -> Result<(), Error> {
    verify(&graph)?;
    for level in [Rewriting::Off, Rewriting::Exact, Rewriting::All] {
        let plan = Plan::new(optimize(&graph, level)?.graph)?;
        for kernel in &plan.kernels {
            lower(&plan, kernel, Target::host().with_lanes(4), 2);
        }
    }
    Ok(())
}

/// A chain of `operations` operations on a few numbers, of many kinds.
fn chain(operations: usize) -> String {
    let mut text = String::from(
        "graph {\n  %0 = input \"x\" : f32[3]\n  %1 = constant 0.5 : f32[]\n  %2 = broadcast %1 : f32[3]\n",
    );
    let mut last = 0;
    for next in 3..3 + operations {
        let operation = match next % 8 {
            0 => format!("mul %{last} %2"),
            1 => format!("add %{last} %0"),
            2 => format!("sin %{last}"),
            3 => format!("max %{last} %2"),
            4 => format!("abs %{last}"),
            5 => format!("mul %{last} %0"),
            6 => format!("tanh %{last}"),
            _ => format!("neg %{last}"),
        };
        writeln!(text, "  %{next} = {operation} : f32[3]").unwrap();
        last = next;
    }
    writeln!(text, "  output \"y\" = %{last}\n}}").unwrap();
    text
}

/// No part goes down a chain by calling itself.
#[test]
fn a_chain_of_a_hundred_thousand_operations() {
    let text = chain(100_000);
    let graph: Graph = text.parse().unwrap();
    assert_eq!(graph.to_string(), text);
    verify(&graph).unwrap();
    let inputs = crate::inputs(&graph);
    let want = evaluate(&graph, &inputs).unwrap();
    let simplified = simplify(&graph).unwrap();
    let b = Builder::from(simplified);
    let (x, y) = {
        let graph = b.graph();
        (graph.inputs()[0].value, graph.outputs()[0].value)
    };
    let gradient = gradients(b.expr(y).sum_all(), &[b.expr(x)])[0];
    b.output("gradient", gradient);
    let step = b.finish().unwrap();
    assert_eq!(step.ty(step.outputs()[1].value).dtype, DType::F32);
    verify(&step).unwrap();
    let rewritten = optimize(&step, Rewriting::All).unwrap().graph;
    assert_eq!(same_bits(&evaluate(&rewritten, &inputs).unwrap()[0], &want[0]), Ok(()));
    pass_through(step).unwrap();
    let executable = Executable::compile(graph.clone(), &Options::default().threads(1)).unwrap();
    let found = crate::common::call(&executable, &graph, &inputs).unwrap();
    assert_eq!(same_bits(&found[0], &want[0]), Ok(()));
}

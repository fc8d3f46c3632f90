//! Densities, their sums and their gradients.

use crate::{Row, ask, close, each, integral::Stretch, is_double, table::rows, targets};
use bayeslift_ir::{Builder, Elements, Type, evaluate_f64};
use bayeslift_layers::{Scope, likelihood::Support};
use bayeslift_passes::gradients;

#[test]
fn densities_are_the_closed_forms() {
    each(|row, (output, ..)| {
        let [found] = ask(row, output, &targets(row, &row.targets), |law, y, _| [Some(law.log_prob(y))]);
        let log_prob = row.closed(output);
        for (&y, found) in row.targets.iter().zip(found.unwrap()) {
            let tolerance = if is_double(row) { 1e-6 } else { 4e-6 };
            close(&format!("log p({y})"), found, log_prob(y.into()), tolerance);
        }
    });
}

#[test]
fn probabilities_add_up_to_one() {
    each(|row, (output, centre, width)| {
        let support = row.target().support;
        let nodes = match support.is_discrete() {
            true => row.masses(output).into_iter().map(|(y, _)| (y, 1.0)).collect(),
            false => Stretch::new(support, *centre, *width).nodes(),
        };
        // those that are numbers of `f32` inside the support
        let nodes: Vec<_> = nodes.into_iter().filter(|(y, _)| support.contains((*y as f32).into())).collect();
        let y: Vec<f32> = nodes.iter().map(|&(y, _)| y as f32).collect();
        let [log_prob, probabilities] =
            ask(row, output, &targets(row, &y), |law, y, _| [Some(law.log_prob(y)), law.probabilities()]);
        let total: f64 = log_prob.unwrap().iter().zip(&nodes).map(|(&x, (_, weight))| libm::exp(x) * weight).sum();
        close("the sum of all probabilities", total, 1.0, 1e-5);
        for (y, found) in probabilities.into_iter().flatten().enumerate() {
            close(&format!("the probability of {y}"), found, libm::exp(row.closed(output)(y as f64)), 1e-6);
        }
    });
}

#[test]
fn losses_have_their_gradients() {
    for row in rows() {
        println!("{}", row.name);
        has_its_gradients(&row);
    }
}

fn has_its_gradients(row: &Row) {
    let parameters = row.parameters();
    let builder = Builder::new();
    let scope = Scope::bind(&builder, &parameters).unwrap();
    let count = row.targets.len();
    let output = builder.input("output", Type::f32([count, row.points[0].0.len()]));
    let y = targets(row, &row.targets);
    let loss = row.likelihood.loss(&scope, output, &builder.input("targets", y.ty()).into()).unwrap();
    builder.output("loss", loss);
    let mut of: Vec<_> = parameters.paths().map(|path| scope.expr(path).unwrap()).collect();
    of.push(output);
    for (i, gradient) in gradients(loss, &of).into_iter().enumerate() {
        builder.output(&format!("gradient {i}"), gradient);
    }
    let graph = builder.finish().unwrap();

    let mut inputs: Vec<Elements<f64>> =
        parameters.iter().map(|(_, parameter)| Elements::from(&parameter.tensor)).collect();
    let outputs: Vec<f64> = row.points[0].0.iter().map(|&x| x.into()).collect();
    inputs.push(Elements::Floats(outputs.repeat(count)));
    inputs.push(Elements::from(&y));
    let found = evaluate_f64(&graph, &inputs).unwrap();
    let mut largest = 0.0_f64;
    for (i, gradient) in found[1..].iter().enumerate() {
        for (element, &gradient) in gradient.floats().unwrap().iter().enumerate() {
            let mut loss_at = |h: f64| {
                let Elements::Floats(values) = &mut inputs[i] else { unreachable!() };
                let before = values[element];
                values[element] += h;
                let loss = evaluate_f64(&graph, &inputs).unwrap()[0].floats().unwrap()[0];
                let Elements::Floats(values) = &mut inputs[i] else { unreachable!() };
                values[element] = before;
                loss
            };
            let h = 1e-5;
            let expected = (loss_at(h) - loss_at(-h)) / (2.0 * h);
            largest = largest.max(expected.abs());
            // of a large loss the differences have fewer digits
            close(&format!("d loss / d {i}[{element}]"), gradient, expected, 1e-5);
        }
    }
    assert!(largest > 1e-3, "gradients that are all zero test nothing");
}

#[test]
fn extreme_outputs_are_no_nans() {
    const EXTREMES: [f32; 5] = [-1e4, -100.0, 0.0, 100.0, 1e4];
    for row in rows() {
        // all combinations of up to three outputs; further ones are as those before
        let outputs = row.points[0].0.len();
        let mut y = row.targets.clone();
        if row.target().support == Support::Real && !row.name.starts_with("Student's t") {
            // so far out that its square is infinite
            y.push(1e30);
        }
        for code in 0..EXTREMES.len().pow(outputs.min(3) as u32) {
            let output: Vec<f32> = (0..outputs).map(|i| EXTREMES[code / [1, 5, 25][i % 3] % 5]).collect();
            let [found] = ask(&row, &output, &targets(&row, &y), |law, y, _| [Some(law.log_prob(y))]);
            for (y, found) in y.iter().zip(found.unwrap()) {
                assert!(found < 1e6, "{}: log p({y}) at {output:?} is {found}", row.name);
            }
        }
    }
}

//! Likelihoods against closed forms: densities, gradients, statistics, distribution functions, quantiles and draws of
//! every row of one table, by the same checks.

mod densities;
mod distributions;
mod integral;
mod observed;
mod single;
mod table;

use bayeslift_ir::{Builder, DType, Expr, Tensor, Type, evaluate};
use bayeslift_layers::{
    Context, Parameters, Scope,
    likelihood::{Law, Support, Target, TargetNoise},
    noise_inputs,
};
use integral::Stretch;
use table::{Row, rows};

impl Row {
    fn target(&self) -> Target {
        self.likelihood.target(&[self.points[0].0.len()].into()).unwrap()
    }

    fn closed(&self, output: &[f32]) -> impl Fn(f64) -> f64 {
        let (output, log_prob): (Vec<f64>, _) = (output.iter().map(|&x| x.into()).collect(), self.log_prob);
        move |y| log_prob(&output, y)
    }

    fn parameters(&self) -> Parameters {
        let builder = Builder::new();
        let scope = Scope::initialize(&builder, 3);
        self.likelihood.declare(&scope, &self.target()).unwrap();
        scope.parameters()
    }

    /// The counts or labels that have all of the probability but 1e-13, with their probabilities.
    fn masses(&self, output: &[f32]) -> Vec<(f64, f64)> {
        let log_prob = self.closed(output);
        let classes =
            self.target().classes().unwrap_or(if self.target().support == Support::Binary { 2 } else { usize::MAX });
        let (mut masses, mut sum) = (Vec::new(), 0.0);
        for count in (0..classes.min(20_000)).map(|count| count as f64) {
            let mass = libm::exp(log_prob(count));
            masses.push((count, mass));
            sum += mass;
            if sum > 1.0 - 1e-13 {
                break;
            }
        }
        masses
    }

    /// The expectation of a function of the target, by the closed form.
    fn expectation(&self, (output, centre, width): &(Vec<f32>, f64, f64), of: impl Fn(f64) -> f64) -> f64 {
        if self.target().support.is_discrete() {
            return self.masses(output).into_iter().map(|(y, mass)| mass * of(y)).sum();
        }
        let log_prob = self.closed(output);
        let nodes = Stretch::new(self.target().support, *centre, *width).nodes();
        // a density of 0, where a square may have overflowed
        let term = |y: f64, weight: f64| match libm::exp(log_prob(y)) * weight {
            0.0 => 0.0,
            mass => mass * of(y),
        };
        nodes.into_iter().map(|(y, weight)| term(y, weight)).filter(|x| x.is_finite()).sum()
    }

    /// The probability of at most `y`, by the closed form.
    fn below(&self, (output, centre, width): &(Vec<f32>, f64, f64), y: f64) -> f64 {
        if self.target().support.is_discrete() {
            return self.masses(output).into_iter().filter(|(count, _)| *count <= y).map(|(_, mass)| mass).sum();
        }
        let log_prob = self.closed(output);
        Stretch::new(self.target().support, *centre, *width).up_to(y, |y| libm::exp(log_prob(y)))
    }
}

/// Evaluates what `build` makes of the law of an output and of numbers `x`, one for each of as many rows, which have
/// that output.
fn ask<const N: usize>(
    row: &Row,
    output: &[f32],
    x: &Tensor,
    build: impl for<'b> Fn(&dyn Law<'b>, Expr<'b>, &TargetNoise<'b>) -> [Option<Expr<'b>>; N],
) -> [Option<Vec<f64>>; N] {
    let parameters = row.parameters();
    let builder = Builder::new();
    let scope = Scope::bind(&builder, &parameters).unwrap();
    let outputs = builder.input("output", Type::f32([1, output.len()]));
    let x_expr = builder.input("x", x.ty());
    let law = row.likelihood.law(&scope, outputs).unwrap();
    let site = Context::new(scope.clone()).noise(noise_inputs(&builder)).site("likelihood");
    let noise = TargetNoise::new(site, x.shape().clone()).unwrap();
    let results = build(&*law, x_expr, &noise);
    for (i, result) in results.iter().enumerate() {
        builder.output(&format!("{i}"), result.unwrap_or(x_expr));
    }
    let is_told = results.map(|result| result.is_some());
    drop((law, noise));
    let graph = builder.finish().unwrap();
    bayeslift_ir::verify(&graph).unwrap();
    let mut inputs: Vec<Tensor> = parameters.iter().map(|(_, parameter)| parameter.tensor.clone()).collect();
    inputs.extend([Tensor::f32([1, output.len()], output).unwrap(), x.clone()]);
    inputs
        .extend([Tensor::u32([4], [11, 0, 0, 0]), Tensor::u32([], [0]), Tensor::u32([2], [0, 0])].map(Result::unwrap));
    let found = evaluate(&graph, &inputs).unwrap();
    std::array::from_fn(|i| is_told[i].then(|| numbers(&found[i])))
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    match (tensor.as_f32(), tensor.as_f64(), tensor.as_u32()) {
        (Some(x), ..) => x.iter().map(|&x| x.into()).collect(),
        (_, Some(x), _) => x.to_vec(),
        (.., Some(x)) => x.iter().map(|&x| x.into()).collect(),
        _ => unreachable!(),
    }
}

/// Numbers as a tensor of targets of the row.
fn targets(row: &Row, y: &[f32]) -> Tensor {
    let ty = row.target().ty(y.len(), DType::F32);
    match row.target().support {
        Support::Classes(_) => Tensor::u32(ty.shape, y.iter().map(|&y| y as u32).collect::<Vec<_>>()),
        _ => Tensor::f32(ty.shape, y),
    }
    .unwrap()
}

/// Numbers as a tensor in the shape of targets, not necessarily targets.
fn column(row: &Row, y: &[f64]) -> Tensor {
    Tensor::f64(row.target().ty(y.len(), DType::F32).shape, y).unwrap()
}

#[track_caller]
fn close(what: &str, found: f64, expected: f64, tolerance: f64) {
    let error = (found - expected).abs();
    assert!(error <= tolerance * expected.abs().max(1.0), "{what}: {found}, expected {expected}");
}

fn each(check: impl Fn(&Row, &(Vec<f32>, f64, f64))) {
    for row in rows() {
        for point in &row.points {
            println!("{} at {:?}", row.name, point.0);
            check(&row, point);
        }
    }
}

/// Whether a row's log density is computed in f64.
fn is_double(row: &Row) -> bool {
    let builder = Builder::new();
    let scope = Scope::describe(&builder);
    let output = builder.input("output", Type::f32([1, row.points[0].0.len()]));
    let law = row.likelihood.law(&scope, output).unwrap();
    let target = builder.input("target", row.target().ty(1, DType::F32));
    !law.log_prob(target).is_float()
}

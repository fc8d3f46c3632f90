//! Special functions against tables of more digits: values, gradients and limits.
//!
//! Bounds are those that the documentation of `special` states.

use bayeslift_ir::{Builder, Expr, Graph, Tensor, Type, evaluate};
use bayeslift_layers::special::*;
use bayeslift_passes::gradients;

/// The rows of a table that begin with `name`.
fn rows(table: &str, name: &str) -> Vec<Vec<f64>> {
    let named = table.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let rows: Vec<Vec<f64>> = named.map(|line| line.split(' ').map(|word| word.parse().unwrap()).collect()).collect();
    assert!(rows.len() > 30, "the table has {} rows of {name}", rows.len());
    rows
}

const GAMMA: &str = include_str!("special/gamma.txt");
const NORMAL: &str = include_str!("special/normal.txt");
const INCOMPLETE_GAMMA: &str = include_str!("special/incomplete_gamma.txt");
const INCOMPLETE_BETA: &str = include_str!("special/incomplete_beta.txt");
const STUDENT: &str = include_str!("special/student.txt");

/// A function's graph, which gives the value and its derivative in each of `N` arguments, at `count` points.
fn graph<const N: usize>(count: usize, function: impl for<'b> Fn([Expr<'b>; N]) -> Expr<'b>) -> Graph {
    let builder = Builder::new();
    let arguments = std::array::from_fn(|i| builder.input(&format!("x{i}"), Type::f64([count])));
    let value = function(arguments);
    builder.output("value", value);
    for (i, gradient) in gradients(value.sum(0), &arguments).into_iter().enumerate() {
        builder.output(&format!("gradient in x{i}"), gradient);
    }
    builder.finish().unwrap()
}

/// Value and derivatives of a function at the first `N` columns of `rows`.
fn run<const N: usize>(rows: &[Vec<f64>], function: impl for<'b> Fn([Expr<'b>; N]) -> Expr<'b>) -> Vec<Vec<f64>> {
    let graph = graph(rows.len(), function);
    let column = |i: usize| rows.iter().map(|row| row[i]).collect::<Vec<f64>>();
    let inputs: Vec<Tensor> = (0..N).map(|i| Tensor::f64([rows.len()], column(i)).unwrap()).collect();
    let outputs = evaluate(&graph, &inputs).unwrap();
    (0..rows.len()).map(|i| outputs.iter().map(|tensor| tensor.as_f64().unwrap()[i]).collect()).collect()
}

/// Fails where an error, found from a row and a result, is not within `bound`.
fn check(what: &str, bound: f64, rows: &[Vec<f64>], results: &[Vec<f64>], error: impl Fn(&[f64], &[f64]) -> f64) {
    let errors = rows.iter().zip(results).map(|(row, result)| (error(row, result), row, result));
    let (error, row, result) = errors.reduce(|a, b| if b.0 <= a.0 { a } else { b }).unwrap();
    assert!(error <= bound, "{what} errs by {error:e}, more than {bound:e}, at {row:?}: {result:?}");
}

/// Checks value and derivatives, which follow the `N` arguments in a row: absolute for those below 1, else relative.
fn check_all<const N: usize>(
    (table, name): (&str, &str),
    [value, derivatives]: [f64; 2],
    function: impl for<'b> Fn([Expr<'b>; N]) -> Expr<'b>,
) {
    let points = rows(table, name);
    let results = run(&points, function);
    check(name, value, &points, &results, |row, y| mixed(y[0], row[N]));
    for i in 1..=N {
        let what = format!("the derivative of {name} in its argument {i}");
        check(&what, derivatives, &points, &results, |row, y| mixed(y[i], row[N + i]));
    }
}

/// Checks a quantile by the probability that its error is, relative to the smaller of p and 1 - p, and its derivatives.
/// What rounding of the quantile itself makes of the probability is not counted.
fn check_quantile<const N: usize>(
    (table, name): (&str, &str),
    [probability, derivatives]: [f64; 2],
    function: impl for<'b> Fn([Expr<'b>; N]) -> Expr<'b>,
) {
    let points = rows(table, name);
    let results = run(&points, function);
    check(name, probability, &points, &results, |row, y| {
        ((y[0] - row[N]).abs() - f64::EPSILON * row[N].abs()).max(0.0) * row[N + 1]
    });
    for i in 1..=N {
        let what = format!("the derivative of {name} in its argument {i}");
        check(&what, derivatives, &points, &results, |row, y| relative(y[i], row[N + 1 + i]));
    }
}

fn relative(found: f64, expected: f64) -> f64 {
    ((found - expected) / expected).abs()
}

/// Absolute for expected values below 1, relative for those above.
fn mixed(found: f64, expected: f64) -> f64 {
    (found - expected).abs() / expected.abs().max(1.0)
}

#[test]
fn logarithms_of_gamma_and_their_derivatives() {
    check_all((GAMMA, "log_gamma"), [5e-15, 5e-15], |[x]| log_gamma(x));
    check_all((GAMMA, "digamma"), [5e-15, 5e-15], |[x]| digamma(x));
    check_all((GAMMA, "log_gamma_ratio"), [5e-15, 5e-13], |[x, d]| log_gamma_ratio(x, d));
}

#[test]
fn logarithm_of_beta_and_its_derivatives() {
    let points = rows(GAMMA, "log_beta");
    let results = run(&points, |[a, b]| log_beta(a, b));
    check("log_beta", 1e-14, &points, &results, |row, y| mixed(y[0], row[2]));
    for i in [0, 1] {
        // a difference of terms of the size of 1 / a
        let scale = |row: &[f64]| row[3 + i].abs().max(1.0 / row[i]).max(1.0);
        check("its derivative", 5e-13, &points, &results, |row, y| (y[1 + i] - row[3 + i]).abs() / scale(row));
    }
}

#[test]
fn normal_distribution_functions() {
    check_all((NORMAL, "normal_cdf"), [5e-16, 1e-15], |[z]| normal_cdf(z));
    check_all((NORMAL, "normal_log_cdf"), [5e-15, 5e-15], |[z]| normal_log_cdf(z));
    check_all((NORMAL, "normal_quantile"), [2e-15, 1e-11], |[p]| normal_quantile(p));
    for (name, function) in
        [("normal_cdf", normal_cdf as for<'b> fn(Expr<'b>) -> Expr<'b>), ("normal_log_cdf", normal_log_cdf)]
    {
        let points = rows(NORMAL, name);
        let results = run(&points, |[z]| function(z));
        check(&format!("{name} in its tails"), 1e-13, &points, &results, |row, y| relative(y[0], row[1]));
    }
}

#[test]
fn incomplete_gamma_functions() {
    let points = rows(INCOMPLETE_GAMMA, "gamma");
    for (column, sign) in [(2, 1.0), (3, -1.0)] {
        let results = run(&points, |[a, x]| if column == 2 { gamma_lower(a, x) } else { gamma_upper(a, x) });
        check_tail("gamma", [5e-14, 5e-11], &points, &results, column);
        for i in [1, 2] {
            check("its derivative", 1e-12, &points, &results, |row, y| mixed(y[i], sign * row[3 + i]));
        }
    }
}

#[test]
fn incomplete_beta_functions() {
    let points = rows(INCOMPLETE_BETA, "beta");
    for (column, sign) in [(3, 1.0), (4, -1.0)] {
        let results = run(&points, |[a, b, x]| if column == 3 { beta_lower(a, b, x) } else { beta_upper(a, b, x) });
        check_tail("beta", [5e-14, 1e-12], &points, &results, column);
        for i in [1, 2, 3] {
            check("its derivative", 5e-11, &points, &results, |row, y| mixed(y[i], sign * row[4 + i]));
        }
    }
}

/// Checks a probability, which is in this column: its absolute error, and its relative one where it is below 1/2.
fn check_tail(what: &str, bounds: [f64; 2], points: &[Vec<f64>], results: &[Vec<f64>], column: usize) {
    check(what, bounds[0], points, results, |row, y| (y[0] - row[column]).abs());
    let small = |row: &[f64]| row[column] <= 0.5;
    let relative = |row: &[f64], y: &[f64]| if small(row) { relative(y[0], row[column]) } else { 0.0 };
    check(&format!("{what} in this tail"), bounds[1], points, results, relative);
}

#[test]
fn student_distribution_function() {
    check_all((STUDENT, "student_cdf"), [5e-15, 5e-13], |[degrees, t]| student_cdf(degrees, t));
    let points = rows(STUDENT, "student_cdf");
    let results = run(&points, |[degrees, t]| student_cdf(degrees, t));
    check_tail("student_cdf", [5e-15, 5e-13], &points, &results, 2);
}

#[test]
fn quantiles() {
    check_quantile((INCOMPLETE_GAMMA, "gamma_quantile"), [2e-12, 5e-12], |[a, p]| gamma_quantile(a, p));
    check_quantile((INCOMPLETE_BETA, "beta_quantile"), [1e-12, 2e-12], |[a, b, p]| beta_quantile(a, b, p));
    check_quantile((STUDENT, "student_quantile"), [1e-12, 2e-8], |[degrees, p]| student_quantile(degrees, p));
}

/// A function's values at some points.
fn values<const N: usize>(points: &[[f64; N]], function: impl for<'b> Fn([Expr<'b>; N]) -> Expr<'b>) -> Vec<f64> {
    let rows: Vec<Vec<f64>> = points.iter().map(|point| point.to_vec()).collect();
    run(&rows, function).iter().map(|result| result[0]).collect()
}

#[test]
fn limits_are_reached() {
    const INF: f64 = f64::INFINITY;
    assert_eq!(values(&[[0.0], [INF]], |[x]| log_gamma(x)), [INF, INF]);
    assert_eq!(values(&[[-INF], [0.0], [INF]], |[z]| normal_cdf(z)), [0.0, 0.5, 1.0]);
    assert_eq!(values(&[[-INF], [INF]], |[z]| normal_log_cdf(z)), [-INF, 0.0]);
    assert_eq!(values(&[[0.0], [1.0]], |[p]| normal_quantile(p)), [-INF, INF]);
    for a in [1e-3, 1.0, 1e6] {
        let points = [-INF, -1.0, 0.0, INF].map(|x| [a, x]);
        assert_eq!(values(&points, |[a, x]| gamma_lower(a, x)), [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(values(&points, |[a, x]| gamma_upper(a, x)), [1.0, 1.0, 1.0, 0.0]);
        assert_eq!(values(&[[a, 0.0], [a, 1.0]], |[a, p]| gamma_quantile(a, p)), [0.0, INF]);
        for b in [1e-2, 1.0, 1e5] {
            let points = [-INF, 0.0, 1.0, INF].map(|x| [a, b, x]);
            assert_eq!(values(&points, |[a, b, x]| beta_lower(a, b, x)), [0.0, 0.0, 1.0, 1.0]);
            assert_eq!(values(&points, |[a, b, x]| beta_upper(a, b, x)), [1.0, 1.0, 0.0, 0.0]);
            assert_eq!(values(&[[a, b, 0.0], [a, b, 1.0]], |[a, b, p]| beta_quantile(a, b, p)), [0.0, 1.0]);
        }
        assert_eq!(values(&[[a, -INF], [a, 0.0], [a, INF]], |[a, t]| student_cdf(a, t)), [0.0, 0.5, 1.0]);
        assert_eq!(values(&[[a, 0.0], [a, 0.5], [a, 1.0]], |[a, p]| student_quantile(a, p)), [-INF, 0.0, INF]);
    }
    // the quantile of p = 1e-8 is 1e-8000
    assert_eq!(values(&[[1e-3, 1e-8]], |[a, p]| gamma_quantile(a, p)), [0.0]);
}

/// Gradients are finite where values are at an end or in the middle: a likelihood may meet these points.
#[test]
fn gradients_at_special_points_are_finite() {
    let finite = |results: Vec<Vec<f64>>| assert!(results.iter().flatten().all(|y| y.is_finite()), "{results:?}");
    finite(run(&[vec![0.0], vec![-50.0], vec![50.0]], |[z]| normal_cdf(z)));
    finite(run(&[vec![0.0], vec![-50.0], vec![50.0]], |[z]| normal_log_cdf(z)));
    let derivatives = |results: Vec<Vec<f64>>| results.iter().map(|result| result[1..].to_vec()).collect();
    finite(derivatives(run(&[vec![0.0], vec![0.5], vec![1.0]], |[p]| normal_quantile(p))));
    finite(run(&[vec![0.5, 0.0], vec![2.0, 0.0], vec![2.0, 1e9], vec![3.0, 3.0]], |[a, x]| gamma_lower(a, x)));
    finite(run(&[vec![0.5, 2.0, 0.0], vec![2.0, 0.5, 1.0], vec![3.0, 3.0, 0.5]], |[a, b, x]| beta_lower(a, b, x)));
    finite(run(&[vec![3.0, 0.0], vec![3.0, 1e9], vec![1e-2, -1e9]], |[degrees, t]| student_cdf(degrees, t)));
    finite(run(&[vec![8.0, 0.0], vec![7.0, 1.0]], |[x, d]| log_gamma_ratio(x, d)));
}

#[test]
fn not_a_number_gives_not_a_number() {
    fn check<const N: usize>(point: [f64; N], function: impl for<'b> Fn([Expr<'b>; N]) -> Expr<'b>) {
        for i in 0..N {
            let mut point = point;
            point[i] = f64::NAN;
            assert!(values(&[point], &function)[0].is_nan(), "{point:?}");
        }
    }
    for x in [0.3, 20.0] {
        check([x], |[x]| log_gamma(x));
        check([x], |[x]| digamma(x));
        check([x, 1.0], |[x, d]| log_gamma_ratio(x, d));
        check([x, 1.0], |[a, b]| log_beta(a, b));
        check([x], |[z]| normal_cdf(z));
        check([x], |[z]| normal_log_cdf(z));
        check([x, x], |[degrees, t]| student_cdf(degrees, t));
    }
    for x in [0.0, 0.3, 1.0, 20.0] {
        check([2.0, x], |[a, x]| gamma_lower(a, x));
        check([2.0, x], |[a, x]| gamma_upper(a, x));
        check([2.0, 3.0, x], |[a, b, x]| beta_lower(a, b, x));
        check([2.0, 3.0, x], |[a, b, x]| beta_upper(a, b, x));
    }
    for p in [0.0, 0.3, 1.0] {
        check([p], |[p]| normal_quantile(p));
        check([2.0, p], |[a, p]| gamma_quantile(a, p));
        check([2.0, 3.0, p], |[a, b, p]| beta_quantile(a, b, p));
        check([2.0, p], |[degrees, p]| student_quantile(degrees, p));
    }
}

#[test]
fn arguments_are_converted_and_broadcast() {
    let builder = Builder::new();
    let count = builder.input("count", Type::u32([3, 1]));
    let rate = builder.input("rate", Type::f32([2]));
    builder.output("p", gamma_upper(count, rate));
    let inputs = [Tensor::u32([3, 1], [1, 2, 6]).unwrap(), Tensor::f32([2], [0.5, 4.0]).unwrap()];
    let found = evaluate(&builder.finish().unwrap(), &inputs).unwrap();
    let alone =
        values(&[[1.0, 0.5], [1.0, 4.0], [2.0, 0.5], [2.0, 4.0], [6.0, 0.5], [6.0, 4.0]], |[a, x]| gamma_upper(a, x));
    assert_eq!(found, [Tensor::f64([3, 2], alone).unwrap()]);
}

#[test]
fn shapes_that_do_not_fit_are_an_error() {
    let builder = Builder::new();
    let [a, x] = [("a", 2), ("x", 3)].map(|(name, extent)| builder.input(name, Type::f64([extent])));
    builder.output("p", gamma_lower(a, x));
    assert!(builder.finish().unwrap_err().to_string().contains("a broadcast with [3]"));
}

/// Graphs are printed into model files. These are the counts for arguments that are not scalars, whose constants are
/// broadcast.
#[test]
fn graphs_are_small() {
    fn check<const N: usize>(most: usize, function: impl for<'b> Fn([Expr<'b>; N]) -> Expr<'b>) {
        let builder = Builder::new();
        let arguments = std::array::from_fn(|i| builder.input(&format!("x{i}"), Type::f64([7])));
        function(arguments);
        let nodes = builder.graph().nodes().len() - N;
        assert!(nodes <= most, "{nodes} nodes, more than {most}");
    }
    check(72, |[x]| log_gamma(x));
    check(73, |[x]| digamma(x));
    check(128, |[a, b]| log_beta(a, b));
    check(109, |[x, d]| log_gamma_ratio(x, d));
    check(64, |[z]| normal_cdf(z));
    check(76, |[z]| normal_log_cdf(z));
    check(130, |[p]| normal_quantile(p));
    check(167, |[a, x]| gamma_lower(a, x));
    check(389, |[a, p]| gamma_quantile(a, p));
    check(245, |[a, b, x]| beta_lower(a, b, x));
    check(744, |[a, b, p]| beta_quantile(a, b, p));
    check(245, |[degrees, t]| student_cdf(degrees, t));
    check(747, |[degrees, p]| student_quantile(degrees, p));
}

/// Earlier steps are constants to the gradient, which would have hundreds of nodes more.
#[test]
fn quantiles_have_the_gradient_of_their_last_step() {
    let nodes = graph(7, |[a, p]| gamma_quantile(a, p)).nodes().len();
    assert!(nodes <= 613, "{nodes} nodes");
}

//! Compiled layers, distributions, divergences, initializers and optimizers against the values of TensorFlow
//! Probability in `tests/golden`, or in the folder that `BAYESLIFT_GOLDEN` names.
//!
//! Each element must be within 2e-5 (|want| + median of the nonzero |want| of its array). A kind that is not known, a
//! file that no case names and an array that nothing reads are failures too. One line a kind is printed: `golden KIND
//! cases N worst E`. The program has no test harness, so that the lines are always seen.
//!
//! Layers, distributions and divergences are compiled for `f64` as well, and must be within 1e-12 then.
//!
//! Where `f32` cannot meet 2e-5 the limit is 1e-4, and the line says so; the same graph evaluated in `f64` must then
//! be within 1e-6, which shows that only rounding is at fault. `tests/golden` needs none of this. On other inputs of
//! the same law about one in five hundred gradients of a local layer's `kernel_raw_scale` is slightly above: it is a
//! sum over examples times 2 scale sigmoid(raw_scale), a factor that is twenty times its median in places, so a large
//! factor on a sum that cancels leaves the rounding of the sum's terms large beside the median of the array.

#[path = "golden_kinds/divergences.rs"]
mod divergences;
#[path = "golden_kinds/initializers.rs"]
mod initializers;
#[path = "golden_kinds/layers.rs"]
mod layers;
mod npz;
#[path = "golden_kinds/optimizers.rs"]
mod optimizers;
#[path = "golden_kinds/refusals.rs"]
mod refusals;
#[path = "golden_kinds/saved_model.rs"]
mod saved_model;

use bayeslift::{Network, Predictor, PredictorOptions};
use bayeslift_ir::{Builder, DType, Elements, Expr, Graph, Op, Shape, Tensor, Type, Value, evaluate, evaluate_f64};
use bayeslift_layers::{
    Activation, Adam, Affine, AffineVariationalFlipout, AffineVariationalReparameterization,
    AffineVariationalReparameterizationLocal, Context, Convolution, ConvolutionTranspose,
    ConvolutionVariationalReparameterization, Flatten, FlipoutBias, Group, Initializer, KernelBias, Layer, LocalBias,
    MatrixProduct, Optimizer, Padding, PerAxis, PosteriorValue, RmsProp, Scope, Sequential, Sgd, Signs, Step, Variable,
    affine,
    distribution::{
        AnyDistribution, Categorical, Deterministic, LocationScale, Mixture, Normal, SoftmaxCenteredNormal,
    },
    exact, fans, flipout_output, likelihood, local_affine, monte_carlo, noise_inputs,
};
use bayeslift_passes::{Rewriting, gradients};
use bayeslift_runtime::{Executable, Options};
use npz::Array;
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    error::Error,
    path::{Path, PathBuf},
};

/// How large an error may be, relative to |want| + median |want|.
const TOLERANCE: f64 = 2e-5;
/// How large an error may be where the same graph is within `TOLERANCE_F64` in `f64`.
const ROUNDING: f64 = 1e-4;
const TOLERANCE_F64: f64 = 1e-6;

/// The kinds that are computed in `f64` too, as far as TFP did, and how large an error may be then.
const IN_F64: [&str; 11] = [
    "affine",
    "affine_local",
    "affine_reparameterization",
    "affine_flipout",
    "convolution",
    "convolution_transpose",
    "kl_exact_normal",
    "kl_monte_carlo_spike_slab",
    "log_prob",
    "log_prob_categorical",
    "log_prob_spike_slab",
];
const IN_F64_TOLERANCE: f64 = 1e-12;

type Fallible<T> = Result<T, Box<dyn Error>>;

fn main() -> Fallible<()> {
    let folder = std::env::var_os("BAYESLIFT_GOLDEN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"), PathBuf::from);
    let manifest = folder.join("manifest.json");
    let text = std::fs::read_to_string(&manifest).map_err(|error| format!("{}: {error}", manifest.display()))?;
    let cases: BTreeMap<String, Json> = serde_json::from_str(&text)?;

    let mut kinds: BTreeMap<String, Kind> = BTreeMap::new();
    let mut failures = refusals::unnamed_files(&folder, &cases)?;
    failures.extend(refusals::accepted_nonsense());
    let mut all: Vec<(&String, Case)> = Vec::new();
    for (name, entry) in &cases {
        let case = Case::read(&folder, entry).map_err(|error| format!("{name}: {error}"))?;
        if IN_F64.contains(&case.kind.as_str()) {
            all.push((name, Case { dtype: DType::F64, ..Case::read(&folder, entry)? }));
        }
        all.push((name, case));
    }
    for (name, case) in all {
        let errors = match case.check() {
            Ok(errors) if !errors.is_empty() => errors,
            Ok(_) => {
                failures.push(format!("{name}: nothing is compared"));
                continue;
            }
            Err(error) => {
                failures.push(format!("{name}: {error}"));
                continue;
            }
        };
        let suffix = if case.dtype == DType::F64 { " in f64" } else { "" };
        let kind = kinds.entry(format!("{}{suffix}", case.kind)).or_default();
        kind.cases += 1;
        for Measured { array, error, limit } in errors {
            kind.worst = kind.worst.max(error);
            kind.rounded |= limit == ROUNDING;
            if error > limit {
                failures.push(format!("{name}: {array} is off by {error:.2e}, more than {limit:.0e}"));
            }
        }
    }
    for (name, Kind { cases, worst, rounded }) in &kinds {
        let reason = if *rounded { " (f32 rounding of sums that cancel; right in f64)" } else { "" };
        println!("golden {name} cases {cases} worst {worst:.2e}{reason}");
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}

#[derive(Default)]
struct Kind {
    cases: usize,
    worst: f64,
    rounded: bool,
}

/// One entry of the manifest, of this type of floats.
struct Case {
    dtype: DType,
    folder: PathBuf,
    kind: String,
    arrays: BTreeMap<String, Array>,
    entry: Json,
}

/// The worst error of one array.
struct Measured {
    array: String,
    error: f64,
    limit: f64,
}

impl Measured {
    fn new(array: impl Into<String>, got: impl ExactSizeIterator<Item = f64>, want: &[f64]) -> Fallible<Measured> {
        let array = array.into();
        let error = worst(got, want).map_err(|error| format!("{array}: {error}"))?;
        Ok(Measured { array, error, limit: TOLERANCE })
    }
}

/// What a case computes by a graph: a result, and the scalar whose gradients are asked for.
struct Computed<'b> {
    name: &'static str,
    value: Expr<'b>,
}

impl Case {
    fn read(folder: &Path, entry: &Json) -> Fallible<Case> {
        let kind = entry["kind"].as_str().ok_or("no kind")?.to_owned();
        let mut arrays = BTreeMap::new();
        if let Some(file) = entry["file"].as_str() {
            arrays = npz::read(&folder.join(file))?;
        }
        Ok(Case { dtype: DType::F32, folder: folder.to_owned(), kind, arrays, entry: entry.clone() })
    }

    fn option(&self, name: &str) -> &Json {
        &self.entry["options"][name]
    }

    fn number(&self, name: &str) -> Fallible<f64> {
        self.option(name).as_f64().ok_or_else(|| format!("no option {name}").into())
    }

    fn array(&self, name: &str) -> Fallible<&Array> {
        self.arrays.get(name).ok_or_else(|| format!("no array {name}").into())
    }

    /// An array as a tensor: labels as `u32`, all others as floats.
    fn tensor(&self, name: &str) -> Fallible<Tensor> {
        let Array { shape, values } = self.array(name)?;
        let shape = Shape::new(shape);
        Ok(match name {
            "labels" => Tensor::u32(shape, values.iter().map(|&x| x as u32).collect::<Vec<u32>>())?,
            _ if self.dtype == DType::F64 => Tensor::f64(shape, values.clone())?,
            _ => Tensor::f32(shape, values.iter().map(|&x| x as f32).collect::<Vec<f32>>())?,
        })
    }

    /// An array as a graph input of its name.
    fn input<'b>(&self, builder: &'b Builder, name: &str) -> Fallible<Expr<'b>> {
        let shape = Shape::new(&self.array(name)?.shape);
        Ok(builder.input(name, if name == "labels" { Type::u32(shape) } else { Type::new(self.dtype, shape) }))
    }

    fn optional<'b>(&self, builder: &'b Builder, name: &str) -> Fallible<Option<Expr<'b>>> {
        self.arrays.contains_key(name).then(|| self.input(builder, name)).transpose()
    }

    /// The posterior `NAME_loc`, `NAME_raw_scale`.
    fn normal<'b>(&self, builder: &'b Builder, name: &str) -> Fallible<Normal<'b>> {
        let loc = self.input(builder, &format!("{name}_loc"))?;
        Ok(Normal::from_raw_scale(loc, self.input(builder, &format!("{name}_raw_scale"))?))
    }

    fn bias<'b>(&self, builder: &'b Builder) -> Fallible<Option<Normal<'b>>> {
        self.arrays.contains_key("bias_loc").then(|| self.normal(builder, "bias")).transpose()
    }

    fn check(&self) -> Fallible<Vec<Measured>> {
        let builder = Builder::of(self.dtype);
        let b = &builder;
        let computed = match self.kind.as_str() {
            "affine_local" => self.affine_local(b)?,
            "affine_reparameterization" => self.affine_reparameterization(b)?,
            "affine_flipout" => self.affine_flipout(b)?,
            "affine" => return self.affine(b),
            "convolution" => self.convolution(b)?,
            "convolution_transpose" => self.convolution_transpose(b)?,
            "kl_monte_carlo_spike_slab" => self.monte_carlo(b)?,
            "kl_exact_normal" => self.exact(b)?,
            "log_prob_spike_slab" => {
                Computed { name: "log_prob", value: Mixture::spike_and_slab(b).log_prob(self.input(b, "x")?) }
            }
            "log_prob_categorical" => {
                let (logits, labels) = (self.input(b, "logits")?, self.input(b, "labels")?);
                Computed { name: "log_prob", value: Categorical::new(logits).log_prob(labels) }
            }
            "log_prob_one_hot_categorical" => {
                let (logits, targets) = (self.input(b, "logits")?, self.input(b, "targets")?);
                Computed { name: "log_prob", value: Categorical::new(logits).log_prob_of_one_hot(targets) }
            }
            "softmax_centered_normal" => {
                let scale = b.constant(self.number("scale")?);
                let normal = SoftmaxCenteredNormal::new(self.input(b, "loc")?, scale);
                Computed { name: "log_prob", value: normal.log_prob(self.input(b, "targets")?) }
            }
            "log_prob" => {
                let option = self.option("distribution");
                let [loc, scale] = [self.number("loc")?, self.number("scale")?].map(|x| b.constant(x));
                let distribution: AnyDistribution<'_> = match option.as_str() {
                    Some("normal") => Normal::new(loc, scale).into(),
                    Some("laplace") => LocationScale::laplace(loc, scale).into(),
                    Some("logistic") => LocationScale::logistic(loc, scale).into(),
                    Some("cauchy") => LocationScale::cauchy(loc, scale).into(),
                    Some("student_t") => LocationScale::student_t(self.number("df")?, loc, scale)?.into(),
                    _ => return Err(self.unknown(option)),
                };
                Computed { name: "log_prob", value: distribution.log_prob(self.input(b, "x")?) }
            }
            "optimizer" => return self.optimizer(b),
            "tfp_saved_model" => return self.saved_model(),
            "tfp_saved_model_mean_prediction" => return self.mean_prediction(),
            "initializers" => return self.initializers(),
            "initial_scale" => return self.initial_scale(),
            _ => return Err(self.unknown(&Json::Null)),
        };
        let (name, value) = (computed.name, computed.value);
        b.output(name, value);
        // Gradients are of sum(y * c), or of the sum where there is no c.
        let weighted = self.optional(b, "c")?.map_or(value, |c| value * c);
        let wanted: Vec<&str> = self.arrays.keys().filter_map(|name| name.strip_prefix("d_")).collect();
        let at: Vec<Expr<'_>> = wanted.iter().map(|name| input_of(b, name)).collect::<Fallible<_>>()?;
        for (name, gradient) in wanted.iter().zip(gradients(weighted.sum_all(), &at)) {
            b.output(&format!("d_{name}"), gradient);
        }
        let mut errors = self.compare(builder.finish()?)?;
        let has_layer = matches!(self.kind.as_str(), "affine_local" | "affine_reparameterization" | "affine_flipout");
        if has_layer {
            errors.extend(self.by_layer()?);
        }
        Ok(errors)
    }

    /// The error of a kind, or of a member of a kind such as a distribution, that this program does not know.
    fn unknown(&self, member: &Json) -> Box<dyn Error> {
        format!(
            "the kind `{}`{} is not known",
            self.kind,
            member.as_str().map_or(String::new(), |name| format!(" with `{name}`"))
        )
        .into()
    }

    /// Runs a graph on the arrays of this case and compares every output with the array of its name.
    fn compare(&self, graph: Graph) -> Fallible<Vec<Measured>> {
        let read = |name: &str| {
            let inputs = graph.inputs().iter().map(|input| &input.name);
            inputs.chain(graph.outputs().iter().map(|output| &output.name)).any(|other| other == name)
        };
        if let Some(name) = self.arrays.keys().find(|name| !read(name)) {
            return Err(format!("nothing reads the array {name}").into());
        }
        let names: Vec<String> = graph.outputs().iter().map(|output| output.name.clone()).collect();
        let results = run(graph.clone(), |name| self.tensor(name))?;
        let mut errors = Vec::new();
        for (i, (name, tensor)) in names.iter().zip(results).enumerate() {
            let want = &self.array(name)?.values;
            let mut measured = Measured::new(name, floats(&tensor)?.into_iter(), want)?;
            if self.dtype == DType::F64 {
                measured.limit = IN_F64_TOLERANCE;
            } else if measured.error > TOLERANCE && worst(self.in_f64(&graph, i)?.into_iter(), want)? <= TOLERANCE_F64 {
                measured.limit = ROUNDING;
            }
            errors.push(measured);
        }
        Ok(errors)
    }

    /// One output of a graph, evaluated in `f64`.
    fn in_f64(&self, graph: &Graph, output: usize) -> Fallible<Vec<f64>> {
        let input = |name: &str| Ok(Elements::from(&self.tensor(name)?));
        let inputs = graph.inputs().iter().map(|i| input(&i.name)).collect::<Fallible<Vec<Elements<f64>>>>()?;
        let results = evaluate_f64(graph, &inputs)?;
        Ok(results[output].floats().ok_or("a result that is not f32")?.to_vec())
    }

    fn activation(&self) -> Fallible<Activation> {
        let name = self.option("activation").as_str().unwrap_or("none");
        // TensorFlow has constants of `f32` in two of them
        match name {
            "leaky_relu" if self.dtype == DType::F64 => return Ok(Activation::custom(|x| x.max(x * 0.2_f32))),
            "gelu" if self.dtype == DType::F64 => {
                let root = std::f32::consts::FRAC_1_SQRT_2;
                return Ok(Activation::custom(move |x| x * 0.5 * ((x * root).erf() + 1.0)));
            }
            _ => {}
        }
        Activation::from_name(name).ok_or_else(|| format!("the activation {name} is not built").into())
    }
}

/// The expression of an input of this name.
fn input_of<'b>(b: &'b Builder, name: &str) -> Fallible<Expr<'b>> {
    let value = b.graph().inputs().iter().find(|input| input.name == name).map(|input| input.value);
    Ok(b.expr(value.ok_or_else(|| format!("the gradient of {name}, which is no input"))?))
}

fn floats(tensor: &Tensor) -> Fallible<Vec<f64>> {
    if let Some(elements) = tensor.as_f64() {
        return Ok(elements.to_vec());
    }
    Ok(tensor.as_f32().ok_or("a tensor that is not f32")?.iter().map(|&x| f64::from(x)).collect())
}

/// Compiles and calls a graph. Its bits must be the evaluator's.
fn run(graph: Graph, bind: impl Fn(&str) -> Fallible<Tensor>) -> Fallible<Vec<Tensor>> {
    let inputs: Vec<Tensor> = graph.inputs().iter().map(|input| bind(&input.name)).collect::<Fallible<_>>()?;
    let expected = evaluate(&graph, &inputs)?;
    let executable = Executable::compile(graph, &Options::default().rewriting(Rewriting::Exact))?;
    let mut workspace = executable.workspace()?;
    let mut arguments: Vec<_> = inputs.iter().map(Into::into).collect();
    let outputs = executable.call(&mut workspace, &mut arguments)?;
    let equal = |(a, b): (&Tensor, &Tensor)| a.words() == b.words();
    if outputs.len() != expected.len() || !outputs.iter().zip(&expected).all(equal) {
        return Err("compiled code and the evaluator give different bits".into());
    }
    Ok(outputs)
}

/// The largest |got - want| / (|want| + median of the nonzero |want|).
fn worst(got: impl ExactSizeIterator<Item = f64>, want: &[f64]) -> Fallible<f64> {
    if got.len() != want.len() {
        return Err(format!("{} elements, expected {}", got.len(), want.len()).into());
    }
    let mut sizes: Vec<f64> = want.iter().map(|x| x.abs()).filter(|&x| x > 0.0).collect();
    sizes.sort_by(f64::total_cmp);
    let median = match sizes.len() {
        0 => 0.0,
        n => (sizes[(n - 1) / 2] + sizes[n / 2]) / 2.0,
    };
    let mut worst = 0.0;
    for (got, &want) in got.zip(want) {
        let difference = (got - want).abs();
        // Equal zeros are right also where the whole array is zero; not-a-number is never right.
        let error = if difference == 0.0 { 0.0 } else { difference / (want.abs() + median) };
        worst = if error.is_nan() { f64::INFINITY } else { f64::max(worst, error) };
    }
    Ok(worst)
}

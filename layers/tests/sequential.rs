//! Layers one after another: names, indexing, slices, traces, and that nothing is dropped or tried again.

mod common;

use bayeslift_ir::{Builder, Expr, Tensor, Type};
use bayeslift_layers::{
    Affine, AffineVariationalFlipout as Flipout, AffineVariationalReparameterization as Reparameterization,
    AffineVariationalReparameterizationLocal as Local, Call, Context, Divergence, Error, Layer, Posterior,
    PosteriorValue, Prior, Scope, Sequential, noise_inputs,
};
use common::{At, forward, graph, noise_count, random, run};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

fn names(network: &Sequential) -> Vec<&str> {
    network.names().collect()
}

/// TFP's `Sequential` can be indexed by slices only, and its empty one is an error that is raised wrongly.
#[test]
fn integers_and_ranges_index() {
    let network =
        Sequential::new().layer(Affine::new(4, 3)).layer(Local::new(3, 2)).layer(Local::new(2, 2).name("head"));
    assert_eq!(names(&network), ["affine", "affine_1", "head"]);
    assert_eq!(network[2].name(), "head");
    assert!(network.get(3).is_none());
    assert_eq!(names(&network.slice(1..)), ["affine_1", "head"]);
    assert_eq!(names(&network.slice(..=1)), ["affine", "affine_1"]);
    assert_eq!(names(&network.slice(..)), names(&network));
    assert_eq!(names(&network.slice(1..2)), ["affine_1"]);
    #[allow(clippy::reversed_empty_ranges, reason = "that it is empty is what is tested")]
    let empty = [network.slice(3..), network.slice(9..), network.slice(2..1), network.slice(usize::MAX..=usize::MAX)];
    assert!(empty.iter().all(Sequential::is_empty));

    // Parts have the parameters of the whole, and put together they are the whole.
    let parameters = network.initialize(3).unwrap();
    let x = random(&[5, 4], 1);
    let whole = run(&forward(&network, &parameters, &[5, 4], None), &parameters, &[("x", x.clone())], At::default());
    let (first, rest) = (network.slice(..1), network.slice(1..));
    let h = run(&forward(&first, &parameters, &[5, 4], None), &parameters, &[("x", x)], At::default()).remove(0);
    let h = Tensor::f32([5, 3], h).unwrap();
    let parts = run(&forward(&rest, &parameters, &[5, 3], None), &parameters, &[("x", h)], At::default());
    assert_eq!(parts, whole);
    assert_eq!(names(&first.then(rest)), names(&network));

    // No layers are the identity.
    let none = Sequential::new();
    assert!(none.initialize(0).unwrap().is_empty());
    let x = random(&[2, 3], 1);
    let y = run(
        &forward(&none, &none.initialize(0).unwrap(), &[2, 3], None),
        &Default::default(),
        &[("x", x.clone())],
        At::default(),
    );
    assert_eq!(y[0], x.as_f32().unwrap());
}

#[test]
fn composition_keeps_names_or_numbers_them() {
    let part = || Sequential::new().layer(Local::new(4, 4)).apply(|x| x.relu()).layer(Local::new(4, 4).name("own"));
    let numbered = part().slice(..2).then(part().slice(..2));
    assert_eq!(names(&numbered), ["affine", "lambda", "affine_1", "lambda_1"]);
    // Two that insist on one name are an error, where it is used.
    let error = part().then(part()).initialize(0).unwrap_err().to_string();
    assert_eq!(error, "in layer `sequential`: two layers are named `own`; give one of them another name");
    let layers: Vec<Arc<dyn Layer>> = vec![Arc::new(Local::new(4, 4)), Arc::new(Local::new(4, 4))];
    assert_eq!(names(&Sequential::from(layers)), ["affine", "affine_1"]);
}

#[test]
fn trace_names_every_layer() {
    let inner = Sequential::new().layer(Flipout::new(3, 3)).apply(|x| x.relu()).name("block");
    let network = Sequential::new().layer(Affine::new(4, 3)).layer(inner).layer(Local::new(3, 2)).name("net");
    let want = "
  0  affine        f32   [8,5,3]
  1  block/affine  f32   [8,5,3]
  2  block/lambda  f32   [8,5,3]
  3  block         f32   [8,5,3]
  4  affine_1      f32   [8,5,2]
  5  net           f32   [8,5,2]
";
    assert_eq!(network.trace([8, 5, 4].into()).unwrap().to_string(), want[1..]);
    assert_eq!(Affine::new(4, 3).trace([4].into()).unwrap().rows.len(), 1);
    assert_eq!(
        network.trace([8, 5].into()).unwrap_err().to_string(),
        "in layer `affine`: the input has shape [8,5], expected [..,4]"
    );
}

#[test]
fn errors_name_the_path_of_the_layer() {
    let block = || Sequential::new().layer(Local::new(4, 4)).layer(Local::new(4, 3)).name("block");
    let network = Sequential::new().layer(Affine::new(4, 4)).layer(block()).layer(Affine::new(4, 2)).name("net");
    assert_eq!(
        network.trace([8, 4].into()).unwrap_err().to_string(),
        "in layer `affine_1`: the input has shape [8,3], expected [..,4]"
    );
    let broken = Sequential::new().layer(block()).layer(Sequential::new().layer(block()).layer(Local::new(0, 1)));
    assert_eq!(
        broken.initialize(0).unwrap_err().to_string(),
        "in layer `sequential/affine`: input_size is 0, expected at least 1"
    );
    let scalar = Sequential::new().layer(Sequential::new().name("block").apply(|x| x + x.sum_all().dot(x)));
    let error = scalar.trace([8, 4].into()).unwrap_err().to_string();
    assert!(error.starts_with("in layer `block/lambda`: dot: "), "{error}");
}

/// Counts its calls, notes what it was called with, and fails.
struct Failing {
    calls: Arc<AtomicUsize>,
    samples: Arc<AtomicUsize>,
}

impl Layer for Failing {
    fn name(&self) -> &str {
        "failing"
    }
    fn declare(&self, _: &Scope<'_>) -> Result<(), Error> {
        Ok(())
    }
    fn call<'b>(&self, context: &Context<'b>, _: Expr<'b>) -> Result<Call<'b>, Error> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.samples.store(context.sample_count().unwrap_or(0), Ordering::Relaxed);
        Err(Error::NoNoise { site: "nowhere".to_owned() })
    }
}

/// TFP's `Sequential` calls a layer that raised a `TypeError` again, without arguments. Here a layer is called once,
/// with everything, and its own error comes out.
#[test]
fn a_layer_that_fails_is_not_tried_again() {
    let (calls, samples) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let failing = Failing { calls: calls.clone(), samples: samples.clone() };
    let network = Sequential::new().layer(Sequential::new().layer(failing).name("inner"));
    let builder = Builder::new();
    let context = Context::new(Scope::describe(&builder)).samples(7);
    let x = builder.input("x", Type::f32([1, 2, 3]));
    let error = network.call(&context, x).map(|_| ()).unwrap_err();
    assert!(
        matches!(&error, Error::In { path, error } if path == "inner/failing" && matches!(**error, Error::NoNoise { .. }))
    );
    assert_eq!((calls.load(Ordering::Relaxed), samples.load(Ordering::Relaxed)), (1, 7));
}

/// What a context says reaches every variational layer, however deep: nothing is dropped on the way.
#[test]
fn every_layer_gets_the_context() {
    let inner =
        Sequential::new().layer(Flipout::new(4, 4)).layer(Reparameterization::new(4, 4)).layer(Local::new(4, 4));
    let network = Sequential::new().layer(Sequential::new().layer(inner)).layer(Local::new(4, 2));
    let parameters = network.initialize(1).unwrap();
    let builder = Builder::new();
    let context = Context::new(Scope::bind(&builder, &parameters).unwrap()).posterior_value(PosteriorValue::Mean);
    let call = network.call(&context, builder.input("x", Type::f32([3, 4]))).unwrap();
    builder.output("y", call.output);
    assert_eq!(noise_count(&builder.finish().unwrap()), 0);
    let sampled = forward(&network, &parameters, &[3, 4], Some(5));
    assert_eq!(sampled.nodes()[sampled.outputs()[0].value.index()].ty.shape[..], [5, 3, 2]);
}

/// The kind of divergence reaches every layer: TFP's falls back to Monte Carlo inside a `Sequential`.
#[test]
fn every_layer_gets_the_divergence() {
    let inner = |prior: Prior| Sequential::new().layer(Flipout::new(4, 4).prior_maker(prior));
    let losses = |prior: Prior| {
        let network = Sequential::new().layer(inner(Prior::normal(0.0, 1.0))).layer(inner(prior));
        let parameters = network.initialize(1).unwrap();
        let builder = Builder::new();
        let context = Context::new(Scope::bind(&builder, &parameters).unwrap()).noise(noise_inputs(&builder));
        let call = network.call(&context, builder.input("x", Type::f32([3, 4]))).unwrap();
        let losses = call.losses(&Divergence::Exact)?;
        Ok(losses.into_iter().map(|(path, _)| path).collect::<Vec<_>>())
    };
    let paths = [
        "sequential/affine/kernel",
        "sequential/affine/bias",
        "sequential_1/affine/kernel",
        "sequential_1/affine/bias",
    ];
    assert_eq!(losses(Prior::normal(0.0, 2.0)).unwrap(), paths);
    let error: Error = losses(Prior::spike_and_slab()).unwrap_err();
    assert!(error.to_string().contains("at `sequential_1/affine/kernel` has no closed form"), "{error}");
}

/// Layers of one kind, size and seed, under default names: TFP gives them one noise, because it salts seeds with names.
#[test]
fn equal_layers_have_noise_of_their_own() {
    fn check<L: Layer + Clone + 'static>(layer: L) {
        let network = Sequential::new().layer(layer.clone()).layer(layer);
        let mut parameters = network.initialize(1).unwrap();
        for (path, parameter) in parameters.iter_mut() {
            let value = if path.ends_with("raw_scale") { 0.5 } else { 0.0 };
            parameter.tensor.as_f32_mut().unwrap().fill(value);
        }
        let alone = |index: usize| {
            let graph = forward(&network.slice(index..=index), &parameters, &[2, 4], None);
            run(&graph, &parameters, &[("x", random(&[2, 4], 1))], At::default()).remove(0)
        };
        let (first, second) = (alone(0), alone(1));
        assert!(first.iter().zip(&second).all(|(a, b)| a != b), "{first:?} {second:?}");
    }
    check(Local::new(4, 4).seed(3));
    check(Reparameterization::new(4, 4).seed(3));
    check(Flipout::new(4, 4).seed(3));
}

/// One draw can be used for all calls, and is part of what a call returns: TFP keeps the last one in the layer.
#[test]
fn draws_belong_to_the_address_and_the_call() {
    let layer = Reparameterization::new(3, 2).posterior_maker(Posterior::mean_field_with_scale(0.5));
    let parameters = layer.initialize(1).unwrap();
    let graph = graph(&layer, &parameters, &[2, 3], Some(1), |b, call| {
        b.output("y", call.output);
        b.output("kernel", call.posterior_value("kernel").unwrap());
        Ok(())
    });
    let draw = |x: u64, at| run(&graph, &parameters, &[("x", random(&[2, 3], x))], at);
    let at = At { seed: 4, step: 9, ..At::default() };
    // Another input, the same weights.
    assert_eq!(draw(1, at)[1], draw(2, at)[1]);
    assert_ne!(draw(1, at)[0], draw(2, at)[0]);
    // Another step or sample, other weights.
    assert_ne!(draw(1, at)[1], draw(1, At { step: 10, ..at })[1]);
    assert_ne!(draw(1, at)[1], draw(1, At { first_sample: 1, ..at })[1]);
}

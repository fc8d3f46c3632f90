//! Layers that users write: their draws, divergences, names and errors.

mod common;

use bayeslift_ir::{Expr, Tensor, Type};
use bayeslift_layers::{
    Context, Divergence, Draws, Error, Initializer, Layer, Posterior, PosteriorValue, Prior, RandomVariable, Scope,
    Sequential, VariationalLayer, affine, distribution::Normal, on_units,
};
use common::{At, forward, graph, noise_count, random, run};

/// What `AffineVariationalReparameterization` is, by hand, with a gain on its input that is not used unless asked for.
#[derive(Clone)]
struct Weights {
    name: Option<&'static str>,
    gain: bool,
    variables: [&'static str; 3],
}

const WEIGHTS: Weights = Weights { name: None, gain: false, variables: ["kernel", "bias", "gain"] };

impl VariationalLayer for Weights {
    fn kind(&self) -> &str {
        "weights"
    }

    fn own_name(&self) -> Option<&str> {
        self.name
    }

    fn random_variables<'b>(&self, scope: &Scope<'b>) -> Result<Vec<RandomVariable<'b>>, Error> {
        let prior = || Normal::scalar(scope.builder(), 0.0, 1.0);
        let [kernel, bias, gain] = self.variables;
        Ok(vec![
            RandomVariable::mean_field(scope, kernel, [4, 3], &Initializer::GlorotUniform, 0.3, prior())?,
            RandomVariable::mean_field(scope, bias, [3], &Initializer::Zeros, 0.3, prior())?,
            RandomVariable::new(gain, [4], Normal::scalar(scope.builder(), 1.0, 0.2), prior()),
        ])
    }

    fn forward<'b>(&self, draws: &Draws<'_, 'b>, x: Expr<'b>) -> Result<Expr<'b>, Error> {
        draws.context().check_input(x, 4)?;
        let x = if self.gain { x * on_units(draws.value("gain")?, x) } else { x };
        // Asked for twice, drawn once.
        assert_eq!(draws.value("kernel")?.value(), draws.value("kernel")?.value());
        assert_eq!(draws.posterior("kernel")?.family(), "Normal");
        Ok(affine(x, draws.value("kernel")?, Some(draws.value("bias")?)))
    }
}

/// Parameters, draws and divergence are those of the layer that comes with Bayeslift.
#[test]
fn a_layer_by_hand_is_the_one_that_is_there() {
    let own = bayeslift_layers::AffineVariationalReparameterization::new(4, 3)
        .posterior_maker(Posterior::mean_field_with_scale(0.3))
        .prior_maker(Prior::normal(0.0, 1.0))
        .name("weights");
    let both: [Sequential; 2] = [Sequential::new().layer(WEIGHTS), Sequential::new().layer(own)];
    let parameters = both[0].initialize(5).unwrap();
    assert_eq!(parameters, both[1].initialize(5).unwrap());
    for samples in [None, Some(3)] {
        let [by_hand, own] = both.each_ref().map(|network| {
            let graph = graph(network, &parameters, &[2, 4], samples, |b, call| {
                b.output("y", call.output);
                let losses = call.losses(&Divergence::default())?;
                losses.iter().for_each(|(path, loss)| b.output(path, *loss));
                Ok(())
            });
            run(&graph, &parameters, &[("x", random(&[2, 4], 1))], At { seed: 3, ..At::default() })
        });
        // The third random variable of the layer by hand is drawn by its divergence alone.
        assert_eq!(by_hand[..3], own[..]);
        assert_eq!(by_hand.len(), 4);
    }
}

#[test]
fn values_that_nobody_asks_for_are_not_drawn() {
    let noises = |gain: bool, divergence: Divergence| {
        let layer = Weights { gain, ..WEIGHTS };
        let parameters = layer.initialize(0).unwrap();
        noise_count(&graph(&layer, &parameters, &[2, 4], None, |b, call| {
            b.output("y", call.output);
            b.output("divergence", call.divergence(&divergence)?);
            Ok(())
        }))
    };
    assert_eq!((noises(false, Divergence::Exact), noises(true, Divergence::Exact)), (2, 3));
    assert_eq!((noises(false, Divergence::default()), noises(true, Divergence::default())), (3, 3));
}

#[test]
fn the_context_says_which_value() {
    let parameters = WEIGHTS.initialize(0).unwrap();
    let builder = bayeslift_ir::Builder::new();
    let context = Context::new(Scope::bind(&builder, &parameters).unwrap()).posterior_value(PosteriorValue::Mean);
    let call = WEIGHTS.call(&context, builder.input("x", Type::f32([2, 4]))).unwrap();
    builder.output("y", call.output);
    let graph = builder.finish().unwrap();
    let y = run(&graph, &parameters, &[("x", Tensor::f32([2, 4], [0.0; 8]).unwrap())], At::default());
    assert_eq!(y[0], [0.0; 6]);
}

#[test]
fn names_and_errors() {
    let network = Sequential::new().layer(WEIGHTS).layer(Weights { name: Some("own"), ..WEIGHTS });
    assert_eq!(network.names().collect::<Vec<_>>(), ["weights", "own"]);
    assert_eq!(Sequential::new().layer(WEIGHTS).layer(WEIGHTS).names().collect::<Vec<_>>(), ["weights", "weights_1"]);
    assert_eq!(
        network.trace([2, 4].into()).unwrap_err().to_string(),
        "in layer `own`: the input has shape [2,3], expected [..,4]"
    );
    let twice = Weights { variables: ["kernel", "bias", "kernel"], ..WEIGHTS };
    assert_eq!(
        twice.initialize(0).unwrap_err().to_string(),
        "in layer `weights`: two random variables are named `kernel`; give one of them another name"
    );
    let other = Weights { variables: ["kernel", "offset", "gain"], ..WEIGHTS };
    assert_eq!(
        other.trace([2, 4].into()).unwrap_err().to_string(),
        "in layer `weights`: there is no random variable named `bias`; there are: kernel, offset, gain"
    );
    struct Missing;
    impl VariationalLayer for Missing {
        fn kind(&self) -> &str {
            "missing"
        }
        fn random_variables<'b>(&self, scope: &Scope<'b>) -> Result<Vec<RandomVariable<'b>>, Error> {
            scope.parameter("kernel", &[1].into(), &Initializer::Ones)?;
            Ok(Vec::new())
        }
        fn forward<'b>(&self, draws: &Draws<'_, 'b>, x: Expr<'b>) -> Result<Expr<'b>, Error> {
            Ok(x * draws.parameter("kernel")? + draws.parameter("bias")?)
        }
    }
    assert_eq!(
        Sequential::new().layer(Missing).trace([2].into()).unwrap_err().to_string(),
        "in layer `missing`: there is no parameter named `missing/bias`; there are: missing/kernel"
    );
    // Without noise there is nothing to draw with.
    let parameters = WEIGHTS.initialize(0).unwrap();
    let builder = bayeslift_ir::Builder::new();
    let context = Context::new(Scope::bind(&builder, &parameters).unwrap());
    let error = WEIGHTS.call(&context, builder.input("x", Type::f32([1, 4]))).map(|_| ()).unwrap_err();
    assert!(error.to_string().starts_with("in layer `weights`: `kernel` draws noise"), "{error}");
    let narrow = RandomVariable::mean_field(
        &Scope::describe(&builder),
        "w",
        [1],
        &Initializer::Ones,
        0.0,
        Normal::scalar(&builder, 0.0, 1.0),
    );
    assert_eq!(narrow.unwrap_err().to_string(), "the initial scale is 0, expected a finite number above 1e-5");
    // A layer by hand has gradients, samples and splits like any other.
    let gain = Weights { gain: true, ..WEIGHTS };
    let y = forward(&gain, &gain.initialize(0).unwrap(), &[2, 4], Some(5));
    assert_eq!(y.nodes()[y.outputs()[0].value.index()].ty.shape[..], [5, 2, 3]);
}

//! Ensembles as one object: every result has the bits that the predictor of all members gives.

use super::{
    classes_by,
    harness::{Call, Number, Program, inputs, moments_of_all as moments, with_moments},
    networks,
};
use bayeslift::{
    Ensemble, EnsembleAnswer, EnsemblePredictor,
    deploy::{self, DeployOptions, Level, Package, Weights},
    ir::Tensor,
    prelude::*,
};

fn predictor(ensemble: &Ensemble, samples: usize, seed: Option<u64>) -> EnsemblePredictor {
    let mut options = PredictorOptions::default().samples(samples);
    options.seed = seed;
    EnsemblePredictor::with_options(ensemble, &options).unwrap()
}

/// An object whose members share the noise of one seed.
pub fn compare<T: Number>(program: &Program, package: &Package, ensemble: &Ensemble, call: &Call, x: &[T]) {
    let predictor = predictor(ensemble, call.samples, Some(call.seed));
    program.expect(call, x, moments(&predictor, call.first_row, x, package));
}

pub fn members(count: usize) -> Ensemble {
    Ensemble::new(count, |member| Ok(classes_by(11 + member))).unwrap()
}

#[test]
fn results_have_the_bits_of_all_members() {
    let ensemble = members(3);
    let package = deploy::ensemble(&ensemble, &DeployOptions::new("members").samples(7).seed(1)).unwrap();
    let program = Program::build("members", &[&package]);
    for (rows, samples) in [(1, 7), (1, 1), (1, 64), (40, 7), (33, 300), (17, 64), (16, 7)] {
        for first_row in [0, (1 << 32) + 5] {
            let call = Call { rows, samples, first_row, ..Call::default() };
            compare(&program, &package, &ensemble, &call, &inputs(rows * 7));
        }
    }
    for (rows, pieces) in [(1, vec![1, 6]), (32, vec![16, 1, 40]), (53, vec![3, 3, 3]), (3, vec![100])] {
        let call = Call { rows, samples: pieces.iter().sum(), pieces, first_row: 9, ..Call::default() };
        compare(&program, &package, &ensemble, &call, &inputs(rows * 7));
    }
}

/// Where no seed is told each member draws by its own, and a request's seed moves all of them.
#[test]
fn members_draw_by_their_own_seeds() {
    let ensemble = members(3);
    let package = deploy::ensemble(&ensemble, &DeployOptions::new("own").samples(6)).unwrap();
    assert!(package.header.contains("#define OWN_SEED UINT64_C(11)"), "{}", package.header);
    let program = Program::build("own_seeds", &[&package]);
    for rows in [1, 20] {
        let call = Call { rows, samples: 6, seed: 11, ..Call::default() };
        let x = inputs(rows * 7);
        program.expect(&call, &x, moments(&predictor(&ensemble, 6, None), 0, &x, &package));
        // the same parameters, with seeds from 1 on
        let moved = Ensemble::new(3, |member| {
            let mut network = classes_by(1 + member);
            for (path, parameter) in ensemble.members()[member as usize].parameters().iter() {
                network.parameters_mut().assign(path, parameter.tensor.clone())?;
            }
            Ok(network)
        });
        let call = Call { seed: 1, ..call };
        program.expect(&call, &x, moments(&predictor(&moved.unwrap(), 6, None), 0, &x, &package));
    }
}

#[test]
fn weights_apart_and_several_instruction_sets() {
    let ensemble = members(2);
    let call = Call { rows: 40, samples: 9, ..Call::default() };
    for (name, levels, weights) in [
        ("file", vec![], Weights::File),
        ("levels", vec![Level::V4, Level::V1, Level::V3], Weights::Inside),
        ("both", vec![Level::V2, Level::V3], Weights::File),
    ] {
        let options = DeployOptions::new("apart").samples(9).seed(0).levels(levels).weights(weights);
        let package = deploy::ensemble(&ensemble, &options).unwrap();
        let program = Program::build(&format!("members_{name}"), &[&package]);
        compare(&program, &package, &ensemble, &call, &inputs(40 * 7));
    }
}

/// Every layer and every likelihood, of two members whose parameters differ.
#[test]
fn every_kind_of_ensemble_compiles() {
    let mut compiled = 0;
    for (name, network) in networks::networks() {
        let mut other = network.clone();
        let paths: Vec<String> = other.parameters().iter().map(|(path, _)| path.to_owned()).collect();
        for path in paths {
            let tensor = &other.parameters().get(&path).unwrap().tensor;
            let Some(values) = tensor.as_f32() else { continue };
            let moved =
                Tensor::f32(tensor.shape().clone(), values.iter().map(|x| x * 1.25).collect::<Vec<_>>()).unwrap();
            other.parameters_mut().assign(&path, moved).unwrap();
        }
        let ensemble = Ensemble::of(vec![network.clone(), other]).unwrap();
        let options = DeployOptions::new("net").samples(5).row_block(4).seed(0);
        let Some(package) = with_moments(&name, deploy::ensemble(&ensemble, &options)) else { continue };
        let program = Program::build(&format!("kinds_of_members/{name}"), &[&package]);
        let units = network.input().elements();
        for (rows, samples) in [(1, 5), (7, 3)] {
            let x: Vec<f32> = (0..rows * units).map(|i| (i * i % 5) as f32).collect();
            compare(&program, &package, &ensemble, &Call { rows, samples, ..Call::default() }, &x);
        }
        compiled += 1;
    }
    assert!(compiled > 10, "{compiled}");
}

/// Five members have the code of one, but for what makes one answer of theirs.
#[test]
fn members_share_their_code() {
    let code = |package: &Package| package.manifest["bytes"]["code"].as_u64().unwrap();
    let options = DeployOptions::new("shared").samples(32);
    let network = |seed| {
        let local = AffineVariationalReparameterizationLocal::new;
        let hidden = |inputs| local(inputs, 50).activation(Activation::Relu);
        let layers = Sequential::new().layer(hidden(64)).layer(hidden(50)).layer(local(50, 10));
        Network::new(layers, [64], likelihood::Categorical, seed)
    };
    let one = code(&deploy::network(&network(0).unwrap(), &options).unwrap());
    let of = |count| code(&deploy::ensemble(&Ensemble::new(count, network).unwrap(), &options).unwrap());
    let [two, five] = [2, 5].map(of);
    println!("{one} bytes of code of a network, {two} of two members, {five} of five");
    assert!(five < one * 4 / 3, "{five} bytes of code, {one} of a network");
    assert!(five < two + two / 20, "{five} bytes of code of five members, {two} of two");
}

#[test]
fn a_folder_is_the_same_object() {
    let ensemble = members(2);
    let folder = super::harness::folder("members_folder");
    ensemble.save(&folder).unwrap();
    let options = DeployOptions::new("folder").samples(3);
    let [opened, made] = [deploy::file(&folder, &options), deploy::ensemble(&ensemble, &options)].map(Result::unwrap);
    assert!(opened.object == made.object && opened.header == made.header);
    assert_eq!(opened.manifest, made.manifest);
    assert_eq!(opened.manifest["members"], 2);
}

#[test]
fn members_of_other_layers_are_refused() {
    let layer = |hidden| {
        let local = AffineVariationalReparameterizationLocal::new;
        Network::new(Sequential::new().layer(local(7, hidden)).layer(local(hidden, 5)), [7], likelihood::Categorical, 0)
    };
    let ensemble = Ensemble::of(vec![layer(3).unwrap(), layer(3).unwrap(), layer(4).unwrap()]).unwrap();
    let error = deploy::ensemble(&ensemble, &DeployOptions::new("other")).unwrap_err().to_string();
    assert!(error.contains("member 2 has other layers than the first"), "{error}");
    // together they predict all the same
    let answer = EnsemblePredictor::new(&ensemble).unwrap().answer_from(0, &inputs(7)).unwrap();
    assert!(matches!(answer, EnsembleAnswer::Classes(_)));
}

/// A member whose prediction is not finite is not averaged away.
#[test]
fn results_that_are_not_finite_are_told() {
    let network = |seed| Network::new(Affine::new(2, 1), [2], likelihood::Normal::fixed(1.0), seed).unwrap();
    let mut second = network(1);
    second.parameters_mut().assign("kernel", Tensor::f32([2, 1], [1e38_f32; 2]).unwrap()).unwrap();
    let ensemble = Ensemble::of(vec![network(0), second]).unwrap();
    let package = deploy::ensemble(&ensemble, &DeployOptions::new("infinite")).unwrap();
    let program = Program::build("infinite_members", &[&package]);
    let (status, got) = program.call(&Call { rows: 3, ..Call::default() }, &[1.0_f32, 0.5, 1e3, 1e3, 0.0, 0.5]);
    let code = package.header.lines().find(|line| line.contains("ERROR_NOT_FINITE_RESULT")).unwrap();
    assert!(code.contains(&format!("= {status},")), "{status}, but {code}");
    let mean: Vec<bool> = got[..3].iter().map(|x| x.is_finite()).collect();
    assert_eq!(mean, [true, false, true]);
}

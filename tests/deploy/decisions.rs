//! Objects that abstain, and that decide: with the predictor's bits, by as many samples.

use super::{
    classes, classes_by,
    decision_program::{Asked, DecisionProgram, decided, moments},
    harness,
    harness::inputs,
    networks,
};
use bayeslift::{
    Abstention, Ensemble, EnsemblePredictor, Measure,
    deploy::{self, DeployOptions, Level, System},
    ir::DType,
    prelude::*,
};
use std::{collections::BTreeSet, fs, process::Command};

fn abstention(measure: Measure, above: f64) -> Abstention {
    Abstention::new(measure, above).unwrap()
}

#[test]
fn decisions_have_the_predictors_bits() {
    let network = classes();
    for (name, measure) in [
        ("decide", None),
        ("by_entropy", Some((Measure::PredictiveEntropy, 1.45))),
        ("by_information", Some((Measure::MutualInformation, 0.05))),
    ] {
        let mut options = DeployOptions::new(name).samples(64).decide(0.1);
        options.abstention = measure.map(|(measure, above)| abstention(measure, above));
        let package = deploy::network(&network, &options).unwrap();
        let program = DecisionProgram::build(&format!("decisions/{name}"), &package, &["cc"], &[]);
        let mut taken = BTreeSet::new();
        for (rows, samples, first_row) in [(1, 64, 0), (1, 5, 0), (1, 1, 7), (40, 3000, (1 << 32) + 5), (33, 100, 0)] {
            let asked = Asked { rows, samples, seed: 5, first_row };
            let x: Vec<f32> = inputs(rows * 7).into_iter().map(|x| x * 2.0).collect();
            let decisions = program.compare(&package, &network, asked, &x);
            taken.extend(decisions.samples().iter().copied());
        }
        assert!(taken.len() > 5, "{name}: {taken:?}");
    }
}

#[test]
fn several_instruction_sets_and_labels_decide_alike() {
    let options =
        || DeployOptions::new("level").samples(16).decide(0.05).abstention(abstention(Measure::PredictiveEntropy, 0.6));
    let network = classes();
    let package = deploy::network(&network, &options().levels([Level::V1])).unwrap();
    let program = DecisionProgram::build("decisions/level", &package, &["cc"], &[]);
    program.compare(&package, &network, Asked { rows: 20, samples: 200, seed: 1, first_row: 0 }, &inputs(20 * 7));
    // several labels of yes and no
    let layer = AffineVariationalReparameterizationLocal::new(3, 4);
    let several = Network::new(layer, [3], likelihood::Bernoulli, 2).unwrap();
    let package = deploy::network(&several, &options()).unwrap();
    let program = DecisionProgram::build("decisions/labels", &package, &["cc"], &[]);
    let asked = Asked { rows: 9, samples: 300, seed: 1, first_row: 3 };
    let decisions = program.compare(&package, &several, asked, &inputs(9 * 3));
    assert_eq!(decisions.certain().len(), 36);
}

#[test]
fn networks_of_doubles_decide() {
    let layer = AffineVariationalReparameterizationLocal::new;
    let layers = Sequential::new().dtype(DType::F64).layer(layer(3, 8).activation(Activation::Tanh)).layer(layer(8, 4));
    let network = Network::new(layers, [3], likelihood::Categorical, 2).unwrap();
    let options = DeployOptions::new("doubles").samples(16).decide(0.1);
    let options = options.abstention(abstention(Measure::PredictiveEntropy, 1.2));
    for system in [None, Some(System::c(None).unwrap())] {
        let mut options = options.clone();
        options.system = system;
        let package = deploy::network(&network, &options).unwrap();
        let program = DecisionProgram::build("decisions/doubles", &package, &["cc"], &[]);
        let x: Vec<f64> = inputs(20 * 3).into_iter().map(|x| f64::from(x) * 2.0).collect();
        program.compare_doubles(&package, &network, Asked { rows: 20, samples: 700, seed: 1, first_row: 5 }, &x);
    }
}

/// Decides as safe code does, and writes what it is told.
const IN_RUST: &str = r#"
/// The network.
#[allow(dead_code)]
mod net {
    include!("net.rs");
}

fn main() {
    let bytes = std::fs::read("inputs").unwrap();
    let inputs: Vec<f32> = bytes.chunks_exact(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect();
    let rows: Vec<[f32; net::INPUTS]> = inputs.chunks_exact(net::INPUTS).map(|row| row.try_into().unwrap()).collect();
    let rows: &[_; 9] = rows[..].try_into().unwrap();
    let mut model = Box::new(net::Model::new());
    let request = net::Request { seed: 5, first_row: 3, samples: 500, ..net::Request::DEFAULT };
    let net::Decision { answer, label, samples, certain } = model.decide(rows, &request).unwrap();
    let results = [answer.probabilities.as_flattened(), &answer.predictive_entropy, &answer.expected_entropy, &answer.mutual_information];
    let mut bytes: Vec<u8> = results.iter().flat_map(|of| of.iter().flat_map(|x| x.to_le_bytes())).collect();
    bytes.extend(answer.abstain.map(u8::from));
    bytes.extend([label, samples].iter().flatten().flat_map(|number| number.to_le_bytes()));
    bytes.extend(certain.map(u8::from));
    std::fs::write("results", bytes).unwrap();
    let none = net::Request { samples: 0, ..request };
    assert_eq!(model.decide(rows, &none), Err(net::Error::Samples));
    assert_eq!(model.predict(rows, &request).unwrap().abstain.len(), 9);
}
"#;

#[test]
fn the_module_in_rust_decides() {
    let network = classes();
    let options = DeployOptions::new("net").samples(8).decide(0.2);
    let options = options.abstention(abstention(Measure::PredictiveEntropy, 1.5));
    let package = deploy::network(&network, &options).unwrap();
    let folder = harness::folder("decisions/rust");
    package.write(&folder).unwrap();
    let x: Vec<f32> = inputs(9 * 7).into_iter().map(|x| x * 2.0).collect();
    fs::write(folder.join("inputs"), x.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    fs::write(folder.join("program.rs"), IN_RUST).unwrap();
    let mut command = Command::new("rustc");
    command.current_dir(&folder).args(["--edition", "2024", "-D", "warnings", "program.rs", "-C", "link-arg=net.o"]);
    harness::run(&mut command);
    harness::run(Command::new(folder.join("program")).current_dir(&folder));
    let asked = Asked { rows: 9, samples: 500, seed: 5, first_row: 3 };
    assert!(fs::read(folder.join("results")).unwrap() == decided(&package, &network, asked, &x).1);
}

/// Every layer and every likelihood abstains by what its kind tells.
#[test]
fn every_kind_of_network_abstains() {
    let mut count = 0;
    for (name, network) in networks::networks() {
        let options = DeployOptions::new("net").samples(5).row_block(4);
        let of = |measure| deploy::network(&network, &options.clone().abstention(abstention(measure, 0.25)));
        let package = match (of(Measure::PredictiveEntropy), of(Measure::Epistemic)) {
            (Ok(package), _) => package,
            (Err(error), Ok(_)) => {
                assert!(error.to_string().contains("predicts numbers"), "{name}: {error}");
                continue;
            }
            (Err(error), Err(_)) => {
                assert!(harness::with_moments::<Error>(&name, Err(error)).is_none());
                continue;
            }
        };
        if count % 6 == 0 {
            let program = DecisionProgram::build("decisions/kinds", &package, &["cc"], &[]);
            let units = network.input().elements();
            let x: Vec<f32> = (0..7 * units).map(|i| (i * i % 5) as f32).collect();
            let predictor = PredictorOptions::default().samples(3).seed(5);
            let want = Predictor::with_options(&network, &predictor).unwrap().classify(&x).unwrap();
            let asked = Asked { rows: 7, samples: 3, seed: 5, first_row: 0 };
            program.compare_predictions(asked, &x, moments(&package, &want));
        }
        count += 1;
    }
    assert!(count > 40, "{count}");
}

#[test]
fn ensembles_abstain_together() {
    let ensemble = Ensemble::new(3, |member| Ok(classes_by(11 + member))).unwrap();
    for measure in [Measure::PredictiveEntropy, Measure::MutualInformation] {
        let predictor = EnsemblePredictor::with_options(&ensemble, &PredictorOptions::default().samples(7).seed(1));
        let x = inputs(21 * 7);
        let want = predictor.unwrap().classify(&x).unwrap();
        let mut measured = match measure {
            Measure::PredictiveEntropy => want.all.predictive_entropy().to_vec(),
            _ => want.all.mutual_information().to_vec(),
        };
        measured.sort_by(f32::total_cmp);
        let above = abstention(measure, measured[10].into());
        let options = DeployOptions::new("members").samples(7).seed(1).abstention(above);
        let package = deploy::ensemble(&ensemble, &options).unwrap();
        let program = DecisionProgram::build("decisions/members", &package, &["cc"], &[]);
        let abstains = want.all.abstains(&options.abstention.unwrap()).unwrap();
        assert_eq!(abstains.iter().filter(|&&abstains| abstains).count(), 10, "{measure:?}: {measured:?}");
        let floats = [
            want.all.probabilities(),
            want.all.predictive_entropy(),
            want.all.expected_entropy(),
            want.all.mutual_information(),
            &want.within,
            &want.between,
        ];
        let mut bytes: Vec<u8> = floats.iter().flat_map(|of| of.iter().flat_map(|x| x.to_le_bytes())).collect();
        bytes.extend(abstains.iter().map(|&abstains| u8::from(abstains)));
        program.compare_predictions(Asked { rows: 21, samples: 7, seed: 1, first_row: 0 }, &x, bytes);
    }
    let error = deploy::ensemble(&ensemble, &DeployOptions::new("members").decide(0.1)).unwrap_err();
    assert!(error.to_string().contains("an ensemble was to decide"), "{error}");
}

/// Without these options there is nothing of them, and the header of one that has them says what they are.
#[test]
fn packages_have_what_was_asked_for() {
    let network = classes();
    let plain = deploy::network(&network, &DeployOptions::new("net").samples(7)).unwrap();
    for text in [&plain.header, plain.rust.as_ref().unwrap(), plain.python.as_ref().unwrap()] {
        assert!(!text.contains("abstain") && !text.contains("ecision"), "{text}");
    }
    let options = DeployOptions::new("net").samples(7).decide(0.02);
    let options = options.abstention(abstention(Measure::PredictiveEntropy, 0.7));
    let package = deploy::network(&network, &options).unwrap();
    for line in [
        "#define NET_DECISION_ERROR 0.02 /* how probably a decision is wrong, at most */",
        "  uint8_t *abstain; /* 1 a row: 1 of predictive_entropy above 0.7, else 0 */",
        "  char abstention[32];",
        "  char decision_error[8];",
    ] {
        assert!(package.header.contains(line), "{}", package.header);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let layer = AffineVariationalReparameterizationLocal::new(11, 1);
    let numbers = Network::new(layer, [11], likelihood::Normal::learned(1.0), 0).unwrap();
    let certain = Network::new(Affine::new(3, 2), [3], likelihood::Categorical, 0).unwrap();
    let options = || DeployOptions::new("net").samples(7);
    for (network, options, message) in [
        (&numbers, options().decide(0.1), "predicts numbers"),
        (&numbers, options().abstention(abstention(Measure::MutualInformation, 0.1)), "tells no mutual_information"),
        (&certain, options().abstention(abstention(Measure::Epistemic, 0.1)), "tells no epistemic"),
        (&certain, options().decide(0.1), "draws none"),
        (&numbers, options().decide(0.0), "the error of decisions is 0"),
        (&numbers, options().decide(f64::NAN), "the error of decisions is NaN"),
    ] {
        let error = deploy::network(network, &options).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

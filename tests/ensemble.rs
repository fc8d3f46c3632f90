//! Ensembles: members as they would be alone, and what they say together.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;

use bayeslift::{Backend, Ensemble, EnsembleAnswer, EnsemblePredictor, ir::DType, prelude::*};
use facade::bits;
use std::{env, fs, panic, process};

/// 90 points of a curve in two dimensions, a number and a class each.
fn inputs() -> Vec<f32> {
    (0..90).flat_map(|i| [(i as f32 / 15.0).sin(), (i as f32 / 7.0).cos()]).collect()
}

fn numbers() -> Dataset {
    let targets = inputs().chunks(2).map(|x| x[0] * x[1] + 0.1 * x[0]).collect();
    Dataset::regression([2], inputs(), 1, targets).unwrap()
}

fn classes() -> Dataset {
    let labels = inputs().chunks(2).map(|x| u32::from(x[0] > 0.2) + u32::from(x[1] > 0.0)).collect();
    Dataset::classification([2], inputs(), labels).unwrap()
}

fn layers(outputs: usize) -> Sequential {
    let recipe = Recipe::tables();
    Sequential::new()
        .layer(AffineVariationalReparameterizationLocal::new(2, 12).recipe(&recipe).activation(Activation::Relu))
        .layer(AffineVariationalReparameterizationLocal::new(12, outputs).recipe(&recipe))
}

fn regression(seed: u64) -> Result<Network, Error> {
    Network::new(layers(1), [2], likelihood::Normal::learned(0.5), seed)
}

fn classification(seed: u64) -> Result<Network, Error> {
    Network::new(layers(3), [2], likelihood::Categorical, seed)
}

fn fit(threads: usize) -> Fit<'static> {
    Fit::by(&Recipe::tables(), 90).epochs(6).backend(Options::default().threads(threads))
}

#[test]
fn members_are_what_they_would_be_alone() {
    let data = numbers();
    let alone = |seed| {
        let mut network = regression(seed).unwrap();
        let report = fit(1).run(&mut network, &data).unwrap();
        (bits(&network), report.epochs)
    };
    let alone: Vec<_> = [3, 4, 5, 6].map(alone).into();
    assert!(alone.windows(2).all(|pair| pair[0] != pair[1]));
    for threads in [1, 2, 9] {
        let mut ensemble = Ensemble::new(4, |member| regression(3 + member)).unwrap();
        let reports = ensemble.fit(&data, |_| fit(threads)).unwrap();
        let together = ensemble.members().iter().zip(reports).map(|(network, report)| (bits(network), report.epochs));
        assert_eq!(together.collect::<Vec<_>>(), alone, "{threads} threads");
    }
}

#[test]
fn classes_of_all_members() {
    let data = classes();
    let mut ensemble = Ensemble::new(3, classification).unwrap();
    ensemble.fit(&data, |_| fit(2)).unwrap();
    let options = PredictorOptions::default().samples(8);
    let together = EnsemblePredictor::with_options(&ensemble, &options).unwrap();
    let each = ensemble.members().iter().map(|m| Predictor::with_options(m, &options).unwrap()).collect::<Vec<_>>();
    let answers: Vec<Classification> = each.iter().map(|m| m.classify(data.inputs()).unwrap()).collect();
    let answer = together.classify(data.inputs()).unwrap();
    let close = |got: f32, want: f64| assert!((f64::from(got) - want).abs() < 2e-6, "{got} and {want}");
    let entropy = |row: &[f64]| row.iter().map(|p| if *p > 0.0 { -p * p.ln() } else { 0.0 }).sum::<f64>();
    for row in 0..data.rows() {
        let mean = |of: &dyn Fn(&Classification) -> f32| answers.iter().map(|a| f64::from(of(a))).sum::<f64>() / 3.0;
        let p: Vec<f64> = (0..3).map(|class| mean(&|a| a.row(row)[class])).collect();
        (0..3).for_each(|class| close(answer.all.row(row)[class], p[class]));
        let [expected, own] = [mean(&|a| a.expected_entropy()[row]), mean(&|a| a.predictive_entropy()[row])];
        close(answer.all.predictive_entropy()[row], entropy(&p));
        close(answer.all.expected_entropy()[row], expected);
        close(answer.all.mutual_information()[row], entropy(&p) - expected);
        close(answer.within[row], own - expected);
        close(answer.between[row], entropy(&p) - own);
        close(answer.within[row] + answer.between[row], answer.all.mutual_information()[row].into());
    }
    assert!(answer.between.iter().any(|&x| x > 1e-3), "members that are alike: the test is void");
    let likelihoods: Vec<_> = each.iter().map(|member| member.log_likelihood(&data).unwrap()).collect();
    for (row, got) in together.log_likelihood(&data).unwrap().into_iter().enumerate() {
        let want = (likelihoods.iter().map(|member| member[row].exp()).sum::<f64>() / 3.0).ln();
        assert!((got - want).abs() < 1e-12 * want.abs().max(1.0), "{got} and {want}");
    }
}

#[test]
fn numbers_of_all_members() {
    let data = numbers();
    let mut ensemble = Ensemble::new(3, regression).unwrap();
    ensemble.fit(&data, |_| fit(2)).unwrap();
    let options = PredictorOptions::default().samples(8);
    let answer = EnsemblePredictor::with_options(&ensemble, &options).unwrap().regress(data.inputs()).unwrap();
    let each = ensemble
        .members()
        .iter()
        .map(|member| Predictor::with_options(member, &options).unwrap().regress(data.inputs()).unwrap());
    let each: Vec<Regression> = each.collect();
    let close = |got: f32, want: f64| assert!((f64::from(got) - want).abs() < 1e-6 * want.max(1.0), "{got} and {want}");
    for row in 0..data.rows() {
        let mean = |of: &dyn Fn(&Regression) -> f64| each.iter().map(of).sum::<f64>() / 3.0;
        let square = |x: f32| f64::from(x) * f64::from(x);
        let centre = mean(&|a| a.mean()[row].into());
        let within = mean(&|a| square(a.epistemic()[row]));
        let between = mean(&|a| (f64::from(a.mean()[row]) - centre).powi(2));
        let aleatoric = mean(&|a| square(a.aleatoric()[row]));
        close(answer.all.mean()[row], centre);
        close(answer.within[row], within.sqrt());
        close(answer.between[row], between.sqrt());
        close(answer.all.epistemic()[row], (within + between).sqrt());
        close(answer.all.total()[row], (within + between + aleatoric).sqrt());
    }
    assert!(answer.between.iter().any(|&x| x > 1e-3));
}

/// Of `f64`: fitted together as alone, asked together as each by itself, with all digits whatever the backend.
#[test]
fn members_of_f64_answer_with_all_digits() {
    let rows: Vec<f64> = inputs().iter().zip(1..).map(|(&x, i)| f64::from(x) + 1e-9 * f64::from(i)).collect();
    let targets = rows.chunks(2).map(|x| x[0] * x[1] + 0.1 * x[0]).collect();
    let data = Dataset::regression_f64([2], rows.clone(), [], 1, targets).unwrap();
    let of_f64 = |seed| Network::new(layers(1).dtype(DType::F64), [2], likelihood::Normal::learned(0.5), seed);
    let mut ensemble = Ensemble::new(3, of_f64).unwrap();
    ensemble.fit(&data, |_| fit(2)).unwrap();
    let options = PredictorOptions::default().samples(8);
    let of = |backend| EnsemblePredictor::with_options(&ensemble, &options.clone().backend(backend)).unwrap();
    let predictor = of(Backend::default());
    let answer = predictor.double().unwrap().regress(&rows).unwrap();
    assert_eq!(of(Backend::Reference).double().unwrap().regress(&rows).unwrap(), answer);
    let alone =
        |member: &Network| Predictor::with_options(member, &options).unwrap().double().unwrap().regress(&rows).unwrap();
    let each: Vec<Regression<f64>> = ensemble.members().iter().map(alone).collect();
    for (member, alone) in predictor.members().iter().zip(&each) {
        assert_eq!(member.double().unwrap().regress(&rows).unwrap(), *alone);
    }
    let close = |got: f64, want: f64| assert!((got - want).abs() < 1e-14 * want.abs().max(1.0), "{got} and {want}");
    for row in 0..data.rows() {
        let mean = |of: &dyn Fn(&Regression<f64>) -> f64| each.iter().map(of).sum::<f64>() / 3.0;
        let centre = mean(&|a| a.mean()[row]);
        let within = mean(&|a| a.epistemic()[row].powi(2));
        let between = mean(&|a| (a.mean()[row] - centre).powi(2));
        let aleatoric = mean(&|a| a.aleatoric()[row].powi(2));
        assert_eq!(answer.all.mean()[row].to_bits(), centre.to_bits());
        close(answer.within[row], within.sqrt());
        close(answer.between[row], between.sqrt());
        close(answer.all.total()[row], (within + between + aleatoric).sqrt());
    }
    let rounded = |values: &[f64]| values.iter().map(|&x| x as f32).collect::<Vec<f32>>();
    let x = rounded(&rows);
    let widened: Vec<f64> = x.iter().map(|&x| x.into()).collect();
    let all = predictor.double().unwrap().regress(&widened).unwrap().all;
    assert_eq!(predictor.regress(&x).unwrap().all.mean(), rounded(all.mean()));

    let error = EnsemblePredictor::new(&Ensemble::new(2, regression).unwrap()).unwrap().double().unwrap_err();
    assert!(error.to_string().contains("has no predictions of f64"), "{error}");
    let mixed = Ensemble::of(vec![of_f64(0).unwrap(), regression(0).unwrap()]).unwrap_err().to_string();
    assert!(mixed.contains("member 1") && mixed.contains("f64[2]") && mixed.contains("f32[2]"), "{mixed}");
}

/// Rows beyond what is made one answer at once, and of any split, by compiled code and by the evaluator.
#[test]
fn bits_depend_on_no_split_and_no_backend() {
    let x: Vec<f32> = [inputs(), inputs()].concat();
    let options = PredictorOptions::default().samples(3);
    let of = |make: fn(u64) -> Result<Network, Error>, backend: Backend| {
        let ensemble = Ensemble::new(3, make).unwrap();
        EnsemblePredictor::with_options(&ensemble, &options.clone().backend(backend)).unwrap()
    };
    for make in [classification, regression] {
        let predictor = of(make, Backend::default());
        let all = predictor.answer_from(5, &x).unwrap();
        assert_eq!(all, of(make, Backend::Reference).answer_from(5, &x).unwrap());
        let parts = [predictor.answer_from(5, &x[..14]).unwrap(), predictor.answer_from(12, &x[14..]).unwrap()];
        let told = |answer: &EnsembleAnswer| match answer {
            EnsembleAnswer::Classes(a) => {
                [a.all.probabilities(), a.all.mutual_information(), &a.within, &a.between].map(<[f32]>::to_vec)
            }
            EnsembleAnswer::Numbers(a) => [a.all.mean(), a.all.total(), &a.within, &a.between].map(<[f32]>::to_vec),
        };
        let [first, second] = parts.each_ref().map(told);
        for ((all, first), second) in told(&all).into_iter().zip(first).zip(second) {
            assert!(!all.is_empty() && all.iter().all(|x| x.is_finite()));
            assert_eq!(all, [first, second].concat());
        }
    }
    let error = of(regression, Backend::default()).classify(&x).unwrap_err().to_string();
    assert!(error.contains("the network predicts numbers, not classes"), "{error}");
}

#[test]
fn ensembles_are_saved_and_opened() {
    let folder = env::temp_dir().join(format!("bayeslift-ensemble-{}", process::id()));
    let ensemble = Ensemble::new(3, classification).unwrap();
    ensemble.save(&folder).unwrap();
    let options = PredictorOptions::default().samples(4);
    let opened = EnsemblePredictor::open(&folder, &options).unwrap();
    let made = EnsemblePredictor::with_options(&ensemble, &options).unwrap();
    assert_eq!(opened.members().len(), 3);
    assert_eq!(opened.classify(&inputs()).unwrap(), made.classify(&inputs()).unwrap());
    // an ensemble that is saved over a larger one has its own members only
    Ensemble::new(2, classification).unwrap().save(&folder).unwrap();
    assert_eq!(EnsemblePredictor::open(&folder, &options).unwrap().members().len(), 2);
    fs::rename(folder.join("member-1.safetensors"), folder.join("member-3.safetensors")).unwrap();
    let error = EnsemblePredictor::open(&folder, &options).unwrap_err().to_string();
    assert!(error.contains("member-1.safetensors"), "{error}");
    fs::remove_dir_all(&folder).unwrap();
    let error = EnsemblePredictor::open(&folder, &options).unwrap_err().to_string();
    assert!(error.contains("member-0.safetensors"), "{error}");
}

#[test]
fn code_is_compiled_once() {
    let backend = Backend::shared(Options::default());
    let Backend::Shared(_, code) = &backend else { panic!("it is shared") };
    let mut counts = Vec::new();
    for seed in 0..3 {
        let options = PredictorOptions::default().samples(2).backend(backend.clone());
        Predictor::with_options(&classification(seed).unwrap(), &options).unwrap().classify(&inputs()).unwrap();
        counts.push(format!("{code:?}"));
    }
    assert!(counts[0] != "SharedCode(0 graphs)" && counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    // other options are other code
    let options = PredictorOptions::default().samples(3).backend(backend.clone());
    Predictor::with_options(&classification(0).unwrap(), &options).unwrap().classify(&inputs()).unwrap();
    assert_ne!(format!("{code:?}"), counts[0]);
}

#[test]
fn what_does_not_go_together_is_refused() {
    let error = Ensemble::of(Vec::new()).unwrap_err().to_string();
    assert_eq!(error, "the number of members is 0, expected at least 1");
    let error = Ensemble::of(vec![classification(0).unwrap(), regression(0).unwrap()]).unwrap_err().to_string();
    assert!(error.starts_with("inputs and targets of member 1 is "), "{error}");
    // a member that cannot be fitted leaves the others as they should be
    let mut ensemble = Ensemble::new(3, regression).unwrap();
    let bad = |member| fit(2).learning_rate(if member == 1 { f64::NAN } else { 1e-2 });
    let error = ensemble.fit(&numbers(), bad).unwrap_err().to_string();
    assert!(error.contains("learning_rate"), "{error}");
    let mut alone = regression(2).unwrap();
    fit(1).run(&mut alone, &numbers()).unwrap();
    assert_eq!(bits(&ensemble.members()[2]), bits(&alone));
    // nobody waits for a member that panicked
    let mut ensemble = Ensemble::new(3, regression).unwrap();
    let result = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        ensemble.fit(&numbers(), |member| {
            fit(1).progress(move |progress| assert!(member != 0 || progress.step < 5, "as the test wants"))
        })
    }));
    assert!(result.is_err());
    assert_eq!(bits(&ensemble.members()[2]), bits(&alone));
}

//! Files whose digest is right and whose graphs of predictions are not: written by one who can compute digests. All are
//! refused, or predict; nothing panics, and nothing takes memory that nobody has.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;
#[allow(dead_code)]
mod files;

use bayeslift::prelude::*;
use facade::small_layers;
use files::with_header;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The file of a network with another description, and the digest of that.
fn forged(network: &Network, change: impl Fn(&mut Value)) -> Vec<u8> {
    let bytes = network.to_bytes().unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let (mut header, data): (Value, _) = (serde_json::from_slice(&bytes[8..8 + length]).unwrap(), &bytes[8 + length..]);
    let text = header["__metadata__"]["bayeslift"].as_str().unwrap();
    let mut description: Value = serde_json::from_str(text).unwrap();
    description.as_object_mut().unwrap().remove("digest");
    change(&mut description);
    let signed = description.to_string().strip_suffix('}').unwrap().to_owned();
    let mut hash = Sha256::new();
    let number = |hash: &mut Sha256, number: usize| hash.update((number as u64).to_le_bytes());
    let piece = |hash: &mut Sha256, bytes: &[u8]| {
        number(hash, bytes.len());
        hash.update(bytes);
    };
    piece(&mut hash, signed.as_bytes());
    for (name, parameter) in network.parameters().iter() {
        [name.as_bytes(), b"F32"].into_iter().for_each(|bytes| piece(&mut hash, bytes));
        let shape = parameter.tensor.shape();
        [shape.len()].iter().chain(shape.iter()).for_each(|&n| number(&mut hash, n));
        let offset = |i: usize| header[name]["data_offsets"][i].as_u64().unwrap() as usize;
        hash.update(&data[offset(0)..offset(1)]);
    }
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    header["__metadata__"]["bayeslift"] = format!("{signed},\"digest\":\"{digest}\"}}").into();
    [&with_header(&header.to_string(), 0), data].concat()
}

/// All that a predictor is asked, of a file that may be anything; all errors.
fn ask(bytes: &[u8]) -> Result<(), String> {
    let options = PredictorOptions::default().samples(7).blocks(4, 4);
    let predictor = Predictor::from_bytes_with_options(bytes, &options).map_err(|error| error.to_string())?;
    let x = [0.3; 9];
    let predictive = predictor.predict(&x).map_err(|error| error.to_string())?;
    if let Some(regression) = predictive.regression() {
        assert_eq!((regression.rows(), regression.mean().len()), (3, 6));
    }
    if let Some(classification) = predictive.classification() {
        assert_eq!(classification.rows(), 3);
    }
    let mut results = vec![predictive.quantiles(&[0.5]).map(|found| assert_eq!(found[0].len(), 6))];
    results.push(predictive.highest_density_interval(0.5).map(drop));
    let mut drawn = 0;
    results.push(predictive.draws(|_, _, values| drawn += values.len()));
    assert!(results.last().unwrap().is_err() || drawn == 7 * 3 * 2 || drawn == 7 * 3, "{drawn}");
    results.push(predictive.crps(&[0.0; 6]).map(|scores| assert!(scores.iter().all(|score| score.is_finite()))));
    results.push(predictive.log_prob(&Targets::Values { units: 2, values: vec![0.0; 6] }).map(drop));
    results.push(predictive.log_prob(&Targets::Labels(vec![0, 1, 1])).map(drop));
    let errors: Vec<String> = results.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors.join("\n")) }
}

const OUTPUT: &str = "graph {\n  %0 = input \"output\" : f32[<samples>,<rows>,2]\n";

#[test]
fn laws_of_other_shapes_are_refused() {
    let network = Network::new(small_layers(), [3], likelihood::Normal::fixed(0.5), 3).unwrap();
    ask(&forged(&network, |_| {})).unwrap_err(); // labels are no targets of it
    let constant = "%1 = constant 1.0 : f32[]\n";
    let of_samples = "%1 = sum axis=2 %0 : f32[<samples>,<rows>]\n  %2 = sum axis=1 %1 : f32[<samples>]\n";
    let moved = "%1 = window axis=1 start=0 size=1 dilation=1 count=1 step=1 %0 : f32[<samples>,1,1,2]\n";
    for (law, expected) in [
        (format!("{constant}  output \"mean\" = %1"), "the type of the law's mean is f32[]"),
        (format!("{constant}  output \"probabilities\" = %1"), "the type of the law's probabilities is f32[]"),
        (
            format!("{of_samples}  output \"probabilities\" = %2\n  output \"entropy\" = %2"),
            "the type of the law's probabilities",
        ),
        (
            format!("{moved}  %2 = reshape %1 : f32[<samples>,1,2]\n  output \"mean\" = %2"),
            "the type of the law's mean",
        ),
        (format!("{constant}  output \"mean\" = %0\n  output \"draw\" = %1"), "the type of the law's draw is f32[]"),
        (
            format!("{constant}  output \"mean\" = %0\n  output \"log_prob\" = %1"),
            "the type of the law's log_prob is f32[]",
        ),
        ("%1 = constant 1 : u32[]\n  output \"variance\" = %0".to_owned(), "law tells no draw"),
    ] {
        let law = format!("{OUTPUT}  {law}\n}}\n");
        let error = ask(&forged(&network, |file| file["prediction"]["law"] = law.clone().into())).unwrap_err();
        assert!(error.contains(expected), "{error} instead of {expected}");
    }
}

#[test]
fn targets_that_lie_are_refused() {
    let network =
        |likelihood: std::sync::Arc<dyn Likelihood>| Network::new(small_layers(), [3], likelihood, 3).unwrap();
    let numbers = network(std::sync::Arc::new(likelihood::Normal::fixed(0.5)));
    let labels = network(std::sync::Arc::new(likelihood::Categorical));
    for (network, field, value) in [
        (&numbers, "target", json!([])),
        (&numbers, "target", json!([3])),
        (&numbers, "target", json!([80_000_000])),
        (&numbers, "target", json!([1_u64 << 60, 1_u64 << 60])),
        (&numbers, "target", json!([0])),
        (&numbers, "events", json!([])),
        (&numbers, "events", json!([2, 2])),
        (&numbers, "events", json!([1_u64 << 44])),
        (&numbers, "events", json!([1_u64 << 60, 1_u64 << 60])),
        (&numbers, "support", json!("classes")),
        (&numbers, "support", json!("anything")),
        (&numbers, "classes", json!(3)),
        (&labels, "classes", json!(0)),
        (&labels, "classes", json!(3)),
        (&labels, "classes", json!(1_u64 << 40)),
        (&labels, "support", json!("simplex")),
        (&labels, "network", json!("graph {\n}\n")),
        (&labels, "network", json!("graph {\n  %0 = input \"x\" : f32[<rows>,3]\n  output \"output\" = %0\n}\n")),
        (&labels, "network", json!("graph {\n  %0 = input \"y\" : f32[1,<rows>,3]\n  output \"output\" = %0\n}\n")),
    ] {
        let error = ask(&forged(network, |file| file["prediction"][field] = value.clone()));
        assert!(error.is_err(), "{field} = {value}");
    }
    let many = numbers.to_bytes().unwrap();
    assert!(Predictor::from_bytes(&many).is_ok());
    let samples = |file: &mut Value| {
        let network = file["prediction"]["network"].as_str().unwrap().replace("<samples>", "<100000*samples>");
        file["prediction"]["network"] = network.into();
    };
    ask(&forged(&numbers, samples)).unwrap_err();
}

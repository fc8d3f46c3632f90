//! `bayeslift predict` gives the bits of the library, whatever file the rows are in.

mod common;

use bayeslift::{Abstention, Measure, prelude::*};
use common::*;
use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
};

fn predict(model: &Path, file: &Path) -> Command {
    bayeslift([Path::new("predict"), model, file])
}

/// An answer is what the library says of these rows, the first of which has this number.
fn assert_classes(answer: &str, expected: &Classification) {
    let (header, lines) = parsed(answer);
    let probabilities = "probability_0,probability_1,probability_2";
    assert_eq!(header, format!("label,{probabilities},predictive_entropy,expected_entropy,mutual_information"));
    assert_eq!(lines.len(), expected.rows());
    for (row, fields) in lines.iter().enumerate() {
        assert_eq!(fields[0], expected.labels()[row].unwrap().to_string());
        assert_bits(&fields[1..4], expected.row(row));
        let rest =
            [expected.predictive_entropy(), expected.expected_entropy(), expected.mutual_information()].map(|x| x[row]);
        assert_bits(&fields[4..], &rest);
    }
}

#[test]
fn classes_with_all_that_is_known_of_them() {
    let folder = folder("classes");
    let (network, x) = (classes(), inputs(4 * 10));
    let (model, file) = (saved(&folder, &network), folder.join("rows.csv"));
    fs::write(&file, csv(4, &x)).unwrap();
    let answer = answer(&mut predict(&model, &file));
    assert_classes(&answer, &Predictor::new(&network).unwrap().classify(&x).unwrap());
}

/// A column more, and the others as they were.
#[test]
fn where_to_abstain() {
    let folder = folder("abstain");
    let (network, x) = (classes(), inputs(4 * 10));
    let (model, file) = (saved(&folder, &network), folder.join("rows.csv"));
    fs::write(&file, csv(4, &x)).unwrap();
    let prediction = Predictor::new(&network).unwrap().classify(&x).unwrap();
    for (by, measure, values) in [
        (None, Measure::PredictiveEntropy, prediction.predictive_entropy()),
        (Some("mutual-information"), Measure::MutualInformation, prediction.mutual_information()),
    ] {
        let mut sorted = values.to_vec();
        sorted.sort_by(f32::total_cmp);
        let above = f64::from(sorted[4]);
        let mut command = predict(&model, &file);
        command.args(["--abstain-above", &above.to_string()]);
        command.args(by.iter().flat_map(|by| ["--abstain-by", by]));
        let text = answer(&mut command);
        let (header, lines) = parsed(&text);
        assert!(header.starts_with("label,abstain,probability_0,"), "{header}");
        let abstains = prediction.abstains(&Abstention::new(measure, above).unwrap()).unwrap();
        assert_eq!(abstains.iter().filter(|&&abstains| abstains).count(), 5);
        for (row, fields) in lines.iter().enumerate() {
            assert_eq!(fields[1], u8::from(abstains[row]).to_string());
            assert_bits(&fields[2..5], prediction.row(row));
        }
    }
    let numbers = saved(&folder, &numbers(2));
    fs::write(&file, csv(2, &inputs(2 * 3))).unwrap();
    let by_deviation = ["--abstain-above", "0.01", "--abstain-by", "epistemic"];
    let text = answer(predict(&numbers, &file).args(by_deviation));
    assert!(parsed(&text).0.starts_with("abstain_0,abstain_1,mean_0,"), "{text}");
    for (arguments, message) in [
        (&["--abstain-above", "0.5"][..], "abstain by the epistemic deviation"),
        (&["--abstain-above", "-1"], "is -1, expected finite, and not negative"),
        (&["--abstain-above", "nan"], "is NaN, expected finite, and not negative"),
        (&["--abstain-by", "epistemic"], "--abstain-above"),
    ] {
        let output = predict(&numbers, &file).args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(message), "{said}");
    }
}

#[test]
fn numbers_of_one_and_of_several_units() {
    let folder = folder("numbers");
    let x = inputs(2 * 9);
    let file = folder.join("rows.csv");
    fs::write(&file, csv(2, &x)).unwrap();
    for (units, expected_header) in [
        (1, "mean,aleatoric,epistemic,total"),
        (2, "mean_0,mean_1,aleatoric_0,aleatoric_1,epistemic_0,epistemic_1,total_0,total_1"),
    ] {
        let network = numbers(units);
        let model = saved(&folder, &network);
        let answer = answer(&mut predict(&model, &file));
        let (header, lines) = parsed(&answer);
        assert_eq!(header, expected_header);
        let expected = Predictor::new(&network).unwrap().regress(&x).unwrap();
        assert_eq!(lines.len(), 9);
        for (row, fields) in lines.iter().enumerate() {
            let all = [expected.mean(), expected.aleatoric(), expected.epistemic(), expected.total()];
            assert_bits(fields, &all.map(|values| &values[row * units..][..units]).concat());
        }
    }
}

/// A row with several answers of yes and no has columns for each.
#[test]
fn several_labels_of_a_row() {
    let folder = folder("labels");
    let layer = AffineVariationalReparameterizationLocal::new(2, 2);
    let network = Network::new(layer, [2], likelihood::Bernoulli, 1).unwrap();
    let (model, file) = (saved(&folder, &network), folder.join("rows.csv"));
    fs::write(&file, "0.5,1\n").unwrap();
    let answer = answer(&mut predict(&model, &file));
    let (header, lines) = parsed(&answer);
    let expected = Predictor::new(&network).unwrap().classify(&[0.5, 1.0]).unwrap();
    assert_eq!((expected.labels_of_a_row(), expected.classes()), (2, 2));
    let names = "label_0,label_1,probability_0_0,probability_0_1,probability_1_0,probability_1_1,predictive_entropy_0";
    assert!(header.starts_with(names), "{header}");
    assert_bits(&lines[0][2..6], expected.row(0));
    assert_bits(&lines[0][6..8], expected.predictive_entropy());
}

/// Blocks, parts of a file and threads change no bit; rows are numbered from where the file begins.
#[test]
fn a_long_file_is_one_call() {
    const ROWS: usize = 700;
    let folder = folder("long");
    let (network, x) = (classes(), inputs(4 * ROWS));
    let (model, file) = (saved(&folder, &network), folder.join("rows.csv"));
    fs::write(&file, csv(4, &x)).unwrap();
    let predictor = Predictor::new(&network).unwrap();
    let whole = answer(&mut predict(&model, &file));
    assert_classes(&whole, &predictor.classify(&x).unwrap());
    assert_eq!(answer(predict(&model, &file).args(["--threads", "1"])), whole);

    let far = (1 << 32) + 5;
    let numbered = answer(predict(&model, &file).args(["--first-row", &far.to_string()]));
    assert_classes(&numbered, &predictor.classify_from(far, &x).unwrap());

    let rest = folder.join("rest.csv");
    fs::write(&rest, csv(4, &x[4 * 301..])).unwrap();
    let rest = answer(predict(&model, &rest).args(["--first-row", "301"]));
    let lines = |text: &str, from: usize| text.lines().skip(1 + from).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&rest, 0), lines(&whole, 301));
}

#[test]
fn samples_and_seed_are_the_predictors() {
    let folder = folder("samples");
    let (network, x) = (classes(), inputs(4 * 3));
    let (model, file) = (saved(&folder, &network), folder.join("rows.csv"));
    fs::write(&file, csv(4, &x)).unwrap();
    let options = PredictorOptions::default().samples(5).seed(u64::MAX);
    let expected = Predictor::with_options(&network, &options).unwrap().classify(&x).unwrap();
    let seed = u64::MAX.to_string();
    assert_classes(&answer(predict(&model, &file).args(["--samples", "5", "--seed", &seed])), &expected);
}

#[test]
fn the_same_rows_in_any_csv() {
    let folder = folder("csv");
    let network = numbers(1);
    let (model, file) = (saved(&folder, &network), folder.join("rows.csv"));
    let expected = Predictor::new(&network).unwrap().regress(&[0.5, -2.0, 1e-3, 4.0]).unwrap();
    let same = [
        "0.5,-2\n0.001,4\n",
        "0.5,-2\n0.001,4",
        "width,height\n0.5,-2\n0.001,4\n",
        "\"width, in m\",\"height\nover the ground\"\n0.5,-2\n0.001,4\n",
        "\u{feff}width,height\r\n0.5,-2\r\n0.001,4\r\n",
        " 0.50 ,\t-2.0\n\n1e-3,+4\n\n",
        "\"0.5\",\"-2\"\r\n\"1E-3\",\"4\"\r\n",
    ];
    for text in same {
        fs::write(&file, text).unwrap();
        let answer = answer(&mut predict(&model, &file));
        let (_, lines) = parsed(&answer);
        assert_eq!(lines.len(), 2, "{text:?}");
        assert_bits([&lines[0][0], &lines[1][0]], expected.mean());
        assert_eq!(answer_to(&mut predict(&model, Path::new("-")), text.as_bytes()), answer);
    }
    // numbers may be names of columns, and names that look like numbers are told
    fs::write(&file, "0,1\n0.5,-2\n").unwrap();
    assert_eq!(answer(predict(&model, &file).args(["--header", "yes"])).lines().count(), 2);
    assert_eq!(answer(predict(&model, &file).args(["--header", "auto"])).lines().count(), 3);
}

#[test]
fn the_same_rows_in_any_array() {
    const ROWS: usize = 300;
    let folder = folder("npy");
    let network = classes();
    let (model, file) = (saved(&folder, &network), folder.join("rows.npy"));
    let x = inputs(4 * ROWS);
    let columns: Vec<f32> = (0..4 * ROWS).map(|i| x[i % ROWS * 4 + i / ROWS]).collect();
    let text = folder.join("rows.csv");
    fs::write(&text, csv(4, &x)).unwrap();
    let expected = answer(&mut predict(&model, &text));
    for (is_column_major, x) in [(false, &x), (true, &columns)] {
        let double = x.iter().map(|&x| f64::from(x));
        let cases: [(&str, Vec<u8>); 4] = [
            ("<f4", x.iter().flat_map(|x| x.to_le_bytes()).collect()),
            (">f4", x.iter().flat_map(|x| x.to_be_bytes()).collect()),
            ("<f8", double.clone().flat_map(f64::to_le_bytes).collect()),
            (">f8", double.flat_map(f64::to_be_bytes).collect()),
        ];
        for (element_type, bytes) in cases {
            let array = npy(element_type, is_column_major, &format!("({ROWS}, 4)"), &bytes);
            fs::write(&file, &array).unwrap();
            assert!(answer(&mut predict(&model, &file)) == expected, "{element_type} {is_column_major}");
            assert!(answer_to(&mut predict(&model, Path::new("-")), &array) == expected);
        }
    }
}

/// Images may be arrays of their shape or flat, and an input of one number needs no axis.
#[test]
fn arrays_of_the_shape_of_inputs() {
    let folder = folder("shapes");
    let file = folder.join("rows.npy");
    let x = inputs(2 * 6);
    let bytes: Vec<u8> = x.iter().flat_map(|x| x.to_le_bytes()).collect();
    let layers =
        Sequential::new().layer(flatten_rightmost(3)).layer(AffineVariationalReparameterizationLocal::new(6, 2));
    let network = Network::new(layers, [2, 3, 1], likelihood::Categorical, 0).unwrap();
    let model = saved(&folder, &network);
    let answers = ["(2, 2, 3, 1)", "(2, 2, 3)", "(2, 1, 2, 3)", "(2, 6)"].map(|shape| {
        fs::write(&file, npy("<f4", false, shape, &bytes)).unwrap();
        answer(&mut predict(&model, &file))
    });
    assert!(answers.iter().all(|other| *other == answers[0]) && answers[0].lines().count() == 3);

    let layer = AffineVariationalReparameterizationLocal::new(1, 1);
    let model = saved(&folder, &Network::new(layer, [1], likelihood::Normal::fixed(1.0), 0).unwrap());
    for shape in ["(12,)", "(12, 1)"] {
        fs::write(&file, npy("<f4", false, shape, &bytes)).unwrap();
        assert_eq!(answer(&mut predict(&model, &file)).lines().count(), 13, "{shape}");
    }
}

#[test]
fn a_file_has_what_standard_output_has() {
    let folder = folder("output");
    let (model, file) = (saved(&folder, &classes()), folder.join("rows.csv"));
    fs::write(&file, csv(4, &inputs(4 * 300))).unwrap();
    let expected = answer(&mut predict(&model, &file));
    let output = folder.join("answers.csv");
    for _ in 0..2 {
        assert_eq!(answer(predict(&model, &file).arg("--output").arg(&output)), "");
        assert_eq!(fs::read_to_string(&output).unwrap(), expected);
    }
    // rows are replaced by their own answers, which are not read
    assert_eq!(answer(predict(&model, &file).arg("-o").arg(&file)), "");
    assert_eq!(fs::read_to_string(&file).unwrap(), expected);
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["answers.csv", "model.safetensors", "rows.csv"]);
    #[cfg(unix)]
    {
        fs::write(&file, csv(4, &inputs(4))).unwrap();
        assert_eq!(answer(predict(&model, &file).args(["-o", "/dev/null"])), "");
        assert_eq!(answer(predict(&model, &file).args(["-o", "-"])).lines().count(), 2);
    }
}

/// Who reads the beginning has read enough.
#[test]
fn a_closed_pipe_is_no_error() {
    let folder = folder("pipe");
    let (model, file) = (saved(&folder, &classes()), folder.join("rows.csv"));
    fs::write(&file, csv(4, &inputs(4 * 5000))).unwrap();
    let mut child = predict(&model, &file).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 5];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"label");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

/// Rows that have no finite prediction are there if that is asked for.
#[test]
fn rows_without_a_prediction() {
    let folder = folder("non-finite");
    let (model, file) = (saved(&folder, &large()), folder.join("rows.csv"));
    fs::write(&file, "1,2\n3e38,3e38\n").unwrap();
    let answer = answer(predict(&model, &file).arg("--allow-non-finite"));
    let (_, lines) = parsed(&answer);
    assert!(lines[0].iter().all(|field| !field.is_empty() && *field != "NaN"));
    assert_eq!((lines[1][0], lines[1][1]), ("", "NaN"));
}

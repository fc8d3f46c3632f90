//! The module in Python, around an object and around C: arrays with the bits of the predictor.

use crate::{classes, doubles::doubles, harness, options, say};
use bayeslift::{
    deploy::{self, DeployOptions, Weights},
    prelude::*,
};
use harness::{Number, inputs, inputs_f64, moments, run};
use std::{fs, process::Command};

/// Predicts at once and in pieces, by two threads too, and says what is refused.
const PROGRAM: &str = r#"
import threading
import numpy as np
import net

FLOAT = np.@FLOAT@
rows = np.fromfile("inputs", FLOAT).reshape(-1, net.INPUTS)
net.self_test()
answer = net.predict(rows, seed=5, first_row=9, samples=12)
pieces = net.Pieces(rows, seed=5, first_row=9)
for samples in (1, 8, 3):
    pieces.add(samples)
others = []
ask = lambda: others.append(net.predict(rows.tolist(), seed=5, first_row=9, samples=12))
threads = [threading.Thread(target=ask) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
with open("results", "wb") as file:
    for name in net._WIDTHS:
        array = getattr(answer, name)
        assert array.dtype == FLOAT and len(array) == len(rows)
        for other in [pieces.answer(), *others]:
            assert array.tobytes() == getattr(other, name).tobytes(), name
        file.write(array.tobytes())
assert net.predict(rows[0]).probabilities.tobytes() == net.predict(rows).probabilities[:1].tobytes()
assert len(net.predict(rows[:0]).probabilities) == 0
for wrong, error in [
    (rows[:, 1:], ValueError),
    (FLOAT(1), ValueError),
    (rows * FLOAT(np.nan), net.Error),
]:
    try:
        net.predict(wrong)
        raise SystemExit("it took what is wrong")
    except error as found:
        print(found)
try:
    net.predict(rows, samples=0)
except net.Error as error:
    assert error.status == "ERROR_SAMPLES"
"#;

#[test]
fn arrays_have_the_predictors_bits() {
    compare(&classes(), "float32", &inputs(13 * 7));
    compare(&doubles(), "float64", &inputs_f64(13 * 7));
}

fn compare<T: Number>(network: &Network, float: &str, x: &[T]) {
    let has_numpy = |python: &&str| {
        let output = Command::new(python).args(["-c", "import numpy"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    // the system's, if another comes first that has none
    let Some(python) = ["python3", "/usr/bin/python3"].into_iter().find(has_numpy) else {
        assert!(std::env::var_os("CI").is_none(), "NumPy is missing; .ci/run installs it");
        return say("not tested: NumPy is missing");
    };
    let object = DeployOptions::new("net").samples(7);
    for (name, made, options) in [
        ("object", "net.o", object.clone()),
        ("weights", "net.o", object.weights(Weights::File)),
        ("c", "net.c", options("net").samples(7)),
    ] {
        let package = deploy::network(network, &options).unwrap();
        let folder = harness::folder(&format!("python/{float}/{name}"));
        package.write(&folder).unwrap();
        // without a library, it says how to make one
        let missing = Command::new(python).current_dir(&folder).args(["-c", "import net"]).output().unwrap();
        let said = String::from_utf8_lossy(&missing.stderr).into_owned();
        assert!(!missing.status.success() && said.contains("cc -shared") && said.contains(made), "{said}");
        run(Command::new("cc").current_dir(&folder).args(["-shared", "-O2", "-fPIC", made, "-o", "libnet.so"]));
        fs::write(folder.join("inputs"), x.iter().flat_map(|x| x.bytes()).collect::<Vec<u8>>()).unwrap();
        fs::write(folder.join("program.py"), PROGRAM.replace("@FLOAT@", float)).unwrap();
        let output = run(Command::new(python).current_dir(&folder).arg("program.py"));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("expected (n, 7)") && said.contains("an input is not finite"), "{said}");
        let got = fs::read(folder.join("results")).unwrap();
        let predictor = PredictorOptions::default().samples(12).seed(5);
        let predictor = Predictor::with_options(network, &predictor).unwrap();
        let want = moments(&predictor, 9, x, &package).into_iter().flatten();
        assert!(got == want.flat_map(T::bytes).collect::<Vec<u8>>(), "{name}");
    }
}

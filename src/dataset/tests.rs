//! Data sets are what was given, and refuse what is none.

use super::*;
use crate::Standardizer;

fn message<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    result.unwrap_err().to_string()
}

const ROWS: usize = 13;

/// Whether element `j` of the targets of a row is known.
fn known(row: usize, j: usize) -> bool {
    !(row + j).is_multiple_of(3)
}

/// Data sets of which inputs, targets, presence and weight tell the row: by class and by number, with positions and
/// without.
fn telling() -> Vec<Dataset> {
    let inputs: Vec<f32> = (0..ROWS).flat_map(|row| [row as f32, 0.5]).collect();
    let labels = |count: usize| (0..ROWS * count).map(|i| i as u32).collect();
    let values = |count: usize| (0..ROWS * count).map(|i| i as f32).collect();
    let all = [
        Dataset::classification([2], inputs.clone(), labels(1)),
        Dataset::classification_at([2], inputs.clone(), [2, 3], labels(6)),
        Dataset::regression([2], inputs.clone(), 4, values(4)),
        Dataset::regression_at([2], inputs, [2], 3, values(6)),
    ];
    let finish = |data: Result<Dataset, Error>| {
        let data = data.unwrap();
        let count = data.target_shape().elements();
        let weights = (0..ROWS).map(|row| 1.0 + row as f32).collect();
        let present = (0..ROWS * count).map(|i| known(i / count, i % count)).collect();
        data.with_weights(weights).unwrap().with_present(present).unwrap()
    };
    all.map(finish).into_iter().collect()
}

/// The rows that a data set of [`telling`] has, after a look at all that they carry.
fn told(data: &Dataset) -> Vec<usize> {
    let (count, present) = (data.target_shape().elements(), data.present().unwrap());
    let targets: Vec<usize> = match data.targets() {
        Targets::Labels(labels) => labels.iter().map(|&label| label as usize).collect(),
        Targets::Values { units, values } => {
            assert_eq!(*units, count);
            values.iter().map(|&value| value as usize).collect()
        }
        Targets::Doubles { .. } => unreachable!("none has doubles"),
    };
    assert_eq!((targets.len(), present.len()), (data.rows() * count, data.rows() * count));
    assert_eq!(data.weights().unwrap().len(), data.rows());
    let row = |i: usize| {
        let row = data.input(i)[0] as usize;
        assert_eq!(data.weights().unwrap()[i], 1.0 + row as f32);
        for j in 0..count {
            assert_eq!(present[i * count + j], known(row, j), "target {j} of row {row}");
            assert!(!known(row, j) || targets[i * count + j] == row * count + j, "target {j} of row {row}");
        }
        row
    };
    (0..data.rows()).map(row).collect()
}

#[test]
fn rows_keep_what_belongs_to_them() {
    for data in telling() {
        assert_eq!(told(&data), (0..ROWS).collect::<Vec<_>>());
        let chosen = [7, 0, 12, 7, 3];
        assert_eq!(told(&data.select(&chosen).unwrap()), chosen);
        let (odd, even) = data.partition(|row| row % 2 == 1).unwrap();
        assert_eq!((told(&odd), told(&even)), (vec![1, 3, 5, 7, 9, 11], vec![0, 2, 4, 6, 8, 10, 12]));
        let (part, rest) = data.split(0.3, 5).unwrap();
        let mut all = [told(&part), told(&rest)].concat();
        assert_eq!((part.rows(), rest.rows()), (4, 9));
        all.sort();
        assert_eq!(all, (0..ROWS).collect::<Vec<_>>());
        let mut batch = Batch::like(&data);
        for rows in [&[1, 2, 3][..], &[5]] {
            batch.fill(&data, rows);
            let selected = data.select(rows).unwrap();
            assert_eq!((batch.inputs.as_f32(), &batch.targets), (selected.inputs(), selected.targets()));
            assert_eq!((batch.present.as_deref(), batch.weights.as_deref()), (selected.present(), selected.weights()));
            assert_eq!(selected.target_shape(), data.target_shape());
        }
    }
    let plain = Dataset::classification([1], vec![0.0; 2], vec![0; 2]).unwrap();
    let batch = Batch::like(&plain);
    assert!(batch.present.is_none() && batch.weights.is_none());
    assert!(plain.target_shape().is_empty());
}

#[test]
fn rows_that_cannot_be_chosen() {
    let data = Dataset::regression([1], vec![0.0; 3], 1, vec![0.0; 3]).unwrap();
    let part = |choose: fn(usize) -> bool| message(data.partition(choose));
    let end = "of the 3 rows were chosen, which leaves a part without rows; choose some and leave some";
    assert_eq!((part(|_| false), part(|_| true)), (format!("none {end}"), format!("all {end}")));
    assert_eq!(message(data.select(&[])), "the number of rows to select is 0, expected at least 1");
    let beyond = "the number of a row to select is 3, expected a number below 3, the number of rows";
    assert_eq!(message(data.select(&[0, 3])), beyond);
    let data = data.with_weights(vec![0.0, 1.0, 0.0]).unwrap();
    assert!(data.select(&[2, 1]).is_ok());
    let weightless = "the weights of the 2 rows to select are all 0; select one of another weight too";
    assert_eq!(message(data.select(&[2, 0])), weightless);
}

#[test]
fn counts_of_targets() {
    let at = |positions: &[usize], labels: usize| {
        message(Dataset::classification_at([1], vec![0.0; 2], positions, vec![0; labels]))
    };
    assert_eq!(at(&[], 3), "the number of targets is 3, expected 2: a label each for 2 inputs");
    let each = "expected 24: targets of shape [4,3] each for 2 inputs";
    assert_eq!(at(&[4, 3], 2), format!("the number of targets is 2, {each}"));
    assert_eq!(at(&[4, 0], 0), "the number of targets of a row is 0, expected at least 1");
    assert!(at(&[0, 4], 0).contains("extent 0"));
    assert!(at(&[usize::MAX; 8], 2).starts_with("the number of targets is 2, expected 340282366920938463463"));
    let numbers = |positions: &[usize], units: usize, values: usize| {
        message(Dataset::regression_at([1], vec![0.0; 2], positions, units, vec![0.0; values]))
    };
    assert_eq!(numbers(&[4], 3, 25), format!("the number of targets is 25, {each}"));
    assert_eq!(numbers(&[4], 0, 0), "the number of targets of a row is 0, expected at least 1");
    assert!(numbers(&[usize::MAX; 2], usize::MAX, 0).contains("elements"));
    let values = vec![0.0, 0.0, 0.0, 0.0, 0.0, 0.0, f32::NAN, 0.0];
    let nan = Dataset::regression_at([1], vec![0.0; 2], [2], 2, values);
    assert_eq!(message(nan), "column 2 of row 1 of the targets is NaN; every element must be finite");
}

#[test]
fn several_labels_are_yes_or_no() {
    let data = |values: &[f32]| Dataset::multi_label([1], vec![0.0; 2], 2, values.to_vec());
    assert_eq!(
        data(&[0.0, 1.0, 1.0, 1.0]).unwrap().targets(),
        &Targets::Values { units: 2, values: vec![0.0, 1.0, 1.0, 1.0] }
    );
    assert_eq!(message(data(&[0.0, 1.0, 1.0, 0.5])), "target 1 of row 1 is 0.5, expected 0 or 1");
    assert_eq!(
        message(data(&[0.0, f32::NAN, 1.0, 0.5])),
        "column 1 of row 0 of the targets is NaN; every element must be finite"
    );
    let few = "the number of targets is 3, expected 4: targets of shape [2] each for 2 inputs";
    assert_eq!(message(data(&[0.0; 3])), few);
}

#[test]
fn weights_are_finite_and_not_all_zero() {
    let weighted = |weights: &[f32]| {
        Dataset::classification([1], vec![0.0; 3], vec![0; 3]).unwrap().with_weights(weights.to_vec())
    };
    let data = weighted(&[0.0, 2.0, 0.5]).unwrap();
    assert_eq!(data.weights(), Some(&[0.0, 2.0, 0.5][..]));
    assert_eq!(data.with_weights(vec![1.0; 3]).unwrap().weights(), Some(&[1.0; 3][..]));
    assert_eq!(message(weighted(&[1.0; 2])), "the number of weights is 2, expected 3, one for each row");
    for (weight, found) in [(-1.0, "-1"), (f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        let error = message(weighted(&[1.0, 0.0, weight]));
        assert_eq!(error, format!("the weight of row 2 is {found}, expected a finite number, not negative"));
    }
    assert_eq!(message(weighted(&[0.0; 3])), "the largest weight is 0, expected a number above 0");
}

#[test]
fn balanced_classes_count_alike() {
    let labels = vec![3, 9, 3, 0, 3, 9, 3];
    let data = Dataset::classification([1], vec![0.0; 7], labels.clone()).unwrap().balanced().unwrap();
    let of = |class: u32| {
        let weights = labels.iter().zip(data.weights().unwrap()).filter(|&(label, _)| *label == class);
        weights.map(|(_, &weight)| f64::from(weight)).sum::<f64>()
    };
    for class in [0, 3, 9] {
        assert!((of(class) - 7.0 / 3.0).abs() < 1e-6, "class {class} counts {}", of(class));
    }

    let labels = vec![None, Some(3), Some(9), None, Some(3), Some(3)];
    let data = Dataset::classification_with_missing([1], vec![0.0; 6], labels).unwrap().balanced().unwrap();
    let third = 4.0 / (2.0 * 3.0) as f32;
    assert_eq!(data.weights(), Some(&[1.0, third, 2.0, 1.0, third, third][..]));

    let end =
        "where classes are balanced by one label for each row; give weights of your own by `Dataset::with_weights`";
    let numbers = Dataset::regression([1], vec![0.0; 2], 1, vec![0.0; 2]).unwrap();
    assert_eq!(message(numbers.balanced()), format!("the targets of a row are numbers of shape [1], {end}"));
    let positions = Dataset::classification_at([1], vec![0.0; 2], [3], vec![0; 6]).unwrap();
    assert_eq!(message(positions.balanced()), format!("the targets of a row are labels of shape [3], {end}"));
}

#[test]
fn what_is_missing_has_a_stand_in_of_its_unit() {
    let numbers =
        |values: &[Option<f32>]| Dataset::regression_with_missing([1], vec![0.0; values.len() / 2], 2, values.to_vec());
    // by unit, where no row is complete; of a complete row, where there is one
    let data = numbers(&[None, Some(5.0), None, Some(6.0), Some(7.0), None, Some(8.0), None]).unwrap();
    assert_eq!(data.values(), [7.0, 5.0, 7.0, 6.0, 7.0, 5.0, 8.0, 5.0]);
    assert_eq!(data.present(), Some(&[false, true, false, true, true, false, true, false][..]));
    let data = numbers(&[None, Some(5.0), Some(7.0), None, Some(1.0), Some(2.0)]).unwrap();
    assert_eq!(data.values(), [1.0, 5.0, 7.0, 2.0, 1.0, 2.0]);
    let complete = numbers(&[Some(1.0), Some(2.0)]).unwrap();
    assert_eq!(complete, Dataset::regression([1], vec![0.0], 2, vec![1.0, 2.0]).unwrap());

    assert_eq!(
        message(numbers(&[Some(1.0), None, Some(2.0), None])),
        "target 1 is missing in all of 2 rows; leave it out, or give one row a number for it"
    );
    let nan = message(numbers(&[Some(1.0), None, Some(f32::NAN), Some(1.0)]));
    assert_eq!(nan, "column 0 of row 1 of the targets is NaN; every element must be finite");

    let labels =
        |labels: &[Option<u32>]| Dataset::classification_with_missing([1], vec![0.0; labels.len()], labels.to_vec());
    assert_eq!(labels(&[None, Some(4), Some(2)]).unwrap().labels(), [4, 4, 2]);
    assert_eq!(message(labels(&[None, None])), "all 2 labels are missing; give at least one");
    assert_eq!(
        message(Dataset::classification_with_missing([1], vec![0.0; 2], vec![None])),
        "the number of targets is 1, expected 2: a label each for 2 inputs"
    );
}

#[test]
fn presence_is_told_for_each_target() {
    let data = || Dataset::regression_at([1], vec![0.0; 2], [2], 2, (0..8).map(|i| i as f32).collect()).unwrap();
    let absent = |absent: &[usize]| (0..8).map(|i| !absent.contains(&i)).collect::<Vec<_>>();
    assert_eq!(data().with_present(absent(&[])).unwrap(), data());
    let some = data().with_present(absent(&[0, 5])).unwrap();
    // of the first complete position, (2, 3)
    assert_eq!(some.values(), [2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 6.0, 7.0]);
    let fewer = some.clone().with_present(absent(&[2])).unwrap();
    assert_eq!(fewer.present(), Some(&absent(&[0, 2, 5])[..]));
    assert_eq!(some.clone().with_present(absent(&[])).unwrap(), some);
    assert_eq!(
        message(data().with_present(absent(&[1, 3, 5, 7]))),
        "target 1 is missing in all of 2 rows; leave it out, or give one row a number for it"
    );
    assert_eq!(
        message(data().with_present(vec![true; 4])),
        "the number of targets said to be present or not is 4, expected 8, one for each target"
    );
}

#[test]
fn smoothed_labels_keep_positions_weights_and_what_is_missing() {
    let data = Dataset::classification_at([1], vec![0.0; 2], [2], vec![0, 9, 1, 0]).unwrap();
    assert!(matches!(data.smoothed(2, 0.2), Err(Error::Label { row: 0, label: 9, classes: 2 })));
    let data = data.with_present(vec![true, false, true, true]).unwrap().with_weights(vec![1.0, 3.0]).unwrap();
    let smoothed = data.smoothed(2, 0.2).unwrap();
    assert_eq!(smoothed.target_shape()[..], [2, 2]);
    let points = [0.9, 0.1, 0.9, 0.1, 0.1, 0.9, 0.9, 0.1];
    assert!(smoothed.values().iter().zip(points).all(|(a, b)| (a - b).abs() < 1e-6), "{:?}", smoothed.values());
    assert!(matches!(smoothed.targets(), Targets::Values { units: 4, .. }));
    assert_eq!(smoothed.present(), Some(&[true, true, false, false, true, true, true, true][..]));
    assert_eq!(smoothed.weights(), Some(&[1.0, 3.0][..]));
    assert_eq!(smoothed.select(&[1]).unwrap().values().len(), 4);
}

#[test]
fn units_are_measured_by_what_is_known() {
    let values = vec![1.0, 50.0, 100.0, 70.0, 3.0, 70.0, 100.0, 50.0];
    let data = Dataset::regression_at([1], vec![1.0, 3.0], [2], 2, values).unwrap();
    let present = vec![true, true, false, true, true, true, false, true];
    let data = data.with_present(present).unwrap().with_weights(vec![1.0, 2.0]).unwrap();
    let standard = Standardizer::of(&data).apply(&data).unwrap();
    assert_eq!(standard.values(), [-1.0, -1.0, -1.0, 1.0, 1.0, 1.0, -1.0, -1.0]);
    assert_eq!((standard.present(), standard.weights()), (data.present(), data.weights()));
    assert_eq!(standard.target_shape(), data.target_shape());

    let data = Dataset::regression([1], vec![1.0, 3.0], 2, vec![1.0, 5.0, 3.0, 7.0]).unwrap();
    let data = data.with_present(vec![true, true, true, false]).unwrap();
    let part = data.select(&[1]).unwrap();
    assert_eq!(Standardizer::of(&part).apply(&part).unwrap().values(), [0.0, 5.0]);
}

//! The module refuses what C refuses, and slices that are too short: a program that fails if it does not.

use no_std_example::digits::{Error, INPUTS, Model, OUTPUTS, Request, Results, SAMPLES, State, state_bytes};

fn main() {
    let (mut model, request) = (Model::new(), Request::DEFAULT);
    let mut image = [0.0; INPUTS];
    assert_eq!(model.predict(&[image], &Request { samples: 0, ..request }), Err(Error::Samples));
    let mut short = [[7.0; OUTPUTS]; 1];
    let results = Results { probabilities: Some(&mut short), ..Results::default() };
    assert_eq!(model.predict_into(&[image; 2], &request, results), Err(Error::Results));
    assert_eq!(short, [[7.0; OUTPUTS]]);
    let mut state = State::<{ state_bytes(2) }>::new();
    assert_eq!(state.add(1, &[image], &mut model), Err(Error::Uninitialised));
    assert_eq!(state.answer::<2>(&mut model), Err(Error::Uninitialised));
    assert_eq!(state.begin(3, &request), Err(Error::Rows));
    assert_eq!(state.begin(usize::MAX, &request), Err(Error::Rows));
    state.begin(2, &request).unwrap();
    assert_eq!(state.answer::<2>(&mut model), Err(Error::Samples));
    assert_eq!(state.add(1, &[image], &mut model), Err(Error::Rows));
    state.add(SAMPLES, &[image; 2], &mut model).unwrap();
    assert_eq!(state.answer::<1>(&mut model), Err(Error::Results));
    assert_eq!(state.answer::<2>(&mut model), model.predict(&[image; 2], &request));
    image[9] = f32::NAN;
    let error = model.predict(&[image], &request).unwrap_err();
    assert_eq!(error, Error::NotFiniteInput);
    assert_eq!(error.to_string(), "an input is not finite; nothing was written");
    image[9] = f32::MAX;
    assert_eq!(model.predict(&[image], &request), Err(Error::LargeInput));
    assert_eq!(model.predict(&[], &request).unwrap().probabilities, [[0.0; OUTPUTS]; 0]);
}

//! Modules of other kinds: blocks of rows and levels, an ensemble, weights that the program brings. Prints what they
//! answer.

#![deny(missing_docs, unsafe_op_in_unsafe_fn)]

/// Blocks of four rows, for every processor of the architecture.
pub mod blocks {
    include!(concat!(env!("OUT_DIR"), "/blocks.rs"));
}

/// Three members, whose noise has a standard deviation.
pub mod members {
    include!(concat!(env!("OUT_DIR"), "/members.rs"));
}

/// Numbers of `f64`.
pub mod doubles {
    include!(concat!(env!("OUT_DIR"), "/doubles.rs"));
}

/// Weights in a file.
pub mod apart {
    include!(concat!(env!("OUT_DIR"), "/apart.rs"));
}

/// As code reads them.
#[repr(align(4))]
struct Aligned<B: ?Sized>(B);

static WEIGHTS: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/apart.weights")));
static OTHERS: &Aligned<[u8]> = &Aligned([7; 12]);

fn print<T: std::fmt::Display>(values: &[T]) {
    values.iter().for_each(|value| println!("{value}"));
}

fn main() {
    let inputs = include_bytes!(concat!(env!("OUT_DIR"), "/inputs"));
    let inputs: Vec<f32> = inputs.chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().unwrap())).collect();
    let rows: Vec<[f32; 2]> = inputs.chunks_exact(2).map(|row| row.try_into().unwrap()).collect();

    const ROWS: usize = 7;
    let rows: &[[f32; 2]; ROWS] = rows[..].try_into().unwrap();
    let mut model = Box::new(blocks::Model::new());
    model.self_test().unwrap();
    let answer = model.predict(rows, &blocks::Request::default()).unwrap();
    print(answer.probabilities.as_flattened());
    print(&answer.mutual_information);
    let mut state = blocks::State::<{ blocks::state_bytes(ROWS) }>::new();
    state.begin(ROWS, &blocks::Request::DEFAULT).unwrap();
    for samples in [1, 30, blocks::SAMPLES - 31] {
        state.add(samples, rows, &mut model).unwrap();
    }
    assert_eq!(state.answer(&mut model), Ok(answer));

    let mut model = Box::new(members::Model::new());
    let answer = model.predict(rows, &members::Request::DEFAULT).unwrap();
    print(&answer.mean);
    print(&answer.epistemic_between);

    let rows_of_doubles = rows.map(|row| row.map(|x| f64::from(x) + 1e-9));
    let mut model = Box::new(doubles::Model::new());
    model.self_test().unwrap();
    let answer = model.predict(&rows_of_doubles, &doubles::Request::DEFAULT).unwrap();
    print(&answer.mean);
    print(&answer.total);
    let mut state = doubles::State::<{ doubles::state_bytes(ROWS) }>::new();
    state.begin(ROWS, &doubles::Request::DEFAULT).unwrap();
    state.add(doubles::SAMPLES, &rows_of_doubles, &mut model).unwrap();
    assert_eq!(state.answer(&mut model), Ok(answer));
    let refused = model.predict(&[[f64::NAN, 0.0]], &doubles::Request::DEFAULT);
    assert_eq!(refused, Err(doubles::Error::NotFiniteInput));

    let mut model = Box::new(apart::Model::new(&WEIGHTS.0));
    print(model.predict(rows, &apart::Request::DEFAULT).unwrap().probabilities.as_flattened());
    let mut model = Box::new(apart::Model::new(&OTHERS.0));
    assert_eq!(model.predict(rows, &apart::Request::DEFAULT), Err(apart::Error::Weights));
    assert_eq!(apart::OUTPUT_NAMES, ["\"1\"", "\\", "@NAME@"]);
    (0..40).for_each(|rows| println!("{}", blocks::state_bytes(rows)));
}

//! Reads handwritten digits, without `std`: a network that was trained elsewhere, compiled by the build script.

#![no_std]
#![deny(missing_docs, unsafe_op_in_unsafe_fn)]

use core::fmt::Write;
use digits::{Answer, Error, INPUTS, Model, Request, State, state_bytes};

/// The network of `digits.safetensors`, which `cargo run --release --example digits -- --save` wrote.
pub mod digits {
    include!(concat!(env!("OUT_DIR"), "/digits.rs"));
}

/// The test images, which the network was not trained on: 64 pixels each, from 0 to 16.
pub static IMAGES: &[u8] = include_bytes!("../images");

/// A line for each image: the probability of each digit, and the doubt in nats that is in the image and that is in the
/// weights.
///
/// # Errors
/// None: pixels are finite, and so are results.
pub fn answer(model: &mut Model, out: &mut impl Write) -> Result<(), Error> {
    model.self_test()?;
    for (number, pixels) in IMAGES.chunks_exact(INPUTS).enumerate() {
        let mut image = [0.0; INPUTS];
        for (to, pixel) in image.iter_mut().zip(pixels) {
            *to = f32::from(*pixel) / 16.0;
        }
        let request = Request { first_row: number as u64, ..Request::DEFAULT };
        let answer = model.predict(&[image], &request)?;
        if number == 0 {
            // the same a few samples at a time, as a program does that has little of it
            let pieces = in_pieces(model, &image, &request)?;
            assert!(pieces == answer, "{pieces:?} {answer:?}");
        }
        let Answer { probabilities: [probabilities], expected_entropy: [data], mutual_information: [weights], .. } =
            answer;
        let _ = write!(out, "{number}:");
        for probability in probabilities {
            let _ = write!(out, " {probability}");
        }
        let _ = writeln!(out, ", {data} in the image, {weights} in the weights");
    }
    Ok(())
}

/// As many samples as a request asks for, three at a time.
fn in_pieces(model: &mut Model, image: &[f32; INPUTS], request: &Request) -> Result<Answer<1>, Error> {
    let mut state = State::<{ state_bytes(1) }>::new();
    state.begin(1, request)?;
    let mut left = request.samples;
    while left > 0 {
        let samples = left.min(3);
        state.add(samples, &[*image], model)?;
        left -= samples;
    }
    state.answer(model)
}

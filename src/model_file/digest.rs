//! The digest of what a model file says and holds.

use bayeslift_ir::Tensor;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// SHA-256 of a model file's contents, fed piece by piece, in an order that does not depend on where a file has them:
/// see [`ModelFile::digest`](super::ModelFile::digest).
pub struct Contents(Sha256);

impl Contents {
    /// Begins with the description, without the digest itself.
    pub fn of(description: &str) -> Self {
        let mut contents = Contents(Sha256::new());
        contents.piece(description.as_bytes());
        contents
    }

    fn piece(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.0.update(bytes);
    }

    /// Goes on with a number.
    pub fn number(&mut self, number: usize) {
        self.0.update((number as u64).to_le_bytes());
    }

    /// Goes on with a tensor, whose bytes are those that [`Contents::bytes`] is given then.
    pub fn tensor(&mut self, name: &str, element_type: &str, shape: &[usize]) {
        self.piece(name.as_bytes());
        self.piece(element_type.as_bytes());
        self.number(shape.len());
        shape.iter().for_each(|&extent| self.number(extent));
    }

    /// Goes on with bytes of a tensor.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Goes on with the elements of a tensor as a file has them.
    pub fn elements(&mut self, tensor: &Tensor) {
        self.words(tensor.words());
    }

    /// Goes on with words, the lowest byte of each first.
    pub fn words(&mut self, words: impl IntoIterator<Item = u32>) {
        const BUFFER: usize = 4 << 10;
        let mut buffer = Vec::with_capacity(BUFFER);
        for word in words {
            buffer.extend(word.to_le_bytes());
            if buffer.len() == BUFFER {
                self.0.update(&buffer);
                buffer.clear();
            }
        }
        self.0.update(&buffer);
    }

    /// The digest, as hexadecimal digits.
    pub fn finish(self) -> String {
        self.0.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string");
            text
        })
    }
}

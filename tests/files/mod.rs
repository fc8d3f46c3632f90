//! What tests of files share.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A fresh folder for one test.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A safetensors file with this header and this many bytes of data.
pub fn with_header(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

/// Random numbers.
pub struct Random(pub u64);

impl Random {
    /// Those that follow from a seed and the number of a case.
    pub fn of_case(seed: u64, case: u32) -> Self {
        Random(seed ^ u64::from(case).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next number (SplitMix64).
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Says that a test needs what this system has not. Where everything should be there it fails.
pub fn unavailable(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "this test needs {what}");
    eprintln!("skipped: this test needs {what}");
}

/// A file with some damage: bits flipped, bytes changed, removed, repeated or moved.
pub fn damaged(whole: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        // Near the beginning and the end is what says how the rest is read.
        let at = match random.below(4) {
            0 => at % 64,
            1 => bytes.len() - 1 - at % 64.min(bytes.len()),
            _ => at,
        }
        .min(bytes.len() - 1);
        let end = at + random.below(64.min(bytes.len() - at)) + 1;
        match random.below(7) {
            0 | 1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = *[0, 0xff, b'"', b'{', b'}', b'[', b',', b'9', 0x80].get(random.below(9)).unwrap(),
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..end)),
            5 => {
                let part = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, part);
            }
            _ => bytes[at..end].iter_mut().for_each(|byte| *byte = random.next() as u8),
        }
    }
    bytes
}

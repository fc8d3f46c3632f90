//! Compiles the network, and says how a Cortex-M is linked.

use std::env;

/// What cargo runs.
pub fn main() -> Result<(), bayeslift_build::Error> {
    bayeslift_build::Model::new("digits.safetensors").samples(8).row_block(1).compile()?;
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "none") {
        println!("cargo:rustc-link-arg-bins=-T{}/cortex_m.ld", env::var("CARGO_MANIFEST_DIR").unwrap_or_default());
        println!("cargo:rerun-if-changed=cortex_m.ld");
    }
    Ok(())
}

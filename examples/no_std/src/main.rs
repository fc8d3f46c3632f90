//! Prints what the network says of the test images: here, and on a Cortex-M4 through its debugger, or an emulator.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod cortex_m;

#[cfg(not(target_os = "none"))]
fn main() -> Result<(), no_std_example::digits::Error> {
    let mut text = String::new();
    no_std_example::answer(&mut no_std_example::digits::Model::new(), &mut text)?;
    print!("{text}");
    Ok(())
}

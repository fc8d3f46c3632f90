//! The floating-point environment: what is computed here is computed with round to nearest, denormals kept and no
//! exceptions, whatever a host has set; afterwards the host's environment is what it was.

use std::{hint::black_box, marker::PhantomData};

/// The environment that all bits of Bayeslift are defined in, on this thread as long as this lives.
///
/// Dropping it restores the host's environment with the flags of exceptions that the host had raised before: what was
/// computed meanwhile raises none, and clears none. Nested ones are cheap: in the right environment already, entering
/// writes no register.
///
/// Where the machine is not an x86-64 or aarch64 one, nothing is known of its environment, and this does nothing; Rust
/// assumes the default anyway.
///
/// The compiler may move operations on numbers that it holds in registers across both ends. So this is for what calls
/// other functions and works on memory; a few operations on numbers go through [`Environment::within`].
///
/// ```
/// use bayeslift_ir::Environment;
/// let _environment = Environment::enter();
/// assert_eq!(Environment::within(|| 1.0_f32 / 3.0).to_bits(), 0x3eaa_aaab);
/// ```
#[derive(Debug)]
#[must_use = "the host's environment is restored when this is dropped"]
pub struct Environment {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    host: register::State,
    /// It belongs to the thread that entered it.
    _of_this_thread: PhantomData<*const ()>,
}

#[cfg(target_arch = "x86_64")]
mod register {
    /// The register MXCSR: how to compute, and flags of what has happened.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct State(pub u32);

    /// Round to nearest, denormals kept, all exceptions masked, none raised: the state that a process begins with.
    pub const DEFAULT: State = State(0x1f80);
    const FLAGS: u32 = 0x3f;

    impl State {
        pub fn computes_as_default(self) -> bool {
            self.0 & !FLAGS == DEFAULT.0
        }
    }

    pub fn read() -> State {
        let mut mxcsr = 0_u32;
        // SAFETY: stores the register to a local variable.
        unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut mxcsr, options(nostack, preserves_flags)) };
        State(mxcsr)
    }

    // Not `preserves_flags`: those include the exception flags of this register.
    pub fn write(State(mxcsr): State) {
        // SAFETY: the values are the default, which Rust code expects, or what `read` gave; neither has reserved bits
        // set.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &mxcsr, options(nostack, readonly)) };
    }
}

#[cfg(target_arch = "aarch64")]
mod register {
    /// The registers FPCR, how to compute, and FPSR, flags of what has happened.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct State(pub u64, pub u64);

    /// Round to nearest, denormals kept, no traps, no exception raised.
    pub const DEFAULT: State = State(0, 0);

    impl State {
        pub fn computes_as_default(self) -> bool {
            self.0 == DEFAULT.0
        }
    }

    pub fn read() -> State {
        let (fpcr, fpsr): (u64, u64);
        // SAFETY: reads two registers.
        unsafe {
            std::arch::asm!("mrs {}, fpcr", "mrs {}, fpsr", out(reg) fpcr, out(reg) fpsr, options(nostack, preserves_flags));
        }
        State(fpcr, fpsr)
    }

    // Not `preserves_flags`: those include FPSR.
    pub fn write(State(fpcr, fpsr): State) {
        // SAFETY: the values are the default, or what `read` gave.
        unsafe { std::arch::asm!("msr fpcr, {}", "msr fpsr, {}", in(reg) fpcr, in(reg) fpsr, options(nostack)) };
    }
}

impl Environment {
    /// Sets the environment on this thread, until what it gives is dropped.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    #[inline]
    pub fn enter() -> Environment {
        let host = register::read();
        if !host.computes_as_default() {
            register::write(register::DEFAULT);
        }
        Environment { host, _of_this_thread: PhantomData }
    }

    /// Nothing, on this machine.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    pub fn enter() -> Environment {
        Environment { _of_this_thread: PhantomData }
    }

    /// Computes something in the environment, all of it: the compiler knows neither what goes in nor what comes out.
    #[inline]
    pub fn within<T>(compute: impl FnOnce() -> T) -> T {
        let _environment = Environment::enter();
        black_box(black_box(compute)())
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
impl Drop for Environment {
    #[inline]
    fn drop(&mut self) {
        // also where entering wrote nothing: for the flags
        register::write(self.host);
    }
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use super::register::{DEFAULT, State, read, write};
    use super::*;

    /// Rounding up with denormals flushed; exceptions that have been raised.
    #[cfg(target_arch = "x86_64")]
    const OTHERS: [State; 2] = [State(0x1f80 | 0x4000 | 0x8040), State(0x1f80 | 0x04)];
    #[cfg(target_arch = "aarch64")]
    const OTHERS: [State; 2] = [State(1 << 24 | 1 << 22, 0), State(0, 0x02)];

    fn inexact() -> f32 {
        black_box(1.0_f32) / black_box(3.0)
    }

    /// Whether the host has raised exceptions or not, and whatever it has set.
    #[test]
    fn the_hosts_environment_and_its_flags_are_restored() {
        let usual = read();
        for host in [DEFAULT].into_iter().chain(OTHERS) {
            write(host);
            let outer = Environment::enter();
            let (outside, entered) = (inexact(), read());
            let within = Environment::within(inexact);
            drop(outer);
            let restored = read();
            write(usual);
            assert!(entered.computes_as_default(), "{host:?} became {entered:?}");
            assert_ne!(entered, DEFAULT, "the division raised a flag");
            assert_eq!([outside, within].map(f32::to_bits), [0x3eaa_aaab; 2], "in {host:?}");
            assert_eq!(restored, host);
        }
    }
}

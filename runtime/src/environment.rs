//! The floating-point environment: compiled code runs with round to nearest, denormals kept and no exceptions,
//! whatever its host has set; the host's setting is restored.

/// Restores the host's floating-point environment when dropped.
pub(crate) struct Guard {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    host: u64,
}

#[cfg(target_arch = "x86_64")]
mod register {
    /// Round to nearest, denormals kept, all exceptions masked: the state that a process begins with.
    pub const DEFAULT: u64 = 0x1f80;

    pub fn read() -> u64 {
        let mut mxcsr = 0u32;
        // SAFETY: stores the register to a local variable.
        unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut mxcsr, options(nostack, preserves_flags)) };
        u64::from(mxcsr)
    }

    pub fn write(value: u64) {
        let mxcsr = value as u32;
        // SAFETY: the values are the default, which Rust code expects, or what `read` gave; neither has reserved bits set.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &mxcsr, options(nostack, preserves_flags)) };
    }
}

#[cfg(target_arch = "aarch64")]
mod register {
    /// Round to nearest, denormals kept, no traps.
    pub const DEFAULT: u64 = 0;

    pub fn read() -> u64 {
        let fpcr: u64;
        // SAFETY: reads a register.
        unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) fpcr, options(nomem, nostack, preserves_flags)) };
        fpcr
    }

    pub fn write(value: u64) {
        // SAFETY: the values are the default, or what `read` gave.
        unsafe { std::arch::asm!("msr fpcr, {}", in(reg) value, options(nostack, preserves_flags)) };
    }
}

impl Guard {
    /// Sets the environment of compiled code on this thread.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    pub fn enter() -> Guard {
        let host = register::read();
        register::write(register::DEFAULT);
        Guard { host }
    }

    /// Nothing is known of this machine's environment; Rust assumes the default anyway.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    pub fn enter() -> Guard {
        Guard {}
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
impl Drop for Guard {
    fn drop(&mut self) {
        register::write(self.host);
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_setting_is_restored() {
        let host = register::read();
        let flush_to_zero = host | 0x8040;
        register::write(flush_to_zero);
        {
            let _guard = Guard::enter();
            assert_eq!(register::read(), register::DEFAULT);
        }
        let restored = register::read();
        register::write(host);
        assert_eq!(restored, flush_to_zero);
    }
}

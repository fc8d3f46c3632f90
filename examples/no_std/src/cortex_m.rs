//! The start of a program on a Cortex-M, and its ways to print and to end: what crates as `cortex-m-rt` do, in a few
//! lines.

use core::{
    arch::asm,
    cell::UnsafeCell,
    fmt::{self, Write},
    panic::PanicInfo,
};
use no_std_example::digits::Model;

unsafe extern "C" {
    static mut bss_start: u64;
    static mut bss_end: u64;
    fn stack_top();
}

/// What the processor reads first: where the stack begins, and what to run.
#[repr(C)]
struct Vectors {
    stack: unsafe extern "C" fn(),
    reset: unsafe extern "C" fn() -> !,
}

#[unsafe(link_section = ".vectors")]
#[unsafe(no_mangle)]
static VECTORS: Vectors = Vectors { stack: stack_top, reset };

/// The model, which the stack does not have to hold.
struct Lent(UnsafeCell<Model>);

// SAFETY: there is one thread, and `reset` borrows the model once.
unsafe impl Sync for Lent {}

static MODEL: Lent = Lent(UnsafeCell::new(Model::new()));

/// Where the processor begins.
///
/// # Safety
/// It is called once, by the processor.
#[unsafe(no_mangle)]
unsafe extern "C" fn reset() -> ! {
    // SAFETY: nothing was read of the memory that is to be zero, whose ends the linker tells; the address is that of
    // the register that switches the floating-point unit on.
    unsafe {
        let mut at = &raw mut bss_start;
        while at < &raw mut bss_end {
            at.write_volatile(0);
            at = at.add(1);
        }
        let coprocessors = 0xe000_ed88 as *mut u32;
        coprocessors.write_volatile(coprocessors.read_volatile() | 0xf << 20);
        asm!("dsb", "isb");
    }
    // SAFETY: this is the only place that borrows it, and it runs once.
    let model = unsafe { &mut *MODEL.0.get() };
    let result = no_std_example::answer(model, &mut Debugger);
    if let Err(error) = &result {
        let _ = writeln!(Debugger, "{error}");
    }
    leave(result.is_ok())
}

/// Asks the debugger, or the emulator, to do something: "semihosting".
fn ask(operation: u32, argument: *const u32) {
    // SAFETY: it reads what the argument points to, as operations say, and changes one register.
    unsafe { asm!("bkpt 0xab", inout("r0") operation => _, in("r1") argument) }
}

/// Prints through the debugger.
struct Debugger;

impl Write for Debugger {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut bytes = [0; 64];
        for part in text.as_bytes().chunks(bytes.len() - 1) {
            bytes[..part.len()].copy_from_slice(part);
            bytes[part.len()] = 0;
            // a text that ends with a zero
            ask(0x04, bytes.as_ptr().cast());
        }
        Ok(())
    }
}

/// Ends the program, by its own wish.
fn leave(is_well: bool) -> ! {
    let arguments = [0x2_0026, u32::from(!is_well)];
    loop {
        ask(0x20, arguments.as_ptr());
    }
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    let _ = writeln!(Debugger, "{info}");
    leave(false)
}

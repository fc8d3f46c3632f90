//! Code run by the processor itself, for comparison with the model.

use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{Linkage, Module as _, default_libcall_names};

type Function = unsafe extern "C" fn(*const *mut u8, *mut u8, i64, i64);

/// Functions in executable memory.
pub struct Native {
    module: Option<JITModule>,
    functions: Vec<Function>,
}

impl Native {
    /// From code that this machine can run.
    pub fn new(codes: &[Vec<u8>]) -> Native {
        let mut module = JITModule::new(JITBuilder::new(default_libcall_names()).unwrap());
        let define = |(n, code): (usize, &Vec<u8>)| {
            let id = module.declare_function(&format!("f{n}"), Linkage::Local, &module.make_signature()).unwrap();
            module.define_function_bytes(id, 64, code, &[]).unwrap();
            id
        };
        let ids: Vec<_> = codes.iter().enumerate().map(define).collect();
        module.finalize_definitions().unwrap();
        // SAFETY: the code follows the convention of this type.
        let function = |id| unsafe { std::mem::transmute::<*const u8, Function>(module.get_finalized_function(id)) };
        let functions = ids.into_iter().map(function).collect();
        Native { module: Some(module), functions }
    }

    /// Calls a function that was simulated with these arguments before; all memory begins at a multiple of 64 bytes.
    pub fn call(&self, function: usize, arguments: &mut [Vec<u32>], scratch_bytes: usize, begin: i64, end: i64) {
        let mut scratch = Aligned::new(&vec![0; scratch_bytes / 4]);
        let mut memory: Vec<Aligned> = arguments.iter().map(|words| Aligned::new(words)).collect();
        let pointers: Vec<*mut u8> = memory.iter_mut().map(|memory| memory.words().as_mut_ptr().cast()).collect();
        // SAFETY: in the simulation it touched nothing but this memory.
        unsafe { self.functions[function](pointers.as_ptr(), scratch.words().as_mut_ptr().cast(), begin, end) };
        for (words, memory) in arguments.iter_mut().zip(&mut memory) {
            words.copy_from_slice(memory.words());
        }
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        if let Some(module) = self.module.take() {
            // SAFETY: its functions are called through `self` alone.
            unsafe { module.free_memory() };
        }
    }
}

/// Words from a multiple of 64 bytes on.
struct Aligned {
    buffer: Vec<u32>,
    length: usize,
}

impl Aligned {
    fn new(words: &[u32]) -> Aligned {
        let mut aligned = Aligned { buffer: vec![0; words.len() + 16], length: words.len() };
        aligned.words().copy_from_slice(words);
        aligned
    }

    fn words(&mut self) -> &mut [u32] {
        let start = self.buffer.as_ptr().align_offset(64);
        &mut self.buffer[start..start + self.length]
    }
}

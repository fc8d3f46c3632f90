//! What routines ask of the processor and tell it: functions of a few bytes, called by the convention of System V.

use crate::{Architecture, routine::Callee};

/// The environment that all bits are defined in, and which bits of its number say how to compute; the others are flags
/// of what has happened.
pub fn environment(architecture: Architecture) -> (i64, i64) {
    match architecture {
        // MXCSR: round to nearest, denormals kept, no exception traps
        Architecture::X86_64 => (0x1f80, 0xffc0),
        // FPCR in the lower half, FPSR in the upper one
        Architecture::Aarch64 => (0, 0xffff_ffff),
        // FCSR: the rounding mode is above the flags
        Architecture::Riscv64 => (0, 0xe0),
        // the functions of C count from the environment that they know to be right
        Architecture::C99 => (0, -1),
    }
}

/// The code of a function; `None` of a routine, and where there is nothing to ask.
pub(crate) fn code(callee: Callee, architecture: Architecture) -> Option<Vec<u8>> {
    let words = |words: &[u32]| Some(words.iter().flat_map(|word| word.to_le_bytes()).collect());
    match (callee, architecture) {
        (Callee::Routine(_), _) => None,
        // push rax; stmxcsr [rsp]; mov eax, [rsp]; pop rdx; ret
        (Callee::ReadEnvironment, Architecture::X86_64) => {
            Some(vec![0x50, 0x0f, 0xae, 0x1c, 0x24, 0x8b, 0x04, 0x24, 0x5a, 0xc3])
        }
        // push rdi; ldmxcsr [rsp]; pop rax; ret
        (Callee::WriteEnvironment, Architecture::X86_64) => Some(vec![0x57, 0x0f, 0xae, 0x14, 0x24, 0x58, 0xc3]),
        // mrs x0, fpcr; mrs x1, fpsr; orr x0, x0, x1, lsl #32; ret
        (Callee::ReadEnvironment, Architecture::Aarch64) => {
            words(&[0xd53b_4400, 0xd53b_4421, 0xaa01_8000, 0xd65f_03c0])
        }
        // mov w1, w0; msr fpcr, x1; lsr x0, x0, #32; msr fpsr, x0; ret
        (Callee::WriteEnvironment, Architecture::Aarch64) => {
            words(&[0x2a00_03e1, 0xd51b_4401, 0xd360_fc00, 0xd51b_4420, 0xd65f_03c0])
        }
        // frcsr a0; ret
        (Callee::ReadEnvironment, Architecture::Riscv64) => words(&[0x0030_2573, 0x0000_8067]),
        // fscsr a0; ret
        (Callee::WriteEnvironment, Architecture::Riscv64) => words(&[0x0035_1073, 0x0000_8067]),
        (Callee::Level, Architecture::X86_64) => Some(LEVEL.to_vec()),
        (Callee::Level, Architecture::Aarch64 | Architecture::Riscv64) | (_, Architecture::C99) => None,
    }
}

/// Which level of x86-64 this is, by the features that the psABI lists for each, and by the registers that the system
/// saves.
#[rustfmt::skip]
const LEVEL: &[u8] = &[
    0x53,                                     // push rbx
    0xb8, 0x01, 0x00, 0x00, 0x00,             // mov eax, 1
    0x31, 0xc9,                               // xor ecx, ecx
    0x0f, 0xa2,                               // cpuid
    0x41, 0x89, 0xc8,                         // mov r8d, ecx
    0x41, 0xb9, 0x01, 0x00, 0x00, 0x00,       // mov r9d, 1
    0x81, 0xe1, 0x01, 0x22, 0x98, 0x00,       // and ecx, sse3 | ssse3 | cx16 | sse4.1 | sse4.2 | popcnt
    0x81, 0xf9, 0x01, 0x22, 0x98, 0x00,       // cmp ecx, the same
    0x75, 0x67,                               // jne done
    0x41, 0xb9, 0x02, 0x00, 0x00, 0x00,       // mov r9d, 2
    0x41, 0x81, 0xe0, 0x00, 0x10, 0x40, 0x38, // and r8d, fma | movbe | osxsave | avx | f16c
    0x41, 0x81, 0xf8, 0x00, 0x10, 0x40, 0x38, // cmp r8d, the same
    0x75, 0x51,                               // jne done
    0x31, 0xc9,                               // xor ecx, ecx
    0x0f, 0x01, 0xd0,                         // xgetbv
    0x41, 0x89, 0xc2,                         // mov r10d, eax
    0x83, 0xe0, 0x06,                         // and eax, xmm | ymm
    0x83, 0xf8, 0x06,                         // cmp eax, the same
    0x75, 0x41,                               // jne done
    0xb8, 0x07, 0x00, 0x00, 0x00,             // mov eax, 7
    0x31, 0xc9,                               // xor ecx, ecx
    0x0f, 0xa2,                               // cpuid
    0x89, 0xd8,                               // mov eax, ebx
    0x25, 0x28, 0x01, 0x00, 0x00,             // and eax, bmi1 | avx2 | bmi2
    0x3d, 0x28, 0x01, 0x00, 0x00,             // cmp eax, the same
    0x75, 0x2a,                               // jne done
    0x41, 0xb9, 0x03, 0x00, 0x00, 0x00,       // mov r9d, 3
    0x41, 0x81, 0xe2, 0xe6, 0x00, 0x00, 0x00, // and r10d, xmm | ymm | k | zmm
    0x41, 0x81, 0xfa, 0xe6, 0x00, 0x00, 0x00, // cmp r10d, the same
    0x75, 0x14,                               // jne done
    0x81, 0xe3, 0x00, 0x00, 0x03, 0xd0,       // and ebx, avx512 f | dq | cd | bw | vl
    0x81, 0xfb, 0x00, 0x00, 0x03, 0xd0,       // cmp ebx, the same
    0x75, 0x06,                               // jne done
    0x41, 0xb9, 0x04, 0x00, 0x00, 0x00,       // mov r9d, 4
    0x44, 0x89, 0xc8,                         // done: mov eax, r9d
    0x5b,                                     // pop rbx
    0xc3,                                     // ret
];

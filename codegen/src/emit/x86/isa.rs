//! The instruction sets of vector code, and one table of their instructions.

use crate::InstructionSet;
use iced_x86::{Code, Register};

/// An instruction set with vectors wider than Cranelift's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// Vectors of eight lanes in sixteen registers: AVX2 and FMA.
    Avx2,
    /// Vectors of sixteen lanes in thirty-two registers: AVX-512 F and VL.
    Avx512,
}

impl Isa {
    /// The instruction set of a target; `None` if it is another emitter's.
    pub fn of(set: InstructionSet) -> Option<Isa> {
        match set {
            InstructionSet::Scalar | InstructionSet::Simd128 => None,
            InstructionSet::Avx2 => Some(Isa::Avx2),
            InstructionSet::Avx512 => Some(Isa::Avx512),
        }
    }

    /// The number of elements of a vector.
    pub fn lanes(self) -> usize {
        match self {
            Isa::Avx2 => 8,
            Isa::Avx512 => 16,
        }
    }

    /// The vector register of this number, in full or only its first element's part.
    pub(super) fn vector(self, number: u8, wide: bool) -> Register {
        let first = match (wide, self) {
            (false, _) => Register::XMM0,
            (true, Isa::Avx2) => Register::YMM0,
            (true, Isa::Avx512) => Register::ZMM0,
        };
        first + u32::from(number)
    }
}

/// An operation's instructions: VEX for 128 bits, as scalars have, and for whole vectors, EVEX for the same.
#[derive(Clone, Copy)]
pub(super) struct Codes([Code; 4]);

impl Codes {
    pub fn of(self, isa: Isa, wide: bool) -> Code {
        self.0[2 * usize::from(isa == Isa::Avx512) + usize::from(wide)]
    }
}

macro_rules! table {
    ($($name:ident = $($code:ident),*;)*) => { $(pub(super) const $name: Codes = Codes([$(Code::$code),*]);)* };
}

/// Code with doubles has VEX instructions on all machines.
macro_rules! table_of_doubles {
    ($($name:ident = $one:ident, $four:ident;)*) => {
        $(pub(super) const $name: Codes = Codes([Code::$one, Code::$four, Code::INVALID, Code::INVALID]);)*
    };
}

#[rustfmt::skip]
table! {
    ADD = VEX_Vaddps_xmm_xmm_xmmm128, VEX_Vaddps_ymm_ymm_ymmm256, EVEX_Vaddps_xmm_k1z_xmm_xmmm128b32, EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er;
    SUB = VEX_Vsubps_xmm_xmm_xmmm128, VEX_Vsubps_ymm_ymm_ymmm256, EVEX_Vsubps_xmm_k1z_xmm_xmmm128b32, EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er;
    MUL = VEX_Vmulps_xmm_xmm_xmmm128, VEX_Vmulps_ymm_ymm_ymmm256, EVEX_Vmulps_xmm_k1z_xmm_xmmm128b32, EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er;
    DIV = VEX_Vdivps_xmm_xmm_xmmm128, VEX_Vdivps_ymm_ymm_ymmm256, EVEX_Vdivps_xmm_k1z_xmm_xmmm128b32, EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er;
    // the second operand where neither is greater or less
    MAX = VEX_Vmaxps_xmm_xmm_xmmm128, VEX_Vmaxps_ymm_ymm_ymmm256, EVEX_Vmaxps_xmm_k1z_xmm_xmmm128b32, EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae;
    MIN = VEX_Vminps_xmm_xmm_xmmm128, VEX_Vminps_ymm_ymm_ymmm256, EVEX_Vminps_xmm_k1z_xmm_xmmm128b32, EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae;
    FMA231 = VEX_Vfmadd231ps_xmm_xmm_xmmm128, VEX_Vfmadd231ps_ymm_ymm_ymmm256, EVEX_Vfmadd231ps_xmm_k1z_xmm_xmmm128b32, EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er;
    FMA213 = VEX_Vfmadd213ps_xmm_xmm_xmmm128, VEX_Vfmadd213ps_ymm_ymm_ymmm256, EVEX_Vfmadd213ps_xmm_k1z_xmm_xmmm128b32, EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er;
    FMA132 = VEX_Vfmadd132ps_xmm_xmm_xmmm128, VEX_Vfmadd132ps_ymm_ymm_ymmm256, EVEX_Vfmadd132ps_xmm_k1z_xmm_xmmm128b32, EVEX_Vfmadd132ps_zmm_k1z_zmm_zmmm512b32_er;
    SQRT = VEX_Vsqrtps_xmm_xmmm128, VEX_Vsqrtps_ymm_ymmm256, EVEX_Vsqrtps_xmm_k1z_xmmm128b32, EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er;
    ROUND = VEX_Vroundps_xmm_xmmm128_imm8, VEX_Vroundps_ymm_ymmm256_imm8, EVEX_Vrndscaleps_xmm_k1z_xmmm128b32_imm8, EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae;
    TO_FLOAT = VEX_Vcvtdq2ps_xmm_xmmm128, VEX_Vcvtdq2ps_ymm_ymmm256, EVEX_Vcvtdq2ps_xmm_k1z_xmmm128b32, EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er;
    IADD = VEX_Vpaddd_xmm_xmm_xmmm128, VEX_Vpaddd_ymm_ymm_ymmm256, EVEX_Vpaddd_xmm_k1z_xmm_xmmm128b32, EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32;
    ISUB = VEX_Vpsubd_xmm_xmm_xmmm128, VEX_Vpsubd_ymm_ymm_ymmm256, EVEX_Vpsubd_xmm_k1z_xmm_xmmm128b32, EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32;
    AND = VEX_Vpand_xmm_xmm_xmmm128, VEX_Vpand_ymm_ymm_ymmm256, EVEX_Vpandd_xmm_k1z_xmm_xmmm128b32, EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32;
    OR = VEX_Vpor_xmm_xmm_xmmm128, VEX_Vpor_ymm_ymm_ymmm256, EVEX_Vpord_xmm_k1z_xmm_xmmm128b32, EVEX_Vpord_zmm_k1z_zmm_zmmm512b32;
    XOR = VEX_Vpxor_xmm_xmm_xmmm128, VEX_Vpxor_ymm_ymm_ymmm256, EVEX_Vpxord_xmm_k1z_xmm_xmmm128b32, EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32;
    SHL = VEX_Vpslld_xmm_xmm_imm8, VEX_Vpslld_ymm_ymm_imm8, EVEX_Vpslld_xmm_k1z_xmmm128b32_imm8, EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8;
    SHR = VEX_Vpsrld_xmm_xmm_imm8, VEX_Vpsrld_ymm_ymm_imm8, EVEX_Vpsrld_xmm_k1z_xmmm128b32_imm8, EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8;
    SAR = VEX_Vpsrad_xmm_xmm_imm8, VEX_Vpsrad_ymm_ymm_imm8, EVEX_Vpsrad_xmm_k1z_xmmm128b32_imm8, EVEX_Vpsrad_zmm_k1z_zmmm512b32_imm8;
    // without a rotation: shifts, or bytes moved
    ROTATE = VEX_Vpshufb_xmm_xmm_xmmm128, VEX_Vpshufb_ymm_ymm_ymmm256, EVEX_Vprold_xmm_k1z_xmmm128b32_imm8, EVEX_Vprold_zmm_k1z_zmmm512b32_imm8;
    // to vectors without mask registers, to mask registers with them
    COMPARE = VEX_Vcmpps_xmm_xmm_xmmm128_imm8, VEX_Vcmpps_ymm_ymm_ymmm256_imm8, EVEX_Vcmpps_kr_k1_xmm_xmmm128b32_imm8, EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae;
    IEQUAL = VEX_Vpcmpeqd_xmm_xmm_xmmm128, VEX_Vpcmpeqd_ymm_ymm_ymmm256, EVEX_Vpcmpeqd_kr_k1_xmm_xmmm128b32, EVEX_Vpcmpeqd_kr_k1_zmm_zmmm512b32;
    IGREATER = VEX_Vpcmpgtd_xmm_xmm_xmmm128, VEX_Vpcmpgtd_ymm_ymm_ymmm256, EVEX_Vpcmpgtd_kr_k1_xmm_xmmm128b32, EVEX_Vpcmpgtd_kr_k1_zmm_zmmm512b32;
    BLEND = VEX_Vblendvps_xmm_xmm_xmmm128_xmm, VEX_Vblendvps_ymm_ymm_ymmm256_ymm, EVEX_Vblendmps_xmm_k1z_xmm_xmmm128b32, EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32;
    BROADCAST = VEX_Vbroadcastss_xmm_m32, VEX_Vbroadcastss_ymm_m32, EVEX_Vbroadcastss_xmm_k1z_xmmm32, EVEX_Vbroadcastss_zmm_k1z_xmmm32;
    SPLAT = VEX_Vbroadcastss_xmm_xmm, VEX_Vbroadcastss_ymm_xmm, EVEX_Vbroadcastss_xmm_k1z_xmmm32, EVEX_Vbroadcastss_zmm_k1z_xmmm32;
    // between registers and the frame, which is aligned
    MOVE = VEX_Vmovaps_xmm_xmmm128, VEX_Vmovaps_ymm_ymmm256, EVEX_Vmovaps_xmm_k1z_xmmm128, EVEX_Vmovaps_zmm_k1z_zmmm512;
    SPILL = VEX_Vmovaps_xmmm128_xmm, VEX_Vmovaps_ymmm256_ymm, EVEX_Vmovaps_xmmm128_k1z_xmm, EVEX_Vmovaps_zmmm512_k1z_zmm;
    // between registers and memory: all that fits, one word, the words that a mask says
    LOAD = VEX_Vmovups_xmm_xmmm128, VEX_Vmovups_ymm_ymmm256, EVEX_Vmovups_xmm_k1z_xmmm128, EVEX_Vmovups_zmm_k1z_zmmm512;
    STORE = VEX_Vmovups_xmmm128_xmm, VEX_Vmovups_ymmm256_ymm, EVEX_Vmovups_xmmm128_k1z_xmm, EVEX_Vmovups_zmmm512_k1z_zmm;
    LOAD_ONE = VEX_Vmovss_xmm_m32, VEX_Vmovss_xmm_m32, EVEX_Vmovss_xmm_k1z_m32, EVEX_Vmovss_xmm_k1z_m32;
    STORE_ONE = VEX_Vmovss_m32_xmm, VEX_Vmovss_m32_xmm, EVEX_Vmovss_m32_k1_xmm, EVEX_Vmovss_m32_k1_xmm;
    LOAD_SOME = VEX_Vmaskmovps_xmm_xmm_m128, VEX_Vmaskmovps_ymm_ymm_m256, INVALID, INVALID;
    // one element into the place of this number of four, four elements into theirs
    INSERT = VEX_Vinsertps_xmm_xmm_xmmm32_imm8, VEX_Vinsertps_xmm_xmm_xmmm32_imm8, EVEX_Vinsertps_xmm_xmm_xmmm32_imm8, EVEX_Vinsertps_xmm_xmm_xmmm32_imm8;
    INSERT_FOUR = VEX_Vinsertf128_ymm_ymm_xmmm128_imm8, VEX_Vinsertf128_ymm_ymm_xmmm128_imm8, EVEX_Vinsertf32x4_zmm_k1z_zmm_xmmm128_imm8, EVEX_Vinsertf32x4_zmm_k1z_zmm_xmmm128_imm8;
    UNPACK_LOW = VEX_Vunpcklps_xmm_xmm_xmmm128, VEX_Vunpcklps_ymm_ymm_ymmm256, EVEX_Vunpcklps_xmm_k1z_xmm_xmmm128b32, EVEX_Vunpcklps_zmm_k1z_zmm_zmmm512b32;
    UNPACK_HIGH = VEX_Vunpckhps_xmm_xmm_xmmm128, VEX_Vunpckhps_ymm_ymm_ymmm256, EVEX_Vunpckhps_xmm_k1z_xmm_xmmm128b32, EVEX_Vunpckhps_zmm_k1z_zmm_zmmm512b32;
    SHUFFLE = VEX_Vshufps_xmm_xmm_xmmm128_imm8, VEX_Vshufps_ymm_ymm_ymmm256_imm8, EVEX_Vshufps_xmm_k1z_xmm_xmmm128b32_imm8, EVEX_Vshufps_zmm_k1z_zmm_zmmm512b32_imm8;
    HALVES = VEX_Vperm2f128_ymm_ymm_ymmm256_imm8, VEX_Vperm2f128_ymm_ymm_ymmm256_imm8, EVEX_Vshuff64x2_zmm_k1z_zmm_zmmm512b64_imm8, EVEX_Vshuff64x2_zmm_k1z_zmm_zmmm512b64_imm8;
    FROM_INDEX = VEX_Vmovd_xmm_rm32, VEX_Vmovd_xmm_rm32, EVEX_Vmovd_xmm_rm32, EVEX_Vmovd_xmm_rm32;
    TO_INDEX = VEX_Vmovd_rm32_xmm, VEX_Vmovd_rm32_xmm, EVEX_Vmovd_rm32_xmm, EVEX_Vmovd_rm32_xmm;
}

#[rustfmt::skip]
table_of_doubles! {
    ADD_DOUBLE = VEX_Vaddpd_xmm_xmm_xmmm128, VEX_Vaddpd_ymm_ymm_ymmm256;
    SUB_DOUBLE = VEX_Vsubpd_xmm_xmm_xmmm128, VEX_Vsubpd_ymm_ymm_ymmm256;
    MUL_DOUBLE = VEX_Vmulpd_xmm_xmm_xmmm128, VEX_Vmulpd_ymm_ymm_ymmm256;
    DIV_DOUBLE = VEX_Vdivpd_xmm_xmm_xmmm128, VEX_Vdivpd_ymm_ymm_ymmm256;
    MAX_DOUBLE = VEX_Vmaxpd_xmm_xmm_xmmm128, VEX_Vmaxpd_ymm_ymm_ymmm256;
    MIN_DOUBLE = VEX_Vminpd_xmm_xmm_xmmm128, VEX_Vminpd_ymm_ymm_ymmm256;
    SQRT_DOUBLE = VEX_Vsqrtpd_xmm_xmmm128, VEX_Vsqrtpd_ymm_ymmm256;
    ROUND_DOUBLE = VEX_Vroundpd_xmm_xmmm128_imm8, VEX_Vroundpd_ymm_ymmm256_imm8;
    COMPARE_DOUBLE = VEX_Vcmppd_xmm_xmm_xmmm128_imm8, VEX_Vcmppd_ymm_ymm_ymmm256_imm8;
    BLEND_DOUBLE = VEX_Vblendvpd_xmm_xmm_xmmm128_xmm, VEX_Vblendvpd_ymm_ymm_ymmm256_ymm;
    // from and to half as many bits
    WIDEN = VEX_Vcvtps2pd_xmm_xmmm64, VEX_Vcvtps2pd_ymm_xmmm128;
    NARROW = VEX_Vcvtpd2ps_xmm_xmmm128, VEX_Vcvtpd2ps_xmm_ymmm256;
    TO_DOUBLE = VEX_Vcvtdq2pd_xmm_xmmm64, VEX_Vcvtdq2pd_ymm_xmmm128;
    EXTEND = VEX_Vpmovsxdq_xmm_xmmm64, VEX_Vpmovsxdq_ymm_xmmm128;
    BROADCAST_DOUBLE = VEX_Vmovddup_xmm_xmmm64, VEX_Vbroadcastsd_ymm_m64;
    SPLAT_DOUBLE = VEX_Vmovddup_xmm_xmmm64, VEX_Vbroadcastsd_ymm_xmm;
    // one double as the first or the second of two
    LOAD_FIRST = VEX_Vmovsd_xmm_m64, VEX_Vmovsd_xmm_m64;
    LOAD_SECOND = VEX_Vmovhpd_xmm_xmm_m64, VEX_Vmovhpd_xmm_xmm_m64;
}

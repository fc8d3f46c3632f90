/*== checks */
#if defined(__FAST_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__ASSOCIATIVE_MATH__) || \
    defined(__NO_SIGNED_ZEROS__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ > 0)
#error "the results are defined to the bit: compile this file without -ffast-math and what belongs to it"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0 && __FLT_EVAL_METHOD__ != 16
#error "numbers of float have to be computed as float: such as by -msse2 -mfpmath=sse, not by the x87"
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "numbers have to lie in memory with their low bytes first"
#endif
#if PTRDIFF_MAX < 2147483647
#error "addresses have to have at least 32 bits"
#endif

/* No product and sum may become one operation that rounds once, where two are written, and no loop a call of a library. */
#if defined(__clang__)
#pragma clang fp contract(off)
#pragma clang attribute push(__attribute__((no_builtin("memcpy", "memset", "memmove"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off", "no-tree-loop-distribute-patterns")
#else
#pragma STDC FP_CONTRACT OFF
#endif

/* Memory is read and written through types that may alias any other. */
#if defined(__GNUC__)
#define @_ALIAS __attribute__((may_alias))
#define @_INLINE static inline __attribute__((unused))
#else
#define @_ALIAS
#define @_INLINE static inline
#endif
typedef float @_ALIAS @_f32;
typedef uint32_t @_ALIAS @_u32;
typedef uint64_t @_ALIAS @_u64;
typedef void *@_ALIAS @_address;
/*== float_of */
/* The float of these bits, and the bits of a float. */
@_INLINE float @_float_of(uint32_t word)
{
  union { uint32_t word; float number; } x;
  x.word = word;
  return x.number;
}
/*== bits_of */
@_INLINE uint32_t @_bits_of(float number)
{
  union { uint32_t word; float number; } x;
  x.number = number;
  return x.word;
}
/*== double_of_long */
@_INLINE double @_double_of_long(uint64_t bits)
{
  union { uint64_t bits; double number; } x;
  x.bits = bits;
  return x.number;
}
/*== long_of */
@_INLINE uint64_t @_long_of(double number)
{
  union { uint64_t bits; double number; } x;
  x.number = number;
  return x.bits;
}
/*== double_of */
/* The double of these high and low bits. */
@_INLINE double @_double_of(uint32_t high, uint32_t low)
{
  return @_double_of_long(((uint64_t)high << 32u) | low);
}
/*== get_double */
/* A double in memory: two words, the low one first. */
@_INLINE double @_get_double(const @_u32 *at)
{
  return @_double_of(at[1], at[0]);
}
/*== put_double */
@_INLINE void @_put_double(@_u32 *at, double number)
{
  const uint64_t bits = @_long_of(number);
  at[0] = (uint32_t)bits;
  at[1] = (uint32_t)(bits >> 32u);
}
/*== mul */
/* A product. Clang does not heed its own pragma above if it is told -ffp-contract=fast; it knows nothing of what it cannot see. */
@_INLINE float @_mul(float a, float b)
{
  float product = a * b;
#if defined(__clang__) && defined(__FMA__)
  __asm__("" : "+x"(product));
#elif defined(__clang__) && defined(__aarch64__)
  __asm__("" : "+w"(product));
#elif defined(__clang__) && defined(__ARM_FEATURE_FMA)
  __asm__("" : "+t"(product));
#elif defined(__clang__) && defined(__riscv_flen)
  __asm__("" : "+f"(product));
#endif
  return product;
}
/*== mul_double */
@_INLINE double @_mul_double(double a, double b)
{
  double product = a * b;
#if defined(__clang__) && defined(__FMA__)
  __asm__("" : "+x"(product));
#elif defined(__clang__) && defined(__aarch64__)
  __asm__("" : "+w"(product));
#elif defined(__clang__) && defined(__ARM_FEATURE_FMA) && (__ARM_FP & 8)
  __asm__("" : "+w"(product));
#elif defined(__clang__) && defined(__riscv_flen) && __riscv_flen >= 64
  __asm__("" : "+f"(product));
#endif
  return product;
}
/*== fma */
/* a * b + c, rounded once. */
#if !defined(@_SOFTWARE) && (defined(__FP_FAST_FMAF) || (defined(__clang__) && (defined(__FMA__) || defined(__aarch64__) || \
    (defined(__ARM_FEATURE_FMA) && (__ARM_FP & 4)) || defined(__riscv_flen))))
@_INLINE float @_fma(float a, float b, float c)
{
  return __builtin_fmaf(a, b, c);
}
#else
/* By doubles: the product is exact, and the sum is rounded to odd, so that it is the last rounding alone that counts (Boldo and Melquiond, 2008). */
static float @_fma(float a, float b, float c)
{
  const double product = @_mul_double((double)a, (double)b);
  const double other = (double)c;
  const double sum = product + other;
  /* what the sum lacks (Knuth's TwoSum) */
  const double other_part = sum - product;
  const double error = (product - (sum - other_part)) + (other - other_part);
  uint64_t bits = @_long_of(sum);
  if (((bits & 0x7ff0000000000000u) != 0x7ff0000000000000u) && (error != 0.0) && ((bits & 1u) == 0u)) {
    bits = ((error > 0.0) == (sum > 0.0)) ? (bits + 1u) : (bits - 1u);
  }
  return (float)@_double_of_long(bits);
}
#endif
/*== sqrt */
/* A square root, rounded once, by an instruction or else digit by digit. What compilers have for it may call a library, for errno. */
#if !defined(@_SOFTWARE) && (defined(__wasm__) || (defined(__GNUC__) && (defined(__SSE2__) || defined(__aarch64__) || \
    (defined(__ARM_FP) && (__ARM_FP & 4)) || defined(__riscv_flen))))
@_INLINE float @_sqrt(float x)
{
#if defined(__AVX__)
  float root;
  __asm__("vsqrtss %1, %1, %0" : "=x"(root) : "x"(x));
  return root;
#elif defined(__SSE2__)
  float root;
  __asm__("sqrtss %1, %0" : "=x"(root) : "x"(x));
  return root;
#elif defined(__aarch64__)
  float root;
  __asm__("fsqrt %s0, %s1" : "=w"(root) : "w"(x));
  return root;
#elif defined(__arm__)
  float root;
  __asm__("vsqrt.f32 %0, %1" : "=t"(root) : "t"(x));
  return root;
#elif defined(__riscv)
  float root;
  __asm__("fsqrt.s %0, %1" : "=f"(root) : "f"(x));
  return root;
#else
  return __builtin_sqrtf(x);
#endif
}
#else
static float @_sqrt(float x)
{
  const uint32_t word = @_bits_of(x);
  uint32_t mantissa = word & 0x7fffffu;
  const uint32_t biased = (word >> 23u) & 0xffu;
  int32_t exponent = (int32_t)biased;
  uint64_t square, rest = 0u;
  uint32_t root = 0u, i;
  if (((word & 0x7fffffffu) == 0u) || (word == 0x7f800000u)) {
    return x;
  }
  if (word > 0x7f800000u) {
    return @_float_of(0x7fc00000u);
  }
  if (exponent == 0) {
    exponent = 1;
    for (i = 0u; i < 23u; i++) {
      if (mantissa < 0x800000u) {
        mantissa <<= 1u;
        exponent--;
      }
    }
  } else {
    mantissa |= 0x800000u;
  }
  /* the number is square * 2^(exponent - 175), of an even power */
  square = (uint64_t)mantissa << 25u;
  if ((exponent & 1) == 0) {
    square <<= 1u;
    exponent--;
  }
  for (i = 0u; i < 25u; i++) {
    const uint64_t less = ((uint64_t)root << 2u) | 1u;
    rest = (rest << 2u) | ((square >> (48u - (2u * i))) & 3u);
    root <<= 1u;
    if (rest >= less) {
      rest -= less;
      root |= 1u;
    }
  }
  /* half of the last place is never exactly what is left */
  root = (root >> 1u) + (root & 1u);
  return @_float_of(((uint32_t)(((exponent - 175) / 2) + 151) << 23u) + (root - 0x800000u));
}
#endif
/*== sqrt_double */
#if !defined(@_SOFTWARE) && (defined(__wasm__) || (defined(__GNUC__) && (defined(__SSE2__) || defined(__aarch64__) || \
    (defined(__ARM_FP) && (__ARM_FP & 8)) || (defined(__riscv_flen) && __riscv_flen >= 64))))
@_INLINE double @_sqrt_double(double x)
{
#if defined(__AVX__)
  double root;
  __asm__("vsqrtsd %1, %1, %0" : "=x"(root) : "x"(x));
  return root;
#elif defined(__SSE2__)
  double root;
  __asm__("sqrtsd %1, %0" : "=x"(root) : "x"(x));
  return root;
#elif defined(__aarch64__)
  double root;
  __asm__("fsqrt %d0, %d1" : "=w"(root) : "w"(x));
  return root;
#elif defined(__arm__)
  double root;
  __asm__("vsqrt.f64 %P0, %P1" : "=w"(root) : "w"(x));
  return root;
#elif defined(__riscv)
  double root;
  __asm__("fsqrt.d %0, %1" : "=f"(root) : "f"(x));
  return root;
#else
  return __builtin_sqrt(x);
#endif
}
#else
static double @_sqrt_double(double x)
{
  const uint64_t word = @_long_of(x);
  uint64_t square = word & 0xfffffffffffffu;
  const uint64_t biased = (word >> 52u) & 0x7ffu;
  int32_t exponent = (int32_t)biased;
  uint64_t rest = 0u, root = 0u;
  uint32_t i;
  if (((word & 0x7fffffffffffffffu) == 0u) || (word == 0x7ff0000000000000u)) {
    return x;
  }
  if (word > 0x7ff0000000000000u) {
    return @_double_of_long(0x7ff8000000000000u);
  }
  if (exponent == 0) {
    exponent = 1;
    for (i = 0u; i < 52u; i++) {
      if (square < 0x10000000000000u) {
        square <<= 1u;
        exponent--;
      }
    }
  } else {
    square |= 0x10000000000000u;
  }
  /* the number is square * 2^(exponent - 1075), of an even power */
  if ((exponent & 1) == 0) {
    square <<= 1u;
    exponent--;
  }
  for (i = 0u; i < 54u; i++) {
    const uint64_t less = (root << 2u) | 1u;
    rest = (rest << 2u) | ((i < 27u) ? ((square >> (52u - (2u * i))) & 3u) : 0u);
    root <<= 1u;
    if (rest >= less) {
      rest -= less;
      root |= 1u;
    }
  }
  root = (root >> 1u) + (root & 1u);
  return @_double_of_long(((uint64_t)(((exponent - 1129) / 2) + 1076) << 52u) + (root - 0x10000000000000u));
}
#endif
/*== abs */
@_INLINE float @_abs(float x)
{
  return @_float_of(@_bits_of(x) & 0x7fffffffu);
}
/*== abs_double */
@_INLINE double @_abs_double(double x)
{
  return @_double_of_long(@_long_of(x) & 0x7fffffffffffffffu);
}
/*== neg */
@_INLINE float @_neg(float x)
{
  return @_float_of(@_bits_of(x) ^ 0x80000000u);
}
/*== neg_double */
@_INLINE double @_neg_double(double x)
{
  return @_double_of_long(@_long_of(x) ^ 0x8000000000000000u);
}
/*== floor */
/* The largest whole number that is not above. The sign of a zero is that of the number. */
@_INLINE float @_floor(float x)
{
  float whole = x;
  if (@_abs(x) < 8388608.0f) {
    whole = (float)(int32_t)x;
    whole = (whole > x) ? (whole - 1.0f) : whole;
    whole = @_float_of(@_bits_of(whole) | (@_bits_of(x) & 0x80000000u));
  }
  return whole;
}
/*== floor_double */
@_INLINE double @_floor_double(double x)
{
  double whole = x;
  if (@_abs_double(x) < 4503599627370496.0) {
    whole = (double)(int64_t)x;
    whole = (whole > x) ? (whole - 1.0) : whole;
    whole = @_double_of_long(@_long_of(whole) | (@_long_of(x) & 0x8000000000000000u));
  }
  return whole;
}
/*== high_word */
@_INLINE uint32_t @_high_word(double x)
{
  return (uint32_t)(@_long_of(x) >> 32u);
}
/*== low_word */
@_INLINE uint32_t @_low_word(double x)
{
  return (uint32_t)@_long_of(x);
}
/*== at */
/* Numbers of routines have 64 bits, addresses among them. What memory holds at one, and what is put there. */
@_INLINE void *@_at(uint64_t address)
{
  return (void *)(uintptr_t)address;
}
/*== address_of */
@_INLINE uint64_t @_address_of(const void *memory)
{
  return (uint64_t)(uintptr_t)memory;
}
/*== byte */
@_INLINE uint64_t @_byte(uint64_t address)
{
  return *(const uint8_t *)@_at(address);
}
/*== word */
@_INLINE uint64_t @_word(uint64_t address)
{
  return *(const @_u32 *)@_at(address);
}
/*== long */
@_INLINE uint64_t @_long(uint64_t address)
{
  return *(const @_u64 *)@_at(address);
}
/*== listed */
@_INLINE uint64_t @_listed(uint64_t list, uint32_t number)
{
  return (uint64_t)(uintptr_t)((const @_address *)@_at(list))[number];
}
/*== put_byte */
@_INLINE void @_put_byte(uint64_t address, uint64_t number)
{
  *(uint8_t *)@_at(address) = (uint8_t)number;
}
/*== put_word */
@_INLINE void @_put_word(uint64_t address, uint64_t number)
{
  *(@_u32 *)@_at(address) = (uint32_t)number;
}
/*== put_long */
@_INLINE void @_put_long(uint64_t address, uint64_t number)
{
  *(@_u64 *)@_at(address) = number;
}
/*== put_listed */
@_INLINE void @_put_listed(uint64_t list, uint32_t number, uint64_t address)
{
  ((@_address *)@_at(list))[number] = @_at(address);
}
/*== minimum */
@_INLINE uint64_t @_minimum(uint64_t a, uint64_t b)
{
  return (a < b) ? a : b;
}
/*== maximum */
@_INLINE uint64_t @_maximum(uint64_t a, uint64_t b)
{
  return (a > b) ? a : b;
}
/*== read_environment */
/* The floating-point environment: what differs from rounding to nearest, with denormal numbers, without traps, and flags. Where it is not known how to ask, it
   has to be that. */
@_INLINE uint64_t @_read_environment(void)
{
#if defined(__GNUC__) && defined(__SSE2__)
  uint32_t control;
  __asm__ __volatile__("stmxcsr %0" : "=m"(control) : : "memory");
  return (uint64_t)control ^ 0x1f80u;
#elif defined(__GNUC__) && defined(__aarch64__)
  uint64_t control, flags;
  __asm__ __volatile__("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(control), "=r"(flags) : : "memory");
  return (control & 0xffffffffu) | (flags << 32u);
#elif defined(__GNUC__) && defined(__arm__) && defined(__ARM_FP)
  uint32_t control;
  __asm__ __volatile__("vmrs %0, fpscr" : "=r"(control) : : "memory");
  return control;
#elif defined(__GNUC__) && defined(__riscv_flen)
  unsigned long control;
  __asm__ __volatile__("frcsr %0" : "=r"(control) : : "memory");
  return control;
#else
  return 0u;
#endif
}
/*== write_environment */
@_INLINE void @_write_environment(uint64_t environment)
{
#if defined(__GNUC__) && defined(__SSE2__)
  const uint32_t control = (uint32_t)environment ^ 0x1f80u;
  __asm__ __volatile__("ldmxcsr %0" : : "m"(control) : "memory");
#elif defined(__GNUC__) && defined(__aarch64__)
  const uint64_t control = environment & 0xffffffffu, flags = environment >> 32u;
  __asm__ __volatile__("msr fpcr, %0\n\tmsr fpsr, %1" : : "r"(control), "r"(flags) : "memory");
#elif defined(__GNUC__) && defined(__arm__) && defined(__ARM_FP)
  const uint32_t control = (uint32_t)environment;
  __asm__ __volatile__("vmsr fpscr, %0" : : "r"(control) : "memory");
#elif defined(__GNUC__) && defined(__riscv_flen)
  const unsigned long control = (unsigned long)environment;
  __asm__ __volatile__("fscsr %0" : : "r"(control) : "memory");
#else
  (void)environment;
#endif
}
/*== end */
#if defined(__clang__)
#pragma clang attribute pop
#endif

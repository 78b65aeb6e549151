// The one dialect of vectors: as wide as the registers of the instruction set at hand, in the compiler's own terms.
//
// Included by the *_impl.hpp, once by every file that is compiled for an instruction set. Everything has internal
// linkage, so that the linker cannot hand one file's wide code to another.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/inline.hpp"

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#pragma GCC diagnostic ignored "-Wpsabi"

namespace dissensus::simd {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

// One register each.
typedef float Floats __attribute__((vector_size(4 * kLanes)));
typedef std::int32_t Ints __attribute__((vector_size(4 * kLanes)));
typedef double Doubles __attribute__((vector_size(4 * kLanes)));
// Half of one, and two of them.
typedef float HalfFloats __attribute__((vector_size(2 * kLanes)));
typedef double DoublePairs __attribute__((vector_size(8 * kLanes)));
// The same in memory, wherever they lie.
typedef float LooseFloats __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef std::int32_t LooseInts __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef double LooseDoubles __attribute__((vector_size(4 * kLanes), aligned(8), may_alias));
typedef float LooseHalfFloats __attribute__((vector_size(2 * kLanes), aligned(4), may_alias));
typedef double LooseDoublePairs __attribute__((vector_size(8 * kLanes), aligned(8), may_alias));

inline std::int64_t least(std::int64_t a, std::int64_t b) noexcept { return a < b ? a : b; }

// ---- memory
// ----------------------------------------------------------------------------------------------------------

DISSENSUS_INLINE Floats load(const float* from) noexcept { return *reinterpret_cast<const LooseFloats*>(from); }
DISSENSUS_INLINE Ints load(const std::int32_t* from) noexcept { return *reinterpret_cast<const LooseInts*>(from); }
DISSENSUS_INLINE Doubles load(const double* from) noexcept { return *reinterpret_cast<const LooseDoubles*>(from); }
DISSENSUS_INLINE void store(float* to, Floats value) noexcept { *reinterpret_cast<LooseFloats*>(to) = value; }
DISSENSUS_INLINE void store(std::int32_t* to, Ints value) noexcept { *reinterpret_cast<LooseInts*>(to) = value; }
DISSENSUS_INLINE void store(float* to, HalfFloats value) noexcept { *reinterpret_cast<LooseHalfFloats*>(to) = value; }

// kLanes numbers as floats.
DISSENSUS_INLINE Floats load_as_float(const float* from) noexcept { return load(from); }
DISSENSUS_INLINE Floats load_as_float(const double* from) noexcept {
#if defined(__AVX512F__)
    const __m256 low = _mm512_cvtpd_ps(_mm512_loadu_pd(from)), high = _mm512_cvtpd_ps(_mm512_loadu_pd(from + 8));
    return (Floats)_mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
#elif defined(__AVX2__)
    const __m128 low = _mm256_cvtpd_ps(_mm256_loadu_pd(from)), high = _mm256_cvtpd_ps(_mm256_loadu_pd(from + 4));
    return (Floats)_mm256_set_m128(high, low);
#elif defined(__SSE2__)
    return (Floats)_mm_movelh_ps(_mm_cvtpd_ps(_mm_loadu_pd(from)), _mm_cvtpd_ps(_mm_loadu_pd(from + 2)));
#else
    return __builtin_convertvector(DoublePairs(*reinterpret_cast<const LooseDoublePairs*>(from)), Floats);
#endif
}

// kLanes / 2 numbers as doubles.
DISSENSUS_INLINE Doubles load_as_double(const float* from) noexcept {
    return __builtin_convertvector(*reinterpret_cast<const LooseHalfFloats*>(from), Doubles);
}
DISSENSUS_INLINE Doubles load_as_double(const double* from) noexcept { return load(from); }

// ---- arithmetic
// ------------------------------------------------------------------------------------------------------

DISSENSUS_INLINE Floats all(float value) noexcept { return value - Floats{}; }
DISSENSUS_INLINE Doubles all(double value) noexcept { return value - Doubles{}; }
DISSENSUS_INLINE Floats where(Ints mask, Floats yes, Floats no) noexcept { return mask ? yes : no; }
// Of two of which one is NaN, the first.
DISSENSUS_INLINE Floats lesser(Floats a, Floats b) noexcept { return where(a < b, a, b); }
DISSENSUS_INLINE Floats larger(Floats a, Floats b) noexcept { return where(a < b, b, a); }
DISSENSUS_INLINE Floats to_floats(Ints value) noexcept { return __builtin_convertvector(value, Floats); }
DISSENSUS_INLINE HalfFloats to_half_floats(Doubles value) noexcept {
    return __builtin_convertvector(value, HalfFloats);
}

// a b + c, rounded once where the instruction set can.
DISSENSUS_INLINE Floats multiply_add(Floats a, Floats b, Floats c) noexcept {
#if defined(__AVX512F__)
    return (Floats)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
    return (Floats)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
    return (Floats)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}
DISSENSUS_INLINE Doubles multiply_add(Doubles a, Doubles b, Doubles c) noexcept {
#if defined(__AVX512F__)
    return (Doubles)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__)
    return (Doubles)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__aarch64__)
    return (Doubles)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
    return a * b + c;
#endif
}
DISSENSUS_INLINE float multiply_add(float a, float b, float c) noexcept {
#if defined(__FMA__) || defined(__aarch64__)
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

DISSENSUS_INLINE Floats root(Floats x) noexcept {
#if defined(__AVX512F__)
    return (Floats)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);
#elif defined(__AVX2__)
    return (Floats)_mm256_sqrt_ps((__m256)x);
#elif defined(__SSE2__)
    return (Floats)_mm_sqrt_ps((__m128)x);
#else
    for (int i = 0; i < kLanes; ++i) x[i] = __builtin_sqrtf(x[i]);
    return x;
#endif
}

// 1 / x within 2 ulp, for x between 2e-38 and 8e37.
DISSENSUS_INLINE Floats reciprocal(Floats x) noexcept {
#if defined(__AVX512F__)
    const Floats y = (Floats)_mm512_rcp14_ps((__m512)x);
    return multiply_add(multiply_add(-x, y, all(1.0f)), y, y);  // one of Newton's steps
#elif defined(__FMA__)
    const Floats y = (Floats)_mm256_rcp_ps((__m256)x);
    return multiply_add(multiply_add(-x, y, all(1.0f)), y, y);
#else
    return 1.0f / x;
#endif
}

// exp(x) within 1e-6 of its value, for x between -87 and 87.
DISSENSUS_INLINE Floats exponential(Floats x) noexcept {
    const Floats magic = all(12582912.0f);
    const Floats shifted = multiply_add(x, all(1.44269504f), magic);  // its lowest bits are the power of two
    const Floats r = multiply_add(shifted - magic, all(-0.693147181f), x);
    Floats p = multiply_add(all(1.0f / 720.0f), r, all(1.0f / 120.0f));
    p = multiply_add(p, r, all(1.0f / 24.0f));
    p = multiply_add(p, r, all(1.0f / 6.0f));
    p = multiply_add(p, r, all(0.5f));
    p = multiply_add(p, r, all(1.0f));
    p = multiply_add(p, r, all(1.0f));
    return (Floats)((Ints)p + ((Ints)shifted << 23));
}

// ---- over the lanes
// --------------------------------------------------------------------------------------------------

// Whether a lane of a comparison holds.
DISSENSUS_INLINE bool any(Ints mask) noexcept {
#if defined(__AVX512F__)
    return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX2__)
    return _mm256_movemask_ps((__m256)mask) != 0;
#elif defined(__SSE2__)
    return _mm_movemask_ps((__m128)mask) != 0;
#elif defined(__aarch64__)
    return vmaxvq_u32((uint32x4_t)mask) != 0;
#else
    return (mask[0] | mask[1] | mask[2] | mask[3]) != 0;
#endif
}

DISSENSUS_INLINE float sum_of(Floats x) noexcept {
#if defined(__AVX512F__)
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256((__m512)x), _mm512_extractf32x8_ps((__m512)x, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
#elif defined(__AVX2__)
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128((__m256)x), _mm256_extractf128_ps((__m256)x, 1));
#else
    const Floats four = x;
#endif
    return (four[0] + four[2]) + (four[1] + four[3]);
}

DISSENSUS_INLINE double sum_of(Doubles x) noexcept {
#if defined(__AVX512F__)
    typedef double Four __attribute__((vector_size(32)));
    const Four four = __builtin_shufflevector(x, x, 0, 1, 2, 3) + __builtin_shufflevector(x, x, 4, 5, 6, 7);
    return (four[0] + four[2]) + (four[1] + four[3]);
#elif defined(__AVX2__)
    return (x[0] + x[2]) + (x[1] + x[3]);
#else
    return x[0] + x[1];
#endif
}

// All lanes one place down; `last` comes into the last one.
DISSENSUS_INLINE Floats shift_in(Floats x, float last) noexcept {
#if defined(__AVX512F__)
    return (Floats)_mm512_alignr_epi32((__m512i)all(last), (__m512i)x, 1);
#elif defined(__AVX2__)
    return __builtin_shufflevector(x, all(last), 1, 2, 3, 4, 5, 6, 7, 8);
#else
    return __builtin_shufflevector(x, all(last), 1, 2, 3, 4);
#endif
}
DISSENSUS_INLINE Doubles shift_in(Doubles x, double last) noexcept {
#if defined(__AVX512F__)
    return (Doubles)_mm512_alignr_epi64((__m512i)all(last), (__m512i)x, 1);
#elif defined(__AVX2__)
    return __builtin_shufflevector(x, all(last), 1, 2, 3, 4);
#else
    return __builtin_shufflevector(x, all(last), 1, 2);
#endif
}

// The numbers of two vectors side by side: every second one, from the first or from the second on.
#if defined(__AVX512F__)
DISSENSUS_INLINE Floats even(Floats a, Floats b) noexcept {
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}
DISSENSUS_INLINE Floats odd(Floats a, Floats b) noexcept {
    return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}
DISSENSUS_INLINE Floats join(HalfFloats a, HalfFloats b) noexcept {
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
#elif defined(__AVX2__)
DISSENSUS_INLINE Floats even(Floats a, Floats b) noexcept {
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
}
DISSENSUS_INLINE Floats odd(Floats a, Floats b) noexcept {
    return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
}
DISSENSUS_INLINE Floats join(HalfFloats a, HalfFloats b) noexcept {
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7);
}
#else
DISSENSUS_INLINE Floats even(Floats a, Floats b) noexcept { return __builtin_shufflevector(a, b, 0, 2, 4, 6); }
DISSENSUS_INLINE Floats odd(Floats a, Floats b) noexcept { return __builtin_shufflevector(a, b, 1, 3, 5, 7); }
DISSENSUS_INLINE Floats join(HalfFloats a, HalfFloats b) noexcept { return __builtin_shufflevector(a, b, 0, 1, 2, 3); }
#endif

}  // namespace
}  // namespace dissensus::simd

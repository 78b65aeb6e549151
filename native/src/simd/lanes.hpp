// Vectors as wide as the registers of the instruction set at hand, in the compiler's own terms. Included by the other
// *_impl.hpp, once by every file that is compiled for an instruction set.
#pragma once

#include "query/blocks.hpp"
#include "simd/log.hpp"

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#pragma GCC diagnostic ignored "-Wpsabi"

#define DISSENSUS_INLINE inline __attribute__((always_inline))

namespace dissensus {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Floats __attribute__((vector_size(4 * kLanes)));
typedef std::int32_t Ints __attribute__((vector_size(4 * kLanes)));
typedef double Doubles __attribute__((vector_size(8 * kLanes)));
typedef float LooseFloats __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef std::int32_t LooseInts __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef double LooseDoubles __attribute__((vector_size(8 * kLanes), aligned(8), may_alias));

inline std::int64_t least(std::int64_t a, std::int64_t b) noexcept { return a < b ? a : b; }

DISSENSUS_INLINE Floats load(const float* from) noexcept { return *reinterpret_cast<const LooseFloats*>(from); }
DISSENSUS_INLINE Ints load(const std::int32_t* from) noexcept { return *reinterpret_cast<const LooseInts*>(from); }
DISSENSUS_INLINE void store(float* to, Floats value) noexcept { *reinterpret_cast<LooseFloats*>(to) = value; }
DISSENSUS_INLINE void store(std::int32_t* to, Ints value) noexcept { *reinterpret_cast<LooseInts*>(to) = value; }
DISSENSUS_INLINE Floats all(float value) noexcept { return value - Floats{}; }
DISSENSUS_INLINE Floats where(Ints mask, Floats yes, Floats no) noexcept { return mask ? yes : no; }
DISSENSUS_INLINE Floats lesser(Floats a, Floats b) noexcept { return where(a < b, a, b); }
DISSENSUS_INLINE Floats larger(Floats a, Floats b) noexcept { return where(a < b, b, a); }
DISSENSUS_INLINE Floats to_floats(Ints value) noexcept { return __builtin_convertvector(value, Floats); }

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
    return __builtin_convertvector(Doubles(*reinterpret_cast<const LooseDoubles*>(from)), Floats);
#endif
}

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

// As log_normal of log.hpp.
DISSENSUS_INLINE Floats log_normal(Floats x) noexcept {
    constexpr std::int32_t sqrt_half = 0x3F3504F3;
    const Ints above = (Ints)x - sqrt_half;
    const Floats e = to_floats(above >> 23);
    const Floats f = (Floats)((above & 0x007FFFFF) + sqrt_half) - 1.0f;
    const Floats z = f * f;
    Floats y = multiply_add(all(7.0376836292e-2f), f, all(-1.1514610310e-1f));
    y = multiply_add(y, f, all(1.1676998740e-1f));
    y = multiply_add(y, f, all(-1.2420140846e-1f));
    y = multiply_add(y, f, all(1.4249322787e-1f));
    y = multiply_add(y, f, all(-1.6668057665e-1f));
    y = multiply_add(y, f, all(2.0000714765e-1f));
    y = multiply_add(y, f, all(-2.4999993993e-1f));
    y = multiply_add(y, f, all(3.3333331174e-1f));
    y = y * f * z;
    y = multiply_add(e, all(kLn2Low), y);
    y = multiply_add(all(-0.5f), z, y);
    return multiply_add(e, all(kLn2High), f + y);
}

// The even and the odd numbers of two vectors side by side.
#if defined(__clang__)
#define DISSENSUS_PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define DISSENSUS_PICK(a, b, ...) __builtin_shuffle(a, b, Ints{__VA_ARGS__})
#endif

#if defined(__AVX512F__)
DISSENSUS_INLINE Floats even(Floats a, Floats b) noexcept {
    return DISSENSUS_PICK(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}
DISSENSUS_INLINE Floats odd(Floats a, Floats b) noexcept {
    return DISSENSUS_PICK(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}
#elif defined(__AVX2__)
DISSENSUS_INLINE Floats even(Floats a, Floats b) noexcept { return DISSENSUS_PICK(a, b, 0, 2, 4, 6, 8, 10, 12, 14); }
DISSENSUS_INLINE Floats odd(Floats a, Floats b) noexcept { return DISSENSUS_PICK(a, b, 1, 3, 5, 7, 9, 11, 13, 15); }
#else
DISSENSUS_INLINE Floats even(Floats a, Floats b) noexcept { return DISSENSUS_PICK(a, b, 0, 2, 4, 6); }
DISSENSUS_INLINE Floats odd(Floats a, Floats b) noexcept { return DISSENSUS_PICK(a, b, 1, 3, 5, 7); }
#endif

}  // namespace
}  // namespace dissensus

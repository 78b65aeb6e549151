// Vectors of sixteen floats in the compiler's own terms: they become whatever the instruction set at hand has. Included by
// the other *_impl.hpp, once by every file that is compiled for an instruction set.
#pragma once

#include "blocks.hpp"
#include "dissensus/log.hpp"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#pragma GCC diagnostic ignored "-Wpsabi"

#define DISSENSUS_INLINE inline __attribute__((always_inline))

namespace dissensus {
namespace {

typedef float Floats __attribute__((vector_size(64)));
typedef std::int32_t Ints __attribute__((vector_size(64)));
typedef double Doubles __attribute__((vector_size(64)));
typedef float Half __attribute__((vector_size(32)));
typedef float LooseFloats __attribute__((vector_size(64), aligned(4), may_alias));
typedef std::int32_t LooseInts __attribute__((vector_size(64), aligned(4), may_alias));
typedef double LooseDoubles __attribute__((vector_size(64), aligned(8), may_alias));

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
    union {
        Floats whole;
        Half half[2];
    } both;
    both.half[0] = __builtin_convertvector(Doubles(*reinterpret_cast<const LooseDoubles*>(from)), Half);
    both.half[1] = __builtin_convertvector(Doubles(*reinterpret_cast<const LooseDoubles*>(from + 8)), Half);
    return both.whole;
}

// Whether a lane of a comparison holds.
DISSENSUS_INLINE bool any(Ints mask) noexcept {
#if defined(__AVX512F__)
    return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX2__)
    union {
        Ints whole;
        __m256i half[2];
    } both{mask};
    const __m256i joined = _mm256_or_si256(both.half[0], both.half[1]);
    return _mm256_testz_si256(joined, joined) == 0;
#else
    typedef std::int64_t Longs __attribute__((vector_size(64)));
    const Longs pairs = (Longs)mask;
    std::int64_t joined = 0;
    for (int l = 0; l < 8; ++l) joined |= pairs[l];
    return joined != 0;
#endif
}

DISSENSUS_INLINE Floats multiply_add(Floats a, Floats b, Floats c) noexcept {
#if defined(__AVX512F__)
    return (Floats)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
    union Halves {
        Floats whole;
        __m256 half[2];
    };
    Halves x{a}, y{b}, z{c};
    z.half[0] = _mm256_fmadd_ps(x.half[0], y.half[0], z.half[0]);
    z.half[1] = _mm256_fmadd_ps(x.half[1], y.half[1], z.half[1]);
    return z.whole;
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

#if defined(__clang__)
#define DISSENSUS_EVEN(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define DISSENSUS_ODD(a, b) __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
#else
#define DISSENSUS_EVEN(a, b) __builtin_shuffle(a, b, Ints{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30})
#define DISSENSUS_ODD(a, b) __builtin_shuffle(a, b, Ints{1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31})
#endif

}  // namespace
}  // namespace dissensus

// Sixteen tracks of four classes in four vectors of sixteen numbers: the shape of this house's problem, kept in registers
// from the mean to the entropy. Included by blocks_impl.hpp; vectors are the compiler's own, and become whatever
// the instruction set at hand has.
#pragma once

#include "blocks.hpp"
#include "dissensus/log.hpp"

#if defined(__FMA__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

#if defined(__GNUC__)
#define DISSENSUS_TILES 1
#pragma GCC diagnostic ignored "-Wpsabi"

namespace dissensus {
namespace {

typedef float Floats __attribute__((vector_size(64)));
typedef std::int32_t Ints __attribute__((vector_size(64)));
typedef float LooseFloats __attribute__((vector_size(64), aligned(4), may_alias));

#define DISSENSUS_INLINE inline __attribute__((always_inline))

DISSENSUS_INLINE Floats load(const float* from) noexcept { return *reinterpret_cast<const LooseFloats*>(from); }
DISSENSUS_INLINE void store(float* to, Floats value) noexcept { *reinterpret_cast<LooseFloats*>(to) = value; }
DISSENSUS_INLINE Floats all(float value) noexcept { return value - Floats{}; }
DISSENSUS_INLINE Floats where(Ints mask, Floats yes, Floats no) noexcept { return mask ? yes : no; }

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
    const Floats e = __builtin_convertvector(above >> 23, Floats);
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

// Four classes of sixteen tracks, one vector each, from rows side by side.
struct Classes {
    Floats p[4];
};

DISSENSUS_INLINE Classes apart(const Floats rows[4]) noexcept {
    const Floats even0 = DISSENSUS_EVEN(rows[0], rows[1]), odd0 = DISSENSUS_ODD(rows[0], rows[1]);
    const Floats even1 = DISSENSUS_EVEN(rows[2], rows[3]), odd1 = DISSENSUS_ODD(rows[2], rows[3]);
    return {{DISSENSUS_EVEN(even0, even1), DISSENSUS_EVEN(odd0, odd1), DISSENSUS_ODD(even0, even1),
             DISSENSUS_ODD(odd0, odd1)}};
}

// log S - (sum of x log x) / S per track; infinity where float64 must look.
DISSENSUS_INLINE Floats tile_entropy(const Floats rows[4]) noexcept {
    const Classes mean = apart(rows);
    Floats sum = mean.p[0], low = mean.p[0], terms{};
    for (int c = 0; c < 4; ++c) {
        const Floats p = mean.p[c];
        if (c > 0) {
            sum = sum + p;
            low = where(low < p, low, p);
        }
        terms = multiply_add(p, log_normal(where(p > kTiny, p, all(kTiny))), terms);
    }
    const Ints fit = (sum >= 1.0f / 16.0f) & (sum <= 16.0f) & (low >= 0.0f);
    const Floats safe = where(fit, sum, all(1.0f));
    const Floats value = log_normal(safe) - terms / safe;
    return where(fit, where(value > 0.0f, value, Floats{}), all(__builtin_inff()));
}

// Entropy of rows that lie side by side already.
void entropy4(const float* __restrict mean, std::int64_t n, float* __restrict out) noexcept {
    std::int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        Floats rows[4];
        for (int r = 0; r < 4; ++r) rows[r] = load(mean + 4 * i + 16 * r);
        store(out + i, tile_entropy(rows));
    }
    if (i == n) return;
    float some[64] = {}, values[16];
    for (std::int64_t l = 0; l < 4 * (n - i); ++l) some[l] = mean[4 * i + l];
    Floats rows[4];
    for (int r = 0; r < 4; ++r) rows[r] = load(some + 16 * r);
    store(values, tile_entropy(rows));
    for (std::int64_t l = 0; i + l < n; ++l) out[i + l] = values[l];
}

}  // namespace
}  // namespace dissensus
#endif

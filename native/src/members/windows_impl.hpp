// Vectors, exp and reciprocal of the compiled instruction set, and windows laid into lanes; the first part of
// members_impl.hpp.
#pragma once

#include "members/table.hpp"

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#pragma GCC diagnostic ignored "-Wpsabi"

namespace dissensus {
namespace {

#if defined(__AVX512F__)
constexpr int kWide = 16;
#elif defined(__AVX2__)
constexpr int kWide = 8;
#else
constexpr int kWide = 4;
#endif
constexpr int kPair = 2;                 // vectors that one broadcast weight serves
constexpr std::int64_t kFeatures = 128;  // most that are summed up by themselves: their lanes stay in the first cache

#define DISSENSUS_INLINE inline __attribute__((always_inline))

typedef float Wide __attribute__((vector_size(kWide * 4)));
typedef std::int32_t Whole __attribute__((vector_size(kWide * 4)));
typedef double Deep __attribute__((vector_size(kWide * 4)));
typedef float Half __attribute__((vector_size(kWide * 2)));
typedef float LooseWide __attribute__((vector_size(kWide * 4), aligned(4), may_alias));
typedef float LooseHalf __attribute__((vector_size(kWide * 2), aligned(4), may_alias));
typedef double LooseDeep __attribute__((vector_size(kWide * 4), aligned(8), may_alias));

DISSENSUS_INLINE Wide load(const float* from) noexcept { return *reinterpret_cast<const LooseWide*>(from); }
DISSENSUS_INLINE void store(float* to, Wide value) noexcept { *reinterpret_cast<LooseWide*>(to) = value; }
DISSENSUS_INLINE Wide all(float value) noexcept { return value - Wide{}; }
DISSENSUS_INLINE Wide larger(Wide a, Wide b) noexcept { return a > b ? a : b; }

DISSENSUS_INLINE Wide multiply_add(Wide a, Wide b, Wide c) noexcept {
#if defined(__AVX512F__)
    return (Wide)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
    return (Wide)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
    return (Wide)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

// exp within 1e-6 of its value; arguments are held to [-87, 87].
DISSENSUS_INLINE Wide exponential(Wide x) noexcept {
    const Wide low = all(-87.0f), high = all(87.0f), magic = all(12582912.0f);
    x = x > low ? x : low;
    x = x < high ? x : high;
    const Wide shifted = multiply_add(x, all(1.44269504f), magic);  // its lowest bits are the power of two
    const Wide r = multiply_add(shifted - magic, all(-0.693147181f), x);
    Wide p = multiply_add(all(1.0f / 720.0f), r, all(1.0f / 120.0f));
    p = multiply_add(p, r, all(1.0f / 24.0f));
    p = multiply_add(p, r, all(1.0f / 6.0f));
    p = multiply_add(p, r, all(0.5f));
    p = multiply_add(p, r, all(1.0f));
    p = multiply_add(p, r, all(1.0f));
    return (Wide)((Whole)p + ((Whole)shifted << 23));
}

// 1 / x within 2 ulp, for x between 2e-38 and 8e37.
DISSENSUS_INLINE Wide reciprocal(Wide x) noexcept {
#if defined(__AVX512F__)
    const Wide y = (Wide)_mm512_rcp14_ps((__m512)x);
    return multiply_add(multiply_add(-x, y, all(1.0f)), y, y);
#elif defined(__FMA__)
    const Wide y = (Wide)_mm256_rcp_ps((__m256)x);
    return multiply_add(multiply_add(-x, y, all(1.0f)), y, y);
#else
    return 1.0f / x;
#endif
}

// ---- windows into lanes --------------------------------------------------------------------------------------------

// Shuffles within 128 bits: of elements (LOW, HIGH) and of pairs; then of whole 128 bits, every second one (EVEN, ODD).
#if defined(__AVX512F__)
#define DISSENSUS_LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define DISSENSUS_HIGH(a, b) __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define DISSENSUS_LOW_PAIRS(a, b) \
    __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define DISSENSUS_HIGH_PAIRS(a, b) \
    __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#define DISSENSUS_EVEN(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27)
#define DISSENSUS_ODD(a, b) __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31)
#define DISSENSUS_JOIN(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#elif defined(__AVX2__)
#define DISSENSUS_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define DISSENSUS_HIGH(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define DISSENSUS_LOW_PAIRS(a, b) __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define DISSENSUS_HIGH_PAIRS(a, b) __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define DISSENSUS_EVEN(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define DISSENSUS_ODD(a, b) __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15)
#define DISSENSUS_JOIN(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7)
#else
#define DISSENSUS_LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define DISSENSUS_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define DISSENSUS_LOW_PAIRS(a, b) __builtin_shufflevector(a, b, 0, 1, 4, 5)
#define DISSENSUS_HIGH_PAIRS(a, b) __builtin_shufflevector(a, b, 2, 3, 6, 7)
#define DISSENSUS_JOIN(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3)
#endif

DISSENSUS_INLINE Deep deep(const float* from) noexcept {
    return __builtin_convertvector(*reinterpret_cast<const LooseHalf*>(from), Deep);
}
DISSENSUS_INLINE Deep deep(const double* from) noexcept { return *reinterpret_cast<const LooseDeep*>(from); }

// kWide features' mean and inverse: how a row of them is standardised. In float64, or, for float32 of a sane size, with
// what the float32 mean leaves over taken off afterwards, which is within 2 ulp of it.
template <class T>
struct Standard {
    Deep mean[2], inverse[2];

    DISSENSUS_INLINE Standard(const Scaling& s, std::int64_t f, std::int64_t n_features) noexcept {
        double m[kWide] = {}, i[kWide] = {};
        const bool whole = f + kWide <= n_features;
        for (std::int64_t j = 0; !whole && f + j < n_features; ++j) {
            m[j] = s.mean[f + j];
            i[j] = s.inverse[f + j];
        }
        for (int h = 0; h < 2; ++h) {
            mean[h] = deep((whole ? s.mean + f : m) + h * kWide / 2);
            inverse[h] = deep((whole ? s.inverse + f : i) + h * kWide / 2);
        }
    }

    DISSENSUS_INLINE Wide operator()(const T* x) const noexcept {
        const Deep low = (deep(x) - mean[0]) * inverse[0], high = (deep(x + kWide / 2) - mean[1]) * inverse[1];
        return DISSENSUS_JOIN(__builtin_convertvector(low, Half), __builtin_convertvector(high, Half));
    }
};

struct QuickStandard {
    Wide mean, inverse, rest;

    DISSENSUS_INLINE QuickStandard(const Scaling& s, std::int64_t f, std::int64_t n_features) noexcept {
        const std::int64_t padded = quick_floats(n_features) / 3;
        mean = load(s.quick + f);
        inverse = load(s.quick + padded + f);
        rest = load(s.quick + 2 * padded + f);
    }

    DISSENSUS_INLINE Wide operator()(const float* x) const noexcept {
        return multiply_add(load(x) - mean, inverse, rest);
    }
};

// kWide features of kWide windows from rows to lanes.
DISSENSUS_INLINE void transpose(Wide* rows) noexcept {
#pragma GCC unroll 4
    for (int i = 0; i < kWide; i += 4) {
        const Wide a = DISSENSUS_LOW(rows[i], rows[i + 1]), b = DISSENSUS_HIGH(rows[i], rows[i + 1]);
        const Wide c = DISSENSUS_LOW(rows[i + 2], rows[i + 3]), d = DISSENSUS_HIGH(rows[i + 2], rows[i + 3]);
        rows[i] = DISSENSUS_LOW_PAIRS(a, c);
        rows[i + 1] = DISSENSUS_HIGH_PAIRS(a, c);
        rows[i + 2] = DISSENSUS_LOW_PAIRS(b, d);
        rows[i + 3] = DISSENSUS_HIGH_PAIRS(b, d);
    }
#if defined(__AVX512F__)
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
        const Wide a = DISSENSUS_EVEN(rows[j], rows[4 + j]), b = DISSENSUS_ODD(rows[j], rows[4 + j]);
        const Wide c = DISSENSUS_EVEN(rows[8 + j], rows[12 + j]), d = DISSENSUS_ODD(rows[8 + j], rows[12 + j]);
        rows[j] = DISSENSUS_EVEN(a, c);
        rows[4 + j] = DISSENSUS_EVEN(b, d);
        rows[8 + j] = DISSENSUS_ODD(a, c);
        rows[12 + j] = DISSENSUS_ODD(b, d);
    }
#elif defined(__AVX2__)
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
        const Wide a = DISSENSUS_EVEN(rows[j], rows[4 + j]), b = DISSENSUS_ODD(rows[j], rows[4 + j]);
        rows[j] = a;
        rows[4 + j] = b;
    }
#endif
}

// One block: n_rows windows, as far as they go, of n_columns features from `f` on; zeros for the rest. A function of
// its own: inside of a loop sixteen rows would be sixteen pointers. `spoiled` leaves zero where a value is not finite.
template <class How, class T>
__attribute__((noinline)) void lay_block(const T* from, std::int64_t stride, const Scaling& scaling, std::int64_t f,
                                         std::int64_t n_features, std::int64_t n_rows, const T* ahead, float* to,
                                         Wide* spoiled) noexcept {
    const How how(scaling, f, n_features);
    Wide block[kWide], spoil[2] = {spoiled[0], spoiled[1]};
    if (n_rows >= kWide) {
#pragma GCC unroll 16
        for (int i = 0; i < kWide; ++i, from += stride, ahead += stride) {
            __builtin_prefetch(ahead, 0, 3);  // sixteen streams are more than a processor foresees
            block[i] = how(from);
            spoil[i % 2] = multiply_add(block[i], Wide{}, spoil[i % 2]);
        }
    } else {
        for (int i = 0; i < kWide; ++i) {
            block[i] = i < n_rows ? how(from + i * stride) : Wide{};
            spoil[0] = multiply_add(block[i], Wide{}, spoil[0]);
        }
    }
    spoiled[0] = spoil[0];
    spoiled[1] = spoil[1];
    transpose(block);
    if (f + kWide <= n_features) {
#pragma GCC unroll 16
        for (int i = 0; i < kWide; ++i) store(to + i * kLanes, block[i]);
    } else {
        for (int i = 0; i < n_features - f; ++i) store(to + i * kLanes, block[i]);
    }
}

template <class How, class T>
std::int64_t lay_by(const T* X, std::int64_t n_windows, std::int64_t n_features, const Scaling& scaling,
                    float* panels) noexcept {
    const T* const end = X + n_windows * n_features;
    for (std::int64_t first = 0; first < n_windows; first += kLanes) {
        float* panel = panels + first * n_features;
        Wide spoiled[2] = {};
        for (std::int64_t group = 0; group < kLanes; group += kWide) {
            const std::int64_t left = n_windows - first - group;
            const T* rows = X + (first + group) * n_features;
            const T* ahead = left >= 2 * kWide ? rows + kWide * n_features : rows;
            for (std::int64_t f = 0; f < n_features; f += kWide) {
                float* to = panel + f * kLanes + group;
                const std::int64_t n_rows = left < kWide ? (left > 0 ? left : 0) : kWide;
                // The last features of a row are read with the first of the next one; those of the very last rows from
                // a copy.
                if (n_rows == 0 || rows + (n_rows - 1) * n_features + f + kWide <= end) {
                    lay_block<How>(rows + f, n_features, scaling, f, n_features, n_rows, ahead + f, to, spoiled);
                    continue;
                }
                T copy[kWide * kWide] = {};
                for (std::int64_t i = 0; i < n_rows; ++i) {
                    for (std::int64_t j = 0; j < kWide && f + j < n_features; ++j) {
                        copy[i * kWide + j] = rows[i * n_features + f + j];
                    }
                }
                lay_block<How>(copy, kWide, scaling, f, n_features, n_rows, copy, to, spoiled);
            }
        }
        const Wide sum = spoiled[0] + spoiled[1];
        bool clean = true;
        for (int i = 0; i < kWide; ++i) clean &= sum[i] == 0.0f;
        if (clean) continue;
        for (std::int64_t i = 0; i < kLanes; ++i) {
            for (std::int64_t f = 0; f < n_features; ++f) {
                if (!(panel[f * kLanes + i] * 0.0f == 0.0f)) return first + i;
            }
        }
    }
    return -1;
}

std::int64_t lay_f64(const double* X, std::int64_t n_windows, std::int64_t n_features, const Scaling& scaling,
                     float* panels) noexcept {
    return lay_by<Standard<double>>(X, n_windows, n_features, scaling, panels);
}

std::int64_t lay_f32(const float* X, std::int64_t n_windows, std::int64_t n_features, const Scaling& scaling,
                     float* panels) noexcept {
    return scaling.quick != nullptr ? lay_by<QuickStandard>(X, n_windows, n_features, scaling, panels)
                                    : lay_by<Standard<float>>(X, n_windows, n_features, scaling, panels);
}

}  // namespace

}  // namespace dissensus

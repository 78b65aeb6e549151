// Vectors, exp and reciprocal of the compiled instruction set, and windows laid into lanes; the first part of members_impl.hpp.
#include "members.hpp"

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
constexpr int kMostRows = 6;
#elif defined(__AVX2__)
constexpr int kWide = 8;
constexpr int kMostRows = 5;
#else
constexpr int kWide = 4;
constexpr int kMostRows = 5;
#endif
constexpr int kPair = 2;                // vectors that one broadcast weight serves
constexpr std::int64_t kFeatures = 64;  // summed up by themselves: rounding stays small, their lanes in the first cache

constexpr std::int64_t kAhead = 1536;   // floats fetched early: the hardware stops at the end of a page

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

#if defined(__AVX512F__)
#define DISSENSUS_LOWER(a, b) \
    __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define DISSENSUS_UPPER(a, b) \
    __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#define DISSENSUS_JOIN(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#elif defined(__AVX2__)
#define DISSENSUS_LOWER(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define DISSENSUS_UPPER(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#define DISSENSUS_JOIN(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7)
#else
#define DISSENSUS_LOWER(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define DISSENSUS_UPPER(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define DISSENSUS_JOIN(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3)
#endif

DISSENSUS_INLINE Deep deep(const float* from) noexcept {
    return __builtin_convertvector(*reinterpret_cast<const LooseHalf*>(from), Deep);
}
DISSENSUS_INLINE Deep deep(const double* from) noexcept { return *reinterpret_cast<const LooseDeep*>(from); }

// kWide features' mean and inverse: how a row of them is standardised. In float64, or, for float32 of a sane size, with the
// mean in two parts, which is within 2 ulp of it.
template <class T>
struct Standard {
    Deep mean[2], inverse[2];

    DISSENSUS_INLINE Standard(const double* m, const double* s) noexcept
        : mean{deep(m), deep(m + kWide / 2)}, inverse{deep(s), deep(s + kWide / 2)} {}

    DISSENSUS_INLINE Wide operator()(const T* x) const noexcept {
        const Deep low = (deep(x) - mean[0]) * inverse[0], high = (deep(x + kWide / 2) - mean[1]) * inverse[1];
        return DISSENSUS_JOIN(__builtin_convertvector(low, Half), __builtin_convertvector(high, Half));
    }
};

struct QuickStandard {
    Wide mean, rest, inverse;

    DISSENSUS_INLINE QuickStandard(const double* m, const double* s) noexcept {
        const Deep low = deep(m), high = deep(m + kWide / 2);
        const Half rough_low = __builtin_convertvector(low, Half), rough_high = __builtin_convertvector(high, Half);
        mean = DISSENSUS_JOIN(rough_low, rough_high);
        rest = DISSENSUS_JOIN(__builtin_convertvector(low - __builtin_convertvector(rough_low, Deep), Half),
                              __builtin_convertvector(high - __builtin_convertvector(rough_high, Deep), Half));
        inverse = DISSENSUS_JOIN(__builtin_convertvector(deep(s), Half), __builtin_convertvector(deep(s + kWide / 2), Half));
    }

    DISSENSUS_INLINE Wide operator()(const float* x) const noexcept { return ((load(x) - mean) - rest) * inverse; }
};

// kWide features of kWide windows from rows to lanes: interleaving halves log2(kWide) times transposes.
DISSENSUS_INLINE void transpose(Wide* rows) noexcept {
    Wide next[kWide];
#pragma GCC unroll 4
    for (int stage = 1; stage < kWide; stage *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < kWide / 2; ++i) {
            next[2 * i] = DISSENSUS_LOWER(rows[i], rows[i + kWide / 2]);
            next[2 * i + 1] = DISSENSUS_UPPER(rows[i], rows[i + kWide / 2]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < kWide; ++i) rows[i] = next[i];
    }
}

template <class How, class T>
std::int64_t lay_by(const T* X, std::int64_t n_windows, std::int64_t n_features, const double* mean, const double* inverse,
                    float* panels) noexcept {
    const std::int64_t even = n_features / kWide * kWide;
    // The last features, and their means, stand in buffers of full width.
    double last_mean[kWide] = {}, last_inverse[kWide] = {};
    T last[kWide] = {};
    for (std::int64_t f = even; f < n_features; ++f) {
        last_mean[f - even] = mean[f];
        last_inverse[f - even] = inverse[f];
    }
    for (std::int64_t first = 0; first < n_windows; first += kLanes) {
        float* panel = panels + first * n_features;
        Wide spoiled[2] = {};
        for (std::int64_t group = 0; group < kLanes; group += kWide) {
            const std::int64_t left = n_windows - first - group;
            const T* rows = X + (first + group) * n_features;
            Wide block[kWide];
            std::int64_t f = 0;
            for (; f < even && left >= kWide; f += kWide) {
                const How how(mean + f, inverse + f);
                const bool ahead = left >= 2 * kWide;  // sixteen streams are more than a processor foresees
#pragma GCC unroll 16
                for (int i = 0; i < kWide; ++i) {
                    if (ahead) __builtin_prefetch(rows + (kWide + i) * n_features + f, 0, 3);
                    block[i] = how(rows + i * n_features + f);
                    spoiled[i % 2] = multiply_add(block[i], Wide{}, spoiled[i % 2]);
                }
                transpose(block);
#pragma GCC unroll 16
                for (int i = 0; i < kWide; ++i) store(panel + (f + i) * kLanes + group, block[i]);
            }
            for (; f < n_features; f += kWide) {  // the last features, or the last windows
                const bool whole = f < even;
                const How how(whole ? mean + f : last_mean, whole ? inverse + f : last_inverse);
                for (int i = 0; i < kWide; ++i) {
                    block[i] = Wide{};
                    if (i >= left) continue;
                    const T* from = rows + i * n_features + f;
                    if (!whole) {
                        for (std::int64_t j = 0; j < n_features - even; ++j) last[j] = from[j];
                        from = last;
                    }
                    block[i] = how(from);
                    spoiled[0] = multiply_add(block[i], Wide{}, spoiled[0]);
                }
                transpose(block);
                for (int i = 0; i < kWide && f + i < n_features; ++i) store(panel + (f + i) * kLanes + group, block[i]);
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

std::int64_t lay_f64(const double* X, std::int64_t n_windows, std::int64_t n_features, const double* mean,
                     const double* inverse, float* panels) noexcept {
    return lay_by<Standard<double>>(X, n_windows, n_features, mean, inverse, panels);
}

std::int64_t lay_f32(const float* X, std::int64_t n_windows, std::int64_t n_features, const double* mean,
                     const double* inverse, float* panels) noexcept {
    bool sane = true;
    for (std::int64_t f = 0; f < n_features; ++f) {
        sane &= mean[f] < 1e30 && mean[f] > -1e30 && inverse[f] < 1e30 && inverse[f] > 1e-30;
    }
    return sane ? lay_by<QuickStandard>(X, n_windows, n_features, mean, inverse, panels)
                : lay_by<Standard<float>>(X, n_windows, n_features, mean, inverse, panels);
}

}  // namespace

}  // namespace dissensus

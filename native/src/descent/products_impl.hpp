// Products of rows with panels of 32 lanes, and what else a descent is made of; the first part of descent_impl.hpp.
#pragma once

#include "descent/table.hpp"
#include "simd/lanes.hpp"

namespace dissensus {
namespace {

#if defined(__AVX512F__)
constexpr int kModels = 6;  // so many sums are held in registers, two vectors each
#else
constexpr int kModels = 5;
#endif
constexpr std::int64_t kRun =
    128;  // rows summed up by themselves: rounding stays small, their weights in the first cache
constexpr std::int64_t kPad = kPanelRows;

// 1 / (1 + exp(-x)) within 1e-6; far out it stays above 0 and below 1.
DISSENSUS_INLINE Floats sigmoid(Floats x) noexcept {
    x = lesser(larger(-x, all(-80.0f)), all(80.0f));
    const Floats shifted = multiply_add(x, all(1.44269504f), all(12582912.0f));  // its lowest bits are the power of two
    const Floats r = multiply_add(shifted - 12582912.0f, all(-0.693147181f), x);
    Floats p = multiply_add(all(1.0f / 720.0f), r, all(1.0f / 120.0f));
    p = multiply_add(p, r, all(1.0f / 24.0f));
    p = multiply_add(p, r, all(1.0f / 6.0f));
    p = multiply_add(p, r, all(0.5f));
    p = multiply_add(p, r, all(1.0f));
    p = multiply_add(p, r, all(1.0f));
    const Floats below = 1.0f + (Floats)((Ints)p + ((Ints)shifted << 23));
#if defined(__AVX512F__)
    const Floats y = (Floats)_mm512_rcp14_ps((__m512)below);
#elif defined(__AVX2__)
    const Floats y = (Floats)_mm256_rcp_ps((__m256)below);
#else
    return 1.0f / below;
#endif
#if defined(__AVX2__)
    return multiply_add(multiply_add(-below, y, all(1.0f)), y, y);  // one of Newton's steps
#endif
}

DISSENSUS_INLINE float sum_of(Floats sums) noexcept {
#if defined(__AVX512F__)
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256((__m512)sums), _mm512_extractf32x8_ps((__m512)sums, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
#elif defined(__AVX2__)
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128((__m256)sums), _mm256_extractf128_ps((__m256)sums, 1));
#else
    const Floats four = sums;
#endif
    return (four[0] + four[2]) + (four[1] + four[3]);
}

DISSENSUS_INLINE float dot(const float* a, const float* b, std::int64_t n) noexcept {
    Floats sum = {};
    for (std::int64_t i = 0; i < n; i += kLanes) sum = multiply_add(load(a + i), load(b + i), sum);
    return sum_of(sum);
}

// ---- products with panels
// --------------------------------------------------------------------------------------------

// kRows rows of factors by the 32 lanes of one panel; row r goes to out[r], or is added to what is there.
template <int kRows, bool kAdd>
void few_products(const float* panel, std::int64_t n, const float* const* rows, float* const* out) noexcept {
    for (std::int64_t lane = 0; lane < kPad; lane += 2 * kLanes) {
        Floats sum[kRows][2] = {};
        const float* x = panel + lane;
        for (std::int64_t i = 0; i < n; ++i, x += kPad) {
            const Floats low = load(x), high = load(x + kLanes);
#pragma GCC unroll 6
            for (int r = 0; r < kRows; ++r) {
                const Floats a = all(rows[r][i]);
                sum[r][0] = multiply_add(a, low, sum[r][0]);
                sum[r][1] = multiply_add(a, high, sum[r][1]);
            }
        }
        for (int r = 0; r < kRows; ++r) {
            for (int half = 0; half < 2; ++half) {
                float* to = out[r] + lane + half * kLanes;
                store(to, kAdd ? load(to) + sum[r][half] : sum[r][half]);
            }
        }
    }
}

template <bool kAdd>
DISSENSUS_INLINE void products(const float* panel, std::int64_t n, const float* const* rows, std::int64_t n_rows,
                               float* const* out) noexcept {
    switch (n_rows) {
        case 1: return few_products<1, kAdd>(panel, n, rows, out);
        case 2: return few_products<2, kAdd>(panel, n, rows, out);
        case 3: return few_products<3, kAdd>(panel, n, rows, out);
        case 4: return few_products<4, kAdd>(panel, n, rows, out);
        case 5: return few_products<5, kAdd>(panel, n, rows, out);
        default: return few_products<kModels, kAdd>(panel, n, rows, out);
    }
}

void project(const Projection& job) noexcept {
    float tile[kModels][kPad];
    for (std::int64_t b = 0; b < job.n_blocks; ++b) {
        const float* panel = job.basis + b * job.n_features * kPad;
        for (std::int64_t n = 0; n < job.n_rows; n += kModels) {
            const std::int64_t count = least(kModels, job.n_rows - n);
            const float* rows[kModels];
            float* to[kModels];
            for (std::int64_t r = 0; r < count; ++r) {
                rows[r] = job.X + job.row[n + r] * job.n_features;
                to[r] = tile[r];
            }
            products<false>(panel, job.n_features, rows, count, to);
            for (std::int64_t c = 0; c < kPad; ++c) {
                for (std::int64_t r = 0; r < count; ++r) job.out[(b * kPad + c) * job.n_rows + n + r] = tile[r][c];
            }
        }
    }
}

}  // namespace
}  // namespace dissensus

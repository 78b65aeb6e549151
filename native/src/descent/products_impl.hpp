// Products of rows with panels of 32 lanes, and what else a descent is made of. Included by descent_impl.hpp.
#pragma once

#include <cstdint>

#include "dissensus/descent.hpp"
#include "simd/lanes.hpp"

namespace dissensus::descent {
namespace {

using namespace simd;

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
    return reciprocal(1.0f + exponential(lesser(larger(-x, all(-80.0f)), all(80.0f))));
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
}  // namespace dissensus::descent

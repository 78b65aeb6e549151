// Utilities of whole blocks of rows, of any number of classes, and the bounds that spare most of them their logarithms.
// Included by blocks_impl.hpp.
#pragma once

#include "blocks.hpp"
#include "lanes_impl.hpp"
#include "tile_impl.hpp"

namespace dissensus {
namespace {

// Sum and smallest of every row of x, sum of every row of y. The compiler sees how many classes there are (0: it does not).
template <int fixed>
inline void row_sums(const float* x, const float* y, std::int64_t n, std::int64_t n_classes, float* sum_x, float* low_x,
                     float* sum_y) noexcept {
    const std::int64_t k = fixed > 0 ? fixed : n_classes;
    for (std::int64_t i = 0; i < n; ++i) {
        float sx = x[i * k], lx = x[i * k], sy = y[i * k];
        for (std::int64_t c = 1; c < k; ++c) {
            const float value = x[i * k + c];
            sx += value;
            lx = lx < value ? lx : value;
            sy += y[i * k + c];
        }
        sum_x[i] = sx;
        low_x[i] = lx;
        sum_y[i] = sy;
    }
}

inline void row_sums_any(const float* x, const float* y, std::int64_t n, std::int64_t n_classes, float* sum_x,
                         float* low_x, float* sum_y) noexcept {
    switch (n_classes) {
        case 2: return row_sums<2>(x, y, n, n_classes, sum_x, low_x, sum_y);
        case 3: return row_sums<3>(x, y, n, n_classes, sum_x, low_x, sum_y);
        case 4: return row_sums<4>(x, y, n, n_classes, sum_x, low_x, sum_y);
        case 5: return row_sums<5>(x, y, n, n_classes, sum_x, low_x, sum_y);
        case 6: return row_sums<6>(x, y, n, n_classes, sum_x, low_x, sum_y);
        case 8: return row_sums<8>(x, y, n, n_classes, sum_x, low_x, sum_y);
        default: return row_sums<0>(x, y, n, n_classes, sum_x, low_x, sum_y);
    }
}

inline bool fits(float sum, float low) noexcept { return sum >= kLowSum && sum <= kHighSum && low >= 0.0f; }

// Entropy of the rows of `mean`: log S - (sum of x log x) / S.
void entropy_rows(const float* __restrict mean, std::int64_t n, std::int64_t n_classes, float* __restrict out) noexcept {
    float terms[kBlockFloats], sum[kBlockFloats], low[kBlockFloats], sum_terms[kBlockFloats];
    const std::int64_t size = n * n_classes;
    for (std::int64_t j = 0; j < size; ++j) terms[j] = x_log_x(mean[j]);
    row_sums_any(mean, terms, n, n_classes, sum, low, sum_terms);
    for (std::int64_t i = 0; i < n; ++i) {
        const bool fit = fits(sum[i], low[i]);
        const float value = log_normal(fit ? sum[i] : 1.0f) - sum_terms[i] / sum[i];
        out[i] = fit ? (value > 0.0f ? value : 0.0f) : kInfinity;
    }
}

template <int fixed>
inline void margins(const float* __restrict mean, std::int64_t n, std::int64_t n_classes, float* __restrict out) noexcept {
    const std::int64_t k = fixed > 0 ? fixed : n_classes;
    for (std::int64_t i = 0; i < n; ++i) {
        float sum = 0.0f, low = 0.0f, first = 0.0f, second = 0.0f;
        for (std::int64_t c = 0; c < k; ++c) {
            const float value = mean[i * k + c];
            sum += value;
            low = value < low ? value : low;
            const float lesser = value < first ? value : first;
            second = second < lesser ? lesser : second;
            first = first < value ? value : first;
        }
        const bool fit = fits(sum, low);
        const float lead = (first - second) / (fit ? sum : 1.0f);
        out[i] = fit ? 1.0f - lead : kInfinity;
    }
}

void margin_rows(const float* mean, std::int64_t n, std::int64_t n_classes, float* out) noexcept {
    switch (n_classes) {
        case 2: return margins<2>(mean, n, n_classes, out);
        case 3: return margins<3>(mean, n, n_classes, out);
        case 4: return margins<4>(mean, n, n_classes, out);
        default: return margins<0>(mean, n, n_classes, out);
    }
}

// The spread of every row (see tile_spread) and the cube of its sum; NaN where the row is no distribution.
template <int fixed>
inline void row_spreads(const float* __restrict mean, std::int64_t n, std::int64_t n_classes, float* __restrict spread,
                        float* __restrict cube) noexcept {
    const std::int64_t k = fixed > 0 ? fixed : n_classes;
    const float classes = static_cast<float>(k);
    for (std::int64_t i = 0; i < n; ++i) {
        float sum = mean[i * k], low = mean[i * k];
        for (std::int64_t c = 1; c < k; ++c) {
            const float value = mean[i * k + c];
            sum += value;
            low = low < value ? low : value;
        }
        float total = 0.0f;
        for (std::int64_t c = 0; c < k; ++c) {
            const float off = classes * mean[i * k + c] - sum, rest = 3.0f * sum - off;
            total += off * off * (rest > 0.0f ? rest : 0.0f);
        }
        spread[i] = fits(sum, low) ? total : __builtin_nanf("");
        cube[i] = sum * sum * sum;
    }
}

inline void row_spreads_any(const float* mean, std::int64_t n, std::int64_t n_classes, float* spread, float* cube) noexcept {
    switch (n_classes) {
        case 2: return row_spreads<2>(mean, n, n_classes, spread, cube);
        case 3: return row_spreads<3>(mean, n, n_classes, spread, cube);
        case 5: return row_spreads<5>(mean, n, n_classes, spread, cube);
        case 6: return row_spreads<6>(mean, n, n_classes, spread, cube);
        case 7: return row_spreads<7>(mean, n, n_classes, spread, cube);
        case 8: return row_spreads<8>(mean, n, n_classes, spread, cube);
        default: return row_spreads<0>(mean, n, n_classes, spread, cube);
    }
}

// Of up to kScanTracks rows side by side, those that may reach the floor: a bit for every sixteen.
inline std::uint64_t rows_may_reach(const float* mean, std::int64_t n, std::int64_t n_classes, float floor) noexcept {
    float spread[kScanTracks], cube[kScanTracks];
    row_spreads_any(mean, n, n_classes, spread, cube);
    for (std::int64_t i = n; i % kTile != 0; ++i) spread[i] = cube[i] = __builtin_nanf("");
    std::uint64_t found = 0;
    for (std::int64_t i = 0; i < n; i += kLanes) {
        found |= std::uint64_t(any(~(load(spread + i) > floor * load(cube + i)))) << (i / kTile);
    }
    return found;
}

// Of up to kScanTracks utilities, a bit for every sixteen of which one reaches the floor.
inline std::uint64_t reaching(const float* utility, std::int64_t n, float floor) noexcept {
    std::uint64_t found = 0;
    for (std::int64_t i = 0; i < n; i += kTile) {
        int some = 0;
        for (std::int64_t l = i; l < least(i + kTile, n); ++l) some |= utility[l] >= floor;
        found |= std::uint64_t(some) << (i / kTile);
    }
    return found;
}

// Utilities of up to kScanTracks rows side by side: where the bit of a tile is not set, nobody reaches the floor.
inline std::uint64_t scan_rows(int measure, const float* mean, std::int64_t n, std::int64_t n_classes, const Floor& floor,
                               float* out) noexcept {
    if (n_classes == 4) {
        return measure == 2 ? scan_tiles<2>(mean, n, floor, out) : scan_tiles<0>(mean, n, floor, out);
    }
    if (measure == 2) {
        margin_rows(mean, n, n_classes, out);
    } else if (floor.spread < kInfinity && n_classes <= 8) {
        const std::uint64_t found = rows_may_reach(mean, n, n_classes, floor.spread);
        for (std::uint64_t rest = found; rest != 0; rest &= rest - 1) {
            const std::int64_t i = kTile * __builtin_ctzll(rest);
            entropy_rows(mean + i * n_classes, least(kTile, n - i), n_classes, out + i);
        }
        return found;
    } else {
        entropy_rows(mean, n, n_classes, out);
    }
    return reaching(out, n, floor.utility);
}

// ---- divergence of the members from their mean ---------------------------------------------------------------------

template <class T>
inline void kl(const BlockIn<T>& in, const double* weight, double weight_sum, float* out) noexcept {
    float mean[kBlockFloats], row[kBlockFloats], terms[kBlockFloats];
    float sum[kBlockFloats], low[kBlockFloats], sum_terms[kBlockFloats], less[kBlockFloats];
    const std::int64_t n = in.n, k = in.n_classes, size = n * k;
    for (std::int64_t j = 0; j < size; ++j) mean[j] = 0.0f;
    for (std::int64_t i = 0; i < n; ++i) less[i] = 0.0f;
    for (std::int64_t m = 0; m < in.n_members; ++m) {
        const float w = static_cast<float>(weight[m] / weight_sum);
        const T* from = in.first + m * in.member_stride;
        for (std::int64_t j = 0; j < size; ++j) row[j] = static_cast<float>(from[j]);
        for (std::int64_t j = 0; j < size; ++j) terms[j] = x_log_x(row[j]);
        row_sums_any(row, terms, n, k, sum, low, sum_terms);
        for (std::int64_t i = 0; i < n; ++i) {  // the row's entropy, and what the row is scaled by
            const bool fit = fits(sum[i], low[i]);
            const float scale = 1.0f / (fit ? sum[i] : 1.0f);
            const float value = log_normal(fit ? sum[i] : 1.0f) - sum_terms[i] * scale;
            less[i] += fit ? w * value : kInfinity;
            sum[i] = fit ? w * scale : 0.0f;
        }
        if (k == 4) {
            for (std::int64_t i = 0; i < n; ++i) {
                for (int c = 0; c < 4; ++c) mean[4 * i + c] += sum[i] * row[4 * i + c];
            }
        } else {
            for (std::int64_t i = 0; i < n; ++i) {
                for (std::int64_t c = 0; c < k; ++c) mean[i * k + c] += sum[i] * row[i * k + c];
            }
        }
    }
    for (std::int64_t i = 0; i < n; i += kScanTracks) {
        scan_rows(0, mean + i * k, least(kScanTracks, n - i), k, kNoFloor, out + i);
    }
    for (std::int64_t i = 0; i < n; ++i) {
        const bool fit = less[i] < kInfinity;
        const float value = out[i] - (fit ? less[i] : 0.0f);
        out[i] = fit && out[i] < kInfinity ? (value > 0.0f ? value : 0.0f) : kInfinity;
    }
}

}  // namespace
}  // namespace dissensus

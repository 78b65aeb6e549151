// Utilities of whole blocks of rows, of any number of classes. Included by query_impl.hpp.
#pragma once

#include <cstdint>

#include "query/blocks.hpp"
#include "query/columns_impl.hpp"
#include "query/tile_impl.hpp"
#include "simd/lanes.hpp"
#include "simd/log.hpp"

namespace dissensus::query {
namespace {

using namespace simd;

inline bool fits(float sum, float low) noexcept { return sum >= kLowSum && sum <= kHighSum && low >= 0.0f; }

// ---- rows of more than kMostColumns classes, one after the other ----------------------------------------------------

struct RowSums {
    float sum, low, terms;  // terms: the sum of x log x
};

inline RowSums row_sums(const float* __restrict row, std::int64_t n_classes) noexcept {
    float terms[kBlockFloats];
    for (std::int64_t c = 0; c < n_classes; ++c) terms[c] = x_log_x(row[c]);
    RowSums sums{row[0], row[0], x_log_x(row[0])};
    for (std::int64_t c = 1; c < n_classes; ++c) {
        sums.sum += row[c];
        sums.low = sums.low < row[c] ? sums.low : row[c];
        sums.terms += terms[c];
    }
    return sums;
}

inline float row_entropy(const float* row, std::int64_t n_classes) noexcept {
    const RowSums row_of = row_sums(row, n_classes);
    if (!fits(row_of.sum, row_of.low)) return kInfinity;
    const float value = log_normal(row_of.sum) - row_of.terms / row_of.sum;
    return value > 0.0f ? value : 0.0f;
}

inline float row_margin(const float* row, std::int64_t n_classes) noexcept {
    float sum = 0.0f, low = 0.0f, first = 0.0f, second = 0.0f;
    for (std::int64_t c = 0; c < n_classes; ++c) {
        sum += row[c];
        low = row[c] < low ? row[c] : low;
        const float lesser = row[c] < first ? row[c] : first;
        second = second < lesser ? lesser : second;
        first = first < row[c] ? row[c] : first;
    }
    return fits(sum, low) ? 1.0f - (first - second) / sum : kInfinity;
}

template <class T>
inline void kl_rows(const BlockIn<T>& in, const double* weight, double weight_sum, float* out) noexcept {
    float mean[kBlockFloats], row[kBlockFloats];
    for (std::int64_t i = 0; i < in.n; ++i) {
        float less = 0.0f;
        for (std::int64_t c = 0; c < in.n_classes; ++c) mean[c] = 0.0f;
        for (std::int64_t m = 0; m < in.n_members; ++m) {
            const T* from = in.first + m * in.member_stride + i * in.n_classes;
            for (std::int64_t c = 0; c < in.n_classes; ++c) row[c] = static_cast<float>(from[c]);
            const RowSums sums = row_sums(row, in.n_classes);
            const bool fit = fits(sums.sum, sums.low);
            const float share = static_cast<float>(weight[m] / weight_sum), scale = fit ? 1.0f / sums.sum : 0.0f;
            less += fit ? share * (log_normal(sums.sum) - sums.terms * scale) : kInfinity;
            for (std::int64_t c = 0; c < in.n_classes; ++c) mean[c] += share * scale * row[c];
        }
        const float entropy = less < kInfinity ? row_entropy(mean, in.n_classes) : kInfinity;
        out[i] = entropy < kInfinity ? (entropy > less ? entropy - less : 0.0f) : kInfinity;
    }
}

// ---- any rows ------------------------------------------------------------------------------------------------------

// Of up to kScanTracks utilities, a bit for every sixteen of which one reaches the floor.
inline std::uint64_t reaching(const float* utility, std::int64_t n, float floor) noexcept {
    std::uint64_t found = 0;
    for (std::int64_t i = 0; i < n; i += kTile) {
        int some = 0;
        for (std::int64_t l = i; l < least(i + kTile, n); ++l) some |= static_cast<int>(utility[l] >= floor);
        found |= std::uint64_t(some) << (i / kTile);
    }
    return found;
}

// Utilities of up to kScanTracks rows side by side, kSpare numbers behind them: where the bit of a tile is not set,
// nobody reaches the floor.
template <Measure measure>
inline std::uint64_t scan_rows_by(const float* mean, std::int64_t n, std::int64_t n_classes, const Floor& floor,
                                  float* out) noexcept {
    switch (n_classes) {
        case 2: return scan_columns<2, measure>(mean, n, n_classes, floor, out);
        case 3: return scan_columns<3, measure>(mean, n, n_classes, floor, out);
        case 4: return scan_tiles<measure>(mean, n, floor, out);
        case 5: return scan_columns<5, measure>(mean, n, n_classes, floor, out);
        case 6: return scan_columns<6, measure>(mean, n, n_classes, floor, out);
        case 7: return scan_columns<7, measure>(mean, n, n_classes, floor, out);
        case 8: return scan_columns<8, measure>(mean, n, n_classes, floor, out);
        default: break;
    }
    if (n_classes <= kMostColumns) return scan_columns<0, measure>(mean, n, n_classes, floor, out);
    for (std::int64_t i = 0; i < n; ++i) {
        out[i] = measure == Measure::margin ? row_margin(mean + i * n_classes, n_classes)
                                            : row_entropy(mean + i * n_classes, n_classes);
    }
    return reaching(out, n, floor.utility);
}

inline std::uint64_t scan_rows(Measure measure, const float* mean, std::int64_t n, std::int64_t n_classes,
                               const Floor& floor, float* out) noexcept {
    return measure == Measure::margin ? scan_rows_by<Measure::margin>(mean, n, n_classes, floor, out)
                                      : scan_rows_by<Measure::consensus_entropy>(mean, n, n_classes, floor, out);
}

}  // namespace
}  // namespace dissensus::query

// From the members to the utilities of up to kScanTracks tracks in one go. Included by query_impl.hpp.
#pragma once

#include <cstdint>

#include "query/blocks.hpp"
#include "query/divergence_impl.hpp"
#include "query/mean_impl.hpp"
#include "query/measures_impl.hpp"
#include "query/tile_impl.hpp"
#include "simd/log.hpp"

namespace dissensus::query {
namespace {

using namespace simd;

// Four classes, members that fit side by side: the mean never leaves the registers.
template <class T, Measure measure, bool fetch, int at_once>
inline std::uint64_t scan_streams(const BlockIn<T>& in, const Streams<T>& members, const Floor& floor,
                                  float* out) noexcept {
    std::uint64_t found = 0;
    std::int64_t i = 0;
    for (; i + kTile <= in.n; i += kTile) {
        Floats rows[kVectors] = {};
        add_lines<T, fetch, at_once>(members, 4 * i, in.ahead, rows);
        found |= std::uint64_t(scan_tile<measure>(rows, floor, out + i)) << (i / kTile);
    }
    if (i < in.n) {
        float mean[4 * kTile];
        add_streams<T, false>(members, 4 * i, true, 0, 4 * (in.n - i), mean);
        found |= std::uint64_t(scan_some<measure>(mean, in.n - i, floor, out + i)) << (i / kTile);
    }
    return found;
}

template <class T>
inline std::uint64_t scan(Measure measure, const BlockIn<T>& in, const double* weight, double weight_sum,
                          const Floor& floor, float* out) noexcept {
    if (measure == Measure::mean_kl) {
        kl(in, weight, weight_sum, out);
        return reaching(out, in.n, floor.utility);
    }
    if (in.n_classes == 4 && in.n_members <= kStreams) {
        const Streams<T> members(in, weight, weight_sum, 0);
        if (in.ahead == 0) {
            return measure == Measure::margin
                       ? scan_streams<T, Measure::margin, false, kHeld>(in, members, floor, out)
                       : scan_streams<T, Measure::consensus_entropy, false, kHeld>(in, members, floor, out);
        }
        if (measure == Measure::margin) return scan_streams<T, Measure::margin, true, kHeld>(in, members, floor, out);
        return floor.spread < kInfinity
                   ? scan_streams<T, Measure::consensus_entropy, true, kHeld>(in, members, floor, out)
                   : scan_streams<T, Measure::consensus_entropy, true, kHeldLong>(in, members, floor, out);
    }
    float mean[kBlockFloats + kSpare];
    if (in.n_members <= kStreams && in.n_classes <= 32 &&
        in.ahead > 0) {  // a little at a time: memory is never left waiting
        const Streams<T> members(in, weight, weight_sum, 0);
        std::uint64_t found = 0;
        const std::int64_t step = in.n_classes > 3 ? kTile : in.n_classes == 2 ? 2 * kTile : 4 * kTile;  // whole lines
        for (std::int64_t i = 0; i < in.n; i += step) {
            const std::int64_t n = least(step, in.n - i);
            add_streams<T, true>(members, i * in.n_classes, true, in.ahead, n * in.n_classes, mean);
            found |= scan_rows(measure, mean, n, in.n_classes, floor, out + i) << (i / kTile);
        }
        return found;
    }
    mean_of_members(in, weight, weight_sum, mean);
    return scan_rows(measure, mean, in.n, in.n_classes, floor, out);
}

std::uint64_t scan_f32(Measure measure, const BlockIn<float>& in, const double* weight, double weight_sum,
                       const Floor& floor, float* out) noexcept {
    return scan(measure, in, weight, weight_sum, floor, out);
}

std::uint64_t scan_f64(Measure measure, const BlockIn<double>& in, const double* weight, double weight_sum,
                       const Floor& floor, float* out) noexcept {
    return scan(measure, in, weight, weight_sum, floor, out);
}

}  // namespace
}  // namespace dissensus::query

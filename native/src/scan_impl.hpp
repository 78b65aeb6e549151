// From the members to the utilities of up to kScanTracks tracks in one go. Included by blocks_impl.hpp.
#pragma once

#include "blocks.hpp"
#include "mean_impl.hpp"
#include "measures_impl.hpp"
#include "tile_impl.hpp"

namespace dissensus {
namespace {

// Four classes, members that fit side by side: the mean never leaves the registers.
template <class T, int measure, bool fetch>
inline std::uint64_t scan_streams(const BlockIn<T>& in, const Streams<T>& members, const Floor& floor, float* out) noexcept {
    std::uint64_t found = 0;
    std::int64_t i = 0;
    for (; i + kTile <= in.n; i += kTile) {
        Floats rows[4] = {};
        add_lines<T, fetch>(members, 4 * i, in.ahead, rows);
        found |= std::uint64_t(scan_tile<measure>(rows, floor, out + i)) << (i / kTile);
    }
    if (i < in.n) {
        float mean[4 * kTile];
        Streams<T> rest = members;
        rest.first += 4 * i;
        add_streams<T, false>(rest, true, 0, 4 * (in.n - i), mean);
        found |= std::uint64_t(scan_some<measure>(mean, in.n - i, floor, out + i)) << (i / kTile);
    }
    return found;
}

template <class T>
inline std::uint64_t scan(int measure, const BlockIn<T>& in, const double* weight, double weight_sum, const Floor& floor,
                          float* out) noexcept {
    if (measure == 1) {
        kl(in, weight, weight_sum, out);
        return reaching(out, in.n, floor.utility);
    }
    if (in.n_classes == 4 && in.n_members <= kStreams) {
        const Streams<T> members(in, weight, weight_sum, 0);
        if (measure == 2) {
            return in.ahead > 0 ? scan_streams<T, 2, true>(in, members, floor, out)
                                : scan_streams<T, 2, false>(in, members, floor, out);
        }
        return in.ahead > 0 ? scan_streams<T, 0, true>(in, members, floor, out)
                            : scan_streams<T, 0, false>(in, members, floor, out);
    }
    float mean[kBlockFloats];
    mean_of_members(in, weight, weight_sum, mean);
    return scan_rows(measure, mean, in.n, in.n_classes, floor, out);
}

std::uint64_t scan_f32(int measure, const BlockIn<float>& in, const double* weight, double weight_sum, const Floor& floor,
                       float* out) noexcept {
    return scan(measure, in, weight, weight_sum, floor, out);
}

std::uint64_t scan_f64(int measure, const BlockIn<double>& in, const double* weight, double weight_sum, const Floor& floor,
                       float* out) noexcept {
    return scan(measure, in, weight, weight_sum, floor, out);
}

}  // namespace
}  // namespace dissensus

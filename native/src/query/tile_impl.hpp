// Tracks of four classes, one in every lane of four vectors: the shape of mood quadrants, kept in registers from
// the members to the utility. Included by query_impl.hpp.
#pragma once

#include <cstdint>

#include "query/blocks.hpp"
#include "simd/lanes.hpp"
#include "simd/log.hpp"

namespace dissensus::query {
namespace {

using namespace simd;

// Outside of these bounds of a row's sum, float32 is not trusted and float64 looks.
constexpr float kLowSum = 1.0f / 16.0f;
constexpr float kHighSum = 16.0f;

constexpr std::int64_t kTile = 16;            // tracks
constexpr int kVectors = 4 * kTile / kLanes;  // of a tile's rows

// Four classes of as many tracks as there are lanes, one vector each, from rows side by side.
struct Tile {
    Floats p[4];
    Floats sum;
    Ints fit;

    DISSENSUS_INLINE explicit Tile(const Floats rows[4]) noexcept {
        const Floats even0 = even(rows[0], rows[1]), odd0 = odd(rows[0], rows[1]);
        const Floats even1 = even(rows[2], rows[3]), odd1 = odd(rows[2], rows[3]);
        p[0] = even(even0, even1);
        p[1] = even(odd0, odd1);
        p[2] = odd(even0, even1);
        p[3] = odd(odd0, odd1);
        sum = p[0];
        Floats low = p[0];
        for (int c = 1; c < 4; ++c) {
            sum = sum + p[c];
            low = lesser(low, p[c]);
        }
        fit = (sum >= kLowSum) & (sum <= kHighSum) & (low >= 0.0f);
    }
};

// log S - (sum of x log x) / S per track; infinity where float64 must look.
DISSENSUS_INLINE Floats tile_entropy(const Tile& mean) noexcept {
    Floats terms{};
    for (int c = 0; c < 4; ++c) {
        const Floats p = mean.p[c];
        terms = multiply_add(p, log_normal(where(p > kTiny, p, all(kTiny))), terms);
    }
    const Floats safe = where(mean.fit, mean.sum, all(1.0f));
    const Floats value = log_normal(safe) - terms / safe;
    return where(mean.fit, where(value > 0.0f, value, Floats{}), all(kInfinity));
}

// How far the first class is ahead of the second.
DISSENSUS_INLINE Floats tile_lead(const Tile& mean) noexcept {
    const Floats high0 = larger(mean.p[0], mean.p[1]), low0 = lesser(mean.p[0], mean.p[1]);
    const Floats high1 = larger(mean.p[2], mean.p[3]), low1 = lesser(mean.p[2], mean.p[3]);
    return larger(high0, high1) - larger(lesser(high0, high1), larger(low0, low1));
}

DISSENSUS_INLINE Floats tile_margin(const Tile& mean) noexcept {
    const Floats lead = tile_lead(mean) / where(mean.fit, mean.sum, all(1.0f));
    return where(mean.fit, 1.0f - lead, all(kInfinity));
}

// What the entropy falls short of log C by is at least spread / (6 C S^3), S the row's sum. With y = C p / S and d = y
// - 1, y log y >= d + d^2 / 2 - d^3 / 6 (the fourth derivative, 2 / y^3, is positive) and y log y >= d; the d add up to
// nothing.
DISSENSUS_INLINE Floats tile_spread(const Tile& mean) noexcept {
    const Floats three = 3.0f * mean.sum;
    Floats spread{};
    for (int c = 0; c < 4; ++c) {
        const Floats off = 4.0f * mean.p[c] - mean.sum;
        spread = multiply_add(off * off, larger(three - off, Floats{}), spread);
    }
    return spread;
}

DISSENSUS_INLINE Floats tile_cube(const Tile& mean) noexcept { return mean.sum * mean.sum * mean.sum; }

DISSENSUS_INLINE bool tile_may_reach(const Tile& mean, float spread) noexcept {
    return any(~(mean.fit & (tile_spread(mean) > spread * tile_cube(mean))));
}

// Utilities of sixteen tracks into out[0..15]; false, and perhaps nothing written, if none of them reaches the floor.
template <Measure measure>
DISSENSUS_INLINE bool scan_tile(const Floats rows[kVectors], const Floor& floor, float* out) noexcept {
    bool found = false;
    for (int part = 0; part < kVectors / 4; ++part) {
        const Tile mean(rows + 4 * part);
        Floats utility = all(-kInfinity);
        if (measure == Measure::margin) {
            utility = tile_margin(mean);
        } else if (!(floor.spread < kInfinity) || tile_may_reach(mean, floor.spread)) {
            utility = tile_entropy(mean);
        } else if (kVectors == 4) {
            return false;
        }
        store(out + part * kLanes, utility);
        found |= any(utility >= floor.utility);
    }
    return found;
}

// As scan_tile, of at most sixteen tracks that lie side by side.
template <Measure measure>
inline bool scan_some(const float* mean, std::int64_t n, const Floor& floor, float* out) noexcept {
    float padded[4 * kTile] = {}, values[kTile];
    for (std::int64_t j = 0; j < 4 * n; ++j) padded[j] = mean[j];
    Floats rows[kVectors];
    for (int r = 0; r < kVectors; ++r) rows[r] = load(padded + kLanes * r);
    const bool found = scan_tile<measure>(rows, floor, values);
    for (std::int64_t i = 0; found && i < n; ++i) out[i] = values[i];
    return found;
}

// Up to kScanTracks rows that lie side by side; a bit for every tile that may reach the floor.
template <Measure measure>
inline std::uint64_t scan_tiles(const float* mean, std::int64_t n, const Floor& floor, float* out) noexcept {
    std::uint64_t found = 0;
    std::int64_t i = 0;
    for (; i + kTile <= n; i += kTile) {
        Floats rows[kVectors];
        for (int r = 0; r < kVectors; ++r) rows[r] = load(mean + 4 * i + kLanes * r);
        found |= std::uint64_t(scan_tile<measure>(rows, floor, out + i)) << (i / kTile);
    }
    if (i < n) found |= std::uint64_t(scan_some<measure>(mean + 4 * i, n - i, floor, out + i)) << (i / kTile);
    return found;
}

}  // namespace
}  // namespace dissensus::query

// The running mean: whole-number totals, their utilities, and what the best of a block of tracks can come to at most.
// Included by query_impl.hpp.
#pragma once

#include <cstdint>

#include "query/blocks.hpp"
#include "query/measures_impl.hpp"
#include "simd/lanes.hpp"
#include "simd/log.hpp"

namespace dissensus::query {
namespace {

using namespace simd;

inline std::int32_t share(float p, float factor) noexcept {
    const bool fit = p >= 0.0f && p <= 1.5f;
    return static_cast<std::int32_t>((fit ? p : 0.0f) * factor + 0.5f);
}

template <class T>
inline bool replace(std::int32_t* __restrict total, T* __restrict held, const T* __restrict rows, bool first,
                    float factor, std::int64_t n) noexcept {
    int odd = 0;
    if (first) {
        for (std::int64_t j = 0; j < n; ++j) {
            const float p = static_cast<float>(rows[j]);
            odd |= !(p >= 0.0f) | !(p <= 1.5f);
            total[j] += share(p, factor);
            held[j] = rows[j];
        }
    } else {
        for (std::int64_t j = 0; j < n; ++j) {
            const float p = static_cast<float>(rows[j]);
            odd |= !(p >= 0.0f) | !(p <= 1.5f);
            total[j] += share(p, factor) - share(static_cast<float>(held[j]), factor);
            held[j] = rows[j];
        }
    }
    return odd != 0;
}

bool replace_f32(std::int32_t* total, float* held, const float* rows, bool first, float factor,
                 std::int64_t n) noexcept {
    return replace(total, held, rows, first, factor, n);
}

bool replace_f64(std::int32_t* total, double* held, const double* rows, bool first, float factor,
                 std::int64_t n) noexcept {
    return replace(total, held, rows, first, factor, n);
}

bool holds_odd(const std::uint16_t* odd, std::int64_t n) noexcept {
    int found = 0;
    for (std::int64_t i = 0; i < n; ++i) found |= odd[i];
    return found != 0;
}

inline void scale(const std::int32_t* total, std::int64_t n, float unit, float* mean) noexcept {
    for (std::int64_t j = 0; j < n; ++j) mean[j] = static_cast<float>(total[j]) * unit;
}

template <Measure measure>
inline std::uint64_t scan_total_tiles(const std::int32_t* total, std::int64_t n, float unit, const Floor& floor,
                                      float* out) noexcept {
    std::uint64_t found = 0;
    std::int64_t i = 0;
    for (; i + kTile <= n; i += kTile) {
        Floats rows[kVectors];
        for (int r = 0; r < kVectors; ++r) rows[r] = to_floats(load(total + 4 * i + kLanes * r)) * unit;
        found |= std::uint64_t(scan_tile<measure>(rows, floor, out + i)) << (i / kTile);
    }
    if (i < n) {
        float mean[4 * kTile];
        scale(total + 4 * i, 4 * (n - i), unit, mean);
        found |= std::uint64_t(scan_some<measure>(mean, n - i, floor, out + i)) << (i / kTile);
    }
    return found;
}

std::uint64_t scan_total(Measure measure, const std::int32_t* total, std::int64_t n, std::int64_t n_classes, float unit,
                         const Floor& floor, float* out) noexcept {
    if (n_classes == 4) {
        return measure == Measure::margin ? scan_total_tiles<Measure::margin>(total, n, unit, floor, out)
                                          : scan_total_tiles<Measure::consensus_entropy>(total, n, unit, floor, out);
    }
    float mean[kBlockFloats + kSpare];
    scale(total, n * n_classes, unit, mean);
    return scan_rows(measure, mean, n, n_classes, floor, out);
}

// Least spread / sum^3 and least lead / sum of some tracks; minus infinity if float64 must look at one of them.
struct Least {
    Floats spread = all(kInfinity), lead = all(kInfinity);

    DISSENSUS_INLINE void take(Ints fit, Floats sum, Floats track_spread, Floats track_lead) noexcept {
        const Floats off = all(-kInfinity), part = 1.0f / where(fit, sum, all(1.0f));
        spread = lesser(spread, where(fit, track_spread * (part * part * part), off));
        lead = lesser(lead, where(fit, track_lead * part, off));
    }
    DISSENSUS_INLINE void take(const Tile& mean) noexcept {
        take(mean.fit, mean.sum, tile_spread(mean), tile_lead(mean));
    }
    template <int fixed>
    DISSENSUS_INLINE void take(const RowLanes<fixed>& mean) noexcept {
        take(mean.fit, mean.sum, mean.spread(), mean.lead());
    }
    void put(float* least_spread, float* least_lead) const noexcept {
        *least_spread = *least_lead = kInfinity;
        for (int l = 0; l < kLanes; ++l) {
            *least_spread = spread[l] < *least_spread ? spread[l] : *least_spread;
            *least_lead = lead[l] < *least_lead ? lead[l] : *least_lead;
        }
    }
};

// Of at most kMostColumns classes.
template <int fixed>
inline void take_columns(const std::int32_t* total, std::int64_t n, std::int64_t n_classes, float unit,
                         Least& least_of) noexcept {
    constexpr std::int64_t room = fixed > 0 ? fixed : kMostColumns;
    const std::int64_t k = fixed > 0 ? fixed : n_classes;
    float mean[room * kLanes + kSpare];
    Floats p[room];
    for (std::int64_t i = 0; i < n; i += kLanes) {
        const std::int64_t some = least(kLanes, n - i);
        scale(total + i * k, some * k, unit, mean);
        for (std::int64_t j = some * k; j < kLanes * k; ++j) mean[j] = mean[j - k];  // the last one again and again
        to_columns<fixed>(mean, k, p);
        least_of.take(RowLanes<fixed>(p, k));
    }
}

void least_spread(const std::int32_t* total, std::int64_t n, std::int64_t n_classes, float unit, float* spread,
                  float* lead) noexcept {
    Least least_of;
    switch (n_classes) {
        case 2: take_columns<2>(total, n, n_classes, unit, least_of); break;
        case 3: take_columns<3>(total, n, n_classes, unit, least_of); break;
        case 4: take_columns<4>(total, n, n_classes, unit, least_of); break;
        default:
            if (n_classes <= kMostColumns) {
                take_columns<0>(total, n, n_classes, unit, least_of);
            } else if (n > 0) {  // no bound
                least_of.spread = least_of.lead = all(-kInfinity);
            }
    }
    least_of.put(spread, lead);
}

DISSENSUS_INLINE Ints share(Floats p, Ints fit, float factor) noexcept {
    return __builtin_convertvector(where(fit, p, Floats{}) * factor + 0.5f, Ints);
}

constexpr std::int64_t kFarAhead = 2048;  // numbers: three streams are fetched over the ends of their pages

// replace_f32 (of a member that had a share) and least_spread in one go: sixteen tracks of four classes at a time.
bool replace_tiles(std::int32_t* total, float* held, const float* rows, float factor, std::int64_t n, float unit,
                   float* spread, float* lead) noexcept {
    Least least_of;
    Ints fit = ~Ints{};
    for (std::int64_t i = 0; i < n; i += kLanes) {
        Floats mean[4];
        for (int r = 0; r < 4; ++r) {
            const std::int64_t j = 4 * i + kLanes * r;
            __builtin_prefetch(rows + j + kFarAhead, 0, 2);
            __builtin_prefetch(held + j + kFarAhead, 1, 2);
            __builtin_prefetch(total + j + kFarAhead, 1, 2);
            const Floats now = load(rows + j), before = load(held + j);
            const Ints sane = (now >= 0.0f) & (now <= 1.5f);
            const Ints less = share(before, (before >= 0.0f) & (before <= 1.5f), factor);
            const Ints sum = load(total + j) + (share(now, sane, factor) - less);
            store(total + j, sum);
            store(held + j, now);
            fit &= sane;
            mean[r] = to_floats(sum) * unit;
        }
        least_of.take(Tile(mean));
    }
    least_of.put(spread, lead);
    return any(~fit);
}

}  // namespace
}  // namespace dissensus::query

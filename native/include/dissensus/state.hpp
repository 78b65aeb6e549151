// The running mean of a committee, in whole numbers: sums that do not depend on the order in which shares are replaced.
//
// A share is round(p * factor) with factor = weight / (sum of weights) * 2^30; numbers outside [0, 1.5] add nothing and
// are counted in `odd`, so that their tracks are scored in float64 from the rows themselves.
#pragma once

#include <cstdint>

#include "dissensus/entropy.hpp"

namespace dissensus::query {

constexpr double kShareUnit = 1073741824.0;  // 2^30: shares of all members sum to at most 1.5 * 2^30

/// Tracks that share a ceiling.
constexpr std::int64_t kCeilingTracks = 256;

struct Totals {
    std::int64_t n_tracks;
    std::int32_t* total;  ///< (n_tracks, n_classes)
    std::uint16_t* odd;   ///< (n_tracks,)
    float* ceiling;  ///< (ceil(n_tracks / 256), 2): at least the entropy and the margin of the best of so many tracks
};

/// Set the ceilings of the tracks start..stop-1, and of those that share one with them.
void refresh_ceilings(const Totals& totals, std::int64_t n_classes, std::int64_t start, std::int64_t stop) noexcept;

/// Replace a member's rows of tracks start..stop-1 in `held` by `rows`, and its share of the totals. With `first` what
/// was held counts for nothing: the member adds its first share, and the ceilings are to be refreshed when all have.
template <class T>
void replace_share(const Totals& totals, T* held, const T* rows, bool first, double factor, std::int64_t n_classes,
                   std::int64_t start, std::int64_t stop) noexcept;

/// Utility (consensus entropy or margin) of tracks start..stop-1 into out[start..stop-1].
template <class T>
void state_utility(Measure measure, const Totals& totals, const Rows<T>& rows, const double* weight, std::int64_t start,
                   std::int64_t stop, float* out) noexcept;

/// The best k of tracks start..stop-1 and their float64 scores, best first; returns how many.
template <class T>
std::int64_t state_top(Measure measure, const Totals& totals, const Rows<T>& rows, const double* weight,
                       Excluded excluded, std::int64_t start, std::int64_t stop, std::int64_t k, std::int64_t* index,
                       double* score) noexcept;

}  // namespace dissensus::query

// Blocks of tracks: how large they are, and what a track of one has to reach.
#pragma once

#include <cstdint>

#include "dissensus/measures.hpp"

namespace dissensus::query {

/// Numbers in one block of tracks: its mean stays in the first cache.
constexpr std::int64_t kBlockFloats = 4096;
/// Most tracks in one block of votes; a multiple of 64, as every block but the last is.
constexpr std::int64_t kBlockVotes = 1024;
/// Most classes and members whose votes some instruction sets count and look up in registers.
constexpr std::int64_t kFewClasses = 8, kFewVoters = 31;
/// Of the table of votes, in nats: entropies of up to 255 classes fit 31 bits.
constexpr double kVoteUnit = 1.0 / (1 << 28);

/// Most tracks that are scanned in one go: a bit for every sixteen.
constexpr std::int64_t kScanTracks = 1024;

template <class T>
struct BlockIn {
    const T* first;  ///< the block's first number of member 0
    std::int64_t member_stride;
    std::int64_t n_members;
    std::int64_t n_classes;
    std::int64_t n;      ///< tracks
    std::int64_t ahead;  ///< numbers ahead of the one being read that are fetched; 0 for a block on its own
};

/// What a track has to reach; `floor_of` makes it. Whoever is below can be left out unseen.
struct Floor {
    float utility;
    float spread;  ///< for the entropy: a row with spread / sum^3 above this (see tile_spread) cannot reach the utility
};

/// `bound`: the k-th best score there is, or less. `near`: more than a float32 utility is off.
Floor floor_of(Measure measure, double bound, double near, std::int64_t n_classes) noexcept;
/// Most that tracks with at least these spread / sum^3 and lead / sum can score on the mean they were taken from.
double most_entropy(double spread, std::int64_t n_classes) noexcept;
double most_margin(double lead, std::int64_t n_classes) noexcept;

/// Tracks in one block.
inline std::int64_t tracks_per_block(std::int64_t n_classes) noexcept {
    return n_classes < kBlockFloats ? kBlockFloats / n_classes : 1;
}

}  // namespace dissensus::query

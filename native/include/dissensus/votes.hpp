// Entropy of the committee's votes: counters of one byte and a table of what a count contributes.
#pragma once

#include <cstdint>

#include "dissensus/topk.hpp"

namespace dissensus::query {

/// Room on the stack: more members are refused by the bindings.
constexpr std::int64_t kMaxVoters = 4096;

/// Votes (n_members, n_tracks), members `member_stride` apart.
struct Votes {
    const std::uint8_t* data;
    std::int64_t member_stride;
    std::int64_t n_members;
    std::int64_t n_classes;
};

/// Entropy (nats) of tracks start..stop-1 into out[start..stop-1]; NaN for and number of tracks with a bad vote.
std::int64_t vote_entropy(const Votes& votes, std::int64_t start, std::int64_t stop, float* out) noexcept;

/// The best k of tracks start..stop-1 and their float64 scores, best first; how many, or -1 if a vote is out of range.
std::int64_t vote_top(const Votes& votes, Excluded excluded, std::int64_t start, std::int64_t stop, std::int64_t k,
                      std::int64_t* index, double* score) noexcept;

}  // namespace dissensus::query

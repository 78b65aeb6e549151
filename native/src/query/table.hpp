// What of the query core is compiled once per instruction set, behind one table of functions.
#pragma once

#include <cstdint>

#include "dissensus/measures.hpp"
#include "query/blocks.hpp"
#include "simd/inline.hpp"

namespace dissensus::query {

struct Table {
    /// Utilities of up to kScanTracks tracks (and n * n_classes of up to kBlockFloats), infinity where float64 must
    /// look. Tracks are taken in tiles of sixteen: where a tile's bit is not set nobody reaches the floor, and its
    /// utilities may not have been written. The mean is that of the members, weight over weight_sum each; rows of
    /// mean_kl are scaled to one.
    std::uint64_t (*scan_f32)(Measure measure, const BlockIn<float>&, const double* weight, double weight_sum,
                              const Floor&, float* out) noexcept;
    std::uint64_t (*scan_f64)(Measure measure, const BlockIn<double>&, const double* weight, double weight_sum,
                              const Floor&, float* out) noexcept;
    /// The same of totals, whole numbers times a unit.
    std::uint64_t (*scan_total)(Measure measure, const std::int32_t* total, std::int64_t n, std::int64_t n_classes,
                                float unit, const Floor&, float* out) noexcept;
    /// Least spread / sum^3 and lead / sum of the rows of totals; minus infinity if float64 must look at one.
    void (*least_spread)(const std::int32_t* total, std::int64_t n, std::int64_t n_classes, float unit, float* spread,
                         float* lead) noexcept;
    /// Counts of votes per class and track, (n_classes, stride) of 16 bits; n is at most stride, stride at most
    /// kBlockVotes.
    void (*count_votes)(const std::uint8_t* first, std::int64_t member_stride, std::int64_t n_members,
                        std::int64_t n_classes, std::int64_t n, std::int64_t stride, std::uint16_t* counts) noexcept;
    /// Sums of the table over the classes' counts, in nats.
    void (*vote_sums)(const std::uint16_t* counts, std::int64_t n_members, std::int64_t n_classes, std::int64_t n,
                      std::int64_t stride, const std::int32_t* table, float* out) noexcept;
    /// Utilities of votes, for up to kFewClasses and kFewVoters; returns how many tracks were done: it stops before
    /// some tracks (at most 64) of which one has a vote out of range, and before too few to fill its vectors. Null
    /// where there is none.
    std::int64_t (*few_votes)(const std::uint8_t* first, std::int64_t member_stride, std::int64_t n_members,
                              std::int64_t n_classes, std::int64_t n, const std::int32_t* table, float* out) noexcept;
    /// total += share(rows) - share(held), held = rows; whether a number of `rows` is outside [0, 1.5] (its share is
    /// 0).
    bool (*replace_f32)(std::int32_t* total, float* held, const float* rows, bool first, float factor,
                        std::int64_t n) noexcept;
    bool (*replace_f64)(std::int32_t* total, double* held, const double* rows, bool first, float factor,
                        std::int64_t n) noexcept;
    /// replace_f32 without `first`, and least_spread of the totals after it: n a multiple of sixteen tracks of four
    /// classes.
    bool (*replace_tiles)(std::int32_t* total, float* held, const float* rows, float factor, std::int64_t n, float unit,
                          float* spread, float* lead) noexcept;
    bool (*holds_odd)(const std::uint16_t* odd, std::int64_t n) noexcept;
    bool (*any_above_f32)(const float* values, std::int64_t n, float bound) noexcept;
    bool (*any_above_f64)(const double* values, std::int64_t n, double bound) noexcept;
    void (*log)(const float* x, std::int64_t n, float* out) noexcept;
};

extern const Table baseline;
#if defined(DISSENSUS_X86)
extern const Table avx2, avx512;
#endif

/// That of the instruction set in use.
const Table& in_use() noexcept;

}  // namespace dissensus::query

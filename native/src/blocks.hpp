// The parts of the query core that are compiled once per instruction set, behind one table of functions.
#pragma once

#include <cstdint>

namespace dissensus {

/// Numbers in one block of tracks: its mean stays in the first cache.
constexpr std::int64_t kBlockFloats = 4096;
/// Most tracks in one block of votes; a multiple of 64, as every block but the last is.
constexpr std::int64_t kBlockVotes = 1024;
/// Of the table of votes, in nats: entropies of up to 255 classes fit 31 bits.
constexpr double kVoteUnit = 1.0 / (1 << 28);

template <class T>
struct BlockIn {
    const T* first;             ///< the block's first number of member 0
    std::int64_t member_stride;
    std::int64_t n_members;
    std::int64_t n_classes;
    std::int64_t n;             ///< tracks
    std::int64_t ahead;         ///< numbers of the next block that may be fetched early; 0 at the end
};

/// Tracks in one block.
inline std::int64_t tracks_per_block(std::int64_t n_classes) noexcept {
    return n_classes < kBlockFloats ? kBlockFloats / n_classes : 1;
}

struct Blocks {
    /// Weighted mean of the members; weight sums to one.
    void (*mean_f32)(const BlockIn<float>&, const double* weight, double weight_sum, float* mean) noexcept;
    void (*mean_f64)(const BlockIn<double>&, const double* weight, double weight_sum, float* mean) noexcept;
    /// Utility from the mean, which is overwritten; infinity where float64 must look.
    void (*entropy)(float* mean, std::int64_t n, std::int64_t n_classes, float* out) noexcept;
    void (*margin)(float* mean, std::int64_t n, std::int64_t n_classes, float* out) noexcept;
    /// Entropy of the mean less the mean entropy, rows scaled to one; infinity where float64 must look.
    void (*kl_f32)(const BlockIn<float>&, const double* weight, double weight_sum, float* out) noexcept;
    void (*kl_f64)(const BlockIn<double>&, const double* weight, double weight_sum, float* out) noexcept;
    /// Counts of votes per class and track, (n_classes, stride) of 16 bits; n is at most stride, stride at most kBlockVotes.
    void (*count_votes)(const std::uint8_t* first, std::int64_t member_stride, std::int64_t n_members,
                        std::int64_t n_classes, std::int64_t n, std::int64_t stride, std::uint16_t* counts) noexcept;
    /// Sums of the table over the classes' counts, in nats.
    void (*vote_sums)(const std::uint16_t* counts, std::int64_t n_members, std::int64_t n_classes, std::int64_t n,
                      std::int64_t stride, const std::int32_t* table, float* out) noexcept;
    /// Whole numbers times a unit.
    void (*scale)(const std::int32_t* total, std::int64_t n, float unit, float* mean) noexcept;
    /// total += share(rows) - share(held), held = rows; whether a number of `rows` is outside [0, 1.5] (its share is 0).
    bool (*replace_f32)(std::int32_t* total, float* held, const float* rows, bool first, float factor,
                        std::int64_t n) noexcept;
    bool (*replace_f64)(std::int32_t* total, double* held, const double* rows, bool first, float factor,
                        std::int64_t n) noexcept;
    bool (*holds_odd)(const std::uint16_t* odd, std::int64_t n) noexcept;
    bool (*any_above_f32)(const float* values, std::int64_t n, float bound) noexcept;
    bool (*any_above_f64)(const double* values, std::int64_t n, double bound) noexcept;
    void (*log)(const float* x, std::int64_t n, float* out) noexcept;
};

extern const Blocks blocks_baseline;
#if defined(__x86_64__) || defined(_M_X64)
extern const Blocks blocks_avx2;
extern const Blocks blocks_avx512;
#endif

/// Those of the instruction set in use.
const Blocks& blocks() noexcept;

}  // namespace dissensus

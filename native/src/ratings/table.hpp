// What of the ratings is written once more for an instruction set, behind one table of functions.
#pragma once

#include <cstdint>

#include "dissensus/ratings.hpp"
#include "simd/inline.hpp"

namespace dissensus::ratings {

struct Table {
    /// Of one row; returns how many ratings have been found so far.
    std::int64_t (*compact_row)(const double* row, std::int64_t n_units, double* value, std::int32_t* unit,
                                std::int64_t found) noexcept;
    bool (*count_f32)(const RatingBlock<float>&, std::int32_t* table, std::uint64_t* scratch) noexcept;
    bool (*count_f64)(const RatingBlock<double>&, std::int32_t* table, std::uint64_t* scratch) noexcept;
};

extern const Table baseline;
#if defined(DISSENSUS_X86)
extern const Table avx512;
#endif

/// That of the instruction set in use.
const Table& in_use() noexcept;

}  // namespace dissensus::ratings

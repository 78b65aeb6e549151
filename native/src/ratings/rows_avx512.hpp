#pragma once

#include <cstdint>

#include "dissensus/ratings.hpp"

namespace dissensus {

// One row, eight ratings at a time; returns how many have been found so far.
std::int64_t compact_row_avx512(const double* row, std::int64_t n_units, double* value, std::int32_t* unit,
                                std::int64_t found) noexcept;

bool count_ratings_avx512(const RatingBlock<double>& block, std::int32_t* table, std::uint64_t* scratch) noexcept;
bool count_ratings_avx512(const RatingBlock<float>& block, std::int32_t* table, std::uint64_t* scratch) noexcept;

}  // namespace dissensus

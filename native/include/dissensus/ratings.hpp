// Walking through a sparse matrix of ratings, once.
#pragma once

#include <cstdint>

namespace dissensus {

// Writes the values that are not NaN, and the index of each in its row, in order; returns how many there are. `value` and
// `unit` need 16 places more than there are ratings.
std::int64_t compact_ratings(const double* ratings, std::int64_t n_raters, std::int64_t n_units, double* value,
                             std::int32_t* unit) noexcept;

}  // namespace dissensus

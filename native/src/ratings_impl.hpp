#pragma once

#include <cstdint>

namespace dissensus {

// One row, eight ratings at a time; returns how many have been found so far.
std::int64_t compact_row_avx512(const double* row, std::int64_t n_units, double* value, std::int32_t* unit,
                                std::int64_t found) noexcept;

}  // namespace dissensus

// Walking through a sparse matrix of ratings, once.
#pragma once

#include <cstdint>

namespace dissensus::ratings {

// Writes the values that are not NaN, and the index of each in its row, in order; returns how many there are. `value`
// and `unit` need 16 places more than there are ratings.
std::int64_t compact_ratings(const double* ratings, std::int64_t n_raters, std::int64_t n_units, double* value,
                             std::int32_t* unit) noexcept;

// A block of ratings, one row after another; NaN where there is none. Rows are raters and columns units, or the
// reverse.
template <class T>
struct RatingBlock {
    const T* ratings;
    std::int64_t n_rows, n_columns;
    bool rows_are_units;
    std::int64_t base;   // the value that is counted in the first column of the table
    std::int32_t width;  // columns of the table: 8 or 16 consecutive whole numbers
};

// Adds to table[unit][value - base] the number of times that a unit was rated so. `scratch` holds n_columns * width
// bytes; it is not touched where rows are units. False where some rating is not one of the `width` whole numbers from
// `base` on: the table is then of no use.
bool count_ratings(const RatingBlock<double>& block, std::int32_t* table, std::uint64_t* scratch) noexcept;
bool count_ratings(const RatingBlock<float>& block, std::int32_t* table, std::uint64_t* scratch) noexcept;

// Adds the rows of a table of counts that sum to 2 or more to `frequency`, one number a column; returns the largest
// sum.
std::int64_t count_totals(const std::int32_t* table, std::int64_t n_units, std::int64_t width,
                          std::int64_t* frequency) noexcept;

// For every unit with m >= 2 ratings, m * sum(count * x^2) - sum(count * x)^2, added up apart for every m: the lower 32
// bits in low[m], the rest in high[m], so that no sum of many units overflows. Each term must fit 63 bits. False where
// some unit has `room` ratings or more, the number of places of `low` and `high`.
bool count_disagreement(const std::int32_t* table, std::int64_t n_units, std::int64_t width, const std::int64_t* x,
                        std::int64_t* low, std::int64_t* high, std::int64_t room) noexcept;

}  // namespace dissensus::ratings

#include "dissensus/ratings.hpp"

#include <cstdint>

#include "ratings/table.hpp"
#include "simd/choose.hpp"

namespace dissensus::ratings {
namespace {

template <class T>
bool count_any(const RatingBlock<T>& block, std::int32_t* table, std::uint64_t* /*scratch*/) noexcept {
    const auto lowest = static_cast<double>(block.base);
    for (std::int64_t r = 0; r < block.n_rows; ++r) {
        const T* row = block.ratings + r * block.n_columns;
        for (std::int64_t i = 0; i < block.n_columns; ++i) {
            const double rating = row[i];
            if (rating != rating) continue;
            if (!(rating >= lowest && rating < lowest + block.width)) return false;
            const auto whole = static_cast<std::int64_t>(rating);
            if (static_cast<double>(whole) != rating) return false;
            ++table[(block.rows_are_units ? r : i) * block.width + (whole - block.base)];
        }
    }
    return true;
}

std::int64_t compact_row(const double* row, std::int64_t n_units, double* value, std::int32_t* unit,
                         std::int64_t found) noexcept {
    for (std::int64_t u = 0; u < n_units; ++u) {
        value[found] = row[u];
        unit[found] = static_cast<std::int32_t>(u);
        found += static_cast<std::int64_t>(row[u] ==
                                           row[u]);  // no branch: a rating that is missing is overwritten by the next
    }
    return found;
}

// Width 8 is known when compiled: the loops over values unroll.
template <int Width>
std::int64_t totals(const std::int32_t* table, std::int64_t n_units, std::int64_t any_width,
                    std::int64_t* frequency) noexcept {
    const std::int64_t width = Width > 0 ? Width : any_width;
    std::int64_t largest = 0;
    for (std::int64_t u = 0; u < n_units; ++u) {
        const std::int32_t* row = table + u * width;
        std::int64_t size = 0;
        for (std::int64_t k = 0; k < width; ++k) size += row[k];
        if (size > largest) largest = size;
        const std::int64_t counts = -static_cast<std::int64_t>(size >= 2);  // all bits or none
        for (std::int64_t k = 0; k < width; ++k) frequency[k] += row[k] & counts;
    }
    return largest;
}

template <int Width>
bool disagreement(const std::int32_t* table, std::int64_t n_units, std::int64_t any_width, const std::int64_t* x,
                  std::int64_t* low, std::int64_t* high, std::int64_t room) noexcept {
    const std::int64_t width = Width > 0 ? Width : any_width;
    for (std::int64_t u = 0; u < n_units; ++u) {
        const std::int32_t* row = table + u * width;
        std::int64_t size = 0, total = 0, square = 0;
        for (std::int64_t k = 0; k < width; ++k) {
            const std::int64_t weighted = row[k] * x[k];
            size += row[k];
            total += weighted;
            square += weighted * x[k];
        }
        if (size < 2) continue;
        if (size >= room) return false;
        const std::int64_t term = size * square - total * total;
        low[size] += term & 0xffffffff;
        high[size] += term >> 32;
    }
    return true;
}

}  // namespace

const Table baseline = {compact_row, count_any<float>, count_any<double>};

const Table& in_use() noexcept {
#if defined(DISSENSUS_X86)
    return simd::choose(baseline, baseline, avx512);
#else
    return baseline;
#endif
}

bool count_ratings(const RatingBlock<double>& block, std::int32_t* table, std::uint64_t* scratch) noexcept {
    return in_use().count_f64(block, table, scratch);
}

bool count_ratings(const RatingBlock<float>& block, std::int32_t* table, std::uint64_t* scratch) noexcept {
    return in_use().count_f32(block, table, scratch);
}

std::int64_t count_totals(const std::int32_t* table, std::int64_t n_units, std::int64_t width,
                          std::int64_t* frequency) noexcept {
    if (width == 8) return totals<8>(table, n_units, width, frequency);
    return totals<0>(table, n_units, width, frequency);
}

bool count_disagreement(const std::int32_t* table, std::int64_t n_units, std::int64_t width, const std::int64_t* x,
                        std::int64_t* low, std::int64_t* high, std::int64_t room) noexcept {
    if (width == 8) return disagreement<8>(table, n_units, width, x, low, high, room);
    return disagreement<0>(table, n_units, width, x, low, high, room);
}

std::int64_t compact_ratings(const double* ratings, std::int64_t n_raters, std::int64_t n_units, double* value,
                             std::int32_t* unit) noexcept {
    const auto compact = in_use().compact_row;
    std::int64_t found = 0;
    for (std::int64_t r = 0; r < n_raters; ++r) found = compact(ratings + r * n_units, n_units, value, unit, found);
    return found;
}

}  // namespace dissensus::ratings

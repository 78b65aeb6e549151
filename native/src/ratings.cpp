#include "dissensus/ratings.hpp"

#include "dissensus/machine.hpp"
#include "ratings_impl.hpp"

namespace dissensus {

std::int64_t compact_ratings(const double* ratings, std::int64_t n_raters, std::int64_t n_units, double* value,
                             std::int32_t* unit) noexcept {
    std::int64_t found = 0;
    for (std::int64_t r = 0; r < n_raters; ++r) {
        const double* row = ratings + r * n_units;
#if defined(__x86_64__) || defined(_M_X64)
        if (active_isa() == Isa::avx512) {
            found = compact_row_avx512(row, n_units, value, unit, found);
            continue;
        }
#endif
        for (std::int64_t u = 0; u < n_units; ++u) {
            value[found] = row[u];
            unit[found] = static_cast<std::int32_t>(u);
            found += row[u] == row[u];  // no branch: a rating that is missing is overwritten by the next
        }
    }
    return found;
}

}  // namespace dissensus

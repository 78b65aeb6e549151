#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <vector>

#include "dissensus/machine.hpp"
#include "dissensus/ratings.hpp"

#define CHECK(condition)                                                         \
    do {                                                                         \
        if (!(condition)) {                                                      \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            return 1;                                                            \
        }                                                                        \
    } while (0)

int main() {
    using namespace dissensus;
    const double nan = std::numeric_limits<double>::quiet_NaN();
    for (const char* caps : {"baseline", "avx2", "avx512"}) {
        setenv("DISSENSUS_CAPS", caps, 1);
        refresh_isa();
        for (std::int64_t units = 0; units <= 67; ++units) {
            const std::int64_t raters = 3;
            std::vector<double> ratings(static_cast<std::size_t>(raters * units));
            std::vector<double> wanted;
            std::vector<std::int32_t> where;
            for (std::int64_t i = 0; i < raters * units; ++i) {
                const bool missing = (i * 7 + i / 5) % 3 == 0;
                ratings[static_cast<std::size_t>(i)] = missing ? nan : static_cast<double>(i % 5);
                if (!missing) {
                    wanted.push_back(static_cast<double>(i % 5));
                    where.push_back(static_cast<std::int32_t>(i % units));
                }
            }
            std::vector<double> value(ratings.size() + 17, -1.0);
            std::vector<std::int32_t> unit(ratings.size() + 17, -1);
            const auto n = compact_ratings(ratings.data(), raters, units, value.data(), unit.data());
            CHECK(n == static_cast<std::int64_t>(wanted.size()));
            for (std::size_t i = 0; i < wanted.size(); ++i) {
                CHECK(value[i] == wanted[i]);
                CHECK(unit[i] == where[i]);
            }
            CHECK(value.back() == -1.0);  // the guard behind the 16 places
            CHECK(unit.back() == -1);
        }
    }
    return 0;
}

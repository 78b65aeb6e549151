#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <vector>

#include "check.hpp"
#include "dissensus/ratings.hpp"

namespace {

using dissensus::ratings::RatingBlock;

// Counts of a made-up block in both layouts against plain loops; with one rating off the scale, a refusal.
template <class T>
void check_counts(std::int64_t n_rows, std::int64_t n_columns, bool rows_are_units, std::int32_t width) {
    const auto n_units = rows_are_units ? n_rows : n_columns;
    std::vector<T> ratings(static_cast<std::size_t>(n_rows * n_columns));
    std::vector<std::int32_t> wanted(static_cast<std::size_t>(n_units * width), 3), found = wanted;
    const std::int64_t base = -2;
    std::uint32_t state = 12345;
    for (std::int64_t r = 0; r < n_rows; ++r) {
        for (std::int64_t c = 0; c < n_columns; ++c) {
            state = state * 1664525u + 1013904223u;
            const auto code = static_cast<std::int32_t>((state >> 16) % static_cast<std::uint32_t>(width));
            const bool missing = (state >> 8) % 4 == 0;
            ratings[static_cast<std::size_t>(r * n_columns + c)] =
                missing ? std::numeric_limits<T>::quiet_NaN() : static_cast<T>(base + code);
            if (!missing) ++wanted[static_cast<std::size_t>((rows_are_units ? r : c) * width + code)];
        }
    }
    std::vector<std::uint64_t> scratch(static_cast<std::size_t>(n_columns * width / 8) + 1, 7);
    const RatingBlock<T> block{ratings.data(), n_rows, n_columns, rows_are_units, base, width};
    CHECK(dissensus::ratings::count_ratings(block, found.data(), scratch.data()));
    CHECK(found == wanted);
    CHECK(scratch.back() == 7);
    if (ratings.empty()) return;
    for (const double wrong :
         {base - 1.0, 1.0 * base + width, base + 0.5, 1.0 + 0x1p-23, std::numeric_limits<double>::infinity(), -1e300}) {
        for (const std::size_t at : {std::size_t{0}, ratings.size() / 2, ratings.size() - 1}) {
            const T kept = ratings[at];
            ratings[at] = static_cast<T>(wrong);
            CHECK(!dissensus::ratings::count_ratings(block, found.data(), scratch.data()));
            ratings[at] = kept;
        }
    }
}

void check_finish() {
    const std::vector<std::int32_t> table{2, 0, 1, 1, 0, 0, 0, 0, 4, 1, 1, 1};
    std::vector<std::int64_t> frequency(3, 0), x{0, 5, 7}, low(5, 0), high(5, 0);
    CHECK(dissensus::ratings::count_totals(table.data(), 4, 3, frequency.data()) == 4);
    CHECK((frequency == std::vector<std::int64_t>{3, 1, 6}));  // the unit with one rating is left out
    CHECK(dissensus::ratings::count_disagreement(table.data(), 4, 3, x.data(), low.data(), high.data(), 5));
    CHECK(low[3] == 3 * 49 - 49 + 3 * (25 + 49) - 144 && low[4] == 0 && high[3] == 0);
    x = {0, std::int64_t{1} << 28, std::int64_t{1} << 29};
    std::fill(low.begin(), low.end(), 0);
    CHECK(dissensus::ratings::count_disagreement(table.data(), 4, 3, x.data(), low.data(), high.data(), 5));
    // units {2,0,1} and {1,1,1}: in 2^56 these are 3*4 - 4 = 8 and 3*(1+4) - 9 = 6
    CHECK(high[3] == std::int64_t{14} << 24 && low[3] == 0);
    CHECK(!dissensus::ratings::count_disagreement(table.data(), 4, 3, x.data(), low.data(), high.data(), 4));
    const std::vector<std::int32_t> eight{1, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0};
    std::vector<std::int64_t> f8(8, 0), x8{1, 2, 3, 4, 5, 6, 7, 8}, low8(5, 0), high8(5, 0);
    CHECK(dissensus::ratings::count_totals(eight.data(), 2, 8, f8.data()) == 4);
    CHECK((f8 == std::vector<std::int64_t>{1, 0, 2, 0, 0, 0, 0, 1}));
    CHECK(dissensus::ratings::count_disagreement(eight.data(), 2, 8, x8.data(), low8.data(), high8.data(), 5));
    CHECK(low8[4] == 4 * (1 + 18 + 64) - 15 * 15);
}

}  // namespace

int main() {
    using namespace dissensus::ratings;
    check_finish();
    const double nan = std::numeric_limits<double>::quiet_NaN();
    on_every_instruction_set([=] {
        for (const std::int32_t width : {8, 16}) {
            for (const bool rows_are_units : {false, true}) {
                for (std::int64_t columns = 0; columns <= 67; ++columns) {
                    check_counts<double>(columns % 21, columns, rows_are_units, width);
                    check_counts<float>(columns % 35, columns, rows_are_units, width);
                }
                check_counts<double>(1037, 9, rows_are_units, width);  // counters of a byte run full
                check_counts<float>(3, 5003, rows_are_units, width);
            }
        }
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
    });
    return outcome();
}

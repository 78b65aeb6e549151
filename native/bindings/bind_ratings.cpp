#include <nanobind/nanobind.h>

#include <cstdint>

#include "arrays.hpp"
#include "dissensus/ratings.hpp"
#include "families.hpp"

namespace dissensus::bindings {

using namespace nb::literals;

namespace {

std::int64_t compact_ratings(In<double, 2> ratings, Out<double, 1> value, Out<std::int32_t, 1> unit) {
    const std::int64_t raters = size(ratings, 0), units = size(ratings, 1), needed = raters * units + 16;
    require(size(value, 0) >= needed && size(unit, 0) >= needed,
            "value and unit need 16 places more than there are ratings");
    require(units <= INT32_MAX, "more units than 32 bits can count");
    nb::gil_scoped_release release;
    return ratings::compact_ratings(ratings.data(), raters, units, value.data(), unit.data());
}

template <class T>
bool count_ratings(In<T, 2> ratings, bool rows_are_units, std::int64_t base, Out<std::int32_t, 2> table,
                   Out<std::uint64_t, 1> scratch) {
    const std::int64_t rows = size(ratings, 0), columns = size(ratings, 1);
    const auto width = static_cast<std::int32_t>(table.shape(1));
    require(size(table, 1) == 8 || size(table, 1) == 16, "table must have 8 or 16 columns");
    require(size(table, 0) == (rows_are_units ? rows : columns), "table needs one row per unit");
    require(rows_are_units || size(scratch, 0) * 8 >= columns * width,
            "scratch needs one byte per unit and column of the table");
    nb::gil_scoped_release release;
    return ratings::count_ratings(ratings::RatingBlock<T>{ratings.data(), rows, columns, rows_are_units, base, width},
                                  table.data(), scratch.data());
}

std::int64_t count_totals(In<std::int32_t, 2> table, Out<std::int64_t, 1> frequency) {
    require(size(frequency, 0) == size(table, 1), "frequency needs one place per column");
    nb::gil_scoped_release release;
    return ratings::count_totals(table.data(), size(table, 0), size(table, 1), frequency.data());
}

void count_disagreement(In<std::int32_t, 2> table, In<std::int64_t, 1> x, Out<std::int64_t, 1> low,
                        Out<std::int64_t, 1> high) {
    const std::int64_t width = size(table, 1), places = size(low, 0) < size(high, 0) ? size(low, 0) : size(high, 0);
    require(size(x, 0) == width, "x needs one number per column");
    bool fits = false;
    {
        nb::gil_scoped_release release;
        fits =
            ratings::count_disagreement(table.data(), size(table, 0), width, x.data(), low.data(), high.data(), places);
    }
    require(fits, "low and high need a place for every size of a unit");
}

}  // namespace

void bind_ratings(nb::module_& m) {
    m.def("compact_ratings", &compact_ratings, "ratings"_a.noconvert(), "value"_a.noconvert(), "unit"_a.noconvert(),
          "Write the ratings that are not NaN and their units, in order; return how many there are.");
    m.def("count_ratings", &count_ratings<double>, "ratings"_a.noconvert(), "rows_are_units"_a, "base"_a,
          "table"_a.noconvert(), "scratch"_a.noconvert(),
          "Add the ratings of every unit to the columns of their values; False where one has no column.");
    m.def("count_ratings", &count_ratings<float>, "ratings"_a.noconvert(), "rows_are_units"_a, "base"_a,
          "table"_a.noconvert(), "scratch"_a.noconvert());
    m.def("count_totals", &count_totals, "table"_a.noconvert(), "frequency"_a.noconvert(),
          "Add the rows of two ratings or more to the frequency of the values; return the largest number of a unit.");
    m.def("count_disagreement", &count_disagreement, "table"_a.noconvert(), "x"_a.noconvert(), "low"_a.noconvert(),
          "high"_a.noconvert(), "Squared differences within units, apart for every number of ratings, in two halves.");
}

}  // namespace dissensus::bindings

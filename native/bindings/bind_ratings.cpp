#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <stdexcept>

#include "dissensus/ratings.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

template <class T, int D>
using In = nb::ndarray<const T, nb::ndim<D>, nb::c_contig, nb::device::cpu>;
template <class T, int D>
using Out = nb::ndarray<T, nb::ndim<D>, nb::c_contig, nb::device::cpu>;

std::int64_t compact_ratings(In<double, 2> ratings, Out<double, 1> value, Out<std::int32_t, 1> unit) {
    const auto raters = static_cast<std::int64_t>(ratings.shape(0)),
               units = static_cast<std::int64_t>(ratings.shape(1));
    const auto room = raters * units + 16;
    if (static_cast<std::int64_t>(value.shape(0)) < room || static_cast<std::int64_t>(unit.shape(0)) < room) {
        throw std::invalid_argument("value and unit need 16 places more than there are ratings");
    }
    if (units > INT32_MAX) throw std::invalid_argument("more units than 32 bits can count");
    nb::gil_scoped_release release;
    return dissensus::compact_ratings(ratings.data(), raters, units, value.data(), unit.data());
}

template <class T>
bool count_ratings(In<T, 2> ratings, bool rows_are_units, std::int64_t base, Out<std::int32_t, 2> table,
                   Out<std::uint64_t, 1> scratch) {
    const auto rows = static_cast<std::int64_t>(ratings.shape(0)),
               columns = static_cast<std::int64_t>(ratings.shape(1));
    const auto width = static_cast<std::int32_t>(table.shape(1));
    if (table.shape(1) != 8 && table.shape(1) != 16) throw std::invalid_argument("table must have 8 or 16 columns");
    if (static_cast<std::int64_t>(table.shape(0)) != (rows_are_units ? rows : columns)) {
        throw std::invalid_argument("table needs one row a unit");
    }
    if (!rows_are_units && static_cast<std::int64_t>(scratch.shape(0)) * 8 < columns * width) {
        throw std::invalid_argument("scratch needs a byte a unit and column of the table");
    }
    nb::gil_scoped_release release;
    return dissensus::count_ratings({ratings.data(), rows, columns, rows_are_units, base, width}, table.data(),
                                    scratch.data());
}

std::int64_t count_totals(In<std::int32_t, 2> table, Out<std::int64_t, 1> frequency) {
    if (frequency.shape(0) != table.shape(1)) throw std::invalid_argument("frequency needs one place a column");
    nb::gil_scoped_release release;
    return dissensus::count_totals(table.data(), static_cast<std::int64_t>(table.shape(0)),
                                   static_cast<std::int64_t>(table.shape(1)), frequency.data());
}

void count_disagreement(In<std::int32_t, 2> table, In<std::int64_t, 1> x, Out<std::int64_t, 1> low,
                        Out<std::int64_t, 1> high) {
    const auto units = static_cast<std::int64_t>(table.shape(0)), width = static_cast<std::int64_t>(table.shape(1));
    if (static_cast<std::int64_t>(x.shape(0)) != width) throw std::invalid_argument("x needs one number a column");
    const auto room = static_cast<std::int64_t>(low.shape(0) < high.shape(0) ? low.shape(0) : high.shape(0));
    bool fits;
    {
        nb::gil_scoped_release release;
        fits = dissensus::count_disagreement(table.data(), units, width, x.data(), low.data(), high.data(), room);
    }
    if (!fits) throw std::invalid_argument("low and high need a place for every size of a unit");
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

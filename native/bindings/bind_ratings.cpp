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
    const auto raters = static_cast<std::int64_t>(ratings.shape(0)), units = static_cast<std::int64_t>(ratings.shape(1));
    const auto room = raters * units + 16;
    if (static_cast<std::int64_t>(value.shape(0)) < room || static_cast<std::int64_t>(unit.shape(0)) < room) {
        throw std::invalid_argument("value and unit need 16 places more than there are ratings");
    }
    if (units > INT32_MAX) throw std::invalid_argument("more units than 32 bits can count");
    nb::gil_scoped_release release;
    return dissensus::compact_ratings(ratings.data(), raters, units, value.data(), unit.data());
}

}  // namespace

void bind_ratings(nb::module_& m) {
    m.def("compact_ratings", &compact_ratings, "ratings"_a.noconvert(), "value"_a.noconvert(), "unit"_a.noconvert(),
          "Write the ratings that are not NaN and their units, in order; return how many there are.");
}

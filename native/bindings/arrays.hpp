// What the bindings share: arrays as the kernels take them, and one way to refuse what a kernel cannot take.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>

namespace dissensus::bindings {

namespace nb = nanobind;

/// Arrays of the processor's memory, last axis contiguous; nothing is converted.
template <class T, int n_axes>
using In = nb::ndarray<const T, nb::ndim<n_axes>, nb::c_contig, nb::device::cpu>;
template <class T, int n_axes>
using Out = nb::ndarray<T, nb::ndim<n_axes>, nb::c_contig, nb::device::cpu>;

template <class Array>
std::int64_t size(const Array& array, std::size_t axis) {
    return static_cast<std::int64_t>(array.shape(axis));
}

/// Python sees dissensus.errors.ParameterError, which is a ValueError too.
class BadArgument : public std::invalid_argument {
public:
    using std::invalid_argument::invalid_argument;
};

inline void require(bool holds, const char* what) {
    if (!holds) throw BadArgument(what);
}

/// A block of tracks within the array.
inline void require_block(std::int64_t start, std::int64_t stop, std::int64_t n) {
    require(0 <= start && start <= stop && stop <= n, "start and stop must lie in the array, in this order");
}

}  // namespace dissensus::bindings

// One frame in each lane: in double precision for the transform, in single for what follows.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/lanes.hpp"
#include "simd/log.hpp"
#include "simd/transpose.hpp"

namespace dissensus::mel {
namespace {

struct FloatLanes {
    using T = float;
    using V = simd::Floats;
    using I = simd::Ints;
    static constexpr int width = simd::kLanes;
    using Log = simd::ScaledLog;

    static DISSENSUS_INLINE V all(float x) noexcept { return simd::all(x); }
    static DISSENSUS_INLINE V load(const float* from) noexcept { return simd::load(from); }
    static DISSENSUS_INLINE V fma(V a, V b, V c) noexcept { return simd::multiply_add(a, b, c); }
    static DISSENSUS_INLINE V root(V x) noexcept { return simd::root(x); }
    static DISSENSUS_INLINE void store(float* to, V x) noexcept { simd::store(to, x); }
    static DISSENSUS_INLINE void transpose(V* rows) noexcept { simd::transpose(rows); }
};

struct DoubleLanes {
    using T = double;
    using V = simd::Doubles;
    static constexpr int width = simd::kLanes / 2;

    static DISSENSUS_INLINE V all(double x) noexcept { return simd::all(x); }
    static DISSENSUS_INLINE V load(const float* from) noexcept { return simd::load_as_double(from); }
    static DISSENSUS_INLINE V load(const double* from) noexcept { return simd::load(from); }
    static DISSENSUS_INLINE V fma(V a, V b, V c) noexcept { return simd::multiply_add(a, b, c); }
    static DISSENSUS_INLINE void transpose(V* rows) noexcept { simd::transpose(rows); }
    static DISSENSUS_INLINE V shift_in(V x, double last) noexcept { return simd::shift_in(x, last); }
    // Powers of bin `at` as floats, among the lanes of FloatLanes.
    static DISSENSUS_INLINE void put(float* to, std::ptrdiff_t at, V x) noexcept {
        simd::store(to + simd::kLanes * at, simd::to_half_floats(x));
    }
};

}  // namespace
}  // namespace dissensus::mel

// What the bindings of the query core share.
#pragma once

#include <cstdint>

#include "arrays.hpp"
#include "dissensus/measures.hpp"
#include "dissensus/topk.hpp"

namespace dissensus::bindings {

using Weight = In<double, 1>;
using Positions = In<std::int64_t, 1>;

inline query::Excluded excluded_of(const Positions& exclude) { return {exclude.data(), size(exclude, 0)}; }

inline query::Measure measure_of(int number) {
    const auto measure = static_cast<query::Measure>(number);
    require(query::of_the_mean(measure) || measure == query::Measure::mean_kl, "there is no such measure");
    return measure;
}

}  // namespace dissensus::bindings

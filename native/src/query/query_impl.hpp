// Included once by every file that is compiled for an instruction set. Plain loops over contiguous numbers and the
// compiler's own vectors, which become that set's; all of internal linkage, nothing from the standard library's
// templates, so that the linker cannot hand one file's wide code to another.
#pragma once

#include <cstdint>

#include "query/few_votes_impl.hpp"
#include "query/scan_impl.hpp"
#include "query/table.hpp"
#include "query/totals_impl.hpp"
#include "query/vote_counts_impl.hpp"
#include "simd/log.hpp"

namespace dissensus::query {
namespace {

using namespace simd;

template <class T>
inline bool any_above(const T* values, std::int64_t n, T bound) noexcept {
    int found = 0;
    for (std::int64_t i = 0; i < n; ++i) found |= values[i] > bound;
    return found != 0;
}

bool any_above_f32(const float* values, std::int64_t n, float bound) noexcept { return any_above(values, n, bound); }

bool any_above_f64(const double* values, std::int64_t n, double bound) noexcept { return any_above(values, n, bound); }

void log_all(const float* x, std::int64_t n, float* out) noexcept {
    for (std::int64_t i = 0; i < n; ++i) out[i] = log_any(x[i]);
}

}  // namespace

// NOLINTNEXTLINE(misc-definitions-in-headers): one file per instruction set includes this.
const Table DISSENSUS_ISA = {scan_f32,  scan_f64,      scan_total,    least_spread, count_votes,
                             vote_sums, few_votes,     replace_f32,   replace_f64,  replace_tiles,
                             holds_odd, any_above_f32, any_above_f64, log_all};

}  // namespace dissensus::query

// How far a committee disagrees, per track.
//
// Blocks of tracks are worked on in float32, members' rows streaming past once; what could be among the best is scored
// again in float64, operation by operation as the reference does it. No allocation; nothing throws.
#pragma once

#include <cstdint>

#include "dissensus/measures.hpp"
#include "dissensus/topk.hpp"

namespace dissensus::query {

/// Room on the stack: more classes are refused by the bindings.
constexpr std::int64_t kMaxClasses = 4096;

/// Probabilities (n_members, n_tracks, n_classes); rows of a member are contiguous, members `member_stride` numbers
/// apart.
template <class T>
struct Rows {
    const T* data;
    std::int64_t member_stride;
    std::int64_t n_members;
    std::int64_t n_classes;
};

/// Utility of tracks start..stop-1 into out[start..stop-1].
template <class T>
void utility(Measure measure, const Rows<T>& rows, const double* weight, std::int64_t start, std::int64_t stop,
             float* out) noexcept;

/// The best k of tracks start..stop-1 and their float64 scores, best first; returns how many.
template <class T>
std::int64_t query_top(Measure measure, const Rows<T>& rows, const double* weight, Excluded excluded,
                       std::int64_t start, std::int64_t stop, std::int64_t k, std::int64_t* index,
                       double* score) noexcept;

/// One track in float64; `mean` is room for n_classes numbers.
template <class T>
double score_track(Measure measure, const Rows<T>& rows, const double* weight, std::int64_t track,
                   double* mean) noexcept;

/// log(x) of any float32, within one unit in the last place.
void log_into(const float* x, std::int64_t n, float* out) noexcept;

}  // namespace dissensus::query

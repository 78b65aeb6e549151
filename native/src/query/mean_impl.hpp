// The weighted mean of the members, in their order. All members of a few lines stream side by side, so that the mean
// stays in registers; each stream is fetched into the second cache two kilobytes ahead, which reads memory as fast as
// one stream does. Included by query_impl.hpp.
#pragma once

#include <cstdint>

#include "query/blocks.hpp"
#include "simd/lanes.hpp"

namespace dissensus::query {
namespace {

using namespace simd;

constexpr std::int64_t kLine = 16;  // float32 numbers
constexpr std::int64_t kWide = 4 * kLine;
constexpr int kWideVectors = kWide / kLanes;
// Vectors that are summed at a time, as measured: few where much is computed in between, so that reading never waits
// for it.
#if defined(__AVX512F__)
constexpr int kHeld = 4, kHeldLong = 1;
#elif defined(__AVX2__)
constexpr int kHeld = 2, kHeldLong = 2;
#else
constexpr int kHeld = 4, kHeldLong = 4;
#endif
constexpr std::int64_t kStreams = 32;  // members side by side

// Some of the members of a block and their float32 weights.
template <class T>
struct Streams {
    const T* first;
    std::int64_t stride;
    std::int64_t count;
    float weight[kStreams];

    Streams(const BlockIn<T>& in, const double* weights, double weight_sum, std::int64_t from) noexcept
        : first(in.first + from * in.member_stride),
          stride(in.member_stride),
          count(least(kStreams, in.n_members - from)) {
        for (std::int64_t m = 0; m < count; ++m) weight[m] = static_cast<float>(weights[from + m] / weight_sum);
    }
};

// sum += weight * row over kWide numbers at `at`, member after member.
template <class T, bool fetch, int at_once>
DISSENSUS_INLINE void add_lines(const Streams<T>& members, std::int64_t at, std::int64_t ahead,
                                Floats sum[kWideVectors]) noexcept {
    for (int part = 0; part < kWideVectors; part += at_once) {
        Floats held[at_once];
        for (int v = 0; v < at_once; ++v) held[v] = sum[part + v];
        const T* row = members.first + at + part * kLanes;
        for (std::int64_t m = 0; m < members.count; ++m, row += members.stride) {
            const Floats weight = all(members.weight[m]);
            if constexpr (fetch) {
                constexpr int line = 64 / sizeof(T);
                for (int j = 0; j < at_once * kLanes; j += line) __builtin_prefetch(row + ahead + j, 0, 2);
            }
            for (int v = 0; v < at_once; ++v) held[v] = multiply_add(load_as_float(row + v * kLanes), weight, held[v]);
        }
        for (int v = 0; v < at_once; ++v) sum[part + v] = held[v];
    }
}

template <class T, bool fetch>
inline void add_streams(const Streams<T>& members, std::int64_t from, bool first, std::int64_t ahead, std::int64_t size,
                        float* mean) noexcept {
    std::int64_t j = 0;
    for (; j + kWide <= size; j += kWide) {
        Floats sum[kWideVectors] = {};
        for (int v = 0; v < kWideVectors && !first; ++v) sum[v] = load(mean + j + v * kLanes);
        add_lines<T, fetch, kHeld>(members, from + j, ahead, sum);
        for (int v = 0; v < kWideVectors; ++v) store(mean + j + v * kLanes, sum[v]);
    }
    for (; j + kLanes <= size; j += kLanes) {
        Floats sum = first ? Floats{} : load(mean + j);
        const T* row = members.first + from + j;
        for (std::int64_t m = 0; m < members.count; ++m, row += members.stride) {
            if constexpr (fetch) __builtin_prefetch(row + ahead, 0, 2);
            sum = multiply_add(load_as_float(row), all(members.weight[m]), sum);
        }
        store(mean + j, sum);
    }
    for (; j < size; ++j) {
        float sum = first ? 0.0f : mean[j];
        const T* row = members.first + from + j;
        for (std::int64_t m = 0; m < members.count; ++m, row += members.stride) {
            sum = multiply_add(static_cast<float>(*row), members.weight[m], sum);
        }
        mean[j] = sum;
    }
}

template <class T>
inline void mean_of_members(const BlockIn<T>& in, const double* weight, double weight_sum, float* mean) noexcept {
    const std::int64_t size = in.n * in.n_classes;
    for (std::int64_t m = 0; m < in.n_members; m += kStreams) {
        const Streams<T> members(in, weight, weight_sum, m);
        if (in.ahead > 0) {
            add_streams<T, true>(members, 0, m == 0, in.ahead, size, mean);
        } else {
            add_streams<T, false>(members, 0, m == 0, 0, size, mean);
        }
    }
}

}  // namespace
}  // namespace dissensus::query

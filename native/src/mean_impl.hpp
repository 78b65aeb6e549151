// The weighted mean of the members, in their order. All members of a few lines stream side by side, so that the mean stays
// in registers; each stream is fetched into the second cache two kilobytes ahead, which reads memory as fast as one stream
// does. Included by blocks_impl.hpp.
#pragma once

#include "blocks.hpp"
#include "lanes_impl.hpp"

namespace dissensus {
namespace {

constexpr std::int64_t kLine = 16;
constexpr std::int64_t kWide = 4 * kLine;  // numbers in four lines
constexpr std::int64_t kStreams = 32;      // members side by side

// Some of the members of a block and their float32 weights.
template <class T>
struct Streams {
    const T* first;
    std::int64_t stride;
    std::int64_t count;
    float weight[kStreams];

    Streams(const BlockIn<T>& in, const double* weights, double weight_sum, std::int64_t from) noexcept
        : first(in.first + from * in.member_stride), stride(in.member_stride), count(least(kStreams, in.n_members - from)) {
        for (std::int64_t m = 0; m < count; ++m) weight[m] = static_cast<float>(weights[from + m] / weight_sum);
    }
};

// sum += weight * row over four lines at `at`, member after member.
template <class T, bool fetch>
DISSENSUS_INLINE void add_lines(const Streams<T>& members, std::int64_t at, std::int64_t ahead, Floats sum[4]) noexcept {
    const T* row = members.first + at;
    for (std::int64_t m = 0; m < members.count; ++m, row += members.stride) {
        const Floats weight = all(members.weight[m]);
        for (int l = 0; l < 4; ++l) {
            if constexpr (fetch) {
                constexpr int lines = sizeof(T) / sizeof(float);
                for (int half = 0; half < lines; ++half) {
                    __builtin_prefetch(row + ahead + l * kLine + half * (kLine / lines), 0, 2);
                }
            }
            sum[l] = multiply_add(load_as_float(row + l * kLine), weight, sum[l]);
        }
    }
}

template <class T, bool fetch>
inline void add_streams(const Streams<T>& members, bool first, std::int64_t ahead, std::int64_t size, float* mean) noexcept {
    std::int64_t j = 0;
    for (; j + kWide <= size; j += kWide) {
        Floats sum[4] = {};
        for (int l = 0; l < 4 && !first; ++l) sum[l] = load(mean + j + l * kLine);
        add_lines<T, fetch>(members, j, ahead, sum);
        for (int l = 0; l < 4; ++l) store(mean + j + l * kLine, sum[l]);
    }
    for (; j < size; ++j) {
        float sum = first ? 0.0f : mean[j];
        const T* row = members.first + j;
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
            add_streams<T, true>(members, m == 0, in.ahead, size, mean);
        } else {
            add_streams<T, false>(members, m == 0, 0, size, mean);
        }
    }
}

}  // namespace
}  // namespace dissensus

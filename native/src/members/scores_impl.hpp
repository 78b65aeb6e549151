// Scores of panels. Included by members_impl.hpp.
#pragma once

#include <cstdint>

#include "dissensus/members.hpp"
#include "simd/lanes.hpp"

namespace dissensus::members {
namespace {

using namespace simd;

#if defined(__AVX512F__)
constexpr int kMostBent = 8, kMostStraight = 10;  // sums that the registers hold, kPair vectors each
#else
constexpr int kMostBent = 5, kMostStraight = 6;
#endif
constexpr int kPair = 2;                 // vectors that one broadcast weight serves
constexpr std::int64_t kFeatures = 128;  // most that are summed up by themselves: their lanes stay in the first cache
constexpr std::int64_t kStream = 4096;   // floats fetched early from a long row of panels, into the second cache

// Memory that is needed next: a line or two are asked for at every step. Sent out at once they would fill the few
// places there are for lines on their way, and what is worked on would wait behind them. Asking beyond the end harms
// nobody.
struct Fetch {
    const char* at;
    std::int64_t step;  // bytes, at most two lines

    DISSENSUS_INLINE Fetch(const Soon& soon, std::int64_t steps) noexcept
        : at(static_cast<const char*>(soon.at)), step(steps > 0 ? (soon.bytes + steps - 1) / steps : 0) {
        step = step < 128 ? step : 128;
    }

    DISSENSUS_INLINE void next() noexcept {
        __builtin_prefetch(at, 0, 2);
        __builtin_prefetch(at + 64, 0, 2);
        at += step;
    }
};

// kRows models by kPanelWindows windows over some features; the sums wait in registers.
template <int kRows, bool kBent>
void few_scores(const float* panel, std::int64_t n_features, const float* linear, const float* quadratic,
                std::int64_t n, float* out, const std::int64_t* place, bool first, Fetch& fetch) noexcept {
    for (std::int64_t lane = 0; lane < kPanelWindows; lane += kLanes * kPair) {
        Floats sum[kRows][kPair] = {};
        const float *x = panel + lane, *a = linear, *b = quadratic;
        Fetch ahead = fetch;
        for (std::int64_t f = 0; f < n_features; ++f, x += kPanelWindows, a += n, b += kBent ? n : 0) {
            Floats value[kPair];
            if (lane == 0) ahead.next();
#pragma GCC unroll 2
            for (int v = 0; v < kPair; ++v) value[v] = load(x + v * kLanes);
#pragma GCC unroll 10
            for (int r = 0; r < kRows; ++r) {
                const Floats once = all(a[r]);
                if constexpr (kBent) {
                    const Floats twice = all(b[r]);
#pragma GCC unroll 2
                    for (int v = 0; v < kPair; ++v) {
                        sum[r][v] = multiply_add(multiply_add(twice, value[v], once), value[v], sum[r][v]);
                    }
                } else {
#pragma GCC unroll 2
                    for (int v = 0; v < kPair; ++v) sum[r][v] = multiply_add(once, value[v], sum[r][v]);
                }
            }
        }
        if (lane == 0) fetch = ahead;
        for (int r = 0; r < kRows; ++r) {
            for (int v = 0; v < kPair; ++v) {
                float* to = out + place[r] + lane + v * kLanes;
                store(to, first ? sum[r][v] : load(to) + sum[r][v]);
            }
        }
    }
}

using FewScores = void (*)(const float*, std::int64_t, const float*, const float*, std::int64_t, float*,
                           const std::int64_t*, bool, Fetch&) noexcept;

template <bool kBent, int kRows = kBent ? kMostBent : kMostStraight>
FewScores few_scores_of(std::int64_t rows) noexcept {
    if constexpr (kRows > 1) {
        if (rows < kRows) return few_scores_of<kBent, kRows - 1>(rows);
    }
    return few_scores<kRows, kBent>;
}

inline std::int64_t groups_of(const Weights& weights) noexcept {
    const std::int64_t most = weights.quadratic != nullptr ? kMostBent : kMostStraight;
    return (weights.n + most - 1) / most;
}

// Scores of one panel; model k goes to out + place(k).
template <class Place>
DISSENSUS_INLINE void scores_of_panel(const float* panel, std::int64_t n_features, const Weights& weights, Place place,
                                      float* out, Fetch& fetch) noexcept {
    const bool bent = weights.quadratic != nullptr;
    const std::int64_t groups = groups_of(weights),
                       parts = n_features > 0 ? (n_features + kFeatures - 1) / kFeatures : 1;
    const std::int64_t most = (n_features + parts - 1) / parts;
    for (std::int64_t part = 0; part < parts; ++part) {
        const std::int64_t f = part * most, count = n_features - f < most ? n_features - f : most;
        for (std::int64_t g = 0, k = 0; g < groups; ++g) {
            const std::int64_t rows = (weights.n - k + groups - g - 1) / (groups - g);  // as even as can be
            std::int64_t places[kMostStraight];
            for (std::int64_t r = 0; r < rows; ++r) places[r] = place(k + r);
            const float* linear = weights.linear + f * weights.n + k;
            const float* quadratic = bent ? weights.quadratic + f * weights.n + k : nullptr;
            const auto few = bent ? few_scores_of<true>(rows) : few_scores_of<false>(rows);
            few(panel + f * kPanelWindows, count, linear, quadratic, weights.n, out, places, f == 0, fetch);
            k += rows;
        }
    }
}

void scores(const float* panels, std::int64_t n_panels, std::int64_t n_features, const Weights& weights,
            const std::int64_t* column, float* out, std::int64_t out_rows, const Soon& soon) noexcept {
    Fetch fetch(soon, n_panels * n_features * groups_of(weights));
    for (std::int64_t p = 0; p < n_panels; ++p) {
        const float* panel = panels + p * n_features * kPanelWindows;
        if (soon.at == nullptr) {  // nothing else: this row of panels itself, further on
            fetch = Fetch({panel + kStream, n_features * kPanelWindows * 4}, n_features * groups_of(weights));
        }
        scores_of_panel(
            panel, n_features, weights,
            [=](std::int64_t k) { return (column == nullptr ? k : column[k]) * kPanelWindows; },
            out + p * out_rows * kPanelWindows, fetch);
    }
}

}  // namespace
}  // namespace dissensus::members

// Scores to votes, and the table of functions. Included once by every file that is compiled for an instruction set;
// everything has internal linkage, so that the linker cannot hand one file's wide code to another.
#pragma once

#include <cstdint>

#include "dissensus/members.hpp"
#include "members/scores_impl.hpp"
#include "members/table.hpp"
#include "members/windows_impl.hpp"
#include "simd/lanes.hpp"

namespace dissensus::members {
namespace {

using namespace simd;

// Held to what exponential takes; NaN to its least.
DISSENSUS_INLINE Floats within_exp(Floats x) noexcept { return lesser(larger(all(-87.0f), x), all(87.0f)); }

// Scores of a member for kLanes windows to probabilities. kClasses is 0 for a number known only
// now, and `proba` then holds what registers would.
template <int kClasses, bool kSoftmax, class Score>
DISSENSUS_INLINE void lanes_to_proba(Score score, std::int64_t n_classes, const float* offset, float* proba) noexcept {
    const std::int64_t n = kClasses > 0 ? kClasses : n_classes;
    Floats held[kClasses > 0 ? kClasses : 1];
    const auto get = [&](std::int64_t c) -> Floats {
        if constexpr (kClasses > 0) return held[c];
        return load(proba + c * kTile);
    };
    const auto put = [&](std::int64_t c, Floats value) {
        if constexpr (kClasses > 0) {
            held[c] = value;
        } else {
            store(proba + c * kTile, value);
        }
    };
    Floats top = score(0) + all(offset[0]);
    put(0, top);
#pragma GCC unroll 4
    for (std::int64_t c = 1; c < n; ++c) {
        const Floats x = score(c) + all(offset[c]);
        put(c, x);
        top = larger(x, top);
    }
    Floats total = {};
#pragma GCC unroll 4
    for (std::int64_t c = 0; c < n; ++c) {
        const Floats e = exponential(within_exp(kSoftmax ? get(c) - top : -get(c)));
        const Floats p = kSoftmax ? e : reciprocal(1.0f + e);
        put(c, p);
        total += p;
    }
    total = reciprocal(total);
#pragma GCC unroll 4
    for (std::int64_t c = 0; c < n; ++c) store(proba + c * kTile, get(c) * total);
}

// One member, one panel; proba (n_classes, kTile) from this panel's first lane on. `moved` may be null.
template <int kClasses>
void panel_to_proba(bool softmax, const float* score, std::int64_t given, const float* moved, std::int64_t n_classes,
                    const float* offset, float* proba) noexcept {
    const std::int64_t skipped = n_classes - given;  // 0 or 1: the first class's score is 0
    for (std::int64_t lane = 0; lane < kPanelWindows; lane += kLanes) {
        if (softmax) {
            const auto at = [=](std::int64_t c) -> Floats {
                return c < skipped ? Floats{} : load(score + (c - skipped) * kPanelWindows + lane);
            };
            lanes_to_proba<kClasses, true>(at, n_classes, offset, proba + lane);
        } else if (moved != nullptr) {
            const auto at = [=](std::int64_t c) -> Floats {
                return load(score + c * kPanelWindows + lane) + load(moved + c * kPanelWindows + lane);
            };
            lanes_to_proba<kClasses, false>(at, n_classes, offset, proba + lane);
        } else {
            const auto at = [=](std::int64_t c) -> Floats { return load(score + c * kPanelWindows + lane); };
            lanes_to_proba<kClasses, false>(at, n_classes, offset, proba + lane);
        }
    }
}

// In float64, in an order that does not depend on where the windows lie.
DISSENSUS_INLINE double sum_of_all(const float* p, std::int64_t n) noexcept {
    constexpr std::int64_t half = kLanes / 2;
    double total = 0.0;
    std::int64_t t = 0;
    if (n >= half) {
        Doubles sums[2] = {};
        for (; t + 2 * half <= n; t += 2 * half) {
            sums[0] += load_as_double(p + t);
            sums[1] += load_as_double(p + t + half);
        }
        if (t + half <= n) {
            sums[0] += load_as_double(p + t);
            t += half;
        }
        total = sum_of(sums[0] + sums[1]);
    }
    for (; t < n; ++t) total += static_cast<double>(p[t]);
    return total;
}

void votes(const Tile& tile, const Held& held, const Votes& v, float* scratch) noexcept {
    const std::int64_t n_panels = (tile.windows + kPanelWindows - 1) / kPanelWindows,
                       n_sigmoid = v.n_members - v.n_softmax;
    const std::int64_t n_moved = n_sigmoid * v.n_classes;
    float* proba = scratch;                        // (n_classes, kTile)
    float* moved = scratch + v.n_classes * kTile;  // (n_panels, n_moved, kPanelWindows)
    const bool moves = held.n_small > 0;
    const Weights weights{held.move, nullptr, n_moved};
    if (moves) {
        for (std::int64_t p = 0; p < n_panels; ++p) {
            const float* small = held.small + (tile.panel + p) * held.n_small * kPanelWindows;
            Fetch fetch({small + n_panels * held.n_small * kPanelWindows, held.n_small * kPanelWindows * 4},
                        held.n_small * groups_of(weights));
            scores_of_panel(
                small, held.n_small, weights, [](std::int64_t k) { return k * kPanelWindows; },
                moved + p * n_moved * kPanelWindows, fetch);
        }
    }
    const auto to_proba = v.n_classes == 4 ? panel_to_proba<4> : panel_to_proba<0>;
    for (std::int64_t m = 0; m < v.n_members; ++m) {
        const bool softmax = m < v.n_softmax;
        const std::int64_t given = softmax ? held.bent_classes : v.n_classes, row = (m - v.n_softmax) * v.n_classes;
        for (std::int64_t p = 0; p < n_panels; ++p) {
            const float* score = softmax
                                     ? held.bent + ((tile.panel + p) * held.bent_rows + m * given) * kPanelWindows
                                     : held.straight + ((tile.panel + p) * held.straight_rows + row) * kPanelWindows;
            if (held.follows) {
                const float* next = score + n_panels * (softmax ? held.bent_rows : held.straight_rows) * kPanelWindows;
                for (std::int64_t line = 0; line < given * kPanelWindows; line += 16)
                    __builtin_prefetch(next + line, 0, 2);
            }
            to_proba(softmax, score, given, moves && !softmax ? moved + (p * n_moved + row) * kPanelWindows : nullptr,
                     v.n_classes, v.offset + m * v.n_classes, proba + p * kPanelWindows);
        }
        for (std::int64_t i = tile.track; i < tile.track + tile.n_tracks; ++i) {
            const std::int64_t from = v.start[i] > tile.row ? v.start[i] - tile.row : 0;
            const std::int64_t until =
                v.start[i + 1] - tile.row < tile.windows ? v.start[i + 1] - tile.row : tile.windows;
            double* sums = v.sums + (m * v.n_tracks + i) * v.n_classes;
            for (std::int64_t c = 0; c < v.n_classes; ++c)
                sums[c] += sum_of_all(proba + c * kTile + from, until - from);
        }
    }
}

}  // namespace

// NOLINTNEXTLINE(misc-definitions-in-headers): one file per instruction set includes this.
const Table DISSENSUS_ISA = {lay_f32, lay_f64, scores, votes};

}  // namespace dissensus::members

// Included once by every file that is compiled for an instruction set. Vectors are the compiler's own, as wide as that
// set's registers; everything has internal linkage, so that the linker cannot hand one file's wide code to another.
#include "members/scores_impl.hpp"
#include "members/windows_impl.hpp"

namespace dissensus {
namespace {

// ---- votes ---------------------------------------------------------------------------------------------------------

// Scores of a member for kWide windows to probabilities. kClasses is 0 for a number known only
// now, and `proba` then holds what registers would.
template <int kClasses, bool kSoftmax, class Score>
DISSENSUS_INLINE void lanes_to_proba(Score score, std::int64_t n_classes, const float* offset, float* proba) noexcept {
    const std::int64_t n = kClasses > 0 ? kClasses : n_classes;
    Wide held[kClasses > 0 ? kClasses : 1];
    const auto get = [&](std::int64_t c) -> Wide {
        if constexpr (kClasses > 0) return held[c];
        return load(proba + c * kTile);
    };
    const auto put = [&](std::int64_t c, Wide value) {
        if constexpr (kClasses > 0) {
            held[c] = value;
        } else {
            store(proba + c * kTile, value);
        }
    };
    Wide top = score(0) + all(offset[0]);
    put(0, top);
#pragma GCC unroll 4
    for (std::int64_t c = 1; c < n; ++c) {
        const Wide x = score(c) + all(offset[c]);
        put(c, x);
        top = larger(top, x);
    }
    Wide total = {};
#pragma GCC unroll 4
    for (std::int64_t c = 0; c < n; ++c) {
        const Wide e = exponential(kSoftmax ? get(c) - top : -get(c));
        const Wide p = kSoftmax ? e : reciprocal(1.0f + e);
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
    for (std::int64_t lane = 0; lane < kLanes; lane += kWide) {
        if (softmax) {
            const auto at = [=](std::int64_t c) -> Wide {
                return c < skipped ? Wide{} : load(score + (c - skipped) * kLanes + lane);
            };
            lanes_to_proba<kClasses, true>(at, n_classes, offset, proba + lane);
        } else if (moved != nullptr) {
            const auto at = [=](std::int64_t c) -> Wide {
                return load(score + c * kLanes + lane) + load(moved + c * kLanes + lane);
            };
            lanes_to_proba<kClasses, false>(at, n_classes, offset, proba + lane);
        } else {
            const auto at = [=](std::int64_t c) -> Wide { return load(score + c * kLanes + lane); };
            lanes_to_proba<kClasses, false>(at, n_classes, offset, proba + lane);
        }
    }
}

DISSENSUS_INLINE double across(Deep sums) noexcept {
#if defined(__AVX512F__)
    typedef double Four __attribute__((vector_size(32)));
    const Four four = __builtin_shufflevector(sums, sums, 0, 1, 2, 3) + __builtin_shufflevector(sums, sums, 4, 5, 6, 7);
    return (four[0] + four[2]) + (four[1] + four[3]);
#elif defined(__AVX2__)
    return (sums[0] + sums[2]) + (sums[1] + sums[3]);
#else
    return sums[0] + sums[1];
#endif
}

// In float64, in an order that does not depend on where the windows lie.
DISSENSUS_INLINE double sum_of(const float* p, std::int64_t n) noexcept {
    constexpr std::int64_t half = kWide / 2;
    double total = 0.0;
    std::int64_t t = 0;
    if (n >= half) {
        Deep sums[2] = {};
        for (; t + 2 * half <= n; t += 2 * half) {
            sums[0] += deep(p + t);
            sums[1] += deep(p + t + half);
        }
        if (t + half <= n) {
            sums[0] += deep(p + t);
            t += half;
        }
        total = across(sums[0] + sums[1]);
    }
    for (; t < n; ++t) total += static_cast<double>(p[t]);
    return total;
}

void votes(const Tile& tile, const Held& held, const Votes& v, float* scratch) noexcept {
    const std::int64_t n_panels = (tile.windows + kLanes - 1) / kLanes, n_sigmoid = v.n_members - v.n_softmax;
    const std::int64_t n_moved = n_sigmoid * v.n_classes;
    float* proba = scratch;                        // (n_classes, kTile)
    float* moved = scratch + v.n_classes * kTile;  // (n_panels, n_moved, kLanes)
    const bool moves = held.n_small > 0;
    const Weights weights{held.move, nullptr, n_moved};
    if (moves) {
        for (std::int64_t p = 0; p < n_panels; ++p) {
            const float* small = held.small + (tile.panel + p) * held.n_small * kLanes;
            Fetch fetch({small + n_panels * held.n_small * kLanes, held.n_small * kLanes * 4},
                        held.n_small * groups_of(weights));
            scores_of_panel(
                small, held.n_small, weights, [](std::int64_t k) { return k * kLanes; }, moved + p * n_moved * kLanes,
                fetch);
        }
    }
    const auto to_proba = v.n_classes == 4 ? panel_to_proba<4> : panel_to_proba<0>;
    for (std::int64_t m = 0; m < v.n_members; ++m) {
        const bool softmax = m < v.n_softmax;
        const std::int64_t given = softmax ? held.bent_classes : v.n_classes, row = (m - v.n_softmax) * v.n_classes;
        for (std::int64_t p = 0; p < n_panels; ++p) {
            const float* score = softmax ? held.bent + ((tile.panel + p) * held.bent_rows + m * given) * kLanes
                                         : held.straight + ((tile.panel + p) * held.straight_rows + row) * kLanes;
            if (held.follows) {
                const float* next = score + n_panels * (softmax ? held.bent_rows : held.straight_rows) * kLanes;
                for (std::int64_t line = 0; line < given * kLanes; line += 16) __builtin_prefetch(next + line, 0, 2);
            }
            to_proba(softmax, score, given, moves && !softmax ? moved + (p * n_moved + row) * kLanes : nullptr,
                     v.n_classes, v.offset + m * v.n_classes, proba + p * kLanes);
        }
        for (std::int64_t i = tile.track; i < tile.track + tile.n_tracks; ++i) {
            const std::int64_t from = v.start[i] > tile.row ? v.start[i] - tile.row : 0;
            const std::int64_t until =
                v.start[i + 1] - tile.row < tile.windows ? v.start[i + 1] - tile.row : tile.windows;
            double* sums = v.sums + (m * v.n_tracks + i) * v.n_classes;
            for (std::int64_t c = 0; c < v.n_classes; ++c) sums[c] += sum_of(proba + c * kTile + from, until - from);
        }
    }
}

}  // namespace

const Members DISSENSUS_MEMBERS = {lay_f32, lay_f64, scores, votes};

}  // namespace dissensus

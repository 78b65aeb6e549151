// Tracks of any number of classes, one in every lane: a vector per class. Included by measures_impl.hpp.
#pragma once

#include <cstdint>

#include <utility>

#include "query/blocks.hpp"
#include "query/tile_impl.hpp"
#include "simd/lanes.hpp"
#include "simd/log.hpp"

namespace dissensus::query {
namespace {

using namespace simd;

constexpr std::int64_t kMostColumns = kBlockFloats / kTile;  // classes; with more, rows are taken one by one
constexpr std::int64_t kSpare = 16;  // numbers behind a buffer of rows that may be read, and are not used

// Rows of C classes that lie side by side, as C vectors, into a vector per class: halved while C is even, and what is
// odd gathered from vector after vector.
template <int C>
struct Columns {
    template <int c, int v, int... lanes>
    static DISSENSUS_INLINE Floats gather(Floats so_far, Floats next,
                                          std::integer_sequence<int, lanes...> /*lane*/) noexcept {
        constexpr auto from = [](int lane) {
            const int at = lane * C + c;
            return at / kLanes == v ? kLanes + at % kLanes : v == 1 && at / kLanes == 0 ? at : lane;
        };
        return __builtin_shufflevector(so_far, next, from(lanes)...);
    }

    template <int c, int v>
    static DISSENSUS_INLINE Floats column(const Floats* rows) noexcept {
        if constexpr (v == 0) {
            return rows[0];
        } else {
            return gather<c, v>(column<c, v - 1>(rows), rows[v], std::make_integer_sequence<int, kLanes>{});
        }
    }

    template <int c>
    static DISSENSUS_INLINE void each(const Floats* rows, Floats* p, int stride) noexcept {
        p[c * stride] = column<c, C - 1>(rows);
        if constexpr (c + 1 < C) each<c + 1>(rows, p, stride);
    }

    static DISSENSUS_INLINE void split(const Floats* rows, Floats* p, int stride) noexcept {
        if constexpr (C == 1) {
            p[0] = rows[0];
        } else if constexpr (C % 2 == 0) {
            Floats half[C];
            for (int i = 0; i < C / 2; ++i) {
                half[i] = even(rows[2 * i], rows[2 * i + 1]);
                half[C / 2 + i] = odd(rows[2 * i], rows[2 * i + 1]);
            }
            Columns<C / 2>::split(half, p, 2 * stride);
            Columns<C / 2>::split(half + C / 2, p + stride, 2 * stride);
        } else {
            each<0>(rows, p, stride);
        }
    }
};

// As many rows as there are lanes. `fixed`: the number of classes, or 0; then, with fewer classes than lanes, some
// numbers behind the last row are read, and vectors behind the last class written.
template <int fixed, class T>
DISSENSUS_INLINE void to_columns(const T* from, std::int64_t n_classes, Floats* p) noexcept {
    if constexpr (fixed > 0) {
        Floats rows[fixed];
        for (int v = 0; v < fixed; ++v) rows[v] = load_as_float(from + v * kLanes);
        Columns<fixed>::split(rows, p, 1);
    } else {
        std::int64_t c = 0;
        for (;;) {  // the last columns once more rather than numbers that are not there
            Floats rows[kLanes];
            for (int i = 0; i < kLanes; ++i) rows[i] = load_as_float(from + i * n_classes + c);
            Columns<kLanes>::split(rows, p + c, 1);
            if (c + kLanes >= n_classes) break;
            c = least(c + kLanes, n_classes - kLanes);
        }
    }
}

// What a vector of tracks is judged by. Sums run over the classes in their order, as one by one.
template <int fixed>
struct RowLanes {
    const Floats* p;
    std::int64_t k;
    Floats sum;
    Ints fit;

    DISSENSUS_INLINE RowLanes(const Floats* columns, std::int64_t n_classes) noexcept
        : p(columns), k(fixed > 0 ? fixed : n_classes), sum(columns[0]) {
        Floats low = p[0];
        for (std::int64_t c = 1; c < k; ++c) {
            sum = sum + p[c];
            low = lesser(low, p[c]);
        }
        fit = (sum >= kLowSum) & (sum <= kHighSum) & (low >= 0.0f);
    }

    // As tile_spread; where a class is far above the others, the tangent of y log y at y = 4 is the better bound.
    DISSENSUS_INLINE Floats spread() const noexcept {
        constexpr float slope = 6.0f * 1.3862943f, shift = 6.0f * (1.3862943f - 3.0f);  // log 4 d + log 4 - 3
        const Floats three = 3.0f * sum, square = sum * sum, up = slope * square, down = shift * (square * sum);
        const Floats classes = all(static_cast<float>(k));
        Floats total{};
        for (std::int64_t c = 0; c < k; ++c) {
            const Floats off = classes * p[c] - sum;
            total = total + larger(off * off * (three - off), multiply_add(up, off, down));
        }
        return total;
    }

    DISSENSUS_INLINE Floats cube() const noexcept { return sum * sum * sum; }

    DISSENSUS_INLINE Floats x_log_x_sum() const noexcept {
        Floats terms = x_log_x(p[0]);
        for (std::int64_t c = 1; c < k; ++c) terms = terms + x_log_x(p[c]);
        return terms;
    }

    // log S - (sum of x log x) / S per track; infinity where float64 must look.
    DISSENSUS_INLINE Floats entropy() const noexcept {
        const Floats safe = where(fit, sum, all(1.0f)), value = log_normal(safe) - x_log_x_sum() / safe;
        return where(fit, where(value > 0.0f, value, Floats{}), all(kInfinity));
    }

    // How far the first class is ahead of the second.
    DISSENSUS_INLINE Floats lead() const noexcept {
        Floats first{}, second{};
        for (std::int64_t c = 0; c < k; ++c) {
            second = larger(second, lesser(p[c], first));
            first = larger(first, p[c]);
        }
        return first - second;
    }

    DISSENSUS_INLINE Floats margin() const noexcept {
        return where(fit, 1.0f - lead() / where(fit, sum, all(1.0f)), all(kInfinity));
    }

    // Utilities into out[0..kLanes-1]; false, and perhaps nothing written, if none of them reaches the floor.
    template <Measure measure>
    DISSENSUS_INLINE bool scan(const Floor& floor, float* out) const noexcept {
        Floats utility;
        if (measure == Measure::margin) {
            utility = margin();
        } else {
            if (floor.spread < kInfinity && !any(~(fit & (spread() > floor.spread * cube())))) {
                store(out, all(-kInfinity));
                return false;
            }
            utility = entropy();
        }
        store(out, utility);
        return any(utility >= floor.utility);
    }
};

// Up to kScanTracks rows of at most kMostColumns classes; a bit for every sixteen that may reach the floor. Behind them
// kSpare numbers may be read.
template <int fixed, Measure measure>
inline std::uint64_t scan_columns(const float* mean, std::int64_t n, std::int64_t n_classes, const Floor& floor,
                                  float* out) noexcept {
    constexpr std::int64_t room = fixed > 0 ? fixed : kMostColumns;
    const std::int64_t k = fixed > 0 ? fixed : n_classes;
    Floats p[room];
    std::uint64_t found = 0;
    std::int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
        to_columns<fixed>(mean + i * k, k, p);
        found |= std::uint64_t(RowLanes<fixed>(p, k).template scan<measure>(floor, out + i)) << (i / kTile);
    }
    if (i < n) {  // the last ones, and the very last again and again
        float rows[room * kLanes + kSpare], values[kLanes];
        for (std::int64_t j = 0; j < kLanes; ++j) {
            const float* from = mean + least(i + j, n - 1) * k;
            for (std::int64_t c = 0; c < k; ++c) rows[j * k + c] = from[c];
        }
        to_columns<fixed>(rows, k, p);
        found |= std::uint64_t(RowLanes<fixed>(p, k).template scan<measure>(floor, values)) << (i / kTile);
        for (; i < n; ++i) out[i] = values[i % kLanes];
    }
    return found;
}

}  // namespace
}  // namespace dissensus::query

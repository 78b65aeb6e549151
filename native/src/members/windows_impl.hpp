// Windows standardised and laid into lanes. Included by members_impl.hpp.
#pragma once

#include <cstdint>

#include "dissensus/members.hpp"
#include "simd/lanes.hpp"
#include "simd/transpose.hpp"

namespace dissensus::members {
namespace {

using namespace simd;

// kLanes features' mean and inverse: how a row of them is standardised. In float64, or, for float32 of a sane size,
// with what the float32 mean leaves over taken off afterwards, which is within 2 ulp of it.
template <class T>
struct Standard {
    Doubles mean[2], inverse[2];

    DISSENSUS_INLINE Standard(const Scaling& s, std::int64_t f, std::int64_t n_features) noexcept {
        double m[kLanes] = {}, i[kLanes] = {};
        const bool whole = f + kLanes <= n_features;
        for (std::int64_t j = 0; !whole && f + j < n_features; ++j) {
            m[j] = s.mean[f + j];
            i[j] = s.inverse[f + j];
        }
        for (int h = 0; h < 2; ++h) {
            mean[h] = load_as_double((whole ? s.mean + f : m) + h * kLanes / 2);
            inverse[h] = load_as_double((whole ? s.inverse + f : i) + h * kLanes / 2);
        }
    }

    DISSENSUS_INLINE Floats operator()(const T* x) const noexcept {
        const Doubles low = (load_as_double(x) - mean[0]) * inverse[0],
                      high = (load_as_double(x + kLanes / 2) - mean[1]) * inverse[1];
        return join(to_half_floats(low), to_half_floats(high));
    }
};

struct QuickStandard {
    Floats mean, inverse, rest;

    DISSENSUS_INLINE QuickStandard(const Scaling& s, std::int64_t f, std::int64_t n_features) noexcept {
        const std::int64_t padded = quick_floats(n_features) / 3;
        mean = load(s.quick + f);
        inverse = load(s.quick + padded + f);
        rest = load(s.quick + 2 * padded + f);
    }

    DISSENSUS_INLINE Floats operator()(const float* x) const noexcept {
        return multiply_add(load(x) - mean, inverse, rest);
    }
};

// One block: n_rows windows, as far as they go, of n_columns features from `f` on; zeros for the rest. A function of
// its own: inside of a loop sixteen rows would be sixteen pointers. `spoiled` leaves zero where a value is not finite.
template <class How, class T>
__attribute__((noinline)) void lay_block(const T* from, std::int64_t stride, const Scaling& scaling, std::int64_t f,
                                         std::int64_t n_features, std::int64_t n_rows, const T* ahead, float* to,
                                         Floats* spoiled) noexcept {
    const How how(scaling, f, n_features);
    Floats block[kLanes], spoil[2] = {spoiled[0], spoiled[1]};
    if (n_rows >= kLanes) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i, from += stride, ahead += stride) {
            __builtin_prefetch(ahead, 0, 3);  // sixteen streams are more than a processor foresees
            block[i] = how(from);
            spoil[i % 2] = multiply_add(block[i], Floats{}, spoil[i % 2]);
        }
    } else {
        for (int i = 0; i < kLanes; ++i) {
            block[i] = i < n_rows ? how(from + i * stride) : Floats{};
            spoil[0] = multiply_add(block[i], Floats{}, spoil[0]);
        }
    }
    spoiled[0] = spoil[0];
    spoiled[1] = spoil[1];
    transpose(block);
    if (f + kLanes <= n_features) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) store(to + i * kPanelWindows, block[i]);
    } else {
        for (int i = 0; i < n_features - f; ++i) store(to + i * kPanelWindows, block[i]);
    }
}

template <class How, class T>
std::int64_t lay_by(const T* X, std::int64_t n_windows, std::int64_t n_features, const Scaling& scaling,
                    float* panels) noexcept {
    const T* const end = X + n_windows * n_features;
    for (std::int64_t first = 0; first < n_windows; first += kPanelWindows) {
        float* panel = panels + first * n_features;
        Floats spoiled[2] = {};
        for (std::int64_t group = 0; group < kPanelWindows; group += kLanes) {
            const std::int64_t left = n_windows - first - group;
            const T* rows = X + (first + group) * n_features;
            const T* ahead = left >= 2 * kLanes ? rows + kLanes * n_features : rows;
            for (std::int64_t f = 0; f < n_features; f += kLanes) {
                float* to = panel + f * kPanelWindows + group;
                const std::int64_t n_rows = left < kLanes ? (left > 0 ? left : 0) : kLanes;
                // The last features of a row are read with the first of the next one; those of the very last rows from
                // a copy.
                if (n_rows == 0 || rows + (n_rows - 1) * n_features + f + kLanes <= end) {
                    lay_block<How>(rows + f, n_features, scaling, f, n_features, n_rows, ahead + f, to, spoiled);
                    continue;
                }
                T copy[kLanes * kLanes] = {};
                for (std::int64_t i = 0; i < n_rows; ++i) {
                    for (std::int64_t j = 0; j < kLanes && f + j < n_features; ++j) {
                        copy[i * kLanes + j] = rows[i * n_features + f + j];
                    }
                }
                lay_block<How>(copy, kLanes, scaling, f, n_features, n_rows, copy, to, spoiled);
            }
        }
        const Floats sum = spoiled[0] + spoiled[1];
        bool clean = true;
        for (int i = 0; i < kLanes; ++i) clean &= sum[i] == 0.0f;
        if (clean) continue;
        for (std::int64_t i = 0; i < kPanelWindows; ++i) {
            for (std::int64_t f = 0; f < n_features; ++f) {
                if (!(panel[f * kPanelWindows + i] * 0.0f == 0.0f)) return first + i;
            }
        }
    }
    return -1;
}

std::int64_t lay_f64(const double* X, std::int64_t n_windows, std::int64_t n_features, const Scaling& scaling,
                     float* panels) noexcept {
    return lay_by<Standard<double>>(X, n_windows, n_features, scaling, panels);
}

std::int64_t lay_f32(const float* X, std::int64_t n_windows, std::int64_t n_features, const Scaling& scaling,
                     float* panels) noexcept {
    return scaling.quick != nullptr ? lay_by<QuickStandard>(X, n_windows, n_features, scaling, panels)
                                    : lay_by<Standard<float>>(X, n_windows, n_features, scaling, panels);
}

}  // namespace
}  // namespace dissensus::members

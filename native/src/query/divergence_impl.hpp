// Mean divergence of the members from their mean. Included by scan_impl.hpp.
#pragma once

#include <cstdint>

#include "query/blocks.hpp"
#include "query/columns_impl.hpp"
#include "query/measures_impl.hpp"
#include "simd/lanes.hpp"
#include "simd/log.hpp"

namespace dissensus::query {
namespace {

using namespace simd;

// log S and 1 / S of the sums of rows. Most are 1 but for rounding: three terms of the series are exact enough then,
// and spare a logarithm and a division. Each lane is treated by its own sum alone.
struct SumLog {
    Floats log, inverse;

    DISSENSUS_INLINE explicit SumLog(Floats sum) noexcept {
        const Floats off = sum - 1.0f, square = off * off;
        const Ints near = square <= 1e-6f;
        log = multiply_add(square, multiply_add(off, all(1.0f / 3.0f), all(-0.5f)), off);
        inverse = multiply_add(square, 1.0f - off, 1.0f - off);
        if (any(~near)) {
            log = where(near, log, log_normal(sum));
            inverse = where(near, inverse, 1.0f / sum);
        }
    }
};

// The entropy of the members' weighted mean less the weighted mean of their entropies; infinity where float64 must
// look.
template <int fixed, class T>
inline void kl_columns(const BlockIn<T>& in, const double* weight, double weight_sum, float* out) noexcept {
    constexpr std::int64_t room = fixed > 0 ? fixed : kMostColumns, held = 256;
    const std::int64_t k = fixed > 0 ? fixed : in.n_classes;
    const std::int64_t behind = fixed == 0 && k < kLanes ? kLanes - k : 0;  // numbers that to_columns reads there
    float known[held];
    for (std::int64_t m = 0; m < least(held, in.n_members); ++m) known[m] = static_cast<float>(weight[m] / weight_sum);
    for (std::int64_t i = 0; i < in.n; i += kLanes) {
        const bool whole = i + kLanes <= in.n;
        const bool copied = (in.n - i - kLanes) * k < behind;
        T rows[room * kLanes + kSpare];
        Floats mean[room], less{};
        mean[0] = Floats{};
        for (std::int64_t c = 1; c < k; ++c) mean[c] = Floats{};
        for (std::int64_t m = 0; m < in.n_members; ++m) {
            const T* from = in.first + m * in.member_stride + i * k;
            if (in.ahead > 0) {
                for (std::int64_t j = 0; j < k * kLanes; j += 64 / sizeof(T))
                    __builtin_prefetch(from + in.ahead + j, 0, 2);
            }
            if (copied) {  // nothing behind the last row is read; the last one stands in for those that are not there
                for (std::int64_t j = 0; j < kLanes; ++j) {
                    const T* row = from + least(j, in.n - 1 - i) * k;
                    for (std::int64_t c = 0; c < k; ++c) rows[j * k + c] = row[c];
                }
                from = rows;
            }
            Floats p[room];
            to_columns<fixed>(from, k, p);
            const RowLanes<fixed> row(p, k);
            const Floats share = all(m < held ? known[m] : static_cast<float>(weight[m] / weight_sum));
            const SumLog sum(where(row.fit, row.sum, all(1.0f)));
            const Floats value = sum.log - row.x_log_x_sum() * sum.inverse;
            const Floats factor = where(row.fit, share * sum.inverse, Floats{});
            less = less + where(row.fit, share * value, all(kInfinity));
            for (std::int64_t c = 0; c < k; ++c) mean[c] = multiply_add(factor, p[c], mean[c]);
        }
        const Floats entropy = RowLanes<fixed>(mean, k).entropy(), value = entropy - less;
        const Ints fit = (less < kInfinity) & (entropy < kInfinity);
        const Floats divergence = where(fit, where(value > 0.0f, value, Floats{}), all(kInfinity));
        if (whole) {
            store(out + i, divergence);
        } else {
            for (std::int64_t l = 0; i + l < in.n; ++l) out[i + l] = divergence[l];
        }
    }
}

template <class T>
inline void kl(const BlockIn<T>& in, const double* weight, double weight_sum, float* out) noexcept {
    switch (in.n_classes) {
        case 2: return kl_columns<2>(in, weight, weight_sum, out);
        case 3: return kl_columns<3>(in, weight, weight_sum, out);
        case 4: return kl_columns<4>(in, weight, weight_sum, out);
        case 5: return kl_columns<5>(in, weight, weight_sum, out);
        case 6: return kl_columns<6>(in, weight, weight_sum, out);
        case 7: return kl_columns<7>(in, weight, weight_sum, out);
        case 8: return kl_columns<8>(in, weight, weight_sum, out);
        default: break;
    }
    if (in.n_classes <= kMostColumns) return kl_columns<0>(in, weight, weight_sum, out);
    kl_rows(in, weight, weight_sum, out);
}

}  // namespace
}  // namespace dissensus::query

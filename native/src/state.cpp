#include "dissensus/state.hpp"

#include <cmath>

#include "blocks.hpp"

namespace dissensus {
namespace {

constexpr std::int64_t kFloats = kBlockFloats;

// As of the full pass, and what rounding every member's share to 2^-30 can add.
double slack(std::int64_t n_members, std::int64_t n_classes) noexcept {
    const double m = double(n_members), k = double(n_classes), share = m / (2.0 * kShareUnit);
    return 1.2e-7 * (m + k + 16.0) * (5.0 + std::log(k)) + 4.0 * k * share * (1.0 - std::log(share));
}

template <class T>
bool is_odd(const T* row, std::int64_t n_classes) noexcept {
    for (std::int64_t c = 0; c < n_classes; ++c) {
        if (!(float(row[c]) >= 0.0f && float(row[c]) <= 1.5f)) return true;
    }
    return false;
}

bool replace(const Blocks& b, std::int32_t* total, float* held, const float* rows, bool first, float factor,
             std::int64_t n) noexcept {
    return b.replace_f32(total, held, rows, first, factor, n);
}
bool replace(const Blocks& b, std::int32_t* total, double* held, const double* rows, bool first, float factor,
             std::int64_t n) noexcept {
    return b.replace_f64(total, held, rows, first, factor, n);
}

template <class T>
void block(const Blocks& b, Measure measure, const Totals& totals, const Rows<T>& rows, const double* weight,
           std::int64_t start, std::int64_t stop, float* out) noexcept {
    const std::int64_t n = stop - start;
    float mean[kFloats];
    b.scale(totals.total + start * rows.n_classes, n * rows.n_classes, static_cast<float>(1.0 / kShareUnit), mean);
    (measure == Measure::margin ? b.margin : b.entropy)(mean, n, rows.n_classes, out);
    int some = 0;
    for (std::int64_t i = 0; i < n; ++i) some |= totals.odd[start + i] != 0;
    if (some == 0 && !b.any_above_f32(out, n, 1e30f)) return;
    double exact[kMaxClasses];
    for (std::int64_t i = 0; i < n; ++i) {
        if (totals.odd[start + i] == 0 && !(out[i] > 1e30f)) continue;
        out[i] = static_cast<float>(score_track(measure, rows, weight, start + i, exact));
    }
}

}  // namespace

template <class T>
void replace_share(const Totals& totals, T* held, const T* rows, bool first, double factor, std::int64_t n_classes,
                   std::int64_t start, std::int64_t stop) noexcept {
    const Blocks& b = blocks();
    const std::int64_t step = tracks_per_block(n_classes);
    for (std::int64_t low = start; low < stop; low += step) {
        const std::int64_t high = low + step < stop ? low + step : stop, at = low * n_classes;
        const std::int64_t size = (high - low) * n_classes;
        if (b.holds_odd(totals.odd + low, high - low)) {  // rare: what was held may have to be taken off `odd`
            for (std::int64_t i = low; i < high && !first; ++i) {
                if (is_odd(held + i * n_classes, n_classes)) --totals.odd[i];
            }
        }
        if (!replace(b, totals.total + at, held + at, rows + at, first, static_cast<float>(factor), size)) continue;
        for (std::int64_t i = low; i < high; ++i) {
            if (is_odd(rows + i * n_classes, n_classes)) ++totals.odd[i];
        }
    }
}

template <class T>
void state_utility(Measure measure, const Totals& totals, const Rows<T>& rows, const double* weight, std::int64_t start,
                   std::int64_t stop, float* out) noexcept {
    const Blocks& b = blocks();
    const std::int64_t step = tracks_per_block(rows.n_classes);
    for (std::int64_t low = start; low < stop; low += step) {
        block(b, measure, totals, rows, weight, low, low + step < stop ? low + step : stop, out + low);
    }
}

template <class T>
std::int64_t state_top(Measure measure, const Totals& totals, const Rows<T>& rows, const double* weight, Excluded excluded,
                       std::int64_t start, std::int64_t stop, std::int64_t k, std::int64_t* index, double* score) noexcept {
    if (k <= 0) return 0;
    const Blocks& b = blocks();
    const double near = slack(rows.n_members, rows.n_classes);
    const std::int64_t step = tracks_per_block(rows.n_classes);
    float out[kFloats];
    double exact[kMaxClasses];
    Best best(index, score, k);
    for (std::int64_t low = start; low < stop; low += step) {
        const std::int64_t high = low + step < stop ? low + step : stop;
        block(b, measure, totals, rows, weight, low, high, out);
        if (best.full() && !b.any_above_f32(out, high - low, static_cast<float>(best.worst() - 2.0 * near))) continue;
        for (std::int64_t i = low; i < high; ++i) {
            if (best.full() && !(out[i - low] >= best.worst() - near)) continue;
            if (!excluded.holds(i)) best.offer(score_track(measure, rows, weight, i, exact), i);
        }
    }
    return best.finish();
}

template void replace_share(const Totals&, float*, const float*, bool, double, std::int64_t, std::int64_t,
                            std::int64_t) noexcept;
template void replace_share(const Totals&, double*, const double*, bool, double, std::int64_t, std::int64_t,
                            std::int64_t) noexcept;
template void state_utility(Measure, const Totals&, const Rows<float>&, const double*, std::int64_t, std::int64_t,
                            float*) noexcept;
template void state_utility(Measure, const Totals&, const Rows<double>&, const double*, std::int64_t, std::int64_t,
                            float*) noexcept;
template std::int64_t state_top(Measure, const Totals&, const Rows<float>&, const double*, Excluded, std::int64_t,
                                std::int64_t, std::int64_t, std::int64_t*, double*) noexcept;
template std::int64_t state_top(Measure, const Totals&, const Rows<double>&, const double*, Excluded, std::int64_t,
                                std::int64_t, std::int64_t, std::int64_t*, double*) noexcept;

}  // namespace dissensus

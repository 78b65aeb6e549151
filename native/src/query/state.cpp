#include "dissensus/state.hpp"

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "dissensus/entropy.hpp"
#include "dissensus/measures.hpp"
#include "dissensus/paths.hpp"
#include "dissensus/topk.hpp"
#include "query/blocks.hpp"
#include "query/table.hpp"

namespace dissensus::query {
namespace {

constexpr double kInfinity = __builtin_inf();

// More than a float32 utility of the totals can be off: rounding of the total, of the sums over classes and the
// logarithms, at the worst sum of a row that float32 is trusted with; and what rounding every member's share to 2^-30
// can add.
double slack(std::int64_t n_members, std::int64_t n_classes) noexcept {
    const double k = double(n_classes), share = double(n_members) / (2.0 * kShareUnit);
    return 1.2e-7 * (k + 16.0) * (5.0 + std::log(k)) + 4.0 * k * share * (1.0 - std::log(share));
}

template <class T>
bool is_odd(const T* row, std::int64_t n_classes) noexcept {
    for (std::int64_t c = 0; c < n_classes; ++c) {
        if (!(float(row[c]) >= 0.0f && float(row[c]) <= 1.5f)) return true;
    }
    return false;
}

bool replace(const Table& b, std::int32_t* total, float* held, const float* rows, bool first, float factor,
             std::int64_t n) noexcept {
    return b.replace_f32(total, held, rows, first, factor, n);
}
bool replace(const Table& b, std::int32_t* total, double* held, const double* rows, bool first, float factor,
             std::int64_t n) noexcept {
    return b.replace_f64(total, held, rows, first, factor, n);
}

constexpr float kUnit = static_cast<float>(1.0 / kShareUnit);

std::int64_t step_of(std::int64_t n_classes) noexcept {
    const std::int64_t fit = tracks_per_block(n_classes);
    return fit < kCeilingTracks ? fit : kCeilingTracks;
}

struct Ceiling {
    float most[2];

    Ceiling(float spread, float lead, std::int64_t n_classes) noexcept
        : most{static_cast<float>(most_entropy(spread, n_classes)), static_cast<float>(most_margin(lead, n_classes))} {}
};

// The most that tracks low..high-1 can score, by entropy and by margin; infinity if one of them must be looked at.
Ceiling ceiling_of(const Table& b, const Totals& totals, std::int64_t n_classes, std::int64_t low,
                   std::int64_t high) noexcept {
    float spread = -__builtin_inff(), lead = -__builtin_inff();
    if (!b.holds_odd(totals.odd + low, high - low)) {
        b.least_spread(totals.total + low * n_classes, high - low, n_classes, kUnit, &spread, &lead);
    }
    return {spread, lead, n_classes};
}

// As in entropy.cpp: a score that k tracks of a sample reach.
double sampled_bound(Measure measure, const Totals& totals, std::int64_t n_classes, Excluded excluded,
                     std::int64_t start, std::int64_t stop, std::int64_t k, double near, std::int64_t* index,
                     double* score) noexcept {
    const std::int64_t n = stop - start, few = step_of(n_classes) < 16 ? step_of(n_classes) : 16;
    const std::int64_t samples = n / 256 < 4 * k ? 4 * k : n / 256;
    if (samples > n / 16) return -kInfinity;
    const Table& b = in_use();
    const Floor none = floor_of(measure, -kInfinity, 0.0, n_classes);
    Best best(index, score, k);
    for (std::int64_t low = start; low + few <= stop; low += n / samples * few) {
        float out[16];
        b.scan_total(measure, totals.total + low * n_classes, few, n_classes, kUnit, none, out);
        for (std::int64_t i = 0; i < few; ++i) {
            if (out[i] > 1e30f || totals.odd[low + i] != 0 || (best.full() && !(out[i] > best.worst()))) continue;
            if (!excluded.holds(low + i)) best.offer(out[i], low + i);
        }
    }
    return best.full() ? best.worst() - near : -kInfinity;
}

}  // namespace

void refresh_ceilings(const Totals& totals, std::int64_t n_classes, std::int64_t start, std::int64_t stop) noexcept {
    const Table& b = in_use();
    for (std::int64_t at = start / kCeilingTracks; at * kCeilingTracks < stop; ++at) {
        const std::int64_t low = at * kCeilingTracks, high = low + kCeilingTracks;
        const Ceiling ceiling = ceiling_of(b, totals, n_classes, low, high < totals.n_tracks ? high : totals.n_tracks);
        totals.ceiling[2 * at] = ceiling.most[0];
        totals.ceiling[2 * at + 1] = ceiling.most[1];
    }
}

template <class T>
void replace_share(const Totals& totals, T* held, const T* rows, bool first, double factor, std::int64_t n_classes,
                   std::int64_t start, std::int64_t stop) noexcept {
    const Table& b = in_use();
    for (std::int64_t low = start; low < stop;) {
        const std::int64_t block = low / kCeilingTracks, end = (block + 1) * kCeilingTracks;
        const std::int64_t high = end < stop ? end : stop, at = low * n_classes, size = (high - low) * n_classes;
        const bool before_odd = b.holds_odd(totals.odd + low, high - low);
        for (std::int64_t i = low; i < high && before_odd && !first;
             ++i) {  // rare: what was held may have to be taken off
            if (is_odd(held + i * n_classes, n_classes)) --totals.odd[i];
        }
        bool odd = false, known = false;
        float spread = 0.0f, lead = 0.0f;
        if constexpr (std::is_same_v<T, float>) {
            known = !first && n_classes == 4 && (high - low) % 16 == 0;
            if (known) {
                odd = b.replace_tiles(totals.total + at, held + at, rows + at, static_cast<float>(factor), high - low,
                                      kUnit, &spread, &lead);
            }
        }
        if (!known) odd = replace(b, totals.total + at, held + at, rows + at, first, static_cast<float>(factor), size);
        for (std::int64_t i = low; i < high && odd; ++i) {
            if (is_odd(rows + i * n_classes, n_classes)) ++totals.odd[i];
        }
        if (!first) {
            const bool whole =
                high - low == kCeilingTracks || (high == totals.n_tracks && low == block * kCeilingTracks);
            const Ceiling now = known && !odd && !before_odd ? Ceiling(spread, lead, n_classes)
                                                             : ceiling_of(b, totals, n_classes, low, high);
            float* const ceiling = totals.ceiling + 2 * block;
            for (int which = 0; which < 2; ++which) {  // what the block's other tracks come to stays as it was
                ceiling[which] = whole || now.most[which] > ceiling[which] ? now.most[which] : ceiling[which];
            }
        }
        low = high;
    }
}

template <class T>
void state_utility(Measure measure, const Totals& totals, const Rows<T>& rows, const double* weight, std::int64_t start,
                   std::int64_t stop, float* out) noexcept {
    const Table& b = in_use();
    const Floor none = floor_of(measure, -kInfinity, 0.0, rows.n_classes);
    const std::int64_t step = step_of(rows.n_classes);
    double exact[kMaxClasses];
    for (std::int64_t low = start; low < stop; low += step) {
        const std::int64_t high = low + step < stop ? low + step : stop;
        b.scan_total(measure, totals.total + low * rows.n_classes, high - low, rows.n_classes, kUnit, none, out + low);
        if (!b.holds_odd(totals.odd + low, high - low) && !b.any_above_f32(out + low, high - low, 1e30f)) continue;
        for (std::int64_t i = low; i < high; ++i) {
            if (totals.odd[i] == 0 && !(out[i] > 1e30f)) continue;
            out[i] = static_cast<float>(score_track(measure, rows, weight, i, exact));
        }
    }
}

template <class T>
std::int64_t state_top(Measure measure, const Totals& totals, const Rows<T>& rows, const double* weight,
                       Excluded excluded, std::int64_t start, std::int64_t stop, std::int64_t k, std::int64_t* index,
                       double* score) noexcept {
    if (k <= 0) return 0;
    const Table& b = in_use();
    const double near = slack(rows.n_members, rows.n_classes);
    const Floor none = floor_of(measure, -kInfinity, 0.0, rows.n_classes);
    const std::int64_t step = step_of(rows.n_classes);
    const float* const ceiling = totals.ceiling + (measure == Measure::margin);
    float out[kCeilingTracks];
    double exact[kMaxClasses];
    std::int64_t left_out = 0, again = 0;
    double bound = sampled_bound(measure, totals, rows.n_classes, excluded, start, stop, k, near, index, score);
    Best best(index, score, k);
    std::int64_t high = start;
    for (std::int64_t low = start; low < stop; low = high) {
        const std::int64_t block = low / kCeilingTracks, end = (block + 1) * kCeilingTracks;
        high = end < stop ? end : stop;
        if (ceiling[2 * block] < bound - near) {
            ++left_out;
            continue;
        }
        high = high < low + step ? high : low + step;
        const bool odd = b.holds_odd(totals.odd + low, high - low);
        const Floor floor = odd ? none : floor_of(measure, bound, near, rows.n_classes);
        std::uint64_t found =
            b.scan_total(measure, totals.total + low * rows.n_classes, high - low, rows.n_classes, kUnit, floor, out);
        for (; found != 0; found &= found - 1) {
            const std::int64_t from = low + 16 * __builtin_ctzll(found), to = from + 16 < high ? from + 16 : high;
            for (std::int64_t i = from; i < to; ++i) {
                if (!(totals.odd[i] != 0 || out[i - low] >= bound - near) || excluded.holds(i)) continue;
                best.offer(score_track(measure, rows, weight, i, exact), i);
                ++again;
                if (best.full() && best.worst() > bound) bound = best.worst();
            }
        }
    }
    paths::taken(paths::Path::state_blocks_left_out, left_out);
    paths::taken(paths::Path::state_tracks_again, again);
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

}  // namespace dissensus::query

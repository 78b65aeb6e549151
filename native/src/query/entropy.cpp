#include "dissensus/entropy.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dissensus/measures.hpp"
#include "dissensus/paths.hpp"
#include "dissensus/topk.hpp"
#include "query/blocks.hpp"
#include "query/table.hpp"

namespace dissensus::query {
namespace {

constexpr double kInfinity = __builtin_inf();

double entr(double x) noexcept {
    if (x > 0.0) return -x * std::log(x);
    return x == 0.0 ? 0.0 : __builtin_nan("");
}

template <class T>
const T* row_of(const Rows<T>& rows, std::int64_t member, std::int64_t track) noexcept {
    return rows.data + member * rows.member_stride + track * rows.n_classes;
}

double sum_of(const double* values, std::int64_t n) noexcept {
    double total = 0.0;
    for (std::int64_t i = 0; i < n; ++i) total += values[i];
    return total;
}

// Weighted mean member, not scaled; its sum, or NaN if something is negative.
template <class T>
double mean_rows(const Rows<T>& rows, const double* weight, std::int64_t track, double* mean) noexcept {
    const double weight_sum = sum_of(weight, rows.n_members);
    double total = 0.0;
    bool negative = false;
    for (std::int64_t c = 0; c < rows.n_classes; ++c) {
        double value = 0.0;
        for (std::int64_t m = 0; m < rows.n_members; ++m) value += weight[m] * double(row_of(rows, m, track)[c]);
        mean[c] = value / weight_sum;
        negative |= mean[c] < 0.0;
        total += mean[c];
    }
    return negative ? __builtin_nan("") : total;
}

template <class T>
double score_kl(const Rows<T>& rows, const double* weight, std::int64_t track, double* mean) noexcept {
    const std::int64_t k = rows.n_classes;
    const double weight_sum = sum_of(weight, rows.n_members);
    for (std::int64_t c = 0; c < k; ++c) mean[c] = 0.0;
    for (std::int64_t m = 0; m < rows.n_members; ++m) {
        const T* row = row_of(rows, m, track);
        double total = 0.0;
        for (std::int64_t c = 0; c < k; ++c) {
            if (row[c] < T(0)) return __builtin_nan("");
            total += double(row[c]);
        }
        for (std::int64_t c = 0; c < k; ++c) mean[c] += weight[m] * (double(row[c]) / total);
    }
    for (std::int64_t c = 0; c < k; ++c) mean[c] /= weight_sum;
    double result = 0.0;
    for (std::int64_t m = 0; m < rows.n_members; ++m) {
        const T* row = row_of(rows, m, track);
        double total = 0.0;
        for (std::int64_t c = 0; c < k; ++c) total += double(row[c]);
        double divergence = 0.0;
        for (std::int64_t c = 0; c < k; ++c) {
            if (mean[c] != 0.0) divergence += -mean[c] * entr(double(row[c]) / total / mean[c]);
        }
        result += weight[m] * divergence;
    }
    result /= weight_sum;
    return result < 0.0 ? 0.0 : result;
}

std::uint64_t scan(const Table& b, Measure measure, const BlockIn<float>& in, const double* weight, double weight_sum,
                   const Floor& floor, float* out) noexcept {
    return b.scan_f32(measure, in, weight, weight_sum, floor, out);
}
std::uint64_t scan(const Table& b, Measure measure, const BlockIn<double>& in, const double* weight, double weight_sum,
                   const Floor& floor, float* out) noexcept {
    return b.scan_f64(measure, in, weight, weight_sum, floor, out);
}

constexpr std::int64_t kAhead = 2048;  // bytes

template <class T>
BlockIn<T> block_of(const Rows<T>& rows, std::int64_t start, std::int64_t stop, bool fetch) noexcept {
    return {row_of(rows, 0, start), rows.member_stride, rows.n_members,
            rows.n_classes,         stop - start,       fetch ? kAhead / std::int64_t(sizeof(T)) : 0};
}

std::int64_t step_of(std::int64_t n_classes) noexcept {
    const std::int64_t fit = tracks_per_block(n_classes);
    return fit < kScanTracks ? fit : kScanTracks;
}

// More than a float32 utility can be off: rounding of sums, products and logarithms, term by term, at the worst sum of
// a row that float32 is trusted with.
double slack(std::int64_t n_members, std::int64_t n_classes) noexcept {
    return 1.2e-7 * double(n_members + n_classes + 16) * (5.0 + std::log(double(n_classes)));
}

}  // namespace

template <class T>
double score_track(Measure measure, const Rows<T>& rows, const double* weight, std::int64_t track,
                   double* mean) noexcept {
    if (measure == Measure::mean_kl) return score_kl(rows, weight, track, mean);
    const double total = mean_rows(rows, weight, track, mean);
    if (measure == Measure::consensus_entropy) {
        double result = 0.0;
        for (std::int64_t c = 0; c < rows.n_classes; ++c) result += entr(mean[c] / total);
        return result;
    }
    double first = -1.0, second = -1.0;
    for (std::int64_t c = 0; c < rows.n_classes; ++c) {
        const double p = mean[c] / total;
        if (p != p) return p;
        if (p > first) {
            second = first;
            first = p;
        } else if (p > second) {
            second = p;
        }
    }
    return rows.n_classes == 1 ? 1.0 - first : 1.0 - (first - second);
}

template <class T>
void utility(Measure measure, const Rows<T>& rows, const double* weight, std::int64_t start, std::int64_t stop,
             float* out) noexcept {
    const Table& b = in_use();
    const double weight_sum = sum_of(weight, rows.n_members);
    const Floor none = floor_of(measure, -kInfinity, 0.0, rows.n_classes);
    const std::int64_t step = step_of(rows.n_classes);
    double mean[kMaxClasses];
    for (std::int64_t low = start; low < stop; low += step) {
        const std::int64_t high = low + step < stop ? low + step : stop;
        scan(b, measure, block_of(rows, low, high, true), weight, weight_sum, none, out + low);
        if (!b.any_above_f32(out + low, high - low, 1e30f)) continue;
        for (std::int64_t i = low; i < high; ++i) {
            if (out[i] > 1e30f) out[i] = static_cast<float>(score_track(measure, rows, weight, i, mean));
        }
    }
}

namespace {

// A score that k tracks of a sample reach: the pass that follows need not begin with nothing. Minus infinity where the
// sample would be large beside the whole. `index` and `score` are room for k.
template <class T>
double sampled_bound(Measure measure, const Rows<T>& rows, const double* weight, Excluded excluded, std::int64_t start,
                     std::int64_t stop, std::int64_t k, double near, std::int64_t* index, double* score) noexcept {
    const std::int64_t n = stop - start, few = step_of(rows.n_classes) < 16 ? step_of(rows.n_classes) : 16;
    std::int64_t samples = n / 256 < 2048 ? n / 256 : 2048;
    if (samples < 4 * k) samples = 4 * k;
    if (samples > n / 16 || measure == Measure::mean_kl) return -kInfinity;
    const Table& b = in_use();
    const double weight_sum = sum_of(weight, rows.n_members);
    const Floor none = floor_of(measure, -kInfinity, 0.0, rows.n_classes);
    const std::int64_t stride = n / samples * few;
    Best best(index, score, k);
    for (std::int64_t low = start; low + few <= stop; low += stride) {
        float out[16];
        scan(b, measure, block_of(rows, low, low + few, false), weight, weight_sum, none, out);
        for (std::int64_t i = 0; i < few; ++i) {
            if (out[i] > 1e30f || (best.full() && !(out[i] > best.worst())) || excluded.holds(low + i)) continue;
            best.offer(out[i], low + i);
        }
    }
    return best.full() ? best.worst() - near : -kInfinity;
}

// Scores tracks in float64, and remembers the last: a committee that has learnt nothing yet says the same of all of
// them.
template <class T>
class Scorer {
public:
    double score(Measure measure, const Rows<T>& rows, const double* weight, std::int64_t track) noexcept {
        const std::size_t size = sizeof(T) * std::size_t(rows.n_classes);
        bool same = last_ >= 0;
        for (std::int64_t m = 0; same && m < rows.n_members; ++m) {
            same = std::memcmp(row_of(rows, m, track), row_of(rows, m, last_), size) == 0;
        }
        if (!same) score_ = score_track(measure, rows, weight, track, mean_);
        last_ = track;
        return score_;
    }

private:
    double mean_[kMaxClasses];
    double score_ = 0.0;
    std::int64_t last_ = -1;
};

}  // namespace

template <class T>
std::int64_t query_top(Measure measure, const Rows<T>& rows, const double* weight, Excluded excluded,
                       std::int64_t start, std::int64_t stop, std::int64_t k, std::int64_t* index,
                       double* score) noexcept {
    if (k <= 0) return 0;
    const Table& b = in_use();
    const double weight_sum = sum_of(weight, rows.n_members);
    const double near = slack(rows.n_members, rows.n_classes);
    const std::int64_t step = step_of(rows.n_classes);
    float out[kScanTracks];
    Scorer<T> scorer;
    std::int64_t tiles = 0, kept = 0, again = 0;
    double bound = sampled_bound(measure, rows, weight, excluded, start, stop, k, near, index, score);
    Best best(index, score, k);
    for (std::int64_t low = start; low < stop; low += step) {
        const std::int64_t high = low + step < stop ? low + step : stop;
        const Floor floor = floor_of(measure, bound, near, rows.n_classes);
        std::uint64_t found = scan(b, measure, block_of(rows, low, high, true), weight, weight_sum, floor, out);
        tiles += (high - low + 15) / 16;
        kept += __builtin_popcountll(found);
        for (; found != 0; found &= found - 1) {
            const std::int64_t from = low + 16 * __builtin_ctzll(found), to = from + 16 < high ? from + 16 : high;
            for (std::int64_t i = from; i < to; ++i) {
                if (!(out[i - low] >= bound - near) || excluded.holds(i)) continue;
                best.offer(scorer.score(measure, rows, weight, i), i);
                ++again;
                if (best.full() && best.worst() > bound) bound = best.worst();
            }
        }
    }
    paths::taken(paths::Path::query_tiles_left_out, tiles - kept);
    paths::taken(paths::Path::query_tracks_again, again);
    return best.finish();
}

void log_into(const float* x, std::int64_t n, float* out) noexcept { in_use().log(x, n, out); }

template double score_track(Measure, const Rows<float>&, const double*, std::int64_t, double*) noexcept;
template double score_track(Measure, const Rows<double>&, const double*, std::int64_t, double*) noexcept;
template void utility(Measure, const Rows<float>&, const double*, std::int64_t, std::int64_t, float*) noexcept;
template void utility(Measure, const Rows<double>&, const double*, std::int64_t, std::int64_t, float*) noexcept;
template std::int64_t query_top(Measure, const Rows<float>&, const double*, Excluded, std::int64_t, std::int64_t,
                                std::int64_t, std::int64_t*, double*) noexcept;
template std::int64_t query_top(Measure, const Rows<double>&, const double*, Excluded, std::int64_t, std::int64_t,
                                std::int64_t, std::int64_t*, double*) noexcept;

}  // namespace dissensus::query

#include "dissensus/entropy.hpp"

#include <cmath>

#include "blocks.hpp"

namespace dissensus {
namespace {

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

void mean_of(const Blocks& b, const BlockIn<float>& in, const double* w, double sum, float* mean) noexcept {
    b.mean_f32(in, w, sum, mean);
}
void mean_of(const Blocks& b, const BlockIn<double>& in, const double* w, double sum, float* mean) noexcept {
    b.mean_f64(in, w, sum, mean);
}

void kl_of(const Blocks& b, const BlockIn<float>& in, const double* w, double sum, float* out) noexcept {
    b.kl_f32(in, w, sum, out);
}
void kl_of(const Blocks& b, const BlockIn<double>& in, const double* w, double sum, float* out) noexcept {
    b.kl_f64(in, w, sum, out);
}

// One block's utilities into out[0..stop-start-1]; what float32 is not trusted with, by float64.
template <class T>
void block(const Blocks& b, Measure measure, const Rows<T>& rows, const double* weight, double weight_sum,
           std::int64_t start, std::int64_t stop, std::int64_t end, float* out) noexcept {
    const std::int64_t ahead = (end - stop < stop - start ? end - stop : stop - start) * rows.n_classes;
    const BlockIn<T> in{row_of(rows, 0, start), rows.member_stride, rows.n_members, rows.n_classes, stop - start, ahead};
    if (measure == Measure::mean_kl) {
        kl_of(b, in, weight, weight_sum, out);
    } else {
        float mean[kBlockFloats];
        mean_of(b, in, weight, weight_sum, mean);
        (measure == Measure::margin ? b.margin : b.entropy)(mean, in.n, in.n_classes, out);
    }
    if (!b.any_above_f32(out, in.n, 1e30f)) return;
    double mean[kMaxClasses];
    for (std::int64_t i = 0; i < in.n; ++i) {
        if (out[i] > 1e30f) out[i] = static_cast<float>(score_track(measure, rows, weight, start + i, mean));
    }
}

// More than a float32 utility can be off: rounding of sums, products and logarithms, term by term, at the worst sum of a
// row that float32 is trusted with.
double slack(std::int64_t n_members, std::int64_t n_classes) noexcept {
    return 1.2e-7 * double(n_members + n_classes + 16) * (5.0 + std::log(double(n_classes)));
}

}  // namespace

template <class T>
double score_track(Measure measure, const Rows<T>& rows, const double* weight, std::int64_t track, double* mean) noexcept {
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
    const Blocks& b = blocks();
    const double weight_sum = sum_of(weight, rows.n_members);
    const std::int64_t step = tracks_per_block(rows.n_classes);
    for (std::int64_t low = start; low < stop; low += step) {
        const std::int64_t high = low + step < stop ? low + step : stop;
        block(b, measure, rows, weight, weight_sum, low, high, stop, out + low);
    }
}

template <class T>
std::int64_t query_top(Measure measure, const Rows<T>& rows, const double* weight, Excluded excluded, std::int64_t start,
                       std::int64_t stop, std::int64_t k, std::int64_t* index, double* score) noexcept {
    if (k <= 0) return 0;
    const Blocks& b = blocks();
    const double weight_sum = sum_of(weight, rows.n_members);
    const double near = slack(rows.n_members, rows.n_classes);
    const std::int64_t step = tracks_per_block(rows.n_classes);
    float out[kBlockFloats];
    double mean[kMaxClasses];
    Best best(index, score, k);
    for (std::int64_t low = start; low < stop; low += step) {
        const std::int64_t high = low + step < stop ? low + step : stop;
        block(b, measure, rows, weight, weight_sum, low, high, stop, out);
        if (best.full() && !b.any_above_f32(out, high - low, static_cast<float>(best.worst() - 2.0 * near))) continue;
        for (std::int64_t i = low; i < high; ++i) {
            if (best.full() && !(out[i - low] >= best.worst() - near)) continue;
            if (!excluded.holds(i)) best.offer(score_track(measure, rows, weight, i, mean), i);
        }
    }
    return best.finish();
}

void log_into(const float* x, std::int64_t n, float* out) noexcept { blocks().log(x, n, out); }

template double score_track(Measure, const Rows<float>&, const double*, std::int64_t, double*) noexcept;
template double score_track(Measure, const Rows<double>&, const double*, std::int64_t, double*) noexcept;
template void utility(Measure, const Rows<float>&, const double*, std::int64_t, std::int64_t, float*) noexcept;
template void utility(Measure, const Rows<double>&, const double*, std::int64_t, std::int64_t, float*) noexcept;
template std::int64_t query_top(Measure, const Rows<float>&, const double*, Excluded, std::int64_t, std::int64_t,
                                std::int64_t, std::int64_t*, double*) noexcept;
template std::int64_t query_top(Measure, const Rows<double>&, const double*, Excluded, std::int64_t, std::int64_t,
                                std::int64_t, std::int64_t*, double*) noexcept;

}  // namespace dissensus

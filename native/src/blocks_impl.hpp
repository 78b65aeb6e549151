// Included once by every file that is compiled for an instruction set. Plain loops over contiguous numbers, which the
// compiler turns into that set's vectors; all of internal linkage, nothing from the standard library's templates, so that
// the linker cannot hand one file's wide code to another.
#include "blocks.hpp"
#include "dissensus/log.hpp"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace dissensus {
namespace {

// Outside of these bounds of a row's sum, float32 is not trusted and float64 looks.
constexpr float kLowSum = 1.0f / 16.0f;
constexpr float kHighSum = 16.0f;
constexpr float kInfinity = __builtin_inff();

inline std::int64_t least(std::int64_t a, std::int64_t b) noexcept { return a < b ? a : b; }

// ---- mean of the members -------------------------------------------------------------------------------------------

constexpr std::int64_t kChunk = 256;

// Fetch numbers from..to of what comes next, of every member whose position leaves `half` when halved.
inline void fetch(const Ahead& ahead, std::int64_t from, std::int64_t to, std::int64_t half) noexcept {
#if defined(__GNUC__)
    if (to > ahead.size) to = ahead.size;
    for (std::int64_t m = half; m < ahead.n_members; m += 2) {
        const float* row = ahead.first + m * ahead.member_stride;
        for (std::int64_t j = from; j < to; j += 16) __builtin_prefetch(row + j, 0, 2);
    }
#else
    (void)ahead, (void)from, (void)to, (void)half;
#endif
}

template <class T>
inline void add_one(const T* __restrict row, float w, std::int64_t size, float* __restrict mean) noexcept {
    for (std::int64_t j = 0; j < size; ++j) mean[j] = multiply_add(static_cast<float>(row[j]), w, mean[j]);
}

void mean_f32(const BlockIn<float>& in, const double* weight, double weight_sum, const Ahead& ahead,
              float* __restrict mean) noexcept {
    const std::int64_t size = in.n * in.n_classes;
    for (std::int64_t from = 0; from < size; from += kChunk) {
        const std::int64_t to = least(from + kChunk, size);
        for (std::int64_t j = from; j < to; ++j) mean[j] = 0.0f;
        std::int64_t m = 0;
        for (; m + 4 <= in.n_members; m += 4) {
            const float* const __restrict row0 = in.first + m * in.member_stride;
            const float* const __restrict row1 = row0 + in.member_stride;
            const float* const __restrict row2 = row1 + in.member_stride;
            const float* const __restrict row3 = row2 + in.member_stride;
            const float w0 = static_cast<float>(weight[m] / weight_sum);
            const float w1 = static_cast<float>(weight[m + 1] / weight_sum);
            const float w2 = static_cast<float>(weight[m + 2] / weight_sum);
            const float w3 = static_cast<float>(weight[m + 3] / weight_sum);
            for (std::int64_t j = from; j < to; ++j) {
                float value = multiply_add(row0[j], w0, mean[j]);
                value = multiply_add(row1[j], w1, value);
                value = multiply_add(row2[j], w2, value);
                mean[j] = multiply_add(row3[j], w3, value);
            }
        }
        for (; m < in.n_members; ++m) {
            const float w = static_cast<float>(weight[m] / weight_sum);
            add_one(in.first + m * in.member_stride + from, w, to - from, mean + from);
        }
        fetch(ahead, from, to, 0);
    }
}

void mean_f64(const BlockIn<double>& in, const double* weight, double weight_sum, float* mean) noexcept {
    const std::int64_t size = in.n * in.n_classes;
    for (std::int64_t j = 0; j < size; ++j) mean[j] = 0.0f;
    for (std::int64_t m = 0; m < in.n_members; ++m) {
        add_one(in.first + m * in.member_stride, static_cast<float>(weight[m] / weight_sum), size, mean);
    }
}

// ---- sums over the classes of a track ------------------------------------------------------------------------------

// Sum and smallest of every row of x, sum of every row of y. The compiler sees how many classes there are (0: it does not).
template <int fixed>
inline void row_sums(const float* x, const float* y, std::int64_t n, std::int64_t n_classes, float* sum_x, float* low_x,
                     float* sum_y) noexcept {
    const std::int64_t k = fixed > 0 ? fixed : n_classes;
    for (std::int64_t i = 0; i < n; ++i) {
        float sx = x[i * k], lx = x[i * k], sy = y[i * k];
        for (std::int64_t c = 1; c < k; ++c) {
            const float value = x[i * k + c];
            sx += value;
            lx = lx < value ? lx : value;
            sy += y[i * k + c];
        }
        sum_x[i] = sx;
        low_x[i] = lx;
        sum_y[i] = sy;
    }
}

inline void row_sums_any(const float* x, const float* y, std::int64_t n, std::int64_t n_classes, float* sum_x,
                         float* low_x, float* sum_y) noexcept {
    switch (n_classes) {
        case 2: return row_sums<2>(x, y, n, n_classes, sum_x, low_x, sum_y);
        case 3: return row_sums<3>(x, y, n, n_classes, sum_x, low_x, sum_y);
        case 4: return row_sums<4>(x, y, n, n_classes, sum_x, low_x, sum_y);
        case 5: return row_sums<5>(x, y, n, n_classes, sum_x, low_x, sum_y);
        case 6: return row_sums<6>(x, y, n, n_classes, sum_x, low_x, sum_y);
        case 8: return row_sums<8>(x, y, n, n_classes, sum_x, low_x, sum_y);
        default: return row_sums<0>(x, y, n, n_classes, sum_x, low_x, sum_y);
    }
}

inline bool fits(float sum, float low) noexcept { return sum >= kLowSum && sum <= kHighSum && low >= 0.0f; }

// Entropy of the rows of `mean`: log S - (sum of x log x) / S.
void entropy(float* __restrict mean, std::int64_t n, std::int64_t n_classes, const Ahead& ahead,
             float* __restrict out) noexcept {
    float terms[kBlockFloats], sum[kBlockFloats], low[kBlockFloats], sum_terms[kBlockFloats];
    const std::int64_t size = n * n_classes;
    for (std::int64_t from = 0; from < size; from += kChunk) {
        const std::int64_t to = least(from + kChunk, size);
        fetch(ahead, from, to, 1);
        for (std::int64_t j = from; j < to; ++j) terms[j] = x_log_x(mean[j]);
    }
    row_sums_any(mean, terms, n, n_classes, sum, low, sum_terms);
    for (std::int64_t i = 0; i < n; ++i) {
        const bool fit = fits(sum[i], low[i]);
        const float value = log_normal(fit ? sum[i] : 1.0f) - sum_terms[i] / sum[i];
        out[i] = fit ? (value > 0.0f ? value : 0.0f) : kInfinity;
    }
}

template <int fixed>
inline void margins(const float* __restrict mean, std::int64_t n, std::int64_t n_classes, float* __restrict out) noexcept {
    const std::int64_t k = fixed > 0 ? fixed : n_classes;
    for (std::int64_t i = 0; i < n; ++i) {
        float sum = 0.0f, low = 0.0f, first = 0.0f, second = 0.0f;
        for (std::int64_t c = 0; c < k; ++c) {
            const float value = mean[i * k + c];
            sum += value;
            low = value < low ? value : low;
            const float lesser = value < first ? value : first;
            second = second < lesser ? lesser : second;
            first = first < value ? value : first;
        }
        const bool fit = fits(sum, low);
        const float lead = (first - second) / (fit ? sum : 1.0f);
        out[i] = fit ? 1.0f - lead : kInfinity;
    }
}

void margin(float* mean, std::int64_t n, std::int64_t n_classes, const Ahead& ahead, float* out) noexcept {
    fetch(ahead, 0, n * n_classes, 1);
    switch (n_classes) {
        case 2: return margins<2>(mean, n, n_classes, out);
        case 3: return margins<3>(mean, n, n_classes, out);
        case 4: return margins<4>(mean, n, n_classes, out);
        default: return margins<0>(mean, n, n_classes, out);
    }
}

// ---- divergence of the members from their mean ---------------------------------------------------------------------

template <class T>
inline void kl(const BlockIn<T>& in, const double* weight, double weight_sum, float* out) noexcept {
    float mean[kBlockFloats], row[kBlockFloats], terms[kBlockFloats];
    float sum[kBlockFloats], low[kBlockFloats], sum_terms[kBlockFloats], less[kBlockFloats];
    const std::int64_t n = in.n, k = in.n_classes, size = n * k;
    for (std::int64_t j = 0; j < size; ++j) mean[j] = 0.0f;
    for (std::int64_t i = 0; i < n; ++i) less[i] = 0.0f;
    for (std::int64_t m = 0; m < in.n_members; ++m) {
        const float w = static_cast<float>(weight[m] / weight_sum);
        const T* from = in.first + m * in.member_stride;
        for (std::int64_t j = 0; j < size; ++j) row[j] = static_cast<float>(from[j]);
        for (std::int64_t j = 0; j < size; ++j) terms[j] = x_log_x(row[j]);
        row_sums_any(row, terms, n, k, sum, low, sum_terms);
        for (std::int64_t i = 0; i < n; ++i) {  // the row's entropy, and what the row is scaled by
            const bool fit = fits(sum[i], low[i]);
            const float scale = 1.0f / (fit ? sum[i] : 1.0f);
            const float value = log_normal(fit ? sum[i] : 1.0f) - sum_terms[i] * scale;
            less[i] += fit ? w * value : kInfinity;
            sum[i] = fit ? w * scale : 0.0f;
        }
        if (k == 4) {
            for (std::int64_t i = 0; i < n; ++i) {
                for (int c = 0; c < 4; ++c) mean[4 * i + c] += sum[i] * row[4 * i + c];
            }
        } else {
            for (std::int64_t i = 0; i < n; ++i) {
                for (std::int64_t c = 0; c < k; ++c) mean[i * k + c] += sum[i] * row[i * k + c];
            }
        }
    }
    entropy(mean, n, k, Ahead{}, out);
    for (std::int64_t i = 0; i < n; ++i) {
        const bool fit = less[i] < kInfinity;
        const float value = out[i] - (fit ? less[i] : 0.0f);
        out[i] = fit && out[i] < kInfinity ? (value > 0.0f ? value : 0.0f) : kInfinity;
    }
}

void kl_f32(const BlockIn<float>& in, const double* weight, double weight_sum, float* out) noexcept {
    kl(in, weight, weight_sum, out);
}

void kl_f64(const BlockIn<double>& in, const double* weight, double weight_sum, float* out) noexcept {
    kl(in, weight, weight_sum, out);
}

// ---- votes ---------------------------------------------------------------------------------------------------------

// Counters of one byte, so at most 255 members at a time; the caller adds groups up.
template <int fixed>
inline void count_bytes(const std::uint8_t* first, std::int64_t member_stride, std::int64_t n_members,
                        std::int64_t from_class, std::int64_t n, std::uint8_t* counts) noexcept {
    for (std::int64_t i = 0; i < n; i += 64) {
        std::uint8_t tile[fixed][64] = {};
        const std::int64_t wide = least(64, n - i);
        if (wide == 64) {
            for (std::int64_t m = 0; m < n_members; ++m) {
                const std::uint8_t* vote = first + m * member_stride + i;
                for (int c = 0; c < fixed; ++c) {
                    const std::uint8_t label = static_cast<std::uint8_t>(from_class + c);
                    for (int l = 0; l < 64; ++l) tile[c][l] = static_cast<std::uint8_t>(tile[c][l] + (vote[l] == label));
                }
            }
        } else {
            for (std::int64_t m = 0; m < n_members; ++m) {
                const std::uint8_t* vote = first + m * member_stride + i;
                for (std::int64_t l = 0; l < wide; ++l) {
                    const int c = static_cast<int>(vote[l]) - static_cast<int>(from_class);
                    if (c >= 0 && c < fixed) ++tile[c][l];
                }
            }
        }
        for (int c = 0; c < fixed; ++c) {
            for (std::int64_t l = 0; l < wide; ++l) counts[c * kBlockVotes + i + l] = tile[c][l];
        }
    }
}

void count_votes(const std::uint8_t* first, std::int64_t member_stride, std::int64_t n_members, std::int64_t n_classes,
                 std::int64_t n, std::int64_t stride, std::uint16_t* counts) noexcept {
    std::uint8_t bytes[4 * kBlockVotes];
    for (std::int64_t c = 0; c < n_classes; c += 4) {
        const std::int64_t classes = least(4, n_classes - c);
        for (std::int64_t m = 0; m < n_members || m == 0; m += 255) {
            const std::uint8_t* from = first + m * member_stride;
            const std::int64_t members = least(255, n_members - m);
            switch (classes) {
                case 1: count_bytes<1>(from, member_stride, members, c, n, bytes); break;
                case 2: count_bytes<2>(from, member_stride, members, c, n, bytes); break;
                case 3: count_bytes<3>(from, member_stride, members, c, n, bytes); break;
                default: count_bytes<4>(from, member_stride, members, c, n, bytes); break;
            }
            for (std::int64_t d = 0; d < classes; ++d) {
                std::uint16_t* to = counts + (c + d) * stride;
                const std::uint8_t* add = bytes + d * kBlockVotes;
                if (m == 0) {
                    for (std::int64_t i = 0; i < n; ++i) to[i] = add[i];
                } else {
                    for (std::int64_t i = 0; i < n; ++i) to[i] = static_cast<std::uint16_t>(to[i] + add[i]);
                }
            }
        }
    }
}

void vote_sums(const std::uint16_t* counts, std::int64_t n_members, std::int64_t n_classes, std::int64_t n,
               std::int64_t stride, const std::int32_t* table, float* out) noexcept {
    constexpr float unit = static_cast<float>(kVoteUnit);
    std::int64_t i = 0;
#if defined(__AVX512F__)
    if (n_members < 32) {  // the table fits two registers
        const auto loaded = [&](std::int64_t from) {
            const std::int64_t left = n_members + 1 - from;
            const __mmask16 mask = left >= 16 ? __mmask16(0xFFFF) : left > 0 ? __mmask16((1u << left) - 1) : __mmask16(0);
            return _mm512_maskz_loadu_epi32(mask, table + from);
        };
        const __m512i table_low = loaded(0), table_high = loaded(16);
        for (; i + 16 <= n; i += 16) {
            __m512i total = _mm512_setzero_si512();
            for (std::int64_t c = 0; c < n_classes; ++c) {
                const auto* from = reinterpret_cast<const __m256i*>(counts + c * stride + i);
                const __m512i count = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from));
                total = _mm512_add_epi32(total, _mm512_permutex2var_epi32(table_low, count, table_high));
            }
            _mm512_storeu_ps(out + i, _mm512_mul_ps(_mm512_cvtepi32_ps(total), _mm512_set1_ps(unit)));
        }
    }
#endif
    for (; i < n; ++i) {
        std::int32_t total = 0;
        for (std::int64_t c = 0; c < n_classes; ++c) total += table[counts[c * stride + i]];
        out[i] = static_cast<float>(total) * unit;
    }
    (void)n_members;
}

// ---- running mean ----------------------------------------------------------------------------------------------------

void scale(const std::int32_t* total, std::int64_t n, float unit, float* mean) noexcept {
    for (std::int64_t j = 0; j < n; ++j) mean[j] = static_cast<float>(total[j]) * unit;
}

inline std::int32_t share(float p, float factor) noexcept {
    const bool fit = p >= 0.0f && p <= 1.5f;
    return static_cast<std::int32_t>((fit ? p : 0.0f) * factor + 0.5f);
}

template <class T>
inline bool replace(std::int32_t* __restrict total, T* __restrict held, const T* __restrict rows, bool first, float factor,
                    std::int64_t n) noexcept {
    int odd = 0;
    if (first) {
        for (std::int64_t j = 0; j < n; ++j) {
            const float p = static_cast<float>(rows[j]);
            odd |= !(p >= 0.0f) | !(p <= 1.5f);
            total[j] += share(p, factor);
            held[j] = rows[j];
        }
    } else {
        for (std::int64_t j = 0; j < n; ++j) {
            const float p = static_cast<float>(rows[j]);
            odd |= !(p >= 0.0f) | !(p <= 1.5f);
            total[j] += share(p, factor) - share(static_cast<float>(held[j]), factor);
            held[j] = rows[j];
        }
    }
    return odd != 0;
}

bool replace_f32(std::int32_t* total, float* held, const float* rows, bool first, float factor, std::int64_t n) noexcept {
    return replace(total, held, rows, first, factor, n);
}

bool replace_f64(std::int32_t* total, double* held, const double* rows, bool first, float factor, std::int64_t n) noexcept {
    return replace(total, held, rows, first, factor, n);
}

bool holds_odd(const std::uint16_t* odd, std::int64_t n) noexcept {
    int found = 0;
    for (std::int64_t i = 0; i < n; ++i) found |= odd[i];
    return found != 0;
}

// ---- small ones ----------------------------------------------------------------------------------------------------

template <class T>
inline bool any_above(const T* values, std::int64_t n, T bound) noexcept {
    int found = 0;
    for (std::int64_t i = 0; i < n; ++i) found |= values[i] > bound;
    return found != 0;
}

bool any_above_f32(const float* values, std::int64_t n, float bound) noexcept { return any_above(values, n, bound); }

bool any_above_f64(const double* values, std::int64_t n, double bound) noexcept { return any_above(values, n, bound); }

void log_all(const float* x, std::int64_t n, float* out) noexcept {
    for (std::int64_t i = 0; i < n; ++i) out[i] = log_any(x[i]);
}

}  // namespace

const Blocks DISSENSUS_BLOCKS = {mean_f32,    mean_f64,  entropy, margin,      kl_f32,      kl_f64,    count_votes,
                                 vote_sums,   scale,     replace_f32, replace_f64, holds_odd, any_above_f32,
                                 any_above_f64, log_all};

}  // namespace dissensus

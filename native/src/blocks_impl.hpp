// Included once by every file that is compiled for an instruction set. Plain loops over contiguous numbers, which the
// compiler turns into that set's vectors; all of internal linkage, nothing from the standard library's templates, so that
// the linker cannot hand one file's wide code to another.
#include "blocks.hpp"
#include "dissensus/log.hpp"
#include "tile_impl.hpp"

#if defined(__AVX2__)
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

#if defined(__GNUC__)
typedef float Line __attribute__((vector_size(64), aligned(4), may_alias));
constexpr std::int64_t kLine = 16;

// Four members at a time over the block, while the lines of the next four (or of the next block) are fetched.
template <bool first>
void add_four(const float* const row[4], const float* const next[4], const float w[4], std::int64_t size,
              std::int64_t ahead, float* mean) noexcept {
    std::int64_t j = 0;
    for (; j + kLine <= size; j += kLine) {
        if (j < ahead) {
            for (int r = 0; r < 4; ++r) __builtin_prefetch(next[r] + j, 0, 2);
        }
        Line value = *reinterpret_cast<const Line*>(row[0] + j) * w[0];
        if constexpr (!first) value = *reinterpret_cast<const Line*>(mean + j) + value;
        value += *reinterpret_cast<const Line*>(row[1] + j) * w[1];
        value += *reinterpret_cast<const Line*>(row[2] + j) * w[2];
        value += *reinterpret_cast<const Line*>(row[3] + j) * w[3];
        *reinterpret_cast<Line*>(mean + j) = value;
    }
    for (; j < size; ++j) {
        float value = row[0][j] * w[0];
        if constexpr (!first) value = mean[j] + value;
        value += row[1][j] * w[1];
        value += row[2][j] * w[2];
        value += row[3][j] * w[3];
        mean[j] = value;
    }
}
#else
constexpr std::int64_t kLine = 16;
template <bool first>
void add_four(const float* const row[4], const float* const*, const float w[4], std::int64_t size, std::int64_t,
              float* mean) noexcept {
    for (std::int64_t j = 0; j < size; ++j) {
        float value = row[0][j] * w[0];
        if constexpr (!first) value = mean[j] + value;
        value += row[1][j] * w[1];
        value += row[2][j] * w[2];
        value += row[3][j] * w[3];
        mean[j] = value;
    }
}
#endif

template <class T>
inline void add_one(const T* row, float w, std::int64_t size, float* mean) noexcept {
    for (std::int64_t j = 0; j < size; ++j) mean[j] += w * static_cast<float>(row[j]);
}

void mean_f32(const BlockIn<float>& in, const double* weight, double weight_sum, float* mean) noexcept {
    const std::int64_t size = in.n * in.n_classes;
    std::int64_t m = 0;
    for (; m + 4 <= in.n_members; m += 4) {
        const float *row[4], *next[4];
        float w[4];
        const bool more = m + 8 <= in.n_members;
        for (int r = 0; r < 4; ++r) {
            row[r] = in.first + (m + r) * in.member_stride;
            next[r] = more ? row[r] + 4 * in.member_stride : in.first + r * in.member_stride + size;
            w[r] = static_cast<float>(weight[m + r] / weight_sum);
        }
        const std::int64_t ahead = more ? size : in.ahead;
        if (m == 0) {
            add_four<true>(row, next, w, size, ahead, mean);
        } else {
            add_four<false>(row, next, w, size, ahead, mean);
        }
    }
    if (m == 0) {
        for (std::int64_t j = 0; j < size; ++j) mean[j] = 0.0f;
    }
    for (; m < in.n_members; ++m) {
        add_one(in.first + m * in.member_stride, static_cast<float>(weight[m] / weight_sum), size, mean);
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
void entropy(float* __restrict mean, std::int64_t n, std::int64_t n_classes, float* __restrict out) noexcept {
#if defined(DISSENSUS_TILES)
    if (n_classes == 4) {
        return entropy4(mean, n, out);
    }
#endif
    float terms[kBlockFloats], sum[kBlockFloats], low[kBlockFloats], sum_terms[kBlockFloats];
    const std::int64_t size = n * n_classes;
    for (std::int64_t j = 0; j < size; ++j) terms[j] = x_log_x(mean[j]);
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

void margin(float* mean, std::int64_t n, std::int64_t n_classes, float* out) noexcept {
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
    entropy(mean, n, k, out);
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

#if defined(__AVX2__)
// Two classes share a byte, four bits each: a shuffle turns a vote into one more of its class, fifteen members at most
// before the halves are added up. Votes from 16 on, which a shuffle would take for smaller ones, are seen in `most`.
template <int pairs>
inline bool count_nibbles(const std::uint8_t* first, std::int64_t member_stride, std::int64_t n_members,
                          std::uint8_t tile[2 * pairs][64]) noexcept {
#if defined(__AVX512BW__)
    constexpr int parts = 1;
    using Bytes = __m512i;
    const auto load = [](const std::uint8_t* from) { return _mm512_loadu_si512(from); };
    const auto put = [](std::uint8_t* to, Bytes value) { _mm512_storeu_si512(to, value); };
    const auto add = [](Bytes a, Bytes b) { return _mm512_add_epi8(a, b); };
    const auto most_of = [](Bytes a, Bytes b) { return _mm512_max_epu8(a, b); };
    const auto low_half = [](Bytes a) { return _mm512_and_si512(a, _mm512_set1_epi8(15)); };
    const auto high_half = [&](Bytes a) { return low_half(_mm512_srli_epi16(a, 4)); };
    const auto pick = [](Bytes table, Bytes vote) { return _mm512_shuffle_epi8(table, vote); };
    const auto zero = [] { return _mm512_setzero_si512(); };
    const auto table_of = [](int pair) {
        const __m128i one = pair < 4 ? _mm_set_epi64x(0, 0x1001LL << (16 * pair)) : _mm_set_epi64x(0x1001LL << (16 * (pair - 4)), 0);
        return _mm512_broadcast_i32x4(one);
    };
#else
    constexpr int parts = 2;
    using Bytes = __m256i;
    const auto load = [](const std::uint8_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); };
    const auto put = [](std::uint8_t* to, Bytes value) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value); };
    const auto add = [](Bytes a, Bytes b) { return _mm256_add_epi8(a, b); };
    const auto most_of = [](Bytes a, Bytes b) { return _mm256_max_epu8(a, b); };
    const auto low_half = [](Bytes a) { return _mm256_and_si256(a, _mm256_set1_epi8(15)); };
    const auto high_half = [&](Bytes a) { return low_half(_mm256_srli_epi16(a, 4)); };
    const auto pick = [](Bytes table, Bytes vote) { return _mm256_shuffle_epi8(table, vote); };
    const auto zero = [] { return _mm256_setzero_si256(); };
    const auto table_of = [](int pair) {
        const __m128i one = pair < 4 ? _mm_set_epi64x(0, 0x1001LL << (16 * pair)) : _mm_set_epi64x(0x1001LL << (16 * (pair - 4)), 0);
        return _mm256_broadcastsi128_si256(one);
    };
#endif
    constexpr int wide = 64 / parts;
    Bytes table[pairs];
    for (int p = 0; p < pairs; ++p) table[p] = table_of(p);
    std::uint8_t most[64];
    for (int part = 0; part < parts; ++part) {
        Bytes largest = zero(), total[2 * pairs];
        for (int c = 0; c < 2 * pairs; ++c) total[c] = zero();
        for (std::int64_t from = 0; from < n_members; from += 15) {
            const std::int64_t to = least(from + 15, n_members);
            Bytes both[pairs];
            for (int p = 0; p < pairs; ++p) both[p] = zero();
            for (std::int64_t m = from; m < to; ++m) {
                const Bytes vote = load(first + m * member_stride + part * wide);
                largest = most_of(largest, vote);
                for (int p = 0; p < pairs; ++p) both[p] = add(both[p], pick(table[p], vote));
            }
            for (int p = 0; p < pairs; ++p) {
                total[2 * p] = add(total[2 * p], low_half(both[p]));
                total[2 * p + 1] = add(total[2 * p + 1], high_half(both[p]));
            }
        }
        put(most + part * wide, largest);
        for (int c = 0; c < 2 * pairs; ++c) put(tile[c] + part * wide, total[c]);
    }
    int far = 0;
    for (int l = 0; l < 64; ++l) far |= most[l] > 15;
    return far == 0;
}
#endif

// Counters of one byte, so at most 255 members at a time; the caller adds groups up.
template <int fixed>
inline void count_bytes(const std::uint8_t* first, std::int64_t member_stride, std::int64_t n_members,
                        std::int64_t from_class, std::int64_t n, std::uint8_t* counts) noexcept {
    for (std::int64_t i = 0; i < n; i += 64) {
        std::uint8_t tile[fixed + 1][64];
        const std::int64_t wide = least(64, n - i);
        bool done = false;
#if defined(__AVX2__)
        if (wide == 64 && from_class == 0) done = count_nibbles<(fixed + 1) / 2>(first + i, member_stride, n_members, tile);
#endif
        if (done) {
            // all counted
        } else if (wide == 64) {
            for (auto& row : tile) {
                for (std::uint8_t& count : row) count = 0;
            }
            for (std::int64_t m = 0; m < n_members; ++m) {
                const std::uint8_t* vote = first + m * member_stride + i;
                for (int c = 0; c < fixed; ++c) {
                    const std::uint8_t label = static_cast<std::uint8_t>(from_class + c);
                    for (int l = 0; l < 64; ++l) tile[c][l] = static_cast<std::uint8_t>(tile[c][l] + (vote[l] == label));
                }
            }
        } else {
            for (auto& row : tile) {
                for (std::uint8_t& count : row) count = 0;
            }
            for (std::int64_t m = 0; m < n_members; ++m) {
                const std::uint8_t* vote = first + m * member_stride + i;
                for (std::int64_t l = 0; l < wide; ++l) {
                    const int c = static_cast<int>(vote[l]) - static_cast<int>(from_class);
                    if (c >= 0 && c < fixed) ++tile[c][l];
                }
            }
        }
        for (int c = 0; c < fixed; ++c) {
            std::uint8_t* const to = counts + c * kBlockVotes + i;
            if (wide == 64) {
                for (int l = 0; l < 64; ++l) to[l] = tile[c][l];
            } else {
                for (std::int64_t l = 0; l < wide; ++l) to[l] = tile[c][l];
            }
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

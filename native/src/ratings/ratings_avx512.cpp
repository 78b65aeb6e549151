// Ratings without a branch: those that are missing are left out in a register. On a scale of few whole numbers the
// number of a rating becomes a shift, and the shifted one is added to a 64-bit lane that holds eight counters of a
// byte; a missing rating adds nothing. Whether every rating was on the scale is kept beside, and looked at once a pass.
#include "simd/inline.hpp"

#if defined(DISSENSUS_X86)
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dissensus/ratings.hpp"
#include "ratings/table.hpp"

namespace dissensus::ratings {
namespace {

std::int64_t compact_row(const double* row, std::int64_t n_units, double* value, std::int32_t* unit,
                         std::int64_t found) noexcept {
    const __m256i step = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    std::int64_t u = 0;
    for (; u + 8 <= n_units; u += 8) {
        const __m512d x = _mm512_loadu_pd(row + u);
        const __mmask8 present = _mm512_cmp_pd_mask(x, x, _CMP_ORD_Q);
        // Packed in a register and stored whole: a store that compresses as it writes is slow on some processors.
        _mm512_storeu_pd(value + found, _mm512_maskz_compress_pd(present, x));
        const __m256i index = _mm256_add_epi32(step, _mm256_set1_epi32(static_cast<int>(u)));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(unit + found), _mm256_maskz_compress_epi32(present, index));
        found += __builtin_popcount(present);
    }
    for (; u < n_units; ++u) {
        value[found] = row[u];
        unit[found] = static_cast<std::int32_t>(u);
        found += static_cast<std::int64_t>(row[u] == row[u]);
    }
    return found;
}

constexpr int kAtOnce = 16;   // rows: the counters of a unit are loaded and stored once for so many ratings
constexpr int kFull = 255;    // what a byte counts to
constexpr int kAhead = 1024;  // bytes that are fetched ahead into the second cache: the prefetcher stops at every page

struct Check {
    __m512i misfit = _mm512_setzero_si512();  // bits that differ between a rating and the whole number it was taken for
    __m512i shifts = _mm512_setzero_si512();  // all shifts together: one bit too high where a rating was off the scale

    bool passed(int width) const noexcept {
        const __m512i beyond = _mm512_andnot_si512(_mm512_set1_epi64(8 * width - 8), shifts);
        return _mm512_test_epi64_mask(misfit, misfit) == 0 && _mm512_test_epi64_mask(beyond, beyond) == 0;
    }
};

inline __m512d load(const double* p, __mmask8 lanes) noexcept {
    return _mm512_mask_loadu_pd(_mm512_set1_pd(__builtin_nan("")), lanes, p);
}

inline __m512d load(const float* p, __mmask8 lanes) noexcept {
    const __m256 missing = _mm256_set1_ps(__builtin_nanf(""));
    return _mm512_cvtps_pd(_mm256_mask_loadu_ps(missing, lanes, p));
}

inline __m512d load(const double* p) noexcept { return _mm512_loadu_pd(p); }

inline __m512d load(const float* p) noexcept { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }

// Adds eight ratings to eight lanes of counters.
template <int Words>
inline void add(__m512d rating, __m512i base, __m512i (&lanes)[Words], Check& check) noexcept {
    const __m512i whole = _mm512_cvttpd_epi64(rating);
    const __mmask8 given = _mm512_cmp_pd_mask(rating, rating, _CMP_ORD_Q);
    const __m512i shift = _mm512_slli_epi64(_mm512_sub_epi64(whole, base), 3);
    for (int w = 0; w < Words; ++w) {
        const __m512i by = w == 0 ? shift : _mm512_sub_epi64(shift, _mm512_set1_epi64(64 * w));
        lanes[w] = _mm512_add_epi64(lanes[w], _mm512_maskz_sllv_epi64(given, _mm512_set1_epi64(1), by));
    }
    check.misfit = _mm512_mask_ternarylogic_epi64(check.misfit, given, _mm512_castpd_si512(_mm512_cvtepi64_pd(whole)),
                                                  _mm512_castpd_si512(rating), 0xF6);  // misfit | (back ^ rating)
    check.shifts = _mm512_mask_or_epi64(check.shifts, given, check.shifts, shift);
}

// `Rows` rows of raters, added to the counters of every unit: scratch[word][unit].
template <int Words, int Rows, class T>
void add_rows(const T* ratings, std::int64_t n_columns, __m512i base, std::uint64_t* scratch, Check& kept) noexcept {
    Check check = kept;
    std::int64_t i = 0;
    for (; i + 8 <= n_columns; i += 8) {
        __m512i lanes[Words];
        for (int w = 0; w < Words; ++w) lanes[w] = _mm512_loadu_si512(scratch + w * n_columns + i);
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
            const T* at = ratings + r * n_columns + i;
            _mm_prefetch(reinterpret_cast<const char*>(at) + kAhead, _MM_HINT_T1);
            add<Words>(load(at), base, lanes, check);
        }
        for (int w = 0; w < Words; ++w) _mm512_storeu_si512(scratch + w * n_columns + i, lanes[w]);
    }
    if (i < n_columns) {
        const auto some = static_cast<__mmask8>((1u << (n_columns - i)) - 1u);
        __m512i lanes[Words];
        for (int w = 0; w < Words; ++w) lanes[w] = _mm512_maskz_loadu_epi64(some, scratch + w * n_columns + i);
        for (int r = 0; r < Rows; ++r) add<Words>(load(ratings + r * n_columns + i, some), base, lanes, check);
        for (int w = 0; w < Words; ++w) _mm512_mask_storeu_epi64(scratch + w * n_columns + i, some, lanes[w]);
    }
    kept = check;
}

template <int Words>
void flush(std::uint64_t* scratch, std::int64_t n_columns, std::int32_t* table) noexcept {
    for (std::int64_t i = 0; i < n_columns; ++i) {
        for (int w = 0; w < Words; ++w) {
            const __m128i bytes = _mm_cvtsi64_si128(static_cast<std::int64_t>(scratch[w * n_columns + i]));
            auto* at = reinterpret_cast<__m256i*>(table + (i * Words + w) * 8);
            _mm256_storeu_si256(at, _mm256_add_epi32(_mm256_loadu_si256(at), _mm256_cvtepu8_epi32(bytes)));
        }
    }
    std::memset(scratch, 0, static_cast<std::size_t>(n_columns) * Words * sizeof(std::uint64_t));
}

template <int Words, class T>
bool by_rater(const RatingBlock<T>& block, std::int32_t* table, std::uint64_t* scratch) noexcept {
    const __m512i base = _mm512_set1_epi64(block.base);
    const std::int64_t n = block.n_columns;
    std::memset(scratch, 0, static_cast<std::size_t>(n) * Words * sizeof(std::uint64_t));
    Check check;
    int counted = 0;
    for (std::int64_t r = 0; r < block.n_rows;) {
        const bool many = r + kAtOnce <= block.n_rows;
        if (counted + (many ? kAtOnce : 1) > kFull) {
            if (!check.passed(block.width)) return false;
            flush<Words>(scratch, n, table);
            counted = 0;
        }
        const T* rows = block.ratings + r * n;
        if (many) {
            add_rows<Words, kAtOnce>(rows, n, base, scratch, check);
        } else {
            add_rows<Words, 1>(rows, n, base, scratch, check);
        }
        r += many ? kAtOnce : 1;
        counted += many ? kAtOnce : 1;
    }
    flush<Words>(scratch, n, table);
    return check.passed(block.width);
}

// Adds eight lanes of eight bytes to eight counts.
inline void fold(__m512i lanes, std::int32_t* counts) noexcept {
    const __m512i even = _mm512_set1_epi64(0x00ff00ff00ff00ff);
    auto low = static_cast<std::uint64_t>(_mm512_reduce_add_epi64(_mm512_and_si512(lanes, even)));
    auto high =
        static_cast<std::uint64_t>(_mm512_reduce_add_epi64(_mm512_and_si512(_mm512_srli_epi64(lanes, 8), even)));
    for (int k = 0; k < 8; k += 2, low >>= 16, high >>= 16) {
        counts[k] += static_cast<std::int32_t>(low & 0xffff);
        counts[k + 1] += static_cast<std::int32_t>(high & 0xffff);
    }
}

template <int Words, class T>
bool by_unit(const RatingBlock<T>& block, std::int32_t* table) noexcept {
    const __m512i base = _mm512_set1_epi64(block.base);
    Check check;
    for (std::int64_t u = 0; u < block.n_rows; ++u) {
        const T* row = block.ratings + u * block.n_columns;
        for (std::int64_t i = 0; i < block.n_columns;) {
            __m512i lanes[Words];
            for (int w = 0; w < Words; ++w) lanes[w] = _mm512_setzero_si512();
            const std::int64_t stop = block.n_columns < i + 8 * kFull ? block.n_columns : i + 8 * kFull;
            for (; i + 8 <= stop; i += 8) {
                _mm_prefetch(reinterpret_cast<const char*>(row + i) + 4 * kAhead, _MM_HINT_T1);
                add<Words>(load(row + i), base, lanes, check);
            }
            if (i < stop) {
                const auto some = static_cast<__mmask8>((1u << (stop - i)) - 1u);
                add<Words>(load(row + i, some), base, lanes, check);
                i = stop;
            }
            for (int w = 0; w < Words; ++w) fold(lanes[w], table + u * block.width + 8 * w);
        }
        if (u % 1024 == 1023 && !check.passed(block.width)) return false;
    }
    return check.passed(block.width);
}

template <int Words, class T>
bool count(const RatingBlock<T>& block, std::int32_t* table, std::uint64_t* scratch) noexcept {
    return block.rows_are_units ? by_unit<Words>(block, table) : by_rater<Words>(block, table, scratch);
}

template <class T>
bool count_any(const RatingBlock<T>& block, std::int32_t* table, std::uint64_t* scratch) noexcept {
    return block.width == 8 ? count<1>(block, table, scratch) : count<2>(block, table, scratch);
}

}  // namespace

const Table avx512 = {compact_row, count_any<float>, count_any<double>};

}  // namespace dissensus::ratings

#endif

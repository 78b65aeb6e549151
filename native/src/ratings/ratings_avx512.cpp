#if defined(__x86_64__) || defined(_M_X64)

#include <immintrin.h>

#include "ratings/rows_avx512.hpp"

namespace dissensus {

std::int64_t compact_row_avx512(const double* row, std::int64_t n_units, double* value, std::int32_t* unit,
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
        found += row[u] == row[u];
    }
    return found;
}

}  // namespace dissensus

#endif

#if defined(__AVX512F__) && defined(__AVX512VL__)
#include <immintrin.h>

#include "mel/frames_impl.hpp"

namespace dissensus {
namespace {

// Natural logarithm: the mantissa times a tabled reciprocal is 1 + f with |f| < 1/32, and four terms of the series
// remain.
struct TableLog {
    __m512 scale, octave, reciprocal, level;

    DISSENSUS_INLINE TableLog(float scale_, float shift) noexcept
        : scale(_mm512_set1_ps(scale_)),
          octave(_mm512_set1_ps(scale_ * 0.69314718055994531f)),
          reciprocal(_mm512_setr_ps(0.969696999f, 0.914285719f, 0.864864886f, 0.820512831f, 0.780487776f, 0.744186044f,
                                    0.711111128f, 0.680851042f, 0.653061211f, 0.627451003f, 0.603773594f, 0.581818163f,
                                    0.561403513f, 0.542372882f, 0.524590135f, 0.507936537f)),
          level(_mm512_fmadd_ps(
              scale,
              _mm512_setr_ps(0.0307716289f, 0.0896121531f, 0.145181986f, 0.19782573f, 0.247836201f, 0.295464217f,
                             0.340926563f, 0.384411731f, 0.426084416f, 0.466089695f, 0.504555996f, 0.541597314f,
                             0.577315358f, 0.611801539f, 0.645138017f, 0.677398766f),
              _mm512_set1_ps(shift))) {}

    // scale * ln(x) + shift; x positive, NaN and infinity kept
    DISSENSUS_INLINE __m512 operator()(__m512 x) const noexcept {
        const __m512i part = _mm512_srli_epi32(_mm512_castps_si512(x), 19);
        const __m512 mantissa = _mm512_getmant_ps(x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src);
        const __m512 f = _mm512_fmsub_ps(mantissa, _mm512_permutexvar_ps(part, reciprocal), _mm512_set1_ps(1.0f));
        __m512 p = _mm512_fmadd_ps(f, _mm512_set1_ps(-0.25f), _mm512_set1_ps(0.33333333f));
        p = _mm512_fmadd_ps(f, p, _mm512_set1_ps(-0.5f));
        p = _mm512_fmadd_ps(_mm512_mul_ps(f, f), p, f);
        const __m512 y = _mm512_fmadd_ps(p, scale, _mm512_permutexvar_ps(part, level));
        return _mm512_fmadd_ps(_mm512_getexp_ps(x), octave, y);
    }
};

struct Lanes {
    using T = float;
    typedef float V __attribute__((vector_size(64)));
    typedef std::int32_t I __attribute__((vector_size(64)));
    static constexpr int width = 16;
    using Log = TableLog;

    static DISSENSUS_INLINE V all(float x) noexcept { return _mm512_set1_ps(x); }
    static DISSENSUS_INLINE V load(const float* p) noexcept { return _mm512_loadu_ps(p); }
    static DISSENSUS_INLINE void store(float* p, V v) noexcept { _mm512_storeu_ps(p, v); }
    static DISSENSUS_INLINE V fma(V a, V b, V c) noexcept { return _mm512_fmadd_ps(a, b, c); }
    static DISSENSUS_INLINE V root(V a) noexcept { return _mm512_maskz_sqrt_ps(0xffff, a); }
    static DISSENSUS_INLINE V from_int(I a) noexcept { return __builtin_convertvector(a, V); }
    // Pairs of 32-bit, then 64-bit elements within 128-bit blocks, then the blocks themselves.
    static DISSENSUS_INLINE void transpose(V* r) noexcept {
        V t[16], u[16];
#pragma GCC unroll 8
        for (int i = 0; i < 16; i += 2) {
            t[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
            t[i + 1] =
                __builtin_shufflevector(r[i], r[i + 1], 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
        }
#pragma GCC unroll 4
        for (int i = 0; i < 16; i += 4) {
            u[i] = low_pairs(t[i], t[i + 2]);
            u[i + 1] = high_pairs(t[i], t[i + 2]);
            u[i + 2] = low_pairs(t[i + 1], t[i + 3]);
            u[i + 3] = high_pairs(t[i + 1], t[i + 3]);
        }
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
            const V a = even_blocks(u[i], u[i + 4]), b = odd_blocks(u[i], u[i + 4]);
            const V c = even_blocks(u[i + 8], u[i + 12]), d = odd_blocks(u[i + 8], u[i + 12]);
            r[i] = even_blocks(a, c);
            r[i + 4] = even_blocks(b, d);
            r[i + 8] = odd_blocks(a, c);
            r[i + 12] = odd_blocks(b, d);
        }
    }
    static DISSENSUS_INLINE V low_pairs(V a, V b) noexcept {
        return __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
    }
    static DISSENSUS_INLINE V high_pairs(V a, V b) noexcept {
        return __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
    }
    static DISSENSUS_INLINE V even_blocks(V a, V b) noexcept {
        return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
    }
    static DISSENSUS_INLINE V odd_blocks(V a, V b) noexcept {
        return __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
    }
};

struct WideLanes {
    using T = double;
    typedef double V __attribute__((vector_size(64)));
    static constexpr int width = 8;

    static DISSENSUS_INLINE V all(double x) noexcept { return _mm512_set1_pd(x); }
    static DISSENSUS_INLINE V load(const float* p) noexcept {
        typedef float Half __attribute__((vector_size(32)));
        return __builtin_convertvector(static_cast<Half>(_mm256_loadu_ps(p)), V);
    }
    static DISSENSUS_INLINE V load(const double* p) noexcept { return _mm512_loadu_pd(p); }
    static DISSENSUS_INLINE V fma(V a, V b, V c) noexcept { return _mm512_fmadd_pd(a, b, c); }
    static DISSENSUS_INLINE V shift_in(V v, double last) noexcept {
        return _mm512_castsi512_pd(_mm512_alignr_epi64(_mm512_castpd_si512(all(last)), _mm512_castpd_si512(v), 1));
    }
    static DISSENSUS_INLINE void put(float* p, std::ptrdiff_t at, V v) noexcept {
        typedef float Half __attribute__((vector_size(32)));
        _mm256_store_ps(p + 16 * at, __builtin_convertvector(v, Half));
    }
    static DISSENSUS_INLINE void transpose(V* r) noexcept {
        V t[8];
#pragma GCC unroll 4
        for (int i = 0; i < 8; i += 2) {
            t[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
            t[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
        }
#pragma GCC unroll 2
        for (int i = 0; i < 2; ++i) {
            const V a = even_blocks(t[i], t[i + 2]), b = odd_blocks(t[i], t[i + 2]);
            const V c = even_blocks(t[i + 4], t[i + 6]), d = odd_blocks(t[i + 4], t[i + 6]);
            r[i] = even_blocks(a, c);
            r[i + 2] = even_blocks(b, d);
            r[i + 4] = odd_blocks(a, c);
            r[i + 6] = odd_blocks(b, d);
        }
    }
    static DISSENSUS_INLINE V even_blocks(V a, V b) noexcept {
        return __builtin_shufflevector(a, b, 0, 1, 4, 5, 8, 9, 12, 13);
    }
    static DISSENSUS_INLINE V odd_blocks(V a, V b) noexcept {
        return __builtin_shufflevector(a, b, 2, 3, 6, 7, 10, 11, 14, 15);
    }
};

}  // namespace

void log_mel_frames_avx512(const MelJob& job, float* scratch) noexcept {
    mel::any_size<Lanes, WideLanes>(job, scratch);
}

}  // namespace dissensus
#endif

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

#include "mel/frames_impl.hpp"

namespace dissensus {
namespace {

// Natural logarithm: the mantissa times a tabled reciprocal is 1 + f with |f| < 1/16, and five terms of the series
// remain.
struct TableLog {
    __m256 scale, octave, reciprocal, level;

    DISSENSUS_INLINE TableLog(float scale_, float shift) noexcept
        : scale(_mm256_set1_ps(scale_)),
          octave(_mm256_set1_ps(scale_ * 0.69314718055994531f)),
          reciprocal(_mm256_setr_ps(0.941176474f, 0.842105269f, 0.761904776f, 0.695652187f, 0.639999986f, 0.592592597f,
                                    0.551724136f, 0.516129017f)),
          level(_mm256_fmadd_ps(scale,
                                _mm256_setr_ps(0.0606246181f, 0.171850249f, 0.271933697f, 0.362905475f, 0.446287125f,
                                               0.523248136f, 0.594707111f, 0.661398512f),
                                _mm256_set1_ps(shift))) {}

    // scale * ln(x) + shift; x positive, NaN and infinity kept
    DISSENSUS_INLINE __m256 operator()(__m256 x) const noexcept {
        const __m256i bits = _mm256_castps_si256(x), part = _mm256_srli_epi32(bits, 20);
        const __m256 exponent =
                         _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_srli_epi32(bits, 23), _mm256_set1_epi32(127))),
                     one = _mm256_set1_ps(1.0f);
        const __m256 mantissa = _mm256_or_ps(_mm256_and_ps(x, _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffff))), one);
        const __m256 f = _mm256_fmsub_ps(mantissa, _mm256_permutevar8x32_ps(reciprocal, part), one);
        __m256 p = _mm256_fmadd_ps(f, _mm256_set1_ps(0.2f), _mm256_set1_ps(-0.25f));
        p = _mm256_fmadd_ps(f, p, _mm256_set1_ps(0.33333333f));
        p = _mm256_fmadd_ps(f, p, _mm256_set1_ps(-0.5f));
        p = _mm256_fmadd_ps(_mm256_mul_ps(f, f), p, f);
        const __m256 y = _mm256_fmadd_ps(p, scale, _mm256_permutevar8x32_ps(level, part));
        const __m256 finite = _mm256_cmp_ps(x, _mm256_set1_ps(__builtin_inff()), _CMP_LT_OQ);
        return _mm256_blendv_ps(x, _mm256_fmadd_ps(exponent, octave, y), finite);
    }
};

struct Lanes {
    using T = float;
    typedef float V __attribute__((vector_size(32)));
    typedef std::int32_t I __attribute__((vector_size(32)));
    static constexpr int width = 8;
    using Log = TableLog;

    static DISSENSUS_INLINE V all(float x) noexcept { return _mm256_set1_ps(x); }
    static DISSENSUS_INLINE V load(const float* p) noexcept { return _mm256_loadu_ps(p); }
    static DISSENSUS_INLINE void store(float* p, V v) noexcept { _mm256_storeu_ps(p, v); }
    static DISSENSUS_INLINE V fma(V a, V b, V c) noexcept { return _mm256_fmadd_ps(a, b, c); }
    static DISSENSUS_INLINE V root(V a) noexcept { return _mm256_sqrt_ps(a); }
    static DISSENSUS_INLINE V from_int(I a) noexcept { return _mm256_cvtepi32_ps(reinterpret_cast<__m256i>(a)); }
    static DISSENSUS_INLINE V pair_low(V a, V b) noexcept {
        return _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
    }
    static DISSENSUS_INLINE V pair_high(V a, V b) noexcept {
        return _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
    }
    static DISSENSUS_INLINE void transpose(V* r) noexcept {
        V t[8], u[8];
        for (int i = 0; i < 8; i += 2) {
            t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
            t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
        }
        for (int i = 0; i < 8; i += 4) {
            u[i] = pair_low(t[i], t[i + 2]);
            u[i + 1] = pair_high(t[i], t[i + 2]);
            u[i + 2] = pair_low(t[i + 1], t[i + 3]);
            u[i + 3] = pair_high(t[i + 1], t[i + 3]);
        }
        for (int i = 0; i < 4; ++i) {
            r[i] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x20);
            r[i + 4] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x31);
        }
    }
};

struct WideLanes {
    using T = double;
    typedef double V __attribute__((vector_size(32)));
    static constexpr int width = 4;

    static DISSENSUS_INLINE V all(double x) noexcept { return _mm256_set1_pd(x); }
    static DISSENSUS_INLINE V load(const float* p) noexcept { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
    static DISSENSUS_INLINE V load(const double* p) noexcept { return _mm256_loadu_pd(p); }
    static DISSENSUS_INLINE V fma(V a, V b, V c) noexcept { return _mm256_fmadd_pd(a, b, c); }
    static DISSENSUS_INLINE V shift_in(V v, double last) noexcept {
        return __builtin_shufflevector(v, all(last), 1, 2, 3, 4);
    }
    static DISSENSUS_INLINE void put(float* p, std::ptrdiff_t at, V v) noexcept {
        _mm_storeu_ps(p + 8 * at, _mm256_cvtpd_ps(v));
    }
    static DISSENSUS_INLINE void transpose(V* r) noexcept {
        const V a = _mm256_unpacklo_pd(r[0], r[1]), b = _mm256_unpackhi_pd(r[0], r[1]);
        const V c = _mm256_unpacklo_pd(r[2], r[3]), d = _mm256_unpackhi_pd(r[2], r[3]);
        r[0] = _mm256_permute2f128_pd(a, c, 0x20);
        r[1] = _mm256_permute2f128_pd(b, d, 0x20);
        r[2] = _mm256_permute2f128_pd(a, c, 0x31);
        r[3] = _mm256_permute2f128_pd(b, d, 0x31);
    }
};

}  // namespace

void log_mel_frames_avx2(const MelJob& job, float* scratch) noexcept { mel::any_size<Lanes, WideLanes>(job, scratch); }

}  // namespace dissensus
#endif

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

#include "dissensus/mel_lanes.hpp"

namespace dissensus {
namespace {

struct Lanes {
    using T = float;
    typedef float V __attribute__((vector_size(32)));
    typedef std::int32_t I __attribute__((vector_size(32)));
    static constexpr int width = 8;

    static DISSENSUS_INLINE V all(float x) noexcept { return _mm256_set1_ps(x); }
    static DISSENSUS_INLINE V load(const float* p) noexcept { return _mm256_loadu_ps(p); }
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
    static DISSENSUS_INLINE V fma(V a, V b, V c) noexcept { return _mm256_fmadd_pd(a, b, c); }
    static DISSENSUS_INLINE V root(V a) noexcept { return _mm256_sqrt_pd(a); }
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

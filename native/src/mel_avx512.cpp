#if defined(__AVX512F__) && defined(__AVX512VL__)
#include <immintrin.h>

#include "dissensus/mel_lanes.hpp"

namespace dissensus {
namespace {

struct Lanes {
    using T = float;
    typedef float V __attribute__((vector_size(64)));
    typedef std::int32_t I __attribute__((vector_size(64)));
    static constexpr int width = 16;

    static DISSENSUS_INLINE V all(float x) noexcept { return _mm512_set1_ps(x); }
    static DISSENSUS_INLINE V load(const float* p) noexcept { return _mm512_loadu_ps(p); }
    static DISSENSUS_INLINE V fma(V a, V b, V c) noexcept { return _mm512_fmadd_ps(a, b, c); }
    static DISSENSUS_INLINE V root(V a) noexcept { return _mm512_maskz_sqrt_ps(0xffff, a); }
    static DISSENSUS_INLINE V from_int(I a) noexcept { return __builtin_convertvector(a, V); }
    // Pairs of 32-bit, then 64-bit elements within 128-bit blocks, then the blocks themselves.
    static DISSENSUS_INLINE void transpose(V* r) noexcept {
        V t[16], u[16];
#pragma GCC unroll 8
        for (int i = 0; i < 16; i += 2) {
            t[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
            t[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
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
    static DISSENSUS_INLINE V fma(V a, V b, V c) noexcept { return _mm512_fmadd_pd(a, b, c); }
    static DISSENSUS_INLINE V root(V a) noexcept { return _mm512_maskz_sqrt_pd(0xff, a); }
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

void log_mel_frames_avx512(const MelJob& job, float* scratch) noexcept { mel::any_size<Lanes, WideLanes>(job, scratch); }

}  // namespace dissensus
#endif

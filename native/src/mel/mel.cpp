// Baseline lanes (four floats: SSE2, NEON or whatever the compiler makes of them) and the choice of instruction set.
#include "dissensus/mel.hpp"

#include <cmath>

#include "dissensus/machine.hpp"
#include "mel/frames_impl.hpp"

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace dissensus {

using simd::active_isa;
using simd::Isa;

namespace {

struct Lanes {
    using T = float;
    typedef float V __attribute__((vector_size(16)));
    typedef std::int32_t I __attribute__((vector_size(16)));
    static constexpr int width = 4;
    using Log = mel::PolynomialLog<Lanes>;

    static DISSENSUS_INLINE V all(float x) noexcept { return V{} + x; }
    static DISSENSUS_INLINE V load(const float* p) noexcept {
        V v;
        std::memcpy(&v, p, sizeof v);
        return v;
    }
    static DISSENSUS_INLINE void store(float* p, V v) noexcept { std::memcpy(p, &v, sizeof v); }
    static DISSENSUS_INLINE V fma(V a, V b, V c) noexcept {
#if defined(__aarch64__)
        return (V)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
        return a * b + c;
#endif
    }
    static DISSENSUS_INLINE V root(V a) noexcept {
        for (int i = 0; i < width; ++i) a[i] = std::sqrt(a[i]);
        return a;
    }
    static DISSENSUS_INLINE V from_int(I a) noexcept { return __builtin_convertvector(a, V); }
    static DISSENSUS_INLINE void transpose(V* r) noexcept {
        const V a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5),
                b = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
        const V c = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5),
                d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
        r[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
        r[1] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
        r[2] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
        r[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
    }
};

struct WideLanes {
    using T = double;
    typedef double V __attribute__((vector_size(16)));
    static constexpr int width = 2;

    static DISSENSUS_INLINE V all(double x) noexcept { return V{x, x}; }
    static DISSENSUS_INLINE V load(const float* p) noexcept { return V{p[0], p[1]}; }
    static DISSENSUS_INLINE V load(const double* p) noexcept { return V{p[0], p[1]}; }
    static DISSENSUS_INLINE V fma(V a, V b, V c) noexcept {
#if defined(__aarch64__)
        return (V)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
        return a * b + c;
#endif
    }
    static DISSENSUS_INLINE V shift_in(V v, double last) noexcept { return V{v[1], last}; }
    static DISSENSUS_INLINE void put(float* p, std::ptrdiff_t at, V v) noexcept {
        p[4 * at] = static_cast<float>(v[0]);
        p[4 * at + 1] = static_cast<float>(v[1]);
    }
    static DISSENSUS_INLINE void transpose(V* r) noexcept {
        const V a = __builtin_shufflevector(r[0], r[1], 0, 2), b = __builtin_shufflevector(r[0], r[1], 1, 3);
        r[0] = a;
        r[1] = b;
    }
};

}  // namespace

bool mel_size_is_known(std::int64_t n_fft) noexcept {
    return n_fft == 256 || n_fft == 512 || n_fft == 1024 || n_fft == 2048 || n_fft == 4096;
}

std::size_t mel_scratch(const MelJob& job) noexcept {
    const auto n_fft = static_cast<std::size_t>(job.n_fft), mels = static_cast<std::size_t>(job.n_mels);
    const auto turned = static_cast<std::size_t>(2 * rfft::place(static_cast<int>(job.n_fft / 4)));
    return 16 * (n_fft + turned + n_fft / 2 + 1 + mels) + n_fft + 16;
}

void log_mel_frames_baseline(const MelJob& job, float* scratch) noexcept {
    mel::any_size<Lanes, WideLanes>(job, scratch);
}

void log_mel_frames(const MelJob& job, float* scratch) noexcept {
#if defined(__x86_64__) || defined(_M_X64)
    switch (active_isa()) {
        case Isa::avx512: return log_mel_frames_avx512(job, scratch);
        case Isa::avx2: return log_mel_frames_avx2(job, scratch);
        default: break;
    }
#endif
    log_mel_frames_baseline(job, scratch);
}

}  // namespace dissensus

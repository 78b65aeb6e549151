// The body of log_mel_frames, written once for any lane set (see rfft.hpp).
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "dissensus/mel.hpp"
#include "dissensus/rfft.hpp"

namespace dissensus::mel {

// Natural logarithm times `scale`: exponent by bits, polynomial on [sqrt(1/2), sqrt(2)); x positive, NaN and infinity kept.
template <class L>
DISSENSUS_INLINE typename L::V scaled_log(typename L::V x, float scale, float octave, float shift) noexcept {
    using V = typename L::V;
    using I = typename L::I;
    const I bits = reinterpret_cast<I>(x);
    const I exponent = (bits - 0x3f3504f3) >> 23;
    const V f = reinterpret_cast<V>(bits - (exponent << 23)) - 1.0f;
    V p = L::all(7.0376836292e-2f);
    p = L::fma(p, f, L::all(-1.1514610310e-1f));
    p = L::fma(p, f, L::all(1.1676998740e-1f));
    p = L::fma(p, f, L::all(-1.2420140846e-1f));
    p = L::fma(p, f, L::all(1.4249322787e-1f));
    p = L::fma(p, f, L::all(-1.6668057665e-1f));
    p = L::fma(p, f, L::all(2.0000714765e-1f));
    p = L::fma(p, f, L::all(-2.4999993993e-1f));
    p = L::fma(p, f, L::all(3.3333331174e-1f));
    const V ff = f * f;
    const V mantissa = L::fma(p * f, ff, L::fma(ff, L::all(-0.5f), f));
    const V y = L::fma(L::from_int(exponent), L::all(octave), L::fma(mantissa, L::all(scale), L::all(shift)));
    return x < __builtin_inff() ? y : x;  // NaN and infinity
}

// Memory of one call, cut from the caller's scratch; vectors of either kind take at most 64 bytes.
struct Memory {
    float* vectors;        // spectrum, power and sums
    double* window64;      // the window, halved
    float* window32;
    float* limit;          // see `unsure`
    float* levels;         // sums of the second pass

    Memory(float* scratch, std::int64_t n_fft, std::int64_t n_mels) noexcept {
        const std::int64_t half = n_fft / 2;
        vectors = scratch;
        window64 = reinterpret_cast<double*>(vectors + 16 * (2 * rfft::place(static_cast<int>(half)) + half + 1 + n_mels));
        window32 = reinterpret_cast<float*>(window64 + n_fft);
        levels = window32 + n_fft;
        limit = levels + 16 * n_mels;
    }
};

// Sums over the mel bands of the frames that start at `from`, one frame a lane.
template <class L, int N, bool Magnitude>
DISSENSUS_INLINE typename L::V* sums(const MelJob& job, const float* const* from, const typename L::T* window,
                                     typename L::V* z) noexcept {
    using V = typename L::V;
    constexpr int W = L::width, M = N / 2;
    const auto& tables = rfft::Tables<typename L::T, N>::get();
    V* power = z + 2 * rfft::place(M);
    V* mel = power + M + 1;
    for (int n = 0; n < N; n += W) {  // frames into lanes: W x W transpositions
        V rows[W];
#pragma GCC unroll 16
        for (int lane = 0; lane < W; ++lane) rows[lane] = L::load(from[lane] + n);
        L::transpose(rows);
        V* to = z + 2 * rfft::place(n / 2);
#pragma GCC unroll 16
        for (int i = 0; i < W; ++i) to[i] = rows[i] * L::all(window[n + i]);
    }
    rfft::transform<L, N>(z, tables);
    rfft::power_spectrum<L, N, Magnitude>(z, tables, power);
    for (std::int64_t band = 0; band < job.n_mels; ++band) {
        const MelBand& b = job.bands[band];
        const V* bins = power + b.first_bin;
        const float* weights = job.weights + b.first_weight;
        V sum = L::all(0);
        for (std::int64_t i = 0; i < b.n_weights; ++i) sum = L::fma(bins[i], L::all(weights[i]), sum);
        mel[band] = sum;
    }
    return mel;
}

template <class L>
DISSENSUS_INLINE void levels_of(const MelLevel& level, typename L::V* mel, std::int64_t n) noexcept {
    using V = typename L::V;
    const float octave = level.scale * 0.69314718055994531f;
    const V floor = L::all(level.floor);
    for (std::int64_t i = 0; i < n; ++i) {
        const V sum = mel[i];
        mel[i] = scaled_log<L>((sum < floor ? floor : sum) + level.offset, level.scale, octave, level.shift);
    }
}

// Lanes where single precision may be off by more than 1e-3 dB somewhere above -80 dB: a band lies 74 dB or more under the
// loudest bin of its frame, whose rounding errors reach everywhere. Measured on music, tones and sweeps: the shallowest such
// band lay at 75 dB.
template <class L, int N>
DISSENSUS_INLINE typename L::I unsure(const MelJob& job, const typename L::V* mel, const float* limit) noexcept {
    using V = typename L::V;
    const V* power = mel - (N / 2 + 1);
    V peak = power[0];
    for (int k = 1; k <= N / 2; ++k) peak = power[k] > peak ? power[k] : peak;
    const V heard = L::all(job.level.magnitude ? 1e-4f : 1e-8f);
    typename L::I found = {};
    for (std::int64_t band = 0; band < job.n_mels; ++band) {
        found |= (mel[band] < peak * limit[band]) & (mel[band] > heard);
    }
    return found;
}

template <class L, int N, bool Magnitude>
typename L::I block(const MelJob& job, std::int64_t frame, int n_lanes, const Memory& memory) noexcept {
    using V = typename L::V;
    constexpr int W = L::width;
    const float* from[W];
    for (int lane = 0; lane < W; ++lane) {  // lanes past the end repeat the last frame
        from[lane] = job.signal + job.first + (frame + std::min(lane, n_lanes - 1)) * job.hop;
    }
    V* mel = sums<L, N, Magnitude>(job, from, memory.window32, reinterpret_cast<V*>(memory.vectors));
    typename L::I found = {};
    if (job.level.scale != 0.0f) {
        found = unsure<L, N>(job, mel, memory.limit);
        levels_of<L>(job.level, mel, job.n_mels);
    }
    for (std::int64_t band = 0; band < job.n_mels; band += W) {
        V rows[W];
        const int n_bands = static_cast<int>(std::min<std::int64_t>(W, job.n_mels - band));
#pragma GCC unroll 16
        for (int i = 0; i < W; ++i) rows[i] = mel[band + (i < n_bands ? i : 0)];
        L::transpose(rows);
        for (int lane = 0; lane < n_lanes; ++lane) {
            float* to = job.out + (frame + lane) * job.n_mels + band;
            std::memcpy(to, &rows[lane], sizeof(float) * static_cast<std::size_t>(n_bands));
        }
    }
    return found;
}

// The second pass: a few frames again, in double precision up to the sums.
template <class L, class D, int N, bool Magnitude>
void again(const MelJob& job, const std::int64_t* frames, int n_frames, const Memory& memory) noexcept {
    constexpr int W = D::width;
    const float* from[W];
    for (int lane = 0; lane < W; ++lane) {
        from[lane] = job.signal + job.first + frames[std::min(lane, n_frames - 1)] * job.hop;
    }
    auto* mel = sums<D, N, Magnitude>(job, from, memory.window64, reinterpret_cast<typename D::V*>(memory.vectors));
    for (std::int64_t band = 0; band < job.n_mels; ++band) {
        for (int lane = 0; lane < W; ++lane) memory.levels[band * W + lane] = static_cast<float>(mel[band][lane]);
    }
    auto* levels = reinterpret_cast<typename L::V*>(memory.levels);
    levels_of<L>(job.level, levels, (job.n_mels * W + L::width - 1) / L::width);
    for (int lane = 0; lane < n_frames; ++lane) {
        float* to = job.out + frames[lane] * job.n_mels;
        for (std::int64_t band = 0; band < job.n_mels; ++band) to[band] = memory.levels[band * W + lane];
    }
}

template <class L, class D, int N, bool Magnitude>
void all_blocks(const MelJob& job, float* scratch) noexcept {
    const Memory memory(scratch, job.n_fft, job.n_mels);
    for (int n = 0; n < N; ++n) {
        memory.window64[n] = 0.5 * job.window[n];
        memory.window32[n] = static_cast<float>(memory.window64[n]);
    }
    const float ratio = Magnitude ? 2.0e-4f : 4.0e-8f;  // -74 dB
    for (std::int64_t band = 0; band < job.n_mels; ++band) {
        const MelBand& b = job.bands[band];
        float total = 0.0f;
        for (std::int64_t i = 0; i < b.n_weights; ++i) total += job.weights[b.first_weight + i];
        memory.limit[band] = ratio * total;
    }
    for (std::int64_t i = 0; i < 16; ++i) memory.levels[job.n_mels * D::width + i] = 1.0f;
    std::int64_t pending[D::width];
    int n_pending = 0;
    for (std::int64_t frame = 0; frame < job.n_frames; frame += L::width) {
        const int n_lanes = static_cast<int>(std::min<std::int64_t>(L::width, job.n_frames - frame));
        const typename L::I found = block<L, N, Magnitude>(job, frame, n_lanes, memory);
        for (int lane = 0; lane < n_lanes; ++lane) {
            if (found[lane] == 0) continue;
            pending[n_pending++] = frame + lane;
            if (n_pending == D::width) {
                again<L, D, N, Magnitude>(job, pending, n_pending, memory);
                n_pending = 0;
            }
        }
    }
    if (n_pending > 0) again<L, D, N, Magnitude>(job, pending, n_pending, memory);
}

template <class L, class D, int N>
void either(const MelJob& job, float* scratch) noexcept {
    if (job.level.magnitude) return all_blocks<L, D, N, true>(job, scratch);
    all_blocks<L, D, N, false>(job, scratch);
}

template <class L, class D>
void any_size(const MelJob& job, float* scratch) noexcept {
    switch (job.n_fft) {
        case 256: return either<L, D, 256>(job, scratch);
        case 512: return either<L, D, 512>(job, scratch);
        case 1024: return either<L, D, 1024>(job, scratch);
        case 2048: return either<L, D, 2048>(job, scratch);
        case 4096: return either<L, D, 4096>(job, scratch);
        default: return;
    }
}

}  // namespace dissensus::mel

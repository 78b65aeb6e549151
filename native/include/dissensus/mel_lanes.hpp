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

template <class L, int N, bool Magnitude>
void block(const MelJob& job, std::int64_t frame, int n_lanes, typename L::V* z) noexcept {
    using V = typename L::V;
    constexpr int W = L::width, M = N / 2;
    const auto& tables = rfft::Tables<N>::get();
    V* power = z + 2 * rfft::place(M);
    V* mel = power + M + 1;

    // Frames into lanes: W x W transpositions; lanes past the end repeat the last frame.
    const float* from[W];
    for (int lane = 0; lane < W; ++lane) {
        from[lane] = job.signal + job.first + (frame + std::min(lane, n_lanes - 1)) * job.hop;
    }
    for (int n = 0; n < N; n += W) {
        V rows[W];
#pragma GCC unroll 16
        for (int lane = 0; lane < W; ++lane) rows[lane] = L::load(from[lane] + n);
        L::transpose(rows);
        V* to = z + 2 * rfft::place(n / 2);
#pragma GCC unroll 16
        for (int i = 0; i < W; ++i) to[i] = rows[i] * (job.window[n + i] * 0.5f);
    }
    rfft::transform<L, N>(z, tables);
    rfft::power_spectrum<L, N, Magnitude>(z, tables, power);

    const float octave = job.level.scale * 0.69314718055994531f;
    const V floor = L::all(job.level.floor);
    for (std::int64_t band = 0; band < job.n_mels; ++band) {
        const MelBand& b = job.bands[band];
        const V* bins = power + b.first_bin;
        const float* weights = job.weights + b.first_weight;
        V sum = L::all(0.0f);
        for (std::int64_t i = 0; i < b.n_weights; ++i) sum = L::fma(bins[i], L::all(weights[i]), sum);
        mel[band] = sum;
    }
    if (job.level.scale != 0.0f) {
        for (std::int64_t band = 0; band < job.n_mels; ++band) {
            const V sum = mel[band];
            const V raised = (sum < floor ? floor : sum) + job.level.offset;
            mel[band] = scaled_log<L>(raised, job.level.scale, octave, job.level.shift);
        }
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
}

template <class L, int N>
void all_blocks(const MelJob& job, float* scratch) noexcept {
    auto* z = reinterpret_cast<typename L::V*>(scratch);
    for (std::int64_t frame = 0; frame < job.n_frames; frame += L::width) {
        const int n_lanes = static_cast<int>(std::min<std::int64_t>(L::width, job.n_frames - frame));
        if (job.level.magnitude) {
            block<L, N, true>(job, frame, n_lanes, z);
        } else {
            block<L, N, false>(job, frame, n_lanes, z);
        }
    }
}

template <class L>
void any_size(const MelJob& job, float* scratch) noexcept {
    switch (job.n_fft) {
        case 256: return all_blocks<L, 256>(job, scratch);
        case 512: return all_blocks<L, 512>(job, scratch);
        case 1024: return all_blocks<L, 1024>(job, scratch);
        case 2048: return all_blocks<L, 2048>(job, scratch);
        case 4096: return all_blocks<L, 4096>(job, scratch);
        default: return;
    }
}

}  // namespace dissensus::mel

// The body of log_mel_frames, written once for any lane set (see rfft.hpp).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "dissensus/mel.hpp"
#include "mel/rfft.hpp"

namespace dissensus::mel {

// Natural logarithm: exponent by bits, polynomial on [sqrt(1/2), sqrt(2)); x positive, NaN and infinity kept.
template <class L>
struct PolynomialLog {
    using V = typename L::V;
    using I = typename L::I;
    float scale, octave, shift;

    DISSENSUS_INLINE PolynomialLog(float scale, float shift) noexcept
        : scale(scale), octave(scale * 0.69314718055994531f), shift(shift) {}

    // scale * ln(x) + shift
    DISSENSUS_INLINE V operator()(V x) const noexcept {
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
};

// The windowed frame x goes through x[n] - emphasis * x[n - 1] (circularly) before the transform, and the mel weights
// undo it bin by bin. Music is loud where it is low: its quiet high bands, which would drown in the rounding errors of
// the loud ones, come 20 dB closer to them, and far fewer frames need the second pass.
constexpr double emphasis = 0.875;

// A band this far under the mean bin of its emphasised frame (as powers) is done again: see `unsure`. Measured over
// music, tones, sweeps, clicks and coloured noise: the shallowest band off by 1e-3 dB lay 48 dB (from 2048 samples on
// 45 dB) under it.
constexpr double unsure_ratio(int n_fft) noexcept { return n_fft < 2048 ? 2.0e-5 : 4.0e-5; }

// Memory of one call, cut from the caller's scratch; vectors of either kind take at most 64 bytes.
struct Memory {
    float *samples, *turned, *power, *mel;  // vectors
    double* window64;                       // see `prepare_window`
    float* window32;
    float* next;     // second half of the last lane, windowed
    float* limit;    // see `unsure`
    float* weights;  // of band after band, emphasis undone

    Memory(float* scratch, std::int64_t n_fft, std::int64_t n_mels) noexcept {
        samples = scratch;
        turned = samples + 16 * n_fft;
        power = turned + 16 * 2 * rfft::place(static_cast<int>(n_fft / 4));
        mel = power + 16 * (n_fft / 2 + 1);
        window64 = reinterpret_cast<double*>(mel + 16 * n_mels);
        window32 = reinterpret_cast<float*>(window64 + 2 * n_fft);
        next = window32 + 2 * n_fft;
        limit = next + n_fft;
        weights = limit + n_mels;
    }
};

// Emphasised and windowed, a frame is v[n] w[n] + x[n-1] emphasis (w[n] - w[n-1]) with v[n] = x[n] - emphasis * x[n-1]:
// the signal itself is never rounded, only what is left of it. The first factors, then the second ones.
template <class T>
void prepare_window(const double* window, int n_fft, T* to) noexcept {
    for (int n = 0; n < n_fft; ++n) {
        to[n] = static_cast<T>(window[n]);
        to[n_fft + n] = static_cast<T>(emphasis * (window[n] - window[(n + n_fft - 1) % n_fft]));
    }
}

template <class L>
DISSENSUS_INLINE typename L::V windowed(typename L::V x, typename L::V before, typename L::V w,
                                        typename L::V c) noexcept {
    return L::fma(L::emphasised(x, before), w, before * c);
}

template <class L>
DISSENSUS_INLINE void into_lanes(const float* const* from, int n, typename L::V* rows) noexcept {
#pragma GCC unroll 16
    for (int lane = 0; lane < L::width; ++lane) rows[lane] = L::load(from[lane] + n);
    L::transpose(rows);
}

// Sums and differences of the halves of N windowed samples, one frame a lane. Where frames overlap by half, the second
// half of one is the first half of the next lane, and only that of the last lane (`next`) is worked out apart.
template <class L, int N, bool Overlapping>
void windowed_halves(const float* const* from, const typename L::T* window, typename L::T* next,
                     typename L::V* r) noexcept {
    using V = typename L::V;
    constexpr int W = L::width, H = N / 2;
    const float* last = from[W - 1] + H;
    if constexpr (Overlapping) {
        for (int n = 0; n < H; n += W) {
            const V v = windowed<L>(L::load(last + n), L::load(last + n - 1), L::load(window + H + n),
                                    L::load(window + N + H + n));
            *reinterpret_cast<V*>(next + n) = v;
        }
    }
    const auto set = [r](int n, V a, V b) {
        r[n] = a + b;
        r[n + H] = a - b;
    };
    V first_a = L::all(0), first_b = first_a, before_a = first_a, before_b = first_a;
    for (int n = 0; n < H; n += W) {
        V a[W], b[W];
        into_lanes<L>(from, n, a);
        if constexpr (!Overlapping) into_lanes<L>(from, n + H, b);
        if (n == 0) {
            first_a = a[0];
            if constexpr (!Overlapping) first_b = b[0];
        }
#pragma GCC unroll 16
        for (int i = 0; i < W; ++i) {
            const typename L::T* at = window + n + i;
            const V x = windowed<L>(a[i], before_a, L::all(at[0]), L::all(at[N]));
            if constexpr (Overlapping) {
                set(n + i, x, L::shift_in(windowed<L>(a[i], before_a, L::all(at[H]), L::all(at[N + H])), next[n + i]));
            } else {
                set(n + i, x, windowed<L>(b[i], before_b, L::all(at[H]), L::all(at[N + H])));
                before_b = b[i];
            }
            before_a = a[i];
        }
    }
    if constexpr (Overlapping) {
        first_b = L::shift_in(first_a, last[0]);
        before_b = L::shift_in(before_a, last[H - 1]);
    }
    // What comes before the first sample is the last one; before the middle, the end of the first half.
    set(0, windowed<L>(first_a, before_b, L::all(window[0]), L::all(window[N])),
        windowed<L>(first_b, before_a, L::all(window[H]), L::all(window[N + H])));
}

// The powers of the N/2 + 1 bins of the windowed frames that start at `from`, one frame a lane; returns their sum.
template <class L, int N>
typename L::V powers(const float* const* from, bool overlapping, const typename L::T* window, const Memory& memory,
                     float* power) noexcept {
    using V = typename L::V;
    V* r = reinterpret_cast<V*>(memory.samples);
    V* z = reinterpret_cast<V*>(memory.turned);
    auto* next = reinterpret_cast<typename L::T*>(memory.next);
    overlapping ? windowed_halves<L, N, true>(from, window, next, r)
                : windowed_halves<L, N, false>(from, window, next, r);
    const V odd = rfft::odd_bins<L, N / 4>(rfft::Split<L, N / 4>{r}, z, power, 1);
    return odd + rfft::bins<L, N / 2>(r, z, power, 2);
}

// Sums over the mel bands.
template <class L>
DISSENSUS_INLINE void sums(const MelJob& job, const float* weights, const typename L::V* power,
                           typename L::V* mel) noexcept {
    using V = typename L::V;
    for (std::int64_t band = 0; band < job.n_mels; ++band) {
        const MelBand& b = job.bands[band];
        const V* bins = power + b.first_bin;
        V sum = L::all(0);
        for (std::int64_t i = 0; i < b.n_weights; ++i) sum = L::fma(bins[i], L::all(*weights++), sum);
        mel[band] = sum;
    }
}

// Lanes where single precision may be off by more than 1e-3 dB somewhere above -80 dB: a band lies far under the mean
// bin of its frame, in whose rounding errors it drowns.
template <class L>
DISSENSUS_INLINE typename L::I unsure(const MelJob& job, const typename L::V* mel, typename L::V total,
                                      const float* limit, float heard) noexcept {
    const typename L::V least = L::all(heard);
    typename L::I found = {};
    for (std::int64_t band = 0; band < job.n_mels; ++band) {
        found |= (mel[band] < total * limit[band]) & (mel[band] > least);
    }
    return found;
}

template <class L>
DISSENSUS_INLINE void write(const MelJob& job, typename L::V* mel, const std::int64_t* frames, int n_lanes) noexcept {
    using V = typename L::V;
    constexpr int W = L::width;
    const MelLevel& level = job.level;
    if (level.scale != 0.0f) {
        const typename L::Log log(level.scale, level.shift);
        const V floor = L::all(level.floor);
        for (std::int64_t i = 0; i < job.n_mels; ++i) {
            const V sum = mel[i];
            mel[i] = log((sum < floor ? floor : sum) + level.offset);
        }
    }
    float* to[W];
    for (int lane = 0; lane < n_lanes; ++lane) to[lane] = job.out + frames[lane] * job.n_mels;
    std::int64_t band = 0;
    for (; band + W <= job.n_mels; band += W) {
        L::transpose(mel + band);
        for (int lane = 0; lane < n_lanes; ++lane) L::store(to[lane] + band, mel[band + lane]);
    }
    for (; band < job.n_mels; ++band) {
        for (int lane = 0; lane < n_lanes; ++lane) to[lane][band] = mel[band][lane];
    }
}

template <class L>
DISSENSUS_INLINE void magnitudes(typename L::V* power, std::int64_t n_fft) noexcept {
    for (std::int64_t k = 0; k <= n_fft / 2; ++k) power[k] = L::root(power[k]);
}

// Whether each frame begins where the second half of the one before it does, so that `windowed_halves` may share it.
// Lanes past the end of a list repeat its last frame: the first and the last lane alone do not tell.
template <int W, int N>
bool halves_are_shared(const float* const* from, std::int64_t hop) noexcept {
    bool shared = 2 * hop == N;
    for (int lane = 1; lane < W; ++lane) shared &= from[lane] - from[lane - 1] == hop;
    return shared;
}

// One group of frames, one a lane, in single precision; returns the lanes that need the second pass.
template <class L, int N>
typename L::I group(const MelJob& job, std::int64_t frame, int n_lanes, float heard, const Memory& memory) noexcept {
    using V = typename L::V;
    const float* from[L::width];
    std::int64_t frames[L::width];
    for (int lane = 0; lane < L::width; ++lane) {  // lanes past the end repeat the last frame
        frames[lane] = frame + std::min(lane, n_lanes - 1);
        from[lane] = job.signal + job.first + frames[lane] * job.hop;
    }
    const V total =
        powers<L, N>(from, halves_are_shared<L::width, N>(from, job.hop), memory.window32, memory, memory.power);
    V* power = reinterpret_cast<V*>(memory.power);
    V* mel = reinterpret_cast<V*>(memory.mel);
    if (job.level.magnitude) magnitudes<L>(power, N);
    sums<L>(job, memory.weights, power, mel);
    const auto found = unsure<L>(job, mel, job.level.magnitude ? L::root(total) : total, memory.limit, heard);
    write<L>(job, mel, frames, n_lanes);
    return found;
}

// The second pass: a few frames again, in double precision up to the powers.
template <class L, class D, int N>
void again(const MelJob& job, const std::int64_t* frames, int n_frames, const Memory& memory) noexcept {
    using V = typename L::V;
    static_assert(L::width == 2 * D::width);
    for (int half = 0; half < L::width; half += D::width) {
        const float* from[D::width];
        for (int lane = 0; lane < D::width; ++lane) {
            from[lane] = job.signal + job.first + frames[std::min(half + lane, n_frames - 1)] * job.hop;
        }
        powers<D, N>(from, halves_are_shared<D::width, N>(from, job.hop), memory.window64, memory, memory.power + half);
    }
    V* power = reinterpret_cast<V*>(memory.power);
    V* mel = reinterpret_cast<V*>(memory.mel);
    if (job.level.magnitude) magnitudes<L>(power, N);
    sums<L>(job, memory.weights, power, mel);
    write<L>(job, mel, frames, n_frames);
}

template <class L, class D, int N>
void all_groups(const MelJob& job, float* scratch) noexcept {
    const Memory memory(scratch, job.n_fft, job.n_mels);
    prepare_window(job.window, N, memory.window64);
    prepare_window(job.window, N, memory.window32);
    const double ratio = unsure_ratio(N) / (N / 2 + 1);
    float* weights = memory.weights;
    for (std::int64_t band = 0; band < job.n_mels; ++band) {
        const MelBand& b = job.bands[band];
        double largest = 0.0, squares = 0.0;
        for (std::int64_t i = 0; i < b.n_weights; ++i) {
            const double k = static_cast<double>(b.first_bin + i);
            const double gain = 1.0 + emphasis * emphasis - 2.0 * emphasis * std::cos(6.283185307179586 / N * k);
            const double weight = job.weights[b.first_weight + i] / (job.level.magnitude ? std::sqrt(gain) : gain);
            *weights++ = static_cast<float>(weight);
            largest = std::max(largest, weight);
            squares += weight * weight;
        }
        memory.limit[band] = static_cast<float>(job.level.magnitude ? std::sqrt(squares * ratio) : largest * ratio);
    }
    const float heard = job.level.magnitude ? 1e-4f : 1e-8f;
    std::int64_t pending[L::width];
    int n_pending = 0;
    for (std::int64_t frame = 0; frame < job.n_frames; frame += L::width) {
        const int n_lanes = static_cast<int>(std::min<std::int64_t>(L::width, job.n_frames - frame));
        if (job.level.scale == 0.0f) {  // plain sums: a thousandth of a dB would be too coarse for them
            for (int lane = 0; lane < n_lanes; ++lane) pending[lane] = frame + lane;
            again<L, D, N>(job, pending, n_lanes, memory);
            continue;
        }
        const typename L::I found = group<L, N>(job, frame, n_lanes, heard, memory);
        for (int lane = 0; lane < n_lanes; ++lane) {
            if (found[lane] == 0) continue;
            pending[n_pending++] = frame + lane;
            if (n_pending == L::width) {
                again<L, D, N>(job, pending, n_pending, memory);
                n_pending = 0;
            }
        }
    }
    if (n_pending > 0) again<L, D, N>(job, pending, n_pending, memory);
}

template <class L, class D>
void any_size(const MelJob& job, float* scratch) noexcept {
    switch (job.n_fft) {
        case 256: return all_groups<L, D, 256>(job, scratch);
        case 512: return all_groups<L, D, 512>(job, scratch);
        case 1024: return all_groups<L, D, 1024>(job, scratch);
        case 2048: return all_groups<L, D, 2048>(job, scratch);
        case 4096: return all_groups<L, D, 4096>(job, scratch);
        default: return;
    }
}

}  // namespace dissensus::mel

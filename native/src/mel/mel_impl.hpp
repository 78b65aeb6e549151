// The body of log_mel_frames: double precision up to the powers of the bins, single from there on, where every number
// is positive and rounding errors stay relative. Included once by every file that is compiled for an instruction set;
// everything has internal linkage, so that the linker cannot hand one file's wide code to another.
#pragma once

#include <cstdint>

#include "dissensus/mel.hpp"
#include "dissensus/paths.hpp"
#include "mel/lanes.hpp"
#include "mel/rfft.hpp"
#include "mel/table.hpp"
#include "simd/inline.hpp"
#include "simd/lanes.hpp"

namespace dissensus::mel {
namespace {

// Memory of one call, cut from the caller's scratch; vectors of either kind take at most 64 bytes.
struct Memory {
    float *samples, *turned, *power, *mel;  // vectors
    double* next;                           // second half of the last lane, windowed

    Memory(float* scratch, std::int64_t n_fft, std::int64_t n_mels) noexcept {
        samples = scratch;
        turned = samples + 16 * n_fft;
        power = turned + 16 * 2 * rfft::place(static_cast<int>(n_fft / 4));
        mel = power + 16 * (n_fft / 2 + 1);
        next = reinterpret_cast<double*>(mel + 16 * n_mels);
    }
};

template <class L>
DISSENSUS_INLINE void into_lanes(const float* const* from, int n, typename L::V* rows) noexcept {
#pragma GCC unroll 16
    for (int lane = 0; lane < L::width; ++lane) rows[lane] = L::load(from[lane] + n);
    L::transpose(rows);
}

// Sums and differences of the halves of N windowed samples, one frame a lane. Where frames overlap by half, the second
// half of one is the first half of the next lane, and only that of the last lane (`next`) is worked out apart.
template <class D, int N, bool Overlapping>
void windowed_halves(const float* const* from, const double* window, double* next, typename D::V* r) noexcept {
    using V = typename D::V;
    constexpr int W = D::width, H = N / 2;
    if constexpr (Overlapping) {
        const float* last = from[W - 1] + H;
        for (int n = 0; n < H; n += W) {
            const V v = D::load(last + n) * D::load(window + H + n);
            *reinterpret_cast<V*>(next + n) = v;
        }
    }
    for (int n = 0; n < H; n += W) {
        V a[W], b[W];
        into_lanes<D>(from, n, a);
        if constexpr (!Overlapping) into_lanes<D>(from, n + H, b);
#pragma GCC unroll 8
        for (int i = 0; i < W; ++i) {
            const V x = a[i] * D::all(window[n + i]), late = D::all(window[n + i + H]);
            V y;
            if constexpr (Overlapping) {
                y = D::shift_in(a[i] * late, next[n + i]);
            } else {
                y = b[i] * late;
            }
            r[n + i] = x + y;
            r[n + i + H] = x - y;
        }
    }
}

// Whether each frame begins where the second half of the one before it does, so that `windowed_halves` may share it.
// Lanes past the end repeat the last frame: the first and the last lane alone do not tell.
template <int W, int N>
bool halves_are_shared(const float* const* from, std::int64_t hop) noexcept {
    bool shared = 2 * hop == N;
    for (int lane = 1; lane < W; ++lane) shared &= from[lane] - from[lane - 1] == hop;
    return shared;
}

// The powers of the N/2 + 1 bins of the windowed frames that start at `from`, one frame a lane.
template <class D, int N>
void powers(const Job& job, const float* const* from, bool shared, const Memory& memory, float* power) noexcept {
    using V = typename D::V;
    V* r = reinterpret_cast<V*>(memory.samples);
    V* z = reinterpret_cast<V*>(memory.turned);
    shared ? windowed_halves<D, N, true>(from, job.window, memory.next, r)
           : windowed_halves<D, N, false>(from, job.window, memory.next, r);
    rfft::odd_bins<D, N / 4>(rfft::Split<D, N / 4>{r}, z, power, 1);
    rfft::bins<D, N / 2>(r, z, power, 2);
}

// Sums over the mel bands.
template <class L>
DISSENSUS_INLINE void sums(const Job& job, const typename L::V* power, typename L::V* mel) noexcept {
    using V = typename L::V;
    for (std::int64_t band = 0; band < job.n_mels; ++band) {
        const Band& b = job.bands[band];
        const V* bins = power + b.first_bin;
        const float* weights = job.weights + b.first_weight;
        V sum = L::all(0);
        for (std::int64_t i = 0; i < b.n_weights; ++i) sum = L::fma(bins[i], L::all(weights[i]), sum);
        mel[band] = sum;
    }
}

template <class L>
DISSENSUS_INLINE void write(const Job& job, typename L::V* mel, std::int64_t frame, int n_lanes) noexcept {
    using V = typename L::V;
    constexpr int W = L::width;
    const Level& level = job.level;
    if (level.scale != 0.0f) {
        const typename L::Log log(level.scale, level.shift);
        const V floor = L::all(level.floor);
        for (std::int64_t i = 0; i < job.n_mels; ++i) {
            const V sum = mel[i];
            mel[i] = log((sum < floor ? floor : sum) + level.offset);
        }
    }
    float* to[W];
    for (int lane = 0; lane < n_lanes; ++lane) to[lane] = job.out + (frame + lane) * job.n_mels;
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

// The samples of the next frames: short runs at many places, which the hardware does not foresee.
DISSENSUS_INLINE void fetch_early(const float* samples, std::int64_t n) noexcept {
    for (std::int64_t at = 0; at < n; at += 16) __builtin_prefetch(samples + at);
}

template <class L, class D, int N>
void all_groups(const Job& job, float* scratch) noexcept {
    static_assert(L::width == 2 * D::width);
    using V = typename L::V;
    const Memory memory(scratch, job.n_fft, job.n_mels);
    V* power = reinterpret_cast<V*>(memory.power);
    V* mel = reinterpret_cast<V*>(memory.mel);
    std::int64_t groups[2] = {0, 0};
    const float* end = job.signal + job.first + (job.n_frames - 1) * job.hop + N;
    for (std::int64_t frame = 0; frame < job.n_frames; frame += L::width) {
        const int n_lanes = static_cast<int>(simd::least(L::width, job.n_frames - frame));
        for (int half = 0; half < n_lanes; half += D::width) {
            const float* from[D::width];
            for (int lane = 0; lane < D::width; ++lane) {  // lanes past the end repeat the last frame
                from[lane] = job.signal + job.first + (frame + simd::least(half + lane, n_lanes - 1)) * job.hop;
            }
            fetch_early(from[D::width - 1] + N, simd::least(D::width * job.hop, end - from[D::width - 1] - N));
            const bool shared = halves_are_shared<D::width, N>(from, job.hop);
            ++groups[shared ? 1 : 0];
            powers<D, N>(job, from, shared, memory, memory.power + half);
        }
        if (job.level.magnitude) magnitudes<L>(power, N);
        sums<L>(job, power, mel);
        write<L>(job, mel, frame, n_lanes);
    }
    paths::taken(paths::Path::mel_halves_apart, groups[0]);
    paths::taken(paths::Path::mel_halves_shared, groups[1]);
}

template <class L, class D>
void any_size(const Job& job, float* scratch) noexcept {
    switch (job.n_fft) {
        case 256: return all_groups<L, D, 256>(job, scratch);
        case 512: return all_groups<L, D, 512>(job, scratch);
        case 1024: return all_groups<L, D, 1024>(job, scratch);
        case 2048: return all_groups<L, D, 2048>(job, scratch);
        case 4096: return all_groups<L, D, 4096>(job, scratch);
        default: return;
    }
}

}  // namespace

// NOLINTNEXTLINE(misc-definitions-in-headers): one file per instruction set includes this.
const Table DISSENSUS_ISA = {any_size<FloatLanes, DoubleLanes>};

}  // namespace dissensus::mel

// Every instruction set against a long-double transform, at every size, with odd frame counts and guards behind `out`.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <vector>

#include "check.hpp"
#include "dissensus/machine.hpp"
#include "dissensus/mel.hpp"

using namespace dissensus::mel;
using namespace dissensus::simd;

namespace {

constexpr float guard = 12345.0f;

std::vector<long double> power_of(const float* x, const double* window, int n) {
    std::vector<long double> power(n / 2 + 1);
    const long double tau = 6.283185307179586476925286766559L;
    std::vector<long double> cosine(n), sine(n);
    for (int i = 0; i < n; ++i) {
        cosine[i] = std::cos(tau * i / n);
        sine[i] = std::sin(tau * i / n);
    }
    for (int k = 0; k <= n / 2; ++k) {
        long double re = 0, im = 0;
        for (int i = 0; i < n; ++i) {
            const int at = static_cast<int>(static_cast<long long>(i) * k % n);
            re += static_cast<long double>(x[i]) * window[i] * cosine[at];
            im -= static_cast<long double>(x[i]) * window[i] * sine[at];
        }
        power[k] = re * re + im * im;
    }
    return power;
}

struct Scratch {
    explicit Scratch(std::size_t floats) : memory(floats + 16) {}
    float* get() {
        auto at = reinterpret_cast<std::uintptr_t>(memory.data());
        return reinterpret_cast<float*>((at + 63) / 64 * 64);
    }
    std::vector<float> memory;
};

int check(int n_fft, int n_mels, int n_frames, bool magnitude, bool log) {
    const int hop = n_fft / 2 - 3;
    const std::size_t n = static_cast<std::size_t>((n_frames - 1) * hop + n_fft + 5);
    std::vector<float> signal(n);
    std::vector<double> window(n_fft);
    unsigned state = 12345u + n_fft + n_frames;
    for (auto& s : signal) {
        state = state * 1664525u + 1013904223u;
        s = static_cast<float>(static_cast<int>(state >> 8) - (1 << 23)) / (1 << 23);
    }
    for (int i = 0; i < n_fft; ++i) window[i] = 0.5 - 0.5 * std::cos(6.283185307179586 * i / n_fft);
    std::vector<Band> bands;
    std::vector<float> weights;
    for (int m = 0; m < n_mels; ++m) {
        const int from = m * (n_fft / 2) / n_mels, count = m % 3 == 2 ? 0 : 1 + m % 5;
        bands.push_back({from, static_cast<std::int64_t>(weights.size()), std::min(count, n_fft / 2 + 1 - from)});
        for (int i = 0; i < bands.back().n_weights; ++i) weights.push_back(0.25f + 0.125f * i);
    }
    weights.push_back(0.0f);
    std::vector<float> out(static_cast<std::size_t>(n_frames) * n_mels + 16, guard);
    const float scale = log ? 4.342944819f : 0.0f;
    const Job job{signal.data(),
                  5,
                  hop,
                  n_frames,
                  window.data(),
                  n_fft,
                  bands.data(),
                  n_mels,
                  weights.data(),
                  {magnitude, 1e-10f, 0.0f, scale, 0.0f},
                  out.data()};
    Scratch scratch(scratch_floats(job));
    log_mel_frames(job, scratch.get());
    for (std::size_t i = out.size() - 16; i < out.size(); ++i) CHECK(out[i] == guard);
    for (int f = n_fft > 512 ? n_frames - 1 : 0; f < n_frames; f += n_frames > 6 ? 8 : 1) {
        const auto power = power_of(signal.data() + 5 + f * hop, window.data(), n_fft);
        for (int m = 0; m < n_mels; ++m) {
            long double sum = 0;
            for (int i = 0; i < bands[m].n_weights; ++i) {
                const long double p = power[bands[m].first_bin + i];
                sum += weights[bands[m].first_weight + i] * (magnitude ? std::sqrt(p) : p);
            }
            const float got = out[static_cast<std::size_t>(f) * n_mels + m];
            if (log) {
                const long double want = 10.0L * std::log10(std::max(sum, 1e-10L));
                if (sum > 1e-3L || sum == 0) CHECK(std::fabs(got - static_cast<double>(want)) < 1e-3);
            } else {
                CHECK(std::fabs(got - static_cast<double>(sum)) <= 2e-5 * static_cast<double>(sum) + 2e-4);
            }
        }
    }
    return 0;
}

int not_a_number_stays_in_its_frame() {
    std::vector<float> signal(512 * 20, 0.25f), out(20 * 4);
    const std::vector<double> window(512, 1.0);
    signal[512 * 7 + 3] = std::numeric_limits<float>::quiet_NaN();
    const std::vector<Band> bands{{0, 0, 1}, {1, 0, 2}, {3, 0, 2}, {200, 0, 2}};
    const std::vector<float> weights{1.0f, 0.5f};
    const Job job{signal.data(),
                  0,
                  512,
                  20,
                  window.data(),
                  512,
                  bands.data(),
                  4,
                  weights.data(),
                  {false, 1e-10f, 0.0f, 4.34f, 0.0f},
                  out.data()};
    Scratch scratch(scratch_floats(job));
    log_mel_frames(job, scratch.get());
    for (int f = 0; f < 20; ++f) {
        for (int m = 0; m < 4; ++m) CHECK(std::isnan(out[f * 4 + m]) == (f == 7));
    }
    return 0;
}

// A loud tone beside bands 110 dB under it: beyond single precision.
int quiet_bands_beside_a_tone() {
    const int n = 512 * 9;
    std::vector<float> signal(n), out(17 * 256);
    std::vector<double> window(512);
    for (int i = 0; i < 512; ++i) window[i] = 0.5 - 0.5 * std::cos(6.283185307179586 * i / 512);
    for (int i = 0; i < n; ++i) signal[i] = static_cast<float>(0.9 * std::sin(0.3 * i));
    std::vector<Band> bands;
    for (int m = 0; m < 256; ++m) bands.push_back({m, 0, 1});
    const std::vector<float> weights{1.0f};
    const Job job{signal.data(),
                  0,
                  256,
                  17,
                  window.data(),
                  512,
                  bands.data(),
                  256,
                  weights.data(),
                  {false, 1e-10f, 0.0f, 4.342944819f, 0.0f},
                  out.data()};
    Scratch scratch(scratch_floats(job));
    log_mel_frames(job, scratch.get());
    int heard = 0;
    for (int f = 0; f < 17; ++f) {
        const auto power = power_of(signal.data() + 256 * f, window.data(), 512);
        for (int m = 0; m < 256; ++m) {
            if (power[m] < 1e-8L) continue;
            ++heard;
            CHECK(std::fabs(out[f * 256 + m] - static_cast<double>(10.0L * std::log10(power[m]))) < 1e-3);
        }
    }
    CHECK(heard > 1000);
    return 0;
}

}  // namespace

int main() {
    for (const char* caps : {"baseline", "avx2", "avx512"}) {
        setenv("DISSENSUS_CAPS", caps, 1);
        refresh_isa();
        for (int n_fft : {256, 512, 1024, 2048, 4096}) {
            for (int n_frames : {1, 4, 17}) {
                CHECK(check(n_fft, 128, n_frames, false, true) == 0);
                CHECK(check(n_fft, 13, n_frames, true, false) == 0);
            }
        }
        for (int n_frames = 1; n_frames < 68; n_frames += n_frames < 18 ? 1 : 7)
            CHECK(check(256, n_frames % 40 + 1, n_frames, false, false) == 0);
        CHECK(not_a_number_stays_in_its_frame() == 0);
        CHECK(quiet_bands_beside_a_tone() == 0);
    }
    CHECK(!size_is_known(400) && size_is_known(2048));
    return outcome();
}

// Log-mel frames: window and FFT in double precision, sparse mel filter bank and logarithm in single. docs/log_mel.md
// bounds the error.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dissensus::mel {

struct Band {
    std::int64_t first_bin, first_weight, n_weights;
};

// level = scale * ln(max(sum, floor) + offset) + shift, or the sum itself where scale is 0.
struct Level {
    bool magnitude;
    float floor, offset, scale, shift;
};

struct Job {
    const float* signal;  // frame f is signal[first + f * hop : ... + n_fft]
    std::int64_t first, hop, n_frames;
    const double* window;
    std::int64_t n_fft;  // 256, 512, 1024, 2048 or 4096
    const Band* bands;
    std::int64_t n_mels;
    const float* weights;
    Level level;
    float* out;  // (n_frames, n_mels)
};

bool size_is_known(std::int64_t n_fft) noexcept;

// Floats of scratch that log_mel_frames needs, 64-byte aligned.
std::size_t scratch_floats(const Job& job) noexcept;

void log_mel_frames(const Job& job, float* scratch) noexcept;

}  // namespace dissensus::mel

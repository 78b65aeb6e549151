// Log-mel frames: window and FFT in double precision, sparse mel filter bank and logarithm in single. docs/log_mel.md
// bounds the error.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dissensus {

struct MelBand {
    std::int64_t first_bin, first_weight, n_weights;
};

// level = scale * ln(max(sum, floor) + offset) + shift, or the sum itself where scale is 0.
struct MelLevel {
    bool magnitude;
    float floor, offset, scale, shift;
};

struct MelJob {
    const float* signal;  // frame f is signal[first + f * hop : ... + n_fft]
    std::int64_t first, hop, n_frames;
    const double* window;
    std::int64_t n_fft;  // 256, 512, 1024, 2048 or 4096
    const MelBand* bands;
    std::int64_t n_mels;
    const float* weights;
    MelLevel level;
    float* out;  // (n_frames, n_mels)
};

bool mel_size_is_known(std::int64_t n_fft) noexcept;

// Floats of scratch that log_mel_frames needs, 64-byte aligned.
std::size_t mel_scratch(const MelJob& job) noexcept;

void log_mel_frames(const MelJob& job, float* scratch) noexcept;

// The same for one instruction set each; log_mel_frames picks.
void log_mel_frames_baseline(const MelJob& job, float* scratch) noexcept;
void log_mel_frames_avx2(const MelJob& job, float* scratch) noexcept;
void log_mel_frames_avx512(const MelJob& job, float* scratch) noexcept;

}  // namespace dissensus

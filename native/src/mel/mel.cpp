// The baseline of the processor family, and the choice of instruction set.
#define DISSENSUS_ISA baseline
#include "dissensus/mel.hpp"

#include <cstddef>
#include <cstdint>

#include "mel/mel_impl.hpp"  // IWYU pragma: keep
#include "mel/rfft.hpp"
#include "mel/table.hpp"
#include "simd/choose.hpp"

namespace dissensus::mel {

const Table& in_use() noexcept {
#if defined(DISSENSUS_X86)
    return simd::choose(baseline, avx2, avx512);
#else
    return baseline;
#endif
}

bool size_is_known(std::int64_t n_fft) noexcept {
    return n_fft == 256 || n_fft == 512 || n_fft == 1024 || n_fft == 2048 || n_fft == 4096;
}

std::size_t scratch_floats(const Job& job) noexcept {
    const auto n_fft = static_cast<std::size_t>(job.n_fft), mels = static_cast<std::size_t>(job.n_mels);
    const auto turned = 2 * static_cast<std::size_t>(rfft::place(static_cast<int>(job.n_fft / 4)));
    return 16 * (n_fft + turned + n_fft / 2 + 1 + mels) + n_fft + 16;
}

void log_mel_frames(const Job& job, float* scratch) noexcept { in_use().frames(job, scratch); }

}  // namespace dissensus::mel

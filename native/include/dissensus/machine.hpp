// Which instruction set the core uses on this machine.
//
// The widest one the processor and the operating system offer, lowered by the environment variable DISSENSUS_CAPS
// ("baseline", "avx2", "avx512"), so that every path can be tested on one machine.
#pragma once

namespace dissensus::simd {

enum class Isa : int { baseline = 0, avx2 = 1, avx512 = 2, neon = 3 };

Isa active_isa() noexcept;
void refresh_isa() noexcept;
const char* name_of(Isa isa) noexcept;

}  // namespace dissensus::simd

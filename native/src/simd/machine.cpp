#include "dissensus/machine.hpp"

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace dissensus::simd {
namespace {

Isa widest() noexcept {
#if defined(__x86_64__) || defined(_M_X64)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq")) {
        return Isa::avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::avx2;
    return Isa::baseline;
#elif defined(__aarch64__)
    return Isa::neon;
#else
    return Isa::baseline;
#endif
}

Isa detect() noexcept {
    const Isa best = widest();
    const char* mask = std::getenv("DISSENSUS_CAPS");
    if (mask == nullptr) return best;
    if (std::strcmp(mask, "baseline") == 0) return Isa::baseline;
    if (std::strcmp(mask, "avx2") == 0 && best == Isa::avx512) return Isa::avx2;
    return best;
}

std::atomic<int>& slot() noexcept {
    static std::atomic<int> value{static_cast<int>(detect())};
    return value;
}

}  // namespace

Isa active_isa() noexcept { return static_cast<Isa>(slot().load(std::memory_order_relaxed)); }

void refresh_isa() noexcept { slot().store(static_cast<int>(detect()), std::memory_order_relaxed); }

const char* name_of(Isa isa) noexcept {
    switch (isa) {
        case Isa::avx512: return "avx512";
        case Isa::avx2: return "avx2";
        case Isa::neon: return "neon";
        default: return "baseline";
    }
}

}  // namespace dissensus::simd

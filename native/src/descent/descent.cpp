// The baseline of the processor family, and the choice of instruction set.
#define DISSENSUS_ISA baseline
#include "dissensus/descent.hpp"

#include <cstdint>

#include "descent/descent_impl.hpp"  // IWYU pragma: keep
#include "descent/table.hpp"
#include "simd/choose.hpp"

namespace dissensus::descent {

const Table& in_use() noexcept {
#if defined(DISSENSUS_X86)
    return simd::choose(baseline, avx2, avx512);
#else
    return baseline;
#endif
}

void project_rows(const Projection& job) noexcept { in_use().project(job); }

std::int64_t anchored_descent(const Descent& job) noexcept { return in_use().descend(job); }

}  // namespace dissensus::descent

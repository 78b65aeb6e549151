#define DISSENSUS_DESCENTS descents_baseline
#include "descent/descent_impl.hpp"

#include "dissensus/machine.hpp"

namespace dissensus {
namespace {

const Descents& descents() noexcept {
#if defined(__x86_64__) || defined(_M_X64)
    if (active_isa() == Isa::avx512) return descents_avx512;
    if (active_isa() == Isa::avx2) return descents_avx2;
#endif
    return descents_baseline;
}

}  // namespace

void project_rows(const Projection& job) noexcept { descents().project(job); }

std::int64_t anchored_descent(const Descent& job) noexcept { return descents().descend(job); }

}  // namespace dissensus

// The baseline of the processor family: SSE2 on x86-64, NEON on AArch64; and the choice of instruction set.
#define DISSENSUS_ISA baseline
#include "query/query_impl.hpp"  // IWYU pragma: keep
#include "query/table.hpp"
#include "simd/choose.hpp"

namespace dissensus::query {

const Table& in_use() noexcept {
#if defined(DISSENSUS_X86)
    return simd::choose(baseline, avx2, avx512);
#else
    return baseline;
#endif
}

}  // namespace dissensus::query

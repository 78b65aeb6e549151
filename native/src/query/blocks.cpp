// The baseline of the processor family: SSE2 on x86-64, NEON on AArch64.
#define DISSENSUS_BLOCKS blocks_baseline
#include "query/blocks_impl.hpp"

#include "dissensus/machine.hpp"

namespace dissensus {

const Blocks& blocks() noexcept {
#if defined(__x86_64__) || defined(_M_X64)
    switch (active_isa()) {
        case Isa::avx512: return blocks_avx512;
        case Isa::avx2: return blocks_avx2;
        default: break;
    }
#endif
    return blocks_baseline;
}

}  // namespace dissensus

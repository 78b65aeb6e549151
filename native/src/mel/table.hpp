// What of the log-mel frames is compiled once per instruction set, behind one table of functions.
#pragma once

#include "dissensus/mel.hpp"
#include "simd/inline.hpp"

namespace dissensus::mel {

struct Table {
    void (*frames)(const Job& job, float* scratch) noexcept;
};

extern const Table baseline;
#if defined(DISSENSUS_X86)
extern const Table avx2, avx512;
#endif

/// That of the instruction set in use.
const Table& in_use() noexcept;

}  // namespace dissensus::mel

// What of the descent is compiled once per instruction set, behind one table of functions.
#pragma once

#include <cstdint>

#include "dissensus/descent.hpp"
#include "simd/inline.hpp"

namespace dissensus::descent {

struct Table {
    void (*project)(const Projection&) noexcept;
    std::int64_t (*descend)(const Descent&) noexcept;
};

extern const Table baseline;
#if defined(DISSENSUS_X86)
extern const Table avx2, avx512;
#endif

/// That of the instruction set in use.
const Table& in_use() noexcept;

}  // namespace dissensus::descent

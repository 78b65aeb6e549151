// The parts of the descent that are compiled once per instruction set, behind one table of functions.
#pragma once

#include "dissensus/descent.hpp"

namespace dissensus {

struct Descents {
    void (*project)(const Projection&) noexcept;
    std::int64_t (*descend)(const Descent&) noexcept;
};

extern const Descents descents_baseline;
#if defined(__x86_64__) || defined(_M_X64)
extern const Descents descents_avx2;
extern const Descents descents_avx512;
#endif

}  // namespace dissensus

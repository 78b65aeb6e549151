// Which of the tables of functions fits the instruction set in use.
#pragma once

#include "dissensus/machine.hpp"

namespace dissensus::simd {

template <class Table>
const Table& choose(const Table& baseline, const Table& avx2, const Table& avx512) noexcept {
    switch (active_isa()) {
        case Isa::avx512: return avx512;
        case Isa::avx2: return avx2;
        default: return baseline;
    }
}

}  // namespace dissensus::simd

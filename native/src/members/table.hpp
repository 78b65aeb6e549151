// What of the member kernels is compiled once per instruction set, behind one table of functions.
#pragma once

#include <cstdint>

#include "dissensus/members.hpp"
#include "simd/inline.hpp"

namespace dissensus::members {

struct Table {
    std::int64_t (*lay_f32)(const float*, std::int64_t, std::int64_t, const Scaling&, float*) noexcept;
    std::int64_t (*lay_f64)(const double*, std::int64_t, std::int64_t, const Scaling&, float*) noexcept;
    void (*scores)(const float*, std::int64_t, std::int64_t, const Weights&, const std::int64_t*, float*, std::int64_t,
                   const Soon&) noexcept;
    void (*votes)(const Tile&, const Held&, const Votes&, float*) noexcept;
};

extern const Table baseline;
#if defined(DISSENSUS_X86)
extern const Table avx2, avx512;
#endif

/// That of the instruction set in use.
const Table& in_use() noexcept;

}  // namespace dissensus::members

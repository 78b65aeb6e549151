// The parts of the member kernels that are compiled once per instruction set, behind one table of functions.
#pragma once

#include "dissensus/members.hpp"

namespace dissensus {

struct Members {
    std::int64_t (*lay_f32)(const float*, std::int64_t, std::int64_t, const Scaling&, float*) noexcept;
    std::int64_t (*lay_f64)(const double*, std::int64_t, std::int64_t, const Scaling&, float*) noexcept;
    void (*scores)(const float*, std::int64_t, std::int64_t, const Weights&, const std::int64_t*, float*, std::int64_t,
                   const Soon&) noexcept;
    void (*votes)(const Tile&, const Held&, const Votes&, float*) noexcept;
};

extern const Members members_baseline;
#if defined(__x86_64__) || defined(_M_X64)
extern const Members members_avx2;
extern const Members members_avx512;
#endif

}  // namespace dissensus

#include "simd/inline.hpp"

#if defined(DISSENSUS_X86)
#define DISSENSUS_ISA avx2
#include "members/members_impl.hpp"  // IWYU pragma: keep
#endif

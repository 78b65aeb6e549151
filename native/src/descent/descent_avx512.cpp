#include "simd/inline.hpp"

#if defined(DISSENSUS_X86)
#define DISSENSUS_ISA avx512
#include "descent/descent_impl.hpp"  // IWYU pragma: keep
#endif

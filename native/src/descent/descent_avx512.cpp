#define DISSENSUS_DESCENTS descents_avx512
#if defined(__x86_64__) || defined(_M_X64)
#include "descent/descent_impl.hpp"
#endif

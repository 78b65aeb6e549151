#define DISSENSUS_BLOCKS blocks_avx512
#if defined(__x86_64__) || defined(_M_X64)
#include "query/blocks_impl.hpp"
#endif

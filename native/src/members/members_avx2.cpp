#define DISSENSUS_MEMBERS members_avx2
#if defined(__x86_64__) || defined(_M_X64)
#include "members/members_impl.hpp"
#endif

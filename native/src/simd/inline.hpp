// How the small functions of the vector code are inlined, and which processor family this is.
#pragma once

#if defined(__SANITIZE_ADDRESS__)  // the sanitizers' checks inlined everywhere would take the compiler many minutes
#define DISSENSUS_INLINE inline
#else
#define DISSENSUS_INLINE inline __attribute__((always_inline))
#endif

#if defined(__x86_64__) || defined(_M_X64)
#define DISSENSUS_X86 1
#endif

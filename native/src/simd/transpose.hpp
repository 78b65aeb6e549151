// Squares of numbers turned round: kLanes vectors of floats, kLanes / 2 of doubles.
#pragma once

#include "simd/lanes.hpp"

namespace dissensus::simd {
namespace {

// Of two vectors, within 128 bits each: elements in turn, of the low or the high half; pairs of elements; then whole
// 128 bits, every second one.
#if defined(__AVX512F__)
DISSENSUS_INLINE Floats low(Floats a, Floats b) noexcept {
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
}
DISSENSUS_INLINE Floats high(Floats a, Floats b) noexcept {
    return __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
}
DISSENSUS_INLINE Floats low_pairs(Floats a, Floats b) noexcept {
    return __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
}
DISSENSUS_INLINE Floats high_pairs(Floats a, Floats b) noexcept {
    return __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
}
DISSENSUS_INLINE Floats even_blocks(Floats a, Floats b) noexcept {
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
}
DISSENSUS_INLINE Floats odd_blocks(Floats a, Floats b) noexcept {
    return __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}
DISSENSUS_INLINE Doubles low(Doubles a, Doubles b) noexcept {
    return __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14);
}
DISSENSUS_INLINE Doubles high(Doubles a, Doubles b) noexcept {
    return __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
}
DISSENSUS_INLINE Doubles even_blocks(Doubles a, Doubles b) noexcept {
    return __builtin_shufflevector(a, b, 0, 1, 4, 5, 8, 9, 12, 13);
}
DISSENSUS_INLINE Doubles odd_blocks(Doubles a, Doubles b) noexcept {
    return __builtin_shufflevector(a, b, 2, 3, 6, 7, 10, 11, 14, 15);
}
#elif defined(__AVX2__)
DISSENSUS_INLINE Floats low(Floats a, Floats b) noexcept {
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13);
}
DISSENSUS_INLINE Floats high(Floats a, Floats b) noexcept {
    return __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
}
DISSENSUS_INLINE Floats low_pairs(Floats a, Floats b) noexcept {
    return __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
}
DISSENSUS_INLINE Floats high_pairs(Floats a, Floats b) noexcept {
    return __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
}
DISSENSUS_INLINE Floats even_blocks(Floats a, Floats b) noexcept {
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11);
}
DISSENSUS_INLINE Floats odd_blocks(Floats a, Floats b) noexcept {
    return __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
}
DISSENSUS_INLINE Doubles low(Doubles a, Doubles b) noexcept { return __builtin_shufflevector(a, b, 0, 4, 2, 6); }
DISSENSUS_INLINE Doubles high(Doubles a, Doubles b) noexcept { return __builtin_shufflevector(a, b, 1, 5, 3, 7); }
DISSENSUS_INLINE Doubles even_blocks(Doubles a, Doubles b) noexcept {
    return __builtin_shufflevector(a, b, 0, 1, 4, 5);
}
DISSENSUS_INLINE Doubles odd_blocks(Doubles a, Doubles b) noexcept { return __builtin_shufflevector(a, b, 2, 3, 6, 7); }
#else
DISSENSUS_INLINE Floats low(Floats a, Floats b) noexcept { return __builtin_shufflevector(a, b, 0, 4, 1, 5); }
DISSENSUS_INLINE Floats high(Floats a, Floats b) noexcept { return __builtin_shufflevector(a, b, 2, 6, 3, 7); }
DISSENSUS_INLINE Floats low_pairs(Floats a, Floats b) noexcept { return __builtin_shufflevector(a, b, 0, 1, 4, 5); }
DISSENSUS_INLINE Floats high_pairs(Floats a, Floats b) noexcept { return __builtin_shufflevector(a, b, 2, 3, 6, 7); }
DISSENSUS_INLINE Doubles low(Doubles a, Doubles b) noexcept { return __builtin_shufflevector(a, b, 0, 2); }
DISSENSUS_INLINE Doubles high(Doubles a, Doubles b) noexcept { return __builtin_shufflevector(a, b, 1, 3); }
#endif

// Four vectors as columns of four within 128 bits.
DISSENSUS_INLINE void turn_four(Floats* rows) noexcept {
    const Floats a = low(rows[0], rows[1]), b = high(rows[0], rows[1]);
    const Floats c = low(rows[2], rows[3]), d = high(rows[2], rows[3]);
    rows[0] = low_pairs(a, c);
    rows[1] = high_pairs(a, c);
    rows[2] = low_pairs(b, d);
    rows[3] = high_pairs(b, d);
}

// Four vectors, `apart` from each other, as columns of four blocks of 128 bits; two where there are two blocks.
template <int apart, class V>
DISSENSUS_INLINE void turn_blocks(V* rows) noexcept {
#if defined(__AVX512F__)
    const V a = even_blocks(rows[0], rows[apart]), b = odd_blocks(rows[0], rows[apart]);
    const V c = even_blocks(rows[2 * apart], rows[3 * apart]), d = odd_blocks(rows[2 * apart], rows[3 * apart]);
    rows[0] = even_blocks(a, c);
    rows[apart] = even_blocks(b, d);
    rows[2 * apart] = odd_blocks(a, c);
    rows[3 * apart] = odd_blocks(b, d);
#elif defined(__AVX2__)
    const V a = even_blocks(rows[0], rows[apart]), b = odd_blocks(rows[0], rows[apart]);
    rows[0] = a;
    rows[apart] = b;
#else
    static_cast<void>(rows);
#endif
}

DISSENSUS_INLINE void transpose(Floats* rows) noexcept {
#pragma GCC unroll 4
    for (int i = 0; i < kLanes; i += 4) turn_four(rows + i);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) turn_blocks<4>(rows + i);
}

DISSENSUS_INLINE void transpose(Doubles* rows) noexcept {
#pragma GCC unroll 4
    for (int i = 0; i < kLanes / 2; i += 2) {
        const Doubles a = low(rows[i], rows[i + 1]), b = high(rows[i], rows[i + 1]);
        rows[i] = a;
        rows[i + 1] = b;
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) turn_blocks<2>(rows + i);
}

}  // namespace
}  // namespace dissensus::simd

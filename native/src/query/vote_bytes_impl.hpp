// Votes counted in vectors of bytes, where the instruction set looks up sixteen entries at once. Included by
// votes_impl.hpp.
#pragma once

#include <cstdint>

#include "query/blocks.hpp"
#include "simd/lanes.hpp"

#if defined(__AVX2__) || defined(__aarch64__)
#define DISSENSUS_LOOKS_UP_BYTES 1

namespace dissensus::query {
namespace {

using namespace simd;

#if defined(__AVX512BW__)
constexpr int kBytes = 64;
#elif defined(__AVX2__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif

constexpr std::int64_t kVotesAhead = 1024;  // bytes of each member's votes that are fetched early

typedef std::uint8_t Bytes __attribute__((vector_size(kBytes)));
typedef std::uint16_t BytePairs __attribute__((vector_size(kBytes)));
typedef std::uint8_t LooseBytes __attribute__((vector_size(kBytes), aligned(1), may_alias));

DISSENSUS_INLINE Bytes load_bytes(const std::uint8_t* from) noexcept {
    return *reinterpret_cast<const LooseBytes*>(from);
}
DISSENSUS_INLINE void store_bytes(std::uint8_t* to, Bytes value) noexcept {
    *reinterpret_cast<LooseBytes*>(to) = value;
}

// The sixteen bytes at `from` again and again.
DISSENSUS_INLINE Bytes repeated(const std::uint8_t* from) noexcept {
#if defined(__AVX512BW__)
    return (Bytes)_mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#elif defined(__AVX2__)
    return (Bytes)_mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#else
    return (Bytes)vld1q_u8(from);
#endif
}

// Entry `at` of sixteen; beyond them zero or any other entry.
DISSENSUS_INLINE Bytes pick(Bytes table, Bytes at) noexcept {
#if defined(__AVX512BW__)
    return (Bytes)_mm512_shuffle_epi8((__m512i)table, (__m512i)at);
#elif defined(__AVX2__)
    return (Bytes)_mm256_shuffle_epi8((__m256i)table, (__m256i)at);
#else
    return (Bytes)vqtbl1q_u8((uint8x16_t)table, (uint8x16_t)at);
#endif
}

DISSENSUS_INLINE Bytes larger_bytes(Bytes a, Bytes b) noexcept {
#if defined(__AVX512BW__)
    return (Bytes)_mm512_max_epu8((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (Bytes)_mm256_max_epu8((__m256i)a, (__m256i)b);
#else
    return (Bytes)vmaxq_u8((uint8x16_t)a, (uint8x16_t)b);
#endif
}

DISSENSUS_INLINE bool any_above(Bytes value, std::uint8_t most) noexcept {
#if defined(__AVX512BW__)
    return _mm512_cmpgt_epu8_mask((__m512i)value, (__m512i)(Bytes{} + most)) != 0;
#elif defined(__AVX2__)
    const Bytes limit = Bytes{} + most;
    return _mm256_movemask_epi8(_mm256_cmpeq_epi8((__m256i)larger_bytes(value, limit), (__m256i)limit)) != -1;
#else
    return vmaxvq_u8((uint8x16_t)value) > most;
#endif
}

DISSENSUS_INLINE Bytes high_half(Bytes value) noexcept { return (Bytes)((BytePairs)value >> 4) & 15; }

// What a vote, or the votes of two members, add to the counts of the classes 2 p and 2 p + 1, four bits each.
template <int pairs>
struct CountTables {
    Bytes one[pairs], two[pairs];

    CountTables() noexcept {
        for (int p = 0; p < pairs; ++p) {
            std::uint8_t single[16], both[16];
            for (int i = 0; i < 16; ++i) {
                const auto share = [p](int vote) { return (vote == 2 * p) + 16 * (vote == 2 * p + 1); };
                single[i] = static_cast<std::uint8_t>(share(i));
                both[i] = static_cast<std::uint8_t>(share(i & 3) + share(i >> 2));
            }
            one[p] = repeated(single);
            two[p] = repeated(both);
        }
    }
};

// Votes for each of 2 * pairs classes in kBytes tracks, of at most 255 members; returns the largest vote. A vote that
// is above 15 (`together`: above 3, and two members are looked up in one) is counted wrongly, and so may be its
// neighbours.
template <int pairs, bool together>
DISSENSUS_INLINE Bytes count_bytes(const CountTables<pairs>& tables, const std::uint8_t* vote,
                                   std::int64_t member_stride, std::int64_t n_members,
                                   Bytes total[2 * pairs]) noexcept {
    constexpr std::int64_t most = together ? 14 : 15;  // as many as four bits hold
    Bytes largest{};
    for (int c = 0; c < 2 * pairs; ++c) total[c] = Bytes{};
    const auto next = [&]() __attribute__((always_inline)) {
        const Bytes cast = load_bytes(vote);
        __builtin_prefetch(vote + kVotesAhead, 0, 2);
        vote += member_stride;
        largest = larger_bytes(largest, cast);
        return cast;
    };
    for (std::int64_t m = 0; m < n_members; m += most) {
        std::int64_t left = least(most, n_members - m);
        Bytes both[pairs] = {};
        for (; together && left >= 2; left -= 2) {
            const Bytes a = next(), b = next(), at = a | (Bytes)((BytePairs)b << 2);
            for (int p = 0; p < pairs; ++p) both[p] += pick(tables.two[p], at);
        }
        for (; left > 0; --left) {
            const Bytes a = next();
            for (int p = 0; p < pairs; ++p) both[p] += pick(tables.one[p], a);
        }
        for (int p = 0; p < pairs; ++p) {
            total[2 * p] += both[p] & 15;
            total[2 * p + 1] += high_half(both[p]);
        }
    }
    return largest;
}

}  // namespace
}  // namespace dissensus::query
#endif

// Counting votes. Included by blocks_impl.hpp.
#pragma once

#include "blocks.hpp"
#include "lanes_impl.hpp"

namespace dissensus {
namespace {

constexpr std::int64_t kVotesAhead = 1024;  // bytes of each member's votes that are fetched early

#if defined(__AVX2__)
// Two classes share a byte, four bits each: a shuffle turns a vote into one more of its class, fifteen members at most
// before the halves are added up. Votes from 16 on, which a shuffle would take for smaller ones, are seen in `most`.
template <int pairs>
inline bool count_nibbles(const std::uint8_t* first, std::int64_t member_stride, std::int64_t n_members,
                          std::uint8_t tile[2 * pairs][64]) noexcept {
#if defined(__AVX512BW__)
    constexpr int parts = 1;
    using Bytes = __m512i;
    const auto load = [](const std::uint8_t* from) { return _mm512_loadu_si512(from); };
    const auto put = [](std::uint8_t* to, Bytes value) { _mm512_storeu_si512(to, value); };
    const auto add = [](Bytes a, Bytes b) { return _mm512_add_epi8(a, b); };
    const auto most_of = [](Bytes a, Bytes b) { return _mm512_max_epu8(a, b); };
    const auto low_half = [](Bytes a) { return _mm512_and_si512(a, _mm512_set1_epi8(15)); };
    const auto high_half = [&](Bytes a) { return low_half(_mm512_srli_epi16(a, 4)); };
    const auto pick = [](Bytes table, Bytes vote) { return _mm512_shuffle_epi8(table, vote); };
    const auto zero = [] { return _mm512_setzero_si512(); };
    const auto table_of = [](int pair) {
        const __m128i one = pair < 4 ? _mm_set_epi64x(0, 0x1001LL << (16 * pair)) : _mm_set_epi64x(0x1001LL << (16 * (pair - 4)), 0);
        return _mm512_broadcast_i32x4(one);
    };
#else
    constexpr int parts = 2;
    using Bytes = __m256i;
    const auto load = [](const std::uint8_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); };
    const auto put = [](std::uint8_t* to, Bytes value) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value); };
    const auto add = [](Bytes a, Bytes b) { return _mm256_add_epi8(a, b); };
    const auto most_of = [](Bytes a, Bytes b) { return _mm256_max_epu8(a, b); };
    const auto low_half = [](Bytes a) { return _mm256_and_si256(a, _mm256_set1_epi8(15)); };
    const auto high_half = [&](Bytes a) { return low_half(_mm256_srli_epi16(a, 4)); };
    const auto pick = [](Bytes table, Bytes vote) { return _mm256_shuffle_epi8(table, vote); };
    const auto zero = [] { return _mm256_setzero_si256(); };
    const auto table_of = [](int pair) {
        const __m128i one = pair < 4 ? _mm_set_epi64x(0, 0x1001LL << (16 * pair)) : _mm_set_epi64x(0x1001LL << (16 * (pair - 4)), 0);
        return _mm256_broadcastsi128_si256(one);
    };
#endif
    constexpr int wide = 64 / parts;
    Bytes table[pairs];
    for (int p = 0; p < pairs; ++p) table[p] = table_of(p);
    std::uint8_t most[64];
    for (int part = 0; part < parts; ++part) {
        Bytes largest = zero(), total[2 * pairs];
        for (int c = 0; c < 2 * pairs; ++c) total[c] = zero();
        for (std::int64_t from = 0; from < n_members; from += 15) {
            const std::int64_t to = least(from + 15, n_members);
            Bytes both[pairs];
            for (int p = 0; p < pairs; ++p) both[p] = zero();
            for (std::int64_t m = from; m < to; ++m) {
                const std::uint8_t* from_here = first + m * member_stride + part * wide;
                __builtin_prefetch(from_here + kVotesAhead, 0, 2);
                const Bytes vote = load(from_here);
                largest = most_of(largest, vote);
                for (int p = 0; p < pairs; ++p) both[p] = add(both[p], pick(table[p], vote));
            }
            for (int p = 0; p < pairs; ++p) {
                total[2 * p] = add(total[2 * p], low_half(both[p]));
                total[2 * p + 1] = add(total[2 * p + 1], high_half(both[p]));
            }
        }
        put(most + part * wide, largest);
        for (int c = 0; c < 2 * pairs; ++c) put(tile[c] + part * wide, total[c]);
    }
    int far = 0;
    for (int l = 0; l < 64; ++l) far |= most[l] > 15;
    return far == 0;
}
#endif

// Counters of one byte, so at most 255 members at a time; the caller adds groups up.
template <int fixed>
inline void count_bytes(const std::uint8_t* first, std::int64_t member_stride, std::int64_t n_members,
                        std::int64_t from_class, std::int64_t n, std::uint8_t* counts) noexcept {
    for (std::int64_t i = 0; i < n; i += 64) {
        std::uint8_t tile[fixed + 1][64];
        const std::int64_t wide = least(64, n - i);
        bool done = false;
#if defined(__AVX2__)
        if (wide == 64 && from_class == 0) done = count_nibbles<(fixed + 1) / 2>(first + i, member_stride, n_members, tile);
#endif
        if (done) {
            // all counted
        } else if (wide == 64) {
            for (auto& row : tile) {
                for (std::uint8_t& count : row) count = 0;
            }
            for (std::int64_t m = 0; m < n_members; ++m) {
                const std::uint8_t* vote = first + m * member_stride + i;
                for (int c = 0; c < fixed; ++c) {
                    const std::uint8_t label = static_cast<std::uint8_t>(from_class + c);
                    for (int l = 0; l < 64; ++l) tile[c][l] = static_cast<std::uint8_t>(tile[c][l] + (vote[l] == label));
                }
            }
        } else {
            for (auto& row : tile) {
                for (std::uint8_t& count : row) count = 0;
            }
            for (std::int64_t m = 0; m < n_members; ++m) {
                const std::uint8_t* vote = first + m * member_stride + i;
                for (std::int64_t l = 0; l < wide; ++l) {
                    const int c = static_cast<int>(vote[l]) - static_cast<int>(from_class);
                    if (c >= 0 && c < fixed) ++tile[c][l];
                }
            }
        }
        for (int c = 0; c < fixed; ++c) {
            std::uint8_t* const to = counts + c * kBlockVotes + i;
            if (wide == 64) {
                for (int l = 0; l < 64; ++l) to[l] = tile[c][l];
            } else {
                for (std::int64_t l = 0; l < wide; ++l) to[l] = tile[c][l];
            }
        }
    }
}

void count_votes(const std::uint8_t* first, std::int64_t member_stride, std::int64_t n_members, std::int64_t n_classes,
                 std::int64_t n, std::int64_t stride, std::uint16_t* counts) noexcept {
    std::uint8_t bytes[4 * kBlockVotes];
    for (std::int64_t c = 0; c < n_classes; c += 4) {
        const std::int64_t classes = least(4, n_classes - c);
        for (std::int64_t m = 0; m < n_members || m == 0; m += 255) {
            const std::uint8_t* from = first + m * member_stride;
            const std::int64_t members = least(255, n_members - m);
            switch (classes) {
                case 1: count_bytes<1>(from, member_stride, members, c, n, bytes); break;
                case 2: count_bytes<2>(from, member_stride, members, c, n, bytes); break;
                case 3: count_bytes<3>(from, member_stride, members, c, n, bytes); break;
                default: count_bytes<4>(from, member_stride, members, c, n, bytes); break;
            }
            for (std::int64_t d = 0; d < classes; ++d) {
                std::uint16_t* to = counts + (c + d) * stride;
                const std::uint8_t* add = bytes + d * kBlockVotes;
                if (m == 0) {
                    for (std::int64_t i = 0; i < n; ++i) to[i] = add[i];
                } else {
                    for (std::int64_t i = 0; i < n; ++i) to[i] = static_cast<std::uint16_t>(to[i] + add[i]);
                }
            }
        }
    }
}

void vote_sums(const std::uint16_t* counts, std::int64_t n_members, std::int64_t n_classes, std::int64_t n,
               std::int64_t stride, const std::int32_t* table, float* out) noexcept {
    constexpr float unit = static_cast<float>(kVoteUnit);
    std::int64_t i = 0;
#if defined(__AVX512F__)
    if (n_members < 32) {  // the table fits two registers
        const auto loaded = [&](std::int64_t from) {
            const std::int64_t left = n_members + 1 - from;
            const __mmask16 mask = left >= 16 ? __mmask16(0xFFFF) : left > 0 ? __mmask16((1u << left) - 1) : __mmask16(0);
            return _mm512_maskz_loadu_epi32(mask, table + from);
        };
        const __m512i table_low = loaded(0), table_high = loaded(16);
        for (; i + 16 <= n; i += 16) {
            __m512i total = _mm512_setzero_si512();
            for (std::int64_t c = 0; c < n_classes; ++c) {
                const auto* from = reinterpret_cast<const __m256i*>(counts + c * stride + i);
                const __m512i count = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from));
                total = _mm512_add_epi32(total, _mm512_permutex2var_epi32(table_low, count, table_high));
            }
            _mm512_storeu_ps(out + i, _mm512_mul_ps(_mm512_cvtepi32_ps(total), _mm512_set1_ps(unit)));
        }
    }
#endif
    for (; i < n; ++i) {
        std::int32_t total = 0;
        for (std::int64_t c = 0; c < n_classes; ++c) total += table[counts[c * stride + i]];
        out[i] = static_cast<float>(total) * unit;
    }
    (void)n_members;
}

// Up to four classes and thirty-one members, sixty-four tracks at a time: two members' votes make one index of four bits, a
// shuffle turns it into two counts of four bits each, and what four counts of five bits contribute is looked up in registers.
// Returns how many tracks were done: it stops before a group with a vote out of range, and before the last n % 64.
#if defined(__AVX512BW__)
struct FewTables {
    __m512i both[2], one[2];

    FewTables() noexcept {
        alignas(16) std::uint8_t pair[2][16], single[2][16] = {};
        for (int i = 0; i < 16; ++i) {
            for (int half = 0; half < 2; ++half) {
                const int a = i & 3, b = i >> 2, c = 2 * half;
                pair[half][i] = static_cast<std::uint8_t>((a == c) + (b == c) + 16 * ((a == c + 1) + (b == c + 1)));
                if (i < 4) single[half][i] = static_cast<std::uint8_t>((a == c) + 16 * (a == c + 1));
            }
        }
        for (int half = 0; half < 2; ++half) {
            both[half] = _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(pair[half])));
            one[half] = _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(single[half])));
        }
    }
};

std::int64_t few_votes(const std::uint8_t* first, std::int64_t member_stride, std::int64_t n_members, std::int64_t n_classes,
                       std::int64_t n, const std::int32_t* table, float* out) noexcept {
    constexpr float unit = static_cast<float>(kVoteUnit);
    constexpr int low_bits = 14;  // the table in two parts: four times each fits sixteen bits
    alignas(64) std::uint16_t part[2][32] = {};
    for (std::int64_t count = 0; count <= n_members; ++count) {
        part[0][count] = static_cast<std::uint16_t>(table[count] & ((1 << low_bits) - 1));
        part[1][count] = static_cast<std::uint16_t>(table[count] >> low_bits);
    }
    const __m512i part_low = _mm512_load_si512(part[0]), part_high = _mm512_load_si512(part[1]);
    const __m512i nibble = _mm512_set1_epi8(15), out_of_range = _mm512_set1_epi8(static_cast<char>(0xFC));
    const FewTables tables;
    std::int64_t i = 0;
    for (; i + 64 <= n; i += 64) {
        __m512i total[4] = {}, seen = _mm512_setzero_si512();
        const std::uint8_t* vote = first + i;
        const auto next = [&]() __attribute__((always_inline)) {
            const __m512i cast = _mm512_loadu_si512(vote);
            __builtin_prefetch(vote + kVotesAhead, 0, 2);
            vote += member_stride;
            return cast;
        };
        for (std::int64_t m = 0; m < n_members; m += 14) {
            const std::int64_t members = least(14, n_members - m);
            __m512i sum[2] = {};
            for (std::int64_t two = 0; two + 2 <= members; two += 2) {
                const __m512i a = next(), b = next(), index = _mm512_or_si512(a, _mm512_slli_epi16(b, 2));
                seen = _mm512_ternarylogic_epi32(seen, a, b, 0xFE);
                for (int half = 0; half < 2; ++half) {
                    sum[half] = _mm512_add_epi8(sum[half], _mm512_shuffle_epi8(tables.both[half], index));
                }
            }
            if (members % 2 != 0) {
                const __m512i a = next();
                seen = _mm512_or_si512(seen, a);
                for (int half = 0; half < 2; ++half) {
                    sum[half] = _mm512_add_epi8(sum[half], _mm512_shuffle_epi8(tables.one[half], a));
                }
            }
            for (int half = 0; half < 2; ++half) {
                total[2 * half] = _mm512_add_epi8(total[2 * half], _mm512_and_si512(sum[half], nibble));
                total[2 * half + 1] =
                    _mm512_add_epi8(total[2 * half + 1], _mm512_and_si512(_mm512_srli_epi16(sum[half], 4), nibble));
            }
        }
        for (int c = 3; c >= n_classes; --c) seen = _mm512_or_si512(seen, _mm512_slli_epi16(total[c], 3));
        if (_mm512_test_epi8_mask(seen, out_of_range) != 0) break;
        for (int half = 0; half < 2; ++half) {
            __m512i low = _mm512_setzero_si512(), high = _mm512_setzero_si512();
            for (const __m512i& count : total) {
                const __m256i bytes = half == 0 ? _mm512_castsi512_si256(count) : _mm512_extracti64x4_epi64(count, 1);
                const __m512i wide = _mm512_cvtepu8_epi16(bytes);
                low = _mm512_add_epi16(low, _mm512_permutexvar_epi16(wide, part_low));
                high = _mm512_add_epi16(high, _mm512_permutexvar_epi16(wide, part_high));
            }
            const auto put = [&](std::int64_t at, __m256i a, __m256i b) __attribute__((always_inline)) {
                const __m512i sum = _mm512_add_epi32(_mm512_cvtepu16_epi32(a), _mm512_slli_epi32(_mm512_cvtepu16_epi32(b), low_bits));
                _mm512_storeu_ps(out + i + at, _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(unit)));
            };
            put(32 * half, _mm512_castsi512_si256(low), _mm512_castsi512_si256(high));
            put(32 * half + 16, _mm512_extracti64x4_epi64(low, 1), _mm512_extracti64x4_epi64(high, 1));
        }
    }
    return i;
}
#else
constexpr decltype(Blocks::few_votes) few_votes = nullptr;
#endif

}  // namespace
}  // namespace dissensus

// Counting votes. Included by query_impl.hpp.
#pragma once

#include <cstdint>

#include "query/blocks.hpp"
#include "query/vote_bytes_impl.hpp"
#include "simd/lanes.hpp"

namespace dissensus::query {
namespace {

using namespace simd;

#if defined(DISSENSUS_LOOKS_UP_BYTES)
// Sixty-four tracks at once; false if a vote is too large for it.
template <int pairs>
inline bool count_tile(const std::uint8_t* first, std::int64_t member_stride, std::int64_t n_members,
                       std::uint8_t tile[2 * pairs][64]) noexcept {
    const CountTables<pairs> tables;
    Bytes largest{};
    for (int at = 0; at < 64; at += kBytes) {
        Bytes total[2 * pairs];
        largest = larger_bytes(largest, count_bytes<pairs, false>(tables, first + at, member_stride, n_members, total));
        for (int c = 0; c < 2 * pairs; ++c) store_bytes(tile[c] + at, total[c]);
    }
    return !any_above(largest, 15);
}
#endif

// Counters of one byte, so at most 255 members at a time; the caller adds groups up.
template <int fixed>
inline void count_four(const std::uint8_t* first, std::int64_t member_stride, std::int64_t n_members,
                       std::int64_t from_class, std::int64_t n, std::uint8_t* counts) noexcept {
    for (std::int64_t i = 0; i < n; i += 64) {
        std::uint8_t tile[fixed + 1][64];
        const std::int64_t wide = least(64, n - i);
        bool done = false;
#if defined(DISSENSUS_LOOKS_UP_BYTES)
        if (wide == 64 && from_class == 0)
            done = count_tile<(fixed + 1) / 2>(first + i, member_stride, n_members, tile);
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
                    for (int l = 0; l < 64; ++l)
                        tile[c][l] = static_cast<std::uint8_t>(tile[c][l] + (vote[l] == label));
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
                case 1: count_four<1>(from, member_stride, members, c, n, bytes); break;
                case 2: count_four<2>(from, member_stride, members, c, n, bytes); break;
                case 3: count_four<3>(from, member_stride, members, c, n, bytes); break;
                default: count_four<4>(from, member_stride, members, c, n, bytes); break;
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
            const __mmask16 mask = left >= 16 ? __mmask16(0xFFFF)
                                   : left > 0 ? __mmask16((1u << left) - 1)
                                              : __mmask16(0);
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

}  // namespace
}  // namespace dissensus::query

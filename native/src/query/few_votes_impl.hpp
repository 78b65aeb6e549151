// Entropies of the votes of at most thirty-one members for at most eight classes: counted and looked up in registers.
// Included by query_impl.hpp.
#pragma once

#include <cstdint>

#include "query/blocks.hpp"
#include "query/table.hpp"
#include "query/vote_bytes_impl.hpp"

namespace dissensus::query {
namespace {

using namespace simd;

#if defined(DISSENSUS_LOOKS_UP_BYTES)
#if defined(__AVX512BW__)
// The table in two parts of sixteen bits each. Sums stay in them: the low one of four classes, the high one of all,
// since eight classes come to log 8 / kVoteUnit at most.
template <int pairs>
class CountSums {
public:
    CountSums(const std::int32_t* table, std::int64_t n_members) noexcept {
        alignas(64) std::uint16_t part[2][32] = {};
        for (std::int64_t count = 0; count <= n_members; ++count) {
            part[0][count] = static_cast<std::uint16_t>(table[count] & ((1 << kLow) - 1));
            part[1][count] = static_cast<std::uint16_t>(table[count] >> kLow);
        }
        low_ = _mm512_load_si512(part[0]);
        high_ = _mm512_load_si512(part[1]);
    }

    DISSENSUS_INLINE void put(const Bytes* total, float* out) const noexcept {
        constexpr int fours = (2 * pairs + 3) / 4;
        for (int half = 0; half < 2; ++half) {
            __m512i low[fours], high = _mm512_setzero_si512();
            for (int four = 0; four < fours; ++four) low[four] = _mm512_setzero_si512();
            for (int c = 0; c < 2 * pairs; ++c) {
                const __m512i count = (__m512i)total[c];
                const __m256i bytes = half == 0 ? _mm512_castsi512_si256(count) : _mm512_extracti64x4_epi64(count, 1);
                const __m512i wide = _mm512_cvtepu8_epi16(bytes);
                low[c / 4] = _mm512_add_epi16(low[c / 4], _mm512_permutexvar_epi16(wide, low_));
                high = _mm512_add_epi16(high, _mm512_permutexvar_epi16(wide, high_));
            }
            for (int quarter = 0; quarter < 2; ++quarter) {
                const auto wide = [quarter](__m512i sum) __attribute__((always_inline)) {
                    return _mm512_cvtepu16_epi32(quarter == 0 ? _mm512_castsi512_si256(sum)
                                                              : _mm512_extracti64x4_epi64(sum, 1));
                };
                __m512i sum = _mm512_slli_epi32(wide(high), kLow);
                for (int four = 0; four < fours; ++four) sum = _mm512_add_epi32(sum, wide(low[four]));
                _mm512_storeu_ps(out + 32 * half + 16 * quarter,
                                 _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(static_cast<float>(kVoteUnit))));
            }
        }
    }

private:
    static constexpr int kLow = 14;
    __m512i low_, high_;
};
#else
// The table in planes of as many bits as leave the sum over the classes a byte; its numbers are below 2^27.
template <int pairs>
class CountSums {
public:
    CountSums(const std::int32_t* table, std::int64_t n_members) noexcept : more_(n_members > 15) {
        for (int plane = 0; plane < kPlanes; ++plane) {
            std::uint8_t part[32] = {};
            for (std::int64_t count = 0; count <= n_members; ++count) {
                part[count] = static_cast<std::uint8_t>((table[count] >> (kBits * plane)) & ((1 << kBits) - 1));
            }
            low_[plane] = repeated(part);
            high_[plane] = repeated(part + 16);
        }
    }

    DISSENSUS_INLINE void put(const Bytes* total, float* out) const noexcept {
        std::uint8_t sum[kPlanes][kBytes];
        for (int plane = 0; plane < kPlanes; ++plane) {
            Bytes part{};
            for (int c = 0; c < 2 * pairs; ++c) part += more_ ? either(plane, total[c]) : pick(low_[plane], total[c]);
            store_bytes(sum[plane], part);
        }
        for (int l = 0; l < kBytes; ++l) {
            std::int32_t whole = 0;
            for (int plane = 0; plane < kPlanes; ++plane) whole += sum[plane][l] << (kBits * plane);
            out[l] = static_cast<float>(whole) * static_cast<float>(kVoteUnit);
        }
    }

private:
    static constexpr int kBits = pairs == 1 ? 7 : pairs == 2 ? 6 : 5;
    static constexpr int kPlanes = (27 + kBits - 1) / kBits;

    // Entry `count` of thirty-two.
    DISSENSUS_INLINE Bytes either(int plane, Bytes count) const noexcept {
#if defined(__AVX2__)  // a shuffle gives zero where the highest bit is set
        return pick(low_[plane], count + 0x70) + pick(high_[plane], count - 16);
#else
        return (Bytes)vqtbl2q_u8(uint8x16x2_t{{(uint8x16_t)low_[plane], (uint8x16_t)high_[plane]}}, (uint8x16_t)count);
#endif
    }

    bool more_;
    Bytes low_[kPlanes], high_[kPlanes];
};
#endif

template <int pairs>
inline std::int64_t few_votes_of(const std::uint8_t* first, std::int64_t member_stride, std::int64_t n_members,
                                 std::int64_t n_classes, std::int64_t n, const std::int32_t* table,
                                 float* out) noexcept {
    const CountTables<pairs> counts;
    const CountSums<pairs> sums(table, n_members);
    std::int64_t i = 0;
    for (; i + kBytes <= n; i += kBytes) {
        Bytes total[2 * pairs];
        const Bytes largest = count_bytes<pairs, pairs <= 2>(counts, first + i, member_stride, n_members, total);
        if (any_above(largest, static_cast<std::uint8_t>(n_classes - 1))) break;
        sums.put(total, out + i);
    }
    return i;
}

std::int64_t few_votes(const std::uint8_t* first, std::int64_t member_stride, std::int64_t n_members,
                       std::int64_t n_classes, std::int64_t n, const std::int32_t* table, float* out) noexcept {
    switch ((n_classes + 1) / 2) {
        case 1: return few_votes_of<1>(first, member_stride, n_members, n_classes, n, table, out);
        case 2: return few_votes_of<2>(first, member_stride, n_members, n_classes, n, table, out);
        case 3: return few_votes_of<3>(first, member_stride, n_members, n_classes, n, table, out);
        default: return few_votes_of<4>(first, member_stride, n_members, n_classes, n, table, out);
    }
}
#else
constexpr decltype(Table::few_votes) few_votes = nullptr;
#endif

}  // namespace
}  // namespace dissensus::query

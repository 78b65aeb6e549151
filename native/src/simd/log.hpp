// Natural logarithms of float32, in plain code that every compiler turns into vectors.
//
// The mantissa is brought into [sqrt(1/2), sqrt(2)); the polynomial is that of Cephes' logf. For one number and for a
// vector of them the same operations give the same bits.
#pragma once

#include <cstdint>

#include "simd/lanes.hpp"

namespace dissensus::simd {
namespace {

constexpr float kTiny = 1.1754943508222875e-38f;  // the smallest normal number
constexpr float kLn2High = 0.693359375f;
constexpr float kLn2Low = -2.12194440e-4f;
constexpr float kInfinity = __builtin_inff();

DISSENSUS_INLINE std::int32_t bits_of(float x) noexcept { return __builtin_bit_cast(std::int32_t, x); }
DISSENSUS_INLINE Ints bits_of(Floats x) noexcept { return (Ints)x; }
DISSENSUS_INLINE float from_bits(std::int32_t x) noexcept { return __builtin_bit_cast(float, x); }
DISSENSUS_INLINE Floats from_bits(Ints x) noexcept { return (Floats)x; }
DISSENSUS_INLINE float to_floats(std::int32_t x) noexcept { return static_cast<float>(x); }

// The same number as a float or in every lane.
template <class F>
DISSENSUS_INLINE F as(float x) noexcept {
    return x - F{};
}

// x = 2^exponent (1 + f); log(1 + f) = f - f^2 / 2 + cubic f^2.
template <class F>
struct LogParts {
    F exponent, f, square, cubic;

    DISSENSUS_INLINE explicit LogParts(F x) noexcept {
        constexpr std::int32_t sqrt_half = 0x3F3504F3;
        const auto above = bits_of(x) - sqrt_half;
        exponent = to_floats(above >> 23);
        f = from_bits((above & 0x007FFFFF) + sqrt_half) - 1.0f;
        square = f * f;
        F y = multiply_add(as<F>(7.0376836292e-2f), f, as<F>(-1.1514610310e-1f));
        y = multiply_add(y, f, as<F>(1.1676998740e-1f));
        y = multiply_add(y, f, as<F>(-1.2420140846e-1f));
        y = multiply_add(y, f, as<F>(1.4249322787e-1f));
        y = multiply_add(y, f, as<F>(-1.6668057665e-1f));
        y = multiply_add(y, f, as<F>(2.0000714765e-1f));
        y = multiply_add(y, f, as<F>(-2.4999993993e-1f));
        y = multiply_add(y, f, as<F>(3.3333331174e-1f));
        cubic = y * f;
    }
};

// log(x) of a positive normal number, within one unit in the last place; something finite for infinity and NaN. The
// exponent's share is added in two parts, the small one first.
template <class F>
DISSENSUS_INLINE F log_normal(F x) noexcept {
    const LogParts<F> parts(x);
    F y = parts.cubic * parts.square;
    y = multiply_add(parts.exponent, as<F>(kLn2Low), y);
    y = multiply_add(as<F>(-0.5f), parts.square, y);
    return multiply_add(parts.exponent, as<F>(kLn2High), parts.f + y);
}

// log(x) of any float32: -inf at zero, NaN below.
DISSENSUS_INLINE float log_any(float x) noexcept {
    const bool small = x < kTiny;
    const float scaled = small ? x * 8388608.0f : x;  // 2^23
    float y = log_normal(scaled) - (small ? 23.0f * (kLn2High + kLn2Low) : 0.0f);
    y = x > 0.0f ? y : (x == 0.0f ? -kInfinity : __builtin_nanf(""));
    return x < kInfinity ? y : x;
}

// x log x with 0 log 0 = 0; NaN for NaN.
DISSENSUS_INLINE float x_log_x(float x) noexcept { return x * log_normal(x > kTiny ? x : kTiny); }
DISSENSUS_INLINE Floats x_log_x(Floats x) noexcept { return x * log_normal(where(x > kTiny, x, all(kTiny))); }

// scale log(x) + shift of positive x within a few units in the last place, NaN and infinity kept. Where a register
// looks entries up, the mantissa times a tabled reciprocal is 1 + f with a small f, and a few terms of the series
// remain.
#if defined(__AVX512F__)
class ScaledLog {
public:
    DISSENSUS_INLINE ScaledLog(float scale, float shift) noexcept
        : scale_(all(scale)),
          octave_(all(scale * 0.69314718055994531f)),
          level_(multiply_add(scale_,
                              Floats{0.0307716289f, 0.0896121531f, 0.145181986f, 0.19782573f, 0.247836201f,
                                     0.295464217f, 0.340926563f, 0.384411731f, 0.426084416f, 0.466089695f, 0.504555996f,
                                     0.541597314f, 0.577315358f, 0.611801539f, 0.645138017f, 0.677398766f},
                              all(shift))) {}

    DISSENSUS_INLINE Floats operator()(Floats x) const noexcept {
        const __m512i part = _mm512_srli_epi32((__m512i)x, 19);
        const Floats mantissa = (Floats)_mm512_getmant_ps((__m512)x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src);
        const __m512 inverse = _mm512_permutexvar_ps(part, (__m512)reciprocal_);
        const Floats f = (Floats)_mm512_fmsub_ps((__m512)mantissa, inverse, _mm512_set1_ps(1.0f));  // below 1 / 32
        Floats p = multiply_add(f, all(-0.25f), all(0.33333333f));
        p = multiply_add(f, p, all(-0.5f));
        p = multiply_add(f * f, p, f);
        const Floats y = multiply_add(p, scale_, (Floats)_mm512_permutexvar_ps(part, (__m512)level_));
        return multiply_add((Floats)_mm512_getexp_ps((__m512)x), octave_, y);
    }

private:
    Floats scale_, octave_;
    Floats reciprocal_{0.969696999f, 0.914285719f, 0.864864886f, 0.820512831f, 0.780487776f, 0.744186044f,
                       0.711111128f, 0.680851042f, 0.653061211f, 0.627451003f, 0.603773594f, 0.581818163f,
                       0.561403513f, 0.542372882f, 0.524590135f, 0.507936537f};
    Floats level_;
};
#elif defined(__AVX2__)
class ScaledLog {
public:
    DISSENSUS_INLINE ScaledLog(float scale, float shift) noexcept
        : scale_(all(scale)),
          octave_(all(scale * 0.69314718055994531f)),
          level_(multiply_add(scale_,
                              Floats{0.0606246181f, 0.171850249f, 0.271933697f, 0.362905475f, 0.446287125f,
                                     0.523248136f, 0.594707111f, 0.661398512f},
                              all(shift))) {}

    DISSENSUS_INLINE Floats operator()(Floats x) const noexcept {
        const __m256i part = _mm256_srli_epi32((__m256i)x, 20);
        const Floats exponent = to_floats((Ints)_mm256_srli_epi32((__m256i)x, 23) - 127);
        const Floats mantissa = from_bits((bits_of(x) & 0x7fffff) | bits_of(all(1.0f)));
        const __m256 inverse = _mm256_permutevar8x32_ps((__m256)reciprocal_, part);
        const Floats f = (Floats)_mm256_fmsub_ps((__m256)mantissa, inverse, _mm256_set1_ps(1.0f));  // below 1 / 16
        Floats p = multiply_add(f, all(0.2f), all(-0.25f));
        p = multiply_add(f, p, all(0.33333333f));
        p = multiply_add(f, p, all(-0.5f));
        p = multiply_add(f * f, p, f);
        const Floats y = multiply_add(p, scale_, (Floats)_mm256_permutevar8x32_ps((__m256)level_, part));
        return where(x < kInfinity, multiply_add(exponent, octave_, y), x);
    }

private:
    Floats scale_, octave_;
    Floats reciprocal_{0.941176474f, 0.842105269f, 0.761904776f, 0.695652187f,
                       0.639999986f, 0.592592597f, 0.551724136f, 0.516129017f};
    Floats level_;
};
#else
class ScaledLog {
public:
    DISSENSUS_INLINE ScaledLog(float scale, float shift) noexcept
        : scale_(all(scale)), octave_(all(scale * 0.69314718055994531f)), shift_(all(shift)) {}

    DISSENSUS_INLINE Floats operator()(Floats x) const noexcept {
        const LogParts<Floats> parts(x);
        const Floats mantissa =
            multiply_add(parts.cubic, parts.square, multiply_add(parts.square, all(-0.5f), parts.f));
        const Floats y = multiply_add(parts.exponent, octave_, multiply_add(mantissa, scale_, shift_));
        return where(x < kInfinity, y, x);
    }

private:
    Floats scale_, octave_, shift_;
};
#endif

}  // namespace
}  // namespace dissensus::simd

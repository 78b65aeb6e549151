// Natural logarithm of float32 within one unit in the last place, in plain code that every compiler turns into vectors.
//
// The mantissa is brought into [sqrt(1/2), sqrt(2)); the polynomial is that of Cephes' logf; the exponent's share is
// added in two parts, the small one first. Everything has internal linkage: files compiled for different instruction
// sets include this, and none may lend its code to another.
#pragma once

#include <cstdint>

namespace dissensus {
namespace {

constexpr float kTiny = 1.1754943508222875e-38f;  // the smallest normal number
constexpr float kLn2High = 0.693359375f;
constexpr float kLn2Low = -2.12194440e-4f;

inline float multiply_add(float a, float b, float c) noexcept {
#if defined(__FMA__) || defined(__aarch64__)
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

/// log(x) of a positive normal number; something finite for infinity and NaN.
inline float log_normal(float x) noexcept {
    constexpr std::int32_t sqrt_half = 0x3F3504F3;
    const std::int32_t above = __builtin_bit_cast(std::int32_t, x) - sqrt_half;
    const float e = static_cast<float>(above >> 23);
    const float f = __builtin_bit_cast(float, (above & 0x007FFFFF) + sqrt_half) - 1.0f;
    const float z = f * f;
    float y = multiply_add(7.0376836292e-2f, f, -1.1514610310e-1f);
    y = multiply_add(y, f, 1.1676998740e-1f);
    y = multiply_add(y, f, -1.2420140846e-1f);
    y = multiply_add(y, f, 1.4249322787e-1f);
    y = multiply_add(y, f, -1.6668057665e-1f);
    y = multiply_add(y, f, 2.0000714765e-1f);
    y = multiply_add(y, f, -2.4999993993e-1f);
    y = multiply_add(y, f, 3.3333331174e-1f);
    y = y * f * z;
    y = multiply_add(e, kLn2Low, y);
    y = multiply_add(-0.5f, z, y);
    return multiply_add(e, kLn2High, f + y);
}

/// log(x) of any float32: -inf at zero, NaN below.
inline float log_any(float x) noexcept {
    const bool small = x < kTiny;
    const float scaled = small ? x * 8388608.0f : x;  // 2^23
    float y = log_normal(scaled) - (small ? 23.0f * (kLn2High + kLn2Low) : 0.0f);
    y = x > 0.0f ? y : (x == 0.0f ? -__builtin_inff() : __builtin_nanf(""));
    return x < __builtin_inff() ? y : x;
}

/// x log x with 0 log 0 = 0; NaN for NaN.
inline float x_log_x(float x) noexcept { return x * log_normal(x > kTiny ? x : kTiny); }

}  // namespace
}  // namespace dissensus

// What the C++ tests share: a check that names its line and instruction set, every instruction set of this machine in
// turn, made-up numbers, and arrays with guards behind them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "dissensus/machine.hpp"

inline int failures = 0;

/// Counts what does not hold, and prints the first few.
#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition) && ++failures <= 20) {                                                \
            std::fprintf(stderr, "%s:%d [%s]: %s\n", __FILE__, __LINE__,                       \
                         dissensus::simd::name_of(dissensus::simd::active_isa()), #condition); \
        }                                                                                      \
    } while (0)

/// What `main` returns.
inline int outcome() {
    if (failures > 0) std::fprintf(stderr, "%d checks failed\n", failures);
    return failures > 0 ? 1 : 0;
}

/// Runs `test` once per instruction set that this machine has.
template <class Test>
void on_every_instruction_set(const Test& test) {
    for (const char* isa : {"baseline", "avx2", "avx512"}) {
        setenv("DISSENSUS_CAPS", isa, 1);
        dissensus::simd::refresh_isa();
        const char* active = dissensus::simd::name_of(dissensus::simd::active_isa());
        if (std::strcmp(active, isa) == 0 || std::strcmp(isa, "baseline") == 0) test();
    }
    unsetenv("DISSENSUS_CAPS");
    dissensus::simd::refresh_isa();
}

/// A position in a vector.
inline std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

using FloatVector = std::vector<float>;

/// Evenly in [-1, 1), the same ones in every run.
inline float draw() {
    static std::uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return static_cast<float>(static_cast<double>(state) / 4294967296.0 * 2.0 - 1.0);
}

inline FloatVector drawn(std::int64_t n, float scale = 1.0f) {
    FloatVector out(at(n));
    for (float& x : out) x = draw() * scale;
    return out;
}

/// An array with guards before and after, exactly as long as asked for: a write too far is seen here or by the
/// sanitizer.
template <class T>
class Guarded {
public:
    explicit Guarded(std::int64_t n) : size_(n), all_(at(n) + 2 * kGuard) {
        std::memset(all_.data(), kByte, all_.size() * sizeof(T));
    }
    Guarded(std::int64_t n, T value) : Guarded(n) {
        for (std::int64_t i = 0; i < n; ++i) (*this)[i] = value;
    }
    T* data() { return all_.data() + kGuard; }
    T& operator[](std::int64_t i) { return all_[at(i) + kGuard]; }
    bool intact() const {
        std::vector<T> guard(kGuard);
        std::memset(guard.data(), kByte, kGuard * sizeof(T));
        return std::memcmp(guard.data(), all_.data(), kGuard * sizeof(T)) == 0 &&
               std::memcmp(guard.data(), all_.data() + kGuard + size_, kGuard * sizeof(T)) == 0;
    }

private:
    static constexpr std::size_t kGuard = 8;
    static constexpr int kByte = 0xA5;
    std::int64_t size_;
    std::vector<T> all_;
};

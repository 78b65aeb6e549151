// What the C++ tests share: a check that names its line, made-up numbers, and arrays with guards behind them.
#pragma once

#include <cstdint>
#include <cstdio>
#include <vector>

#define CHECK(condition)                                                         \
    do {                                                                         \
        if (!(condition)) {                                                      \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            return 1;                                                            \
        }                                                                        \
    } while (0)

using Floats = std::vector<float>;

inline float draw() {
    static std::uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return static_cast<float>(static_cast<double>(state) / 4294967296.0 * 2.0 - 1.0);
}

inline Floats drawn(std::int64_t n, float scale = 1.0f) {
    Floats out(static_cast<std::size_t>(n));
    for (auto& x : out) x = draw() * scale;
    return out;
}

constexpr float kGuard = -7.0f;

inline Floats guarded(std::int64_t n) { return Floats(static_cast<std::size_t>(n + 3), kGuard); }

inline bool whole(const Floats& x) {
    return x[x.size() - 1] == kGuard && x[x.size() - 2] == kGuard && x[x.size() - 3] == kGuard;
}

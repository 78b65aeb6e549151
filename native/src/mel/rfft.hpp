// A real FFT of many frames at once: one frame in each SIMD lane, so that every butterfly is a plain vector operation.
//
// `L` is the lane set of an instruction set: `L::T` the scalar (float or double), `L::V` the vector type, `L::width`
// the number of frames, `L::fma`; `L::put` stores the powers of a bin as floats. It must be a type of an anonymous
// namespace, so that code compiled for different instruction sets never mixes at link time.
//
// R real samples are split into the sums and the differences of their halves. The differences, a quarter turn folded
// in, are R/4 complex numbers whose FFT is bins 1, 5, 9, ... (those beyond the middle are 3, 7, ... mirrored); the sums
// are a real signal of R/2 samples that holds the even bins, and are split again. No bin is ever computed as the small
// difference of two large ones, as happens where a half-length complex FFT is untangled.
#pragma once

#include <cmath>
#include <cstddef>
#include <utility>

#include "simd/inline.hpp"

namespace dissensus::mel::rfft {
namespace {

// One spare complex number after every 16: strides of a power of two would fall into the same few sets of the L1 cache.
constexpr int place(int i) noexcept { return i + (i >> 4); }

template <class L>
struct Complex {
    typename L::V re, im;
};

template <class L>
DISSENSUS_INLINE Complex<L> operator+(Complex<L> a, Complex<L> b) noexcept {
    return {a.re + b.re, a.im + b.im};
}
template <class L>
DISSENSUS_INLINE Complex<L> operator-(Complex<L> a, Complex<L> b) noexcept {
    return {a.re - b.re, a.im - b.im};
}

// a * (c + i s)
template <class L>
DISSENSUS_INLINE Complex<L> turn(Complex<L> a, typename L::T c, typename L::T s) noexcept {
    const typename L::V cosine = L::all(c), sine = L::all(s);
    return {L::fma(-a.im, sine, a.re * cosine), L::fma(a.re, sine, a.im * cosine)};
}

template <class L>
DISSENSUS_INLINE Complex<L> minus_i(Complex<L> a) noexcept {
    return {a.im, -a.re};
}

template <class L>
DISSENSUS_INLINE void dft4(Complex<L>& a, Complex<L>& b, Complex<L>& c, Complex<L>& d) noexcept {
    const Complex<L> s = a + c, t = a - c, u = b + d, v = minus_i(b - d);
    a = s + u;
    b = t + v;
    c = s - u;
    d = t - v;
}

template <class L, int R>
struct Dft;

template <class L>
struct Dft<L, 1> {
    static DISSENSUS_INLINE void run(Complex<L>* /*x*/) noexcept {}
};

template <class L>
struct Dft<L, 2> {
    static DISSENSUS_INLINE void run(Complex<L>* x) noexcept {
        const Complex<L> a = x[0], b = x[1];
        x[0] = a + b;
        x[1] = a - b;
    }
};

template <class L>
struct Dft<L, 4> {
    static DISSENSUS_INLINE void run(Complex<L>* x) noexcept { dft4(x[0], x[1], x[2], x[3]); }
};

template <class L>
struct Dft<L, 8> {
    static DISSENSUS_INLINE void run(Complex<L>* x) noexcept {
        constexpr typename L::T h = 0.70710678118654752440;
        dft4(x[0], x[2], x[4], x[6]);
        dft4(x[1], x[3], x[5], x[7]);
        const typename L::V half = L::all(h);
        const Complex<L> o1 = {(x[3].re + x[3].im) * half, (x[3].im - x[3].re) * half};
        const Complex<L> o2 = minus_i(x[5]);
        const Complex<L> o3 = {(x[7].im - x[7].re) * half, -(x[7].re + x[7].im) * half};
        const Complex<L> e0 = x[0], e1 = x[2], e2 = x[4], e3 = x[6], o0 = x[1];
        x[0] = e0 + o0;
        x[4] = e0 - o0;
        x[1] = e1 + o1;
        x[5] = e1 - o1;
        x[2] = e2 + o2;
        x[6] = e2 - o2;
        x[3] = e3 + o3;
        x[7] = e3 - o3;
    }
};

template <class L>
struct Dft<L, 16> {
    static DISSENSUS_INLINE void run(Complex<L>* x) noexcept {
        constexpr typename L::T c1 = 0.92387953251128675613, s1 = 0.38268343236508977173, h = 0.70710678118654752440;
        dft4(x[0], x[4], x[8], x[12]);
        dft4(x[1], x[5], x[9], x[13]);
        dft4(x[2], x[6], x[10], x[14]);
        dft4(x[3], x[7], x[11], x[15]);
        const typename L::V half = L::all(h);
        x[5] = turn(x[5], c1, -s1);
        x[6] = {(x[6].re + x[6].im) * half, (x[6].im - x[6].re) * half};
        x[7] = turn(x[7], s1, -c1);
        x[9] = {(x[9].re + x[9].im) * half, (x[9].im - x[9].re) * half};
        x[10] = minus_i(x[10]);
        x[11] = {(x[11].im - x[11].re) * half, -(x[11].re + x[11].im) * half};
        x[13] = turn(x[13], s1, -c1);
        x[14] = {(x[14].im - x[14].re) * half, -(x[14].re + x[14].im) * half};
        x[15] = turn(x[15], -c1, s1);
        dft4(x[0], x[1], x[2], x[3]);
        dft4(x[4], x[5], x[6], x[7]);
        dft4(x[8], x[9], x[10], x[11]);
        dft4(x[12], x[13], x[14], x[15]);
        // Row k1 now holds outputs k1 + 4 k2: put them in order.
        std::swap(x[1], x[4]);
        std::swap(x[2], x[8]);
        std::swap(x[3], x[12]);
        std::swap(x[6], x[9]);
        std::swap(x[7], x[13]);
        std::swap(x[11], x[14]);
    }
};

// Radices of the complex FFT of length M, first pass first; the last pass has no twiddles.
template <int M>
struct Radices {
    static constexpr int first = 1, second = 1, last = M;
};
template <>
struct Radices<32> {
    static constexpr int first = 4, second = 1, last = 8;
};
template <>
struct Radices<64> {
    static constexpr int first = 8, second = 1, last = 8;
};
template <>
struct Radices<128> {
    static constexpr int first = 8, second = 1, last = 16;
};
template <>
struct Radices<256> {
    static constexpr int first = 16, second = 1, last = 16;
};
template <>
struct Radices<512> {
    static constexpr int first = 8, second = 8, last = 8;
};
template <>
struct Radices<1024> {
    static constexpr int first = 8, second = 8, last = 16;
};

// Twiddle factors of the FFT of M complex numbers that come from 4M real samples: computed in double, once a process.
template <class T, int M>
struct Tables {
    static constexpr int R1 = Radices<M>::first, R2 = Radices<M>::second, R3 = Radices<M>::last;
    static constexpr int N2 = M / R1;  // length after the first pass

    T split[M * 2];  // exp(-2 pi i m / 4M)
    T first[R1 > 1 ? N2*(R1 - 1) * 2 : 1];
    T second[R2 > 1 ? R3*(R2 - 1) * 2 : 1];

    Tables() noexcept {
        for (int m = 0; m < M; ++m) unit(split + 2 * m, m, 4 * M);
        for (int n = 0; R1 > 1 && n < N2; ++n) {
            for (int k = 1; k < R1; ++k) unit(first + (n * (R1 - 1) + k - 1) * 2, n * k, M);
        }
        for (int n = 0; R2 > 1 && n < R3; ++n) {
            for (int k = 1; k < R2; ++k) unit(second + (n * (R2 - 1) + k - 1) * 2, n * k, N2);
        }
    }

    static void unit(T* to, int part, int whole) noexcept {
        const double angle = -6.283185307179586476925286766559 * part / whole;
        to[0] = static_cast<T>(std::cos(angle));
        to[1] = static_cast<T>(std::sin(angle));
    }

    static const Tables& get() noexcept {
        static const Tables tables;
        return tables;
    }
};

// One pass of radix R, with twiddles, over the sub-transform of length `Length` that starts at complex number `base`.
template <class L, int R, int Length>
DISSENSUS_INLINE void pass(typename L::V* z, int base, const typename L::T* twiddle) noexcept {
    constexpr int S = Length / R;
    for (int n = 0; n < S; ++n) {
        typename L::V* at[R];
        Complex<L> x[R];
#pragma GCC unroll 16
        for (int j = 0; j < R; ++j) {
            at[j] = z + 2 * (S % 16 == 0 ? place(base) + j * place(S) + place(n) : place(base + j * S) + n);
            x[j] = {at[j][0], at[j][1]};
        }
        Dft<L, R>::run(x);
        at[0][0] = x[0].re;
        at[0][1] = x[0].im;
#pragma GCC unroll 16
        for (int j = 1; j < R; ++j) {
            const Complex<L> y = turn(x[j], twiddle[2 * j - 2], twiddle[2 * j - 1]);
            at[j][0] = y.re;
            at[j][1] = y.im;
        }
        twiddle += 2 * (R - 1);
    }
}

// Output k of M as |X|^2 of bin 4k + 1, mirrored beyond the middle, in steps of `stride`.
template <class L, int M>
DISSENSUS_INLINE void put_power(Complex<L> x, int k, bool mirrored, float* power, std::ptrdiff_t stride) noexcept {
    L::put(power, stride * (mirrored ? 4 * M - 4 * k - 1 : 4 * k + 1), L::fma(x.re, x.re, x.im * x.im));
}

// The last pass over R numbers: outputs k + step * j of M.
template <class L, int R, int M>
DISSENSUS_INLINE void last_pass(const typename L::V* z, int k, float* power, std::ptrdiff_t stride) noexcept {
    constexpr int step = M / R;
    Complex<L> x[R];
#pragma GCC unroll 16
    for (int j = 0; j < R; ++j) x[j] = {z[2 * j], z[2 * j + 1]};
    Dft<L, R>::run(x);
    put_power<L, M>(x[0], k, false, power, stride);
#pragma GCC unroll 16
    for (int j = 1; j < R; ++j) put_power<L, M>(x[j], k + step * j, 2 * j >= R, power, stride);
}

// Halves of 4M real numbers: the difference at m, and the sum left behind for the next, shorter split.
template <class L, int M>
struct Unsplit {
    typename L::V* r;
    DISSENSUS_INLINE typename L::V operator()(int m) const noexcept {
        const typename L::V a = r[m], b = r[m + 2 * M];
        r[m] = a + b;
        return a - b;
    }
};

// The same where both are there already.
template <class L, int M>
struct Split {
    const typename L::V* r;
    DISSENSUS_INLINE typename L::V operator()(int m) const noexcept { return r[m + 2 * M]; }
};

// The differences of halves of 4M real numbers through the FFT of M complex numbers (scratch z) to the powers of the
// odd bins.
template <class L, int M, class Halves>
DISSENSUS_INLINE void odd_bins(const Halves& halves, typename L::V* z, float* power, std::ptrdiff_t stride) noexcept {
    using V = typename L::V;
    using T = Tables<typename L::T, M>;
    constexpr int R1 = T::R1 > 1 ? T::R1 : M, S = M / R1;
    const T& tables = T::get();
    const typename L::T* twiddle = tables.first;
    for (int n = 0; n < S; ++n) {
        Complex<L> x[R1];
#pragma GCC unroll 16
        for (int j = 0; j < R1; ++j) {
            const int m = n + S * j;
            const V a = halves(m), b = halves(m + M);
            const V c = L::all(tables.split[2 * m]), s = L::all(tables.split[2 * m + 1]);
            x[j] = {L::fma(b, s, a * c), L::fma(a, s, -b * c)};  // (a - i b) (c + i s)
        }
        Dft<L, R1>::run(x);
        if constexpr (S == 1) {
#pragma GCC unroll 16
            for (int k = 0; k < M; ++k) put_power<L, M>(x[k], k, 2 * k >= M && k > 0, power, stride);
        } else {
#pragma GCC unroll 16
            for (int j = 0; j < R1; ++j) {
                const Complex<L> y = j == 0 ? x[0] : turn(x[j], twiddle[2 * j - 2], twiddle[2 * j - 1]);
                V* to = z + 2 * (S % 16 == 0 ? j * place(S) + place(n) : place(j * S) + n);
                to[0] = y.re;
                to[1] = y.im;
            }
            twiddle += 2 * (R1 - 1);
        }
    }
    if constexpr (S > 1) {
        for (int k1 = 0; k1 < R1; ++k1) {
            if constexpr (T::R2 > 1) pass<L, T::R2, S>(z, k1 * S, tables.second);
            for (int k2 = 0; k2 < T::R2; ++k2) {
                const V* from = z + 2 * place(k1 * S + k2 * T::R3);
                last_pass<L, T::R3, M>(from, k1 + R1 * k2, power, stride);
            }
        }
    }
}

// Powers of all bins of R real numbers r (which are overwritten), `stride` apart. z: R/4 complex numbers.
template <class L, int R>
void bins(typename L::V* r, typename L::V* z, float* power, std::ptrdiff_t stride) noexcept {
    using V = typename L::V;
    if constexpr (R == 2) {
        const V sum = r[0] + r[1], difference = r[0] - r[1];
        L::put(power, 0, sum * sum);
        L::put(power, stride, difference * difference);
    } else {
        odd_bins<L, R / 4>(Unsplit<L, R / 4>{r}, z, power, stride);
        bins<L, R / 2>(r, z, power, 2 * stride);
    }
}

}  // namespace
}  // namespace dissensus::mel::rfft

// A real FFT of many frames at once: one frame in each SIMD lane, so that every butterfly is a plain vector operation.
//
// `L` is the lane set of an instruction set: `L::T` the scalar (float or double), `L::V` the vector type, `L::width` the
// number of frames, `L::fma`. It must be a type of an anonymous namespace, so that code compiled for different instruction
// sets never mixes at link time.
//
// N real samples are N/2 complex numbers (even samples the real parts); radix-16/8 passes leave the complex spectrum in
// digit-reversed order, `Places` says where; `power_spectrum` untangles it.
#pragma once

#include <cmath>
#include <cstddef>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)  // the sanitizers' checks inlined everywhere would take the compiler many minutes
#define DISSENSUS_INLINE inline
#else
#define DISSENSUS_INLINE inline __attribute__((always_inline))
#endif

namespace dissensus::rfft {

// One spare complex number after every 16: strides of a power of two would fall into the same few sets of the L1 cache.
constexpr int place(int i) noexcept { return i + (i >> 4); }

template <class L>
struct Complex {
    typename L::V re, im;
};

template <class L>
DISSENSUS_INLINE Complex<L> operator+(Complex<L> a, Complex<L> b) noexcept { return {a.re + b.re, a.im + b.im}; }
template <class L>
DISSENSUS_INLINE Complex<L> operator-(Complex<L> a, Complex<L> b) noexcept { return {a.re - b.re, a.im - b.im}; }

// a * (c + i s)
template <class L>
DISSENSUS_INLINE Complex<L> turn(Complex<L> a, typename L::T c, typename L::T s) noexcept {
    const typename L::V cosine = L::all(c), sine = L::all(s);
    return {L::fma(-a.im, sine, a.re * cosine), L::fma(a.re, sine, a.im * cosine)};
}

template <class L>
DISSENSUS_INLINE Complex<L> minus_i(Complex<L> a) noexcept { return {a.im, -a.re}; }

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
struct Radices;
template <>
struct Radices<128> { static constexpr int first = 8, second = 16, third = 1; };
template <>
struct Radices<256> { static constexpr int first = 16, second = 16, third = 1; };
template <>
struct Radices<512> { static constexpr int first = 8, second = 8, third = 8; };
template <>
struct Radices<1024> { static constexpr int first = 8, second = 8, third = 16; };
template <>
struct Radices<2048> { static constexpr int first = 8, second = 16, third = 16; };

// Twiddle factors and places for N real samples: computed in double, once a process.
template <class T, int N>
struct Tables {
    static constexpr int M = N / 2;
    static constexpr int R1 = Radices<M>::first, R2 = Radices<M>::second, R3 = Radices<M>::third;
    static constexpr int N2 = M / R1;  // length after the first pass

    T first[N2 * (R1 - 1) * 2];
    T second[R3 > 1 ? R3 * (R2 - 1) * 2 : 1];
    T real[M + 2];  // exp(-2 pi i k / N), k = 0..M/2
    int where[M];       // place of output k

    Tables() noexcept {
        constexpr double tau = 6.283185307179586476925286766559;
        for (int n = 0; n < N2; ++n) {
            for (int k = 1; k < R1; ++k) {
                const double angle = -tau * n * k / M;
                first[(n * (R1 - 1) + k - 1) * 2] = static_cast<T>(std::cos(angle));
                first[(n * (R1 - 1) + k - 1) * 2 + 1] = static_cast<T>(std::sin(angle));
            }
        }
        if constexpr (R3 > 1) {
            for (int n = 0; n < R3; ++n) {
                for (int k = 1; k < R2; ++k) {
                    const double angle = -tau * n * k / N2;
                    second[(n * (R2 - 1) + k - 1) * 2] = static_cast<T>(std::cos(angle));
                    second[(n * (R2 - 1) + k - 1) * 2 + 1] = static_cast<T>(std::sin(angle));
                }
            }
        }
        for (int k = 0; k <= M / 2; ++k) {
            real[2 * k] = static_cast<T>(std::cos(-tau * k / N));
            real[2 * k + 1] = static_cast<T>(std::sin(-tau * k / N));
        }
        for (int k = 0; k < M; ++k) {
            const int k1 = k % R1, rest = k / R1;
            const int inner = R3 > 1 ? (rest % R2) * R3 + rest / R2 : rest;
            where[k] = 2 * place(k1 * N2 + inner);
        }
    }

    static const Tables& get() noexcept {
        static const Tables tables;
        return tables;
    }
};

// One pass of radix R over the sub-transform of length `Length` that starts at complex number `base`.
template <class L, int R, int Length, bool Twiddled>
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
            const Complex<L> y = Twiddled ? turn(x[j], twiddle[2 * j - 2], twiddle[2 * j - 1]) : x[j];
            at[j][0] = y.re;
            at[j][1] = y.im;
        }
        if constexpr (Twiddled) twiddle += 2 * (R - 1);
    }
}

// The complex FFT of length N/2, in place, outputs at Tables<N>::where.
template <class L, int N>
DISSENSUS_INLINE void transform(typename L::V* z, const Tables<typename L::T, N>& tables) noexcept {
    using T = Tables<typename L::T, N>;
    pass<L, T::R1, T::M, true>(z, 0, tables.first);
    for (int k1 = 0; k1 < T::R1; ++k1) {
        if constexpr (T::R3 > 1) {
            pass<L, T::R2, T::N2, true>(z, k1 * T::N2, tables.second);
            for (int k2 = 0; k2 < T::R2; ++k2) pass<L, T::R3, T::R3, false>(z, k1 * T::N2 + k2 * T::R3, nullptr);
        } else {
            pass<L, T::R2, T::N2, false>(z, k1 * T::N2, nullptr);
        }
    }
}

// |X|^2 (or |X|) of bins 0..N/2 from the packed complex spectrum, times 4 (or 2): halve the window to undo it.
template <class L, int N, bool Magnitude>
DISSENSUS_INLINE void power_spectrum(const typename L::V* z, const Tables<typename L::T, N>& tables, typename L::V* power) noexcept {
    using V = typename L::V;
    constexpr int M = N / 2;
    const V zero_re = z[0] + z[1], zero_im = z[0] - z[1];
    const V four = L::all(4), first = zero_re * zero_re * four, last = zero_im * zero_im * four;
    power[0] = Magnitude ? L::root(first) : first;
    power[M] = Magnitude ? L::root(last) : last;
    for (int k = 1; k <= M / 2; ++k) {
        const V* a = z + tables.where[k];
        const V* b = z + tables.where[M - k];
        const V even_re = a[0] + b[0], even_im = a[1] - b[1];
        const Complex<L> odd = turn(Complex<L>{a[1] + b[1], b[0] - a[0]}, tables.real[2 * k], tables.real[2 * k + 1]);
        const V up_re = even_re + odd.re, up_im = even_im + odd.im;
        const V down_re = even_re - odd.re, down_im = even_im - odd.im;
        const V up = L::fma(up_re, up_re, up_im * up_im), down = L::fma(down_re, down_re, down_im * down_im);
        power[k] = Magnitude ? L::root(up) : up;
        power[M - k] = Magnitude ? L::root(down) : down;
    }
}

}  // namespace dissensus::rfft

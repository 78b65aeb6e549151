// Linear members against sums in long double: lengths 0..67, guards behind every output, every instruction set.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "check.hpp"
#include "dissensus/members.hpp"

namespace {

using namespace dissensus::members;

constexpr double guard = -7.0;

bool near(double a, double b, double tolerance) { return std::abs(a - b) <= tolerance * (1.0 + std::abs(b)); }

template <class T>
void laying(std::int64_t windows, std::int64_t F) {
    std::vector<T> X(static_cast<std::size_t>(windows * F));
    for (auto& x : X) x = static_cast<T>(draw() + 50.0f);
    std::vector<double> mean(static_cast<std::size_t>(F)), inverse(mean.size());
    for (std::int64_t f = 0; f < F; ++f) {
        mean[static_cast<std::size_t>(f)] = 50.0 + 0.01 * static_cast<double>(f);
        inverse[static_cast<std::size_t>(f)] = 1.0 + static_cast<double>(f);
    }
    const std::int64_t panels = (windows + kPanelWindows - 1) / kPanelWindows;
    Guarded<float> out(panels * F * kPanelWindows), quick(quick_floats(F));
    const Scaling scaling{mean.data(), inverse.data(), quick_scaling(mean.data(), inverse.data(), F, quick.data())};
    CHECK(scaling.quick == quick.data() && quick.intact());
    CHECK(lay_panels(X.data(), windows, F, scaling, out.data()) == -1);
    CHECK(out.intact());
    for (std::int64_t t = 0; t < panels * kPanelWindows; ++t) {
        for (std::int64_t f = 0; f < F; ++f) {
            const auto at = static_cast<std::size_t>(f);
            const double wanted =
                t < windows ? (static_cast<double>(X[static_cast<std::size_t>(t * F + f)]) - mean[at]) * inverse[at]
                            : 0.0;
            CHECK(near(out[static_cast<std::size_t>((t / kPanelWindows * F + f) * kPanelWindows + t % kPanelWindows)],
                       wanted, 1e-6));
        }
    }
    if (windows > 3 && F > 0) {
        X[static_cast<std::size_t>((windows - 1) * F)] = static_cast<T>(INFINITY);
        X[static_cast<std::size_t>((windows - 2) * F + F - 1)] = static_cast<T>(NAN);
        CHECK(lay_panels(X.data(), windows, F, scaling, out.data()) == windows - 2);
    }
    inverse[0] = 1e38;
    CHECK(quick_scaling(mean.data(), inverse.data(), F, quick.data()) == nullptr);
}

void scoring(std::int64_t F, std::int64_t K) {
    const std::int64_t panels = 2, rows = K + 2;
    const FloatVector x = drawn(panels * F * kPanelWindows), a = drawn(K * F), b = drawn(K * F, 0.1f);
    std::vector<std::int64_t> column(static_cast<std::size_t>(K));
    for (std::int64_t k = 0; k < K; ++k) column[static_cast<std::size_t>(k)] = (k + 1) % rows;
    for (const bool bent : {false, true}) {
        Guarded<float> out(panels * rows * kPanelWindows);
        Guarded<float> turned_a(K * F), turned_b(K * F);
        by_feature(a.data(), K, F, turned_a.data());
        by_feature(b.data(), K, F, turned_b.data());
        CHECK(turned_a.intact() && turned_b.intact());
        const Weights weights{turned_a.data(), bent ? turned_b.data() : nullptr, K};
        const Soon soon = F % 2 ? Soon{} : Soon{x.data(), panels * F * kPanelWindows * 4};
        panel_scores(x.data(), panels, F, weights, column.data(), out.data(), rows, soon);
        CHECK(out.intact());
        for (std::int64_t p = 0; p < panels; ++p) {
            for (std::int64_t k = 0; k < K; ++k) {
                for (std::int64_t t = 0; t < kPanelWindows; ++t) {
                    long double wanted = 0;
                    for (std::int64_t f = 0; f < F; ++f) {
                        const long double v = x[static_cast<std::size_t>((p * F + f) * kPanelWindows + t)];
                        const auto at = static_cast<std::size_t>(k * F + f);
                        wanted += (a[at] + (bent ? b[at] * v : 0)) * v;
                    }
                    CHECK(near(out[static_cast<std::size_t>((p * rows + (k + 1) % rows) * kPanelWindows + t)],
                               static_cast<double>(wanted), 1e-5));
                }
            }
        }
    }
}

void voting(std::int64_t windows, std::int64_t C, std::int64_t skipped, float scale) {
    const std::int64_t n_softmax = 2, n_sigmoid = 3, M = 5, r = 3, given = C - skipped;
    const std::int64_t panels = (windows + kPanelWindows - 1) / kPanelWindows;
    const FloatVector bent = drawn(panels * n_softmax * given * kPanelWindows, scale),
                      straight = drawn(panels * n_sigmoid * C * kPanelWindows, scale);
    const FloatVector small = drawn(panels * r * kPanelWindows), move = drawn(n_sigmoid * C * r), offset = drawn(M * C);
    const std::vector<std::int64_t> start{0, windows / 3, windows / 3 + 1 < windows ? windows / 3 + 1 : windows,
                                          windows};
    std::vector<double> sums(static_cast<std::size_t>(M * 3 * C + 1), 0.0);
    sums.back() = guard;
    Guarded<float> scratch(votes_scratch(n_sigmoid, C));
    Guarded<float> turned(n_sigmoid * C * r);
    by_feature(move.data(), n_sigmoid * C, r, turned.data());
    const Held held{bent.data(), n_softmax * given, given, straight.data(), n_sigmoid * C, small.data(),
                    r,           turned.data(),     false};
    add_votes({0, windows, 0, 3, 0}, held, {offset.data(), M, n_softmax, C, start.data(), 3, sums.data()},
              scratch.data());
    CHECK(scratch.intact());
    CHECK(sums.back() == guard);
    std::vector<double> wanted(sums.size() - 1, 0.0);
    for (std::int64_t t = 0; t < windows; ++t) {
        const std::int64_t p = t / kPanelWindows, lane = t % kPanelWindows;
        const std::int64_t track = t < start[1] ? 0 : t < start[2] ? 1 : 2;
        for (std::int64_t m = 0; m < M; ++m) {
            std::vector<long double> proba(static_cast<std::size_t>(C));
            long double top = -INFINITY, total = 0;
            for (std::int64_t c = 0; c < C; ++c) {
                long double s = offset[static_cast<std::size_t>(m * C + c)];
                if (m < n_softmax) {
                    if (c >= skipped)
                        s += bent[static_cast<std::size_t>(
                            (p * n_softmax * given + m * given + c - skipped) * kPanelWindows + lane)];
                } else {
                    const std::int64_t k = (m - n_softmax) * C + c;
                    s += straight[static_cast<std::size_t>((p * n_sigmoid * C + k) * kPanelWindows + lane)];
                    for (std::int64_t i = 0; i < r; ++i) {
                        s += move[static_cast<std::size_t>(k * r + i)] *
                             small[static_cast<std::size_t>((p * r + i) * kPanelWindows + lane)];
                    }
                }
                proba[static_cast<std::size_t>(c)] = s;
                top = s > top ? s : top;
            }
            for (auto& s : proba) total += s = m < n_softmax ? std::exp(s - top) : 1 / (1 + std::exp(-s));
            for (std::int64_t c = 0; c < C; ++c) {
                wanted[static_cast<std::size_t>((m * 3 + track) * C + c)] +=
                    static_cast<double>(proba[static_cast<std::size_t>(c)] / total);
            }
        }
    }
    for (std::size_t i = 0; i < wanted.size(); ++i) CHECK(near(sums[i], wanted[i], 3e-6));
}

}  // namespace

int main() {
    on_every_instruction_set([=] {
        for (std::int64_t windows = 1; windows <= 67; ++windows) {
            for (const std::int64_t F : {1, 5, 16, 33}) {
                laying<float>(windows, F);
                laying<double>(windows, F);
            }
            for (const std::int64_t C : {2, 3, 4, 7}) {
                for (const float scale : {1.0f, 60.0f}) {
                    voting(windows, C, 0, scale);
                    voting(windows, C, 1, scale);
                }
            }
        }
        for (std::int64_t F = 1; F <= 67; ++F) {
            for (const std::int64_t K : {1, 2, 7, 13}) {
                scoring(F, K);
            }
        }
    });
    return outcome();
}

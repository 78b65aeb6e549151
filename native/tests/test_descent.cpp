// The descent of a listener's logistic weights against the gradient in double: it must vanish, in every instruction
// set, and nothing may be written behind what is handed over.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "check.hpp"
#include "dissensus/descent.hpp"

namespace {

using namespace dissensus::descent;

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

void projecting(std::int64_t n_rows, std::int64_t n_features, std::int64_t n_blocks) {
    const FloatVector X = drawn(9 * n_features), basis = drawn(n_blocks * n_features * kPanelRows);
    std::vector<std::int64_t> row(at(n_rows));
    for (std::int64_t n = 0; n < n_rows; ++n) row[at(n)] = (5 * n + 2) % 9;
    Guarded<float> out(n_blocks * kPanelRows * n_rows);
    project_rows({X.data(), row.data(), basis.data(), n_rows, n_features, n_blocks, out.data()});
    CHECK(out.intact());
    for (std::int64_t c = 0; c < n_blocks * kPanelRows; ++c) {
        for (std::int64_t n = 0; n < n_rows; ++n) {
            double sum = 0.0;
            for (std::int64_t f = 0; f < n_features; ++f) {
                sum += static_cast<double>(X[at(row[at(n)] * n_features + f)]) *
                       static_cast<double>(basis[at((c / kPanelRows * n_features + f) * kPanelRows + c % kPanelRows)]);
            }
            CHECK(std::abs(sum - static_cast<double>(out[at(c * n_rows + n)])) < 1e-4);
        }
    }
}

void descending(std::int64_t n_known, std::int64_t n_told, std::int64_t F, std::int64_t K, std::int64_t C) {
    const FloatVector by_weight_of_one = drawn(n_known * F), told = drawn((F + K) * n_told), start = drawn(K * n_known);
    FloatVector by_row(at(n_known * F)), by_weight(at(n_known * F)), target(at(K * n_known));
    const auto known = [&](std::int64_t n, std::int64_t f) { return by_weight_of_one[at(n * F + f)]; };
    for (std::int64_t n = 0; n < n_known; ++n) {
        for (std::int64_t f = 0; f < F; ++f) {
            by_row[at((n / kPanelRows * F + f) * kPanelRows + n % kPanelRows)] = known(n, f);
            by_weight[at((f / kPanelRows * n_known + n) * kPanelRows + f % kPanelRows)] = known(n, f);
        }
    }
    for (std::int64_t i = 0; i < K * n_known; ++i) target[at(i)] = static_cast<float>(sigmoid(start[at(i)]));
    std::vector<std::int64_t> label(at(n_told));
    for (std::int64_t n = 0; n < n_told; ++n) label[at(n)] = n * 7 % C;
    const FloatVector weight(at(n_known), 0.5f), share(at(n_told), 1.5f), penalty(at(F), 2.0f);
    const std::vector<double> metric(at(F * F), 0.0);  // a poor guess: the gradients must teach it
    Guarded<float> work(descent_scratch(n_known, n_told, F, K, C)), move(K * F);
    std::vector<double> room(at(F * F));
    const auto steps = anchored_descent({by_row.data(),
                                         by_weight.data(),
                                         start.data(),
                                         target.data(),
                                         weight.data(),
                                         told.data(),
                                         label.data(),
                                         share.data(),
                                         metric.data(),
                                         penalty.data(),
                                         n_known,
                                         n_told,
                                         F,
                                         K,
                                         C,
                                         1,
                                         0,
                                         300,
                                         1e-11f,
                                         work.data(),
                                         room.data(),
                                         move.data()});
    CHECK(steps > 0 && steps < 300);
    CHECK(work.intact() && move.intact());
    for (std::int64_t k = 0; k < K; ++k) {
        std::vector<double> gradient(at(F));
        for (std::int64_t f = 0; f < F; ++f) gradient[at(f)] = 2.0 * static_cast<double>(move[at(k * F + f)]);
        for (std::int64_t n = 0; n < n_known + n_told; ++n) {
            const bool old = n < n_known;
            const std::int64_t t = n - n_known;
            const auto x = [&](std::int64_t f) {
                return static_cast<double>(old ? known(n, f) : told[at(f * n_told + t)]);
            };
            double s = static_cast<double>(old ? start[at(k * n_known + n)] : told[at((F + k) * n_told + t)]);
            for (std::int64_t f = 0; f < F; ++f) s += static_cast<double>(move[at(k * F + f)]) * x(f);
            const double wanted =
                old ? static_cast<double>(target[at(k * n_known + n)]) : (label[at(t)] == k % C ? 1.0 : 0.0);
            for (std::int64_t f = 0; f < F; ++f) gradient[at(f)] += (old ? 0.5 : 1.5) * (sigmoid(s) - wanted) * x(f);
        }
        for (const double slope : gradient) CHECK(std::abs(slope) < 2e-3);
    }
}

}  // namespace

int main() {
    on_every_instruction_set([=] {
        for (const std::int64_t n : {0, 1, 6, 7, 13}) {
            projecting(n, 1, 1);
            projecting(n, 33, 2);
        }
        for (const std::int64_t told : {1, 31, 32, 67}) {
            descending(0, told, 32, 4, 4);
            descending(64, told, 32, 7, 3);
            descending(160, told, 64, 35, 5);
        }
    });
    return outcome();
}

// The query core against long double, on every instruction set of this machine: lengths 0..67, guards after every
// output.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "check.hpp"
#include "dissensus/entropy.hpp"
#include "dissensus/measures.hpp"
#include "dissensus/state.hpp"
#include "dissensus/topk.hpp"
#include "dissensus/votes.hpp"

using namespace dissensus::query;

namespace {

std::uint64_t seed = 88172645463325252ull;
double uniform() {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return double(seed >> 11) / 9007199254740992.0;
}

template <class T>
std::vector<T> committee(std::int64_t m, std::int64_t n, std::int64_t c) {
    std::vector<T> rows(at(m * n * c));
    for (std::int64_t r = 0; r < m * n; ++r) {
        double total = 0;
        std::vector<double> row(at(c));
        for (double& p : row) total += p = uniform() < 0.2 ? 0.0 : std::pow(uniform(), 3.0);
        if (total == 0) total = row[0] = 1;
        for (std::int64_t k = 0; k < c; ++k) rows[at(r * c + k)] = T(row[at(k)] / total);
    }
    return rows;
}

long double exact(Measure measure, const Rows<float>& rows, const double* weight, std::int64_t i) {
    const std::int64_t c = rows.n_classes;
    std::vector<long double> mean(at(c), 0.0L), scaled(at(c), 0.0L);
    long double all = 0, kl = 0;
    for (std::int64_t m = 0; m < rows.n_members; ++m) all += weight[m];
    for (std::int64_t m = 0; m < rows.n_members; ++m) {
        const float* row = rows.data + m * rows.member_stride + i * c;
        long double sum = 0;
        for (std::int64_t k = 0; k < c; ++k) sum += row[k];
        for (std::int64_t k = 0; k < c; ++k) {
            mean[at(k)] += weight[m] / all * row[k];
            scaled[at(k)] += weight[m] / all * row[k] / sum;
            const long double p = row[k] / sum;
            if (p > 0) kl += weight[m] / all * p * std::log(p);
        }
    }
    long double sum = 0, entropy = 0, first = 0, second = 0;
    for (long double p : mean) sum += p;
    for (long double p : mean) {
        p /= sum;
        if (p > 0) entropy -= p * std::log(p);
        if (p > first) {
            second = first;
            first = p;
        } else if (p > second) {
            second = p;
        }
    }
    if (measure == Measure::margin) return c == 1 ? 1 - first : 1 - (first - second);
    if (measure == Measure::consensus_entropy) return entropy;
    for (long double p : scaled) {
        if (p > 0) kl -= p * std::log(p);
    }
    return kl;
}

void test_utilities(std::int64_t m, std::int64_t n, std::int64_t c) {
    const auto values = committee<float>(m, n, c);
    std::vector<double> weight(at(m));
    for (double& w : weight) w = 0.1 + uniform();
    const std::vector<double> wide(values.begin(), values.end());
    const Rows<float> rows{values.data(), n * c, m, c};
    const Rows<double> rows64{wide.data(), n * c, m, c};
    for (const Measure measure : {Measure::consensus_entropy, Measure::mean_kl, Measure::margin}) {
        Guarded<float> out(n), out64(n);
        utility(measure, rows, weight.data(), 0, n, out.data());
        utility(measure, rows64, weight.data(), 0, n, out64.data());
        CHECK(out.intact() && out64.intact());
        std::vector<double> mean(at(c));
        for (std::int64_t i = 0; i < n; ++i) {
            const long double truth = exact(measure, rows, weight.data(), i);
            CHECK(std::fabs(out[i] - truth) < 1e-5L);
            CHECK(std::fabs(out64[i] - truth) < 1e-5L);
            CHECK(std::fabs(score_track(measure, rows, weight.data(), i, mean.data()) - truth) < 1e-13L * (8 + m));
        }
        const std::int64_t k = n < 5 ? n : 5;
        Guarded<std::int64_t> index(k);
        Guarded<double> score(k);
        const std::int64_t bad[] = {1, 3};
        const std::int64_t found =
            query_top(measure, rows, weight.data(), Excluded{bad, 2}, 0, n, k, index.data(), score.data());
        CHECK(index.intact() && score.intact());
        CHECK(found <= k);
        for (std::int64_t j = 0; j < found; ++j) {
            CHECK(index[j] != 1 && index[j] != 3 && index[j] >= 0 && index[j] < n);
            if (j > 0) CHECK(score[j - 1] > score[j] || (score[j - 1] == score[j] && index[j - 1] < index[j]));
        }
        for (std::int64_t i = 0; found == k && k > 0 && i < n; ++i) {  // nobody better was left out
            bool taken = i == 1 || i == 3;
            for (std::int64_t j = 0; j < found; ++j) taken = taken || index[j] == i;
            if (!taken) CHECK(score_track(measure, rows, weight.data(), i, mean.data()) <= score[found - 1]);
        }
    }
}

void test_votes(std::int64_t m, std::int64_t n, std::int64_t c) {
    std::vector<std::uint8_t> votes(at(m * n));
    for (std::uint8_t& vote : votes) vote = static_cast<std::uint8_t>(uniform() * double(c));
    const Votes from{votes.data(), n, m, c};
    Guarded<float> out(n);
    CHECK(vote_entropy(from, 0, n, out.data()) == 0);
    CHECK(out.intact());
    for (std::int64_t i = 0; i < n; ++i) {
        std::vector<long double> counts(at(c), 0.0L);
        for (std::int64_t k = 0; k < m; ++k) counts[votes[at(k * n + i)]] += 1;
        long double truth = 0;
        for (long double count : counts) {
            if (count > 0) truth -= count / m * std::log(count / m);
        }
        CHECK(std::fabs(out[i] - truth) < 1e-6L);
    }
    Guarded<std::int64_t> index(4);
    Guarded<double> score(4);
    const std::int64_t found = vote_top(from, Excluded{}, 0, n, 4, index.data(), score.data());
    CHECK(found == (n < 4 ? n : 4));
    CHECK(index.intact() && score.intact());
    if (n > 0) {
        for (const std::int64_t bad : {c, c + 1, std::int64_t(16), std::int64_t(64), std::int64_t(255)}) {
            if (bad < c || bad > 255) continue;
            for (const std::int64_t i : {n - 1, n / 2}) {
                std::uint8_t& vote = votes[at((m - 1 - i % m) * n + i)];
                const std::uint8_t good = vote;
                vote = static_cast<std::uint8_t>(bad);
                Guarded<float> spoiled(n);
                CHECK(vote_entropy(from, 0, n, spoiled.data()) == 1);
                CHECK(spoiled.intact());
                CHECK(std::isnan(spoiled[i]));
                for (std::int64_t j = 0; j < n; ++j) CHECK(j == i || spoiled[j] == out[j]);
                CHECK(vote_top(from, Excluded{}, 0, n, 4, index.data(), score.data()) == -1);
                vote = good;
            }
        }
    }
}

void test_state(std::int64_t m, std::int64_t n, std::int64_t c) {
    const auto values = committee<float>(m, n, c), others = committee<float>(m, n, c);
    const std::vector<double> weight(at(m), 1.0);
    const double factor = kShareUnit / double(m);
    Guarded<std::int32_t> total(n * c), again(n * c);
    Guarded<std::uint16_t> odd(n);
    Guarded<float> held(m * n * c), out(n), ceiling((n + kCeilingTracks - 1) / kCeilingTracks * 2);
    for (std::int64_t j = 0; j < n * c; ++j) total[j] = again[j] = 0;
    for (std::int64_t i = 0; i < n; ++i) odd[i] = 0;
    const auto give = [&](Guarded<std::int32_t>& to, const std::vector<float>& rows, std::int64_t k, bool first) {
        replace_share(Totals{n, to.data(), odd.data(), ceiling.data()}, held.data() + k * n * c,
                      rows.data() + k * n * c, first, factor, c, 0, n);
    };
    for (std::int64_t k = m - 1; k >= 0; --k) give(again, values, k, true);
    for (std::int64_t k = 0; k < m; ++k) give(total, others, k, true);
    refresh_ceilings(Totals{n, total.data(), odd.data(), ceiling.data()}, c, 0, n);
    for (std::int64_t k = 0; k < m; ++k) give(total, values, k, false);
    for (std::int64_t j = 0; j < n * c; ++j) CHECK(total[j] == again[j]);
    const Rows<float> rows{held.data(), n * c, m, c};
    const Totals totals{n, total.data(), odd.data(), ceiling.data()};
    state_utility(Measure::consensus_entropy, totals, rows, weight.data(), 0, n, out.data());
    CHECK(total.intact() && again.intact() && odd.intact() && held.intact() && out.intact() && ceiling.intact());
    for (std::int64_t i = 0; i < n; ++i) {
        CHECK(std::fabs(out[i] - exact(Measure::consensus_entropy, rows, weight.data(), i)) < 1e-5L);
    }
    Guarded<std::int64_t> index(3), index0(3);
    Guarded<double> score(3), score0(3);
    const auto a = state_top(Measure::consensus_entropy, totals, rows, weight.data(), Excluded{}, 0, n, 3, index.data(),
                             score.data());
    const auto b =
        query_top(Measure::consensus_entropy, rows, weight.data(), Excluded{}, 0, n, 3, index0.data(), score0.data());
    CHECK(a == b);
    for (std::int64_t j = 0; j < a; ++j) CHECK(index[j] == index0[j] && score[j] == score0[j]);
    CHECK(index.intact() && score.intact());
}

void test_top_k(std::int64_t n) {
    std::vector<float> values(at(n));
    for (float& value : values) value = uniform() < 0.1 ? std::nanf("") : float(int(uniform() * 5));
    for (std::int64_t k = 0; k <= n + 2; k += 3) {
        Guarded<std::int64_t> index(k);
        Guarded<double> score(k);
        const std::int64_t found = top_k(values.data(), n, Excluded{}, k, index.data(), score.data());
        CHECK(found == (k < n ? k : n));
        CHECK(index.intact() && score.intact());
        for (std::int64_t j = 1; j < found; ++j) {
            const float a = values[at(index[j - 1])], b = values[at(index[j])];
            CHECK(a > b || (a == b && index[j - 1] < index[j]) ||
                  (std::isnan(b) && (!std::isnan(a) || index[j - 1] < index[j])));
        }
    }
}

void test_log() {
    for (std::uint32_t exponent = 0; exponent < 255; ++exponent) {
        const std::int64_t n = 67;
        std::vector<float> x(at(n));
        for (std::int64_t i = 0; i < n; ++i) {
            const std::uint32_t bits = (exponent << 23) | (i == 0   ? 1u
                                                           : i == 1 ? 0x7FFFFFu
                                                                    : std::uint32_t(uniform() * 8388607.0) + 1);
            std::memcpy(&x[at(i)], &bits, 4);
        }
        Guarded<float> out(n);
        log_into(x.data(), n, out.data());
        CHECK(out.intact());
        for (std::int64_t i = 0; i < n; ++i) {
            const long double truth = std::log(static_cast<long double>(x[at(i)]));
            const float rounded = std::fabs(float(truth));
            const long double unit = std::nextafterf(rounded, INFINITY) - rounded;
            CHECK(std::fabs(out[i] - truth) <= 2 * unit);
        }
    }
}

}  // namespace

int main() {
    on_every_instruction_set([] {
        test_log();
        for (std::int64_t n = 0; n <= 67; ++n) {
            test_utilities(1 + n % 9, n, 4);
            test_utilities(5, n, 1 + n % 12);
            test_utilities(3, n, 13 + n % 24);
            test_votes(1 + n % 40, n, 1 + n % 9);
            test_state(1 + n % 9, n, 1 + n % 6);
            test_top_k(n);
        }
        test_utilities(3, 2500, 4);
        for (const std::int64_t c : {2, 3, 5, 6, 7, 8, 9, 16, 28}) test_utilities(20, 300, c);
        test_utilities(40, 100, 28);
        test_utilities(300, 20, 5);
        test_utilities(64, 90, 64);
        test_utilities(3, 37, 256);
        test_utilities(3, 37, 257);
        test_votes(20, 2500, 4);
        for (std::int64_t c = 1; c <= 9; ++c) {
            for (const std::int64_t m : {1, 2, 14, 15, 16, 31, 32}) test_votes(m, 150, c);
        }
        test_votes(300, 1100, 255);
        test_state(20, 2500, 4);
        for (const std::int64_t c : {1, 2, 3, 7, 9, 15, 16, 17, 31, 64, 300}) test_state(3, 290, c);
        test_top_k(2500);
    });
    return outcome();
}

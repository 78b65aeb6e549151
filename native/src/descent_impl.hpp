// Included once by members_impl.hpp, for every instruction set: a listener's logistic weights, descended from the pre-trained ones.
#pragma once

namespace dissensus {
namespace {

void products(const float* panels, std::int64_t n_lanes, std::int64_t n_features, const float* rows, std::int64_t n_rows,
              float* out) noexcept {
    const Weights weights{rows, nullptr, n_rows};
    for (std::int64_t lane = 0; lane < n_lanes; lane += kLanes) {
        one_panel(panels + lane * n_features, n_features, weights, [=](std::int64_t k) { return k * n_lanes; }, out + lane);
    }
}

std::int64_t bound(const Bound& job) noexcept {
    const std::int64_t size = job.n_models * job.n_weights;
    float *ahead = job.work, *gradient = ahead + size, *step = gradient + size, *momentum = step + size;
    for (std::int64_t i = 0; i < size; ++i) ahead[i] = job.move[i];
    for (std::int64_t k = 0; k < job.n_models; ++k) momentum[k] = 1.0f;
    for (std::int64_t count = 0; count < job.max_steps; ++count) {
        products(job.by_row, job.n_rows, job.n_weights, ahead, job.n_models, job.score);
        for (std::int64_t k = 0; k < job.n_models; ++k) {
            const std::int64_t at = k * job.n_rows;
            for (std::int64_t n = 0; n < job.n_rows; n += kWide) {
                const Wide x = load(job.score + at + n) + load(job.start + at + n);
                const Wide p = reciprocal(1.0f + exponential(-x));
                store(job.score + at + n, load(job.weight + n) * (p - load(job.target + at + n)));
            }
        }
        products(job.by_weight, job.n_weights, job.n_rows, job.score, job.n_models, gradient);
        for (std::int64_t k = 0; k < job.n_models; ++k) {
            const std::int64_t at = k * job.n_weights;
            for (std::int64_t f = 0; f < job.n_weights; f += kWide) {
                store(gradient + at + f, load(gradient + at + f) + load(job.penalty + f) * load(ahead + at + f));
            }
        }
        products(job.inverse, job.n_weights, job.n_weights, gradient, job.n_models, step);
        Wide largest = {};
        for (std::int64_t k = 0; k < job.n_models; ++k) {
            float *from = ahead + k * job.n_weights, *move = job.move + k * job.n_weights;
            const float* down = step + k * job.n_weights;
            Wide uphill = {};
            for (std::int64_t f = 0; f < job.n_weights; f += kWide) {
                uphill = multiply_add(load(down + f), load(from + f) - load(down + f) - load(move + f), uphill);
            }
            float sum = 0.0f;
            for (int i = 0; i < kWide; ++i) sum += uphill[i];
            const float before = momentum[k];
            momentum[k] = sum > 0.0f ? 1.0f : 0.5f * (1.0f + __builtin_sqrtf(1.0f + 4.0f * before * before));
            const Wide carry = all(sum > 0.0f ? 0.0f : (before - 1.0f) / momentum[k]);
            for (std::int64_t f = 0; f < job.n_weights; f += kWide) {
                const Wide to = load(from + f) - load(down + f), change = to - load(move + f);
                largest = larger(larger(change, -change), largest);
                store(from + f, multiply_add(carry, change, to));
                store(move + f, to);
            }
        }
        float most = 0.0f;
        for (int i = 0; i < kWide; ++i) most = largest[i] > most ? largest[i] : most;
        if (most < job.tol) return count + 1;
    }
    return job.max_steps;
}

}  // namespace
}  // namespace dissensus

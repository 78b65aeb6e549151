// Included once by every file that is compiled for an instruction set; everything has internal linkage, so that the
// linker cannot hand one file's wide code to another.
#pragma once

#include <cstdint>

#include "descent/products_impl.hpp"
#include "descent/table.hpp"
#include "dissensus/descent.hpp"
#include "dissensus/paths.hpp"
#include "simd/lanes.hpp"

namespace dissensus::descent {
namespace {

using namespace simd;

constexpr int kTrials = 40;           // of a step's length; each is at most two thirds of the one before
constexpr float kCurvature = 0.125f;  // what is assumed of an answer at first: half of the most there is

// How many of n models to take at once, so that no group of them is small.
DISSENSUS_INLINE std::int64_t fair_share(std::int64_t n) noexcept {
    const std::int64_t groups = (n + kModels - 1) / kModels;
    return (n + groups - 1) / groups;
}

// The inverse of a positive definite matrix, in its place; n is a multiple of 32.
void invert(double* a, std::int64_t n) noexcept {
    const auto at = [](double* from) -> LooseDoublePairs& { return *reinterpret_cast<LooseDoublePairs*>(from); };
    for (std::int64_t j = 0; j < n; ++j) {
        double* pivot = a + j * n;
        const double scale = 1.0 / pivot[j];
        for (std::int64_t c = 0; c < n; c += kLanes) at(pivot + c) *= scale;
        pivot[j] = scale;
        for (std::int64_t i = 0; i < n; ++i) {
            if (i == j) continue;
            double* row = a + i * n;
            const double factor = row[j];
            for (std::int64_t c = 0; c < n; c += kLanes) at(row + c) -= factor * at(pivot + c);
            row[j] = -factor * scale;  // after the vectors: a load of what was just stored in part would wait
        }
    }
}

// A symmetric matrix times a vector.
DISSENSUS_INLINE void apply(const float* matrix, const float* by, std::int64_t n, float* out) noexcept {
    for (std::int64_t c = 0; c < n; c += kLanes) {
        Floats sum[2] = {};
        for (std::int64_t i = 0; i < n; i += 2) {
            sum[0] = multiply_add(all(by[i]), load(matrix + i * n + c), sum[0]);
            sum[1] = multiply_add(all(by[i + 1]), load(matrix + (i + 1) * n + c), sum[1]);
        }
        store(out + c, sum[0] + sum[1]);
    }
}

// Everything the descent keeps, laid into its scratch.
struct Desk {
    const Descent& job;
    std::int64_t told, rows, F;
    float *by_row, *by_weight;      // the answers: (told / 32, F, 32) and (F / 32, told, 32)
    float *weight, *target;         // (told,), (n_classes, told)
    float* score;                   // (n_models, rows)
    float *gradient, *next, *step;  // (n_models, F) each
    float* inverse;                 // (n_models, F, F)
    float *spare, *few;             // (4, F), (kModels, told)

    explicit Desk(const Descent& j) noexcept
        : job(j), told((j.n_told + kPad - 1) / kPad * kPad), rows(j.n_known + told), F(j.n_weights) {
        float* at = job.work;
        const auto take = [&at](std::int64_t n) {
            float* from = at;
            at += n;
            return from;
        };
        by_row = take(told * F);
        by_weight = take(told * F);
        weight = take(told);
        target = take(job.n_classes * told);
        score = take(job.n_models * rows);
        gradient = take(job.n_models * F);
        next = take(job.n_models * F);
        step = take(job.n_models * F);
        inverse = take(job.n_models * F * F);
        spare = take(4 * F);
        few = take(kModels * told);
    }

    // The answers in panels, filled up with rows that weigh nothing, and where the models start.
    void lay() const noexcept {
        for (std::int64_t n = 0; n < told; ++n) {
            const bool real = n < job.n_told;
            weight[n] = real ? job.told_weight[n] : 0.0f;
            for (std::int64_t c = 0; c < job.n_classes; ++c)
                target[c * told + n] = real && job.label[n] == c ? 1.0f : 0.0f;
        }
        for (std::int64_t n = 0; n < told; n += kPad) {
            const std::int64_t count = least(kPad, job.n_told - n);
            for (std::int64_t f = 0; f < F; ++f) {
                const float* from = job.told + f * job.n_told + n;
                float *row = by_row + n * F + f * kPad, *column = by_weight + (f / kPad * told + n) * kPad + f % kPad;
                for (std::int64_t i = 0; i < count; ++i) {
                    row[i] = from[i];
                    column[i * kPad] = from[i];
                }
                for (std::int64_t i = count; i < kPad; ++i) row[i] = column[i * kPad] = 0.0f;
            }
        }
        for (std::int64_t k = 0; k < job.n_models; ++k) {
            float* to = score + k * rows;
            for (std::int64_t n = 0; n < job.n_known; ++n) to[n] = job.known_start[k * job.n_known + n];
            to += job.n_known;
            const float* from = job.told + (F + job.first + k) * job.n_told;
            for (std::int64_t n = 0; n < job.n_told; ++n) to[n] = from[n];
            for (std::int64_t n = job.n_told; n < told; ++n) to[n] = 0.0f;
        }
    }

    // Sums over rows of n errors times all weights, added to out.
    void sum_up(const float* panels, std::int64_t n_rows, const float* const* errors, std::int64_t n,
                float* const* out) const noexcept {
        for (std::int64_t row = 0; row < n_rows; row += kRun) {
            for (std::int64_t f = 0; f < F; f += kPad) {
                for (std::int64_t i = 0, count = 0; i < n; i += count) {
                    count = fair_share(n - i);
                    const float* from[kModels];
                    float* to[kModels];
                    for (std::int64_t r = 0; r < count; ++r) {
                        from[r] = errors[i + r] + row;
                        to[r] = out[i + r] + f;
                    }
                    products<true>(panels + (f * n_rows + row * kPad), least(kRun, n_rows - row), from, count, to);
                }
            }
        }
    }

    // The first guess of the inverse curvature: exact for what is known, roughly for the answers.
    void guess() const noexcept {
        float* curvature = inverse + (job.n_models - 1) * F * F;  // until its own is written, which is last
        for (std::int64_t i = 0; i < F * F; ++i) curvature[i] = 0.0f;
        for (std::int64_t f = 0; f < F; f += kModels) {
            const std::int64_t count = least(kModels, F - f);
            const float* errors[kModels];
            float* out[kModels];
            for (std::int64_t r = 0; r < count; ++r) {
                const float* from = job.told + (f + r) * job.n_told;
                float* to = few + r * told;
                for (std::int64_t n = 0; n < job.n_told; ++n) to[n] = kCurvature * weight[n] * from[n];
                for (std::int64_t n = job.n_told; n < told; ++n) to[n] = 0.0f;
                errors[r] = to;
                out[r] = curvature + (f + r) * F;
            }
            sum_up(by_weight, told, errors, count, out);
        }
        for (std::int64_t k = 0; k < job.n_models; ++k) {
            float* mine = inverse + k * F * F;
            if (k >= job.n_metrics) {
                const float* same = inverse + (k - job.n_metrics) * F * F;
                for (std::int64_t i = 0; i < F * F; ++i) mine[i] = same[i];
                continue;
            }
            const double* metric = job.metric + (job.first + k) % job.n_metrics * F * F;
            for (std::int64_t i = 0; i < F * F; ++i) job.room[i] = metric[i] + static_cast<double>(curvature[i]);
            for (std::int64_t f = 0; f < F; ++f) job.room[f * F + f] += static_cast<double>(job.penalty[f]);
            invert(job.room, F);
            for (std::int64_t i = 0; i < F * F; ++i) mine[i] = static_cast<float>(job.room[i]);
        }
    }

    // Move the scores of some models as `far` of their steps say, and take the gradients there, without the penalty.
    // Some rows at a time, so that what is worked on stays in the first cache.
    void advance(const std::int64_t* models, const float* far, std::int64_t n) const noexcept {
        for (std::int64_t i = 0; i < n; ++i) clear(models[i]);
        over<true>(job.known_by_row, job.known_by_weight, job.n_known, 0, models, far, n);
        over<true>(by_row, by_weight, told, job.n_known, models, far, n);
    }

    // Gradients where nothing moved yet: what is known agrees with where the models start.
    void begin(const std::int64_t* models, std::int64_t n) const noexcept {
        for (std::int64_t i = 0; i < n; ++i) clear(models[i]);
        over<false>(by_row, by_weight, told, job.n_known, models, nullptr, n);
    }

    void clear(std::int64_t k) const noexcept {
        for (std::int64_t f = 0; f < F; ++f) next[k * F + f] = 0.0f;
    }

    template <bool kMove>
    void over(const float* rows_of, const float* weights_of, std::int64_t n_rows, std::int64_t place,
              const std::int64_t* models, const float* far, std::int64_t n) const noexcept {
        float tile[kModels][kRun];  // what a whole step adds to the scores, then weighted errors
        for (std::int64_t row = 0; row < n_rows; row += kRun) {
            const std::int64_t length = least(kRun, n_rows - row);
            for (std::int64_t i = 0, count = 0; i < n; i += count) {
                count = fair_share(n - i);
                const float *by[kModels], *errors[kModels];
                float* to[kModels];
                for (std::int64_t r = 0; r < count; ++r) {
                    by[r] = step + models[i + r] * F;
                    errors[r] = tile[r];
                }
                for (std::int64_t p = 0; kMove && p < length; p += kPad) {
                    for (std::int64_t r = 0; r < count; ++r) to[r] = tile[r] + p;
                    products<false>(rows_of + (row + p) * F, F, by, count, to);
                }
                for (std::int64_t r = 0; r < count; ++r) {
                    const std::int64_t k = models[i + r];
                    const bool known = place == 0 && job.n_known > 0;
                    weigh<kMove>(score + k * rows + place + row, known ? job.known_weight + row : weight + row,
                                 known ? job.known_target + k * job.n_known + row
                                       : target + (job.first + k) % job.n_classes * told + row,
                                 length, kMove ? far[i + r] : 0.0f, tile[r]);
                }
                for (std::int64_t f = 0; f < F; f += kPad) {
                    for (std::int64_t r = 0; r < count; ++r) to[r] = next + models[i + r] * F + f;
                    products<true>(weights_of + (f * n_rows + row * kPad), length, errors, count, to);
                }
            }
        }
    }

    // Scores once they went `far` of the way, and their weighted errors in the place of that way.
    template <bool kMove>
    static void weigh(float* at, const float* share, const float* wanted, std::int64_t n, float far,
                      float* way) noexcept {
        for (std::int64_t i = 0; i < n; i += kLanes) {
            Floats x = load(at + i);
            if constexpr (kMove) {
                x = multiply_add(all(far), load(way + i), x);
                store(at + i, x);
            }
            store(way + i, load(share + i) * (sigmoid(x) - load(wanted + i)));
        }
    }

    // Go `far` times the step of model k, and learn from what it did to the gradient (Broyden, Fletcher, Goldfarb,
    // Shanno).
    void learn(std::int64_t k, float far) const noexcept {
        float *s = step + k * F, *g = gradient + k * F, *d = job.move + k * F, *b = inverse + k * F * F;
        float *y = spare, *by = spare + F, *u = spare + 2 * F, *v = spare + 3 * F;
        for (std::int64_t f = 0; f < F; ++f) {
            s[f] *= far;
            d[f] += s[f];
            y[f] = next[k * F + f] - g[f];
            g[f] = next[k * F + f];
        }
        const float curved = dot(s, y, F);
        if (!(curved > 1e-30f)) return;
        apply(b, y, F, by);
        const float share = 1.0f / curved, both = (1.0f + dot(y, by, F) * share) * share;
        for (std::int64_t f = 0; f < F; ++f) {
            u[f] = both * s[f] - share * by[f];
            v[f] = share * s[f];
        }
        for (std::int64_t i = 0; i < F; ++i) {
            const Floats si = all(s[i]), bi = all(-by[i]);
            for (std::int64_t c = 0; c < F; c += kLanes) {
                store(b + i * F + c, multiply_add(bi, load(v + c), multiply_add(si, load(u + c), load(b + i * F + c))));
            }
        }
    }
};

std::int64_t descend(const Descent& job) noexcept {
    const Desk desk(job);
    const std::int64_t F = job.n_weights, K = job.n_models;
    float total = 0.0f;
    for (std::int64_t n = 0; n < job.n_known; ++n) total += job.known_weight[n];
    for (std::int64_t n = 0; n < job.n_told; ++n) total += job.told_weight[n];
    desk.lay();
    desk.guess();
    std::int64_t last = 0, shortened = 0;
    for (std::int64_t begin = 0; begin < K; begin += kPad) {  // so many at once as lists on the stack hold
        std::int64_t active[kPad], pending[kPad], n_active = least(kPad, K - begin);
        float slope[kPad], far[kPad], way[kPad];  // of model begin + i; the last of the i-th pending one
        for (std::int64_t i = 0; i < n_active; ++i) active[i] = begin + i;
        desk.begin(active, n_active);
        for (std::int64_t i = begin * F; i < (begin + n_active) * F; ++i) {
            desk.gradient[i] = desk.next[i];
            job.move[i] = 0.0f;
        }
        for (std::int64_t count = 1; count <= job.max_steps && n_active > 0; ++count) {
            last = count > last ? count : last;
            std::int64_t left = 0;
            for (std::int64_t i = 0; i < n_active; ++i) {
                const std::int64_t k = active[i];
                float *s = desk.step + k * F, *g = desk.gradient + k * F;
                apply(desk.inverse + k * F * F, g, F, s);
                for (std::int64_t f = 0; f < F; ++f) s[f] = -s[f];
                const float down = -dot(g, s, F);
                if (down > job.tol * total) {
                    slope[k - begin] = down;
                    far[k - begin] = way[left] = 1.0f;
                    active[left] = pending[left] = k;
                    ++left;
                } else if (down > 0.0f) {  // so near that this step needs no look at where it leads
                    for (std::int64_t f = 0; f < F; ++f) job.move[k * F + f] += s[f];
                }
            }
            n_active = left;
            for (int trial = 0; left > 0; ++trial) {
                desk.advance(pending, way, left);
                std::int64_t again = 0;
                for (std::int64_t i = 0; i < left; ++i) {
                    const std::int64_t k = pending[i], at = k * F;
                    for (std::int64_t f = 0; f < F; ++f) {
                        desk.next[at + f] += job.penalty[f] * (job.move[at + f] + far[k - begin] * desk.step[at + f]);
                    }
                    const float up = dot(desk.next + at, desk.step + at, F), down = slope[k - begin];
                    if (!(up > 0.5f * down) || trial == kTrials) continue;
                    const float shorter =
                        far[k - begin] * down / (down + up);  // where the slope is none, were it straight
                    way[again] = shorter - far[k - begin];
                    far[k - begin] = shorter;
                    pending[again++] = k;
                }
                left = again;
                shortened += again;
            }
            for (std::int64_t i = 0; i < n_active; ++i) desk.learn(active[i], far[active[i] - begin]);
        }
    }
    paths::taken(paths::Path::descent_steps_shortened, shortened);
    return last;
}

}  // namespace

// NOLINTNEXTLINE(misc-definitions-in-headers): one file per instruction set includes this.
const Table DISSENSUS_ISA = {project, descend};

}  // namespace dissensus::descent

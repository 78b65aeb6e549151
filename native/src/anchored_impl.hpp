// Included once by every file that is compiled for an instruction set; everything has internal linkage, so that the linker
// cannot hand one file's wide code to another.
#include "products_impl.hpp"

namespace dissensus {
namespace {

constexpr int kTrials = 40;         // of a step's length; each is at most two thirds of the one before
constexpr float kCurvature = 0.125f;  // what is assumed of an answer at first: half of the most there is

// The inverse of a positive definite matrix, in its place; n is a multiple of 32.
void invert(double* a, std::int64_t n) noexcept {
    const auto at = [](double* from) -> LooseDoubles& { return *reinterpret_cast<LooseDoubles*>(from); };
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
    float *by_row, *by_weight;       // the answers: (told / 32, F, 32) and (F / 32, told, 32)
    float *weight, *target;          // (told,), (n_classes, told)
    float *score, *ahead, *error;    // (n_models, rows) each: scores, what a whole step adds, weighted errors
    float *gradient, *next, *step;   // (n_models, F) each
    float* inverse;                  // (n_models, F, F)
    float *spare, *few;              // (4, F), (kModels, told)

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
        ahead = take(job.n_models * rows);
        error = take(job.n_models * rows);
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
            for (std::int64_t c = 0; c < job.n_classes; ++c) target[c * told + n] = real && job.label[n] == c ? 1.0f : 0.0f;
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
                for (std::int64_t i = 0; i < n; i += kModels) {
                    const std::int64_t count = least(kModels, n - i);
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

    // Errors of model k once its scores went `far` of the way ahead.
    void weigh(std::int64_t k, float far) const noexcept {
        float* at = score + k * rows;
        const float *by = ahead + k * rows, *known = job.known_target + k * job.n_known;
        float* to = error + k * rows;
        for (std::int64_t n = 0; n < job.n_known; n += kLanes) {
            const Floats x = multiply_add(all(far), load(by + n), load(at + n));
            store(at + n, x);
            store(to + n, load(job.known_weight + n) * (sigmoid(x) - load(known + n)));
        }
        weigh_told(k, far);
    }

    void weigh_told(std::int64_t k, float far) const noexcept {
        float* at = score + k * rows + job.n_known;
        const float *by = ahead + k * rows + job.n_known, *mine = target + (job.first + k) % job.n_classes * told;
        float* to = error + k * rows + job.n_known;
        for (std::int64_t n = 0; n < told; n += kLanes) {
            Floats x = load(at + n);
            if (far != 0.0f) {
                x = multiply_add(all(far), load(by + n), x);
                store(at + n, x);
            }
            store(to + n, load(weight + n) * (sigmoid(x) - load(mine + n)));
        }
    }

    // Gradients of some models' losses, without the penalty; of the answers alone where nothing moved yet.
    void differentiate(const std::int64_t* models, std::int64_t n, bool all_rows) const noexcept {
        const float *known[kPad], *answers[kPad];
        float* out[kPad];
        for (std::int64_t i = 0; i < n; ++i) {
            known[i] = error + models[i] * rows;
            answers[i] = known[i] + job.n_known;
            out[i] = next + models[i] * F;
            for (std::int64_t f = 0; f < F; ++f) out[i][f] = 0.0f;
        }
        if (all_rows) sum_up(job.known_by_weight, job.n_known, known, n, out);
        sum_up(by_weight, told, answers, n, out);
    }

    // What a whole step adds to the scores of some models.
    void look_ahead(const std::int64_t* models, std::int64_t n) const noexcept {
        for (std::int64_t i = 0; i < n; i += kModels) {
            const std::int64_t count = least(kModels, n - i);
            const float* by[kModels];
            float* out[kModels];
            for (std::int64_t r = 0; r < count; ++r) by[r] = step + models[i + r] * F;
            for (std::int64_t row = 0; row < rows; row += kPad) {
                const float* panel = row < job.n_known ? job.known_by_row + row * F : by_row + (row - job.n_known) * F;
                for (std::int64_t r = 0; r < count; ++r) out[r] = ahead + models[i + r] * rows + row;
                products<false>(panel, F, by, count, out);
            }
        }
    }

    // Go `far` times the step of model k, and learn from what it did to the gradient (Broyden, Fletcher, Goldfarb, Shanno).
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
    std::int64_t last = 0;
    for (std::int64_t begin = 0; begin < K; begin += kPad) {  // so many at once as lists on the stack hold
        std::int64_t active[kPad], pending[kPad], n_active = least(kPad, K - begin);
        float slope[kPad], far[kPad];
        for (std::int64_t i = 0; i < n_active; ++i) {
            active[i] = begin + i;
            desk.weigh_told(begin + i, 0.0f);
        }
        desk.differentiate(active, n_active, false);  // what is known agrees with where the models start
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
                    far[k - begin] = 1.0f;
                    active[left] = pending[left] = k;
                    ++left;
                } else if (down > 0.0f) {  // so near that this step needs no look at where it leads
                    for (std::int64_t f = 0; f < F; ++f) job.move[k * F + f] += s[f];
                }
            }
            n_active = left;
            desk.look_ahead(active, n_active);
            for (std::int64_t i = 0; i < n_active; ++i) desk.weigh(active[i], 1.0f);
            for (int trial = 0; left > 0; ++trial) {
                desk.differentiate(pending, left, true);
                std::int64_t again = 0;
                for (std::int64_t i = 0; i < left; ++i) {
                    const std::int64_t k = pending[i], at = k * F;
                    for (std::int64_t f = 0; f < F; ++f) {
                        desk.next[at + f] += job.penalty[f] * (job.move[at + f] + far[k - begin] * desk.step[at + f]);
                    }
                    const float up = dot(desk.next + at, desk.step + at, F), down = slope[k - begin];
                    if (!(up > 0.5f * down) || trial == kTrials) continue;
                    const float shorter = far[k - begin] * down / (down + up);  // where the slope is none, were it straight
                    desk.weigh(k, shorter - far[k - begin]);
                    far[k - begin] = shorter;
                    pending[again++] = k;
                }
                left = again;
            }
            for (std::int64_t i = 0; i < n_active; ++i) desk.learn(active[i], far[active[i] - begin]);
        }
    }
    return last;
}

}  // namespace

const Descents DISSENSUS_DESCENTS = {project, descend};

}  // namespace dissensus

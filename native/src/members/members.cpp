// The baseline of the processor family, and the choice of instruction set.
#define DISSENSUS_ISA baseline
#include "dissensus/members.hpp"

#include <cstdint>

#include "dissensus/paths.hpp"
#include "members/members_impl.hpp"  // IWYU pragma: keep
#include "members/table.hpp"
#include "simd/choose.hpp"

namespace dissensus::members {

const Table& in_use() noexcept {
#if defined(DISSENSUS_X86)
    return simd::choose(baseline, avx2, avx512);
#else
    return baseline;
#endif
}

void by_feature(const float* rows, std::int64_t n, std::int64_t n_features, float* out) noexcept {
    for (std::int64_t f = 0; f < n_features; ++f) {
        for (std::int64_t k = 0; k < n; ++k) out[f * n + k] = rows[k * n_features + f];
    }
}

const float* quick_scaling(const double* mean, const double* inverse, std::int64_t n_features, float* out) noexcept {
    const std::int64_t padded = quick_floats(n_features) / 3;
    for (std::int64_t i = 0; i < 3 * padded; ++i) out[i] = 0.0f;
    for (std::int64_t f = 0; f < n_features; ++f) {
        if (!(mean[f] < 1e30 && mean[f] > -1e30 && inverse[f] < 1e30 && inverse[f] > 1e-30)) {
            paths::taken(paths::Path::members_scaled_in_double, 1);
            return nullptr;
        }
        out[f] = static_cast<float>(mean[f]);
        out[padded + f] = static_cast<float>(inverse[f]);
        out[2 * padded + f] = static_cast<float>((static_cast<double>(out[f]) - mean[f]) * inverse[f]);
    }
    return out;
}

std::int64_t lay_panels(const float* X, std::int64_t n_windows, std::int64_t n_features, const Scaling& scaling,
                        float* panels) noexcept {
    return in_use().lay_f32(X, n_windows, n_features, scaling, panels);
}

std::int64_t lay_panels(const double* X, std::int64_t n_windows, std::int64_t n_features, const Scaling& scaling,
                        float* panels) noexcept {
    return in_use().lay_f64(X, n_windows, n_features, scaling, panels);
}

void panel_scores(const float* panels, std::int64_t n_panels, std::int64_t n_features, const Weights& weights,
                  const std::int64_t* column, float* out, std::int64_t out_rows, const Soon& soon) noexcept {
    in_use().scores(panels, n_panels, n_features, weights, column, out, out_rows, soon);
}

void add_votes(const Tile& tile, const Held& held, const Votes& votes, float* scratch) noexcept {
    in_use().votes(tile, held, votes, scratch);
}

}  // namespace dissensus::members

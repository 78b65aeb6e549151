#define DISSENSUS_MEMBERS members_baseline
#include "members_impl.hpp"

#include "dissensus/machine.hpp"

namespace dissensus {
namespace {

const Members& members() noexcept {
#if defined(__x86_64__) || defined(_M_X64)
    if (active_isa() == Isa::avx512) return members_avx512;
    if (active_isa() == Isa::avx2) return members_avx2;
#endif
    return members_baseline;
}

}  // namespace

std::int64_t lay_panels(const float* X, std::int64_t n_windows, std::int64_t n_features, const double* mean,
                        const double* inverse, float* panels) noexcept {
    return members().lay_f32(X, n_windows, n_features, mean, inverse, panels);
}

std::int64_t lay_panels(const double* X, std::int64_t n_windows, std::int64_t n_features, const double* mean,
                        const double* inverse, float* panels) noexcept {
    return members().lay_f64(X, n_windows, n_features, mean, inverse, panels);
}

void panel_scores(const float* panels, std::int64_t n_panels, std::int64_t n_features, const Weights& weights,
                  const std::int64_t* column, float* out, std::int64_t out_rows) noexcept {
    members().scores(panels, n_panels, n_features, weights, column, out, out_rows);
}

void add_votes(const Tile& tile, const Held& held, const Votes& votes, float* scratch) noexcept {
    members().votes(tile, held, votes, scratch);
}

std::int64_t bound_descent(const Bound& job) noexcept { return members().bound(job); }

}  // namespace dissensus

#include <cmath>
#include <cstdint>

#include "dissensus/measures.hpp"
#include "query/blocks.hpp"

namespace dissensus::query {
namespace {

// More than the float32 bounds of scan_tile and RowLanes can be off, in nats: a few roundings per class in the distance
// from the mean, and as many in the sums.
double rounding(std::int64_t n_classes) noexcept {
    return 1.2e-7 * double(n_classes + 8) * (5.0 + std::log(double(n_classes)));
}

}  // namespace

double most_entropy(double spread, std::int64_t n_classes) noexcept {
    return std::log(double(n_classes)) - spread / (6.0 * double(n_classes)) + rounding(n_classes);
}

double most_margin(double lead, std::int64_t n_classes) noexcept { return 1.0 - lead + rounding(n_classes); }

Floor floor_of(Measure measure, double bound, double near, std::int64_t n_classes) noexcept {
    const double spread = 6.0 * double(n_classes) * (most_entropy(0.0, n_classes) - (bound - near));
    return {static_cast<float>(bound - 2.0 * near),
            measure == Measure::consensus_entropy ? static_cast<float>(spread) : __builtin_inff()};
}

}  // namespace dissensus::query

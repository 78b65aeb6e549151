// A listener's logistic weights: the move away from the pre-trained ones that the answers ask for.
//
// Rows lie in panels of kPanelRows, weight by weight, so that a score is a sum over rows of lanes and a gradient a sum
// over panels, both added up in the same order whatever else is worked on. No Python, no allocation.
#pragma once

#include <cstdint>

namespace dissensus::descent {

constexpr std::int64_t kPanelRows = 32;

/// Products of some rows with a basis of 32 n_blocks columns, the columns of the result one after the other.
struct Projection {
    const float* X;           ///< (any, n_features)
    const std::int64_t* row;  ///< (n_rows,)
    const float* basis;       ///< (n_blocks, n_features, kPanelRows)
    std::int64_t n_rows, n_features, n_blocks;
    float* out;  ///< (n_blocks kPanelRows, n_rows)
};
void project_rows(const Projection& job) noexcept;

/// Minimise the log loss over a move of the weights, for every model by itself; see the Numba twin for what is what.
struct Descent {
    const float* known_by_row;     ///< (n_known / kPanelRows, n_weights, kPanelRows)
    const float* known_by_weight;  ///< (n_weights / kPanelRows, n_known, kPanelRows)
    const float* known_start;      ///< (n_models, n_known)
    const float* known_target;     ///< (n_models, n_known)
    const float* known_weight;     ///< (n_known,)
    const float* told;             ///< (n_weights + n_models or more, n_told)
    const std::int64_t* label;     ///< (n_told,)
    const float* told_weight;      ///< (n_told,)
    const double* metric;          ///< (n_metrics, n_weights, n_weights)
    const float* penalty;          ///< (n_weights,)
    std::int64_t n_known, n_told, n_weights, n_models, n_classes, n_metrics;
    std::int64_t first;  ///< number of the first model: its class is first % n_classes, its metric first % n_metrics
    std::int64_t max_steps;
    float tol;
    float* work;   ///< descent_scratch floats
    double* room;  ///< (n_weights, n_weights)
    float* move;   ///< (n_models, n_weights), the result
};
std::int64_t anchored_descent(const Descent& job) noexcept;

/// Floats of scratch that anchored_descent needs.
inline std::int64_t descent_scratch(std::int64_t n_known, std::int64_t n_told, std::int64_t n_weights,
                                    std::int64_t n_models, std::int64_t n_classes) noexcept {
    const std::int64_t told = (n_told + kPanelRows - 1) / kPanelRows * kPanelRows;
    return n_models * (n_known + told + 3 * n_weights + n_weights * n_weights) +
           told * (2 * n_weights + n_classes + 7) + 4 * n_weights;
}

}  // namespace dissensus::descent
